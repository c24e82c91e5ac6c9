# SPDX-License-Identifier: Apache-2.0
"""What houses are made of: walls with window columns, doors, shop fronts, roofs, dormers, bays, balconies; and their colours.

Origin and axes as in buildings.py: the street front lies at y = 0, the house behind it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssd_core.road_world.furniture import add_sign_plate, add_signboard
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, MeshBuilder, pick
from ssd_core.road_world.semantics import SemanticClass

PLASTER = [
    (0.62, 0.58, 0.5),
    (0.55, 0.5, 0.4),
    (0.6, 0.6, 0.58),
    (0.5, 0.38, 0.25),
    (0.45, 0.42, 0.4),
    (0.58, 0.46, 0.36),
    (0.42, 0.46, 0.48),
    (0.6, 0.52, 0.3),
    (0.66, 0.65, 0.62),
    (0.48, 0.3, 0.24),
]
BRICK = [(0.28, 0.11, 0.07), (0.33, 0.16, 0.1), (0.22, 0.1, 0.07), (0.36, 0.24, 0.15), (0.4, 0.3, 0.2)]
CONCRETE = [(0.38, 0.37, 0.35), (0.3, 0.3, 0.31), (0.45, 0.44, 0.42), (0.42, 0.36, 0.3)]
TILE = [(0.2, 0.06, 0.035), (0.1, 0.08, 0.075), (0.05, 0.052, 0.058), (0.16, 0.09, 0.06), (0.13, 0.12, 0.115)]
AWNING = [(0.35, 0.03, 0.03), (0.03, 0.12, 0.07), (0.03, 0.06, 0.2), (0.5, 0.45, 0.35), (0.45, 0.25, 0.03), (0.03, 0.03, 0.03)]
# Foundations reach below the land's steepest fall across a plot.
FOUNDATION = 2.0
_PITCH, _STOREY = 2.8, 3.0


def walls_corners(width: float, depth: float, low: float, high: float) -> Array:
    """Street front, right side, back, left side."""
    ring = [(-width / 2, 0.0), (width / 2, 0.0), (width / 2, depth), (-width / 2, depth)]
    return np.array([[(*a, low), (*b, low), (*b, high), (*a, high)] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)])


def roof_corners(width: float, depth: float, height: float) -> Array:
    """A level rectangle over the walls, (1, 4, 3)."""
    return np.array([[(-width / 2, 0, height), (width / 2, 0, height), (width / 2, depth, height), (-width / 2, depth, height)]])


def slab(x: float, width: float, front: float, back: float, low: float, high: float) -> Array:
    """A canopy: sloping from `high` at the back to `low` at the front, seen from above and below."""
    left, right = x - width / 2, x + width / 2
    upper = [(left, front, low), (right, front, low), (right, back, high), (left, back, high)]
    return np.array([upper, [(a, b, c - 0.06) for a, b, c in upper[::-1]]])


def add_walls(
    builder: MeshBuilder,
    width: float,
    depth: float,
    low: float,
    high: float,
    material: Material,
    colour: Array,
    seed: float,
    pitch: float = _PITCH,
    storey: float = _STOREY,
    rows: float = _STOREY,
) -> None:
    """Four walls with a whole number of window columns about `pitch` apart; `rows` is the shader's own height of a storey."""
    uv = []
    for length in (width, depth, width, depth):
        # The shader draws one window column every 2.8 units of u; stretch u so that columns end at the corner.
        stretch = max(1, round(length / pitch)) * _PITCH
        top = (high - low) / storey * rows
        uv.append([(0, 0), (stretch, 0), (stretch, top), (0, top)])
    builder.quads(walls_corners(width, depth, low, high), material, colour, seed, uv=uv)


def add_box_walls(
    builder: MeshBuilder, x: float, width: float, reach: float, low: float, high: float, material: Material, colour: Array, seed: float
) -> None:
    """Front and sides of something standing `reach` metres before the front."""
    corners = walls_corners(width, reach, low, high)[[0, 1, 3]] + np.array((x, -reach, 0.0))
    uv = [[(0, 0), (length, 0), (length, high - low), (0, high - low)] for length in (_PITCH, reach, reach)]
    builder.quads(corners, material, colour, seed, uv=uv)


def add_door(builder: MeshBuilder, x: float, y: float, width: float, height: float, colour: npt.ArrayLike, seed: float) -> None:
    """A door (seed below .5) or a garage door just before a front."""
    corners = [[(x - width / 2, y, 0.0), (x + width / 2, y, 0.0), (x + width / 2, y, height), (x - width / 2, y, height)]]
    builder.quads(corners, Material.DOOR, colour, seed, uv=[[(0, 0), (1, 0), (1, 1), (0, 1)]])


def add_entrance(builder: MeshBuilder, rng: np.random.Generator, x: float, has_canopy: bool = False) -> None:
    """A front door with a step, maybe under a canopy."""
    add_door(builder, x, -0.03, 1.15, 2.3, pick(rng, AWNING) * 0.6, float(rng.uniform(0, 0.5)))
    builder.box((x, -0.25, -0.2), (1.5, 0.5, 0.35), Material.BLANK_WALL, (0.4, 0.39, 0.37), 0.5)
    if has_canopy:
        builder.quads(slab(x, 2.0, -0.85, 0.0, 2.45, 2.75), Material.TILES, pick(rng, TILE))


def add_shop_front(
    builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, depth: float, ground: float, wall: Array
) -> None:
    """A ground floor of shop windows with an awning or a signboard, maybe a sign that stands out from the wall."""
    tint = pick(rng, AWNING) if rng.random() < 0.5 else wall * 0.85
    add_walls(builder, width, depth, 0.0, ground, Material.SHOP, tint, float(rng.random()))
    colour, kind = pick(rng, AWNING), rng.random()
    if kind < 0.4:
        _awning(builder, rng, width, ground)
    elif kind < 0.9:
        add_signboard(detail, rng, (0.0, -0.14, ground - 0.75), width * float(rng.uniform(0.5, 0.95)), 0.6, colour)
    if rng.random() < 0.4:
        # A sign that stands out from the wall, to be read along the street.
        x, side = float(rng.choice([-0.4, 0.4])) * width, float(rng.uniform(0.5, 0.9))
        add_sign_plate(detail, (x, -0.55, ground + 0.2), 0.8, side, 13, float(rng.random()), yaw=np.pi / 2, is_double=True)


def add_town_roof(
    builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, depth: float, height: float, wall: Array, seed: float
) -> None:
    """A roof as on houses of a closed street front: pitched with dormers and a chimney, steep slates, or flat."""
    kind, tile = rng.random(), pick(rng, TILE)
    if kind < 0.35:
        rise = float(rng.uniform(2.2, 4.0))
        add_gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.3)
        if rng.random() < 0.5:
            add_dormers(builder, width, depth, height, rise, tile, wall, seed)
    elif kind < 0.45:
        add_cross_gable_roof(builder, width, depth, height, float(rng.uniform(2.5, 4.5)), tile, wall, seed, overhang=0.15)
    elif kind < 0.6:
        _mansard(builder, width, depth, height, tile, wall, seed)
    else:
        add_flat_roof(builder, detail, rng, width, depth, height, wall)
        return
    chimney = float(rng.uniform(-0.35, 0.35)) * width
    builder.box((chimney, depth * 0.45, height + 1.0), (0.7, 0.9, 3.2), Material.BLANK_WALL, pick(rng, BRICK), 0.1)


def add_flat_roof(
    builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, depth: float, height: float, wall: Array
) -> None:
    """Gravel behind a parapet, a cornice, and what stands on roofs."""
    builder.quads(roof_corners(width, depth, height - 0.4), Material.FLAT_ROOF, (0.2, 0.2, 0.2))
    detail.box((0, -0.05, height - 0.3), (width, float(rng.uniform(0.3, 0.7)), 0.4), Material.BLANK_WALL, wall * 1.1, 0.9)
    for _ in range(int(rng.integers(0, 3))):
        place = (rng.uniform(-0.35, 0.35) * width, depth * rng.uniform(0.25, 0.7), height - 0.4)
        builder.box(place, rng.uniform(1.0, 2.2, 3), Material.BLANK_WALL, (0.3, 0.3, 0.3), 0.9)
    if rng.random() < 0.15:
        x = float(rng.uniform(-0.3, 0.3)) * width
        detail.tube((x, 2.0, height - 0.4), (x, 2.0, height + 5.0), 0.05, Material.METAL, (0.4, 0.4, 0.4), sides=4)
        for z in (2.6, 3.6):
            detail.box((x, 1.85, height + z), (0.3, 0.15, 1.0), Material.MATT, (0.6, 0.6, 0.6))


def _roof_sheets(builder: MeshBuilder, slopes: Array, tile: Array, under: Array, seed: float) -> None:
    """Slopes seen from above, and their dark undersides."""
    builder.quads(slopes, Material.TILES, tile, seed)
    builder.quads((slopes - (0, 0, 0.14))[:, ::-1], Material.BLANK_WALL, under, seed)


def add_gable_roof(
    builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, wall: Array, seed: float, overhang: float
) -> None:
    """A roof whose ridge runs along the street, `rise` metres over `low`."""
    half, eaves = width / 2 + overhang * 0.5, low - rise * overhang / (depth / 2)
    front, back, ridge = -overhang, depth + overhang, depth / 2
    slopes = np.array([
        [(-half, front, eaves), (half, front, eaves), (half, ridge, low + rise), (-half, ridge, low + rise)],
        [(half, back, eaves), (-half, back, eaves), (-half, ridge, low + rise), (half, ridge, low + rise)],
    ])  # fmt: skip
    _roof_sheets(builder, slopes, tile, wall * 0.6, seed)
    x = width / 2
    gables = [
        [(x, 0, low), (x, depth, low), (x, ridge, low + rise), (x, ridge, low + rise)],
        [(-x, depth, low), (-x, 0, low), (-x, ridge, low + rise), (-x, ridge, low + rise)],
    ]
    builder.quads(gables, Material.BLANK_WALL, wall, seed)


def add_cross_gable_roof(
    builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, wall: Array, seed: float, overhang: float
) -> None:
    """A roof whose gable faces the street."""
    half, eaves, front, back = width / 2 + overhang, low - rise * overhang / (width / 2), -overhang, depth + overhang
    slopes = np.array([
        [(half, front, eaves), (half, back, eaves), (0, back, low + rise), (0, front, low + rise)],
        [(-half, back, eaves), (-half, front, eaves), (0, front, low + rise), (0, back, low + rise)],
    ])  # fmt: skip
    _roof_sheets(builder, slopes, tile, wall * 0.6, seed)
    x, top = width / 2, low + rise
    front_gable = np.array([(-x, 0.0, low), (x, 0.0, low), (0.0, 0.0, top), (0.0, 0.0, top)])
    builder.quads([front_gable, front_gable * (-1, 1, 1) + (0, depth, 0)], Material.BLANK_WALL, wall, seed)


def add_hip_roof(builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, overhang: float) -> None:
    """A roof that slopes to all four sides."""
    half, front, back, eaves, top = width / 2 + overhang, -overhang, depth + overhang, low - 0.2, low + rise
    ridge, middle = max(width / 2 - depth / 2, 0.3), depth / 2
    slopes = np.array([
        [(-half, front, eaves), (half, front, eaves), (ridge, middle, top), (-ridge, middle, top)],
        [(half, back, eaves), (-half, back, eaves), (-ridge, middle, top), (ridge, middle, top)],
        [(half, front, eaves), (half, back, eaves), (ridge, middle, top), (ridge, middle, top)],
        [(-half, back, eaves), (-half, front, eaves), (-ridge, middle, top), (-ridge, middle, top)],
    ])  # fmt: skip
    builder.quads(slopes, Material.TILES, tile)
    builder.quads(
        [[(-half, front, eaves), (-half, back, eaves), (half, back, eaves), (half, front, eaves)]], Material.MATT, (0.4, 0.38, 0.35)
    )


def _mansard(builder: MeshBuilder, width: float, depth: float, low: float, tile: Array, wall: Array, seed: float) -> None:
    """A steep storey of slates with dormers under a flat top."""
    rise = 2.6
    builder.box((0, depth / 2, low), (width, depth, rise), Material.TILES, tile, seed, taper=(0.97, 1 - 2.4 / depth))
    count = max(1, round(width / 3.2))
    for index in range(count):
        x = ((index + 0.5) / count - 0.5) * width
        _dormer(builder, x, 0.2, low + 0.3, low + 2.0, 1.2, tile, wall, seed)


def add_dormers(builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, wall: Array, seed: float) -> None:
    """Windows in the front slope of a gable roof of the same measures."""
    count = max(1, round(width / 4.5))
    foot = low + rise * 0.22
    for index in range(count):
        x = ((index + 0.5) / count - 0.5) * width
        _dormer(builder, x, depth * 0.11, foot, min(foot + 1.5, low + rise * 0.8), depth * 0.3, tile, wall, seed)


def _dormer(
    builder: MeshBuilder, x: float, y: float, low: float, high: float, length: float, tile: Array, wall: Array, seed: float
) -> None:
    """A window that stands out of a roof, `length` metres deep."""
    corners = walls_corners(1.4, length, low, high)[[0, 1, 3]] + np.array((x, y, 0.0))
    window, plain = ([(0.0, 0.0), (across, 0.0), (across, up), (0.0, up)] for across, up in ((_PITCH, _STOREY), (0.2, 0.2)))
    builder.quads(corners, Material.WALL, wall, seed, uv=[window, plain, plain])
    builder.quads(slab(x, 1.7, y - 0.2, y + length, high, high + 0.25)[:1], Material.TILES, tile, seed)


def _awning(builder: MeshBuilder, rng: np.random.Generator, width: float, ground: float) -> None:
    colour, half = pick(rng, AWNING), width * 0.44
    top, low = ground - 0.45, ground - 0.85
    cloth = [(-half, -1.3, low), (half, -1.3, low), (half, -0.02, top), (-half, -0.02, top)]
    valance = [(-half, -1.3, low - 0.22), (half, -1.3, low - 0.22), (half, -1.3, low), (-half, -1.3, low)]
    builder.quads([cloth, valance], Material.PANEL, colour, float(rng.random()))


def add_balconies(
    builder: MeshBuilder,
    detail: MeshBuilder,
    rng: np.random.Generator,
    width: float,
    base: float,
    storey: float,
    floors: int,
    columns: int,
    wall: Array,
) -> None:
    """A slab before some windows of every upper floor, with railings or closed parapets."""
    is_closed = rng.random() < 0.4
    for column in rng.choice(columns, size=max(1, columns // 3), replace=False):
        x = ((column + 0.5) / columns - 0.5) * width
        for floor in range(1, floors):
            z = base + (floor - (1 if base else 0)) * storey + 0.1
            if z < 2.8:
                continue
            builder.box((x, -0.5, z), (2.0, 1.0, 1.0 if is_closed else 0.14), Material.BLANK_WALL, wall * 0.8, 0.9)
            if not is_closed:
                front = walls_corners(2.0, 1.0, z + 0.1, z + 1.05)[[0, 1, 3]] + np.array((x, -1.0, 0.0))
                uv = [[(0, 0), (length, 0), (length, 1), (0, 1)] for length in (2.0, 1.0, 1.0)]
                detail.quads(front, Material.IRON_RAILING, (0.03, 0.03, 0.033), uv=uv)


def add_bay(
    builder: MeshBuilder,
    rng: np.random.Generator,
    width: float,
    columns: int,
    low: float,
    high: float,
    wall: Array,
    seed: float,
    storey: float,
) -> None:
    """A bay of all upper floors at one or two columns, 0.8 m deep."""
    each = width / columns
    chosen = int(rng.integers(columns))
    x, span = ((chosen + 0.5) / columns - 0.5) * width, each * 0.85
    foot = max(low, 2.6)
    corners = walls_corners(span, 0.8, foot, high)[[0, 1, 3]] + np.array((x, -0.8, 0.0))
    rows = (high - foot) / storey * _STOREY
    front, side = ([(0.0, 0.0), (across, 0.0), (across, rows), (0.0, rows)] for across in (_PITCH, 0.3))
    builder.quads(corners, Material.WALL, wall * 0.97, seed, uv=[front, side, side])
    left, right = x - span / 2, x + span / 2
    builder.quads(
        [[(left, -0.8, high), (right, -0.8, high), (right, 0, high + 0.3), (left, 0, high + 0.3)]], Material.FLAT_ROOF, (0.2, 0.2, 0.2)
    )
    builder.quads([[(left, 0, foot), (right, 0, foot), (right, -0.8, foot), (left, -0.8, foot)]], Material.BLANK_WALL, wall * 0.5, seed)


def add_air_conditioners(builder: MeshBuilder, rng: np.random.Generator, width: float, base: float, storey: float, floors: int) -> None:
    """Boxes under some windows."""
    for _ in range(int(rng.integers(1, 5))):
        z = max(base, storey) + float(rng.integers(0, max(1, floors - 1))) * storey + 0.25
        builder.box((rng.uniform(-0.42, 0.42) * width, -0.2, z), (0.8, 0.35, 0.55), Material.MATT, (0.5, 0.5, 0.48))


def add_garage(builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, wall: Array, seed: float) -> None:
    """A flat garage beside the house, on the right."""
    builder.box((width / 2 + 1.6, 3.3, 0), (3.2, 6.0, 2.7), Material.BLANK_WALL, wall, seed)
    add_door(detail, width / 2 + 1.6, 0.27, 2.5, 2.2, pick(rng, [(0.5, 0.5, 0.5), (0.2, 0.12, 0.07), (0.1, 0.12, 0.14)]), 0.7)


def add_wing(builder: MeshBuilder, x: float, width: float, reach: float, height: float, tile: Array, wall: Array, seed: float) -> None:
    """A part of the house that stands forward under a gable of its own."""
    wing = MeshBuilder(SemanticClass.BUILDING)
    corners = walls_corners(width, reach, -FOUNDATION, height)[[0, 1, 3]]
    rows = (height + FOUNDATION) / 2.9 * _STOREY
    low = -FOUNDATION / 2.9 * _STOREY
    uv = [[(0, low), (length, low), (length, rows + low), (0, rows + low)] for length in (_PITCH, 0.3, 0.3)]
    wing.quads(corners, Material.WALL, wall, seed, uv=uv)
    add_cross_gable_roof(wing, width, reach + 3.0, height, 1.9, tile, wall, seed, overhang=0.3)
    pose = np.eye(4)
    pose[:2, 3] = x, -reach
    builder.add(wing.build(), pose)
