# SPDX-License-Identifier: Apache-2.0
"""The ground's mesh: strips of lanes, kerbs, pavements and land along a road, and crossroads.

In the colour columns of road strips stand the t of the right and the left edge and the number of `markings.code_of`;
in those of pavements, kerbs and land the style that the shader paints. uv are road coordinates.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ssd_core.road_world.markings import SYMBOL_LENGTH, Line, Surface, Symbol, code_of
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, MeshBuilder
from ssd_core.road_world.road import Road

# The modelled land ends this far from the centre line; from the second number on it falls below the far land.
LAND_EDGE, LAND_REACH = 52.0, 76.0
FAR_LAND_DROP = 6.0
_KERB_FACE, _KERB_TOP = 0.02, 0.16
# How far a strip may leave the true curve between two stations, metres.
_SAGITTA = 0.025

LAWN, ROUGH, FIELD, SOIL, GRAVEL, DRY = (float(style) for style in range(6))
SLABS, BRICKS, ASPHALT_WALK, PLATES = (float(style) for style in range(4))


class Strip(NamedTuple):
    """From t = right to t = left, at heights above the ground of `rise`; style fills the colour columns."""

    right: float
    left: float
    low: float
    high: float
    material: Material
    style: tuple[float, float, float]
    lane: int | None = None
    """Which lane of which side: +(lane + 1) oncoming (left), -(lane + 1) own."""


@dataclasses.dataclass(frozen=True)
class Junction:
    """A side street at s, half as wide as given, to the sides in `sides` (-1: right)."""

    s: float
    half_width: float
    has_zebra: bool
    sides: tuple[int, ...] = (-1, 1)
    reach: float = 110.0


class Surveyor(Protocol):
    """Knows where road coordinates lie: a road, or a side street."""

    def point(self, s: npt.ArrayLike, t: npt.ArrayLike, height: npt.ArrayLike) -> Array:
        """World points (..., 3)."""


Rise = Callable[[Array, Array], Array]


def lay_strips(
    builder: MeshBuilder, place: Surveyor, s: Array, strips: Iterable[Strip], rise: Rise | None, seed: float, origin: Array
) -> None:
    """Add strips through the stations `s`, relative to `origin`; `rise` lifts them, on top of their own heights."""
    members = tuple(strips)
    if not members:
        return
    t, height, style, material = _columns(members)
    along, across = np.broadcast_arrays(s[:, None, None], t[None])
    lift = np.broadcast_to(height, along.shape)
    points = place.point(along, across, lift if rise is None else lift + rise(along, across)) - origin
    uv = np.stack([along, across], axis=-1)
    for each in np.unique(material).tolist():
        chosen = material == each
        colours = np.tile(style[chosen], (len(s) - 1, 1))
        builder.quads(_quads(points[:, chosen]), Material(each), colours, seed, uv=_quads(uv[:, chosen]))


@functools.lru_cache(maxsize=512)
def _columns(strips: tuple[Strip, ...]) -> tuple[Array, Array, Array, npt.NDArray[np.int64]]:
    """t and heights (C, 2), styles (C, 3) and materials (C,)."""
    t = np.array([[strip.right, strip.left] for strip in strips])
    height = np.array([[strip.low, strip.high] for strip in strips])
    return t, height, np.array([strip.style for strip in strips]), np.array([int(strip.material) for strip in strips])


def _quads(grid: Array) -> Array:
    """(S, C, 2, K) lines from right to left -> ((S - 1) * C, 4, K)."""
    corners = np.stack([grid[:-1, :, 0], grid[1:, :, 0], grid[1:, :, 1], grid[:-1, :, 1]], axis=2)
    return corners.reshape(-1, 4, grid.shape[-1])


def stations(road: Road, start: float, end: float) -> Array:
    """Where strips between s = start and end need a cross-section."""
    probe = np.linspace(start, end, 9)
    bend = float(np.abs(np.diff(road.heading(probe))).max()) / max(probe[1] - probe[0], 1e-6)
    step = float(np.clip(np.sqrt(8 * _SAGITTA / max(bend, 1e-6)), 4.0, 10.0))
    return np.linspace(start, end, max(2, int(np.ceil((end - start) / step - 1e-6)) + 1))


@functools.lru_cache(maxsize=64)
def carriageway(road: Road) -> tuple[Strip, ...]:
    """Everything between the kerbs, from right to left, and the kerbs of a raised reservation."""
    paint, strips = road.paint, []
    inner = road.median_width / 2
    for side in (-1, 1):
        for lane in range(road.lanes_per_direction):
            near, far = inner + lane * road.lane_width, inner + (lane + 1) * road.lane_width
            inward = paint.between if lane else (paint.centre if inner == 0 else paint.edge)
            is_last = lane == road.lanes_per_direction - 1
            outward = (
                (Line.SOLID + (paint.edge // 8) * 8 if road.shoulder_width + road.parking_width > 0 else paint.edge)
                if is_last
                else paint.between
            )
            surface = paint.outer_surface if is_last and paint.outer_surface is not None else paint.surface
            strips.append(_lane(side, near, far, inward, outward, surface, lane))
        edge = road.lanes_edge
        if road.shoulder_width > 0:
            strips.append(_lane(side, edge, edge + road.shoulder_width, Line.SOLID + (paint.edge // 8) * 8, Line.NONE, paint.surface))
            edge += road.shoulder_width
        if road.parking_width > 0:
            bays = Symbol.BAYS_ACROSS if road.parking_width > 3 else Symbol.BAYS_ALONG
            strips.append(_lane(side, edge, road.half_width, Line.SOLID, Line.NONE, paint.surface, symbol=bays))
    if road.kerb_height > 0:
        # Water has nowhere else to go.
        strips = [
            strip._replace(style=(*strip.style[:2], strip.style[2] + code_of(0, 0, Surface.ASPHALT, has_drains=True))) for strip in strips
        ]
    strips.extend(_median(road))
    return tuple(sorted(strips, key=lambda strip: strip.right))


def _lane(
    side: int, near: float, far: float, inward: int, outward: int, surface: Surface, lane: int | None = None, symbol: Symbol = Symbol.NONE
) -> Strip:
    right, left = sorted((side * near, side * far))
    code = code_of(*((inward, outward) if side > 0 else (outward, inward)), surface, symbol)
    return Strip(right, left, 0.0, 0.0, Material.ROAD, (right, left, code), None if lane is None else side * (lane + 1))


def _median(road: Road) -> list[Strip]:
    half = road.median_width / 2
    if half == 0:
        return []
    if not road.has_raised_median:
        if road.median_width < 1.6 or road.kerb_height > 0:
            return [_lane(1, -half, half, Line.SOLID, Line.SOLID, Surface.HATCHED)]
        return [Strip(-half, half, 0.0, 0.0, Material.GRASS, (ROUGH, 0.0, 0.0))]
    high = road.kerb_height
    middle = (Material.GRASS, (LAWN, 0.0, 0.0)) if road.median_width > 1.8 else (Material.PAVEMENT, (PLATES, 0.0, 0.0))
    inner = half - _KERB_TOP
    # `rise` lifts what lies inside the kerbs; their outer edge stays down.
    return [
        *(_kerb(side * half, side * (half - _KERB_FACE), 0.0, high) for side in (-1, 1)),
        *(_kerb(side * (half - _KERB_FACE), side * inner, high, high) for side in (-1, 1)),
        Strip(-inner, inner, high, high, *middle),
    ]


def _kerb(outer: float, inner: float, outer_height: float, inner_height: float, style: float = 0.0) -> Strip:
    (right, low), (left, high) = sorted(((outer, outer_height), (inner, inner_height)))
    return Strip(right, left, low, high, Material.KERB, (style, 0.0, 0.0))


@functools.lru_cache(maxsize=256)
def roadside(road: Road, side: int, walk: float, land: float) -> tuple[Strip, ...]:
    """From the kerb on one side to the end of the modelled land; heights without banks."""
    high, strips, kerb = road.kerb_height, [], road.half_width
    if high > 0:
        strips += [
            _kerb(side * kerb, side * (kerb + _KERB_FACE), 0.0, high),
            _kerb(side * (kerb + _KERB_FACE), side * (kerb + _KERB_TOP), high, high),
        ]
        kerb += _KERB_TOP
    line = road.house_line
    if line > kerb:
        if road.verge_width > 0:
            strips.append(_across(side, kerb, road.half_width + road.verge_width, high, Material.GRASS, (land, 0.0, 0.0)))
            kerb = road.half_width + road.verge_width
        material = (
            (Material.PAVEMENT, (walk, 0.0, 0.0)) if high > 0 else (Material.GRASS, (GRAVEL if road.kind != "country" else ROUGH, 0.0, 0.0))
        )
        strips.append(_across(side, kerb, line, high, *material))
    for near, far in _land_lines(road, side):
        strips.append(_across(side, near, far, high, Material.GRASS, (land, 0.0, 0.0)))
    return tuple(strips)


def _land_lines(road: Road, side: int) -> list[tuple[float, float]]:
    bank, line = road.bank(side), road.house_line
    marks = [line, 30.0, LAND_EDGE] if bank.is_flat else [line, line + bank.start, line + bank.start + bank.width, 34.0, LAND_EDGE]
    marks = sorted({mark for mark in marks if line <= mark})
    return list(itertools.pairwise(marks))


def lay_driveway(
    builder: MeshBuilder, road: Road, side: int, span: tuple[float, float], reach: float, walk: float, rise: Rise, origin: Array
) -> None:
    """Add a paved way between s = span[0] and span[1], from the kerb over the pavement to `reach` metres behind it."""
    # High enough over the land to win from afar.
    high, line = road.kerb_height + 0.04, road.house_line
    marks = [road.half_width + (_KERB_TOP if road.kerb_height > 0 else 0.0), line]
    marks += [mark for _, mark in _land_lines(road, side) if mark < line + reach] + [line + reach]
    strips = [_across(side, *pair, high, Material.PAVEMENT, (walk, 0.0, 0.0)) for pair in itertools.pairwise(marks)]
    lay_strips(builder, road, np.array(span), strips, rise, span[0] % 1.0, origin)


def _across(side: int, near: float, far: float, height: float, material: Material, style: tuple[float, float, float]) -> Strip:
    right, left = sorted((side * near, side * far))
    return Strip(right, left, height, height, material, style)


@dataclasses.dataclass(frozen=True)
class Ground:
    """What lay_ground is to lay: styles of pavement and land by side (right, left), and symbols: (s, lane, symbol), lane as in Strip."""

    walks: tuple[float, float] = (SLABS, SLABS)
    lands: tuple[float, float] = (LAWN, LAWN)
    symbols: tuple[tuple[float, int, Symbol], ...] = ()
    rise: Rise | None = None


def lay_ground(
    builder: MeshBuilder, road: Road, span: tuple[float, float], junction: Junction | None, ground: Ground, seed: float, origin: Array
) -> None:
    """Add the road and the land beside it between s = span[0] and span[1], relative to `origin` (world)."""
    sides = {side: roadside(road, side, ground.walks[side > 0], ground.lands[side > 0]) for side in (-1, 1)}
    flank = (*sides[-1], *sides[1])
    if junction is None:
        _lay(builder, road, span, flank, ground, seed, origin)
    else:
        near, far = junction.s - junction.half_width, junction.s + junction.half_width
        _lay(builder, road, (span[0], near), flank, ground, seed, origin)
        _lay(
            builder,
            road,
            (near, far),
            tuple(strip for side in (-1, 1) if side not in junction.sides for strip in sides[side]),
            ground,
            seed,
            origin,
        )
        _lay(builder, road, (far, span[1]), flank, ground, seed, origin)
        for side in junction.sides:
            _lay(builder, road, (near, far), _mouth(road, side), ground, seed, origin)
            for s in (near, far):
                _kerb_across(builder, road, s, side, 1 if s == near else -1, seed, origin)
    _lay_carriageway(builder, road, span, junction, ground, seed, origin)
    _drop_to_far_land(builder, road, span, ground, seed, origin)


def _lay(
    builder: MeshBuilder, road: Road, span: tuple[float, float], strips: tuple[Strip, ...], ground: Ground, seed: float, origin: Array
) -> None:
    lay_strips(builder, road, stations(road, *span), strips, ground.rise, seed, origin)


def _lay_carriageway(
    builder: MeshBuilder, road: Road, span: tuple[float, float], junction: Junction | None, ground: Ground, seed: float, origin: Array
) -> None:
    """Lanes, cut where symbols, stop lines, zebras and the junction itself interrupt them."""
    strips = carriageway(road)
    pieces: list[tuple[float, float, Callable[[Strip], Strip | None]]] = [
        (s, s + SYMBOL_LENGTH, functools.partial(_with_symbol, lane=lane, symbol=symbol)) for s, lane, symbol in ground.symbols
    ]
    if junction is not None:
        near, far = junction.s - junction.half_width, junction.s + junction.half_width
        stop = Material.ZEBRA if junction.has_zebra else Material.ROAD
        for edge, way, side in ((near, -1, -1), (far, 1, 1)):
            for first, last, material, of_side in (
                (0.0, 1.2, Material.JUNCTION, 0),
                (1.2, 4.4, stop, 0),
                (5.4, 5.9, Material.STOP_LINE, side),
            ):
                start, end = sorted((edge + way * first, edge + way * last))
                pieces.append((start, end, functools.partial(_as_material, material=material, side=of_side)))
        pieces.append((near, far, _as_crossing))
    pieces.sort(key=lambda piece: piece[0])
    s = span[0]
    for start, end, change in pieces:
        if start > s + 1e-6:
            _lay(builder, road, (s, start), strips, dataclasses.replace(ground, rise=None), seed, origin)
        _lay(builder, road, (start, end), tuple(filter(None, map(change, strips))), dataclasses.replace(ground, rise=None), start, origin)
        s = end
    _lay(builder, road, (s, span[1]), strips, dataclasses.replace(ground, rise=None), seed, origin)


def _with_symbol(strip: Strip, lane: int, symbol: Symbol) -> Strip:
    if strip.lane != lane:
        return strip
    return strip._replace(style=(*strip.style[:2], strip.style[2] + 2048.0 * symbol))


def _as_material(strip: Strip, material: Material, side: int) -> Strip:
    """Lanes (of one side, if not 0) become another material; the reservation stays but for the junction's own middle."""
    if strip.material is not Material.ROAD or (side and (strip.lane is None or strip.lane * side < 0)):
        return strip
    return strip._replace(material=material)


def _as_crossing(strip: Strip) -> Strip | None:
    """The middle of a junction is bare, and reservations are cut through."""
    if strip.material is Material.ROAD:
        return strip._replace(material=Material.JUNCTION)
    if strip.right < 0.0 < strip.left:
        half = max(-strip.right, strip.left) + _KERB_TOP
        return Strip(-half, half, 0.0, 0.0, Material.JUNCTION, (-half, half, code_of(0, 0, Surface.ASPHALT)))
    return None


def _mouth(road: Road, side: int) -> tuple[Strip, ...]:
    """The side street between the kerb line and the house line."""
    right, left = sorted((side * road.half_width, side * road.house_line))
    return (Strip(right, left, 0.0, 0.0, Material.JUNCTION, (right, left, code_of(0, 0, road.paint.surface))),)


def _kerb_across(builder: MeshBuilder, road: Road, s: float, side: int, facing: int, seed: float, origin: Array) -> None:
    """The step from the mouth of a side street up to the pavement; facing 1: looks towards larger s."""
    if road.kerb_height == 0:
        return
    t = side * np.array([road.half_width, road.house_line])
    low, high = road.point(s, t) - origin, road.point(s, t, road.kerb_height) - origin
    first, last = (0, 1) if side * facing > 0 else (1, 0)
    corners = [low[last], low[first], high[first], high[last]]
    uv = [(t[last], 0.0), (t[first], 0.0), (t[first], road.kerb_height), (t[last], road.kerb_height)]
    builder.quads([corners], Material.KERB, (0.0, 0.0, 0.0), seed, uv=[uv])


def _drop_to_far_land(builder: MeshBuilder, road: Road, span: tuple[float, float], ground: Ground, seed: float, origin: Array) -> None:
    s = np.linspace(*span, 5)
    for side in (-1, 1):
        high = road.kerb_height + (0.0 if ground.rise is None else ground.rise(s, np.full_like(s, side * LAND_EDGE)))
        inner, outer = road.point(s, side * LAND_EDGE, high), road.point(s, side * LAND_REACH, -FAR_LAND_DROP - 1.0)
        lines = np.stack((outer, inner) if side < 0 else (inner, outer), axis=1)[:, None] - origin
        uv = np.broadcast_to(np.stack([s, np.full_like(s, side * LAND_EDGE)], axis=-1)[:, None, None], (len(s), 1, 2, 2))
        builder.quads(_quads(lines), Material.GRASS, (ground.lands[side > 0], 0.0, 0.0), seed, uv=_quads(uv))


class SideStreet:
    """A straight street away from the main one: its s counts from the main road's house line, its t to the left."""

    def __init__(self, road: Road, junction: Junction, side: int) -> None:
        self.road, self.half_width = road, junction.half_width
        self.start, self.end = -0.15, junction.reach
        base = road.position(junction.s, side * road.house_line)
        self._heading = float(road.heading(junction.s)) + side * np.pi / 2
        self._base = base
        self._along = np.array([np.cos(self._heading), np.sin(self._heading)])

    def point(self, s: npt.ArrayLike, t: npt.ArrayLike, height: npt.ArrayLike = 0.0) -> Array:
        """World points (..., 3), `height` above the land."""
        along, across, high = np.broadcast_arrays(np.asarray(s, float), np.asarray(t, float), np.asarray(height, float))
        left = np.array([-self._along[1], self._along[0]])
        ground = self._base + along[..., None] * self._along + across[..., None] * left
        return np.concatenate([ground, (self.road.hills(ground[..., 0], ground[..., 1]) + high)[..., None]], axis=-1)

    def pose(self, s: float, t: float, height: float = 0.0, yaw: float = 0.0) -> Array:
        """world_from_object of something upright facing along the side street (+ yaw)."""
        angle, pose = self._heading + yaw, np.eye(4)
        pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        pose[:3, 3] = self.point(s, t, height)
        return pose

    def lay(self, builder: MeshBuilder, ground: Ground, seed: float, origin: Array) -> None:
        """Add its carriageway, pavements and land."""
        road, strips, land = self.road, [], []
        half, walk = self.half_width, 2.2
        # A little above the main road's land, on which it lies.
        high = road.kerb_height + 0.03 if road.kerb_height > 0 else 0.0
        for side in (-1, 1):
            right, left = sorted((0.0, side * half))
            strips.append(Strip(right, left, -0.01, -0.01, Material.ROAD, (right, left, code_of(0, 0, road.paint.surface))))
            if high > 0:
                strips += [
                    _kerb(side * half, side * (half + _KERB_FACE), 0.0, high),
                    _kerb(side * (half + _KERB_FACE), side * (half + _KERB_TOP), high, high),
                ]
                strips.append(_across(side, half + _KERB_TOP, half + walk, high, Material.PAVEMENT, (ground.walks[0], 0.0, 0.0)))
            edge = half + walk if high > 0 else half
            land.append(_across(side, edge, 20.0, high - 0.02, Material.GRASS, (ground.lands[0], 0.0, 0.0)))
        # Up to there the main road's own land lies under it.
        split = LAND_EDGE - road.house_line
        near, far = np.linspace(self.start, split, max(2, int(split / 8))), np.linspace(split, self.end, 5)
        lay_strips(builder, self, near, strips, None, seed, origin)
        lay_strips(builder, self, far, (*strips, *land), None, seed, origin)
