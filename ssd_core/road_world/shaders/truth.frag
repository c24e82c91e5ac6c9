// What is seen in a pixel: class, instance, and which part it belongs to (from 1 on).
in vec2 uv;
flat in vec2 material_and_seed;
flat in vec2 labels; // class, instance of what was baked into the mesh
uniform float part_instance;
uniform float part_number;
out vec4 seen;

void main() {
#ifdef CUTOUT
    if (is_open(MATERIAL, material_and_seed.y, uv)) discard;
#endif
    seen = vec4(labels.x, part_instance > 0.0 ? part_instance : labels.y, part_number, 1.0);
}
