# SPDX-License-Identifier: Apache-2.0
"""Where the road runs and how the ground lies: a centre line through gentle hills, and the ground's mesh.

Road coordinates: s metres along the centre line, t metres to the left of it. Traffic keeps right.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, MeshBuilder

# The road exists from here on; the ego vehicle starts at s = 0.
ROAD_START = -240.0
KERB_HEIGHT = 0.14
GROUND_REACH = 72.0
# The plain beyond the modelled strip lies this far below height 0, deeper than any hollow of the hills.
PLAIN_HEIGHT = -3.0
_TABLE_STEP = 0.25


@dataclasses.dataclass(frozen=True)
class Wave:
    """amplitude * sin(frequency * x + phase); frequency in radians a metre (a second for motions)."""

    amplitude: float
    frequency: float
    phase: float

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Value at x."""
        return np.asarray(self.amplitude * np.sin(self.frequency * np.asarray(x, dtype=np.float64) + self.phase))

    def slope(self, x: npt.ArrayLike) -> Array:
        """Derivative at x."""
        return np.asarray(self.amplitude * self.frequency * np.cos(self.frequency * np.asarray(x, dtype=np.float64) + self.phase))

    def integral(self, x: npt.ArrayLike) -> Array:
        """Integral from 0 to x."""
        return np.asarray(
            (np.cos(self.phase) - np.cos(self.frequency * np.asarray(x, dtype=np.float64) + self.phase)) * self.amplitude / self.frequency
        )


@dataclasses.dataclass(frozen=True)
class Hills:
    """Height of the land over the plane: sums of plane waves (amplitude, x and y frequency, phase)."""

    waves: tuple[tuple[float, float, float, float], ...] = ()

    def __call__(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
        """Height in metres at (x, y)."""
        east, north = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        height = np.zeros(np.broadcast_shapes(east.shape, north.shape))
        for amplitude, frequency_x, frequency_y, phase in self.waves:
            height = height + amplitude * np.sin(frequency_x * east + frequency_y * north + phase)
        return height

    def slope(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
        """Rise along x and along y, metres a metre."""
        east, north = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        along_x, along_y = np.zeros(np.broadcast_shapes(east.shape, north.shape)), np.zeros(np.broadcast_shapes(east.shape, north.shape))
        for amplitude, frequency_x, frequency_y, phase in self.waves:
            steepness = amplitude * np.cos(frequency_x * east + frequency_y * north + phase)
            along_x, along_y = along_x + steepness * frequency_x, along_y + steepness * frequency_y
        return along_x, along_y


@dataclasses.dataclass(frozen=True)
class Road:
    """Centre line, cross-section (metres) and land. Without waves: straight along x on flat land."""

    lanes_per_direction: int = 1
    lane_width: float = 3.4
    parking_width: float = 0.0
    pavement_width: float = 3.0
    heading_waves: tuple[Wave, ...] = ()
    hills: Hills = Hills()
    length: float = 600.0

    @property
    def half_width(self) -> float:
        """From the centre line to the kerb."""
        return self.lanes_per_direction * self.lane_width + self.parking_width

    @property
    def house_line(self) -> float:
        """From the centre line to the far side of the pavement."""
        return self.half_width + self.pavement_width

    def lane_centre(self, lane: int, direction: int) -> float:
        """t of a lane counted from the centre line; direction 1 as the ego vehicle, -1 oncoming."""
        return -direction * (lane + 0.5) * self.lane_width

    def heading(self, s: npt.ArrayLike) -> Array:
        """Direction of the road in radians, 0 at s = 0."""
        angle = np.zeros(np.shape(s))
        for wave in self.heading_waves:
            angle = angle + wave(s) - wave(0.0)
        return angle

    def position(self, s: npt.ArrayLike, t: npt.ArrayLike = 0.0) -> Array:
        """World x, y (..., 2) of road coordinates."""
        along, across = np.broadcast_arrays(np.asarray(s, dtype=np.float64), np.asarray(t, dtype=np.float64))
        table = self._table
        index = np.clip(((along - ROAD_START) / _TABLE_STEP).astype(np.int64), 0, len(table) - 1)
        knot = ROAD_START + index * _TABLE_STEP
        middle, angle = self.heading((along + knot) / 2), self.heading(along)
        rest = along - knot
        x = table[index, 0] + rest * np.cos(middle) - across * np.sin(angle)
        y = table[index, 1] + rest * np.sin(middle) + across * np.cos(angle)
        return np.stack([x, y], axis=-1)

    def point(self, s: npt.ArrayLike, t: npt.ArrayLike = 0.0, height: npt.ArrayLike = 0.0) -> Array:
        """World points (..., 3), `height` metres above the land."""
        ground = self.position(s, t)
        return np.concatenate(
            [ground, (self.hills(ground[..., 0], ground[..., 1]) + np.asarray(height, dtype=np.float64))[..., None]], axis=-1
        )

    def pose(self, s: float, t: float = 0.0, height: float = 0.0, yaw: float = 0.0, upright: bool = True) -> Matrix:
        """world_from_object of something on the land facing along the road (+ yaw); not upright: pitched and rolled with the land."""
        angle = float(self.heading(s)) + yaw
        forward, left = np.array([math.cos(angle), math.sin(angle), 0.0]), np.array([-math.sin(angle), math.cos(angle), 0.0])
        origin = self.point(s, t, height)
        pose = np.eye(4)
        if not upright:
            slope = self.hills.slope(float(origin[0]), float(origin[1]))
            forward[2], left[2] = forward[:2] @ slope, left[:2] @ slope
            up = np.cross(forward, left)
            forward, up = forward / np.linalg.norm(forward), up / np.linalg.norm(up)
            left = np.cross(up, forward)
            pose[:3, 2] = up
        pose[:3, 0], pose[:3, 1], pose[:3, 3] = forward, left, origin
        return pose

    def poses(self, s: npt.ArrayLike, t: npt.ArrayLike, yaw: npt.ArrayLike = 0.0) -> Array:
        """world_from_object (N, 4, 4) of many things on the land, pitched and rolled with it: pose(..., upright=False), all at once."""
        angle = self.heading(s) + np.asarray(yaw, dtype=np.float64)
        origin = self.point(s, t)
        zero, one = np.zeros_like(angle), np.ones_like(angle)
        forward, left = np.stack([np.cos(angle), np.sin(angle), zero], axis=-1), np.stack([-np.sin(angle), np.cos(angle), zero], axis=-1)
        along_x, along_y = self.hills.slope(origin[..., 0], origin[..., 1])
        up = np.stack([-along_x, -along_y, one], axis=-1)
        for axis in (forward, left):
            axis[..., 2] = axis[..., 0] * along_x + axis[..., 1] * along_y
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
        poses = np.zeros((*angle.shape, 4, 4))
        poses[..., :3, 0], poses[..., :3, 1], poses[..., :3, 2] = forward, np.cross(up, forward), up
        poses[..., :3, 3], poses[..., 3, 3] = origin, 1.0
        return poses

    @functools.cached_property
    def _table(self) -> Array:
        edges = np.arange(ROAD_START, self.length + 400.0, _TABLE_STEP)
        middle = self.heading(edges[:-1] + _TABLE_STEP / 2)
        steps = np.stack([np.cos(middle), np.sin(middle)], axis=-1) * _TABLE_STEP
        table = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        return np.asarray(table - table[round(-ROAD_START / _TABLE_STEP)])


@dataclasses.dataclass(frozen=True)
class Junction:
    """A side street crossing at s, half as wide as given."""

    s: float
    half_width: float
    has_zebra: bool


def lay_ground(builder: MeshBuilder, road: Road, start: float, end: float, junction: Junction | None, seed: float, origin: Array) -> None:
    """Add road, kerbs, pavements and verges between s = start and end, relative to `origin` (world)."""
    if junction is None:
        _lay_stretch(builder, road, (start, end), Material.ROAD, seed, origin)
        return
    near, far = junction.s - junction.half_width, junction.s + junction.half_width
    surface = Material.ZEBRA if junction.has_zebra else Material.ROAD
    _lay_stretch(builder, road, (start, near - 6.0), Material.ROAD, seed, origin)
    _lay_stretch(builder, road, (near - 6.0, near - 5.0), Material.STOP_LINE, seed, origin, side=-1)
    _lay_stretch(builder, road, (near - 5.0, near - 1.0), surface, seed, origin)
    _lay_stretch(builder, road, (near - 1.0, near), Material.JUNCTION, seed, origin)
    _lay_crossroads(builder, road, near, far, seed, origin)
    _lay_stretch(builder, road, (far, far + 1.0), Material.JUNCTION, seed, origin)
    _lay_stretch(builder, road, (far + 1.0, far + 5.0), surface, seed, origin)
    _lay_stretch(builder, road, (far + 5.0, far + 6.0), Material.STOP_LINE, seed, origin, side=1)
    _lay_stretch(builder, road, (far + 6.0, end), Material.ROAD, seed, origin)
    for s in (near, far):
        for side in (-1, 1):
            _kerb_across(builder, road, s, side, seed, origin)


def _stations(start: float, end: float) -> Array:
    return np.linspace(start, end, max(2, int(np.ceil((end - start) / 4.0)) + 1))


def _strip(
    builder: MeshBuilder,
    road: Road,
    s: Array,
    t: Array | Sequence[float],
    heights: Sequence[float],
    material: Material,
    seed: float,
    origin: Array,
) -> None:
    """Quads between the lines t[0], t[1], ... (from right to left); uv are road coordinates."""
    along, across = np.meshgrid(s, np.asarray(t), indexing="ij")
    points = road.point(along, across, np.broadcast_to(np.asarray(heights), along.shape)) - origin
    road_uv = np.stack([along, across], axis=-1)

    def corners(grid: Array) -> Array:
        return np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=2).reshape(-1, 4, grid.shape[-1])

    builder.quads(corners(points), material, (0.5, 0.5, 0.5), seed, uv=corners(road_uv))


def _lay_stretch(
    builder: MeshBuilder, road: Road, span: tuple[float, float], surface: Material, seed: float, origin: Array, side: int = 0
) -> None:
    s, half, base = _stations(*span), road.half_width, road.house_line
    lanes = np.linspace(-half, half, 5)
    if side and surface is Material.STOP_LINE:
        stop, free = (lanes[:3], lanes[2:]) if side < 0 else (lanes[2:], lanes[:3])
        _strip(builder, road, s, stop, [0.0] * 3, surface, seed, origin)
        _strip(builder, road, s, free, [0.0] * 3, Material.ROAD, seed, origin)
    else:
        _strip(builder, road, s, lanes, [0.0] * 5, surface, seed, origin)
    rise = KERB_HEIGHT
    for sign in (-1, 1):
        order = slice(None, None, sign)
        _strip(builder, road, s, [sign * half, sign * (half + 0.02)][order], [0.0, rise][order], Material.KERB, seed, origin)
        _strip(builder, road, s, [sign * (half + 0.02), sign * (half + 0.16)][order], [rise, rise][order], Material.KERB, seed, origin)
        _strip(builder, road, s, [sign * (half + 0.16), sign * base][order], [rise, rise][order], Material.PAVEMENT, seed, origin)
        land = [sign * base, sign * 26.0, sign * 48.0]
        _strip(builder, road, s, land[order], [rise] * 3, Material.GRASS, seed, origin)
    _drop_to_plain(builder, road, s, seed, origin)


def _lay_crossroads(builder: MeshBuilder, road: Road, near: float, far: float, seed: float, origin: Array) -> None:
    lines = [-48.0, -26.0, -road.house_line, -road.half_width, 0.0, road.half_width, road.house_line, 26.0, 48.0]
    _strip(builder, road, _stations(near, far), lines, [0.0] * len(lines), Material.JUNCTION, seed, origin)
    _drop_to_plain(builder, road, _stations(near, far), seed, origin)


def _drop_to_plain(builder: MeshBuilder, road: Road, s: Array, seed: float, origin: Array) -> None:
    for sign in (-1, 1):
        inner, outer = road.point(s, sign * 48.0, KERB_HEIGHT), road.point(s, sign * GROUND_REACH)
        outer[:, 2] = PLAIN_HEIGHT - 0.2
        lines = (outer, inner) if sign < 0 else (inner, outer)
        right, left = lines[0] - origin, lines[1] - origin
        uv_right, uv_left = (np.stack([s, np.full_like(s, sign * 60.0)], axis=-1),) * 2
        builder.quads(
            np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1), Material.GRASS, (0.5, 0.5, 0.5), seed,
            uv=np.stack([uv_right[:-1], uv_right[1:], uv_left[1:], uv_left[:-1]], axis=1),
        )  # fmt: skip


def _kerb_across(builder: MeshBuilder, road: Road, s: float, side: int, seed: float, origin: Array) -> None:
    """The step from the side street up to pavement and verge."""
    t = side * np.array([road.half_width, road.house_line, 26.0, 48.0])
    low, high = road.point(s, t) - origin, road.point(s, t, KERB_HEIGHT) - origin
    uv_low, uv_high = np.stack([t, np.zeros(4)], axis=-1), np.stack([t, np.full(4, KERB_HEIGHT)], axis=-1)
    builder.quads(
        np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1), Material.KERB, (0.5, 0.5, 0.5), seed,
        uv=np.stack([uv_low[:-1], uv_low[1:], uv_high[1:], uv_high[:-1]], axis=1),
    )  # fmt: skip
