# SPDX-License-Identifier: Apache-2.0
"""Town houses, detached houses, halls and towers.

Origin on the ground at the middle of the street front; x along the street, -y towards it.
"""

from __future__ import annotations

import numpy as np

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder, pick

_PLASTER = [
    (0.62, 0.58, 0.5),
    (0.55, 0.5, 0.4),
    (0.6, 0.6, 0.58),
    (0.5, 0.38, 0.25),
    (0.45, 0.42, 0.4),
    (0.58, 0.46, 0.36),
    (0.42, 0.46, 0.48),
    (0.6, 0.52, 0.3),
]
_BRICK = [(0.28, 0.11, 0.07), (0.33, 0.16, 0.1), (0.22, 0.1, 0.07), (0.36, 0.24, 0.15)]
_CONCRETE = [(0.38, 0.37, 0.35), (0.3, 0.3, 0.31), (0.45, 0.44, 0.42)]
_TILE = [(0.2, 0.06, 0.035), (0.1, 0.08, 0.075), (0.05, 0.052, 0.058), (0.16, 0.09, 0.06)]
_AWNING = [(0.35, 0.03, 0.03), (0.03, 0.12, 0.07), (0.03, 0.06, 0.2), (0.5, 0.45, 0.35), (0.45, 0.25, 0.03)]
# Foundations reach below the land's steepest fall across a plot.
_FOUNDATION = 2.0


def make_town_house(rng: np.random.Generator, width: float, floors: int, depth: float = 12.0) -> Mesh:
    """A house of a closed street front, maybe with a shop, balconies and a cornice."""
    builder, seed = MeshBuilder(), float(rng.random())
    style = rng.random()
    wall = pick(rng, _BRICK if style < 0.35 else _PLASTER if style < 0.8 else _CONCRETE)
    # The shader reads the style from the seed: brick below .35, plaster below .8, concrete above.
    seed = style
    storey = 3.0
    has_shop = rng.random() < 0.5
    ground = 3.6 if has_shop else storey
    height = ground + (floors - 1) * storey + 0.5
    base = ground if has_shop else 0.0
    if has_shop:
        _walls(builder, width, depth, 0.0, ground, Material.SHOP, wall * 0.85, seed)
        if rng.random() < 0.5:
            _awning(builder, rng, width, ground)
        else:
            builder.box((0, -0.06, ground - 0.75), (width * 0.92, 0.14, 0.6), Material.SIGN, pick(rng, _AWNING), seed)
    else:
        builder.box((rng.uniform(-0.3, 0.3) * width, -0.02, 0), (1.1, 0.1, 2.2), Material.MATT, pick(rng, _AWNING) * 0.5, seed)
    _walls(builder, width, depth, base, height, Material.WALL, wall, seed)
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, seed)
    if rng.random() < 0.4:
        _gable_roof(builder, width, depth, height, rng.uniform(2.0, 3.5), pick(rng, _TILE), wall, seed, overhang=0.3)
        builder.box((rng.uniform(-0.3, 0.3) * width, depth * 0.45, height + 1.0), (0.7, 0.7, 2.4), Material.BLANK_WALL, wall * 0.7, 0.1)
    else:
        builder.quads(_roof_corners(width, depth, height - 0.4), Material.FLAT_ROOF, (0.2, 0.2, 0.2), seed)
        builder.box((0, -0.05, height - 0.3), (width + 0.05, 0.45, 0.4), Material.BLANK_WALL, wall * 1.1, 0.9)
        for _ in range(int(rng.integers(0, 3))):
            builder.box(
                (rng.uniform(-0.35, 0.35) * width, depth * rng.uniform(0.25, 0.7), height - 0.4),
                rng.uniform(1.0, 2.2, 3),
                Material.BLANK_WALL,
                (0.3, 0.3, 0.3),
                0.9,
            )
    if rng.random() < 0.4:
        _balconies(builder, rng, width, base, storey, floors, wall)
    return builder.build()


def make_detached_house(rng: np.random.Generator, width: float) -> Mesh:
    """A one- or two-storey house with a gable roof."""
    builder = MeshBuilder()
    style = float(rng.uniform(0, 0.8))
    wall = pick(rng, _BRICK if style < 0.35 else _PLASTER)
    depth, height = rng.uniform(7.5, 11.0), float(rng.choice([3.3, 6.2, 6.2]))
    _walls(builder, width, depth, 0.0, height, Material.WALL, wall, style)
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, style)
    _gable_roof(builder, width, depth, height, rng.uniform(2.2, 3.6), pick(rng, _TILE), wall, style, overhang=0.5)
    builder.box((rng.uniform(-0.35, 0.35) * width, depth * 0.4, height + 1.2), (0.7, 0.6, 2.3), Material.BLANK_WALL, pick(rng, _BRICK), 0.1)
    door = rng.uniform(-0.3, 0.3) * width
    builder.box((door, -0.03, 0), (1.1, 0.12, 2.15), Material.MATT, pick(rng, _AWNING) * 0.6)
    builder.box((door, -0.5, 2.4), (1.9, 1.1, 0.12), Material.TILES, pick(rng, _TILE), style)
    if rng.random() < 0.5:
        builder.box((width / 2 + 1.6, 3.0, 0), (3.2, 6.0, 2.6), Material.BLANK_WALL, wall, style)
        builder.box((width / 2 + 1.6, -0.05, 0), (2.5, 0.1, 2.1), Material.PANEL, (0.5, 0.5, 0.5), style)
    return builder.build()


def make_hall(rng: np.random.Generator, width: float) -> Mesh:
    """A warehouse or supermarket."""
    builder, seed = MeshBuilder(), float(rng.random())
    wall = pick(rng, [*_CONCRETE, (0.5, 0.52, 0.55), (0.2, 0.25, 0.35)])
    depth, height = rng.uniform(14, 24), rng.uniform(5.0, 8.5)
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, height), Material.PANEL, wall, seed)
    builder.quads(_roof_corners(width, depth, height - 0.2), Material.FLAT_ROOF, (0.25, 0.25, 0.25), seed)
    for x in np.arange(-width / 2 + 2.5, width / 2 - 2.0, 6.5):
        builder.box((x, -0.04, 0), (3.2, 0.1, 3.4), Material.PANEL, pick(rng, [(0.5, 0.5, 0.52), (0.1, 0.12, 0.2)]), seed)
    builder.box((0, -0.12, height - 1.6), (min(8.0, width * 0.4), 0.2, 1.1), Material.SIGN, pick(rng, _AWNING), seed)
    return builder.build()


def make_tower(rng: np.random.Generator) -> Mesh:
    """A tall block for the skyline."""
    builder = MeshBuilder()
    style, width, depth, height = float(rng.uniform(0.8, 1.0)), rng.uniform(14, 26), rng.uniform(12, 18), rng.uniform(16, 52)
    _walls(builder, width, depth, 0.0, height, Material.WALL, pick(rng, [*_CONCRETE, *_PLASTER[:3]]), style)
    builder.quads(_walls_corners(width, depth, -5.0, 0.0), Material.BLANK_WALL, (0.3, 0.3, 0.3), style)
    builder.quads(_roof_corners(width, depth, height), Material.FLAT_ROOF, (0.25, 0.25, 0.25), style)
    builder.box((0, depth / 2, height), (width * 0.3, depth * 0.4, 2.5), Material.BLANK_WALL, (0.35, 0.35, 0.35), 0.9)
    return builder.build()


def _walls_corners(width: float, depth: float, low: float, high: float) -> Array:
    ring = [(-width / 2, 0.0), (width / 2, 0.0), (width / 2, depth), (-width / 2, depth)]
    return np.array([[(*a, low), (*b, low), (*b, high), (*a, high)] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)])


def _roof_corners(width: float, depth: float, height: float) -> Array:
    return np.array([[(-width / 2, 0, height), (width / 2, 0, height), (width / 2, depth, height), (-width / 2, depth, height)]])


def _walls(
    builder: MeshBuilder, width: float, depth: float, low: float, high: float, material: Material, colour: Array, seed: float
) -> None:
    """Four walls whose uv count metres from the left edge and from `low`, with a whole number of window columns."""
    uv = []
    for length in (width, depth, width, depth):
        # The shader draws one window column every 2.6 to 3.0 units of u; stretch u so that columns end at the corner.
        pitch = 2.8
        stretch = max(1, round(length / pitch)) * pitch
        uv.append([(0, 0), (stretch, 0), (stretch, high - low), (0, high - low)])
    builder.quads(_walls_corners(width, depth, low, high), material, colour, seed, uv=uv)


def _gable_roof(
    builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, wall: Array, seed: float, overhang: float
) -> None:
    half, eaves = width / 2 + overhang * 0.5, low - rise * overhang / (depth / 2)
    front, back, ridge = -overhang, depth + overhang, depth / 2
    slopes = [
        [(-half, front, eaves), (half, front, eaves), (half, ridge, low + rise), (-half, ridge, low + rise)],
        [(half, back, eaves), (-half, back, eaves), (-half, ridge, low + rise), (half, ridge, low + rise)],
    ]
    builder.quads(slopes, Material.TILES, tile, seed)
    builder.quads(np.array(slopes) - (0, 0, 0.14), Material.BLANK_WALL, wall * 0.6, seed)
    x = width / 2
    gables = [
        [(x, 0, low), (x, depth, low), (x, ridge, low + rise), (x, ridge, low + rise)],
        [(-x, depth, low), (-x, 0, low), (-x, ridge, low + rise), (-x, ridge, low + rise)],
    ]
    builder.quads(gables, Material.BLANK_WALL, wall, seed)


def _awning(builder: MeshBuilder, rng: np.random.Generator, width: float, ground: float) -> None:
    colour, half = pick(rng, _AWNING), width * 0.44
    top, low = ground - 0.45, ground - 1.0
    cloth = [(-half, -1.3, low), (half, -1.3, low), (half, -0.02, top), (-half, -0.02, top)]
    valance = [(-half, -1.3, low - 0.25), (half, -1.3, low - 0.25), (half, -1.3, low), (-half, -1.3, low)]
    builder.quads([cloth, valance], Material.PANEL, colour, float(rng.random()))


def _balconies(builder: MeshBuilder, rng: np.random.Generator, width: float, base: float, storey: float, floors: int, wall: Array) -> None:
    columns = max(1, round(width / 2.8))
    chosen = rng.choice(columns, size=max(1, columns // 3), replace=False)
    for column in chosen:
        x = ((column + 0.5) / columns - 0.5) * width
        for floor in range(1, floors):
            z = base + (floor - (1 if base else 0)) * storey + 0.35
            if z < 2.8:
                continue
            builder.box((x, -0.5, z), (2.0, 1.0, 0.12), Material.BLANK_WALL, wall * 0.8, 0.9)
            for offset, size in (((0, -0.98), (2.0, 0.04, 0.85)), ((-0.98, -0.5), (0.04, 0.95, 0.85)), ((0.98, -0.5), (0.04, 0.95, 0.85))):
                builder.box((x + offset[0], offset[1], z + 0.12), size, Material.METAL, (0.05, 0.05, 0.055))
