# SPDX-License-Identifier: Apache-2.0
"""Street furniture: lamps, signs, traffic lights, wires, shelters, bins, fences, hoardings.

Origin on the ground, the street lies towards -y. What reaches over the street (arms, wires) hangs at 4.7 m or
higher. "Faces +x" is for things read along the street.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Mesh, MeshBuilder, pick
from ssd_core.road_world.semantics import SemanticClass

_POLE = (0.16, 0.165, 0.17)
_POLES = [_POLE, (0.35, 0.36, 0.37), (0.03, 0.05, 0.04), (0.02, 0.02, 0.022), (0.3, 0.29, 0.27)]
# Half the height of the strips that wires are drawn in: it must hold a pixel as far as wires are seen.
_WIRE_STRIP = 0.16
_BLACK = (0.012, 0.012, 0.012)
_SODIUM, _LED = (1.0, 0.62, 0.26), (1.0, 0.88, 0.7)
_BOARD = [(0.35, 0.03, 0.03), (0.03, 0.12, 0.07), (0.03, 0.06, 0.2), (0.5, 0.47, 0.4), (0.03, 0.03, 0.03), (0.55, 0.5, 0.45)]
_WOOD = [(0.22, 0.15, 0.09), (0.35, 0.25, 0.15), (0.3, 0.28, 0.25), (0.45, 0.44, 0.42)]
# Signs by number, as the shader of traffic signs knows them.
SPEED_LIMIT, NO_ENTRY, WARNING, STOP, GIVE_WAY, ARROW, PRIORITY, PARKING, DIAMOND, DIRECTIONS, STREET_NAME, NOTICE, CHEVRONS, POSTER = (
    range(14)
)
# Corners of those plates that aren't rectangles, and how far the first is turned from upwards, in steps from corner to corner.
_OUTLINES = {
    SPEED_LIMIT: (12, 0.5), NO_ENTRY: (12, 0.5), ARROW: (12, 0.5), STOP: (8, 0.5), WARNING: (3, 0.0), GIVE_WAY: (3, 0.5),
    PRIORITY: (4, 0.0), DIAMOND: (4, 0.0),
}  # fmt: skip


def add_signboard(
    builder: MeshBuilder,
    rng: np.random.Generator,
    foot: tuple[float, float, float],
    width: float,
    height: float,
    colour: npt.ArrayLike | None = None,
) -> None:
    """A board with a made-up word that faces -y and stands 14 cm out; `foot` is the middle of its lower edge, in front."""
    x, y, z = foot
    tint = pick(rng, _BOARD) if colour is None else np.asarray(colour)
    builder.box((x, y + 0.07, z), (width, 0.14, height), Material.MATT, tint * 0.8)
    letters = max(2, min(int(rng.integers(4, 10)), int(width / height * 0.92 / 0.52)))
    half, edge = width / height / 2, y - 0.005
    corners = [[(x - width / 2, edge, z), (x + width / 2, edge, z), (x + width / 2, edge, z + height), (x - width / 2, edge, z + height)]]
    builder.quads(corners, Material.SIGNBOARD, tint, letters + rng.uniform(0.02, 0.98), uv=[[(-half, 0), (half, 0), (half, 1), (-half, 1)]])


def add_sign_plate(
    builder: MeshBuilder,
    foot: tuple[float, float, float],
    width: float,
    height: float,
    kind: int,
    luck: float,
    colour: npt.ArrayLike = (0.7, 0.7, 0.7),
    yaw: float = 0.0,
    is_double: bool = False,
) -> None:
    """A plate with a sign of a kind above; `foot` is the middle of its lower edge. It faces -y, turned left by `yaw`; gray from behind."""
    if kind in _OUTLINES:
        count, first = _OUTLINES[kind]
        angle = (np.arange(count) + first) * 2 * np.pi / count + np.pi / 2
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        ring /= 1.0 if count < 8 else np.cos(np.pi / count)
    else:
        ring = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    # A fan of quads; an odd last triangle repeats its last corner.
    ring = ring if len(ring) % 2 == 0 else np.concatenate([ring, ring[-1:]])
    order = np.array([(0, index, index + 1, index + 2) for index in range(1, len(ring) - 2, 2)])
    flat = ring[order]
    side = np.array((np.cos(yaw), np.sin(yaw), 0.0))
    middle = np.array((foot[0], foot[1], foot[2] + height / 2))
    corners = middle + flat[..., :1] * side * width / 2 + flat[..., 1:] * np.array((0, 0, height / 2))
    seed = kind + 0.02 + 0.96 * luck
    builder.quads(corners, Material.TRAFFIC_SIGN, colour, seed, uv=flat)
    if is_double:
        back = corners[:, ::-1] + np.array((-np.sin(yaw), np.cos(yaw), 0.0)) * 0.06
        builder.quads(back, Material.TRAFFIC_SIGN, colour, seed, uv=flat[:, ::-1] * (-1, 1))


def make_lamp(rng: np.random.Generator, height: float, arm: float) -> Mesh:
    """A street lamp whose arm reaches over the road; its light hangs `arm` metres towards -y. One of four kinds."""
    builder, kind, pole = MeshBuilder(SemanticClass.POLE), rng.random(), pick(rng, _POLES)
    builder.tube((0, 0, 0), (0, 0, 1.1), 0.1, Material.METAL, pole, sides=6)
    builder.tube((0, 0, 1.1), (0, 0, height - 0.3), 0.07, Material.METAL, pole, end_radius=0.05, sides=6)
    if kind < 0.35:
        # A pole that bends over.
        bend = [(0, 0, height - 0.35), (0, -0.35 * arm, height + 0.12), (0, -arm, height + 0.25)]
        for start, end in itertools.pairwise(bend):
            builder.tube(start, end, 0.045, Material.METAL, pole, sides=5)
    else:
        builder.tube((0, 0, height - 0.35), (0, 0, height), 0.05, Material.METAL, pole, sides=6)
        rise = float(rng.uniform(0.05, 0.4))
        builder.tube((0, 0, height - rise), (0, -arm, height + 0.22), 0.04, Material.METAL, pole, sides=5)
    builder.box((0, -arm - 0.25, height + 0.17), (0.28, 0.75, 0.12), Material.METAL, pole, taper=(0.6, 0.9))
    builder.box((0, -arm - 0.28, height + 0.13), (0.22, 0.55, 0.05), Material.LAMP, (0.9, 0.85, 0.75))
    if kind > 0.8:
        # Lamps on both sides, as between carriageways.
        builder.tube((0, 0, height - 0.1), (0, arm, height + 0.22), 0.04, Material.METAL, pole, sides=5)
        builder.box((0, arm + 0.25, height + 0.17), (0.28, 0.75, 0.12), Material.METAL, pole, taper=(0.6, 0.9))
    colour = _SODIUM if rng.random() < 0.5 else _LED
    builder.light((0, -arm - 0.3, height), (0, 0, -1), colour, downwards=True)
    return builder.build()


def make_lantern(rng: np.random.Generator) -> Mesh:
    """A low lamp for pavements and parks, 3.4 to 4.6 m: a globe, a lantern or a mushroom on a post."""
    builder, height, pole, kind = MeshBuilder(SemanticClass.POLE), float(rng.uniform(3.4, 4.6)), pick(rng, _POLES), rng.random()
    builder.tube((0, 0, 0), (0, 0, height - 0.3), 0.06, Material.METAL, pole, end_radius=0.045, sides=6)
    if kind < 0.35:
        builder.ellipsoid((0, 0, height), (0.25, 0.25, 0.25), Material.LAMP, (0.85, 0.8, 0.7), rows=4, columns=7)
    else:
        builder.box((0, 0, height - 0.32), (0.24, 0.24, 0.4), Material.LAMP, (0.8, 0.75, 0.6), taper=(1.5, 1.5))
        builder.box((0, 0, height + 0.08), (0.46, 0.46, 0.22), Material.METAL, pole, taper=(0.15, 0.15))
    builder.light((0, 0, height - 0.3), (0, 0, -1), np.array(_LED) * 0.5, downwards=True)
    return builder.build()


def make_sign(rng: np.random.Generator) -> Mesh:
    """A traffic sign of any kind on a post, now and then two; it faces +x and reaches 0.7 m to either side."""
    builder = MeshBuilder(SemanticClass.SIGN)
    top = float(rng.uniform(2.6, 3.3))
    chances = np.array([5, 2, 3, 2, 3, 3, 2, 3, 4, 0, 0, 3, 1, 0.0])
    kind = int(rng.choice(len(chances), p=chances / chances.sum()))
    size = 0.95 if kind in (WARNING, GIVE_WAY, DIAMOND) else 0.62 if kind != STOP else 0.8
    height = {PARKING: 0.75, NOTICE: 0.8, CHEVRONS: 0.5}.get(kind, size)
    colour = pick(rng, [(0.7, 0.7, 0.68), (0.7, 0.7, 0.68), (0.02, 0.1, 0.3)])
    _post(builder, top)
    add_sign_plate(builder, (0.05, 0, top - height), size, height, kind, float(rng.random()), colour, yaw=np.pi / 2)
    if rng.random() < 0.35:
        below = NOTICE if kind != SPEED_LIMIT else WARNING
        add_sign_plate(builder, (0.05, 0, top - height - 0.5), 0.6, 0.42, below, float(rng.random()), yaw=np.pi / 2)
    return builder.build()


def make_direction_sign(rng: np.random.Generator) -> Mesh:
    """A board of directions on two posts, 2 to 3.4 m wide, 3.4 to 4.2 m high; it faces +x."""
    builder, width, height = MeshBuilder(SemanticClass.SIGN), float(rng.uniform(2.0, 3.4)), float(rng.uniform(1.3, 1.9))
    colour = pick(rng, [(0.01, 0.16, 0.08), (0.01, 0.05, 0.28), (0.7, 0.7, 0.68), (0.6, 0.45, 0.03)])
    for y in (-0.3 * width, 0.3 * width):
        builder.tube((0, y, -0.3), (0, y, 2.1 + height), 0.06, Material.METAL, (0.35, 0.35, 0.36), sides=6)
    add_sign_plate(builder, (0.08, 0, 2.2), width, height, DIRECTIONS, float(rng.random()), colour, yaw=np.pi / 2)
    return builder.build()


def make_street_name(rng: np.random.Generator) -> Mesh:
    """Two plates with names of streets on a post."""
    builder = MeshBuilder(SemanticClass.SIGN)
    _post(builder, 2.9)
    colour = pick(rng, [(0.01, 0.16, 0.08), (0.01, 0.05, 0.28), (0.7, 0.7, 0.68)])
    for level, yaw in ((2.45, 0.0), (2.7, np.pi / 2)):
        add_sign_plate(builder, (0.0, 0.0, level), 0.95, 0.2, STREET_NAME, float(rng.random()), colour, yaw=yaw, is_double=True)
    return builder.build()


def make_traffic_light(rng: np.random.Generator, reach: float) -> Mesh:
    """A traffic light with a second head on an arm over the road, lower edge at 5 m; it faces +x."""
    builder, pole = MeshBuilder(SemanticClass.POLE), pick(rng, [(0.05, 0.05, 0.05), (0.3, 0.3, 0.31), (0.45, 0.33, 0.03)])
    builder.tube((0, 0, 0), (0, 0, 5.6), 0.09, Material.METAL, pole, end_radius=0.07, sides=7)
    builder.tube((0, 0, 5.4), (0, -reach, 5.75), 0.05, Material.METAL, pole, sides=5)
    state = int(rng.choice([0, 0, 0, 0, 1, 2, 2, 2]))
    heads, housing = MeshBuilder(SemanticClass.TRAFFIC_LIGHT), pick(rng, [_BLACK, _BLACK, (0.45, 0.33, 0.03), (0.03, 0.06, 0.04)])
    has_board = rng.random() < 0.4
    for y, z in ((0.0, 2.5), (-reach, 5.0)):
        _light_head(heads, y, z, state, housing, has_board and z > 4)
    # Pedestrians' light, towards the crossing.
    heads.box((0.0, -0.16, 2.1), (0.26, 0.2, 0.55), Material.MATT, _BLACK)
    heads.box(
        (0.0, -0.27, 2.4 if state == 0 else 2.15),
        (0.14, 0.02, 0.16),
        Material.SIGNAL,
        (0.6, 0.02, 0.02) if state == 0 else (0.02, 0.5, 0.2),
    )
    builder.add(heads.build(), np.eye(4))
    return builder.build()


def make_clutter(rng: np.random.Generator) -> Mesh:
    """One of the small things on pavements: bins, cabinets, hydrants, bollards, planters, post boxes, parking meters, benches."""
    makers = (_bin, _cabinet, _hydrant, _bollards, _planter, _post_box, _parking_meter, _bench, _wheelie_bins, _advertising_pillar, _table)
    builder = MeshBuilder(SemanticClass.OBJECT)
    makers[int(rng.choice(len(makers), p=[0.16, 0.13, 0.07, 0.13, 0.12, 0.07, 0.08, 0.1, 0.07, 0.03, 0.04]))](builder, rng)
    builder.footprint(0.5, 0.35)
    return builder.build()


def make_cafe(rng: np.random.Generator, tables: int = 3) -> Mesh:
    """Tables, chairs and parasols (2.3 m) in a row along x, about 2 m each."""
    builder = MeshBuilder(SemanticClass.OBJECT)
    for index in range(tables):
        x, cloth = (index - (tables - 1) / 2) * 2.1, pick(rng, _BOARD)
        _table_at(builder, x, rng)
        if rng.random() < 0.6:
            builder.tube((x, 0, 0.6), (x, 0, 2.4), 0.025, Material.METAL, (0.4, 0.4, 0.4), sides=4)
            builder.tube((x, 0, 2.1), (x, 0, 2.5), 1.15, Material.MATT, cloth, end_radius=0.03, sides=8)
    builder.footprint(tables * 1.0, 0.7)
    return builder.build()


def make_skip(rng: np.random.Generator) -> Mesh:
    """A builder's skip, 3.4 x 1.7 m, with rubble."""
    builder, colour = MeshBuilder(SemanticClass.OBJECT), pick(rng, [(0.5, 0.38, 0.03), (0.05, 0.15, 0.3), (0.1, 0.2, 0.1)])
    builder.box((0, 0, 0.05), (2.2, 1.6, 1.2), Material.MATT, colour, float(rng.random()), taper=(1.55, 1.08))
    builder.box((0, 0, 1.15), (2.9, 1.5, 0.35), Material.MATT, (0.2, 0.17, 0.14), float(rng.random()), taper=(0.4, 0.4))
    builder.footprint(1.6, 0.85)
    return builder.build()


def make_shelter(rng: np.random.Generator) -> Mesh:
    """A bus stop, 4.2 x 1.7 m, with a poster and its flag."""
    builder, frame = MeshBuilder(SemanticClass.OBJECT), pick(rng, _POLES)
    for x in (-1.9, 1.9):
        for y in (0.0, 1.2):
            builder.tube((x, y, 0), (x, y, 2.4), 0.04, Material.METAL, frame, sides=5)
    builder.box((0, 0.5, 2.4), (4.2, 1.7, 0.12), Material.METAL, frame)
    builder.box((0, 1.2, 0.3), (3.7, 0.03, 1.8), Material.GLASS, (0.03, 0.035, 0.04))
    builder.box((0, 0.95, 0.45), (2.6, 0.35, 0.06), Material.MATT, (0.25, 0.15, 0.08))
    add_sign_plate(builder, (1.9, 0.6, 0.4), 1.15, 1.75, POSTER, float(rng.random()), yaw=np.pi / 2, is_double=True)
    builder.tube((-2.6, 0, 0), (-2.6, 0, 3.0), 0.035, Material.METAL, frame, sides=5)
    add_sign_plate(builder, (-2.6, -0.28, 2.4), 0.5, 0.55, PARKING, 0.9, yaw=np.pi / 2, is_double=True)
    builder.footprint(2.1, 0.8)
    return builder.build()


def add_wire(builder: MeshBuilder, start: npt.ArrayLike, end: npt.ArrayLike, sag: float) -> None:
    """A hanging wire, drawn a pixel thick where it is thinner, in four upright strips; the coarse mesh leaves it out."""
    first, last = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    share = np.linspace(0, 1, 5)[:, None]
    line = first + (last - first) * share - np.array((0, 0, 4 * sag)) * share * (1 - share) - (first + last) / 2
    lift = np.array((0, 0, _WIRE_STRIP))
    wire = MeshBuilder(SemanticClass.POLE)
    corners = np.stack([line[:-1] - lift, line[1:] - lift, line[1:] + lift, line[:-1] + lift], axis=1)
    uv = np.broadcast_to(np.array([(0.0, -1.0), (1.0, -1.0), (1.0, 1.0), (0.0, 1.0)]), (4, 4, 2))
    wire.quads(corners, Material.WIRE, (0.02, 0.02, 0.02), uv=uv)
    pose = np.eye(4)
    pose[:3, 3] = (first + last) / 2
    builder.add(wire.build(coarse=MeshBuilder().build()), pose)


def make_span_wire(rng: np.random.Generator, length: float, height: float = 6.5) -> Mesh:
    """A wire across the street from here to y = -length with a lamp in the middle, lowest point 0.5 m below `height`."""
    builder = MeshBuilder(SemanticClass.POLE)
    add_wire(builder, (0, 0, height), (0, -length, height), 0.35)
    builder.box((0, -length / 2, height - 0.5), (0.5, 0.3, 0.14), Material.METAL, _POLE)
    builder.box((0, -length / 2, height - 0.53), (0.4, 0.22, 0.04), Material.LAMP, (0.9, 0.85, 0.75))
    builder.light((0, -length / 2, height - 0.55), (0, 0, -1), _SODIUM if rng.random() < 0.5 else _LED, downwards=True)
    return builder.build()


def make_fence(rng: np.random.Generator, length: float) -> Mesh:
    """A railing, pickets, wire mesh, a wall or a hoarding along x, up to 2.2 m high."""
    builder, kind, seed = MeshBuilder(SemanticClass.BARRIER), rng.random(), float(rng.random())
    half = length / 2
    if kind < 0.55:
        material, low, high, palette = [
            (Material.IRON_RAILING, 0.9, 1.7, [(0.02, 0.02, 0.022), (0.03, 0.07, 0.04)]),
            (Material.PICKETS, 0.8, 1.3, [(0.6, 0.6, 0.58), *_WOOD]),
            (Material.WIRE_MESH, 1.2, 2.2, [(0.3, 0.31, 0.31), (0.05, 0.1, 0.06)]),
            (Material.FENCE, 0.9, 1.6, _WOOD),
        ][int(rng.integers(4))]
        height, colour = float(rng.uniform(low, high)), pick(rng, palette)
        corners = [[(-half, 0, 0), (half, 0, 0), (half, 0, height), (-half, 0, height)]]
        # Railings and pickets count their height in one, the others in metres.
        up = 1.0 if material in (Material.IRON_RAILING, Material.PICKETS) else height
        builder.quads(corners, material, colour, seed, uv=[[(0, 0), (length, 0), (length, up), (0, up)]])
        for x in (-half + 0.05, 0.0):
            builder.tube((x, 0, -0.4), (x, 0, height + 0.06), 0.04, Material.METAL, colour, sides=4)
    elif kind < 0.82:
        height = float(rng.uniform(0.6, 2.0))
        style = float(rng.choice([0.1, 0.5]))
        wall = pick(
            rng, [(0.3, 0.14, 0.09), (0.36, 0.24, 0.15)] if style < 0.35 else [(0.45, 0.43, 0.4), (0.4, 0.36, 0.28), (0.55, 0.52, 0.46)]
        )
        builder.box((0, 0, -1.0), (length, 0.25, height + 1.0), Material.BLANK_WALL, wall, style)
        builder.box((0, 0, height), (length, 0.34, 0.08), Material.BLANK_WALL, (0.45, 0.44, 0.42), 0.5)
    else:
        height, is_wood = float(rng.uniform(1.6, 2.2)), rng.random() < 0.6
        colour = pick(rng, _WOOD if is_wood else [(0.4, 0.42, 0.44), (0.05, 0.2, 0.14), (0.55, 0.55, 0.53)])
        builder.box((0, 0, -0.5), (length, 0.08, height + 0.5), Material.CLADDING, colour, 0.3 if is_wood else 0.7)
    return builder.build()


def make_hoarding(rng: np.random.Generator, length: float) -> Mesh:
    """A builder's hoarding along x, 2.4 m high, with posters towards -y."""
    builder = MeshBuilder(SemanticClass.BARRIER)
    builder.box((0, 0, -0.5), (length, 0.1, 2.9), Material.CLADDING, pick(rng, _BOARD), 0.7)
    for x in np.arange(-length / 2 + 1.0, length / 2 - 0.8, 1.5):
        if rng.random() < 0.5:
            add_sign_plate(builder, (float(x), -0.06, 0.8), 0.9, 1.25, POSTER, float(rng.random()))
    return builder.build()


def _post(builder: MeshBuilder, top: float) -> None:
    builder.tube((0, 0, -0.2), (0, 0, top), 0.032, Material.METAL, (0.35, 0.35, 0.36), sides=5)


def _light_head(builder: MeshBuilder, y: float, z: float, state: int, housing: npt.ArrayLike, has_board: bool) -> None:
    """Three lamps under visors before a housing; state 0 green, 1 amber, 2 red."""
    builder.box((0.14, y, z), (0.2, 0.34, 1.0), Material.MATT, housing)
    if has_board:
        builder.box((0.05, y, z - 0.12), (0.02, 0.62, 1.24), Material.MATT, _BLACK)
    for index, colour in enumerate(((0.02, 0.5, 0.2), (0.5, 0.3, 0.02), (0.6, 0.02, 0.02))):
        lit, level = index == state, z + 0.19 + 0.31 * index
        tint = colour if lit else np.array(colour) * 0.08
        builder.disc((0.245, y, level), (1, 0, 0), 0.11, Material.SIGNAL if lit else Material.MATT, tint, sides=8)
        visor = [
            [(0.24, y - 0.13, level + 0.11), (0.42, y - 0.11, level + 0.1), (0.42, y + 0.11, level + 0.1), (0.24, y + 0.13, level + 0.11)]
        ]
        builder.quads(visor, Material.MATT, housing)


def _bin(builder: MeshBuilder, rng: np.random.Generator) -> None:
    colour, seed = pick(rng, [(0.05, 0.12, 0.06), (0.08, 0.08, 0.09), (0.4, 0.3, 0.03)]), float(rng.random())
    builder.box((0, 0, 0.05), (0.5, 0.5, 0.9), Material.MATT, colour, seed, taper=(1.15, 1.1))
    builder.box((0, 0, 0.95), (0.62, 0.6, 0.1), Material.MATT, colour * 0.7, seed, taper=(0.9, 0.8))


def _cabinet(builder: MeshBuilder, rng: np.random.Generator) -> None:
    size = rng.uniform((0.6, 0.3, 0.9), (1.5, 0.5, 1.5))
    builder.box((0, 0, 0), size, Material.MATT, pick(rng, [(0.3, 0.32, 0.3), (0.12, 0.18, 0.14), (0.4, 0.38, 0.33)]), float(rng.random()))


def _hydrant(builder: MeshBuilder, rng: np.random.Generator) -> None:
    colour = pick(rng, [(0.45, 0.03, 0.02), (0.5, 0.4, 0.03)])
    builder.tube((0, 0, 0), (0, 0, 0.65), 0.12, Material.MATT, colour, sides=7)
    builder.ellipsoid((0, 0, 0.65), (0.13, 0.13, 0.12), Material.MATT, colour, rows=3, columns=7)
    builder.tube((0, -0.2, 0.45), (0, 0.2, 0.45), 0.06, Material.MATT, colour, sides=5, caps=True)


def _bollards(builder: MeshBuilder, rng: np.random.Generator) -> None:
    colour, radius = pick(rng, [(0.1, 0.1, 0.1), (0.35, 0.35, 0.36), (0.4, 0.39, 0.36)]), float(rng.uniform(0.05, 0.1))
    for x in (-1.5, 0.0, 1.5):
        builder.tube((x, 0, 0), (x, 0, 0.95), radius, Material.METAL, colour, sides=6, caps=True)
        builder.tube((x, 0, 0.72), (x, 0, 0.82), radius + 0.006, Material.SIGN, (0.7, 0.7, 0.7), sides=6)


def _planter(builder: MeshBuilder, rng: np.random.Generator) -> None:
    builder.box((0, 0, 0), (1.2, 0.6, 0.55), Material.MATT, pick(rng, [(0.35, 0.33, 0.3), *_WOOD]), float(rng.random()), taper=(1.1, 1.1))
    builder.box((0, 0, 0.45), (1.0, 0.5, 0.4), Material.LEAVES, (0.05, 0.09, 0.03), float(rng.random()), taper=(1.2, 1.2))


def _post_box(builder: MeshBuilder, rng: np.random.Generator) -> None:
    colour = pick(rng, [(0.4, 0.02, 0.02), (0.5, 0.38, 0.02), (0.02, 0.06, 0.25)])
    if rng.random() < 0.5:
        builder.tube((0, 0, 0), (0, 0, 1.4), 0.24, Material.PAINT, colour, sides=9)
        builder.ellipsoid((0, 0, 1.4), (0.27, 0.27, 0.16), Material.PAINT, colour, rows=3, columns=9)
    else:
        builder.box((0, 0, 0.55), (0.5, 0.4, 0.75), Material.PAINT, colour)
        builder.tube((0, 0, 0), (0, 0, 0.6), 0.05, Material.METAL, _POLE, sides=5)
    builder.box((0, -0.25, 1.1), (0.28, 0.04, 0.05), Material.MATT, _BLACK)


def _parking_meter(builder: MeshBuilder, rng: np.random.Generator) -> None:
    builder.tube((0, 0, 0), (0, 0, 1.1), 0.04, Material.METAL, _POLE, sides=5)
    builder.box((0, 0, 1.05), (0.24, 0.2, 0.5), Material.MATT, pick(rng, [(0.2, 0.2, 0.22), (0.1, 0.2, 0.35)]), taper=(0.8, 0.8))
    add_sign_plate(builder, (0, -0.105, 1.2), 0.18, 0.2, PARKING, 0.2)


def _bench(builder: MeshBuilder, rng: np.random.Generator) -> None:
    colour = pick(rng, _WOOD)
    builder.box((0, 0, 0.42), (1.7, 0.45, 0.06), Material.MATT, colour)
    builder.box((0, 0.24, 0.55), (1.7, 0.05, 0.35), Material.MATT, colour)
    for x in (-0.7, 0.7):
        builder.box((x, 0.05, 0), (0.07, 0.45, 0.42), Material.METAL, _POLE)


def _wheelie_bins(builder: MeshBuilder, rng: np.random.Generator) -> None:
    for index in range(int(rng.integers(1, 4))):
        colour = pick(rng, [(0.03, 0.1, 0.04), (0.02, 0.05, 0.15), (0.05, 0.05, 0.05), (0.2, 0.1, 0.03), (0.5, 0.4, 0.03)])
        builder.box(
            (index * 0.65, rng.normal(0, 0.06), 0),
            (0.5, 0.55, 1.0),
            Material.MATT,
            (0.05, 0.055, 0.05),
            taper=(1.15, 1.15),
            yaw=rng.normal(0, 0.1),
        )
        builder.box((index * 0.65, 0, 1.0), (0.6, 0.66, 0.1), Material.MATT, colour, taper=(0.95, 0.9))


def _advertising_pillar(builder: MeshBuilder, rng: np.random.Generator) -> None:
    colour = pick(rng, _BOARD)
    builder.tube((0, 0, 0), (0, 0, 2.9), 0.6, Material.MATT, colour, sides=10)
    builder.tube((0, 0, 2.9), (0, 0, 3.3), 0.7, Material.MATT, colour * 0.5, end_radius=0.2, sides=10, caps=True)
    for yaw in (0.0, 1.57, -1.57):
        place = (0.61 * np.sin(yaw), -0.61 * np.cos(yaw), 0.7)
        add_sign_plate(builder, place, 0.75, 1.2, POSTER, float(rng.random()), yaw=yaw)


def _table(builder: MeshBuilder, rng: np.random.Generator) -> None:
    _table_at(builder, 0.0, rng)


def _table_at(builder: MeshBuilder, x: float, rng: np.random.Generator) -> None:
    colour = pick(rng, [(0.1, 0.1, 0.1), (0.5, 0.5, 0.5), *_WOOD])
    builder.tube((x, 0, 0), (x, 0, 0.72), 0.03, Material.METAL, colour, sides=4)
    builder.box((x, 0, 0.72), (0.7, 0.7, 0.03), Material.MATT, colour)
    for side in (-0.65, 0.65):
        builder.box((x + side, 0, 0.44), (0.4, 0.4, 0.04), Material.MATT, colour)
        builder.box((x + side * 1.28, 0, 0.46), (0.04, 0.4, 0.42), Material.MATT, colour)
        builder.box((x + side, 0, 0), (0.3, 0.3, 0.44), Material.MATT, _BLACK, taper=(0.3, 0.3))
