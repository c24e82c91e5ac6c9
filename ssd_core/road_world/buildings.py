# SPDX-License-Identifier: Apache-2.0
"""Houses, shops, offices, blocks of flats, halls, churches, petrol stations, car parks, scaffolds.

Origin on the ground at the middle of the street front; x along the street, -y towards it. Nothing stands before the front
(y = 0) lower than 2.5 m by more than 0.9 m (steps, bays, porches), and higher up by more than 1.6 m (balconies, awnings).
Most detail is the shader's; the mesh's coarse version leaves out what is smaller than about half a metre.
"""

from __future__ import annotations

import numpy as np

from ssd_core.road_world.furniture import add_sign_plate, add_signboard, make_hoarding
from ssd_core.road_world.house_parts import (
    AWNING,
    BRICK,
    CONCRETE,
    FOUNDATION,
    PLASTER,
    TILE,
    add_air_conditioners,
    add_balconies,
    add_bay,
    add_box_walls,
    add_cross_gable_roof,
    add_door,
    add_dormers,
    add_entrance,
    add_flat_roof,
    add_gable_roof,
    add_garage,
    add_hip_roof,
    add_shop_front,
    add_town_roof,
    add_walls,
    add_wing,
    roof_corners,
    slab,
    walls_corners,
)
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Mesh, MeshBuilder, pick
from ssd_core.road_world.semantics import SemanticClass

_WOOD = [(0.45, 0.44, 0.42), (0.3, 0.2, 0.12), (0.35, 0.4, 0.42), (0.5, 0.46, 0.36), (0.2, 0.09, 0.06), (0.28, 0.32, 0.26)]
_SHEET = [(0.5, 0.52, 0.55), (0.2, 0.25, 0.35), (0.42, 0.42, 0.4), (0.28, 0.3, 0.3), (0.45, 0.2, 0.14), (0.16, 0.2, 0.18)]
_TINTED_GLASS = [(0.5, 0.6, 0.7), (0.35, 0.5, 0.5), (0.45, 0.45, 0.45), (0.3, 0.38, 0.5)]
_STONE = (0.40, 0.38, 0.34)


def make_town_house(rng: np.random.Generator, width: float, floors: int, depth: float = 12.0) -> Mesh:
    """A house of a closed street front, maybe with a shop, a bay, balconies, dormers and a cornice; about 40 to 130 quads."""
    builder, detail = MeshBuilder(SemanticClass.BUILDING), MeshBuilder(SemanticClass.BUILDING)
    # The shader reads the style from the seed: brick below .35, plaster below .8, concrete above.
    seed = float(rng.random())
    wall = pick(rng, BRICK if seed < 0.35 else PLASTER if seed < 0.8 else CONCRETE)
    storey, pitch = float(rng.uniform(2.8, 3.5)), float(rng.uniform(2.3, 3.4))
    has_shop = rng.random() < 0.5
    ground = 3.6 if has_shop else storey
    height = ground + (floors - 1) * storey + 0.5
    base = ground if has_shop else 0.0
    if has_shop:
        add_shop_front(builder, detail, rng, width, depth, ground, wall)
    else:
        add_entrance(detail, rng, rng.uniform(-0.3, 0.3) * width)
    add_walls(builder, width, depth, base, height, Material.WALL, wall, seed, pitch, storey)
    builder.quads(walls_corners(width, depth, -FOUNDATION, 0.0)[:2], Material.BLANK_WALL, wall * 0.6, seed)
    add_town_roof(builder, detail, rng, width, depth, height, wall, seed)
    columns = max(1, round(width / pitch))
    extra = rng.random()
    if extra < 0.3:
        add_balconies(builder, detail, rng, width, base, storey, floors, columns, wall)
    elif extra < 0.5 and floors > 1:
        add_bay(builder, rng, width, columns, base if has_shop else 0.0, height - 0.6, wall, seed, storey)
    if seed > 0.5 and rng.random() < 0.4:
        add_air_conditioners(detail, rng, width, base, storey, floors)
    return _with_details(builder, detail)


def make_detached_house(rng: np.random.Generator, width: float) -> Mesh:
    """A one- or two-storey house with a porch, a roof of some kind, maybe a wing or a garage; 8 to 14 m deep."""
    builder, detail = MeshBuilder(SemanticClass.BUILDING), MeshBuilder(SemanticClass.BUILDING)
    seed = float(rng.uniform(0, 0.8))
    is_wooden = rng.random() < 0.3
    wall = pick(rng, _WOOD if is_wooden else BRICK if seed < 0.35 else PLASTER)
    seed = float(rng.uniform(0.36, 0.79)) if is_wooden else seed
    depth, height = float(rng.uniform(7.5, 11.0)), float(rng.choice([3.0, 5.8, 5.8]))
    add_walls(builder, width, depth, 0.0, height, Material.WALL, wall, seed, float(rng.uniform(2.4, 3.6)), 2.9)
    builder.quads(walls_corners(width, depth, -FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, seed)
    tile = pick(rng, TILE)
    kind, rise = rng.random(), float(rng.uniform(2.2, 3.8))
    if kind < 0.5:
        add_gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.5)
    elif kind < 0.75:
        add_hip_roof(builder, width, depth, height, rise * 0.8, tile, overhang=0.5)
    else:
        add_cross_gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.4)
    if kind < 0.5 and rng.random() < 0.4:
        add_dormers(builder, width, depth, height, rise, tile, wall, seed)
    chimney = float(rng.uniform(-0.35, 0.35)) * width
    builder.box((chimney, depth * 0.45, height + 0.8), (0.7, 0.6, rise + 0.3), Material.BLANK_WALL, pick(rng, BRICK), 0.1)
    add_entrance(detail, rng, rng.uniform(-0.3, 0.3) * width, has_canopy=True)
    extra = rng.random()
    if extra < 0.4:
        add_garage(builder, detail, rng, width, wall, seed)
    elif extra < 0.6:
        wing = float(rng.uniform(3.5, 4.5))
        x = float(rng.choice([-1, 1])) * (width - wing) / 2
        add_wing(builder, x, wing, 0.9, height, tile, wall, seed)
    return _with_details(builder, detail)


def make_terrace(rng: np.random.Generator, width: float, houses: int | None = None) -> Mesh:
    """A row of equal narrow houses along `width` metres, with bays, doors and chimneys; about 22 quads a house."""
    builder, detail = MeshBuilder(SemanticClass.BUILDING), MeshBuilder(SemanticClass.BUILDING)
    count = houses or max(2, round(width / 5.2))
    each, depth, height, storey = width / count, 9.0, 5.9, 2.85
    seed = float(rng.uniform(0.02, 0.34) if rng.random() < 0.65 else rng.uniform(0.36, 0.79))
    wall, tile, rise = pick(rng, BRICK if seed < 0.35 else PLASTER), pick(rng, TILE), float(rng.uniform(2.2, 3.0))
    has_bays = rng.random() < 0.6
    add_walls(builder, width, depth, 0.0, height, Material.WALL, wall, seed, each / 2, storey)
    builder.quads(walls_corners(width, depth, -FOUNDATION, 0.0)[:2], Material.BLANK_WALL, wall * 0.6, seed)
    add_gable_roof(builder, width, depth, height, rise, tile, wall, seed, overhang=0.3)
    for index in range(count):
        left = (index - count / 2) * each
        add_door(detail, left + each * 0.25, -0.02, 0.95, 2.1, pick(rng, AWNING) * 0.6, float(rng.uniform(0, 0.5)))
        if has_bays:
            tint = wall * 0.95 if seed < 0.35 else pick(rng, PLASTER)
            add_box_walls(builder, left + each * 0.72, each * 0.42, 0.7, 0.0, 2.9, Material.WALL, tint, seed)
            builder.quads(slab(left + each * 0.72, each * 0.42 + 0.2, -0.8, 0.0, 2.9, 3.25), Material.TILES, tile, seed)
        builder.box((left, depth * 0.5, height + rise - 0.5), (1.0, 0.6, 1.5), Material.BLANK_WALL, pick(rng, BRICK), 0.1)
    return _with_details(builder, detail)


def make_flats(rng: np.random.Generator, width: float, floors: int) -> Mesh:
    """A block of flats with rows of balconies; concrete or plaster, flat roof, 13 m deep."""
    builder, detail = MeshBuilder(SemanticClass.BUILDING), MeshBuilder(SemanticClass.BUILDING)
    seed, depth, storey = float(rng.uniform(0.5, 0.92)), 13.0, 2.85
    wall, accent = pick(rng, CONCRETE if seed > 0.8 else PLASTER), pick(rng, [*CONCRETE, *AWNING])
    height = 0.6 + floors * storey
    add_walls(builder, width, depth, 0.6, height, Material.WALL, wall, seed, float(rng.uniform(2.6, 3.6)), storey)
    builder.quads(walls_corners(width, depth, -FOUNDATION, 0.6), Material.BLANK_WALL, wall * 0.6, seed)
    add_flat_roof(builder, detail, rng, width, depth, height, wall)
    add_entrance(detail, rng, 0.0, has_canopy=True)
    stacks = max(1, round(width / 9))
    for index in range(stacks):
        x, span = ((index + 0.5) / stacks - 0.5) * width, min(5.0, width / stacks * 0.6)
        for floor in range(1, floors):
            builder.box((x, -0.6, 0.6 + floor * storey - 0.15), (span, 1.2, 1.15), Material.BLANK_WALL, accent, 0.9)
        builder.box((x, 0.02, height - 0.1), (span, 1.0, 0.3), Material.BLANK_WALL, accent, 0.9)
    return _with_details(builder, detail)


def make_office(rng: np.random.Generator, width: float, floors: int, depth: float = 16.0) -> Mesh:
    """Offices of glass, or with bands of windows; the ground floor often stands back behind columns."""
    builder, detail = MeshBuilder(SemanticClass.BUILDING), MeshBuilder(SemanticClass.BUILDING)
    seed, storey, ground = float(rng.random()), 3.6, 4.4
    is_glass, stands_back = rng.random() < 0.65, rng.random() < 0.5
    tint = pick(rng, _TINTED_GLASS if is_glass else [*CONCRETE, *PLASTER[:3]])
    material, seed = (Material.CURTAIN_WALL, seed) if is_glass else (Material.WALL, float(rng.uniform(0.921, 0.999)))
    height, back = ground + (floors - 1) * storey, 2.4 if stands_back else 0.0
    add_walls(builder, width, depth, ground, height, material, tint, seed, 2.8, storey, rows=3.6 if is_glass else 3.0)
    low = walls_corners(width, depth - back, -FOUNDATION, ground)
    low[..., 1] += back
    builder.quads(low, Material.CURTAIN_WALL, tint * 0.8, seed)
    if stands_back:
        soffit = [[(-width / 2, 0, ground), (-width / 2, depth, ground), (width / 2, depth, ground), (width / 2, 0, ground)]]
        builder.quads(soffit, Material.FLAT_ROOF, (0.4, 0.4, 0.4), seed)
        for x in np.linspace(-width / 2 + 0.4, width / 2 - 0.4, max(2, round(width / 6))):
            builder.tube((x, 0.45, -1.0), (x, 0.45, ground), 0.3, Material.MATT, (0.42, 0.41, 0.4), sides=7)
    add_flat_roof(builder, detail, rng, width, depth, height, tint * 0.5)
    if rng.random() < 0.6:
        add_signboard(builder, rng, (0.0, -0.15, height - 1.5), min(7.0, width * 0.4), 1.1)
    if rng.random() < 0.4:
        # Fins or sun blinds before the glass.
        for floor in range(1, floors):
            builder.box((0, -0.25, ground + floor * storey - 0.25), (width, 0.5, 0.18), Material.METAL, (0.3, 0.3, 0.31))
    return _with_details(builder, detail)


def make_hall(rng: np.random.Generator, width: float) -> Mesh:
    """A warehouse or supermarket, 14 to 24 m deep."""
    builder, detail, seed = MeshBuilder(SemanticClass.BUILDING), MeshBuilder(SemanticClass.BUILDING), float(rng.uniform(0.5, 1.0))
    wall, depth, height = pick(rng, [*CONCRETE, *_SHEET]), float(rng.uniform(14, 24)), float(rng.uniform(5.0, 8.5))
    builder.quads(walls_corners(width, depth, -FOUNDATION, height), Material.CLADDING, wall, seed)
    if rng.random() < 0.4:
        add_gable_roof(builder, width, depth, height - 0.1, 1.8, pick(rng, _SHEET), wall, seed, overhang=0.2)
    else:
        add_flat_roof(builder, detail, rng, width, depth, height, wall)
    if rng.random() < 0.4:
        span = width * 0.5
        builder.quads([[(-span / 2, -0.06, 0.1), (span / 2, -0.06, 0.1), (span / 2, -0.06, 3.2), (-span / 2, -0.06, 3.2)]],
                      Material.SHOP, wall, float(rng.random()))  # fmt: skip
        builder.quads(slab(0.0, span + 1.0, -1.6, 0.0, 3.3, 3.6), Material.FLAT_ROOF, (0.3, 0.3, 0.3))
    else:
        for x in np.arange(-width / 2 + 2.5, width / 2 - 2.0, 6.5):
            add_door(detail, x, -0.06, 3.2, 3.6, pick(rng, [(0.5, 0.5, 0.52), (0.1, 0.12, 0.2), (0.35, 0.3, 0.25)]), 0.7)
    builder.quads([[(-width / 2, -0.04, height - 2.2), (width / 2, -0.04, height - 2.2), (width / 2, -0.04, height - 1.5),
                    (-width / 2, -0.04, height - 1.5)]], Material.CLADDING, pick(rng, AWNING), seed)  # fmt: skip
    add_signboard(builder, rng, (0.0, -0.15, height - 2.4), min(9.0, width * 0.4), 1.3)
    return _with_details(builder, detail)


def make_tower(rng: np.random.Generator) -> Mesh:
    """A tall block for the skyline, 14 to 26 m wide, 16 to 60 m high."""
    builder = MeshBuilder(SemanticClass.BUILDING)
    is_glass = rng.random() < 0.35
    seed, width, depth = float(rng.uniform(0.8, 1.0)), float(rng.uniform(14, 26)), float(rng.uniform(12, 18))
    height = float(rng.uniform(16, 52))
    tint = pick(rng, _TINTED_GLASS if is_glass else [*CONCRETE, *PLASTER[:3], *BRICK[3:]])
    material = Material.CURTAIN_WALL if is_glass else Material.WALL
    add_walls(builder, width, depth, 0.0, height, material, tint, seed, float(rng.uniform(2.4, 3.6)), 3.2, rows=3.6 if is_glass else 3.0)
    builder.quads(walls_corners(width, depth, -5.0, 0.0), Material.BLANK_WALL, (0.3, 0.3, 0.3), seed)
    builder.quads(roof_corners(width, depth, height), Material.FLAT_ROOF, (0.25, 0.25, 0.25), seed)
    builder.box((0, depth / 2, height), (width * 0.3, depth * 0.4, 2.5), Material.BLANK_WALL, (0.35, 0.35, 0.35), 0.9)
    if rng.random() < 0.5:
        step = float(rng.uniform(4, 9))
        builder.box((0, depth / 2, height), (width * 0.7, depth * 0.7, step), material, tint, seed)
        builder.tube((0, depth / 2, height + step), (0, depth / 2, height + step + 7.0), 0.15, Material.METAL, (0.3, 0.3, 0.3), sides=4)
    return builder.build()


def make_church(rng: np.random.Generator) -> Mesh:
    """An old church, its tower to the street: 9 m wide, 28 m deep, 22 to 34 m high."""
    builder = MeshBuilder(SemanticClass.BUILDING)
    wall = np.array(_STONE) * rng.uniform(0.7, 1.15) if rng.random() < 0.7 else pick(rng, BRICK)
    # This seed has round arches.
    arched, tile, side, top = 0.462, pick(rng, TILE), 5.2, float(rng.uniform(13, 19))
    add_walls(builder, side, side, 0.0, top, Material.BLANK_WALL, wall, 0.5)
    builder.quads(walls_corners(side, side, -FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, 0.5)
    belfry = walls_corners(side, side, top - 3.4, top - 0.4) * (1.006, 1.0, 1.0)
    belfry[..., 1] = belfry[..., 1] * 1.006 - 0.015
    builder.quads(belfry, Material.WALL, wall, arched, uv=[[(0, 0), (5.6, 0), (5.6, 3), (0, 3)]] * 4)
    spire = float(rng.uniform(4, 14))
    builder.box((0, side / 2, top), (side + 0.5, side + 0.5, spire), Material.TILES, tile, 0.5, taper=(0.03, 0.03))
    add_door(builder, 0.0, -0.03, 1.8, 3.0, (0.1, 0.06, 0.04), 0.3)
    nave = MeshBuilder(SemanticClass.BUILDING)
    add_walls(nave, 9.0, 21.0, 0.0, 7.0, Material.WALL, wall, arched, 3.5, 7.0)
    nave.quads(walls_corners(9.0, 21.0, -FOUNDATION, 0.0), Material.BLANK_WALL, wall * 0.6, 0.5)
    add_cross_gable_roof(nave, 9.0, 21.0, 7.0, 5.0, tile, wall, 0.5, overhang=0.3)
    pose = np.eye(4)
    pose[1, 3] = side - 0.1
    builder.add(nave.build(), pose)
    return builder.build()


def make_petrol_station(rng: np.random.Generator) -> Mesh:
    """A canopy over two rows of pumps and a shop behind: 18 m wide, 17 m deep, free below 4.6 m between the columns."""
    builder, colour = MeshBuilder(SemanticClass.BUILDING), pick(rng, AWNING)
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
    shop = MeshBuilder(SemanticClass.BUILDING)
    add_walls(shop, 14.0, 5.5, 0.0, 3.3, Material.SHOP, np.array((0.5, 0.5, 0.48)), float(rng.random()))
    shop.quads(roof_corners(14.0, 5.5, 3.3), Material.FLAT_ROOF, (0.3, 0.3, 0.3))
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
    builder, depth, storey = MeshBuilder(SemanticClass.BUILDING), 26.0, 2.9
    wall = pick(rng, [*CONCRETE, *_SHEET[:3]])
    core = walls_corners(width - 1.6, depth - 1.6, -FOUNDATION, floors * storey - 1.0)
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
    builder, steel = MeshBuilder(SemanticClass.BUILDING), (0.3, 0.3, 0.31)
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
    builder, depth, storey = MeshBuilder(SemanticClass.BUILDING), 12.0, 3.3
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
