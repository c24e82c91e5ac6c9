// Which pixels of a leaf card or a fence are there at all. Depth and colour passes share it.
bool is_open(int material, float seed, vec2 uv) {
    if (material == LEAVES) {
        float leaves = texture(noise_texture, uv * 0.16 + vec2(seed * 7.31, seed * 3.17)).a;
        return leaves < 0.30 + 0.42 * dot(uv, uv);
    }
    bool rail = fract(uv.y * 1.6 + 0.1) < 0.08;
    return !rail && fract(uv.x * (seed > 0.5 ? 7.0 : 4.0)) > (seed > 0.5 ? 0.22 : 0.6);
}
