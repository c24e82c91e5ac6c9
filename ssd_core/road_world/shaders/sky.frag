in vec3 direction;
out vec4 radiance;
uniform vec3 fog_colour;
uniform float fog_density;

void main() {
    vec3 towards = normalize(direction);
    vec3 sky = sky_colour(towards);
    // Haze hides the horizon as it hides whatever stands before it.
    float haze = 1.0 - exp(-fog_density * 45.0 / (abs(towards.z) + 0.06));
    radiance = vec4(mix(sky, fog_colour, haze), 1.0);
}
