// Roads and their markings, kerbs, pavements and land; uv are road coordinates s, t.
// The colour of a road strip holds t of its right and left edge and the number of markings.code_of; of others, a style.
uniform float half_width;
uniform float street_seed;
uniform int footprint_count;
uniform vec4 footprint_pose[MAX_FOOTPRINTS]; // x, y relative to the camera, direction of the long side
uniform vec2 footprint_size[MAX_FOOTPRINTS];

const int LINE_SOLID = 1, LINE_DASHED = 2, LINE_SHORT_DASHES = 3, LINE_DOUBLE = 4, LINE_INSET = 5, LINE_DOUBLE_INSET = 6, LINE_ZIGZAG = 7;
const int LINE_YELLOW = 8;
const int SURFACE_ASPHALT = 0, SURFACE_CONCRETE = 1, SURFACE_COBBLES = 2, SURFACE_BUS_LANE = 3, SURFACE_CYCLE_LANE = 4, SURFACE_HATCHED = 5,
          SURFACE_GRAVEL = 6, SURFACE_FRESH_ASPHALT = 7;
const int SYMBOL_AHEAD = 1, SYMBOL_RIGHT = 2, SYMBOL_LEFT = 3, SYMBOL_AHEAD_OR_RIGHT = 4, SYMBOL_WORD = 5, SYMBOL_BICYCLE = 6, SYMBOL_BAYS_ACROSS = 7,
          SYMBOL_BAYS_ALONG = 8, SYMBOL_BOX = 9;
const float SYMBOL_LENGTH = 6.0;

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

float of_seed(float salt) {
    return fract(street_seed * salt);
}

// Cracks and tar seams, patches of later asphalt, covers of manholes, oil and the tracks of tyres.
vec3 asphalt(vec2 p, float grain, float blotch, vec2 lane, vec2 width, bool is_fresh, bool has_drains) {
    float tone = is_fresh ? mix(0.04, 0.065, of_seed(7.7)) : mix(0.08, 0.21, of_seed(7.7));
    float worn = is_fresh ? 0.15 : mix(0.35, 1.0, of_seed(23.0));
    vec3 base = mix(vec3(1.0, 0.98, 0.95), vec3(0.96, 0.98, 1.0), of_seed(31.0)) * tone * (0.66 + 0.5 * blotch + 0.40 * (grain - 0.5));
    vec2 cell = floor(p * vec2(0.11, 0.29));
    vec2 inside = fract(p * vec2(0.11, 0.29));
    float patched = step(1.0 - 0.22 * worn, hash(cell + floor(street_seed * 97.0)));
    vec2 rim = min(inside, 1.0 - inside) / vec2(0.11, 0.29) - vec2(0.35, 0.2) * hash(cell);
    float in_patch = patched * step(0.0, min(rim.x, rim.y));
    base *= 1.0 - 0.3 * in_patch;
    base *= 1.0 - 0.35 * in_patch * band(min(rim.x, rim.y), 0.04, width.y);
    float crack = noise(p * 0.06 + street_seed * 3.0).g;
    base *= 1.0 - 0.45 * worn * smoothstep(0.016, 0.0, abs(crack - 0.5)) * step(0.5, blotch);
    // A seam where one lane was laid beside the other, and tar poured along it.
    vec2 wandering = noise(vec2(p.x * 0.008, lane.x * 0.37 + street_seed)).rg;
    float wander = (wandering.g - 0.5) * 0.5;
    base *= 1.0 - 0.55 * worn * band(p.y - lane.x - 0.15 - wander, 0.03, width.y) * step(0.45, wandering.r);
    float across_seam = abs(fract(p.x / 37.0 + of_seed(3.3) + 0.004 * sin(p.y * 2.1)) - 0.5) * 37.0;
    base *= 1.0 - 0.5 * worn * band(across_seam, 0.035, width.x);
    float middle = (lane.x + lane.y) * 0.5, spread = abs(abs(p.y - middle) - 0.78);
    vec2 driven = noise(vec2(p.x * 0.007, floor(middle) * 0.61 + street_seed)).rg;
    base *= 1.0 + (is_fresh ? 0.10 : -0.07) * smoothstep(0.45, 0.0, spread);
    base *= 1.0 - 0.16 * smoothstep(0.45, 0.0, abs(p.y - middle)) * driven.g;
    float skid = driven.r;
    base *= 1.0 - 0.2 * worn * smoothstep(0.74, 0.82, skid) * smoothstep(0.09, 0.05, abs(spread - 0.04 * skid));
    float place = floor(p.x / 19.0);
    vec2 cover = vec2(p.x - (place + 0.2 + 0.6 * hash(vec2(place, floor(middle)))) * 19.0, p.y - middle - 1.2 * (hash(vec2(floor(middle), place)) - 0.5));
    float from_cover = length(cover);
    if (has_drains && from_cover < 0.45 && hash(vec2(place * 1.7, floor(middle) + 9.0)) < 0.3 * worn) {
        float ring = smoothstep(0.03, 0.0, abs(from_cover - 0.36));
        base = mix(base, vec3(0.045, 0.042, 0.04) * (0.7 + 0.6 * step(0.5, fract(dot(cover, vec2(9.0, 9.0))))), smoothstep(0.40, 0.37, from_cover));
        base *= 1.0 - 0.6 * ring;
    }
    return base;
}

vec3 concrete(vec2 p, float grain, float blotch, vec2 lane, vec2 width) {
    float slab = hash(vec2(floor(p.x / 5.5), floor(lane.x)));
    vec3 base = mix(vec3(0.27, 0.26, 0.24), vec3(0.20, 0.195, 0.185), of_seed(7.7)) * (0.8 + 0.2 * blotch + 0.14 * (slab - 0.5) + 0.2 * (grain - 0.5));
    float joint = max(band(abs(fract(p.x / 5.5) - 0.5) * 5.5 - 2.75, 0.02, width.x), band(p.y - lane.x, 0.02, width.y));
    float middle = (lane.x + lane.y) * 0.5;
    base *= 1.0 - 0.22 * smoothstep(0.5, 0.05, abs(abs(p.y - middle) - 0.78)) - 0.15 * smoothstep(0.5, 0.0, abs(p.y - middle));
    return base * (1.0 - 0.55 * joint);
}

vec3 cobbles(vec2 p, float grain, float blotch, vec2 width) {
    vec2 stone = p * vec2(7.5, 9.0);
    stone.x += 0.5 * mod(floor(stone.y), 2.0);
    vec2 f = abs(fract(stone) - 0.5);
    float fade = clamp(1.4 - width.x * 7.5, 0.0, 1.0);
    float gap = max(smoothstep(0.36, 0.46, f.x), smoothstep(0.36, 0.46, f.y)) * fade;
    vec3 tint = mix(vec3(0.17, 0.165, 0.155), vec3(0.20, 0.17, 0.14), of_seed(41.0));
    return tint * (0.75 + 0.4 * blotch + 0.5 * fade * (hash(floor(stone)) - 0.5)) * (1.0 - 0.6 * gap) * (0.9 + 0.2 * grain);
}

// Paint along an edge; `inwards` are metres from it into the strip. Half of a line on the edge is the neighbour's to draw.
float line(int style, float inwards, float s, vec2 width) {
    float bold = mix(0.05, 0.075, of_seed(19.0));
    if (style == LINE_SOLID) return band(inwards, bold, width.y);
    if (style == LINE_DASHED) {
        float kind = floor(of_seed(5.3) * 4.0);
        vec2 dash = kind < 1.0 ? vec2(3.0, 12.0) : kind < 2.0 ? vec2(4.5, 12.0) : kind < 3.0 ? vec2(2.0, 6.0) : vec2(6.0, 18.0);
        return band(inwards, bold, width.y) * clamp((dash.x * 0.5 - abs(mod(s, dash.y) - dash.x * 0.5)) / max(width.x, 0.01) + 0.5, 0.0, 1.0);
    }
    if (style == LINE_SHORT_DASHES) return band(inwards, bold * 1.3, width.y) * clamp((0.5 - abs(mod(s, 2.0) - 0.5)) / max(width.x, 0.01) + 0.5, 0.0, 1.0);
    if (style == LINE_DOUBLE) return band(inwards - 0.12, 0.055, width.y);
    if (style == LINE_INSET) return band(inwards - 0.28, bold, width.y);
    if (style == LINE_DOUBLE_INSET) return max(band(inwards - 0.22, 0.045, width.y), band(inwards - 0.42, 0.045, width.y));
    if (style == LINE_ZIGZAG) return band(inwards - 0.2 - 0.35 * abs(fract(s * 0.25) * 2.0 - 1.0), 0.05, max(width.y, width.x * 0.2));
    return 0.0;
}

// Letters of three by five cells, from the top left one on.
const int PAINTED_LETTERS[12] = int[](31183, 18727, 31599, 23549, 31183, 29842, 31599, 31716, 27566, 23407, 31183, 0);

float word(vec2 q, vec2 width) {
    float column = q.y / 0.62 + 2.0;
    int letter = int(floor(column));
    if (letter < 0 || letter > 3 || q.x < 1.2 || q.x > 4.7) return 0.0;
    ivec2 cell = ivec2(int(fract(column) * 3.7), 4 - int((q.x - 1.2) / 0.7));
    if (cell.x > 2) return 0.0;
    int glyph = PAINTED_LETTERS[letter + 4 * int(of_seed(43.0) * 3.0)];
    return float((glyph >> (14 - cell.y * 3 - cell.x)) & 1) * clamp(1.2 - width.y * 2.0, 0.0, 1.0);
}

float arrow(vec2 q, float along) {
    float shaft = step(abs(q.y), 0.08) * step(0.3, q.x) * step(q.x, 3.4 * along);
    float head = step(3.4 * along, q.x) * step(abs(q.y), 0.42 * (5.2 * along - q.x) / 1.8);
    return max(shaft, head);
}

// q: metres along the way of travel from the symbol's foot, and to the right of the lane's middle.
float symbol(int kind, vec2 q, vec2 width) {
    if (kind == SYMBOL_WORD) return word(q, width);
    if (kind == SYMBOL_BICYCLE) return max(band(length(vec2(q.x - 2.0, q.y * 2.0 - 0.8)) - 0.6, 0.12, width.y), band(length(vec2(q.x - 2.0, q.y * 2.0 + 0.8)) - 0.6, 0.12, width.y));
    if (kind == SYMBOL_BOX) return max(band(fract((q.x + q.y) * 0.5) - 0.5, 0.04, width.y * 0.7), band(fract((q.x - q.y) * 0.5) - 0.5, 0.04, width.y * 0.7));
    float straight = kind == SYMBOL_AHEAD || kind == SYMBOL_AHEAD_OR_RIGHT ? arrow(q, 1.0) : step(abs(q.y), 0.08) * step(0.3, q.x) * step(q.x, 2.9);
    if (kind == SYMBOL_AHEAD) return straight;
    float way = kind == SYMBOL_LEFT ? -1.0 : 1.0;
    vec2 bent = vec2(q.y * way * 2.4, (q.x - 2.6) / 3.0);
    float turn = max(step(abs(bent.y), 0.09) * step(0.0, bent.x) * step(bent.x, 1.0), step(1.0, bent.x) * step(abs(bent.y), 0.35 * (2.0 - bent.x)));
    return max(straight, turn);
}

// x: paint, y: how yellow it is.
vec2 markings(int material, vec2 p, vec2 width, float grain, float worn, vec2 lane, ivec4 code, float foot) {
    vec2 paint = vec2(0.0);
    if (material == ROAD || material == STOP_LINE) {
        for (int edge = 0; edge < 2; ++edge) {
            int style = edge == 0 ? code.x : code.y;
            float stripe = line(style & 7, edge == 0 ? p.y - lane.x : lane.y - p.y, p.x, width);
            if (stripe > paint.x) paint = vec2(stripe, style >= LINE_YELLOW ? 1.0 : 0.0);
        }
        if (code.z == SURFACE_HATCHED) paint.x = max(paint.x, band(fract((p.x + p.y * sign(lane.x + 0.01)) * 0.4) - 0.5, 0.12, width.x * 0.4));
        if (code.w == SYMBOL_BAYS_ACROSS) paint.x = max(paint.x, band(abs(fract(p.x / 2.5) - 0.5) * 2.5 - 1.25, 0.05, width.x));
        else if (code.w == SYMBOL_BAYS_ALONG) paint.x = max(paint.x, band(abs(fract(p.x / 5.8) - 0.5) * 5.8 - 2.9, 0.05, width.x) * step(0.4, of_seed(47.0)));
        else if (code.w > 0) {
            float middle = (lane.x + lane.y) * 0.5;
            vec2 q = middle < 0.0 ? vec2(p.x - foot, middle - p.y) : vec2(foot + SYMBOL_LENGTH - p.x, p.y - middle);
            paint.x = max(paint.x, symbol(code.w, q, width));
        }
    }
    if (material == STOP_LINE) paint.x = max(paint.x, step(lane.x + 0.15, p.y) * step(p.y, lane.y - 0.15) * 0.95);
    if (material == ZEBRA) {
        float stripe = abs(fract(p.y / 1.1 + 0.25) - 0.5) * 1.1;
        paint.x = of_seed(53.0) < 0.75 ? band(stripe, 0.275, width.y) * step(abs(p.y), half_width - 0.3) : 0.0;
    }
    float wear = smoothstep(0.18, 0.42, worn + mix(0.05, 0.3, of_seed(59.0)));
    return vec2(paint.x * wear * (0.72 + 0.28 * grain), paint.y);
}

vec3 paving(int style, vec2 p, float grain, vec2 width, out float joint) {
    joint = 0.0;
    float worn = 0.75 + 0.45 * noise(p * 0.09).r;
    if (style == 2) return vec3(0.16, 0.155, 0.15) * worn * (0.85 + 0.3 * grain);
    if (style == 1) {
        vec2 brick = p * vec2(4.8, 9.6);
        brick.x += 0.5 * mod(floor(brick.y), 2.0);
        vec2 f = abs(fract(brick) - 0.5);
        float fade = clamp(1.4 - width.y * 8.0, 0.0, 1.0);
        joint = max(smoothstep(0.44, 0.48, f.x), smoothstep(0.40, 0.46, f.y)) * fade;
        return mix(vec3(0.25, 0.16, 0.12), vec3(0.27, 0.26, 0.24), step(0.5, of_seed(13.0))) * worn * (1.0 + 0.3 * fade * (hash(floor(brick)) - 0.5));
    }
    float slab = style == 3 ? 1.6 : 0.4 + 0.2 * floor(of_seed(3.7) * 3.0);
    vec2 cell = p / slab;
    vec2 edge = abs(fract(cell) - 0.5) * slab;
    joint = max(band(edge.x - slab * 0.5, 0.012, width.x), band(edge.y - slab * 0.5, 0.012, width.y));
    float fade = clamp(1.0 - width.x / slab, 0.0, 1.0);
    vec3 stone = style == 3 ? vec3(0.36, 0.35, 0.33) : mix(vec3(0.26, 0.25, 0.235), vec3(0.30, 0.235, 0.20), step(0.6, of_seed(13.0)));
    return stone * (1.0 + 0.22 * (hash(floor(cell) + street_seed) - 0.5) * fade) * worn;
}

// Lawn, rough verge, field, soil, gravel, dry grass.
vec3 land(int style, vec2 p, vec4 grains, vec2 width) {
    float tuft = noise(p * 0.31).r, fine = grains.g, broad = noise(p * 0.012 + street_seed).r, clump = noise(p * 0.09).g;
    vec3 green = mix(vec3(0.055, 0.095, 0.022), vec3(0.115, 0.14, 0.04), broad), straw = vec3(0.24, 0.19, 0.10), earth = vec3(0.16, 0.125, 0.08);
    float texture_of = 0.45 + 0.7 * tuft + 0.35 * fine;
    if (style == 0) {
        float mown = 1.0 + 0.1 * step(0.5, fract(p.y * 0.45)) * of_seed(61.0);
        return mix(green, earth, smoothstep(0.66, 0.9, broad * 0.6 + tuft * 0.4)) * texture_of * mown;
    }
    if (style == 1) return mix(mix(green * 0.9, straw * 0.75, smoothstep(0.4, 0.75, clump)), earth, smoothstep(0.6, 0.85, broad * 0.5 + tuft * 0.5)) * texture_of;
    if (style == 2) {
        float row = smoothstep(0.2, 0.45, abs(fract(p.x * 0.08 + p.y * 1.4) - 0.5)) * clamp(1.3 - width.y * 2.0, 0.0, 1.0);
        vec3 crop = of_seed(67.0) < 0.4 ? vec3(0.26, 0.21, 0.09) : of_seed(67.0) < 0.75 ? green * 1.1 : earth;
        return mix(crop, crop * 0.55, row * 0.7) * (0.6 + 0.5 * broad + 0.3 * tuft);
    }
    if (style == 3) return mix(earth, vec3(0.22, 0.19, 0.15), clump) * (0.6 + 0.5 * tuft + 0.3 * fine);
    if (style == 4) return vec3(0.23, 0.22, 0.20) * (0.55 + 0.5 * grains.b + 0.4 * clump);
    return mix(straw, green * 1.2, smoothstep(0.55, 0.8, clump)) * texture_of;
}

vec3 carriageway(vec2 p, float grain, float blotch, vec2 lane, int kind, vec2 width, bool has_drains) {
    if (kind == SURFACE_CONCRETE) return concrete(p, grain, blotch, lane, width);
    if (kind == SURFACE_COBBLES) return cobbles(p, grain, blotch, width);
    if (kind == SURFACE_GRAVEL) return vec3(0.23, 0.22, 0.20) * (0.55 + 0.5 * grain + 0.4 * blotch);
    vec3 base = asphalt(p, grain, blotch, lane, width, kind == SURFACE_FRESH_ASPHALT, has_drains);
    if (kind == SURFACE_BUS_LANE) return base * (of_seed(71.0) < 0.5 ? vec3(2.6, 0.9, 0.7) : vec3(1.0, 1.0, 0.95));
    if (kind == SURFACE_CYCLE_LANE) return base * (of_seed(71.0) < 0.5 ? vec3(2.2, 0.8, 0.65) : vec3(0.8, 1.7, 0.9));
    return base;
}

Surface surface() {
    int material = MATERIAL;
    vec2 p = uv;
    vec2 width = fwidth(p);
    // Software rasterisers fetch for all branches of all surfaces: few fetches serve many uses.
    vec4 grains = noise(p * 0.83);
    float grain = grains.b;
    vec3 n = normalize(normal);
    Surface s = Surface(vec3(0.2), n, 0.0, 60.0, vec3(0.0), 0.0);
    if (material <= STOP_LINE) {
        vec2 lane = colour.xy;
        int number = int(colour.z + 0.5);
        ivec4 code = ivec4(number & 15, (number >> 4) & 15, (number >> 8) & 7, (number >> 11) & 15);
        bool has_drains = number >= 32768;
        float blotch = noise(p * 0.021 + street_seed).r;
        vec2 worn = noise(p * vec2(0.13, 0.31)).rg;
        vec2 paint = markings(material, p, width, grain, worn.g, lane, code, material_and_seed.y);
        float tracks = smoothstep(0.34, 0.0, abs(abs(p.y - (lane.x + lane.y) * 0.5) - 0.78));
        vec3 base = carriageway(p, grain, blotch, lane, code.z, width, has_drains);
        float from_kerb = half_width - abs(p.y);
        // Dirt gathers at the kerb, and gullies take the water there.
        base = mix(base, vec3(0.10, 0.09, 0.075), 0.45 * smoothstep(0.5, 0.0, from_kerb) * worn.r);
        vec2 gully = vec2(mod(p.x, 24.0) - 12.0, from_kerb - 0.28);
        if (has_drains && material == ROAD && abs(gully.x) < 0.26 && abs(gully.y) < 0.22) base = vec3(0.035) * (0.6 + step(0.5, fract(gully.x * 14.0)));
        s.albedo = mix(base, mix(vec3(0.60, 0.60, 0.57), vec3(0.56, 0.37, 0.05), paint.y), paint.x);
        float water = noise(p * 0.035 + street_seed * 2.0).r * 0.75 + tracks * 0.2 + 0.12 * noise(p * 0.21).g;
        s.puddle = wetness * smoothstep(0.15, 0.75, water + wetness * 0.25) * (1.0 - 0.35 * paint.x);
        s.normal = normalize(n + vec3((grains.rg - 0.5) * 0.05, 0.0));
#ifdef SNOW
        swept = 0.35 + 0.65 * tracks;
#endif
    } else if (material == PAVEMENT) {
        float joint;
        s.albedo = paving(int(colour.x + 0.5), p, grain, width, joint) * (1.0 - 0.4 * joint) * (0.9 + 0.2 * grain);
        s.puddle = wetness * 0.35 * smoothstep(0.35, 0.65, noise(p * 0.05).r + 0.1);
    } else if (material == KERB) {
        float gap = band(fract(p.x) - 0.5, 0.485, width.x);
        // Some countries paint their kerbs black and white.
        float painted = step(0.82, of_seed(73.0)) * step(0.5, fract(p.x * 0.5));
        s.albedo = mix(vec3(0.30, 0.295, 0.285), vec3(0.04), painted) * (0.7 + 0.4 * grain) * mix(0.6, 1.0, gap);
        s.puddle = wetness * 0.2;
    } else {
        int style = int(colour.x + 0.5);
        s.albedo = land(style, p, grains, width);
        s.normal = normalize(n + vec3(grains.rg - 0.5, 0.0) * (style == 4 ? 0.3 : 0.6));
        if (style == 4 || style == 3) s.puddle = wetness * 0.3 * smoothstep(0.5, 0.7, noise(p * 0.05).r);
    }
    s.albedo *= mix(1.0, 0.55, wetness * (material == GRASS ? 0.4 : 1.0));
    open_sky = footprint_shade();
    s.albedo *= mix(1.0, open_sky, 0.5);
    return s;
}
