// Vehicles, people and street furniture.
Surface surface() {
    int material = int(material_and_seed.x + 0.5);
    float seed = material_and_seed.y;
    vec3 n = normalize(normal);
    if (dot(n, relative) > 0.0) n = -n;
    float grain = noise(uv * 0.5 + seed).r;
    Surface s = Surface(colour, n, 0.0, 60.0, vec3(0.0), 0.0);
    if (material == PAINT) {
        float dirt = smoothstep(0.75, 0.25, local.z) * (0.35 + 0.5 * noise(local.xz * 0.3 + seed).r);
        s.albedo = mix(colour, vec3(0.12, 0.11, 0.10), dirt * 0.45);
        s.mirror = 0.05 * (1.0 - dirt);
        s.sharpness = 220.0;
    } else if (material == GLASS) {
        s.mirror = 0.12;
        s.sharpness = 500.0;
    } else if (material == METAL) {
        s.albedo *= 0.85 + 0.3 * grain;
        s.mirror = 0.08;
        s.sharpness = 40.0;
    } else if (material == BARK) {
        s.albedo *= 0.45 + 1.1 * noise(vec2(atan(local.y, local.x) * 0.4, local.z * 0.12) + seed).g;
    } else if (material == PANEL) {
        float width = fwidth(uv.x);
        float rib = abs(fract(uv.x * 2.2) - 0.5);
        s.albedo *= (0.8 + 0.3 * noise(uv * 0.08 + seed).r) * (1.0 - 0.25 * smoothstep(0.3, 0.5, rib) * clamp(1.2 - width * 2.2, 0.0, 1.0));
        if (fract(seed * 5.0) > 0.5) s.albedo = mix(s.albedo, vec3(0.5) - 0.6 * (colour - 0.4), band(uv.y - 1.3, 0.22, fwidth(uv.y)) * step(0.5, fract(seed * 9.0)));
    } else if (material == SIGN) {
        s.albedo *= 0.92 + 0.16 * grain;
#ifdef NIGHT
        // Retroreflective: what the headlights send comes straight back.
        s.emission = colour * ego_headlights(n) * 2.5;
#endif
    } else if (material == HEADLIGHT) {
        s.mirror = 0.15;
        s.emission = vec3(1.0, 0.95, 0.85) * glow.x;
    } else if (material == TAILLIGHT) {
        s.mirror = 0.1;
        s.emission = vec3(1.0, 0.03, 0.015) * glow.y;
    } else if (material == LAMP) s.emission = colour * glow.z;
    else if (material == SIGNAL) s.emission = colour * glow.w;
    else if (material == MATT) s.albedo *= 0.8 + 0.4 * grain;
    if (material == MATT || material == BARK) s.albedo *= mix(1.0, 0.7, wetness);
    return s;
}
