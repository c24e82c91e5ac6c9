// Every pass places vertices with this file, so that all of them see the same geometry.
// "relative" is a point's position in world axes, seen from the camera: small numbers keep float32 exact.
in vec3 in_position;
in vec3 in_normal;
in vec3 in_colour;
in vec2 in_uv;
in vec2 in_material;
in vec2 in_labels;

uniform mat3 world_from_part;
uniform vec3 part_origin;
uniform mat4 clip_from_relative;

invariant gl_Position;
out vec3 relative;
out vec3 local;
out vec3 normal;
out vec3 colour;
out vec2 uv;
flat out vec2 material_and_seed;
flat out vec2 labels;

void main() {
    relative = world_from_part * in_position + part_origin;
    local = in_position;
    normal = world_from_part * in_normal;
    colour = in_colour;
    uv = in_uv;
    material_and_seed = in_material;
    labels = in_labels;
    gl_Position = clip_from_relative * vec4(relative, 1.0);
}
