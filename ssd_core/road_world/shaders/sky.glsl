// The sky in a direction (world axes): gradient, glow around the sun, clouds, stars.
uniform vec3 sun_direction;
uniform vec3 sun_colour;
uniform vec3 sky_horizon;
uniform vec3 sky_zenith;
uniform vec3 sky_glow;
uniform vec3 cloud_colour;
uniform float cloud_cover;
uniform vec4 cloud_shape; // size, softness, stretch, opacity
uniform float sky_seed;

vec3 sky_gradient(vec3 direction) {
    float up = clamp(direction.z, 0.0, 1.0);
    float near_sun = max(dot(direction, sun_direction), 0.0);
    near_sun *= near_sun;
    vec3 glow = sky_glow * (near_sun * near_sun) * (0.35 + 0.65 * exp(-5.0 * max(up - max(sun_direction.z, 0.0), 0.0)));
    return mix(sky_horizon, sky_zenith, sqrt(up)) + glow;
}

vec3 sky_colour(vec3 direction) {
    vec3 sky = sky_gradient(direction);
    vec2 plane = direction.xy / (max(direction.z, 0.0) + 0.13) * vec2(1.0, 1.0 - 0.85 * cloud_shape.z) / cloud_shape.x;
    float broad = texture(noise_texture, plane * 0.055 + sky_seed).r;
    float shape = broad * 0.65 + texture(noise_texture, plane * 0.21 - sky_seed).r * 0.35;
    float edge = mix(0.80, 0.28, cloud_cover);
    float density = smoothstep(edge, edge + cloud_shape.y, shape);
    // Thick parts are dark below, thin ones let the sun through.
    float shade = texture(noise_texture, plane * 0.055 + sky_seed + sun_direction.xy * 0.012).r;
    vec3 cloud = cloud_colour * mix(1.0, 0.62, smoothstep(0.4, 0.85, shade) * density);
#ifdef SHADOWS
    float towards_sun = max(dot(direction, sun_direction), 0.0);
    sky += sun_colour * (0.45 * pow(towards_sun, 60.0) + 1.5 * pow(towards_sun, 700.0) + 20.0 * smoothstep(0.9993, 0.9998, towards_sun));
    cloud += sun_colour * 0.25 * pow(towards_sun, 12.0) * (1.3 - density);
#endif
#ifdef NIGHT
    vec2 cell = direction.xy / (direction.z + 0.4) * 90.0;
    float star = fract(sin(dot(floor(cell), vec2(12.9898, 78.233))) * 43758.5453);
    sky += vec3(0.06) * step(0.997, star) * smoothstep(0.35, 0.05, length(fract(cell) - 0.5)) * clamp(direction.z * 3.0, 0.0, 1.0) * step(sky_zenith.b, 0.012);
#endif
    return mix(sky, cloud, density * smoothstep(0.0, 0.16, direction.z) * cloud_shape.w);
}
