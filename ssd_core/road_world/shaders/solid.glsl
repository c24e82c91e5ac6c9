// Vehicles, people and street furniture.

// The smooth normal, on the side that is seen: never turned away from the camera, which would tear highlights at silhouettes.
vec3 seen_normal() {
    vec3 n = normalize(normal);
    vec3 face = cross(dFdx(relative), dFdy(relative));
    face *= dot(face, relative) > 0.0 ? -1.0 : 1.0;
    if (dot(n, face) < 0.0) n = -n;
    vec3 view = normalize(relative);
    return normalize(n - view * max(dot(n, view) + 0.02, 0.0));
}

// A made-up name in one or two lines, its first letter's foot at `corner`.
float lettering(vec2 corner, float seed) {
    vec2 place = (uv - corner) / mix(0.3, 0.6, fract(seed * 7.0));
    float across = fwidth(place.y);
    float ink = word(fract(seed * 1.7), 5.0 + floor(fract(seed * 19.0) * 6.0), place, across);
    place = (place - vec2(0.0, -0.9)) / 0.6;
    return ink + word(fract(seed * 2.3), 9.0, place, across / 0.6) * step(0.5, fract(seed * 29.0));
}

// Bodies carry x (from the doors' middle on, plus 20; plus 100 where there are no doors) and height as uv; what is bolted on, small metres.
void paint_body(inout Surface s, float seed) {
    bool is_body = uv.x > 10.0;
    float height = is_body ? uv.y : 0.7;
    vec4 uneven = noise(uv * 0.13 + seed);
    float dirt = smoothstep(0.8, 0.2, height) * (0.25 + 0.6 * uneven.a) * (0.3 + fract(seed * 17.0));
    s.mirror = 0.07;
    if (is_body && uv.x < 50.0) {
        // Gaps around the doors, handles, and the sill's strip.
        float x = uv.x - 20.0, across = max(fwidth(uv.x), fwidth(uv.y));
        float seam = band(x, 0.006, across) + band(x - 1.04, 0.006, across) + band(x + 0.92 + 0.2 * step(1.02, uv.y), 0.006, across);
        s.albedo *= 1.0 - 0.8 * min(seam, 1.0) * step(0.3, uv.y) * step(abs(x - 0.05), 1.12);
        vec2 handle = vec2(min(abs(x - 0.16), abs(x + 0.74)), uv.y - mix(0.78, 0.86, fract(seed * 5.0)));
        s.albedo *= 1.0 - 0.6 * band(handle.x, 0.085, across) * band(handle.y, 0.014, across);
    }
    s.albedo = mix(s.albedo, vec3(0.12, 0.11, 0.10), clamp(dirt, 0.0, 1.0) * 0.5);
    // Near the ground less of the sky is seen.
    open_sky = mix(0.3, 1.0, smoothstep(0.1, 0.95, height));
    s.albedo *= mix(0.7, 1.0, smoothstep(0.15, 0.6, height));
    // Sheet metal is never quite even.
    s.normal = normalize(s.normal + (uneven.rgb - 0.5) * 0.05);
    s.mirror *= 1.0 - 0.8 * dirt;
    s.sharpness = 180.0;
}

void paint_wheel(inout Surface s, float seed) {
    float r = length(uv), across = max(fwidth(uv.x), fwidth(uv.y));
    float rim = smoothstep(0.69 + across, 0.69 - across, r);
    float count = 5.0 + floor(fract(seed * 37.0) * 6.0);
    float spoke = abs(fract(atan(uv.y, uv.x) / 6.2832 * count + seed) - 0.5) * 2.0;
    float width = mix(0.5, 0.75, fract(seed * 53.0));
    float filled = max(smoothstep(width + 0.15, width - 0.15, spoke), smoothstep(0.2, 0.14, r)) * 1.0;
    filled = max(filled, smoothstep(0.58, 0.64, r));
    // Small in the picture, spokes blur.
    filled = mix(filled, 0.55, clamp(across * 6.0 - 0.5, 0.0, 1.0));
    vec3 metal = colour * mix(0.35, 1.2, fract(seed * 71.0)) * (0.75 + 0.25 * noise(uv * 0.1 + seed).r);
    s.albedo = mix(vec3(0.014), mix(vec3(0.012), metal, filled), rim);
    s.albedo *= 1.0 - 0.5 * smoothstep(0.06, 0.03, r);
    s.mirror = 0.05 * rim * filled;
    s.sharpness = 30.0;
    open_sky = 0.55;
}

Surface surface() {
    int material = MATERIAL;
    float seed = material_and_seed.y;
    vec3 n = seen_normal();
    float grain = noise(uv * 0.5 + seed).r;
    Surface s = Surface(colour, n, 0.0, 60.0, vec3(0.0), 0.0);
    if (material == PAINT) paint_body(s, seed);
    else if (material == WHEEL) paint_wheel(s, seed);
    else if (material == GLASS) {
        // Behind the panes it is dark, but for seats and what is seen through the windows opposite.
        vec4 uneven = noise(uv * 0.06 + seed);
        float inside = uneven.r;
        s.albedo *= 0.5 + 2.5 * smoothstep(0.45, 0.75, inside) * smoothstep(0.05, 0.3, uv.y);
        s.normal = normalize(s.normal + (uneven.rgb - 0.5) * 0.06);
        s.mirror = 0.085;
        s.sharpness = 600.0;
    } else if (material == METAL) {
        s.albedo *= 0.85 + 0.3 * grain;
        s.mirror = 0.08;
        s.sharpness = 40.0;
    } else if (material == TANK) {
        float streaks = noise(vec2(uv.x * 0.35, uv.y * 0.03) + seed).g;
        float ring = band(fract(uv.x * 0.42 + seed) - 0.5, 0.008, fwidth(uv.x) * 0.42);
        s.albedo *= (0.75 + 0.4 * streaks) * (1.0 - 0.35 * ring);
        s.albedo = mix(s.albedo, vec3(0.02, 0.05, 0.2), lettering(vec2(1.0 + fract(seed * 3.0) * 2.0, 1.1), seed) * 0.85 * step(uv.x, 40.0));
        s.mirror = fract(seed * 11.0) > 0.5 ? 0.35 : 0.1;
        s.sharpness = 120.0;
    } else if (material == BARK) {
        s.albedo *= 0.45 + 1.1 * noise(vec2(atan(local.y, local.x) * 0.4, local.z * 0.12) + seed).g;
    } else if (material == PANEL || material == LETTERED) {
        float width = fwidth(uv.x);
        float rib = abs(fract(uv.x * 2.2) - 0.5);
        s.albedo *= (0.8 + 0.3 * noise(uv * 0.08 + seed).r) * (1.0 - 0.25 * smoothstep(0.3, 0.5, rib) * clamp(1.2 - width * 2.2, 0.0, 1.0));
        vec3 contrast = mix(vec3(0.02, 0.04, 0.15), vec3(0.6), step(dot(colour, vec3(0.33)), 0.25));
        if (fract(seed * 5.0) > 0.5) s.albedo = mix(s.albedo, contrast, 0.8 * band(uv.y - 1.3, 0.22, fwidth(uv.y)) * step(0.6, fract(seed * 9.0)));
        if (material == LETTERED) s.albedo = mix(s.albedo, contrast, lettering(vec2(0.4 + fract(seed * 3.0), 0.9), seed) * 0.9);
        s.mirror = 0.02;
    } else if (material == PLATE) {
        vec2 place = vec2(uv.x * 9.6 - 1.0, (uv.y - 0.16) / 0.68);
        s.albedo = mix(colour, vec3(0.02), plate(seed, place, fwidth(place.y)));
        if (uv.x < 0.09) s.albedo = mix(s.albedo, vec3(0.01, 0.03, 0.3), step(fract(seed * 43.0), 0.6));
        if (abs(uv.y - 0.5) > 0.44) s.albedo *= 0.3;
#ifdef NIGHT
        s.emission = s.albedo * ego_headlights(n) * 1.5;
#endif
    } else if (material == SIGN) {
        s.albedo *= 0.92 + 0.16 * grain;
#ifdef NIGHT
        // Retroreflective: what the headlights send comes straight back.
        s.emission = colour * ego_headlights(n) * 2.5;
#endif
    } else if (material == HEADLIGHT) {
        s.albedo *= 0.25 + 0.9 * noise(uv * 1.3 + seed).b;
        s.mirror = 0.15;
        s.sharpness = 300.0;
        // Reflectors throw it ahead: from the side one sees a dim bulb.
        float ahead = max(dot(n, -normalize(relative)), 0.0);
        s.emission = vec3(1.0, 0.95, 0.85) * glow.x * (0.04 + 0.96 * ahead * ahead * ahead);
    } else if (material == TAILLIGHT || material == BRAKE_LIGHT) {
        s.albedo *= 0.7 + 0.6 * noise(uv * 1.1 + seed).b;
        s.mirror = 0.1;
        // By day only some drive with lights on.
        float lit = glow.y > 1.0 ? glow.y : glow.y * step(0.65, fract(seed * 47.0));
        s.emission = vec3(1.0, 0.03, 0.015) * (material == BRAKE_LIGHT ? lit + 0.9 : lit);
    } else if (material == LAMP) s.emission = colour * glow.z;
    else if (material == SIGNAL) s.emission = colour * glow.w;
    else if (material == MATT) s.albedo *= 0.8 + 0.4 * grain;
    if (material == MATT || material == BARK) s.albedo *= mix(1.0, 0.7, wetness);
    return s;
}
