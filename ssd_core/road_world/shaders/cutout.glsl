// Leaves and railings.
Surface surface() {
    int material = int(material_and_seed.x + 0.5);
    vec3 n = normalize(normal);
    Surface s = Surface(colour, n, 0.0, 30.0, vec3(0.0), 0.0);
    if (material == LEAVES) {
        vec4 t = noise(uv * 0.16 + vec2(material_and_seed.y * 7.31, material_and_seed.y * 3.17));
        s.albedo = colour * (0.45 + 1.0 * t.a) * (0.85 + 0.3 * t.r);
        // Leaves let some light through: soften the dark side.
        s.normal = normalize(n + vec3(0.0, 0.0, 0.35) + (t.rgb - 0.5) * 0.8);
    } else if (dot(n, relative) > 0.0) s.normal = -n;
    s.albedo *= mix(1.0, 0.8, wetness);
    return s;
}
