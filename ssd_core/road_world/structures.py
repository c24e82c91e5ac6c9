# SPDX-License-Identifier: Apache-2.0
"""Large things of roads and industry: gantries, bridges, containers, tanks, boards, poles with wires, cones.

Origin on the ground, x along the road, -y towards it unless said otherwise.
"""

from __future__ import annotations

import itertools

import numpy as np

from ssd_core.road_world.furniture import DIRECTIONS, POSTER, add_sign_plate
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Mesh, MeshBuilder, pick
from ssd_core.road_world.semantics import SemanticClass

_STEEL, _WOOD = (0.30, 0.31, 0.32), (0.12, 0.085, 0.06)
_CONTAINERS = [
    (0.35, 0.06, 0.04), (0.04, 0.10, 0.25), (0.06, 0.18, 0.12), (0.45, 0.20, 0.04), (0.40, 0.40, 0.39), (0.25, 0.10, 0.08),
    (0.50, 0.48, 0.42),
]  # fmt: skip
_BOARDS = [(0.02, 0.08, 0.32), (0.02, 0.16, 0.08), (0.02, 0.08, 0.32), (0.55, 0.54, 0.50)]


def make_gantry(rng: np.random.Generator, right: float, left: float, board_ts: tuple[float, ...]) -> Mesh:
    """A beam over the road from y = right to y = left with boards facing -x over the given y; origin on the centre line."""
    builder, clear, tint = MeshBuilder(SemanticClass.POLE), rng.uniform(5.6, 6.6), np.array(_STEEL) * rng.uniform(0.7, 1.2)
    for y in (right, left):
        builder.box((0, y, -0.5), (0.35, 0.35, clear + 1.4), Material.METAL, tint)
    middle, length = (right + left) / 2, left - right
    for z in (clear, clear + 0.8):
        builder.box((0, middle, z), (0.22, length, 0.16), Material.METAL, tint)
    for y in np.arange(right + 1.0, left - 0.5, 2.0):
        builder.tube((0, y, clear), (0, y + 1.0, clear + 0.85), 0.05, Material.METAL, tint, sides=4)
    boards = MeshBuilder(SemanticClass.SIGN)
    colour = pick(rng, _BOARDS)
    for y in board_ts:
        wide, high = rng.uniform(2.2, 3.6), rng.uniform(1.4, 2.6)
        boards.box((-0.12, y, clear - 0.2), (0.1, wide, high), Material.METAL, tint * 0.8)
        place = (-0.2, float(y), float(clear - 0.2))
        add_sign_plate(boards, place, float(wide), float(high), DIRECTIONS, float(rng.random()), colour, yaw=-np.pi / 2)
    builder.add(boards.build(), np.eye(4))
    return builder.build()


def make_overpass(rng: np.random.Generator, reach: float, columns: tuple[float, ...], along: float, lowest: float, skew: float) -> Mesh:
    """A bridge over the road from y = -reach to y = reach, `along` metres wide, on columns at the given y; origin on the centre line.

    lowest: the land's depth below the origin that columns must reach, metres; skew: x shift a metre of y.
    """
    builder = MeshBuilder(SemanticClass.BUILDING)
    clear, deck = rng.uniform(4.9, 6.0), rng.uniform(0.7, 1.6)
    tint = pick(rng, [(0.36, 0.35, 0.33), (0.28, 0.28, 0.27), (0.42, 0.40, 0.37), (0.16, 0.18, 0.20)])
    arch = rng.uniform(0.0, 1.0)
    y = np.linspace(-reach, reach, 9)
    low = clear + arch * (1 - (y / reach) ** 2)
    half = along / 2
    ring = [(-half, deck), (-half, 0.35), (-half * 0.75, 0.0), (half * 0.75, 0.0), (half, 0.35), (half, deck)]
    points = np.array([[(x + skew * across, across, z + base) for x, z in ring] for across, base in zip(y, low, strict=True)])
    uv = np.array([[(across, index * 1.0) for index in range(len(ring))] for across in y])
    closed = np.concatenate([points, points[:, :1]], axis=1)
    uv = np.concatenate([uv, uv[:, -1:] + (0.0, 1.0)], axis=1)
    grid = [np.stack([each[:-1, :-1], each[:-1, 1:], each[1:, 1:], each[1:, :-1]], axis=2) for each in (closed, uv)]
    builder.quads(grid[0], Material.BLANK_WALL, tint, 0.6, uv=grid[1].reshape(-1, 4, 2))
    for side in (-1, 1):
        x = side * (half - 0.05)
        rail = np.array([[(x + skew * across, across, base + deck + up) for up in (0.0, 1.0)] for across, base in zip(y, low, strict=True)])
        corners = np.stack([rail[:-1, 0], rail[1:, 0], rail[1:, 1], rail[:-1, 1]], axis=1)
        material, colour = (Material.BLANK_WALL, tint * 0.9) if rng.random() < 0.4 else (Material.IRON_RAILING, np.array(_STEEL) * 0.5)
        rail_uv = np.array([[(a, 0.0), (b, 0.0), (b, 1.0), (a, 1.0)] for a, b in itertools.pairwise(y)])
        builder.quads(corners, material, colour, 0.6, uv=rail_uv)
    for across in columns:
        top = float(np.interp(across, y, low)) + 0.1
        for x in (-half * 0.55, half * 0.55) if along > 6 else (0.0,):
            builder.tube((x + skew * across, across, -lowest), (x + skew * across, across, top), 0.45, Material.MATT, tint, sides=8)
    return builder.build()


def make_container_stack(rng: np.random.Generator) -> Mesh:
    """One to three containers of 12.2 m on each other, long side along x."""
    builder, coarse = MeshBuilder(), MeshBuilder()
    for level in range(int(rng.integers(1, 4))):
        tint, seed, shift = pick(rng, _CONTAINERS, 0.25), float(rng.random()), rng.normal(0, 0.06)
        for each in (builder, coarse):
            each.box((shift, 1.22, 0.05 + 2.6 * level), (12.19, 2.44, 2.59), Material.PANEL, tint, seed)
        for x in (-6.1, 6.1):
            builder.box((x + shift, 1.22, 0.05 + 2.6 * level), (0.16, 2.48, 2.6), Material.METAL, tint * 0.8)
    return builder.build(coarse.build())


def make_tank(rng: np.random.Generator) -> Mesh:
    """A round storage tank."""
    builder, radius, high = MeshBuilder(SemanticClass.BUILDING), rng.uniform(3.5, 6.0), rng.uniform(4.0, 10.0)
    tint = pick(rng, [(0.62, 0.62, 0.60), (0.50, 0.51, 0.52), (0.45, 0.40, 0.30)])
    builder.tube((0, radius, -1.0), (0, radius, high), radius, Material.PANEL, tint, sides=20, seed=0.02)
    builder.tube((0, radius, high), (0, radius, high + 0.8), radius, Material.METAL, tint * 0.9, end_radius=0.3, sides=20)
    for x in (-0.25, 0.25):
        builder.box((x, -0.15, 0), (0.05, 0.05, high + 0.6), Material.METAL, _STEEL)
    return builder.build()


def make_billboard(rng: np.random.Generator) -> Mesh:
    """A large board on posts that faces -x."""
    builder, wide, high, foot = MeshBuilder(SemanticClass.SIGN), rng.uniform(2.5, 6.0), rng.uniform(1.8, 3.5), rng.uniform(0.8, 4.0)
    for y in (-wide * 0.35, wide * 0.35):
        builder.box((0.1, y, -0.3), (0.14, 0.14, foot + high), Material.METAL, _STEEL)
    builder.box((0, 0, foot), (0.1, wide, high), Material.METAL, (0.3, 0.3, 0.3))
    place = (-0.06, 0.0, float(foot + 0.08))
    add_sign_plate(builder, place, float(wide - 0.16), float(high - 0.16), POSTER, float(rng.random()), yaw=-np.pi / 2)
    return builder.build()


def make_wire_pole(rng: np.random.Generator) -> Mesh:
    """A wooden or concrete pole with a crossarm, WIRE_HEIGHT metres up."""
    builder, tint = (
        MeshBuilder(SemanticClass.POLE),
        np.array(_WOOD) * rng.uniform(0.8, 1.6) if rng.random() < 0.7 else np.array((0.35, 0.34, 0.32)),
    )
    builder.tube((0, 0, -0.5), (0, 0, WIRE_HEIGHT + 0.6), 0.16, Material.BARK, tint, end_radius=0.1, sides=7)
    builder.box((0, 0, WIRE_HEIGHT - 0.1), (0.1, 1.9, 0.12), Material.MATT, tint)
    if rng.random() < 0.4:
        builder.tube((0.35, 0, WIRE_HEIGHT - 1.9), (0.35, 0, WIRE_HEIGHT - 0.9), 0.22, Material.METAL, _STEEL, sides=8, caps=True)
    return builder.build()


WIRE_HEIGHT = 8.6
# Power above, telephone below: metres across from the pole, and up.
WIRES = ((-0.85, WIRE_HEIGHT), (0.0, WIRE_HEIGHT), (0.85, WIRE_HEIGHT), (0.12, 6.7), (0.12, 6.35))


def make_mail_box(rng: np.random.Generator) -> Mesh:
    """A letter box on a wooden post, as they stand at the kerb of American suburbs."""
    builder, tint = (
        MeshBuilder(SemanticClass.OBJECT),
        pick(rng, [(0.02, 0.02, 0.022), (0.30, 0.31, 0.32), (0.5, 0.5, 0.48), (0.04, 0.1, 0.06)]),
    )
    builder.box((0, 0, -0.3), (0.1, 0.1, 1.3), Material.MATT, _WOOD)
    builder.box((0, -0.05, 1.0), (0.17, 0.5, 0.14), Material.METAL, tint)
    builder.box((0, -0.05, 1.14), (0.17, 0.5, 0.08), Material.METAL, tint, taper=(0.45, 1.0))
    return builder.build()


def make_cone(rng: np.random.Generator) -> Mesh:
    """A traffic cone or a striped beacon."""
    builder, orange = MeshBuilder(SemanticClass.OBJECT), (0.55, 0.10, 0.02)
    if rng.random() < 0.6:
        builder.box((0, 0, 0), (0.38, 0.38, 0.04), Material.RUBBER, (0.03, 0.03, 0.03))
        for low, high, tint in ((0.04, 0.35, orange), (0.35, 0.5, (0.62, 0.62, 0.6)), (0.5, 0.75, orange)):
            builder.tube((0, 0, low), (0, 0, high), 0.16 * (1 - low), Material.SIGN, tint, end_radius=0.16 * (1 - high) + 0.0, sides=8)
    else:
        builder.box((0, 0, 0), (0.7, 0.35, 0.12), Material.RUBBER, (0.04, 0.04, 0.04))
        for index in range(5):
            builder.box(
                (0, 0, 0.12 + 0.2 * index), (0.04, 0.25, 0.2), Material.SIGN, (0.6, 0.04, 0.03) if index % 2 == 0 else (0.62, 0.62, 0.6)
            )
    return builder.build()


def make_heap(rng: np.random.Generator) -> Mesh:
    """A heap of sand, gravel or soil."""
    builder, radius = MeshBuilder(SemanticClass.TERRAIN), rng.uniform(0.8, 1.4)
    tint = pick(rng, [(0.30, 0.25, 0.17), (0.24, 0.23, 0.21), (0.17, 0.12, 0.08)])
    builder.tube((0, 0, -0.1), (0, 0, radius * 0.75), radius, Material.MATT, tint, end_radius=0.15, sides=10, caps=True)
    return builder.build()


def make_digger(rng: np.random.Generator) -> Mesh:
    """A small excavator at rest, its arm along x."""
    builder, tint, seed = (
        MeshBuilder(SemanticClass.LARGE_VEHICLE),
        pick(rng, [(0.60, 0.36, 0.02), (0.55, 0.20, 0.02), (0.5, 0.5, 0.48)]),
        float(rng.random()),
    )
    for y in (-0.75, 0.75):
        builder.box((0, y, 0), (2.6, 0.42, 0.65), Material.RUBBER, (0.03, 0.03, 0.03), taper=(0.85, 1.0))
    builder.box((-0.3, 0, 0.7), (2.0, 1.7, 0.9), Material.PAINT, tint, seed)
    builder.box((0.2, 0.35, 1.6), (1.1, 0.9, 1.1), Material.GLASS, (0.02, 0.025, 0.03), taper=(0.8, 0.9))
    for start, end, radius in (((0.6, -0.3, 1.4), (2.2, -0.3, 2.9), 0.16), ((2.2, -0.3, 2.9), (3.3, -0.3, 1.4), 0.12)):
        builder.tube(start, end, radius, Material.PAINT, tint, sides=5, caps=True)
    builder.box((3.3, -0.3, 0.75), (0.5, 0.7, 0.7), Material.METAL, (0.1, 0.1, 0.1), taper=(0.7, 1.0))
    builder.footprint(1.5, 1.0)
    return builder.build()
