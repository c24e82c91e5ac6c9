# SPDX-License-Identifier: Apache-2.0
"""Trees of several habits, woods, bushes, hedges, ivy, grass and flowers: trunks as tubes, crowns as clouds of leaf cards.

Origin on the ground, z up. Every tree carries a coarse version of about thirty quads. A card's seed holds two numbers:
the whole part is how many clumps of leaves fit along half its side (0: closed foliage, uv in metres), the rest its own luck.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Colour, Mesh, MeshBuilder
from ssd_core.road_world.semantics import SemanticClass

# Lorries pass below 4.5 m: a street tree has nothing lower beyond this distance from its trunk's foot.
STREET_CLEARANCE = 4.6
STREET_TRUNK_RADIUS = 1.2

_BARK = np.array([0.075, 0.06, 0.045])
_CLUMP = 0.15
_GREENS: tuple[Colour, ...] = (
    (0.050, 0.086, 0.020),
    (0.036, 0.068, 0.018),
    (0.072, 0.102, 0.024),
    (0.040, 0.072, 0.026),
    (0.058, 0.080, 0.030),
)
_AUTUMN: tuple[Colour, ...] = ((0.24, 0.13, 0.025), (0.20, 0.06, 0.02), (0.26, 0.18, 0.03))
_DARK: tuple[Colour, ...] = ((0.020, 0.042, 0.020), (0.028, 0.048, 0.026), (0.022, 0.040, 0.028))
_PETALS: tuple[Colour, ...] = ((0.5, 0.04, 0.08), (0.6, 0.45, 0.04), (0.5, 0.5, 0.5), (0.3, 0.06, 0.4), (0.55, 0.2, 0.04))


@dataclasses.dataclass(frozen=True)
class Habit:
    """How a tree grows; lengths are shares of its height."""

    trunk: float
    """Where the trunk forks."""
    middle: float
    """Height of the crown's middle."""
    reach: float
    """Half the crown's width."""
    rise: float
    """Half the crown's height."""
    lobes: int
    leaves: tuple[Colour, ...]
    density: float = 1.0


HABITS = {
    "round": Habit(0.26, 0.60, 0.34, 0.39, 9, _GREENS),
    "spreading": Habit(0.30, 0.66, 0.46, 0.33, 12, _GREENS),
    "tall": Habit(0.34, 0.66, 0.27, 0.34, 8, _GREENS),
    "columnar": Habit(0.14, 0.56, 0.16, 0.44, 12, _GREENS),
    "poplar": Habit(0.08, 0.53, 0.11, 0.46, 16, _GREENS),
    "airy": Habit(0.28, 0.62, 0.26, 0.37, 10, _GREENS, density=0.75),
    "pine": Habit(0.55, 0.80, 0.24, 0.19, 7, _DARK),
}
_STREET_HABITS = ("round", "spreading", "spreading", "tall", "airy", "columnar")


def make_tree(rng: np.random.Generator, height: float | None = None, habit: str | None = None) -> Mesh:
    """A tree of 4 to 25 m (drawn if not given); habit is one of HABITS, "conifer", "palm" or "bare", or drawn.

    Raises KeyError for a habit it doesn't know.
    """
    tall = float(rng.uniform(6.0, 16.0)) if height is None else height
    names = (*HABITS, "conifer", "bare", "palm")
    kind = habit or str(rng.choice(names, p=[0.28, 0.16, 0.16, 0.05, 0.04, 0.07, 0.07, 0.1, 0.05, 0.02]))
    if kind == "conifer":
        return _conifer(rng, tall)
    if kind == "palm":
        return _palm(rng, tall)
    if kind == "bare":
        return _broad_leaved(rng, tall, HABITS[str(rng.choice(["round", "tall", "airy"]))], is_bare=True)
    return _broad_leaved(rng, tall, HABITS[kind])


def make_street_tree(rng: np.random.Generator, height: float) -> Mesh:
    """A tree beside the road, 8 to 18 m: below STREET_CLEARANCE nothing reaches further than STREET_TRUNK_RADIUS from its foot."""
    is_bare = rng.random() < 0.06
    habit = HABITS[str(rng.choice(_STREET_HABITS))]
    raised = dataclasses.replace(habit, trunk=max(habit.trunk, 3.4 / height))
    return _broad_leaved(rng, height, raised, is_bare, clear=(STREET_TRUNK_RADIUS, STREET_CLEARANCE))


def make_young_tree(rng: np.random.Generator) -> Mesh:
    """A newly planted tree of 3 to 5 m between two stakes; its crown stays within STREET_TRUNK_RADIUS."""
    builder, tall = MeshBuilder(SemanticClass.VEGETATION), float(rng.uniform(3.2, 5.0))
    builder.tube((0, 0, -0.2), (0, 0, tall * 0.8), 0.045, Material.BARK, _BARK, end_radius=0.02, sides=5)
    for x in (-0.35, 0.35):
        builder.tube((x, 0, -0.2), (x, 0, 1.5), 0.04, Material.BARK, (0.2, 0.14, 0.08), sides=4)
    builder.quads([[(-0.35, 0, 1.2), (0.35, 0, 1.2), (0.35, 0, 1.32), (-0.35, 0, 1.32)]], Material.MATT, (0.12, 0.09, 0.06))
    centres = np.array([(0, 0, tall * share) for share in (0.58, 0.74, 0.88)])
    crown = _Crown(centres, np.array([0.62, 0.7, 0.5]), np.array((0, 0, tall * 0.72)), np.array((0.9, 0.9, tall * 0.28)))
    _leaf_cards(builder, rng, crown, _colour(rng, _GREENS), 45, coverage=1.5, clear=(STREET_TRUNK_RADIUS, 99.0))
    return builder.build()


def make_bush(rng: np.random.Generator, length: float = 1.5, height: float = 1.2, width: float = 1.0) -> Mesh:
    """A wild bush, or a wild hedge if longer than wide (along x)."""
    builder = MeshBuilder(SemanticClass.VEGETATION)
    count = max(1, round(length / max(width, 0.6)))
    across = (np.arange(count) + 0.5 - count / 2) * length / count
    tallness = height * rng.uniform(0.8, 1.1, count)
    centres = np.stack([across, rng.normal(0, 0.05, count), tallness * 0.5], axis=-1)
    leaf = _colour(rng, _GREENS)
    builder.box((0, 0, 0), (length * 0.9, width * 0.6, height * 0.7), Material.LEAVES, leaf * 0.3)
    crown = _Crown(
        centres, np.full(count, max(height, width) * 0.46), np.array((0, 0, height * 0.5)), np.array((length, width, height)) * 0.55
    )
    squash = (1.0, width / max(height, width), height / max(height, width))
    coarse = MeshBuilder(SemanticClass.VEGETATION)
    coarse.box((0, 0, 0), (length * 0.9, width * 0.7, height * 0.8), Material.LEAVES, leaf * 0.5)
    _leaf_cards(coarse, np.random.default_rng(1), crown, leaf, 3 + 3 * count, coverage=2.0, squash=squash)
    _leaf_cards(builder, rng, crown, leaf, 10 + 14 * count, coverage=2.2, squash=squash)
    return builder.build(coarse.build())


def make_hedge(rng: np.random.Generator, length: float, height: float = 1.2, width: float = 0.7) -> Mesh:
    """A trimmed hedge along x: closed foliage with a few twigs beyond the cut."""
    builder, leaf = MeshBuilder(SemanticClass.VEGETATION), _colour(rng, _GREENS)
    builder.box((0, 0, -0.3), (length, width, height + 0.3), Material.LEAVES, leaf * 0.75, seed=float(rng.random()), taper=(1.0, 0.85))
    count = round(length * 2)
    middle = np.stack(
        [rng.uniform(-0.5, 0.5, count) * length, rng.uniform(-0.5, 0.5, count) * width, np.full(count, height * 0.97)], axis=-1
    )
    up = np.broadcast_to((0.0, 0.0, 1.0), (count, 3))
    _cards(builder, rng, middle, up, rng.uniform(0.18, 0.3, count), leaf * rng.uniform(0.7, 1.1, (count, 1)), tilt=0.8)
    return builder.build()


def make_wood(rng: np.random.Generator, length: float, height: float = 14.0) -> Mesh:
    """The edge of a wood along x, seen from -y: rows of crowns over undergrowth before closed darkness.

    Two to three quads a metre, half of one from afar.
    """
    builder, leaf = MeshBuilder(SemanticClass.VEGETATION), _colour(rng, _GREENS if rng.random() < 0.75 else _DARK)
    half = length / 2
    ends, dark = half - min(2.5, half * 0.2), height * 0.36 * min(1.0, length / 24)
    back = [[(-ends, 5.0, -2.0), (ends, 5.0, -2.0), (ends, 5.0, dark), (-ends, 5.0, dark)]]
    builder.quads(back, Material.LEAVES, leaf * 0.32, float(rng.random()))
    rows = ((0.0, 0.10, 0.14, 0.9), (1.5, 0.34, 0.21, 0.8), (3.0, 0.58, 0.24, 1.0), (4.5, 0.80, 0.21, 1.15))
    for y, level, size, light in rows:
        step = height * size * 0.8
        count = max(2, round(length / step))
        x = (np.arange(count) + 0.5 + rng.uniform(-0.4, 0.4, count)) * length / count - half
        middle = np.stack([x, y + rng.uniform(-0.8, 0.8, count), height * (level + rng.uniform(-0.08, 0.08, count))], axis=-1)
        outward = _across_the_view(rng, count)
        shade = light * rng.uniform(0.65, 1.25, (count, 1)) * (1 + rng.normal(0, 0.08, (count, 3)))
        _cards(builder, rng, middle, _unit(outward), height * size * rng.uniform(0.8, 1.25, count), leaf * shade, tilt=0.25)
    for _ in range(max(1, round(length / 7))):
        place, radius = float(rng.uniform(-half, half)), float(rng.uniform(0.08, 0.2))
        builder.tube((place, 0.5, -1.0), (place + rng.normal(0, 0.4), 0.8, height * 0.7), radius, Material.BARK, _BARK * 0.8, sides=4)
    coarse = MeshBuilder(SemanticClass.VEGETATION)
    coarse.quads(back, Material.LEAVES, leaf * 0.32)
    _crown_rows(coarse, rng, length, height, leaf)
    return builder.build(coarse.build())


def make_tree_line(rng: np.random.Generator, length: float, height: float = 11.0) -> Mesh:
    """A row of trees along x, to be seen from 30 m and more: two rows of crowns, one card each, about a quad for every 2 m."""
    builder = MeshBuilder(SemanticClass.VEGETATION)
    _crown_rows(builder, rng, length, height, _colour(rng, _GREENS))
    return builder.build()


def _crown_rows(builder: MeshBuilder, rng: np.random.Generator, length: float, height: float, leaf: Array) -> None:
    count = max(2, round(length / (height * 0.36)))
    for level, share, light in ((0.3, 0.31, 0.75), (0.68, 0.28, 1.05)):
        x = (np.arange(count) + 0.5 + rng.uniform(-0.45, 0.45, count)) * length / count - length / 2
        z = height * (level + rng.uniform(-0.1, 0.1, count))
        middle = np.stack([x, rng.uniform(-1.5, 1.5, count), z], axis=-1)
        shades = leaf * light * rng.uniform(0.7, 1.25, (count, 1))
        _cards(builder, rng, middle, _unit(_across_the_view(rng, count)), height * share * rng.uniform(0.75, 1.2, count), shades, tilt=0.2)


def make_ivy(rng: np.random.Generator, width: float, height: float) -> Mesh:
    """Ivy on a wall along x that faces -y; it stands out up to 25 cm."""
    builder, leaf = MeshBuilder(SemanticClass.VEGETATION), _colour(rng, _DARK) * 1.3
    count = max(4, round(width * height / 0.9))
    share = rng.random(count) ** 1.4
    middle = np.stack(
        [rng.uniform(-0.5, 0.5, count) * width * (1 - 0.6 * share), np.full(count, -0.08), height * share * 0.94 + 0.3], axis=-1
    )
    outward = np.broadcast_to((0.0, -1.0, 0.15), (count, 3))
    _cards(builder, rng, middle, _unit(outward), rng.uniform(0.5, 0.85, count), leaf * rng.uniform(0.7, 1.2, (count, 1)), tilt=0.1)
    return builder.build()


def make_tall_grass(rng: np.random.Generator, length: float, width: float = 1.0, height: float = 0.6) -> Mesh:
    """Unmown grass along x: standing cards of blades, about three for every metre."""
    builder = MeshBuilder(SemanticClass.TERRAIN)
    tint = np.array((0.085, 0.105, 0.03)) if rng.random() < 0.6 else np.array((0.19, 0.16, 0.07))
    count = max(3, round(length * 3 * max(width, 0.5)))
    x, y, yaw = rng.uniform(-0.5, 0.5, count) * length, rng.uniform(-0.5, 0.5, count) * width, rng.uniform(-0.9, 0.9, count)
    side = np.stack([np.cos(yaw), np.sin(yaw), np.zeros(count)], axis=-1) * rng.uniform(0.3, 0.6, (count, 1))
    foot = np.stack([x, y, np.full(count, -0.05)], axis=-1)
    top = foot + np.stack([rng.normal(0, 0.1, count), rng.normal(0, 0.1, count), height * rng.uniform(0.6, 1.1, count)], axis=-1)
    corners = np.stack([foot - side, foot + side, top + side, top - side], axis=1)
    uv = np.broadcast_to(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), (count, 4, 2))
    normals = np.broadcast_to((0.0, 0.0, 1.0), (count, 4, 3))
    builder.quads(corners, Material.BLADES, tint * rng.uniform(0.7, 1.2, (count, 1)), rng.random(count), uv=uv, normals=normals)
    return builder.build()


def make_flower_bed(rng: np.random.Generator, length: float = 3.0, width: float = 1.0) -> Mesh:
    """A bed along x with a low edge, green cushions and petals of one or two colours."""
    builder = MeshBuilder(SemanticClass.VEGETATION)
    builder.box((0, 0, -0.1), (length, width, 0.24), Material.MATT, (0.06, 0.045, 0.035))
    count = max(4, round(length * width * 4))
    for palette, lift in ((_GREENS, 0.22), (_PETALS, 0.32)):
        middle = np.stack([rng.uniform(-0.45, 0.45, count) * length, rng.uniform(-0.4, 0.4, count) * width, np.full(count, lift)], axis=-1)
        up = np.broadcast_to((0.0, 0.0, 1.0), (count, 3))
        _cards(
            builder, rng, middle, up, rng.uniform(0.16, 0.28, count), _colour(rng, palette) * rng.uniform(0.7, 1.2, (count, 1)), tilt=0.7
        )
    return builder.build()


@dataclasses.dataclass(frozen=True)
class _Crown:
    """Lobes, centres (L, 3) and radii (L,), and the ellipsoid around them all."""

    centres: Array
    radii: Array
    middle: Array
    reach: Array


def _colour(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Array:
    return np.array(palette[int(rng.integers(len(palette)))]) * rng.uniform(0.75, 1.25) * (1 + rng.normal(0, 0.06, 3))


def _broad_leaved(
    rng: np.random.Generator, tall: float, habit: Habit, is_bare: bool = False, clear: tuple[float, float] | None = None
) -> Mesh:
    builder, coarse, seed = MeshBuilder(SemanticClass.VEGETATION), MeshBuilder(SemanticClass.VEGETATION), float(rng.random())
    bark, radius = _BARK * rng.uniform(0.55, 1.6), 0.013 * tall + 0.05
    lean = rng.normal(0, 0.02, 2) * tall
    fork = np.array([*lean * 0.5, tall * habit.trunk])
    builder.tube((0, 0, -0.4), fork, radius * 1.2, Material.BARK, bark, end_radius=radius * 0.85, sides=7, seed=seed)
    coarse.tube(
        (0, 0, -0.4), (*lean * 0.8, tall * habit.middle), radius * 1.1, Material.BARK, bark, end_radius=radius * 0.4, sides=4, seed=seed
    )
    crown = _crown(rng, tall, habit, lean)
    if clear is not None:
        crown.centres[:, 2] = np.maximum(crown.centres[:, 2], clear[1] + 0.2)
    for centre in crown.centres[: 7 if habit.lobes > 7 else 5]:
        start = fork + (centre - fork) * (0.0, 0.0, rng.uniform(0.0, 0.25))
        builder.tube(start - (0, 0, 0.15), centre, radius * 0.55, Material.BARK, bark, end_radius=radius * 0.12, sides=4, seed=seed)
    top = np.array([*lean, tall * (habit.middle + habit.rise * 0.55)])
    builder.tube(fork - (0, 0, 0.1), top, radius * 0.8, Material.BARK, bark, end_radius=0.02, sides=4, seed=seed)
    leaf = bark * 0.8 if is_bare else _colour(rng, _AUTUMN if rng.random() < 0.06 else habit.leaves)
    material = Material.TWIGS if is_bare else Material.LEAVES
    thick = habit.density * (0.8 if is_bare else 1.0)
    _leaf_cards(coarse, rng, crown, leaf, 24, coverage=1.5 * thick, clear=clear, material=material)
    _leaf_cards(
        builder, rng, crown, leaf, 80 if is_bare else round(110 + 60 * habit.reach), coverage=1.9 * thick, clear=clear, material=material
    )
    return builder.build(coarse.build())


def _crown(rng: np.random.Generator, tall: float, habit: Habit, lean: Array) -> _Crown:
    """Lobes on a spiral around the crown's ellipsoid, with room for sky between them."""
    count = habit.lobes
    level = (np.arange(count) + 0.5) / count * 1.7 - 0.8
    angle = np.arange(count) * 2.39996 + rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.3, count)
    around = np.sqrt(np.maximum(1 - level**2, 0.0)) * rng.uniform(0.75, 1.1, count)
    unit = np.stack([np.cos(angle) * around, np.sin(angle) * around, level], axis=-1)
    reach = np.array([habit.reach, habit.reach, habit.rise]) * tall * rng.uniform(0.88, 1.12, 3)
    middle = np.array([*lean * 0.8, tall * habit.middle])
    radii = min(reach[0], reach[2] * 1.1) * rng.uniform(0.42, 0.6, count) * (1.0 if reach[2] < 1.6 * reach[0] else 1.5)
    # No lobe sticks out of the tree's top, and none hangs to the ground.
    centres = middle + unit * reach * 0.68
    centres[:, 2] = np.clip(centres[:, 2], radii * 0.7 + 0.1 * tall * habit.trunk, tall - radii * 0.8)
    return _Crown(centres, radii, middle, reach)


def _conifer(rng: np.random.Generator, tall: float) -> Mesh:
    builder, coarse, seed = MeshBuilder(SemanticClass.VEGETATION), MeshBuilder(SemanticClass.VEGETATION), float(rng.random())
    leaf, slim = _colour(rng, _DARK), rng.uniform(0.15, 0.24)
    builder.tube((0, 0, -0.4), (0, 0, tall * 0.95), 0.018 * tall, Material.BARK, _BARK, end_radius=0.02, sides=6, seed=seed)
    for target, layers, per_layer in ((coarse, 6, 4), (builder, 11, 11)):
        share = np.repeat((np.arange(layers) + rng.uniform(-0.2, 0.2, layers)) / layers, per_layer)
        angle = rng.uniform(0, 2 * np.pi, len(share)) + np.tile(np.arange(per_layer), layers) * 2 * np.pi / per_layer
        radius = tall * slim * (1.04 - share)
        low = 0.1 * tall
        outward = np.stack([np.cos(angle), np.sin(angle), np.full(len(share), -0.15)], axis=-1)
        middle = (
            outward * (radius * rng.uniform(0.45, 0.75, len(share)))[:, None]
            + np.array([0, 0, low])
            + (tall - low) * share[:, None] * (0, 0, 0.97)
        )
        half = radius * (0.62 if per_layer > 6 else 0.85) + 0.16
        middle[:, 2] = np.maximum(middle[:, 2], half * 0.6)
        shade = rng.uniform(0.6, 1.2, len(share)) * (0.75 + 0.35 * share)
        facing = _unit(outward * 0.6 + np.array([0, 0, 0.75]))
        _cards(target, rng, middle, facing, half, leaf * shade[:, None], tilt=0.3, lighting=_unit(outward + np.array([0, 0, 0.6])))
    return builder.build(coarse.build())


def _palm(rng: np.random.Generator, tall: float) -> Mesh:
    builder, seed = MeshBuilder(SemanticClass.VEGETATION), float(rng.random())
    top = np.array([*rng.normal(0, 0.03, 2) * tall, tall * 0.82])
    builder.tube((0, 0, -0.3), top, 0.22, Material.BARK, (0.14, 0.11, 0.08), end_radius=0.14, sides=7, seed=seed)
    count, leaf = 18, _colour(rng, _GREENS)
    angle = np.arange(count) * 2.39996 + rng.uniform(0, 6.28)
    rise, length = rng.uniform(-0.2, 0.75, count), rng.uniform(0.2, 0.28, count) * min(tall, 10.0)
    outward = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=-1)
    side = np.stack([-np.sin(angle), np.cos(angle), np.zeros(count)], axis=-1) * 0.42
    shades = leaf * rng.uniform(0.7, 1.2, (count, 1))
    spine = [top + outward * (length * part)[:, None] + np.stack([0 * rise, 0 * rise, length * (rise * part - drop)], axis=-1)
             for part, drop in ((0.0, 0.0), (0.45, 0.0), (0.85, 0.3), (1.05, 0.62))]  # fmt: skip
    for index, (near, far) in enumerate(itertools.pairwise(spine)):
        corners = np.stack([near - side, near + side, far + side, far - side], axis=1)
        uv = np.broadcast_to(
            np.array([[-1.0, index / 3], [1.0, index / 3], [1.0, (index + 1) / 3], [-1.0, (index + 1) / 3]]), (count, 4, 2)
        )
        normals = np.broadcast_to(_unit(outward + np.array([0, 0, 1.2]))[:, None], (count, 4, 3))
        builder.quads(corners, Material.BLADES, shades, 1.0 + rng.random(count) * 0.9, uv=uv, normals=normals)
    return builder.build()


def _leaf_cards(
    builder: MeshBuilder,
    rng: np.random.Generator,
    crown: _Crown,
    colour: Array,
    count: int,
    coverage: float,
    squash: tuple[float, float, float] = (1.0, 1.0, 0.8),
    clear: tuple[float, float] | None = None,
    material: Material = Material.LEAVES,
) -> None:
    """`count` cards over the skin of a crown's lobes, together `coverage` times its surface; `clear` as (radius, height) of free road."""
    share = crown.radii**2 / (crown.radii**2).sum()
    lobe = np.searchsorted(np.cumsum(share), (np.arange(count) + 0.5) / count).clip(0, len(share) - 1)
    away = (crown.centres - crown.middle)[lobe] / crown.reach
    direction = _unit(rng.normal(0, 1, (count, 3)) + 1.1 * away)
    middle = crown.centres[lobe] + direction * (crown.radii[lobe] * rng.uniform(0.6, 1.0, count))[:, None] * squash
    # Cards are discs in effect: pi / 4 of their square.
    half = 0.5 * np.sqrt(4 * np.pi * (crown.radii**2).sum() * coverage / count) * rng.uniform(0.75, 1.25, count)
    out_of_crown = (middle - crown.middle) / crown.reach
    edge = np.linalg.norm(out_of_crown, axis=1)
    lighting = _unit(out_of_crown / np.maximum(edge, 1e-3)[:, None] + 0.6 * direction)
    # The inside and the underside of a crown lie in its own shade; each lobe is lighter on top.
    shade = np.clip(0.30 + 0.30 * direction[:, 2] + 0.62 * np.minimum(edge, 1.1), 0.25, 1.25) * rng.uniform(0.75, 1.25, count)
    kept = np.ones(count, dtype=bool)
    if clear is not None:
        # The farthest and the lowest that any corner of the card can be.
        span = half * np.sqrt(2)
        kept = (np.linalg.norm(middle[:, :2], axis=1) + span < clear[0]) | (middle[:, 2] - span > clear[1])
    _cards(builder, rng, middle[kept], direction[kept], half[kept], colour * shade[kept, None], 0.75, lighting[kept], material)


def _cards(
    builder: MeshBuilder,
    rng: np.random.Generator,
    middle: Array,
    outward: Array,
    half: Array,
    colours: Array,
    tilt: float,
    lighting: Array | None = None,
    material: Material = Material.LEAVES,
) -> None:
    """Square cards of half a side `half` (N,), facing `outward` (N, 3) give or take `tilt`, lit as if they faced `lighting`."""
    count = len(middle)
    facing = _unit(outward + rng.normal(0, tilt, (count, 3)))
    # Twigs run outwards, along v; leaves any way.
    along = rng.normal(0, 1, (count, 3)) if material is Material.LEAVES else outward + rng.normal(0, 0.4, (count, 3))
    facing = facing if material is Material.LEAVES else _unit(np.cross(along, rng.normal(0, 1, (count, 3))))
    side = _unit(np.cross(along, facing))
    up = np.cross(facing, side)
    size = half[:, None]
    corners = np.stack([middle + size * (a * side + b * up) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))], axis=1)
    uv = np.broadcast_to(np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]), (count, 4, 2))
    normals = np.repeat((facing if lighting is None else lighting)[:, None], 4, axis=1)
    seeds = np.maximum(np.rint(half / _CLUMP), 2) + rng.uniform(0.02, 0.98, count)
    builder.quads(corners, material, colours, seeds, uv=uv, normals=normals)


def _across_the_view(rng: np.random.Generator, count: int) -> Array:
    """Directions (N, 3) towards -y, but some far to either side: else a row would be slivers to those who come along it."""
    return np.stack([rng.normal(0, 1.0, count), np.full(count, -1.0), rng.uniform(0.1, 0.5, count)], axis=-1)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
