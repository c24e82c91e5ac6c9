// One direction of a Gaussian blur; the first pass also keeps only what is brighter than white.
in vec2 screen;
out vec4 blurred;
uniform sampler2D source;
uniform vec2 stride;
uniform float threshold;

void main() {
    vec3 sum = vec3(0.0);
    for (int i = -6; i <= 6; ++i) {
        float weight = exp(-float(i * i) / 14.0) / 6.55;
        vec3 value = min(texture(source, screen + stride * float(i)).rgb, vec3(12.0));
        sum += weight * max(value - threshold, 0.0);
    }
    blurred = vec4(sum, 1.0);
}
