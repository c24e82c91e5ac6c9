in vec3 direction;
out vec4 radiance;
uniform vec3 fog_colour;
uniform float fog_density;
uniform float fog_height;

void main() {
    vec3 towards = normalize(direction);
    vec3 sky = sky_colour(towards);
    // Haze hides the horizon as it hides whatever stands before it.
    float haze = 1.0 - exp(-fog_density * fog_height / (max(towards.z, 0.0) + 0.05));
    radiance = vec4(mix(sky, fog_colour, haze), 0.0);
}
