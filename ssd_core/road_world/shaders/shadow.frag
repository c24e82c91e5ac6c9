in vec2 uv;
flat in vec2 material_and_seed;

void main() {
#ifdef CUTOUT
    if (is_open(MATERIAL, material_and_seed.y, uv)) discard;
#endif
}
