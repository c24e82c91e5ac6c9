// From a surface to the light that reaches the camera.
struct Surface {
    vec3 albedo;
    vec3 normal;
    float mirror;    // how much of its surroundings it mirrors seen straight on, 0 to 1
    float sharpness; // exponent of the sun's highlight
    vec3 emission;
    float puddle;    // how much of the wet road's mirror image it shows
};

in vec3 relative;
in vec3 local;
in vec3 normal;
in vec3 colour;
in vec2 uv;
flat in vec2 material_and_seed;
out vec4 radiance;

uniform vec3 sky_light;
uniform vec3 bounce_light;
uniform float fog_density;
uniform float fog_height;
uniform vec3 fog_colour;
uniform float wetness;
uniform float lit_windows;
uniform vec4 glow;
uniform float time;
uniform mat3 ego_axes; // rows: forward, left, up
uniform vec3 ego_lamp; // between the headlights, relative to the camera
#ifdef SHADOWS
uniform float in_shade;
uniform mat4 shadow_from_relative;
uniform sampler2DShadow shadow_texture;
#endif
#ifdef WET
uniform sampler2D mirror_texture;
uniform vec2 view_size;
#endif
#ifdef NIGHT
uniform int light_count;
uniform vec4 light_position[MAX_LIGHTS];  // w: 1 for a lamp shining downwards, 0 for a headlight
uniform vec3 light_direction[MAX_LIGHTS];
uniform vec3 light_colour[MAX_LIGHTS];
uniform vec3 lamp_colour;
uniform float headlights;
#endif
#ifdef SNOW
uniform float snow;
float swept = 0.0; // how much of the snow traffic has taken away
#endif
float open_sky = 1.0; // how much of the sky's light reaches a point, for what stands close by

float hash(vec2 p) {
    return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453);
}

vec4 noise(vec2 p) {
    return texture(noise_texture, p);
}

// 1 inside [-half_width, half_width], antialiased; `across` is the change of x over one pixel.
float band(float x, float half_width, float across) {
    float soft = max(across, 1e-4);
    return clamp((half_width - abs(x)) / soft + 0.5, 0.0, 1.0) * min(1.0, half_width * 2.0 / soft);
}

// A cheap guess of what mirrors see: lit ground, a dark uneven skyline of houses and trees, sky with some clouds.
vec3 surroundings(vec3 direction) {
    vec4 shape = noise(direction.xy * 0.27 + sky_seed);
    vec3 sky = mix(sky_gradient(direction), cloud_colour, cloud_shape.w * cloud_cover * smoothstep(0.5, 0.75, shape.b));
    float skyline = 0.04 + 0.5 * smoothstep(0.35, 0.95, shape.g);
    vec3 standing = (0.10 * sky_light + 0.5 * bounce_light) * (0.15 + 1.1 * shape.r);
    vec3 ground = bounce_light * (1.1 + 0.6 * direction.z) + 0.2 * wetness * sky_horizon;
    return mix(ground, mix(standing, sky, smoothstep(skyline - 0.12, skyline + 0.18, direction.z)), smoothstep(-0.05, 0.01, direction.z));
}

float sunlight(vec3 n) {
#ifdef SHADOWS
    vec3 p = (shadow_from_relative * vec4(relative + n * 0.06, 1.0)).xyz * 0.5 + 0.5;
    if (any(lessThan(p, vec3(0.0))) || any(greaterThan(p, vec3(1.0)))) return 1.0;
    float texel = 1.0 / SHADOW_SIZE;
    float lit = 0.0;
    for (int i = 0; i < 2; ++i) // each is smoothed over four texels
        lit += texture(shadow_texture, vec3(p.xy + (float(i) - 0.5) * vec2(1.6, 1.0) * texel, p.z - 0.0007)) * 0.5;
    return lit;
#else
    return 1.0;
#endif
}

#ifdef NIGHT
vec3 ego_headlights(vec3 n) {
    vec3 d = relative - ego_lamp;
    vec3 local_direction = ego_axes * d;
    if (local_direction.x < 0.2) return vec3(0.0);
    float distance_squared = dot(d, d);
    float azimuth = local_direction.y / local_direction.x;
    float elevation = local_direction.z / local_direction.x;
    // A low beam: bright just below the cut-off, which rises to the right, away from oncoming traffic.
    float cutoff = -0.012 - clamp(-azimuth, 0.0, 0.2) * -0.15;
    float below = smoothstep(cutoff + 0.012, cutoff - 0.02, elevation);
    float steep = max(cutoff - elevation, 0.0);
    float beam = exp(-azimuth * azimuth * 5.0) * (below * (1.0 / (1.0 + 60.0 * steep * steep)) * 1.0 + 0.035 * exp(-max(elevation, 0.0) * 4.0));
    float facing = 0.25 + 0.75 * max(dot(n, -normalize(d)), 0.0);
    return vec3(1.0, 0.95, 0.86) * beam * facing * headlights * 320.0 / (60.0 + distance_squared);
}

vec3 lamplight(vec3 n) {
    vec3 sum = vec3(0.0);
    for (int i = 0; i < light_count; ++i) {
        vec3 d = light_position[i].xyz - relative;
        float distance_squared = dot(d, d);
        vec3 towards = d * inversesqrt(distance_squared);
        float cosine = dot(-towards, light_direction[i]);
        float lamp = smoothstep(0.05, 0.75, cosine) * 62.0 / (distance_squared + 10.0);
        float narrow = max(cosine, 0.0);
        narrow *= narrow;
        narrow *= narrow;
        narrow *= narrow;
        float beam = narrow * narrow * narrow * 42.0 / (distance_squared + 40.0);
        float facing = max(dot(n, towards), 0.0) * 0.85 + 0.15;
        // A district has lamps of one kind; how bright each is, is its own.
        vec3 shining = mix(light_colour[i] * (beam * headlights), lamp_colour * (lamp * dot(light_colour[i], vec3(0.4))), light_position[i].w);
        sum += shining * facing;
    }
    return sum;
}
#endif

vec3 shade(Surface s) {
    vec3 view = normalize(relative);
    vec3 n = s.normal;
    vec3 light = mix(bounce_light, sky_light, n.z * 0.5 + 0.5) * open_sky;
#ifdef SHADOWS
    float lit = sunlight(n), towards = dot(n, sun_direction);
    float sun = lit * max(towards, 0.0);
    // What hides the sun hides a part of the sky too.
    light = light * mix(in_shade, 1.0, lit * smoothstep(-0.3, 0.3, towards)) + sun_colour * sun;
#endif
#ifdef NIGHT
    light += lamplight(n) + ego_headlights(n);
#endif
    vec3 result = s.albedo * light;
    if (s.mirror > 0.0) {
        vec3 bounce = reflect(view, n);
        float fresnel = s.mirror + (1.0 - s.mirror) * 0.75 * pow(1.0 - max(dot(-view, n), 0.0), 5.0);
        result = mix(result, surroundings(bounce), clamp(fresnel, 0.0, 1.0));
#ifdef SHADOWS
        result += sun_colour * sun * s.mirror * 3.0 * pow(max(dot(bounce, sun_direction), 0.0), s.sharpness);
#endif
    }
#ifdef WET
    if (s.puddle > 0.0) {
        vec2 here = gl_FragCoord.xy / view_size;
        vec2 ripple = (noise(uv * 0.9 + time * 0.11).rg - 0.5) * vec2(0.010, 0.02) + (noise(uv * 3.1 - time * 0.23).rg - 0.5) * 0.006;
        vec3 image = vec3(0.0);
        float jitter = hash(gl_FragCoord.xy) - 0.5;
        for (int i = 0; i < 5; ++i) // rough water smears a mirror image upright
            image += texture(mirror_texture, here + ripple + vec2(0.0, (float(i) - 1.5 + jitter) * 0.026)).rgb * 0.2;
        float fresnel = 0.05 + 0.95 * pow(1.0 - max(dot(-view, n), 0.0), 4.0);
        result = mix(result, image, clamp(fresnel * s.puddle, 0.0, 0.85));
    }
#endif
    return result + s.emission;
}

vec3 through_air(vec3 radiance_of_surface) {
    float distance_to = length(relative);
    // Fog thins with height: its mean along the ray.
    float rise = clamp(relative.z / fog_height, -2.0, 20.0);
    float mean = abs(rise) < 0.01 ? 1.0 : (1.0 - exp(-rise)) / rise;
    float clear = exp(-fog_density * mean * distance_to);
    vec3 air = fog_colour;
#ifdef SHADOWS
    float towards_sun = max(dot(relative, sun_direction) / distance_to, 0.0);
    air += sky_glow * (0.6 * towards_sun * towards_sun * towards_sun);
#endif
    return mix(air, radiance_of_surface, clear);
}

#ifdef SNOW
// Snow lies on what faces up; wheels turn it to slush.
void lay_snow(inout Surface s, int material) {
    vec2 p = material <= GRASS ? uv : local.xy;
    float drift = noise(p * 0.031).r * 0.65 + noise(p * 0.37).g * 0.35;
    float faces_up = smoothstep(0.25, 0.8, s.normal.z);
    float lies = smoothstep(1.0 - snow, 1.25 - snow, drift * 0.8 + 0.2 - 0.75 * swept) * faces_up;
    float thin = faces_up * snow * (0.5 - 0.3 * swept);
    float cover = max(lies, thin * smoothstep(0.35, 0.7, noise(p * 1.1).b));
    vec3 white = vec3(0.74, 0.77, 0.80) * (0.86 + 0.2 * noise(p * 0.21).g);
    s.albedo = mix(s.albedo * (1.0 - 0.45 * swept), white, cover);
    s.mirror *= 1.0 - cover;
    s.emission *= 1.0 - cover;
}
#endif

Surface surface();

void main() {
    int material = MATERIAL;
    Surface s = surface();
#ifdef SNOW
    lay_snow(s, material);
#endif
    // The sensor's motion blur needs how far everything is: inverse depth, as in depth.frag. The ego vehicle's own body goes with it.
    vec3 from_lamp = ego_axes * (relative - ego_lamp);
    bool is_ego = from_lamp.x < 0.6 && from_lamp.x > -5.0 && abs(from_lamp.y) < 1.05 && from_lamp.z > -0.55 && from_lamp.z < 1.5;
    radiance = vec4(through_air(shade(s)), is_ego ? 0.0 : gl_FragCoord.w);
}
