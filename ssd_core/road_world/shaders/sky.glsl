// The sky in a direction (world axes): gradient, clouds, sun or stars; and a cheap guess of what mirrors see.
uniform vec3 sun_direction;
uniform vec3 sun_colour;
uniform vec3 sky_horizon;
uniform vec3 sky_zenith;
uniform vec3 cloud_colour;
uniform float cloud_cover;
uniform float sky_seed;

vec3 sky_gradient(vec3 direction) {
    return mix(sky_horizon, sky_zenith, pow(clamp(direction.z, 0.0, 1.0), 0.55));
}

vec3 sky_colour(vec3 direction) {
    vec3 sky = sky_gradient(direction);
    vec2 plane = direction.xy / (max(direction.z, 0.0) + 0.13);
    float shape = texture(noise_texture, plane * 0.055 + sky_seed).r * 0.65 + texture(noise_texture, plane * 0.21 - sky_seed).r * 0.35;
    float edge = mix(0.72, 0.30, cloud_cover);
    float density = smoothstep(edge, edge + 0.22, shape);
    float shade = texture(noise_texture, plane * 0.055 + sky_seed + sun_direction.xy * 0.012).r;
    vec3 cloud = cloud_colour * mix(1.0, 0.72, smoothstep(0.4, 0.85, shade));
#ifdef SHADOWS
    float towards_sun = max(dot(direction, sun_direction), 0.0);
    sky += sun_colour * (0.10 * pow(towards_sun, 6.0) + 0.35 * pow(towards_sun, 90.0) + 8.0 * smoothstep(0.99970, 0.99985, towards_sun));
    cloud += sun_colour * 0.12 * pow(towards_sun, 8.0);
#endif
#ifdef NIGHT
    vec2 cell = direction.xy / (direction.z + 0.4) * 90.0;
    float star = fract(sin(dot(floor(cell), vec2(12.9898, 78.233))) * 43758.5453);
    sky += vec3(0.10) * step(0.996, star) * smoothstep(0.35, 0.05, length(fract(cell) - 0.5)) * clamp(direction.z * 3.0, 0.0, 1.0);
#endif
    return mix(sky, cloud, density * smoothstep(0.0, 0.16, direction.z) * 0.92);
}

vec3 surroundings(vec3 direction) {
    vec3 above = sky_gradient(direction);
    vec3 houses = mix(sky_horizon * 0.28, above, smoothstep(0.10, 0.34, direction.z));
    return mix(sky_horizon * 0.14, houses, smoothstep(-0.06, 0.02, direction.z));
}
