// The scene at a quarter of the size, for metering, glare and what is seen through water.
in vec2 screen;
out vec4 coarse;
uniform sampler2D source;
uniform vec2 stride; // one pixel of the source

void main() {
    vec4 sum = vec4(0.0);
    for (int i = 0; i < 4; ++i) sum += texture(source, screen + (vec2(i & 1, i >> 1) * 2.0 - 1.0) * stride);
    coarse = sum * 0.25;
}
