// From radiance to picture: glare, rain in the air and on the lens, exposure, tone curve, sensor noise.
in vec2 screen;
out vec4 picture;
uniform sampler2D scene_texture;
uniform sampler2D glare_texture;
uniform float exposure;
uniform float rain;
uniform float noise_level;
uniform float frame_seed;
uniform vec2 view_size;
uniform vec3 drops[MAX_DROPS]; // centre and radius in picture heights

float hash(vec2 p) {
    vec3 q = fract(vec3(p.xyx) * 0.1031);
    q += dot(q, q.yzx + 33.33);
    return fract((q.x + q.y) * q.z);
}

float streaks(vec2 p) {
    float sum = 0.0;
    for (int layer = 0; layer < 3; ++layer) {
        float size = 26.0 + 24.0 * float(layer);
        vec2 q = vec2(p.x + p.y * (0.05 + 0.03 * float(layer)), p.y) * vec2(size, size * 0.11);
        q.y += hash(vec2(floor(q.x), frame_seed + float(layer))) * 7.0;
        vec2 cell = floor(q), f = fract(q);
        float luck = hash(cell + frame_seed * 17.0 + float(layer) * 31.0);
        float x = abs(f.x - 0.2 - 0.6 * fract(luck * 91.0)) * view_size.y / size;
        sum += step(0.72, luck) * smoothstep(1.0, 0.2, x) * smoothstep(0.0, 0.3, f.y) * smoothstep(0.9, 0.5, f.y) * (0.55 - 0.13 * float(layer));
    }
    return sum;
}

vec3 tone(vec3 x) { // Narkowicz's fit of the ACES curve
    return clamp((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0);
}

vec3 shown_at(vec2 p) {
    return tone(texture(scene_texture, p).rgb * exposure);
}

float luma(vec3 c) {
    return sqrt(dot(c, vec3(0.299, 0.587, 0.114)));
}

// Smooths stair steps: finds the direction along an edge and averages along it.
vec3 smoothed(vec2 p) {
    vec2 texel = 1.0 / view_size;
    vec3 centre = texture(scene_texture, p).rgb;
    float m = luma(shown_at(p));
    float nw = luma(shown_at(p + vec2(-0.5, -0.5) * texel)), ne = luma(shown_at(p + vec2(0.5, -0.5) * texel));
    float sw = luma(shown_at(p + vec2(-0.5, 0.5) * texel)), se = luma(shown_at(p + vec2(0.5, 0.5) * texel));
    float low = min(m, min(min(nw, ne), min(sw, se))), high = max(m, max(max(nw, ne), max(sw, se)));
    if (high - low < max(0.04, high * 0.10)) return centre;
    vec2 along = vec2(-((nw + ne) - (sw + se)), (nw + sw) - (ne + se));
    along = normalize(along + 1e-5) * min(1.0, length(along) * 8.0);
    vec3 near = 0.5 * (texture(scene_texture, p - along * texel * 0.5).rgb + texture(scene_texture, p + along * texel * 0.5).rgb);
    vec3 far = 0.5 * (texture(scene_texture, p - along * texel * 1.6).rgb + texture(scene_texture, p + along * texel * 1.6).rgb);
    vec3 wide = 0.5 * (near + far);
    float brightness = luma(tone(wide * exposure));
    return brightness < low || brightness > high ? near : wide;
}

void main() {
    vec2 here = screen;
    float aspect = view_size.x / view_size.y;
    vec2 p = vec2(screen.x * aspect, screen.y);
    float lens = 0.0;
#ifdef WET
    for (int i = 0; i < MAX_DROPS; ++i) {
        vec2 d = p - drops[i].xy;
        float r = length(d * vec2(1.0, 0.85)) / drops[i].z;
        if (r < 1.0) {
            here = screen - d / vec2(aspect, 1.0) * (1.6 - 0.9 * r * r);
            lens = smoothstep(1.0, 0.7, r);
        }
    }
#endif
#ifdef SMOOTH
    vec3 value = smoothed(here);
#else
    vec3 value = texture(scene_texture, here).rgb;
#endif
#ifdef WET
    if (lens > 0.0) {
        vec3 soft = vec3(0.0);
        for (int i = 0; i < 4; ++i) soft += texture(scene_texture, here + (vec2(i & 1, i >> 1) - 0.5) * 0.012).rgb * 0.25;
        value = mix(texture(scene_texture, screen).rgb, soft, lens * 0.9);
    }
#endif
    value += texture(glare_texture, here).rgb * 0.55;
#ifdef WET
    value = mix(value, vec3(0.75, 0.78, 0.82) * max(dot(value, vec3(0.33)), 0.25), min(streaks(p) * rain * 0.55, 0.6));
#endif
    vec2 centred = screen - 0.5;
    value *= exposure * (1.0 - 0.45 * dot(centred, centred));
    vec3 shown = pow(tone(value), vec3(1.0 / 2.2));
    vec2 pixel = floor(screen * view_size) + fract(frame_seed * 0.137) * 971.0;
    vec3 grain = vec3(hash(pixel), hash(pixel + 41.3), hash(pixel + 83.7)) + vec3(hash(pixel + 11.1), hash(pixel + 57.9), hash(pixel + 23.5)) - 1.0;
    picture = vec4(shown + grain * noise_level, 1.0);
}
