// One direction of a blur of what is brighter than a threshold: a Gaussian, or the long tail of a streak.
in vec2 screen;
out vec4 blurred;
uniform sampler2D source;
uniform vec2 stride;
uniform float threshold;
uniform float ceiling; // above it no more light spills
uniform float tail; // 0: Gaussian; else how slowly a streak fades

void main() {
    vec3 sum = vec3(0.0);
    for (int i = -6; i <= 6; ++i) {
        float weight = tail > 0.0 ? exp(-abs(float(i)) / tail) * 0.12 : exp(-float(i * i) / 14.0) / 6.55;
        vec3 value = min(texture(source, screen + stride * float(i)).rgb, vec3(ceiling));
        sum += weight * max(value - threshold, 0.0);
    }
    blurred = vec4(sum, 1.0);
}
