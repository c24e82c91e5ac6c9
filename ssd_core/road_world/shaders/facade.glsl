// Walls with windows, shops, glass fronts, doors, lettered boards, road signs and roofs. uv are metres from the wall's lower left
// corner (window columns every 2.8 m of u, storeys every 3 m of v), on boards and signs -1 to 1 or what their makers say.
const vec2 CELL = vec2(2.8, 3.0);

// What lies `depth` metres behind the wall at p, along the line of sight.
vec2 behind(vec2 p, vec3 n, float depth) {
    vec3 view = normalize(relative);
    vec2 along = vec2(dot(view, vec3(-n.y, n.x, 0.0)), view.z);
    return p + clamp(along / max(-dot(view, n), 0.08), -8.0, 8.0) * depth;
}

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
    // Streaks below whatever sticks out, and splashes above the ground.
    wall *= 1.0 - 0.22 * smoothstep(0.5, 0.85, noise(vec2(p.x * 0.31 + seed, p.y * 0.012)).g);
    return wall * mix(0.66, 1.0, smoothstep(0.0, 1.2, p.y + 0.4 * stain));
}

vec3 room_light(float luck) {
    float kind = fract(luck * 7.7);
    return kind < 0.55 ? vec3(1.0, 0.64, 0.32) : kind < 0.8 ? vec3(1.0, 0.82, 0.58) : kind < 0.95 ? vec3(0.85, 0.92, 1.0) : vec3(0.35, 0.5, 1.0);
}

// What is seen through a window pane: the reflected street, dark rooms, or a lit room with curtains or blinds.
void pane(inout Surface s, vec2 inside, float luck, float lit_share, vec3 lamp) {
    float curtain = smoothstep(0.30, 0.22, min(inside.x, 1.0 - inside.x)) * step(0.4, luck);
    curtain = max(curtain, step(0.82, luck) * step(fract(luck * 13.0), inside.y));
    s.albedo = mix(vec3(0.016, 0.019, 0.022), vec3(0.24, 0.23, 0.21), 0.55 * curtain);
    s.mirror = 0.10 + 0.14 * fract(luck * 5.3);
    s.sharpness = 400.0;
    s.normal = normalize(s.normal + 0.035 * (vec3(fract(luck * 3.1), fract(luck * 9.7), fract(luck * 23.3)) - 0.5));
    if (fract(luck * 61.7) < lit_share) {
        float room = 0.45 + 0.55 * fract(luck * 43.3) + 0.25 * inside.y;
        s.emission = lamp * room * mix(0.55, 1.0, curtain) * (0.35 + 0.65 * fract(luck * 17.3));
    }
}

void wall_with_windows(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    vec2 cell = p / CELL;
    vec2 id = floor(cell), f = fract(cell);
    float kind = fract(seed * 41.0), soft = max(max(width.x, width.y), 1e-3);
    float wide = 0.19 + 0.10 * fract(seed * 37.0), sill = 0.28 + 0.05 * fract(seed * 53.0), top = 0.84 + 0.05 * fract(seed * 71.0);
    if (seed > 0.92) wide = 0.02;
    if (seed < 0.8 && kind < 0.2) sill = 0.06; // windows down to the floor
    vec2 low = vec2(wide, sill), high = vec2(1.0 - wide, top);
    vec2 middle = abs(f - (low + high) * 0.5), reach = (high - low) * 0.5;
    vec2 metres = (reach - middle) * CELL;
    float edge = min(metres.x, metres.y);
    if (seed < 0.8 && kind > 0.86 && f.y > high.y - 0.22) // round arches
        edge = min(edge, reach.x * CELL.x - length(vec2(middle.x * CELL.x, max(f.y - high.y, -0.22) * CELL.y + 0.22 * CELL.y) * vec2(1.0, 1.1)));
    float window = clamp(edge / soft + 0.5, 0.0, 1.0);
    s.albedo = masonry(tint, seed, p, width);
    vec3 trim = seed < 0.35 ? vec3(0.42, 0.40, 0.36) : mix(tint, vec3(0.62), 0.6);
    if (fract(seed * 83.0) > 0.45) s.albedo = mix(s.albedo, trim, band(edge + 0.07, 0.07, soft) * step(0.0, f.y - 0.02));
    s.albedo = mix(s.albedo, trim, band((f.y - low.y) * CELL.y + 0.07, 0.07, width.y) * step(wide - 0.05, f.x) * step(f.x, 1.05 - wide) * 0.9);
    // Below a sill lies its shadow; some fronts have a ledge at every floor.
    s.albedo *= 1.0 - 0.35 * band((f.y - low.y) * CELL.y + 0.2, 0.06, width.y) * step(wide - 0.05, f.x) * step(f.x, 1.05 - wide);
    if (fract(seed * 67.0) > 0.6 && id.y > 0.0) {
        s.albedo = mix(s.albedo, trim, band(f.y * CELL.y - 0.1, 0.1, width.y) * 0.8);
        s.albedo *= 1.0 - 0.3 * band(f.y * CELL.y - CELL.y + 0.06, 0.06, width.y);
    }
    if (seed < 0.8 && kind > 0.2 && kind < 0.4) { // shutters beside the windows
        float shutter = band((middle.x - reach.x) * CELL.x - 0.3, 0.24, width.x) * step(metres.y, 9.0) * step(0.0, metres.y);
        vec3 wood = mix(vec3(0.05, 0.12, 0.08), vec3(0.16, 0.07, 0.04), step(0.5, fract(seed * 97.0)));
        s.albedo = mix(s.albedo, wood * (0.7 + 0.6 * step(0.5, fract(p.y * 9.0))), shutter);
    }
    float pipe = p.x - 0.22;
    if (abs(pipe) < 0.3 && fract(seed * 59.0) > 0.35) {
        float round_pipe = band(pipe, 0.055, width.x);
        s.albedo = mix(s.albedo * (1.0 - 0.4 * band(pipe - 0.09, 0.05, width.x)), vec3(0.16) * (0.6 - 7.0 * pipe), round_pipe);
    }
    if (window <= 0.0) return;
    vec3 wall = s.albedo;
    vec2 deep = behind(p, s.normal, 0.17);
    vec2 inside = (deep / CELL - id - low) / (high - low);
    vec2 hidden = abs(inside - 0.5) - 0.5;
    vec2 size = (high - low) * CELL;
    float reveal = clamp(max(hidden.x * size.x, hidden.y * size.y) / soft + 0.5, 0.0, 1.0);
    float luck = hash(id + floor(seed * 991.0));
    pane(s, clamp(inside, 0.0, 1.0), luck, lit_windows, room_light(luck) * 0.9);
    float bar_x = abs(inside.x - 0.5) * size.x, bar_y = abs(inside.y - (fract(seed * 19.0) > 0.5 ? 0.68 : 0.5)) * size.y;
    float bars = max(band(bar_x, 0.035, width.x), fract(seed * 19.0) > 0.2 ? band(bar_y, 0.03, width.y) : 0.0);
    float frame = max(1.0 - clamp((-max(hidden.x * size.x, hidden.y * size.y) - 0.06) / soft + 0.5, 0.0, 1.0), bars);
    vec3 frame_colour = fract(seed * 29.0) > 0.35 ? vec3(0.52, 0.51, 0.49) : vec3(0.06, 0.055, 0.05);
    s.albedo = mix(s.albedo, frame_colour, frame);
    // The reveal's upper side lies in its own shade, and the glass below it too.
    s.albedo = mix(s.albedo, wall * (inside.y > 1.0 ? 0.35 : inside.y < 0.0 ? 0.95 : 0.6), reveal);
    s.albedo *= mix(0.6, 1.0, smoothstep(0.0, 0.3, (1.0 - inside.y) * size.y));
    float glass = (1.0 - frame) * (1.0 - reveal);
    s.emission *= glass;
    s.mirror *= glass;
    s.albedo = mix(wall, s.albedo, window);
    s.emission *= window;
    s.mirror *= window;
}

// Shelves of muted things a metre behind the pane, darker towards the depth of the shop, under a bright ceiling.
void shop(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    float f = fract(p.x / CELL.x), soft = max(max(width.x, width.y), 1e-3);
    float bay = floor(p.x / CELL.x);
    bool is_door = hash(vec2(bay, floor(seed * 331.0))) < 0.3;
    float sill = is_door ? 0.05 : 0.45;
    float metres = min(min(f, 1.0 - f) * CELL.x - (is_door ? 0.75 : 0.14), min(p.y - sill, 2.75 - p.y));
    float window = clamp(metres / soft + 0.5, 0.0, 1.0);
    s.albedo = masonry(tint, 0.5, p, width);
    // Panelled wood or stone below and between the panes.
    s.albedo *= 1.0 - 0.3 * band(min(abs(f - 0.5), 0.5 - abs(f - 0.5)) * CELL.x - 0.04, 0.02, width.x);
    if (window <= 0.0) return;
    vec3 wall = s.albedo;
    float luck = hash(vec2(floor(seed * 991.0), floor(p.x / (CELL.x * 2.0))));
    vec2 q = behind(p, s.normal, 0.9);
    pane(s, vec2(0.5), 0.2, 0.0, vec3(0.0));
    vec2 inside = vec2(f, (q.y - 0.45) / 2.3);
    vec2 shelf = q * vec2(1.9 + fract(seed * 23.0), 2.6);
    float thing = hash(floor(shelf) + floor(seed * 313.0));
    vec3 tinted = mix(vec3(0.55, 0.42, 0.30), vec3(hash(vec2(thing, 1.0)), hash(vec2(thing, 2.0)), hash(vec2(thing, 3.0))), 0.35);
    float shape = smoothstep(0.0, 0.12, fract(shelf.y)) * smoothstep(0.5, 0.38, abs(fract(shelf.x) - 0.5)) * step(fract(shelf.y), 0.45 + 0.5 * thing);
    vec3 goods = tinted * (0.35 + 0.65 * noise(q * 0.21 + seed).g) * (0.25 + 0.75 * shape) * smoothstep(1.05, 0.3, inside.y);
    s.albedo = mix(s.albedo, goods * 0.35, 0.8);
    float open = step(0.3, luck) * step(0.001, lit_windows);
    vec3 lamp = mix(vec3(1.0, 0.74, 0.45), vec3(0.92, 0.95, 1.0), step(0.65, luck));
    s.emission = open * lamp * (goods * 0.55 + 0.05 + 0.22 * smoothstep(0.82, 0.97, inside.y)) * (0.35 + lit_windows);
    // Letters stuck on some panes.
    if (!is_door && fract(luck * 31.0) > 0.5) {
        float ink = word(luck, 6.0, vec2((f - 0.5) * CELL.x / 0.24 + 3.0, (p.y - 1.9) / 0.28), width.y / 0.28);
        s.albedo = mix(s.albedo, vec3(0.6), ink);
    }
    float frame = 1.0 - clamp((metres - 0.05) / soft + 0.5, 0.0, 1.0);
    if (is_door) frame = max(frame, band(p.y - 2.1, 0.05, width.y));
    s.albedo = mix(s.albedo, vec3(0.05), frame);
    s.emission *= 1.0 - frame;
    s.albedo = mix(wall, s.albedo, window);
    s.emission *= window;
    s.mirror *= window * (1.0 - frame);
}

// Panes between thin posts, with darker bands before the floors; every pane hangs a little differently and mirrors another bit of sky.
void curtain_wall(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    vec2 size = vec2(mix(1.1, 2.4, fract(seed * 13.0)), 3.6), cell = p / size, id = floor(cell), f = fract(cell);
    float post = max(band((abs(f.x - 0.5) - 0.5) * size.x, 0.04, width.x), band((abs(f.y - 0.5) - 0.5) * size.y, 0.05, width.y));
    float spandrel = clamp((0.9 - f.y * size.y) / max(width.y, 1e-3) + 0.5, 0.0, 1.0);
    float luck = hash(id + floor(seed * 557.0));
    float blind = step(0.72, luck) * step(fract(luck * 37.0), f.y) * (1.0 - spandrel);
    s.albedo = mix(tint * 0.10, vec3(0.30, 0.30, 0.28), 0.6 * blind);
    s.albedo = mix(s.albedo, tint * 0.28, spandrel);
    s.mirror = mix(0.42, 0.22, spandrel) * (1.0 - 0.5 * blind);
    s.sharpness = 600.0;
    vec3 bend = vec3(fract(luck * 3.1), fract(luck * 9.7), fract(luck * 23.3)) - 0.5;
    float near = clamp(1.3 - max(width.x / size.x, width.y / size.y) * 2.0, 0.0, 1.0);
    s.normal = normalize(s.normal + (0.06 * bend + 0.05 * (noise(p * 0.03 + luck).rgb - 0.5)) * near);
    float floor_lit = hash(vec2(id.y, floor(seed * 77.0)));
    if (fract(luck * 61.7) < lit_windows * (floor_lit > 0.6 ? 1.2 : 0.4))
        s.emission = mix(vec3(1.0, 0.86, 0.62), vec3(0.9, 0.95, 1.0), step(0.5, floor_lit)) * (0.1 + 0.22 * f.y) * (0.5 + 0.5 * fract(luck * 43.0)) * (1.0 - spandrel);
    vec3 metal = fract(seed * 7.0) > 0.5 ? vec3(0.35, 0.36, 0.37) : vec3(0.07);
    s.albedo = mix(s.albedo, metal, post);
    s.mirror *= 1.0 - post;
    s.emission *= 1.0 - post;
}

// Wooden boards, or metal sheets with ribs.
void cladding(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    bool is_wood = seed < 0.5;
    float across = is_wood ? p.y * 6.0 : p.x * 3.2, fade = clamp(1.3 - (is_wood ? width.y * 6.0 : width.x * 3.2), 0.0, 1.0);
    float board = floor(across), f = fract(across);
    float grain = noise(is_wood ? vec2(p.x * 0.02 + hash(vec2(board, 1.0)), p.y * 0.8) : p * 0.06 + seed).g;
    s.albedo = tint * (0.7 + 0.45 * grain) * (1.0 + ((is_wood ? 0.3 : 0.05) * (hash(vec2(board, seed)) - 0.5) - 0.45 * smoothstep(0.86, 1.0, f)) * fade);
    s.albedo *= mix(0.7, 1.0, smoothstep(0.0, 0.9, p.y));
    s.mirror = is_wood ? 0.0 : 0.04;
    if (!is_wood) s.normal = normalize(s.normal + vec3(-s.normal.y, s.normal.x, 0.0) * (smoothstep(0.6, 0.75, f) - smoothstep(0.85, 1.0, f)) * 0.35 * fade);
}

// A door with panels (seed below .5) or a garage door with slats; uv 0 to 1.
void door(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    float frame = step(0.5, max(abs(p.x - 0.5), (p.y - 0.5)) + 0.055);
    vec2 cell = abs(fract(p * (seed < 0.5 ? vec2(2.0, 3.0) : vec2(1.0, 7.0))) - 0.5);
    float groove = max(smoothstep(0.36, 0.40, cell.x), smoothstep(0.36, 0.40, cell.y)) - max(smoothstep(0.42, 0.46, cell.x), smoothstep(0.42, 0.46, cell.y));
    s.albedo = tint * (1.0 - 0.45 * groove) * (0.85 + 0.3 * noise(p * 0.1 + seed).r);
    s.albedo = mix(s.albedo, vec3(0.45, 0.44, 0.42), frame);
    s.mirror = 0.02;
    if (seed < 0.25 && p.y > 0.68 && frame == 0.0) {
        s.albedo = vec3(0.03);
        s.mirror = 0.15;
        s.emission = step(fract(seed * 47.0), lit_windows) * vec3(1.0, 0.7, 0.4) * 0.5;
    }
    s.mirror += 0.2 * (1.0 - step(0.02, length((p - vec2(0.86, 0.45)) * vec2(0.5, 1.0))));
}

// A board with a word of floor(seed) letters; uv in board heights, x from the middle, y from the foot.
void signboard(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    float count = floor(seed), luck = fract(seed);
    float brightness = dot(tint, vec3(0.3, 0.5, 0.2));
    vec3 ink_colour = brightness > 0.25 ? vec3(0.03 + 0.2 * fract(luck * 7.0), 0.03, 0.04) : mix(vec3(0.75), vec3(0.75, 0.55, 0.12), step(0.6, fract(luck * 3.0)));
    float ink = word(luck, count, vec2(p.x / 0.52 + count * 0.5, (p.y - 0.22) / 0.56), width.y / 0.56);
    s.albedo = mix(tint * (0.85 + 0.2 * noise(p * 0.07 + luck).r), ink_colour, ink);
    float is_lit = step(0.35, fract(luck * 17.0)) * smoothstep(0.0, 0.2, lit_windows);
    s.emission = is_lit * mix(tint * 0.35, mix(ink_colour, vec3(1.0), 0.2) * 1.1, ink);
    s.mirror = 0.03;
}

float arrow(vec2 p, float across) {
    float head = band(p.x, 0.42 * clamp((0.75 - p.y) / 0.55, 0.0, 1.0), across) * step(0.2, p.y) * step(p.y, 0.75);
    return max(head, band(p.x, 0.13, across) * step(-0.75, p.y) * step(p.y, 0.3));
}

// uv -1 to 1 over the plate; floor(seed) says which sign, as in furniture.py.
void traffic_sign(inout Surface s, vec3 tint, float seed, vec2 p, vec2 width) {
    int kind = int(seed);
    float luck = fract(seed), w = max(width.x, width.y), r = length(p);
    const vec3 WHITE = vec3(0.72), RED = vec3(0.52, 0.02, 0.02), BLUE = vec3(0.015, 0.07, 0.36), INK = vec3(0.02);
    vec3 c = WHITE;
    if (kind == 0) { // a speed limit, or a forbidden vehicle
        float ring = clamp((r - 0.70) / w + 0.5, 0.0, 1.0);
        float ink = luck < 0.75 ? glyph(1 + int(luck * 10.6), (p - vec2(-0.52, -0.38)) / vec2(0.52, 0.76), width.y / 0.76) + glyph(luck < 0.4 ? 0 : 5, (p - vec2(0.0, -0.38)) / vec2(0.52, 0.76), width.y / 0.76)
                                : max(band(p.x, 0.4, w) * band(p.y, 0.22, w), band(p.x + p.y, 0.1, w));
        c = mix(mix(WHITE, INK, min(ink, 1.0)), RED, ring);
    } else if (kind == 1) c = mix(RED, WHITE, band(p.y, 0.17, w) * band(p.x, 0.7, w)); // no entry
    else if (kind == 2) { // warning: triangle, tip up
        float edge = min(p.y + 0.5, 0.5 * (1.0 - p.y) - 0.87 * abs(p.x));
        c = mix(mix(WHITE, INK, max(band(p.x, 0.09 + 0.05 * luck, w) * step(-0.12, p.y) * step(p.y, 0.4), band(length(p - vec2(0.0, -0.3)), 0.1, w))), RED, 1.0 - clamp((edge - 0.16) / w + 0.5, 0.0, 1.0));
    } else if (kind == 3) { // stop
        float ink = 0.0;
        for (int i = 0; i < 4; ++i) ink += glyph(int[4](28, 29, 24, 25)[i], (p - vec2(-0.76 + 0.38 * float(i), -0.26)) / vec2(0.38, 0.52), width.y / 0.52);
        c = mix(RED, WHITE, max(min(ink, 1.0), clamp((max(max(abs(p.x), abs(p.y)), (abs(p.x) + abs(p.y)) * 0.7071) - 0.84) / w, 0.0, 1.0)));
    } else if (kind == 4) { // give way: triangle, tip down
        float edge = min(0.5 - p.y, 0.5 * (1.0 + p.y) - 0.87 * abs(p.x));
        c = mix(WHITE, RED, 1.0 - clamp((edge - 0.16) / w + 0.5, 0.0, 1.0));
    } else if (kind == 5) c = mix(BLUE, WHITE, arrow(luck < 0.5 ? p * 1.2 : vec2(p.y, luck < 0.75 ? p.x : -p.x) * 1.2, w * 1.2)); // go this way
    else if (kind == 6) c = mix(WHITE, vec3(0.65, 0.42, 0.02), step(abs(p.x) + abs(p.y), 0.72)); // priority road
    else if (kind == 7) c = mix(BLUE, WHITE, glyph(luck < 0.6 ? 25 : luck < 0.8 ? 17 : 18, (p - vec2(-0.45, -0.55)) / vec2(1.05, 1.1), width.y / 1.1)); // parking and the like
    else if (kind == 8) { // a yellow diamond
        float ink = luck < 0.5 ? arrow(p * 1.7, w * 1.7) : max(band(length(p - vec2(0.0, 0.28)), 0.12, w), band(p.x, 0.16, w) * band(p.y + 0.15, 0.28, w));
        c = mix(luck < 0.75 ? vec3(0.62, 0.42, 0.02) : vec3(0.6, 0.22, 0.01), INK, max(ink, band(abs(p.x) + abs(p.y) - 0.88, 0.035, w)));
    } else if (kind == 9) { // directions: rows of words and arrows
        float row = floor(p.y * 1.5 + 1.5), y = (fract(p.y * 1.5 + 1.5) - 0.25) / 0.5;
        float ink = word(fract(luck * 7.3 + row * 0.31), 5.0 + mod(row, 3.0), vec2((p.x + 0.9) / 0.19, y), width.y * 3.0);
        ink = max(ink, arrow((p - vec2(0.78, (row - 1.0) / 1.5)) * vec2(7.0, 4.2), w * 5.0));
        c = mix(tint, WHITE, max(ink, clamp((max(abs(p.x), abs(p.y)) - 0.94) / w + 0.5, 0.0, 1.0)));
    } else if (kind == 10) { // a street's name
        float count = 5.0 + floor(luck * 5.0);
        c = mix(tint, dot(tint, vec3(0.4)) > 0.4 ? INK : WHITE, word(luck, count, vec2((p.x / 1.7 + 0.5) * count, (p.y + 0.55) / 1.1), width.y / 1.1));
    } else if (kind == 11) { // small print
        float row = floor((p.y + 1.0) * 3.0), ink = word(fract(luck + row * 0.37), 7.0, vec2((p.x + 0.85) / 0.24, (fract((p.y + 1.0) * 3.0) - 0.2) / 0.6), width.y * 5.0);
        c = mix(tint, dot(tint, vec3(0.4)) > 0.3 ? INK : WHITE, ink);
    } else if (kind == 12) c = mix(luck < 0.6 ? RED : INK, luck < 0.6 ? WHITE : vec3(0.62, 0.42, 0.02), clamp((fract(p.x * 1.5 + abs(p.y) * 0.6 * sign(luck - 0.3)) - 0.5) / (w * 2.0) + 0.5, 0.0, 1.0)); // chevrons
    else { // a poster
        vec2 q = p * 0.09 + luck * 7.0;
        vec3 first = 0.45 * vec3(fract(luck * 3.0), fract(luck * 5.0), fract(luck * 11.0)), second = 0.55 * vec3(fract(luck * 13.0), fract(luck * 17.0), fract(luck * 23.0));
        c = mix(first, second, smoothstep(0.42, 0.58, noise(q).r + 0.25 * p.y));
        c = mix(c, vec3(0.7, 0.62, 0.5), band(length(p - vec2(0.2 * luck, 0.1)), 0.3 + 0.2 * luck, w));
        c = mix(c, mix(WHITE, INK, step(0.5, fract(luck * 29.0))), word(luck, 6.0, vec2(p.x / 0.28 + 3.0, (p.y + 0.85) / 0.32), width.y / 0.32));
        s.emission = c * 0.5 * step(0.5, fract(luck * 37.0)) * smoothstep(0.0, 0.2, lit_windows);
    }
    s.albedo = c * (0.9 + 0.2 * noise(p * 0.06 + luck).r);
#ifdef NIGHT
    // Retroreflective: what the headlights send comes straight back.
    if (kind < 13) s.emission = c * ego_headlights(s.normal) * 2.5;
#endif
}

Surface surface() {
    int material = MATERIAL;
    float seed = material_and_seed.y;
    vec2 p = uv, width = fwidth(uv);
    vec3 n = normalize(normal);
    bool is_back = dot(n, relative) > 0.0;
    if (is_back) n = -n;
    Surface s = Surface(colour, n, 0.0, 60.0, vec3(0.0), 0.0);
    // The lower, the more stands opposite.
    if (material <= BLANK_WALL || material == CURTAIN_WALL || material == CLADDING) open_sky = mix(0.5, 1.0, smoothstep(-0.5, 7.0, p.y));
    if (material == WALL) wall_with_windows(s, colour, seed, p, width);
    else if (material == SHOP) shop(s, colour, seed, p, width);
    else if (material == BLANK_WALL) s.albedo = masonry(colour, seed > 0.8 ? 0.5 : seed, p, width);
    else if (material == CURTAIN_WALL) curtain_wall(s, colour, seed, p, width);
    else if (material == CLADDING) cladding(s, colour, seed, p, width);
    else if (material == DOOR) door(s, colour, seed, p, width);
    else if (material == SIGNBOARD) signboard(s, colour, seed, p, width);
    else if (material == TRAFFIC_SIGN) {
        if (is_back) s.albedo = vec3(0.22, 0.22, 0.23);
        else traffic_sign(s, colour, seed, p, width);
    } else if (material == TILES) {
        vec2 tile = p * vec2(3.3, 3.0);
        tile.x += 0.5 * mod(floor(tile.y), 2.0);
        float fade = clamp(1.4 - width.y * 3.0, 0.0, 1.0);
        float row = fract(tile.y);
        s.albedo = colour * (1.0 + fade * (0.45 * (row - 0.5) + 0.35 * (hash(floor(tile)) - 0.5))) * (0.7 + 0.5 * noise(p * 0.05 + seed).r);
        // Moss and soot.
        s.albedo = mix(s.albedo, vec3(0.05, 0.06, 0.03), 0.4 * smoothstep(0.55, 0.8, noise(p * 0.023 + seed * 3.0).g));
        s.mirror = 0.04 * wetness;
    } else s.albedo = colour * (0.7 + 0.5 * noise(p * 0.07).r);
    s.albedo *= mix(1.0, 0.72, wetness);
    return s;
}
