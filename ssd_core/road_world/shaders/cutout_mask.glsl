// Which pixels of a leaf card or a fence are there at all. Depth, shadow and colour passes share it.
// A pattern too fine for the pixels is drawn coarser in steps of two, never averaged: averaged leaves would close or vanish.

const float LEAF_GRAIN = 1.1;

// Noise of leaves whose clumps never get smaller than a few pixels (fewer by `finest`, in octaves); as often above any value
// at every distance.
vec4 leaf_noise(vec2 p, float finest) {
    vec2 dx = dFdx(p) * 512.0, dy = dFdy(p) * 512.0;
    float level = max(0.5 * log2(max(abs(dx.x * dy.y - dx.y * dy.x), 1e-6)) - finest, 0.0);
    float whole = floor(level), part = level - whole;
    vec2 q = p * exp2(-whole);
    vec4 fine = textureLod(noise_texture, q, 0.0);
    if (part < 0.01) return fine;
    // A mixture spreads less than its parts: widen it again.
    return 0.5 + (mix(fine, textureLod(noise_texture, q * 0.5, 0.0), part) - 0.5) * inversesqrt(part * part + (1.0 - part) * (1.0 - part));
}

// Whether x lies in a gap between bars that take `share` of the space, one for each whole x. Bars too thin for the pixels become
// fewer and a pixel wide: thinner they would come and go.
bool in_gap(float x, float share) {
    float level = max(ceil(log2(max(fwidth(x), 1e-6)) + 1.6), 0.0);
    return fract(x * exp2(-level)) > (level > 0.0 ? max(share, 0.34) : share);
}

// Where in the noise a card lies. Whole seeds count the clumps along half its side; below 1 the foliage is closed, uv in metres.
vec2 leaf_place(float seed, vec2 uv) {
    float clumps = seed < 1.0 ? 6.7 : floor(seed);
    return uv * clumps * 0.0215 + vec2(fract(seed) * 7.31, fract(seed) * 3.17);
}

bool is_open_leaf(int material, float seed, vec2 uv) {
    if (seed < 1.0) return false;
    float lobes = textureLod(noise_texture, uv * 0.05 + vec2(fract(seed) * 5.3, fract(seed) * 11.7), 0.0).r - 0.5;
    float inwards = smoothstep(0.97, 0.35, length(uv) + 0.7 * lobes);
    if (length(uv) > 1.0 || inwards <= 0.0) return true;
    float leaves = leaf_noise(leaf_place(seed, material == TWIGS ? uv * vec2(0.8, 0.28) : uv), material == TWIGS ? 0.7 : LEAF_GRAIN).a;
    if (material == TWIGS) return abs(leaves - 0.5) > 0.10 * sqrt(inwards);
    // A large card is a whole crown, closed but for its edge.
    return leaves < 1.0 - mix(0.78, 0.93, smoothstep(8.0, 20.0, seed)) * inwards;
}

bool is_open_blade(float seed, vec2 uv) {
    float luck = fract(seed);
    if (seed >= 1.0) // a frond: leaflets off a midrib
        return abs(uv.x) > 0.06 && (abs(uv.x) > sqrt(max(1.0 - uv.y, 0.0)) * 0.95 || in_gap((uv.y + 0.12 * abs(uv.x)) * 17.0, 0.62));
    float blade = uv.x * 14.0 + uv.y * (luck - 0.5) * 2.0;
    float tall = 0.45 + 0.55 * textureLod(noise_texture, vec2(floor(blade) * 0.037 + luck, luck), 0.0).a;
    return uv.y > tall || abs(fract(blade) - 0.5) > 0.46 * (1.0 - 0.8 * uv.y / tall);
}

bool is_open(int material, float seed, vec2 uv) {
    if (material == LEAVES || material == TWIGS) return is_open_leaf(material, seed, uv);
    if (material == BLADES) return is_open_blade(seed, uv);
    if (material == IRON_RAILING) {
        bool rail = abs(uv.y - 0.12) < 0.025 || abs(uv.y - 0.9) < 0.025;
        return !rail && in_gap(uv.x * 8.0, 0.16);
    }
    if (material == PICKETS) {
        bool rail = abs(uv.y - 0.25) < 0.045 || abs(uv.y - 0.75) < 0.045;
        return !rail && in_gap(uv.x * 7.0, 0.62);
    }
    if (material == WIRE_MESH) {
        bool post = fract(uv.x / 2.5) < 0.02;
        // Too fine to be seen, the mesh is gone: coarser it would look like a lattice.
        vec2 p = vec2(uv.x + uv.y, uv.x - uv.y) * 16.0;
        return !post && (max(fwidth(p.x), fwidth(p.y)) > 0.45 || (fract(p.x) > 0.15 && fract(p.y) > 0.15));
    }
    // A wire in the middle of its strip, never thinner than a pixel, until the strip itself is too thin.
    if (material == WIRE) return abs(uv.y) > max(0.12, 0.55 * fwidth(uv.y)) || fwidth(uv.y) > 1.2;
    bool rail = fract(uv.y * 1.6 + 0.1) < 0.08;
    return !rail && in_gap(uv.x * (seed > 0.5 ? 7.0 : 4.0), seed > 0.5 ? 0.22 : 0.6);
}
