# SPDX-License-Identifier: Apache-2.0
"""Bicycles and motorcycles with those who ride them."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world import bodies
from ssd_core.road_world.bodies import DARK, PAINTS, RED, Vehicle
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, MeshBuilder, pick
from ssd_core.road_world.people import COATS, TROUSERS, add_coarse_figure, draw_skin
from ssd_core.road_world.semantics import SemanticClass


def make_cyclist(rng: np.random.Generator) -> Vehicle:
    """Somebody on a bicycle."""
    builder, coarse = MeshBuilder(SemanticClass.TWO_WHEELER), MeshBuilder(SemanticClass.TWO_WHEELER)
    frame, coat, trousers, seed = pick(rng, PAINTS), pick(rng, COATS, 0.3), pick(rng, TROUSERS, 0.3), float(rng.random())
    lean = rng.uniform(0.14, 0.34)
    for x in (-0.52, 0.52):
        _thin_wheel(builder, x, 0.34, 0.045, sides=12)
        bodies.add_flat_wheel(coarse, x, 0.0, 0.34, seed)
    for start, end in (((-0.52, 0, 0.34), (-0.1, 0, 0.32)), ((-0.1, 0, 0.32), (0.4, 0, 0.8)), ((-0.2, 0, 0.85), (0.4, 0, 0.85)),
                       ((-0.1, 0, 0.32), (-0.2, 0, 0.92)), ((0.52, 0, 0.34), (0.4, 0, 1.0))):  # fmt: skip
        builder.tube(start, end, 0.022, Material.PAINT, frame, sides=4)
    builder.tube((0.36, -0.28, 1.02), (0.36, 0.28, 1.02), 0.018, Material.MATT, DARK, sides=4)
    if rng.random() < 0.3:
        builder.box((-0.55, 0, 0.72), (0.34, 0.36, 0.3), Material.MATT, pick(rng, COATS), seed)
    builder.box((-0.62, 0, 0.62), (0.05, 0.07, 0.06), Material.TAILLIGHT, RED, seed)
    _rider(
        builder,
        rng,
        (-0.18, 0.94),
        lean,
        (0.36, 1.05),
        coat,
        trousers,
        knees=((0.22, 0.78), (0.04, 0.68)),
        feet=((0.02, 0.36), (-0.12, 0.18)),
    )
    add_coarse_figure(coarse, 1.75, coat, trousers, foot=0.5)
    builder.footprint(0.8, 0.2)
    return Vehicle(builder.build(coarse.build()), 1.8, 0.35)


def make_motorcyclist(rng: np.random.Generator) -> Vehicle:
    """Somebody on a scooter or a motorcycle."""
    builder, coarse = MeshBuilder(SemanticClass.TWO_WHEELER), MeshBuilder(SemanticClass.TWO_WHEELER)
    paint, coat, trousers, seed = pick(rng, PAINTS), pick(rng, COATS[:3], 0.3), pick(rng, TROUSERS, 0.3), float(rng.random())
    for x in (-0.68, 0.72):
        _thin_wheel(builder, x, 0.31, 0.14, sides=12)
        bodies.add_flat_wheel(coarse, x, 0.0, 0.31, seed)
    builder.ellipsoid((0.22, 0, 0.82), (0.34, 0.17, 0.16), Material.PAINT, paint, rows=4, columns=8, seed=seed)
    builder.ellipsoid((-0.4, 0, 0.8), (0.45, 0.15, 0.1), Material.MATT, DARK, rows=4, columns=8, seed=seed)
    builder.box((0.0, 0, 0.3), (0.6, 0.3, 0.4), Material.METAL, (0.2, 0.2, 0.21), seed, taper=(0.8, 0.7))
    builder.ellipsoid((0.62, 0, 0.95), (0.18, 0.2, 0.24), Material.PAINT, paint, rows=4, columns=8, seed=seed)
    builder.tube((0.72, 0, 0.31), (0.5, 0, 1.0), 0.05, Material.METAL, (0.4, 0.4, 0.4), sides=5)
    builder.tube((0.45, -0.36, 1.05), (0.45, 0.36, 1.05), 0.02, Material.MATT, DARK, sides=4)
    builder.tube((-0.2, -0.2, 0.35), (-0.85, -0.22, 0.42), 0.06, Material.METAL, (0.35, 0.35, 0.36), sides=6, caps=True)
    builder.box((0.78, 0, 0.86), (0.06, 0.2, 0.15), Material.HEADLIGHT, bodies.CLEAR_LAMP, seed)
    builder.box((-0.86, 0, 0.76), (0.06, 0.2, 0.07), Material.TAILLIGHT, RED, seed)
    bodies.add_plate(builder, -0.92, 0.62, seed, 0.22)
    if rng.random() < 0.35:
        builder.box((-0.78, 0, 0.9), (0.4, 0.42, 0.36), Material.MATT, pick(rng, COATS), seed, taper=(0.85, 0.9))
    _rider(
        builder, rng, (-0.28, 0.9), 0.3, (0.45, 1.08), coat, trousers, knees=((0.2, 0.82),) * 2, feet=((-0.02, 0.36),) * 2, has_helmet=True
    )
    add_coarse_figure(coarse, 1.62, coat, trousers, foot=0.45)
    bodies.add_beams(builder, 0.8, 0.9)
    builder.footprint(1.0, 0.25)
    return Vehicle(builder.build(coarse.build()), 2.1, 0.45)


def _thin_wheel(builder: MeshBuilder, x: float, radius: float, width: float, sides: int) -> None:
    builder.tube((x, -width / 2, radius), (x, width / 2, radius), radius, Material.RUBBER, DARK, sides=sides)
    builder.tube((x, -width / 2, radius), (x, width / 2, radius), radius * 0.84, Material.RUBBER, DARK, sides=sides // 2)
    for side in (-1, 1):
        builder.disc((x, side * width * 0.3, radius), (0, side, 0), radius * 0.12, Material.METAL, (0.3, 0.3, 0.3), sides=6)


def _rider(
    builder: MeshBuilder,
    rng: np.random.Generator,
    seat: tuple[float, float],
    lean: float,
    hands: tuple[float, float],
    coat: Array,
    trousers: Array,
    knees: tuple[tuple[float, float], ...],
    feet: tuple[tuple[float, float], ...],
    has_helmet: bool = False,
) -> None:
    """A body sitting at (x, z), leaning forward by metres, hands and feet where given as (x, z), left side first."""
    skin, (x, z) = draw_skin(rng), seat
    shoulder = np.array([x + lean, 0.0, z + 0.5])
    builder.tube((x, 0, z - 0.05), (x + lean * 0.6, 0, z + 0.32), 0.16, Material.MATT, coat, end_radius=0.185, sides=8, caps=True)
    builder.tube((x + lean * 0.6, 0, z + 0.32), _at(shoulder, 0, 0, 0.04), 0.185, Material.MATT, coat, end_radius=0.09, sides=8)
    for side, knee, foot in zip((1, -1), knees, feet, strict=True):
        hip, joint = (x, side * 0.1, z), (knee[0], side * 0.15, knee[1])
        builder.tube(hip, joint, 0.095, Material.MATT, trousers, end_radius=0.07, sides=6)
        builder.tube(joint, (foot[0], side * 0.13, foot[1]), 0.065, Material.MATT, trousers, end_radius=0.05, sides=6)
        builder.box((foot[0] + 0.06, side * 0.13, foot[1] - 0.07), (0.25, 0.09, 0.09), Material.MATT, (0.02, 0.018, 0.016))
        elbow = np.array([(shoulder[0] + hands[0]) / 2 - 0.02, side * 0.27, (shoulder[2] + hands[1]) / 2 - 0.06])
        builder.tube(_at(shoulder, 0, side * 0.17, -0.05), elbow, 0.06, Material.MATT, coat, sides=5)
        builder.tube(elbow, (hands[0], side * 0.24, hands[1]), 0.05, Material.MATT, coat, sides=5)
    head = _at(shoulder, 0.07, 0, 0.2)
    builder.ellipsoid(head, (0.1, 0.085, 0.125), Material.MATT, skin, rows=5, columns=7)
    if has_helmet:
        builder.ellipsoid(_at(head, 0, 0, 0.03), (0.145, 0.125, 0.15), Material.PAINT, pick(rng, PAINTS), rows=5, columns=8)
    else:
        builder.ellipsoid(_at(head, -0.02, 0, 0.05), (0.13, 0.1, 0.09), Material.MATT, pick(rng, COATS, 0.5), rows=4, columns=7)


def _at(point: Array, x: float, y: float, z: float) -> Array:
    return np.asarray(point + np.array([x, y, z]))
