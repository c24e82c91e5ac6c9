// Asphalt with lanes, zebra crossings, pavements, kerbs and grass; uv are road coordinates s, t.
uniform float lane_width;
uniform float lane_count; // in one direction
uniform float half_width;
uniform float parking_width;
uniform float street_seed;
uniform int footprint_count;
uniform vec4 footprint_pose[MAX_FOOTPRINTS]; // x, y relative to the camera, direction of the long side
uniform vec2 footprint_size[MAX_FOOTPRINTS];

float footprint_shade() {
    float open = 1.0;
    for (int i = 0; i < footprint_count; ++i) {
        vec2 d = relative.xy - footprint_pose[i].xy;
        vec2 along = footprint_pose[i].zw;
        vec2 outside = vec2(abs(dot(d, along)), abs(dot(d, vec2(-along.y, along.x)))) - footprint_size[i];
        float gap = length(max(outside, 0.0)) + min(max(outside.x, outside.y), 0.0);
        open *= mix(0.22, 1.0, smoothstep(-0.35, 0.45, gap));
    }
    return open;
}

vec3 asphalt(vec2 p, float grain) {
    float tone = mix(0.055, 0.115, fract(street_seed * 7.7));
    float blotch = noise(p * 0.021 + street_seed).r;
    float patches = step(0.68, noise(floor(p * vec2(0.11, 0.29)) * 0.371 + street_seed).b);
    float crack = noise(p * 0.06 + street_seed * 3.0).g;
    float line = smoothstep(0.018, 0.0, abs(crack - 0.5)) * step(0.52, blotch);
    vec3 base = vec3(1.0, 0.985, 0.96) * tone * (0.62 + 0.55 * blotch + 0.45 * (grain - 0.5));
    return base * (1.0 - 0.16 * patches) * (1.0 - 0.4 * line);
}

// Lane lines, edge lines and stop lines; paint wears off where tyres roll.
float markings(int material, vec2 p, vec2 width, float grain) {
    float drivable = half_width - parking_width;
    float paint = 0.0;
    if (material == ROAD || material == STOP_LINE) {
        float dash = mod(p.x, 12.0);
        float dashed = clamp((4.5 - abs(dash - 4.5)) / max(width.x, 0.01) + 0.5, 0.0, 1.0) * 0.999;
        float centre_solid = step(0.6, fract(street_seed * 5.3));
        paint = band(p.y, 0.07, width.y) * mix(dashed, 1.0, centre_solid);
        for (int lane = 1; lane < 3; ++lane)
            if (float(lane) < lane_count) paint = max(paint, band(abs(p.y) - float(lane) * lane_width, 0.06, width.y) * dashed);
        if (parking_width > 0.0 || fract(street_seed * 11.1) > 0.4)
            paint = max(paint, band(abs(p.y) - drivable + (parking_width > 0.0 ? 0.0 : 0.25), 0.06, width.y));
    }
    if (material == STOP_LINE) paint = max(paint, step(abs(p.y), drivable - 0.2) * step(0.15, abs(p.y)) * 0.95);
    if (material == ZEBRA) {
        float stripe = abs(fract(p.y / 1.1 + 0.25) - 0.5) * 1.1;
        paint = band(stripe, 0.275, width.y) * step(abs(p.y), half_width - 0.3);
    }
    float wear = smoothstep(0.18, 0.42, noise(p * vec2(0.13, 0.31)).g + 0.16);
    return paint * wear * (0.72 + 0.28 * grain);
}

vec3 paving(vec2 p, vec2 width, out float joint) {
    float slab = 0.4 + 0.5 * floor(fract(street_seed * 3.7) * 3.0) * 0.5;
    vec2 cell = p / slab;
    vec2 edge = abs(fract(cell) - 0.5) * slab;
    joint = max(band(edge.x - slab * 0.5, 0.012, width.x), band(edge.y - slab * 0.5, 0.012, width.y));
    float tint = hash(floor(cell) + street_seed);
    float fade = clamp(1.0 - width.x / slab, 0.0, 1.0);
    vec3 stone = mix(vec3(0.26, 0.25, 0.235), vec3(0.30, 0.235, 0.20), step(0.6, fract(street_seed * 13.0)));
    return stone * (1.0 + 0.22 * (tint - 0.5) * fade) * (0.75 + 0.45 * noise(p * 0.09).r);
}

Surface surface() {
    int material = int(material_and_seed.x + 0.5);
    vec2 p = uv;
    vec2 width = fwidth(p);
    float grain = noise(p * 0.83).b;
    vec3 n = normalize(normal);
    Surface s = Surface(vec3(0.2), n, 0.0, 60.0, vec3(0.0), 0.0);
    if (material <= STOP_LINE) {
        float paint = markings(material, p, width, grain);
        vec3 yellow = vec3(0.52, 0.36, 0.05);
        bool is_centre = abs(p.y) < 0.3 && fract(street_seed * 17.0) > 0.65 && material != ZEBRA;
        float lane = abs(fract((abs(p.y)) / lane_width) - 0.5);
        float tracks = smoothstep(0.09, 0.0, abs(lane - 0.24));
        vec3 base = asphalt(p, grain) * (1.0 - 0.10 * tracks + 0.06 * smoothstep(0.1, 0.0, lane));
        s.albedo = mix(base, is_centre ? yellow : vec3(0.60, 0.60, 0.57), paint);
        float water = noise(p * 0.035 + street_seed * 2.0).r * 0.75 + tracks * 0.2 + 0.12 * noise(p * 0.21).g;
        s.puddle = wetness * smoothstep(0.15, 0.75, water + wetness * 0.25) * (1.0 - 0.35 * paint);
        s.normal = normalize(n + vec3((noise(p * 0.37).rg - 0.5) * 0.05, 0.0));
    } else if (material == PAVEMENT) {
        float joint;
        s.albedo = paving(p, width, joint) * (1.0 - 0.4 * joint) * (0.9 + 0.2 * grain);
        s.puddle = wetness * 0.35 * smoothstep(0.35, 0.65, noise(p * 0.05).r + 0.1);
    } else if (material == KERB) {
        float gap = band(fract(p.x) - 0.5, 0.485, width.x);
        s.albedo = vec3(0.30, 0.295, 0.285) * (0.7 + 0.4 * grain) * mix(0.6, 1.0, gap);
        s.puddle = wetness * 0.2;
    } else {
        float tuft = noise(p * 0.31).r, fine = noise(p * 1.3).g, broad = noise(p * 0.012 + street_seed).r;
        vec3 green = mix(vec3(0.055, 0.095, 0.022), vec3(0.115, 0.13, 0.04), broad);
        s.albedo = mix(green, vec3(0.16, 0.125, 0.08), smoothstep(0.62, 0.9, broad * 0.6 + tuft * 0.4)) * (0.45 + 0.7 * tuft + 0.35 * fine);
        s.normal = normalize(n + vec3(noise(p * 0.6).rg - 0.5, 0.0) * 0.6);
    }
    s.albedo *= mix(1.0, 0.55, wetness * (material == GRASS ? 0.4 : 1.0));
    open_sky = footprint_shade();
    s.albedo *= mix(1.0, open_sky, 0.5);
    return s;
}
