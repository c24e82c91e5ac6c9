# SPDX-License-Identifier: Apache-2.0
"""Cars, vans, lorries, buses and cyclists, each a mesh from a random generator: origin on the ground under the middle, x forward."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world.bodies import DARK, GLASS, PAINTS, Unit, Vehicle
from ssd_core.road_world.cars import make_car
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, MeshBuilder, pick

__all__ = ["PAINTS", "Unit", "Vehicle", "make_bus", "make_car", "make_cyclist", "make_lorry", "make_van", "make_vehicle"]


_DARK = DARK
_GLASS = GLASS
_RIM = (0.35, 0.35, 0.37)
_PLATE = (0.6, 0.6, 0.55)
_HEADLIGHT_COLOUR = (1.0, 0.93, 0.8)


def make_vehicle(rng: np.random.Generator, large: float = 0.25) -> Vehicle:
    """A random vehicle; `large` is the share of vans, lorries and buses."""
    if rng.random() >= large:
        return make_car(rng)
    return (make_van, make_van, make_lorry, make_bus)[rng.integers(4)](rng)


def make_van(rng: np.random.Generator) -> Vehicle:
    """A delivery van or people carrier."""
    length, half, roof = rng.uniform(4.8, 6.2), rng.uniform(0.95, 1.03), rng.uniform(1.9, 2.5)
    paint, seed, glazed = pick(rng, [*PAINTS[:2], *PAINTS[:2], *PAINTS]), float(rng.random()), rng.random() < 0.3
    builder, end, belt = MeshBuilder(), length / 2, 1.08
    bonnet = end - 0.75
    stations = [
        (end, half * 0.86, belt - 0.25),
        (end - 0.12, half * 0.96, belt - 0.1),
        (bonnet, half, belt),
        (-end + 0.05, half, belt),
        (-end, half, belt),
    ]
    builder.loft([_body_ring(x, width, 0.3, top) for x, width, top in stations], Material.PAINT, paint, seed, smooth=True)
    screen = bonnet - 0.75
    outline = [(bonnet - 0.02, 0.94, 0.93, belt + 0.05), (screen, 0.97, 0.9, roof - 0.05)]
    outline += [(screen - 0.6, 0.98, 0.92, roof), (-end + 0.02, 0.98, 0.92, roof)]
    rings = [_cabin_ring(x, half * low, half * high, belt - 0.01, z) for x, low, high, z in outline]
    builder.loft(rings, Material.PAINT, paint, seed)
    _screen(builder, rings[0], rings[1], 0.06)
    windows = [(bonnet - 0.5, screen - 0.55)] + ([(screen - 0.75, -0.6), (-0.75, -end + 0.4)] if glazed else [])
    for side in (-1, 1):
        for front, back in windows:
            low, high = belt + 0.1, roof - 0.35
            top_front = min(front, bonnet - (bonnet - screen) * (high - belt) / (roof - belt) - 0.12)
            y_low, y_high = side * half * 0.985, side * half * 0.945
            corners = [(front, y_low, low), (back, y_low, low), (back, y_high, high), (top_front, y_high, high)]
            builder.quads([corners], Material.GLASS, _GLASS, seed)
        builder.box((-end - 0.01, side * half * 0.88, 0.95), (0.05, 0.14, 0.42), Material.TAILLIGHT, (0.45, 0.01, 0.01), seed)
    builder.box((-end + 0.0, 0.0, belt + 0.12), (0.05, half * 1.6, (roof - belt) * 0.55), Material.GLASS, _GLASS, seed)
    _wheels(builder, (end - 0.95, -end + 0.95), half, 0.36)
    _front_and_rear(builder, end, half, belt - 0.12, belt, seed, tail=False)
    builder.footprint(end, half)
    return Vehicle(builder.build(), length)


def make_lorry(rng: np.random.Generator) -> Vehicle:
    """A lorry with a box, a tanker or a tarpaulin trailer."""
    length, half, roof = rng.uniform(7.5, 13.0), 1.25, rng.uniform(3.1, 3.8)
    paint, seed, builder, end = pick(rng, PAINTS), float(rng.random()), MeshBuilder(), length / 2
    load = pick(rng, [(0.65, 0.65, 0.63), (0.65, 0.65, 0.63), (0.04, 0.09, 0.28), (0.35, 0.05, 0.04), (0.08, 0.2, 0.1), (0.6, 0.4, 0.05)])
    cab_back = end - 2.0
    builder.box((end - 1.0, 0, 0.45), (2.0, half * 1.92, 2.35), Material.PAINT, paint, seed, taper=(0.88, 0.96), shift=(-0.1, 0))
    builder.box((end - 0.06, 0, 1.65), (0.12, half * 1.75, 0.85), Material.GLASS, _GLASS, seed, taper=(0.5, 0.95), shift=(-0.1, 0))
    for side in (-1, 1):
        builder.box((end - 0.8, side * half * 0.945, 1.65), (0.9, 0.05, 0.75), Material.GLASS, _GLASS, seed, shift=(-0.08, -side * 0.02))
        builder.box((end - 0.1, side * (half + 0.08), 1.8), (0.1, 0.2, 0.4), Material.MATT, _DARK, seed)
        builder.box((end, side * half * 0.75, 0.75), (0.08, 0.35, 0.18), Material.HEADLIGHT, (0.8, 0.8, 0.75), seed)
        builder.box((-end, side * half * 0.82, 0.85), (0.06, 0.4, 0.14), Material.TAILLIGHT, (0.45, 0.01, 0.01), seed)
        builder.box((cab_back / 2 - end / 2, side * half * 0.9, 0.55), (length * 0.4, 0.05, 0.35), Material.MATT, (0.1, 0.1, 0.1), seed)
    builder.box((end - 0.02, 0, 0.45), (0.1, half * 1.8, 0.3), Material.MATT, _DARK, seed)
    builder.box((-0.9, 0, 0.75), (length - 1.8, 1.6, 0.3), Material.MATT, _DARK, seed)
    middle, body = (cab_back - 0.25 - end) / 2, cab_back - 0.25 + end
    if rng.random() < 0.2:
        builder.tube(
            (middle - body / 2, 0, 2.05),
            (middle + body / 2, 0, 2.05),
            1.08,
            Material.METAL,
            (0.6, 0.6, 0.62),
            sides=16,
            seed=seed,
            caps=True,
        )
    else:
        builder.box((middle, 0, 1.05), (body, half * 2, roof - 1.05), Material.PANEL, load, seed)
    builder.box((-end + 0.02, 0, 0.5), (0.08, 2.2, 0.14), Material.SIGN, (0.6, 0.05, 0.04), seed)
    _wheels(builder, (end - 1.1, -end + 1.2, -end + 2.4), half, 0.5)
    _beams(builder, end, 0.85)
    builder.footprint(end, half)
    return Vehicle(builder.build(), length)


def make_bus(rng: np.random.Generator) -> Vehicle:
    """A city bus."""
    length, half, roof = rng.uniform(10.5, 12.2), 1.25, 3.05
    paint = pick(rng, [(0.55, 0.05, 0.04), (0.05, 0.2, 0.4), (0.65, 0.6, 0.5), (0.1, 0.3, 0.15), (0.7, 0.5, 0.05)])
    seed, builder, end = float(rng.random()), MeshBuilder(), length / 2
    builder.box((0, 0, 0.35), (length, half * 2, roof - 0.35), Material.PAINT, paint, seed, taper=(0.99, 0.95))
    builder.box((0, 0, roof), (length * 0.6, 1.6, 0.25), Material.MATT, (0.5, 0.5, 0.5), seed, taper=(0.9, 0.8))
    builder.box((end, 0, 1.15), (0.06, half * 1.85, 1.35), Material.GLASS, _GLASS, seed)
    builder.box((end, 0, 2.55), (0.08, half * 1.3, 0.28), Material.LAMP, (0.9, 0.5, 0.1), seed)
    builder.box((-end, 0, 1.6), (0.06, half * 1.6, 0.9), Material.GLASS, _GLASS, seed)
    for side in (-1, 1):
        for window in np.arange(-end + 0.9, end - 0.8, 1.45):
            builder.box(
                (window + 0.5, side * half * 0.975, 1.35), (1.32, 0.06, 1.05), Material.GLASS, _GLASS, seed, shift=(0, -side * 0.025)
            )
        builder.box((end, side * half * 0.78, 0.7), (0.08, 0.35, 0.2), Material.HEADLIGHT, (0.8, 0.8, 0.75), seed)
        builder.box((-end, side * half * 0.85, 1.0), (0.06, 0.2, 0.4), Material.TAILLIGHT, (0.45, 0.01, 0.01), seed)
    _wheels(builder, (end - 2.6, -end + 3.2), half, 0.5)
    _beams(builder, end, 0.8)
    builder.footprint(end, half)
    return Vehicle(builder.build(), length)


def make_cyclist(rng: np.random.Generator) -> Vehicle:
    """Somebody on a bicycle."""
    builder, seed = MeshBuilder(), float(rng.random())
    frame, coat = pick(rng, PAINTS), rng.uniform(0.03, 0.5, 3)
    skin = np.array([0.5, 0.32, 0.24]) * rng.choice([0.25, 0.6, 1.0])
    for x in (-0.52, 0.52):
        builder.tube((x, -0.02, 0.34), (x, 0.02, 0.34), 0.34, Material.RUBBER, _DARK, sides=14, caps=True)
    for start, end in (((-0.52, 0, 0.34), (-0.1, 0, 0.32)), ((-0.1, 0, 0.32), (0.4, 0, 0.8)), ((-0.2, 0, 0.85), (0.4, 0, 0.85)),
                       ((-0.1, 0, 0.32), (-0.2, 0, 0.92)), ((0.52, 0, 0.34), (0.4, 0, 1.0))):  # fmt: skip
        builder.tube(start, end, 0.022, Material.PAINT, frame, sides=5)
    builder.tube((0.36, -0.28, 1.02), (0.36, 0.28, 1.02), 0.018, Material.MATT, _DARK, sides=5)
    for side, knee in ((-0.1, 0.22), (0.1, 0.02)):
        builder.tube((-0.18, side, 0.95), (knee, side, 0.7 + knee * 0.4), 0.085, Material.MATT, coat * 0.35, end_radius=0.065, sides=7)
        builder.tube(
            (knee, side, 0.7 + knee * 0.4), (-0.05 + knee * 0.4, side, 0.26 + knee * 0.5), 0.06, Material.MATT, coat * 0.35, sides=7
        )
        builder.tube((0.08, side * 2, 1.4), (0.34, side * 2.3, 1.05), 0.05, Material.MATT, coat, sides=6)
    builder.tube((-0.18, 0, 0.92), (0.08, 0, 1.42), 0.17, Material.MATT, coat, end_radius=0.19, sides=9, caps=True)
    builder.ellipsoid((0.17, 0, 1.62), (0.11, 0.095, 0.13), Material.MATT, skin, rows=5, columns=8)
    builder.ellipsoid((0.14, 0, 1.69), (0.14, 0.11, 0.09), Material.MATT, rng.uniform(0.05, 0.7, 3), rows=4, columns=8)
    builder.box((-0.62, 0, 0.66), (0.05, 0.08, 0.06), Material.TAILLIGHT, (0.5, 0.01, 0.01), seed)
    builder.footprint(0.8, 0.25)
    return Vehicle(builder.build(), 1.8, 0.35)


def _body_ring(x: float, half: float, bottom: float, top: float) -> Array:
    """Cross-section of a car's lower body: tucked in below, rounded at the shoulder."""
    right = [(half * 0.9, bottom), (half, bottom + 0.16), (half, top - 0.2), (half * 0.97, top - 0.07), (half * 0.86, top)]
    outline = [(-y, z) for y, z in right] + [(y, z) for y, z in reversed(right)]
    return np.array([(x, y, z) for y, z in outline])


def _cabin_ring(x: float, half_low: float, half_high: float, low: float, high: float) -> Array:
    return np.array([(x, -half_low, low), (x, -half_high, high - 0.05), (x, -half_high * 0.9, high),
                     (x, half_high * 0.9, high), (x, half_high, high - 0.05), (x, half_low, low)])  # fmt: skip


def _screen(builder: MeshBuilder, low_ring: Array, high_ring: Array, lift: float) -> None:
    """The windscreen or rear window just above the skin between two rings."""
    outward = np.array([np.sign(low_ring[0, 0] - high_ring[0, 0]) * lift * 0.5, 0, lift * 0.5])
    start, end = 0.1, 0.93
    left_low, left_high = low_ring[2], high_ring[2]
    right_low, right_high = low_ring[3], high_ring[3]
    corners = [left_low + (left_high - left_low) * start, right_low + (right_high - right_low) * start,
               right_low + (right_high - right_low) * end, left_low + (left_high - left_low) * end]  # fmt: skip
    builder.quads([np.array(corners) * (1, 0.95, 1) + outward], Material.GLASS, _GLASS)


def _wheels(builder: MeshBuilder, axles: tuple[float, ...], half: float, radius: float) -> None:
    for x in axles:
        for side in (-1, 1):
            out = (0.0, float(side), 0.0)
            builder.disc((x, side * (half + 0.004), radius + 0.05), out, radius + 0.06, Material.MATT, (0.006, 0.006, 0.006))
            builder.tube((x, side * (half - 0.2), radius), (x, side * (half + 0.02), radius), radius, Material.RUBBER, _DARK, sides=14)
            builder.disc((x, side * (half + 0.02), radius), out, radius, Material.RUBBER, _DARK, sides=14)
            builder.disc((x, side * (half + 0.025), radius), out, radius * 0.64, Material.METAL, _RIM, sides=10)
            builder.disc((x, side * (half + 0.03), radius), out, radius * 0.2, Material.RUBBER, _DARK, sides=6)


def _front_and_rear(builder: MeshBuilder, end: float, half: float, nose: float, belt: float, seed: float, tail: bool = True) -> None:
    """Lights, grille, bumper and number plates."""
    for side in (-1, 1):
        builder.box(
            (end - 0.07, side * half * 0.72, nose - 0.21),
            (0.16, 0.36, 0.14),
            Material.HEADLIGHT,
            (0.75, 0.76, 0.78),
            seed,
            taper=(0.6, 1.0),
            shift=(-0.02, 0),
        )
        if tail:
            builder.box((-end + 0.04, side * half * 0.76, belt - 0.28), (0.12, 0.32, 0.15), Material.TAILLIGHT, (0.4, 0.008, 0.008), seed)
    builder.box((end - 0.01, 0, nose - 0.26), (0.05, half * 0.85, 0.12), Material.MATT, _DARK, seed)
    builder.box((end - 0.02, 0, 0.24), (0.1, half * 1.5, 0.16), Material.MATT, _DARK, seed)
    builder.box((-end + 0.02, 0, 0.24), (0.1, half * 1.5, 0.18), Material.MATT, _DARK, seed)
    builder.box((end + 0.015, 0, 0.44), (0.03, 0.5, 0.11), Material.SIGN, _PLATE, seed)
    builder.box((-end - 0.015, 0, 0.6), (0.03, 0.5, 0.11), Material.SIGN, _PLATE, seed)
    _beams(builder, end, nose - 0.15)


def _beams(builder: MeshBuilder, end: float, height: float) -> None:
    builder.light((end + 0.1, 0, height), (1, 0, -0.05), _HEADLIGHT_COLOUR, downwards=False)
