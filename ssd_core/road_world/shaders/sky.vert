in vec2 in_corner;
uniform mat3 world_from_camera;
uniform vec4 ray_scale_and_offset;
out vec3 direction;

void main() {
    gl_Position = vec4(in_corner, 0.999999, 1.0);
    direction = world_from_camera * vec3(in_corner * ray_scale_and_offset.xy + ray_scale_and_offset.zw, 1.0);
}
