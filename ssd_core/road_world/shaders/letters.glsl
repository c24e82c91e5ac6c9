// Letters for number plates, signs and shop fronts: 36 glyphs of 5 x 6 dots, smoothed. p is in letter cells: x from the first
// letter's left edge, y 0 at the foot and 1 at the top of the letters; `across` is the change of p.y over one pixel.
const int GLYPHS[36] = int[36](
    0x1d1cce2e, 0x0862108e, 0x1f06083f, 0x1f07420f, 0x10c527e8, 0x3e17c20f, 0x1c17c62e, 0x3f041084, 0x1d17462e,
    0x1d18fa0e, 0x08a8fe31, 0x1f17c62f, 0x3c10843e, 0x1f18c62f, 0x3e17843f, 0x3e178421, 0x3c1cc63e, 0x231fc631,
    0x1c42108e, 0x38842126, 0x22939531, 0x0210843f, 0x23bad631, 0x233ae631, 0x1d18c62e, 0x1f18bc21, 0x1d18d536,
    0x1f18bd31, 0x3c17420f, 0x3e421084, 0x2318c62e, 0x2318a944, 0x231ad771, 0x22a21151, 0x22a21084, 0x3e82105f

);
const int VOWELS[5] = int[5](10, 14, 18, 24, 30);

float glyph_dot(int bits, ivec2 at) {
    bool inside = all(greaterThanEqual(at, ivec2(0))) && at.x < 5 && at.y < 6;
    return inside && ((bits >> (at.y * 5 + at.x)) & 1) == 1 ? 1.0 : 0.0;
}

// Ink of one glyph (0 to 9 digits, 10 to 35 letters; anything else is blank) at p within its cell, 0 to 1.
float glyph(int code, vec2 p, float across) {
    if (code < 0 || code > 35 || p.y < -0.1 || p.y > 1.1) return 0.0;
    vec2 dots = p * 6.0 - vec2(1.0, 0.5);
    ivec2 at = ivec2(floor(dots));
    vec2 f = dots - vec2(at);
    int bits = GLYPHS[code];
    float low = mix(glyph_dot(bits, at), glyph_dot(bits, at + ivec2(1, 0)), f.x);
    float high = mix(glyph_dot(bits, at + ivec2(0, 1)), glyph_dot(bits, at + ivec2(1, 1)), f.x);
    // Too small to read, letters become an even gray.
    return clamp((mix(low, high, f.y) - 0.45) / max(across * 6.0, 0.25) + 0.5, 0.0, 1.0) * min(1.0, 1.6 / max(across * 6.0, 1.0));
}

// Ink of a made-up word of `count` letters over p.x from 0 to count; the seed chooses the word.
float word(float seed, float count, vec2 p, float across) {
    float place = floor(p.x);
    if (place < 0.0 || place >= count) return 0.0;
    float luck = hash(vec2(seed * 917.3, place + 3.0));
    bool vowel = mod(place + floor(seed * 53.0), 2.0) < 1.0;
    int code = vowel ? VOWELS[int(luck * 4.999)] : 10 + int(luck * 25.999);
    return glyph(code, p - vec2(place, 0.0), across);
}

// Ink of a number plate such as "AB 12 CDE" over p.x from 0 to 8.
float plate(float seed, vec2 p, float across) {
    float place = floor(p.x);
    if (place < 0.0 || place > 7.0 || place == 2.0) return 0.0;
    float luck = hash(vec2(seed * 613.7, place + 11.0));
    int code = place == 3.0 || place == 4.0 || (place == 7.0 && seed > 0.5) ? int(luck * 9.999) : 10 + int(luck * 25.999);
    return glyph(code, p - vec2(place, 0.0), across);
}
