// Walls with windows, shops and roofs; uv are metres from the wall's lower left corner, window columns every 2.8 m.
const vec2 CELL = vec2(2.8, 3.0);

vec3 masonry(vec3 tint, float seed, vec2 p, vec2 width) {
    float stain = noise(p * 0.045 + seed).r, fine = noise(p * 0.6 + seed).g;
    vec3 wall = tint * (0.78 + 0.3 * stain + 0.16 * (fine - 0.5));
    if (seed < 0.35) {
        vec2 brick = p * vec2(4.2, 13.0);
        brick.x += 0.5 * mod(floor(brick.y), 2.0);
        vec2 f = abs(fract(brick) - 0.5);
        float fade = clamp(1.5 - width.y * 13.0, 0.0, 1.0);
        float mortar = max(smoothstep(0.42, 0.47, f.x), smoothstep(0.36, 0.44, f.y)) * fade;
        wall *= 1.0 + (hash(floor(brick)) - 0.5) * 0.5 * fade;
        wall = mix(wall, vec3(0.30, 0.28, 0.25), mortar * 0.75);
    } else if (seed > 0.8) {
        vec2 panel = abs(fract(p / CELL) - 0.5) * CELL;
        wall *= 1.0 - 0.35 * max(band(panel.x - CELL.x * 0.5, 0.02, width.x), band(panel.y - CELL.y * 0.5, 0.02, width.y));
    }
    return wall * mix(0.72, 1.0, smoothstep(0.0, 1.2, p.y + 0.4 * stain));
}

// What is seen through a window pane: the reflected street, dark rooms, or a lit room with curtains.
void pane(inout Surface s, vec2 inside, float luck, float lit_share, vec3 lamp) {
    vec3 view = normalize(relative);
    float curtain = smoothstep(0.30, 0.22, min(inside.x, 1.0 - inside.x)) * step(0.4, luck);
    s.albedo = mix(vec3(0.018, 0.021, 0.024), vec3(0.22, 0.21, 0.19), 0.55 * curtain);
    s.mirror = 0.16;
    s.sharpness = 400.0;
    if (fract(luck * 61.7) < lit_share) {
        float room = 0.45 + 0.55 * noise(inside * 0.05 + luck).r + 0.25 * inside.y;
        s.emission = lamp * room * mix(0.55, 1.0, curtain) * (0.35 + 0.65 * fract(luck * 17.3));
    }
}

void wall_with_windows(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    vec2 cell = p / CELL;
    vec2 id = floor(cell), f = fract(cell);
    float wide = 0.19 + 0.08 * fract(seed * 37.0), sill = 0.28 + 0.05 * fract(seed * 53.0), top = 0.84 + 0.05 * fract(seed * 71.0);
    if (seed > 0.92) wide = 0.03;
    vec2 low = vec2(wide, sill), high = vec2(1.0 - wide, top);
    vec2 inside = (f - low) / (high - low);
    vec2 metres = min(f - low, high - f) * CELL;
    float edge = min(metres.x, metres.y);
    float soft = max(max(width.x, width.y), 1e-3);
    float window = clamp(edge / soft + 0.5, 0.0, 1.0);
    s.albedo = masonry(tint, seed, p, width);
    float ledge = band((f.y - low.y) * CELL.y + 0.07, 0.07, width.y) * step(wide - 0.03, f.x) * step(f.x, 1.03 - wide);
    s.albedo = mix(s.albedo, vec3(0.42, 0.41, 0.39), ledge * 0.8);
    // The reveal above the glass lies in shade.
    if (window <= 0.0) return;
    vec3 wall = s.albedo;
    float bar_x = abs(inside.x - 0.5) * (high.x - low.x) * CELL.x, bar_y = abs(inside.y - (fract(seed * 19.0) > 0.5 ? 0.68 : 2.0)) * (high.y - low.y) * CELL.y;
    float frame = max(1.0 - clamp((edge - 0.07) / soft + 0.5, 0.0, 1.0), max(band(bar_x, 0.035, width.x), band(bar_y, 0.03, width.y)));
    float luck = hash(id + floor(seed * 991.0));
    vec3 lamp = mix(vec3(1.0, 0.66, 0.34), vec3(0.85, 0.9, 1.0), step(0.82, fract(luck * 7.7)));
    pane(s, inside, luck, lit_windows, lamp * 0.9);
    vec3 frame_colour = fract(seed * 29.0) > 0.35 ? vec3(0.50, 0.49, 0.47) : vec3(0.06, 0.055, 0.05);
    s.albedo = mix(s.albedo, frame_colour, frame);
    s.albedo *= mix(0.55, 1.0, smoothstep(0.0, 0.28, (high.y - f.y) * CELL.y));
    s.emission *= 1.0 - frame;
    s.mirror *= 1.0 - frame;
    s.albedo = mix(wall, s.albedo, window);
    s.emission *= window;
    s.mirror *= window;
}

void shop(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    float f = fract(p.x / CELL.x);
    float metres = min(min(f, 1.0 - f) * CELL.x - 0.16, min(p.y - 0.45, 2.75 - p.y));
    float soft = max(max(width.x, width.y), 1e-3);
    float window = clamp(metres / soft + 0.5, 0.0, 1.0);
    s.albedo = masonry(tint, 0.5, p, width);
    if (window <= 0.0) return;
    vec3 wall = s.albedo;
    vec2 inside = vec2(f, (p.y - 0.45) / 2.3);
    float luck = hash(vec2(floor(seed * 991.0), floor(p.x / (CELL.x * 2.0))));
    pane(s, vec2(0.5), 0.2, 0.0, vec3(0.0));
    // Shelves of muted things, darker towards the depth of the shop, under a bright ceiling.
    vec2 shelf = p * vec2(1.9 + fract(seed * 23.0), 2.6);
    float thing = hash(floor(shelf) + floor(seed * 313.0));
    vec3 tinted = mix(vec3(0.55, 0.42, 0.30), vec3(hash(vec2(thing, 1.0)), hash(vec2(thing, 2.0)), hash(vec2(thing, 3.0))), 0.28);
    vec3 goods = tinted * (0.35 + 0.65 * noise(p * 0.21 + seed).g) * smoothstep(0.0, 0.12, fract(shelf.y)) * smoothstep(1.0, 0.15, inside.y);
    s.albedo = mix(s.albedo, goods * 0.35, 0.8);
    float open = step(0.3, luck) * step(0.001, lit_windows);
    vec3 lamp = mix(vec3(1.0, 0.74, 0.45), vec3(0.92, 0.95, 1.0), step(0.65, luck));
    s.emission = open * lamp * (goods * 0.55 + 0.05 + 0.22 * smoothstep(0.82, 0.97, inside.y)) * (0.35 + lit_windows);
    float frame = 1.0 - clamp((metres - 0.05) / soft + 0.5, 0.0, 1.0);
    s.albedo = mix(s.albedo, vec3(0.05), frame);
    s.emission *= 1.0 - frame;
    s.albedo = mix(wall, s.albedo, window);
    s.emission *= window;
    s.mirror *= window;
}

Surface surface() {
    int material = int(material_and_seed.x + 0.5);
    float seed = material_and_seed.y;
    vec2 p = uv, width = fwidth(uv);
    vec3 n = normalize(normal);
    if (dot(n, relative) > 0.0) n = -n;
    Surface s = Surface(colour, n, 0.0, 60.0, vec3(0.0), 0.0);
    if (material == WALL) wall_with_windows(s, colour, seed, p, width);
    else if (material == SHOP) shop(s, colour, seed, p, width);
    else if (material == BLANK_WALL) s.albedo = masonry(colour, seed > 0.8 ? 0.5 : seed, p, width);
    else if (material == TILES) {
        vec2 tile = p * vec2(3.3, 3.0);
        tile.x += 0.5 * mod(floor(tile.y), 2.0);
        float fade = clamp(1.4 - width.y * 3.0, 0.0, 1.0);
        float row = fract(tile.y);
        s.albedo = colour * (1.0 + fade * (0.45 * (row - 0.5) + 0.35 * (hash(floor(tile)) - 0.5))) * (0.7 + 0.5 * noise(p * 0.05 + seed).r);
        s.mirror = 0.04 * wetness;
    } else s.albedo = colour * (0.7 + 0.5 * noise(p * 0.07).r);
    s.albedo *= mix(1.0, 0.72, wetness);
    return s;
}
