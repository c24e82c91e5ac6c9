# SPDX-License-Identifier: Apache-2.0
"""Vans, lorries of all trades, articulated lorries, buses and coaches: the walls of steel that traffic is full of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ssd_core.road_world import bodies
from ssd_core.road_world.bodies import DARK, GLASS, PAINTS, RED, Unit, Vehicle
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder, pick, yaw_pose
from ssd_core.road_world.semantics import SemanticClass

_WHITE, _STEEL, _GREY = (0.66, 0.66, 0.64), (0.55, 0.56, 0.58), (0.09, 0.09, 0.095)
_CABS = [_WHITE, _WHITE, (0.30, 0.02, 0.02), (0.02, 0.05, 0.20), (0.03, 0.10, 0.05), (0.02, 0.02, 0.022), (0.5, 0.33, 0.03),
         (0.4, 0.41, 0.42), (0.04, 0.13, 0.16), (0.5, 0.14, 0.02)]  # fmt: skip
_LOADS = [_WHITE, _WHITE, _WHITE, (0.04, 0.09, 0.28), (0.35, 0.04, 0.03), (0.05, 0.14, 0.07), (0.6, 0.42, 0.04), (0.3, 0.31, 0.33),
          (0.08, 0.2, 0.3), (0.45, 0.12, 0.02)]  # fmt: skip
_HALF = 1.25
_WHEEL = 0.5
# How far the ends of tanks bulge, metres.
_DISH = 0.5

Assemble = Callable[[MeshBuilder, bool], None]


def make_large_vehicle(rng: np.random.Generator) -> Vehicle:
    """A large vehicle, as often as one meets them in towns and around them."""
    makers = (make_van, make_box_lorry, make_articulated_lorry, make_tipper, make_flatbed, make_bus, make_coach)
    return makers[int(rng.choice(len(makers), p=[0.34, 0.15, 0.17, 0.07, 0.09, 0.12, 0.06]))](rng)


def make_van(rng: np.random.Generator) -> Vehicle:
    """A delivery van, or with windows all around a minibus."""
    length, half, roof = rng.uniform(4.9, 6.4), rng.uniform(0.95, 1.03), rng.uniform(1.92, 2.6)
    paint, seed, is_glazed = pick(rng, [_WHITE, _WHITE, *PAINTS]), float(rng.random()), rng.random() < 0.35
    end, belt, wheel = length / 2, 1.08, 0.34
    screen = end - 0.62

    def assemble(builder: MeshBuilder, is_fine: bool) -> None:
        # x, share of width, bottom, top: the nose falls away in front of the windscreen.
        stations = [(end, 0.72, 0.32, 0.72), (end - 0.06, 0.92, 0.26, 0.92), (screen, 0.99, 0.26, belt),
                    (screen - 0.78, 1.0, 0.26, roof - 0.06), (screen - 1.3, 1.0, 0.26, roof),
                    (-end + 0.1, 1.0, 0.28, roof - 0.01), (-end, 0.93, 0.3, roof - 0.1)]  # fmt: skip
        _lofted(builder, stations, half, paint, seed, is_fine, windscreen=2)
        low, high = belt + 0.08, min(belt + 0.75, roof - 0.2)
        panes = [(screen - 0.12, screen - 0.98, screen - 0.98, screen - 0.62)]
        if is_glazed:
            edges = np.linspace(screen - 1.1, -end + 0.25, 3)
            panes += [(front, back + 0.1, back + 0.1, front) for front, back in itertools.pairwise(edges)]
        for side in (-1, 1):
            for front, back, back_top, front_top in panes:
                y_low, y_high = side * (half * 0.99 + 0.012), side * (half * 0.945 + 0.012)
                builder.quads([[(front, y_low, low), (back, y_low, low), (back_top, y_high, high), (front_top, y_high, high)]],
                              Material.GLASS, GLASS, seed)  # fmt: skip
            _lamp(builder, end - 0.02, side * half * 0.68, 0.68, 0.3, 0.2, Material.HEADLIGHT)
            _lamp(builder, -end, side * half * 0.85, 1.0, 0.13, 0.45, Material.TAILLIGHT)
            if is_fine:
                builder.box((screen - 0.3, side * (half + 0.1), belt + 0.05), (0.1, 0.18, 0.3), Material.MATT, DARK, seed)
        _panel(builder, -end - 0.012, half * 0.72, belt + 0.1, min(belt + 0.65, roof - 0.3), Material.GLASS, GLASS, seed)
        _panel(builder, end + 0.012, half * 0.5, 0.42, 0.66, Material.MATT, DARK, seed)
        _wheels(builder, (end - 0.9, -end + 1.0), half * 0.99, wheel, is_fine)
        _ends(builder, end, 0.5, 0.75, is_fine, seed)
        bodies.add_beams(builder, end, 0.7)

    return Vehicle(_both(assemble, end, half), length, half + 0.12)


def make_box_lorry(rng: np.random.Generator) -> Vehicle:
    """A rigid lorry with a box, or a tank, or the drum of a concrete mixer."""
    length, roof = rng.uniform(6.5, 10.5), rng.uniform(2.9, 3.8)
    cab, load, seed, end = pick(rng, _CABS), pick(rng, _LOADS), float(rng.random()), length / 2
    kind = str(rng.choice(["box", "box", "box", "tank", "mixer"]))
    half = rng.uniform(1.1, 1.26)

    def assemble(builder: MeshBuilder, is_fine: bool) -> None:
        _cab(builder, end, 1.8, min(roof - 0.2, 2.95), half, cab, seed, is_fine)
        front, back = end - 2.0, -end
        if kind == "box":
            _box_body(builder, front, back, 0.95, roof, half, load, seed, is_fine)
        elif kind == "tank":
            _tank(builder, front, back + 0.2, 1.05, min(roof, 3.2), half - 0.08, load if seed < 0.4 else np.array(_STEEL), seed, is_fine)
        else:
            _drum(builder, front - 0.1, back + 0.5, load, seed, is_fine)
        _chassis(builder, front, back, half, (end - 1.15, *np.array([1.3, 2.6])[: 1 + (length > 8.5)] - end), seed, is_fine)
        _ends(builder, end, 0.55, 0.9, is_fine, seed)
        bodies.add_beams(builder, end, 0.8)

    return Vehicle(_both(assemble, end, half), length, half + 0.1)


def make_tipper(rng: np.random.Generator) -> Vehicle:
    """A tipper lorry: an open steel trough on three or four axles."""
    length, seed = rng.uniform(7.0, 9.0), float(rng.random())
    cab, load, end = pick(rng, _CABS), pick(rng, [_GREY, (0.4, 0.25, 0.02), (0.06, 0.15, 0.07), (0.3, 0.03, 0.02), _STEEL]), length / 2
    top = rng.uniform(2.3, 3.0)

    def assemble(builder: MeshBuilder, is_fine: bool) -> None:
        _cab(builder, end, 1.9, 2.9, _HALF, cab, seed, is_fine)
        front, back = end - 2.1, -end
        middle, size = (front + back) / 2, front - back
        builder.box((middle, 0, 1.1), (size * 0.94, 1.9, top - 1.1), Material.METAL, load, seed, taper=(1.06, 1.3))
        builder.box((middle, 0, top), (size * 0.9, 2.1, 0.05), Material.MATT, (0.16, 0.12, 0.08), seed, taper=(0.6, 0.5))
        if is_fine:
            for x in np.linspace(front - 0.4, back + 0.4, 5):
                for side in (-1, 1):
                    builder.box(
                        (float(x), side * 0.98, 1.15), (0.12, 0.12, top - 1.2), Material.METAL, load * 0.8, seed, shift=(0, side * 0.26)
                    )
        _chassis(builder, front, back, _HALF, (end - 1.2, -end + 1.1, -end + 2.4), seed, is_fine)
        _ends(builder, end, 0.55, 0.9, is_fine, seed)
        bodies.add_beams(builder, end, 0.8)

    return Vehicle(_both(assemble, end, _HALF), length, _HALF + 0.08)


def make_flatbed(rng: np.random.Generator) -> Vehicle:
    """A small lorry with drop sides and, mostly, a tarpaulin that is open behind; some have warning stripes."""
    length, half, seed = rng.uniform(5.4, 7.2), rng.uniform(1.02, 1.12), float(rng.random())
    paint, cloth, end = pick(rng, [*_CABS]), pick(rng, _LOADS), length / 2
    has_cover, has_stripes, roof = rng.random() < 0.7, rng.random() < 0.5, rng.uniform(2.3, 2.7)

    def assemble(builder: MeshBuilder, is_fine: bool) -> None:
        _cab(builder, end, 1.9, 2.1, half * 0.92, paint, seed, is_fine)
        front, back, floor = end - 2.05, -end, 0.95
        for side in (-1, 1):
            builder.box(((front + back) / 2, side * (half - 0.02), floor), (front - back, 0.05, 0.42), Material.METAL, _STEEL, seed)
        builder.box((back + 0.03, 0, floor), (0.05, half * 2, 0.42), Material.METAL, (0.6, 0.6, 0.6), seed)
        builder.box(((front + back) / 2, 0, floor - 0.05), (front - back, half * 2, 0.06), Material.MATT, _GREY, seed)
        builder.box((front - 0.03, 0, floor), (0.05, half * 2, 0.9), Material.METAL, _STEEL, seed)
        if has_cover:
            for side in (-1, 1):
                builder.box(((front + back) / 2, side * (half - 0.02), floor + 0.42), (front - back, 0.04, roof - floor - 0.42),
                            Material.PANEL, cloth, seed)  # fmt: skip
            builder.box(((front + back) / 2, 0, roof), (front - back, half * 2, 0.05), Material.MATT, cloth, seed, taper=(1.0, 0.9))
            _panel(builder, back + 0.3, half - 0.05, floor + 0.42, roof, Material.MATT, cloth * 0.25, seed)
        else:
            builder.box(((front + back) / 2, 0, floor), ((front - back) * 0.8, half * 1.5, 0.6), Material.MATT, (0.2, 0.15, 0.1), seed,
                        taper=(0.8, 0.7))  # fmt: skip
        if has_stripes:
            for number in range(8 if is_fine else 4):
                share = 8 if is_fine else 4
                y = (number + 0.5) / share * 2 * half - half
                builder.quads([[(back - 0.012, y + half / share, floor + 0.04), (back - 0.012, y - half / share, floor + 0.04),
                                (back - 0.012, y - half / share, floor + 0.2), (back - 0.012, y + half / share, floor + 0.2)]],
                              Material.SIGN, [(0.6, 0.45, 0.03), (0.55, 0.03, 0.02)][number % 2], seed)  # fmt: skip
        _chassis(builder, front, back, half, (end - 0.95, -end + 1.2), seed, is_fine, 0.38)
        _ends(builder, end, 0.5, 0.7, is_fine, seed)
        bodies.add_beams(builder, end, 0.75)

    return Vehicle(_both(assemble, end, half), length, half + 0.1)


def make_articulated_lorry(rng: np.random.Generator) -> Vehicle:
    """A tractor with a box, curtain, tank or silo trailer, which follow the road one by one."""
    cab, load, seed = pick(rng, _CABS), pick(rng, _LOADS), float(rng.random())
    kind, roof, tractor, trailer = str(rng.choice(["box", "box", "tank", "silo"])), rng.uniform(3.5, 3.95), 5.6, rng.uniform(10.0, 12.6)
    shiny = np.array(_STEEL) if rng.random() < 0.4 else np.array(_WHITE)
    half = 1.26

    def pull(builder: MeshBuilder, is_fine: bool) -> None:
        end = tractor / 2
        _cab(builder, end, 2.2, 3.5, half, cab, seed, is_fine)
        if is_fine:
            builder.box((end - 1.9, 0, 3.2), (0.9, 2.2, 0.5), Material.PAINT, cab, seed, taper=(0.6, 0.9), shift=(-0.2, 0))
        _chassis(builder, end - 2.3, -end, half, (end - 1.3, -end + 1.0), seed, is_fine, tail=False)
        bodies.add_beams(builder, end, 0.8)
        builder.footprint(end, half)

    def follow(builder: MeshBuilder, is_fine: bool) -> None:
        end = trailer / 2
        if kind == "box":
            _box_body(builder, end, -end, 1.05, roof, half, load, seed, is_fine)
        else:
            low, top, belly = (1.15, roof - 0.3, 0.0) if kind == "tank" else (1.0, roof, 0.55)
            _tank(builder, end, -end + 0.15, low, top, half - 0.02, shiny, seed, is_fine, belly)
        _chassis(builder, end - 1.0, -end, half, tuple(-end + 0.9 + 1.31 * np.arange(3)), seed, is_fine)
        if is_fine:
            _hoses(builder, end - 4.2, -end + 4.4, half)
        _ends(builder, end, None, 0.9, is_fine, seed)
        builder.footprint(end, half)

    # The trailer's nose stands over the tractor's rear axle.
    overlap = 2.0
    length = tractor + trailer - overlap
    ahead, behind = (length - tractor) / 2, -(length - trailer) / 2
    pieces = [(_both(pull, 0, 0), ahead, tractor), (_both(follow, 0, 0), behind, trailer)]
    straight, coarse = MeshBuilder(SemanticClass.LARGE_VEHICLE), MeshBuilder(SemanticClass.LARGE_VEHICLE)
    for mesh, shift, _ in pieces:
        straight.add(Mesh(mesh.vertices, mesh.lights, mesh.footprints), yaw_pose(shift, 0.0))
        assert mesh.coarse is not None
        coarse.add(mesh.coarse, yaw_pose(shift, 0.0))
    units = tuple(Unit(mesh, shift, size) for mesh, shift, size in pieces)
    return Vehicle(straight.build(coarse.build()), length, half + 0.06, units)


def make_bus(rng: np.random.Generator) -> Vehicle:
    """A city bus with big panes and doors to the kerb."""
    paint = pick(rng, [(0.55, 0.05, 0.04), (0.05, 0.2, 0.4), (0.62, 0.6, 0.55), _WHITE, (0.08, 0.3, 0.14), (0.66, 0.48, 0.05)])
    return _bus(rng, rng.uniform(10.5, 12.1), 3.05, 1.05, paint, is_coach=False)


def make_coach(rng: np.random.Generator) -> Vehicle:
    """A coach: high windows over the luggage."""
    paint = pick(rng, [_WHITE, _WHITE, _STEEL, (0.6, 0.55, 0.35), (0.03, 0.06, 0.2), (0.3, 0.02, 0.03)])
    return _bus(rng, rng.uniform(10.8, 12.4), rng.uniform(3.35, 3.65), 1.65, paint, is_coach=True)


def _bus(rng: np.random.Generator, length: float, roof: float, sill: float, paint: Array, is_coach: bool) -> Vehicle:
    seed, end, half = float(rng.random()), length / 2, 1.26
    top = roof - 0.42
    trim = paint if rng.random() < 0.5 else np.array(pick(rng, _LOADS))

    def assemble(builder: MeshBuilder, is_fine: bool) -> None:
        steps = 2 if is_fine else 0
        lean = -0.12 if is_coach else -0.03
        levels = [(0.32, 0.995, 0.0), (0.8, 1.0, 0.0), (sill, 1.0, 0.0), (top, 0.985, lean), (roof - 0.12, 0.97, lean), (roof, 0.88, lean)]
        paints = (trim, paint, GLASS, paint, paint)
        materials = (Material.PAINT, Material.LETTERED if is_coach else Material.PAINT, Material.GLASS, Material.PAINT, Material.PAINT)
        _hull(builder, (length, 2 * half), 0.32, levels, materials, paints, seed, steps)
        count = 8 if is_fine else 0
        for side in (-1, 1):
            for x in np.linspace(end - 1.3, -end + 0.9, count):
                corners = [(x + 0.06, side * (half + 0.006), sill), (x - 0.06, side * (half + 0.006), sill),
                           (x - 0.06, side * (half * 0.985 + 0.006), top), (x + 0.06, side * (half * 0.985 + 0.006), top)]  # fmt: skip
                builder.quads([corners], Material.PAINT, DARK if is_coach else paint, seed)
            _lamp(builder, end, side * half * 0.72, 0.72, 0.34, 0.2, Material.HEADLIGHT)
            _lamp(builder, -end, side * half * 0.78, 1.0, 0.2, 0.5, Material.TAILLIGHT)
            if is_fine:
                builder.box((end + 0.12, side * (half - 0.08), top - 0.75), (0.14, 0.2, 0.45), Material.MATT, DARK, seed)
        # Below the sill the windscreen reaches lower than the side panes; behind it ends higher.
        _panel(builder, end + 0.015, half * 0.82, 0.95, sill + 0.05, Material.GLASS, GLASS, seed)
        _panel(builder, -end - 0.015, half * 0.98, sill - 0.05, sill + 0.45, Material.PAINT, paint, seed)
        if not is_coach:
            _panel(builder, end + 0.02, half * 0.62, top - 0.02, top + 0.27, Material.LAMP, (0.9, 0.45, 0.05), seed)
            for x in (end - 1.0, 0.4):
                corners = [
                    (x + 0.6, -half - 0.008, 0.42),
                    (x - 0.6, -half - 0.008, 0.42),
                    (x - 0.6, -half - 0.008, top),
                    (x + 0.6, -half - 0.008, top),
                ]
                builder.quads([corners], Material.GLASS, GLASS, seed)
            builder.box((-1.0, 0, roof - 0.02), (length * 0.4, 1.7, 0.26), Material.MATT, (0.5, 0.5, 0.5), seed, taper=(0.9, 0.8))
        _wheels(builder, (end - 2.6, -end + 3.2), half + 0.012, 0.48, is_fine, hollow=half + 0.004)
        _ends(builder, end, 0.5, 0.6, is_fine, seed)
        bodies.add_beams(builder, end, 0.8)

    return Vehicle(_both(assemble, end, half), length, half + 0.06)


def _both(assemble: Assemble, half_length: float, half_width: float) -> Mesh:
    fine, coarse = MeshBuilder(SemanticClass.LARGE_VEHICLE), MeshBuilder(SemanticClass.LARGE_VEHICLE)
    assemble(fine, True)
    assemble(coarse, False)
    if half_length > 0:
        fine.footprint(half_length, half_width)
    return fine.build(coarse.build())


def _hull(
    builder: MeshBuilder,
    size: tuple[float, float],
    corner: float,
    levels: Sequence[tuple[float, float, float]],
    materials: Sequence[Material],
    colours: Sequence[npt.ArrayLike],
    seed: float,
    steps: int,
    middle: float = 0.0,
) -> None:
    """A box with rounded upright edges around x = middle: levels of (z, share of the size, shift along x), a material between each two."""
    rings = bodies.rounded_rings(size, corner if steps else 0.02, [(z, share, shift + middle) for z, share, shift in levels], steps)
    closed = np.concatenate([rings, rings[:, :1]], axis=1)
    angle = (np.arange(4)[:, None] + np.linspace(0, 1, steps + 1)) * np.pi / 2 if steps else (np.arange(4)[:, None] + 0.5) * np.pi / 2
    outward = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1).reshape(-1, 3)
    around = np.concatenate([outward, outward[:1]])
    for number, (material, colour) in enumerate(zip(materials, colours, strict=True)):
        low, high = closed[number], closed[number + 1]
        corners = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
        normals = np.stack([around[:-1], around[1:], around[1:], around[:-1]], axis=1)
        normals[..., 2] = 0.6 if number == len(materials) - 1 else 0.0
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        uv = np.stack([corners[..., 0] + 60.0, corners[..., 2]], axis=-1)
        builder.quads(corners, material, colour, seed, uv=uv, normals=normals if steps else None)
    top = closed[-1]
    half_way = len(rings[0]) // 2
    lines = np.stack([top[:half_way], top[half_way : 2 * half_way][::-1]], axis=1)
    roof = np.stack([lines[:-1, 0], lines[1:, 0], lines[1:, 1], lines[:-1, 1]], axis=1)
    builder.quads(roof, Material.MATT, np.asarray(colours[-1]) * 0.9, seed, normals=np.broadcast_to((0.0, 0.0, 1.0), roof.shape))


def _lofted(
    builder: MeshBuilder,
    stations: Sequence[tuple[float, float, float, float]],
    half: float,
    paint: Array,
    seed: float,
    is_fine: bool,
    windscreen: int,
) -> None:
    """A van's body over stations (x, share of half width, bottom, top), smooth, with a windscreen behind one of them."""
    rows = 7
    points = np.empty((len(stations), rows, 3))
    for number, (x, share, bottom, top) in enumerate(stations):
        rise = np.clip((top - 1.0) / 1.0, 0.0, 1.0)
        points[number, :, 0] = x
        points[number, :, 1] = np.array([0.93, 1.0, 1.0, 0.99, 0.965 - 0.04 * rise, 0.88 - 0.04 * rise, 0.0]) * half * share
        points[number, :, 2] = [
            bottom,
            bottom + 0.12,
            bottom + (top - bottom) * 0.4,
            bottom + (top - bottom) * 0.7,
            top - 0.1,
            top,
            top + 0.03,
        ]
    materials = np.full((len(stations) - 1, rows - 1), int(Material.PAINT))
    materials[:, 0] = Material.MATT
    materials[windscreen, 5] = Material.GLASS
    ends = np.full((2, rows - 1), int(Material.PAINT))
    ends[:, 0] = Material.MATT
    skin = bodies.Skin(points, materials, ends)
    if not is_fine:
        skin = skin.thinned(tuple(range(len(stations))), (0, 1, 4, 5, 6))
    bodies.add_skin(builder, skin, {Material.PAINT: paint, Material.MATT: DARK, Material.GLASS: GLASS}, seed)


def _cab(builder: MeshBuilder, end: float, depth: float, roof: float, half: float, paint: Array, seed: float, is_fine: bool) -> None:
    """A driver's cab over its wheels, its front at x = end."""
    sill, top = 1.5 if roof > 2.4 else 1.25, min(roof - 0.35, 2.5)
    middle = end - depth / 2
    levels = [(0.45, 1.0, 0.0), (1.0, 1.0, 0.0), (sill, 1.0, 0.0), (top, 0.96, -0.05), (roof - 0.12, 0.93, -0.08), (roof, 0.84, -0.12)]
    if roof > 3.2:
        levels[4] = (roof - 0.4, 0.93, -0.08)
    _hull(builder, (depth, 2 * half), 0.22, levels, (Material.PAINT,) * 5, (paint * 0.9, *(paint,) * 4), seed, 2 if is_fine else 0, middle)
    corners = [(end + 0.015, -half * 0.86, sill), (end + 0.015, half * 0.86, sill),
               (end - 0.05 - depth * 0.02 + 0.02, half * 0.8, top), (end - 0.05 - depth * 0.02 + 0.02, -half * 0.8, top)]  # fmt: skip
    builder.quads([corners], Material.GLASS, GLASS, seed)
    _panel(builder, end + 0.012, half * 0.72, 0.62, sill - 0.18, Material.MATT, DARK, seed)
    _panel(builder, end + 0.014, half * 0.95, 0.36, 0.56, Material.MATT, _GREY, seed)
    for side in (-1, 1):
        low, high = side * (half + 0.012), side * (half * 0.965 + 0.012)
        window = [(end - 0.12, low, sill), (end - 1.0, low, sill), (end - 1.0, high, top - 0.08), (end - 0.25, high, top - 0.08)]
        builder.quads([window], Material.GLASS, GLASS, seed)
        _lamp(builder, end + 0.006, side * half * 0.78, 0.68, 0.36, 0.18, Material.HEADLIGHT)
        if is_fine:
            builder.box((end - 0.02, side * (half + 0.14), sill + 0.1), (0.08, 0.22, 0.55), Material.MATT, DARK, seed)
            builder.box((end - 0.05, side * half * 0.4, roof - 0.06), (0.06, 0.5, 0.04), Material.MATT, DARK, seed)
            builder.box((end - depth * 0.68, side * half * 0.99, 0.35), (0.7, 0.08, 0.3), Material.MATT, _GREY, seed)


def _box_body(
    builder: MeshBuilder, front: float, back: float, low: float, roof: float, half: float, load: Array, seed: float, is_fine: bool
) -> None:
    """A box or curtain with ribs and lettering, framed behind by posts and a double door."""
    builder.box(((front + back) / 2, 0, low), (front - back, half * 2, roof - low), Material.LETTERED, load, seed)
    if is_fine:
        for side in (-1, 1):
            builder.box((back, side * (half - 0.05), low), (0.05, 0.1, roof - low), Material.METAL, _STEEL, seed)
            builder.box((back - 0.015, side * half * 0.35, low), (0.03, 0.03, roof - low - 0.1), Material.METAL, _STEEL, seed)
            builder.box(((front + back) / 2, side * half, low - 0.06), (front - back, 0.05, 0.1), Material.METAL, _STEEL, seed)
        builder.box((back - 0.01, 0, low), (0.03, 0.02, roof - low), Material.MATT, DARK, seed)
        builder.box((back, 0, roof - 0.1), (0.05, half * 2, 0.1), Material.METAL, _STEEL, seed)


def _tank(
    builder: MeshBuilder, front: float, back: float, low: float, top: float, half: float, colour: Array, seed: float, is_fine: bool,
    belly: float = 0.0,
) -> None:  # fmt: skip
    """An oval vessel with dished ends; with a `belly` it hangs deeper in the middle, like silos for cement."""
    # Dished ends: a quarter of an ellipse from the apex to the wall.
    dish = np.array([0.0, 0.5, 0.8, 0.96, 1.0]) if is_fine else np.array([0.0, 0.8, 1.0])
    depth = _DISH * (1 - np.sqrt(1 - dish**2))
    x = np.concatenate([front - depth, [(front + back) / 2], (back + depth)[::-1]])
    share = np.concatenate([dish, [1.0], dish[::-1]])
    ahead = np.sign(x - x.mean()) * np.sqrt(1 - share**2) / _DISH
    sides = 16 if is_fine else 8
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    deeper = belly * np.clip(1 - np.abs(x - x.mean()) / (np.ptp(x) * 0.42), 0.0, 1.0)
    deeper -= belly * 0.8
    middle, high = (low + top) / 2, (top - low) / 2
    down = np.minimum(np.sin(angle), 0.0)
    # A little squarer than an ellipse.
    y, z = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8 * half, np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.9 * high
    grid = np.stack([np.broadcast_to(x[:, None], (len(x), sides + 1)), share[:, None] * y,
                     middle + share[:, None] * (z + deeper[:, None] * down)], axis=-1)  # fmt: skip
    corners = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=2)
    outward = np.stack([np.broadcast_to(ahead[:, None], grid.shape[:2]), share[:, None] * np.cos(angle) / half,
                        share[:, None] * np.sin(angle) / high], axis=-1)  # fmt: skip
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    normals = np.stack([outward[:-1, :-1], outward[:-1, 1:], outward[1:, 1:], outward[1:, :-1]], axis=2)
    # Lettering reads from the left on both sides.
    is_left = corners[..., 1].mean(axis=-1, keepdims=True) > 0
    uv = np.stack([np.where(is_left, front - corners[..., 0], corners[..., 0] - back), corners[..., 2] - 0.8], axis=-1)
    uv[[*range(len(dish) - 1), *range(1 - len(dish), 0)]] += (50.0, 0.0)
    builder.quads(corners, Material.TANK, colour, seed, uv=uv.reshape(-1, 4, 2), normals=normals.reshape(-1, 4, 3))
    if is_fine:
        builder.box((float(x.mean()), 0, top - 0.03), (float(np.ptp(x)) * 0.75, 0.5, 0.08), Material.METAL, _STEEL, seed)
        for position in np.linspace(front - 1.5, back + 1.5, 4):
            builder.tube((float(position), 0, top), (float(position), 0, top + 0.16), 0.25, Material.METAL, _STEEL, sides=8, caps=True)


def _drum(builder: MeshBuilder, front: float, back: float, colour: Array, seed: float, is_fine: bool) -> None:
    """A concrete mixer's drum, its mouth up behind."""
    sides = 16 if is_fine else 8
    places = [(front, 1.75, 0.45), (front - 0.5, 1.85, 1.0), (front - 2.0, 2.15, 1.15), (back + 0.6, 2.55, 0.75), (back, 2.75, 0.4)]
    for (x, z, radius), (next_x, next_z, next_radius) in itertools.pairwise(places):
        builder.tube((x, 0, z), (next_x, 0, next_z), radius, Material.TANK, colour, end_radius=next_radius, sides=sides, seed=seed)
    builder.disc((back, 0, 2.75), (-1, 0, 0.3), 0.4, Material.MATT, DARK, sides=8)
    builder.box((back - 0.1, 0, 1.3), (0.5, 0.7, 1.0), Material.METAL, _STEEL, seed, taper=(0.5, 1.2))


def _chassis(
    builder: MeshBuilder,
    front: float,
    back: float,
    half: float,
    axles: Sequence[float],
    seed: float,
    is_fine: bool,
    radius: float = _WHEEL,
    tail: bool = True,
) -> None:
    """Frame, wheels with mudguards, tanks and the rails at the side that keep people out."""
    builder.box(((front + back) / 2, 0, radius + 0.12), (front - back, 0.95, 0.32), Material.MATT, DARK, seed)
    _wheels(builder, axles, half, radius, is_fine)
    if tail:
        builder.box((back + 0.1, 0, 0.5), (0.1, half * 1.9, 0.14), Material.METAL, (0.3, 0.3, 0.3), seed)
        for side in (-1, 1):
            _lamp(builder, back + 0.03, side * half * 0.75, 0.72, 0.42, 0.13, Material.TAILLIGHT)
    if not is_fine:
        return
    behind = [x for x in axles if x < front]
    for x in behind:
        for side in (-1, 1):
            builder.box((x, side * (half - 0.2), radius * 2 + 0.06), (radius * 2.3, 0.36, 0.05), Material.MATT, DARK, seed)
    room = front - 0.3 - (max(behind) + radius + 0.3)
    if room > 0.8:
        for side in (-1, 1):
            builder.box(
                (front - 0.3 - room / 2, side * (half - 0.25), 0.5),
                (room * 0.6, 0.4, 0.45),
                Material.METAL,
                _STEEL if side > 0 else _GREY,
                seed,
            )
            for z in (0.5, 0.8):
                builder.box((front - 0.3 - room / 2, side * (half - 0.03), z), (room, 0.03, 0.1), Material.METAL, _STEEL, seed)


def _hoses(builder: MeshBuilder, front: float, back: float, half: float) -> None:
    for side in (-1, 1):
        for z in (0.95, 1.12):
            builder.tube((front, side * (half - 0.1), z), (back, side * (half - 0.1), z), 0.07, Material.RUBBER, DARK, sides=6)


def _wheels(builder: MeshBuilder, axles: Sequence[float], half: float, radius: float, is_fine: bool, hollow: float | None = None) -> None:
    for x in axles:
        for side in (-1.0, 1.0):
            if hollow is not None:
                reach, y = radius * 1.16, side * hollow
                arch = [
                    (x - reach, y, 0.3),
                    (x + reach, y, 0.3),
                    (x + reach * 0.75, y, radius * 2.12),
                    (x - reach * 0.75, y, radius * 2.12),
                ]
                builder.quads([arch], Material.MATT, DARK)
            if is_fine and radius > 0.4:
                # Steered wheels bulge, driven and pulled ones are hollow.
                bodies.add_steel_wheel(builder, x, side * half, radius, 0.3, 0.05 if x == max(axles) and x > 0 else -0.1)
            elif is_fine:
                bodies.add_wheel(builder, x, side * half, radius, 0.22, 0.13)
            else:
                bodies.add_flat_wheel(builder, x, side * (half + 0.01), radius, 0.13)


def _lamp(builder: MeshBuilder, x: float, y: float, z: float, width: float, height: float, material: Material) -> None:
    """A lamp on the face at x, its middle at y and its foot at z."""
    way = 1.0 if x > 0 else -1.0
    colour = bodies.CLEAR_LAMP if material is Material.HEADLIGHT else RED
    builder.box((x + way * 0.01, y, z), (0.04, width, height), material, colour)


def _panel(
    builder: MeshBuilder, x: float, half: float, low: float, high: float, material: Material, colour: npt.ArrayLike, seed: float
) -> None:
    """An upright rectangle across the front or the rear."""
    y = half if x > 0 else -half
    builder.quads([[(x, -y, low), (x, y, low), (x, y, high), (x, -y, high)]], material, colour, seed)


def _ends(builder: MeshBuilder, end: float, front_plate: float | None, rear_plate: float, is_fine: bool, seed: float) -> None:
    """Number plates in front, unless there is no front plate, and behind."""
    if not is_fine:
        return
    if front_plate is not None:
        bodies.add_plate(builder, end + 0.03, front_plate, seed)
    bodies.add_plate(builder, -end - 0.02, rear_plate, seed)
