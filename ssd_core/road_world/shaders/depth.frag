// Exact depth. With w = Z along the optical axis, gl_FragCoord.w is 1 / Z at the pixel's centre, and 1 / Z is a linear
// function of the pixel over any flat triangle: its slope gives the exact depth anywhere inside the pixel.
in vec2 uv;
in vec3 colour;
flat in vec2 material_and_seed;
out vec4 inverse_depth;

void main() {
#ifdef CUTOUT
    if (is_open(MATERIAL, material_and_seed.y, uv)) discard;
#endif
    float inverse = gl_FragCoord.w;
    inverse_depth = vec4(inverse, dFdx(inverse), dFdy(inverse), dot(colour, vec3(0.3, 0.5, 0.2)));
}
