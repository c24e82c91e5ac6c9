in vec2 in_corner;
out vec2 screen;

void main() {
    gl_Position = vec4(in_corner, 0.0, 1.0);
    screen = in_corner * 0.5 + 0.5;
}
