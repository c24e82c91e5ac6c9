// From light to picture: what is in the air and on the lens, motion blur, glare, exposure, tone curve, sensor noise.
in vec2 screen;
out vec4 picture;
uniform sampler2D scene_texture;  // light; alpha: inverse depth
uniform sampler2D glare_texture;
uniform sampler2D coarse_texture; // the scene at a quarter of the size
uniform sampler2D streak_texture;
uniform float frame_seed;
uniform float lens_seed;
uniform vec2 view_size;
uniform float exposure;
uniform vec3 white_balance;
uniform float shoulder;
uniform float contrast;
uniform float saturation;
uniform float black_level;
uniform float vignetting;
uniform float noise_level;
uniform float blotches;
uniform float bloom;
uniform vec3 air_light;
uniform float rain;
uniform float snowfall;
uniform float dirt;
uniform float drops;
uniform float drop_size;
uniform float film;
uniform vec4 ray_scale_and_offset; // as in sky.vert
uniform vec3 moved;                // by the camera while the shutter is open, in its own axes, metres
uniform vec3 turned;               // radians about its own axes
uniform vec3 sun_on_screen;        // where on the screen; brightness
uniform vec3 sun_colour;

float hash(vec2 p) {
    vec3 q = fract(vec3(p.xyx) * 0.1031);
    q += dot(q, q.yzx + 33.33);
    return fract((q.x + q.y) * q.z);
}

#ifdef RAIN
float streaks(vec2 p) {
    float sum = 0.0;
    for (int layer = 0; layer < 3; ++layer) {
        float size = 26.0 + 24.0 * float(layer);
        vec2 q = vec2(p.x + p.y * (0.05 + 0.03 * float(layer)), p.y) * vec2(size, size * 0.11);
        q.y += hash(vec2(floor(q.x), frame_seed + float(layer))) * 7.0;
        vec2 cell = floor(q), f = fract(q);
        float luck = hash(cell + frame_seed * 17.0 + float(layer) * 31.0);
        float x = abs(f.x - 0.2 - 0.6 * fract(luck * 91.0)) * view_size.y / size;
        sum += step(1.0 - 0.28 * rain, luck) * smoothstep(1.0, 0.2, x) * smoothstep(0.0, 0.3, f.y) * smoothstep(0.9, 0.5, f.y) * (0.55 - 0.13 * float(layer));
    }
    return sum;
}
#endif

#ifdef SNOWFALL
float flakes(vec2 p) {
    float sum = 0.0;
    for (int layer = 0; layer < 3; ++layer) {
        float size = 9.0 * exp2(float(layer));
        vec2 q = (p + vec2(0.13, 0.07) * float(layer) + fract(frame_seed * vec2(13.7, 7.3))) * vec2(size, size * 0.8);
        vec2 cell = floor(q), f = fract(q);
        float luck = hash(cell + floor(frame_seed * 911.0) + float(layer) * 31.0);
        vec2 d = f - 0.3 - 0.4 * vec2(fract(luck * 91.0), fract(luck * 57.0));
        float radius = 0.05 + 0.10 * fract(luck * 23.0);
        float flake = smoothstep(radius, radius * 0.3, length(d * vec2(1.0, 0.75)));
        sum += step(1.0 - 0.55 * snowfall, luck) * flake * (0.5 + 0.2 * float(layer));
    }
    return sum;
}
#endif

vec3 rolled_off(vec3 x) {
    return 1.0 - exp(-1.25 * x);
}

vec3 tone(vec3 x) {
    x = mix(min(x, 1.0), rolled_off(x), shoulder);
    vec3 y = mix(1.055 * pow(x, vec3(1.0 / 2.4)) - 0.055, 12.92 * x, lessThan(x, vec3(0.0031308)));
    y += contrast * (y * y * (3.0 - 2.0 * y) - y);
    y = mix(vec3(dot(y, vec3(0.3, 0.6, 0.1))), y, saturation);
    return black_level + (1.0 - black_level) * y;
}

vec3 light_at(vec2 p) {
    return texture(scene_texture, p).rgb;
}

#ifdef SMOOTH
float luma(vec3 c) {
    float light = dot(c, vec3(0.299, 0.587, 0.114)) * exposure;
    return sqrt(light / (0.7 + light));
}

// Smooths stair steps: finds the direction along an edge and averages along it.
vec3 smoothed(vec2 p) {
    vec2 texel = 1.0 / view_size;
    vec3 centre = light_at(p);
    float m = luma(centre);
    float nw = luma(light_at(p + vec2(-0.5, -0.5) * texel)), ne = luma(light_at(p + vec2(0.5, -0.5) * texel));
    float sw = luma(light_at(p + vec2(-0.5, 0.5) * texel)), se = luma(light_at(p + vec2(0.5, 0.5) * texel));
    float low = min(m, min(min(nw, ne), min(sw, se))), high = max(m, max(max(nw, ne), max(sw, se)));
    if (high - low < max(0.04, high * 0.10)) return centre;
    vec2 along = vec2(-((nw + ne) - (sw + se)), (nw + sw) - (ne + se));
    along = normalize(along + 1e-5) * min(1.0, length(along) * 8.0);
    vec3 near = 0.5 * (light_at(p - along * texel * 0.5) + light_at(p + along * texel * 0.5));
    vec3 far = 0.5 * (light_at(p - along * texel * 1.6) + light_at(p + along * texel * 1.6));
    vec3 wide = 0.5 * (near + far);
    float brightness = luma(wide);
    return brightness < low || brightness > high ? near : wide;
}
#endif

#ifdef BLUR
// Everything drags along the path it takes over the picture while the shutter is open.
vec3 dragged(vec2 p) {
    vec2 ray = (p * 2.0 - 1.0) * ray_scale_and_offset.xy + ray_scale_and_offset.zw;
    float inverse = texture(scene_texture, p).a;
    vec2 flow = (ray * moved.z - moved.xy) * inverse;
    flow += vec2(ray.x * ray.y, 1.0 + ray.y * ray.y) * turned.x - vec2(1.0 + ray.x * ray.x, ray.x * ray.y) * turned.y + vec2(ray.y, -ray.x) * turned.z;
    flow *= 0.5 / ray_scale_and_offset.xy;
    vec3 sum = vec3(0.0);
    for (int i = -3; i <= 3; ++i) sum += light_at(p + flow * (float(i) / 7.0));
    return sum / 7.0;
}
#endif

#ifdef LENS
// A drop shows the whole scene upside down and out of focus: offset on the screen, and how much of a drop there is.
vec3 drop(vec2 p, float size, float share, float seed) {
    vec2 q = p / size;
    vec2 cell = floor(q);
    float luck = hash(cell + seed), more = fract(luck * 71.0);
    vec2 d = fract(q) - 0.5 - 0.24 * (vec2(fract(luck * 37.0), more) - 0.5);
    float radius = 0.10 + 0.26 * more * more;
    float r = length(d * vec2(1.0, 0.84) * (0.8 + 0.4 * texture(noise_texture, q * 0.21 + luck).r)) / radius;
    float there = step(luck, share) * smoothstep(1.0, 0.45, r);
    return vec3(-d * size * (2.4 - 1.2 * min(r, 1.0)) , there);
}
#endif

void main() {
    vec2 here = screen;
    vec2 aspect = vec2(view_size.x / view_size.y, 1.0);
    vec2 p = screen * aspect;
#ifdef LENS
    vec3 big = drop(p, 0.17 * drop_size, drops * 0.5, lens_seed), small = drop(p + 0.37, 0.055 * drop_size, drops, lens_seed + 17.0);
    vec3 wet = big.z > small.z ? big : small;
    vec2 ripple = (texture(noise_texture, vec2(p.x * 0.22, p.y * 0.055 - frame_seed * 0.02) + lens_seed).rg - 0.5) * film;
    here += wet.xy / aspect * wet.z + ripple * 0.03;
#endif
#if defined(BLUR)
    vec3 value = dragged(here);
#elif defined(SMOOTH)
    vec3 value = smoothed(here);
#else
    vec3 value = light_at(here);
#endif
#ifdef LENS
    vec3 coarse = texture(coarse_texture, here).rgb;
    float smudge = smoothstep(0.5, 0.85, texture(noise_texture, p * 0.19 + lens_seed).r) * dirt;
    smudge += smoothstep(0.72, 0.8, texture(noise_texture, p * 0.83 + lens_seed).a) * dirt * 0.5;
    float soft = clamp(wet.z * 0.85 + film * 0.5 * (0.4 + ripple.x) + smudge * 0.6, 0.0, 0.95);
    value = mix(value, coarse * (1.0 - 0.25 * smudge), soft) + smudge * 0.06 / exposure * coarse / (coarse + 0.3);
#endif
    vec3 halo = texture(glare_texture, here).rgb;
    value += halo * bloom;
#ifdef STREAKS
    value += texture(streak_texture, here).rgb;
#endif
#ifdef RAIN
    value = mix(value, air_light + halo * 1.5, min(streaks(p) * (0.10 + 0.40 * rain), 0.6));
#endif
#ifdef SNOWFALL
    value = mix(value, air_light * 1.15 + halo, min(flakes(p), 0.85));
#endif
#ifdef FLARE
    vec2 from_sun = (screen - sun_on_screen.xy) * aspect;
    vec2 centre = vec2(0.5);
    float haze = 0.022 / (dot(from_sun, from_sun) + 0.04) + 0.03;
    for (int i = 0; i < 3; ++i) {
        vec2 ghost = (screen - mix(sun_on_screen.xy, centre, 1.35 + 0.38 * float(i))) * aspect;
        haze += 0.10 * smoothstep(0.05 + 0.03 * float(i), 0.02 + 0.03 * float(i), length(ghost)) * (0.6 - 0.15 * float(i));
    }
    value += sun_colour * haze * sun_on_screen.z;
#endif
    vec2 centred = screen - 0.5;
    value *= exposure * white_balance * (1.0 - 1.6 * vignetting * dot(centred, centred));
    vec3 shown = tone(value);
#ifdef NOISE
    vec2 pixel = floor(screen * view_size) + fract(frame_seed * 0.137) * 971.0;
    vec3 grain = vec3(hash(pixel), hash(pixel + 41.3), hash(pixel + 83.7)) + vec3(hash(pixel + 11.1), hash(pixel + 57.9), hash(pixel + 23.5)) - 1.0;
    vec2 blotch = texture(noise_texture, pixel * 0.021 + frame_seed).gb - 0.5;
    grain = mix(vec3(grain.x), grain, 0.6) + vec3(blotch.x, -0.4 * (blotch.x + blotch.y), blotch.y) * blotches * 1.6;
    // Photons come unevenly, but the tone curve stretches shadows more.
    shown += grain * noise_level * (1.25 - 0.75 * shown);
#endif
    picture = vec4(shown, 1.0);
}
