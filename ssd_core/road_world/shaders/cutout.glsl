// Leaves, twigs, blades of grass and railings.
Surface surface() {
    int material = MATERIAL;
    float seed = material_and_seed.y;
    vec3 n = normalize(normal);
    Surface s = Surface(colour, n, 0.0, 30.0, vec3(0.0), 0.0);
    if (material == LEAVES) {
        vec4 t = leaf_noise(leaf_place(seed, uv), LEAF_GRAIN);
        // Gaps between clumps show the dark inside, single leaves catch the light.
        float outside = smoothstep(0.25, 0.95, t.a);
        s.albedo = colour * (0.4 + 1.15 * outside) * (0.8 + 0.4 * t.r);
        open_sky = 0.6 + 0.4 * outside;
        // Leaves let some light through: soften the dark side, and point every clump its own way.
        s.normal = normalize(n + vec3(0.0, 0.0, 0.3) + (t.rgb - 0.5) * 1.3);
    } else if (material == BLADES) {
        s.albedo = colour * mix(0.45, 1.15, seed < 1.0 ? uv.y : 1.0 - abs(uv.x));
        s.normal = normalize(n + vec3(0.0, 0.0, 0.35));
    } else if (material != TWIGS && dot(n, relative) > 0.0) s.normal = -n;
    s.albedo *= mix(1.0, 0.8, wetness);
    return s;
}
