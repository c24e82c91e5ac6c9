# SPDX-License-Identifier: Apache-2.0
"""Houses, shops, offices, blocks of flats, halls, churches, petrol stations, car parks, scaffolds.

Origin on the ground at the middle of the street front; x along the street, -y towards it. Nothing stands before the front
(y = 0) lower than 2.5 m by more than 0.9 m (steps, bays, porches), and higher up by more than 1.6 m (balconies, awnings).
Most detail is the shader's; the mesh's coarse version leaves out what is smaller than about half a metre.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssd_core.road_world.furniture import add_sign_plate, add_signboard, make_hoarding
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
    (0.66, 0.65, 0.62),
    (0.48, 0.3, 0.24),
]
_BRICK = [(0.28, 0.11, 0.07), (0.33, 0.16, 0.1), (0.22, 0.1, 0.07), (0.36, 0.24, 0.15), (0.4, 0.3, 0.2)]
_CONCRETE = [(0.38, 0.37, 0.35), (0.3, 0.3, 0.31), (0.45, 0.44, 0.42), (0.42, 0.36, 0.3)]
_WOOD = [(0.45, 0.44, 0.42), (0.3, 0.2, 0.12), (0.35, 0.4, 0.42), (0.5, 0.46, 0.36), (0.2, 0.09, 0.06), (0.28, 0.32, 0.26)]
_SHEET = [(0.5, 0.52, 0.55), (0.2, 0.25, 0.35), (0.42, 0.42, 0.4), (0.28, 0.3, 0.3), (0.45, 0.2, 0.14), (0.16, 0.2, 0.18)]
_TINTED_GLASS = [(0.5, 0.6, 0.7), (0.35, 0.5, 0.5), (0.45, 0.45, 0.45), (0.3, 0.38, 0.5)]
_TILE = [(0.2, 0.06, 0.035), (0.1, 0.08, 0.075), (0.05, 0.052, 0.058), (0.16, 0.09, 0.06), (0.13, 0.12, 0.115)]
_AWNING = [(0.35, 0.03, 0.03), (0.03, 0.12, 0.07), (0.03, 0.06, 0.2), (0.5, 0.45, 0.35), (0.45, 0.25, 0.03), (0.03, 0.03, 0.03)]
_STONE = (0.40, 0.38, 0.34)
# Foundations reach below the land's steepest fall across a plot.
_FOUNDATION = 2.0
_PITCH, _STOREY = 2.8, 3.0


def make_town_house(rng: np.random.Generator, width: float, floors: int, depth: float = 12.0) -> Mesh:
    """A house of a closed street front, maybe with a shop, a bay, balconies, dormers and a cornice; about 40 to 130 quads."""
    builder, detail = MeshBuilder(), MeshBuilder()
    # The shader reads the style from the seed: brick below .35, plaster below .8, concrete above.
    seed = float(rng.random())
    wall = pick(rng, _BRICK if seed < 0.35 else _PLASTER if seed < 0.8 else _CONCRETE)
    storey, pitch = float(rng.uniform(2.8, 3.5)), float(rng.uniform(2.3, 3.4))
    has_shop = rng.random() < 0.5
    ground = 3.6 if has_shop else storey
    height = ground + (floors - 1) * storey + 0.5
    base = ground if has_shop else 0.0
    if has_shop:
        _shop_front(builder, detail, rng, width, depth, ground, wall)
    else:
        _entrance(detail, rng, rng.uniform(-0.3, 0.3) * width)
    _walls(builder, width, depth, base, height, Material.WALL, wall, seed, pitch, storey)
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, 0.0)[:2], Material.BLANK_WALL, wall * 0.6, seed)
    _town_roof(builder, detail, rng, width, depth, height, wall, seed)
    columns = max(1, round(width / pitch))
    extra = rng.random()
    if extra < 0.3:
        _balconies(builder, detail, rng, width, base, storey, floors, columns, wall)
    elif extra < 0.5 and floors > 1:
        _bay(builder, rng, width, columns, base if has_shop else 0.0, height - 0.6, wall, seed, storey)
    if seed > 0.5 and rng.random() < 0.4:
        _air_conditioners(detail, rng, width, base, storey, floors)
    return _with_details(builder, detail)


def make_detached_house(rng: np.random.Generator, width: float) -> Mesh:
    """A one- or two-storey house with a porch, a roof of some kind, maybe a wing or a garage; 8 to 14 m deep."""
    builder, detail = MeshBuilder(), MeshBuilder()
    seed = float(rng.uniform(0, 0.8))
    is_wooden = rng.random() < 0.3
    wall = pick(rng, _WOOD if is_wooden else _BRICK if seed < 0.35 else _PLASTER)
    seed = float(rng.uniform(0.36, 0.79)) if is_wooden else seed
    depth, height = float(rng.uniform(7.5, 11.0)), float(rng.choice([3.0, 5.8, 5.8]))
    _walls(builder, width, depth, 0.0, height, Material.WALL, wall, seed, float(rng.uniform(2.4, 3.6)), 2.9)
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, seed)
    tile = pick(rng, _TILE)
    kind, rise = rng.random(), float(rng.uniform(2.2, 3.8))
    if kind < 0.5:
        _gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.5)
    elif kind < 0.75:
        _hip_roof(builder, width, depth, height, rise * 0.8, tile, overhang=0.5)
    else:
        _cross_gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.4)
    if kind < 0.5 and rng.random() < 0.4:
        _dormers(builder, width, depth, height, rise, tile, wall, seed)
    chimney = float(rng.uniform(-0.35, 0.35)) * width
    builder.box((chimney, depth * 0.45, height + 0.8), (0.7, 0.6, rise + 0.3), Material.BLANK_WALL, pick(rng, _BRICK), 0.1)
    _entrance(detail, rng, rng.uniform(-0.3, 0.3) * width, has_canopy=True)
    extra = rng.random()
    if extra < 0.4:
        _garage(builder, detail, rng, width, wall, seed)
    elif extra < 0.6:
        wing = float(rng.uniform(3.5, 4.5))
        x = float(rng.choice([-1, 1])) * (width - wing) / 2
        _wing(builder, x, wing, 0.9, height, tile, wall, seed)
    return _with_details(builder, detail)


def make_terrace(rng: np.random.Generator, width: float, houses: int | None = None) -> Mesh:
    """A row of equal narrow houses along `width` metres, with bays, doors and chimneys; about 22 quads a house."""
    builder, detail = MeshBuilder(), MeshBuilder()
    count = houses or max(2, round(width / 5.2))
    each, depth, height, storey = width / count, 9.0, 5.9, 2.85
    seed = float(rng.uniform(0.02, 0.34) if rng.random() < 0.65 else rng.uniform(0.36, 0.79))
    wall, tile, rise = pick(rng, _BRICK if seed < 0.35 else _PLASTER), pick(rng, _TILE), float(rng.uniform(2.2, 3.0))
    has_bays = rng.random() < 0.6
    _walls(builder, width, depth, 0.0, height, Material.WALL, wall, seed, each / 2, storey)
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, 0.0)[:2], Material.BLANK_WALL, wall * 0.6, seed)
    _gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.3)
    for index in range(count):
        left = (index - count / 2) * each
        _door(detail, left + each * 0.25, -0.02, 0.95, 2.1, pick(rng, _AWNING) * 0.6, float(rng.uniform(0, 0.5)))
        if has_bays:
            tint = wall * 0.95 if seed < 0.35 else pick(rng, _PLASTER)
            _box_walls(builder, left + each * 0.72, each * 0.42, 0.7, 0.0, 2.9, Material.WALL, tint, seed)
            builder.quads(_slab(left + each * 0.72, each * 0.42 + 0.2, -0.8, 0.0, 2.9, 3.25), Material.TILES, tile, seed)
        builder.box((left, depth * 0.5, height + rise - 0.5), (1.0, 0.6, 1.5), Material.BLANK_WALL, pick(rng, _BRICK), 0.1)
    return _with_details(builder, detail)


def make_flats(rng: np.random.Generator, width: float, floors: int) -> Mesh:
    """A block of flats with rows of balconies; concrete or plaster, flat roof, 13 m deep."""
    builder, detail = MeshBuilder(), MeshBuilder()
    seed, depth, storey = float(rng.uniform(0.5, 0.92)), 13.0, 2.85
    wall, accent = pick(rng, _CONCRETE if seed > 0.8 else _PLASTER), pick(rng, [*_CONCRETE, *_AWNING])
    height = 0.6 + floors * storey
    _walls(builder, width, depth, 0.6, height, Material.WALL, wall, seed, float(rng.uniform(2.6, 3.6)), storey)
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, 0.6), Material.BLANK_WALL, wall * 0.6, seed)
    _flat_roof(builder, detail, rng, width, depth, height, wall)
    _entrance(detail, rng, 0.0, has_canopy=True)
    stacks = max(1, round(width / 9))
    for index in range(stacks):
        x, span = ((index + 0.5) / stacks - 0.5) * width, min(5.0, width / stacks * 0.6)
        for floor in range(1, floors):
            builder.box((x, -0.6, 0.6 + floor * storey - 0.15), (span, 1.2, 1.15), Material.BLANK_WALL, accent, 0.9)
        builder.box((x, 0.02, height - 0.1), (span, 1.0, 0.3), Material.BLANK_WALL, accent, 0.9)
    return _with_details(builder, detail)


def make_office(rng: np.random.Generator, width: float, floors: int, depth: float = 16.0) -> Mesh:
    """Offices of glass, or with bands of windows; the ground floor often stands back behind columns."""
    builder, detail = MeshBuilder(), MeshBuilder()
    seed, storey, ground = float(rng.random()), 3.6, 4.4
    is_glass, stands_back = rng.random() < 0.65, rng.random() < 0.5
    tint = pick(rng, _TINTED_GLASS if is_glass else [*_CONCRETE, *_PLASTER[:3]])
    material, seed = (Material.CURTAIN_WALL, seed) if is_glass else (Material.WALL, float(rng.uniform(0.921, 0.999)))
    height, back = ground + (floors - 1) * storey, 2.4 if stands_back else 0.0
    _walls(builder, width, depth, ground, height, material, tint, seed, 2.8, storey, rows=3.6 if is_glass else 3.0)
    low = _walls_corners(width, depth - back, -_FOUNDATION, ground)
    low[..., 1] += back
    builder.quads(low, Material.CURTAIN_WALL, tint * 0.8, seed)
    if stands_back:
        soffit = [[(-width / 2, 0, ground), (-width / 2, depth, ground), (width / 2, depth, ground), (width / 2, 0, ground)]]
        builder.quads(soffit, Material.FLAT_ROOF, (0.4, 0.4, 0.4), seed)
        for x in np.linspace(-width / 2 + 0.4, width / 2 - 0.4, max(2, round(width / 6))):
            builder.tube((x, 0.45, -1.0), (x, 0.45, ground), 0.3, Material.MATT, (0.42, 0.41, 0.4), sides=7)
    _flat_roof(builder, detail, rng, width, depth, height, tint * 0.5)
    if rng.random() < 0.6:
        add_signboard(builder, rng, (0.0, -0.15, height - 1.5), min(7.0, width * 0.4), 1.1)
    if rng.random() < 0.4:
        # Fins or sun blinds before the glass.
        for floor in range(1, floors):
            builder.box((0, -0.25, ground + floor * storey - 0.25), (width, 0.5, 0.18), Material.METAL, (0.3, 0.3, 0.31))
    return _with_details(builder, detail)


def make_hall(rng: np.random.Generator, width: float) -> Mesh:
    """A warehouse or supermarket, 14 to 24 m deep."""
    builder, detail, seed = MeshBuilder(), MeshBuilder(), float(rng.uniform(0.5, 1.0))
    wall, depth, height = pick(rng, [*_CONCRETE, *_SHEET]), float(rng.uniform(14, 24)), float(rng.uniform(5.0, 8.5))
    builder.quads(_walls_corners(width, depth, -_FOUNDATION, height), Material.CLADDING, wall, seed)
    if rng.random() < 0.4:
        _gable_roof(builder, width, depth, height - 0.1, 1.8, pick(rng, _SHEET), wall, seed, overhang=0.2)
    else:
        _flat_roof(builder, detail, rng, width, depth, height, wall)
    if rng.random() < 0.4:
        span = width * 0.5
        builder.quads([[(-span / 2, -0.06, 0.1), (span / 2, -0.06, 0.1), (span / 2, -0.06, 3.2), (-span / 2, -0.06, 3.2)]],
                      Material.SHOP, wall, float(rng.random()))  # fmt: skip
        builder.quads(_slab(0.0, span + 1.0, -1.6, 0.0, 3.3, 3.6), Material.FLAT_ROOF, (0.3, 0.3, 0.3))
    else:
        for x in np.arange(-width / 2 + 2.5, width / 2 - 2.0, 6.5):
            _door(detail, x, -0.06, 3.2, 3.6, pick(rng, [(0.5, 0.5, 0.52), (0.1, 0.12, 0.2), (0.35, 0.3, 0.25)]), 0.7)
    builder.quads([[(-width / 2, -0.04, height - 2.2), (width / 2, -0.04, height - 2.2), (width / 2, -0.04, height - 1.5),
                    (-width / 2, -0.04, height - 1.5)]], Material.CLADDING, pick(rng, _AWNING), seed)  # fmt: skip
    add_signboard(builder, rng, (0.0, -0.15, height - 2.4), min(9.0, width * 0.4), 1.3)
    return _with_details(builder, detail)


def make_tower(rng: np.random.Generator) -> Mesh:
    """A tall block for the skyline, 14 to 26 m wide, 16 to 60 m high."""
    builder = MeshBuilder()
    is_glass = rng.random() < 0.35
    seed, width, depth = float(rng.uniform(0.8, 1.0)), float(rng.uniform(14, 26)), float(rng.uniform(12, 18))
    height = float(rng.uniform(16, 52))
    tint = pick(rng, _TINTED_GLASS if is_glass else [*_CONCRETE, *_PLASTER[:3], *_BRICK[3:]])
    material = Material.CURTAIN_WALL if is_glass else Material.WALL
    _walls(builder, width, depth, 0.0, height, material, tint, seed, float(rng.uniform(2.4, 3.6)), 3.2, rows=3.6 if is_glass else 3.0)
    builder.quads(_walls_corners(width, depth, -5.0, 0.0), Material.BLANK_WALL, (0.3, 0.3, 0.3), seed)
    builder.quads(_roof_corners(width, depth, height), Material.FLAT_ROOF, (0.25, 0.25, 0.25), seed)
    builder.box((0, depth / 2, height), (width * 0.3, depth * 0.4, 2.5), Material.BLANK_WALL, (0.35, 0.35, 0.35), 0.9)
    if rng.random() < 0.5:
        step = float(rng.uniform(4, 9))
        builder.box((0, depth / 2, height), (width * 0.7, depth * 0.7, step), material, tint, seed)
        builder.tube((0, depth / 2, height + step), (0, depth / 2, height + step + 7.0), 0.15, Material.METAL, (0.3, 0.3, 0.3), sides=4)
    return builder.build()


def make_church(rng: np.random.Generator) -> Mesh:
    """An old church, its tower to the street: 9 m wide, 28 m deep, 22 to 34 m high."""
    builder = MeshBuilder()
    wall = np.array(_STONE) * rng.uniform(0.7, 1.15) if rng.random() < 0.7 else pick(rng, _BRICK)
    # This seed has round arches.
    arched, tile, side, top = 0.462, pick(rng, _TILE), 5.2, float(rng.uniform(13, 19))
    _walls(builder, side, side, 0.0, top, Material.BLANK_WALL, wall, 0.5)
    builder.quads(_walls_corners(side, side, -_FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, 0.5)
    belfry = _walls_corners(side, side, top - 3.4, top - 0.4) * (1.006, 1.0, 1.0)
    belfry[..., 1] = belfry[..., 1] * 1.006 - 0.015
    builder.quads(belfry, Material.WALL, wall, arched, uv=[[(0, 0), (5.6, 0), (5.6, 3), (0, 3)]] * 4)
    spire = float(rng.uniform(4, 14))
    builder.box((0, side / 2, top), (side + 0.5, side + 0.5, spire), Material.TILES, tile, 0.5, taper=(0.03, 0.03))
    _door(builder, 0.0, -0.03, 1.8, 3.0, (0.1, 0.06, 0.04), 0.3)
    nave = MeshBuilder()
    _walls(nave, 9.0, 21.0, 0.0, 7.0, Material.WALL, wall, arched, 3.5, 7.0)
    nave.quads(_walls_corners(9.0, 21.0, -_FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, 0.5)
    _cross_gable_roof(nave, 9.0, 21.0, 7.0, 5.0, tile, wall, 0.5, overhang=0.3)
    pose = np.eye(4)
    pose[1, 3] = side - 0.1
    builder.add(nave.build(), pose)
    return builder.build()


def make_petrol_station(rng: np.random.Generator) -> Mesh:
    """A canopy over two rows of pumps and a shop behind: 18 m wide, 17 m deep, free below 4.6 m between the columns."""
    builder, colour = MeshBuilder(), pick(rng, _AWNING)
    builder.box((0, 4.5, 4.6), (17.0, 8.4, 0.9), Material.CLADDING, colour, 0.7)
    for face in (-1, 1):
        add_signboard(builder, rng, (face * 5.0, 0.25, 4.65), 4.5, 0.8, colour)
    builder.quads([[(-8.4, 0.4, 4.59), (-8.4, 8.6, 4.59), (8.4, 8.6, 4.59), (8.4, 0.4, 4.59)]], Material.FLAT_ROOF, (0.6, 0.6, 0.6))
    for x in (-5.0, 5.0):
        for y in (2.6, 6.4):
            builder.box((x, y, -0.5), (0.4, 0.4, 5.2), Material.METAL, (0.5, 0.5, 0.5))
            builder.box((x + 1.1, y, 0.0), (0.9, 0.55, 1.9), Material.MATT, (0.5, 0.5, 0.48))
            builder.box((x + 1.1, y - 0.28, 1.0), (0.7, 0.03, 0.6), Material.MATT, (0.03, 0.03, 0.03))
            builder.light((x, y, 4.5), (0, 0, -1), (0.9, 0.95, 1.0), downwards=True)
    shop = MeshBuilder()
    _walls(shop, 14.0, 5.5, 0.0, 3.3, Material.SHOP, np.array((0.5, 0.5, 0.48)), float(rng.random()))
    shop.quads(_roof_corners(14.0, 5.5, 3.3), Material.FLAT_ROOF, (0.3, 0.3, 0.3))
    shop.box((0, 0.1, 3.0), (14.2, 0.4, 0.6), Material.CLADDING, colour, 0.8)
    pose = np.eye(4)
    pose[1, 3] = 11.0
    builder.add(shop.build(), pose)
    builder.box((-8.6, 0.6, 0.0), (1.6, 0.3, 5.5), Material.MATT, colour)
    for index in range(4):
        add_sign_plate(builder, (-8.6, 0.44, 1.8 + index * 0.9), 1.3, 0.7, 11, float(rng.random()), (0.03, 0.03, 0.03))
    builder.footprint(9.0, 4.5)
    return builder.build()


def make_car_park(rng: np.random.Generator, width: float, floors: int = 5) -> Mesh:
    """A multi-storey car park: open decks between parapets, 26 m deep."""
    builder, depth, storey = MeshBuilder(), 26.0, 2.9
    wall = pick(rng, [*_CONCRETE, *_SHEET[:3]])
    core = _walls_corners(width - 1.6, depth - 1.6, -_FOUNDATION, floors * storey - 1.0)
    core[..., 1] += 0.8
    # Deep shade behind the parapets.
    builder.quads(core, Material.BLANK_WALL, wall * 0.12, 0.5)
    builder.box((0, depth / 2, -0.3), (width, depth, 0.3), Material.BLANK_WALL, wall, 0.5)
    for floor in range(1, floors + 1):
        builder.box((0, depth / 2, floor * storey - 0.3), (width, depth, 1.2), Material.CLADDING, wall, 0.8)
    for x in np.linspace(-width / 2 + 0.3, width / 2 - 0.3, max(3, round(width / 7))):
        builder.box((x, 0.3, 0.0), (0.45, 0.45, floors * storey), Material.BLANK_WALL, wall * 0.9, 0.5)
    add_sign_plate(builder, (-width / 2 + 2.5, -0.12, storey * 1.2), 1.6, 1.6, 7, 0.1)
    return builder.build()


def make_scaffold(rng: np.random.Generator, width: float, height: float) -> Mesh:
    """Scaffolding before a front (y from -1.3 to 0): standards, planks, and often a net."""
    builder, steel = MeshBuilder(), (0.3, 0.3, 0.31)
    for x in np.linspace(-width / 2, width / 2, max(2, round(width / 2.4) + 1)):
        builder.tube((x, -1.25, -0.3), (x, -1.25, height), 0.03, Material.METAL, steel, sides=4)
    for z in np.arange(2.2, height, 2.0):
        builder.box((0, -0.7, z), (width, 0.9, 0.06), Material.MATT, (0.28, 0.2, 0.12))
        builder.box((0, -1.25, z + 1.0), (width, 0.05, 0.05), Material.METAL, steel)
    if rng.random() < 0.6:
        net = [[(-width / 2, -1.3, 2.0), (width / 2, -1.3, 2.0), (width / 2, -1.3, height), (-width / 2, -1.3, height)]]
        builder.quads(net, Material.WIRE_MESH, pick(rng, [(0.05, 0.2, 0.12), (0.4, 0.4, 0.4), (0.05, 0.12, 0.3)]))
    return builder.build()


def make_building_site(rng: np.random.Generator, width: float, floors: int = 4) -> Mesh:
    """A concrete frame under construction: slabs on columns, open between, 12 m deep, behind a hoarding."""
    builder, depth, storey = MeshBuilder(), 12.0, 3.3
    for floor in range(floors + 1):
        builder.box((0, depth / 2, floor * storey - 0.3), (width, depth, 0.3), Material.BLANK_WALL, (0.4, 0.39, 0.37), 0.5)
    for x in np.linspace(-width / 2 + 0.5, width / 2 - 0.5, max(3, round(width / 6))):
        for y in (0.5, depth - 0.5):
            builder.box(
                (x, y, -1.0), (0.45, 0.45, floors * storey + 1.0 + rng.uniform(0, 1.0)), Material.BLANK_WALL, (0.38, 0.37, 0.35), 0.5
            )
    core = float(rng.uniform(-0.25, 0.25)) * width
    builder.box((core, depth * 0.6, -1.0), (4.0, 4.0, floors * storey + 3.0), Material.BLANK_WALL, (0.36, 0.35, 0.34), 0.9)
    pose = np.eye(4)
    pose[1, 3] = -0.4
    builder.add(make_hoarding(rng, width), pose)
    return builder.build()


def _with_details(builder: MeshBuilder, detail: MeshBuilder) -> Mesh:
    builder.add(detail.build(coarse=MeshBuilder().build()), np.eye(4))
    return builder.build()


def _walls_corners(width: float, depth: float, low: float, high: float) -> Array:
    """Street front, right side, back, left side."""
    ring = [(-width / 2, 0.0), (width / 2, 0.0), (width / 2, depth), (-width / 2, depth)]
    return np.array([[(*a, low), (*b, low), (*b, high), (*a, high)] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)])


def _roof_corners(width: float, depth: float, height: float) -> Array:
    return np.array([[(-width / 2, 0, height), (width / 2, 0, height), (width / 2, depth, height), (-width / 2, depth, height)]])


def _slab(x: float, width: float, front: float, back: float, low: float, high: float) -> Array:
    """A canopy: sloping from `high` at the back to `low` at the front, seen from above and below."""
    left, right = x - width / 2, x + width / 2
    upper = [(left, front, low), (right, front, low), (right, back, high), (left, back, high)]
    return np.array([upper, [(a, b, c - 0.06) for a, b, c in upper[::-1]]])


def _walls(
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
    builder.quads(_walls_corners(width, depth, low, high), material, colour, seed, uv=uv)


def _box_walls(
    builder: MeshBuilder, x: float, width: float, reach: float, low: float, high: float, material: Material, colour: Array, seed: float
) -> None:
    """Front and sides of something standing `reach` metres before the front."""
    corners = _walls_corners(width, reach, low, high)[[0, 1, 3]] + np.array((x, -reach, 0.0))
    uv = [[(0, 0), (length, 0), (length, high - low), (0, high - low)] for length in (_PITCH, reach, reach)]
    builder.quads(corners, material, colour, seed, uv=uv)


def _door(builder: MeshBuilder, x: float, y: float, width: float, height: float, colour: npt.ArrayLike, seed: float) -> None:
    """A door (seed below .5) or a garage door just before a front."""
    corners = [[(x - width / 2, y, 0.0), (x + width / 2, y, 0.0), (x + width / 2, y, height), (x - width / 2, y, height)]]
    builder.quads(corners, Material.DOOR, colour, seed, uv=[[(0, 0), (1, 0), (1, 1), (0, 1)]])


def _entrance(builder: MeshBuilder, rng: np.random.Generator, x: float, has_canopy: bool = False) -> None:
    _door(builder, x, -0.03, 1.15, 2.3, pick(rng, _AWNING) * 0.6, float(rng.uniform(0, 0.5)))
    builder.box((x, -0.25, -0.2), (1.5, 0.5, 0.35), Material.BLANK_WALL, (0.4, 0.39, 0.37), 0.5)
    if has_canopy:
        builder.quads(_slab(x, 2.0, -0.85, 0.0, 2.45, 2.75), Material.TILES, pick(rng, _TILE))


def _shop_front(
    builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, depth: float, ground: float, wall: Array
) -> None:
    tint = pick(rng, _AWNING) if rng.random() < 0.5 else wall * 0.85
    _walls(builder, width, depth, 0.0, ground, Material.SHOP, tint, float(rng.random()))
    colour, kind = pick(rng, _AWNING), rng.random()
    if kind < 0.4:
        _awning(builder, rng, width, ground)
    elif kind < 0.9:
        add_signboard(detail, rng, (0.0, -0.14, ground - 0.75), width * float(rng.uniform(0.5, 0.95)), 0.6, colour)
    if rng.random() < 0.4:
        # A sign that stands out from the wall, to be read along the street.
        x, side = float(rng.choice([-0.4, 0.4])) * width, float(rng.uniform(0.5, 0.9))
        add_sign_plate(detail, (x, -0.55, ground + 0.2), 0.8, side, 13, float(rng.random()), yaw=np.pi / 2, is_double=True)


def _town_roof(
    builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, depth: float, height: float, wall: Array, seed: float
) -> None:
    kind, tile = rng.random(), pick(rng, _TILE)
    if kind < 0.35:
        rise = float(rng.uniform(2.2, 4.0))
        _gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.3)
        if rng.random() < 0.5:
            _dormers(builder, width, depth, height, rise, tile, wall, seed)
    elif kind < 0.45:
        _cross_gable_roof(builder, width, depth, height, float(rng.uniform(2.5, 4.5)), tile, wall, seed, overhang=0.15)
    elif kind < 0.6:
        _mansard(builder, width, depth, height, tile, wall, seed)
    else:
        _flat_roof(builder, detail, rng, width, depth, height, wall)
        return
    chimney = float(rng.uniform(-0.35, 0.35)) * width
    builder.box((chimney, depth * 0.45, height + 1.0), (0.7, 0.9, 3.2), Material.BLANK_WALL, pick(rng, _BRICK), 0.1)


def _flat_roof(
    builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, depth: float, height: float, wall: Array
) -> None:
    """Gravel behind a parapet, a cornice, and what stands on roofs."""
    builder.quads(_roof_corners(width, depth, height - 0.4), Material.FLAT_ROOF, (0.2, 0.2, 0.2))
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


def _gable_roof(
    builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, wall: Array, seed: float, overhang: float
) -> None:
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


def _cross_gable_roof(
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


def _hip_roof(builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, overhang: float) -> None:
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


def _dormers(builder: MeshBuilder, width: float, depth: float, low: float, rise: float, tile: Array, wall: Array, seed: float) -> None:
    count = max(1, round(width / 4.5))
    foot = low + rise * 0.22
    for index in range(count):
        x = ((index + 0.5) / count - 0.5) * width
        _dormer(builder, x, depth * 0.11, foot, min(foot + 1.5, low + rise * 0.8), depth * 0.3, tile, wall, seed)


def _dormer(
    builder: MeshBuilder, x: float, y: float, low: float, high: float, length: float, tile: Array, wall: Array, seed: float
) -> None:
    """A window that stands out of a roof, `length` metres deep."""
    corners = _walls_corners(1.4, length, low, high)[[0, 1, 3]] + np.array((x, y, 0.0))
    window, plain = ([(0.0, 0.0), (across, 0.0), (across, up), (0.0, up)] for across, up in ((_PITCH, _STOREY), (0.2, 0.2)))
    builder.quads(corners, Material.WALL, wall, seed, uv=[window, plain, plain])
    builder.quads(_slab(x, 1.7, y - 0.2, y + length, high, high + 0.25)[:1], Material.TILES, tile, seed)


def _awning(builder: MeshBuilder, rng: np.random.Generator, width: float, ground: float) -> None:
    colour, half = pick(rng, _AWNING), width * 0.44
    top, low = ground - 0.45, ground - 0.85
    cloth = [(-half, -1.3, low), (half, -1.3, low), (half, -0.02, top), (-half, -0.02, top)]
    valance = [(-half, -1.3, low - 0.22), (half, -1.3, low - 0.22), (half, -1.3, low), (-half, -1.3, low)]
    builder.quads([cloth, valance], Material.PANEL, colour, float(rng.random()))


def _balconies(
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
                front = _walls_corners(2.0, 1.0, z + 0.1, z + 1.05)[[0, 1, 3]] + np.array((x, -1.0, 0.0))
                uv = [[(0, 0), (length, 0), (length, 1), (0, 1)] for length in (2.0, 1.0, 1.0)]
                detail.quads(front, Material.IRON_RAILING, (0.03, 0.03, 0.033), uv=uv)


def _bay(
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
    corners = _walls_corners(span, 0.8, foot, high)[[0, 1, 3]] + np.array((x, -0.8, 0.0))
    rows = (high - foot) / storey * _STOREY
    front, side = ([(0.0, 0.0), (across, 0.0), (across, rows), (0.0, rows)] for across in (_PITCH, 0.3))
    builder.quads(corners, Material.WALL, wall * 0.97, seed, uv=[front, side, side])
    left, right = x - span / 2, x + span / 2
    builder.quads(
        [[(left, -0.8, high), (right, -0.8, high), (right, 0, high + 0.3), (left, 0, high + 0.3)]], Material.FLAT_ROOF, (0.2, 0.2, 0.2)
    )
    builder.quads([[(left, 0, foot), (right, 0, foot), (right, -0.8, foot), (left, -0.8, foot)]], Material.BLANK_WALL, wall * 0.5, seed)


def _air_conditioners(builder: MeshBuilder, rng: np.random.Generator, width: float, base: float, storey: float, floors: int) -> None:
    for _ in range(int(rng.integers(1, 5))):
        z = max(base, storey) + float(rng.integers(0, max(1, floors - 1))) * storey + 0.25
        builder.box((rng.uniform(-0.42, 0.42) * width, -0.2, z), (0.8, 0.35, 0.55), Material.MATT, (0.5, 0.5, 0.48))


def _garage(builder: MeshBuilder, detail: MeshBuilder, rng: np.random.Generator, width: float, wall: Array, seed: float) -> None:
    builder.box((width / 2 + 1.6, 3.3, 0), (3.2, 6.0, 2.7), Material.BLANK_WALL, wall, seed)
    _door(detail, width / 2 + 1.6, 0.27, 2.5, 2.2, pick(rng, [(0.5, 0.5, 0.5), (0.2, 0.12, 0.07), (0.1, 0.12, 0.14)]), 0.7)


def _wing(builder: MeshBuilder, x: float, width: float, reach: float, height: float, tile: Array, wall: Array, seed: float) -> None:
    """A part of the house that stands forward under a gable of its own."""
    wing = MeshBuilder()
    corners = _walls_corners(width, reach, -_FOUNDATION, height)[[0, 1, 3]]
    rows = (height + _FOUNDATION) / 2.9 * _STOREY
    low = -_FOUNDATION / 2.9 * _STOREY
    uv = [[(0, low), (length, low), (length, rows + low), (0, rows + low)] for length in (_PITCH, 0.3, 0.3)]
    wing.quads(corners, Material.WALL, wall, seed, uv=uv)
    _cross_gable_roof(wing, width, reach + 3.0, height, 1.9, tile, wall, seed, overhang=0.3)
    pose = np.eye(4)
    pose[:2, 3] = x, -reach
    builder.add(wing.build(), pose)
