in vec2 uv;
flat in vec2 material_and_seed;

void main() {
#ifdef CUTOUT
    if (is_open(int(material_and_seed.x + 0.5), material_and_seed.y, uv)) discard;
#endif
}
