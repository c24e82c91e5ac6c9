# SPDX-License-Identifier: Apache-2.0
"""Where the road runs, how wide its parts are and how the land lies: a centre line through hills.

Road coordinates: s metres along the centre line, t metres to the left of it. Traffic keeps right.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.markings import Paint
from ssd_core.road_world.meshes import Array

# The road exists from here on; the ego vehicle starts at s = 0.
ROAD_START = -240.0
KERB_HEIGHT = 0.14
RoadKind = Literal["street", "suburb", "narrow", "boulevard", "arterial", "motorway", "country", "industrial", "yard"]
ROAD_KINDS: tuple[RoadKind, ...] = get_args(RoadKind)
_TABLE_STEP = 0.25
# The centre line is known this far at least, so that the land of a short drive is that of a long one.
_TABLE_REACH = 2400.0


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

    def at(self, x: float, y: float) -> tuple[float, float, float]:
        """Height, rise along x and rise along y at one place: numpy would take ten times as long for it."""
        height = along_x = along_y = 0.0
        for amplitude, frequency_x, frequency_y, phase in self.waves:
            angle = frequency_x * x + frequency_y * y + phase
            height += amplitude * math.sin(angle)
            steepness = amplitude * math.cos(angle)
            along_x, along_y = along_x + steepness * frequency_x, along_y + steepness * frequency_y
        return height, along_x, along_y

    def pose(self, x: float, y: float, heading: float, height: float = 0.0, upright: bool = False) -> Matrix:
        """world_from_object of something `height` metres above the land facing `heading`; not upright: pitched and rolled with the land."""
        land, along_x, along_y = self.at(x, y)
        cosine, sine = math.cos(heading), math.sin(heading)
        pose = np.array([[cosine, -sine, 0.0, x], [sine, cosine, 0.0, y], [0.0, 0.0, 1.0, land + height], [0.0, 0.0, 0.0, 1.0]])
        if not upright:
            up = np.array([-along_x, -along_y, 1.0]) / math.sqrt(1.0 + along_x * along_x + along_y * along_y)
            forward = np.array([cosine, sine, cosine * along_x + sine * along_y])
            forward /= math.sqrt(float(forward @ forward))
            pose[:3, 0], pose[:3, 1], pose[:3, 2] = forward, np.cross(up, forward), up
        return pose

    def slope(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
        """Rise along x and along y, metres a metre."""
        east, north = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        along_x, along_y = np.zeros(np.broadcast_shapes(east.shape, north.shape)), np.zeros(np.broadcast_shapes(east.shape, north.shape))
        for amplitude, frequency_x, frequency_y, phase in self.waves:
            steepness = amplitude * np.cos(frequency_x * east + frequency_y * north + phase)
            along_x, along_y = along_x + steepness * frequency_x, along_y + steepness * frequency_y
        return along_x, along_y


@dataclasses.dataclass(frozen=True)
class Bank:
    """How the land on one side rises (falls, if negative) beyond the pavement, metres: a slope of `width`, then a level."""

    start: float = 0.5
    width: float = 8.0
    mean: float = 0.0
    wave: Wave = Wave(0.0, 1.0, 0.0)
    lowest: float = 0.0
    highest: float = 0.0

    @property
    def is_flat(self) -> bool:
        """Whether there is no slope anywhere."""
        return self.lowest == 0.0 == self.highest

    @property
    def is_steep(self) -> bool:
        """Whether only a wall holds it."""
        return self.lowest > 1.0 and self.width < 1.0

    def height(self, s: npt.ArrayLike) -> Array:
        """Of the level above the pavement."""
        return np.clip(self.mean + self.wave(s), self.lowest, self.highest)


@dataclasses.dataclass(frozen=True)
class Road:
    """Centre line, cross-section (metres) and land. Without waves: straight along x on flat land.

    From the centre line outwards on both sides: half the reservation between the directions, lanes (0 is the innermost),
    a shoulder, a strip to park on, the pavement, and the land with its bank (right, left). The first `verge_width` metres
    of the pavement are grass. speed_limit in m/s.
    """

    lanes_per_direction: int = 1
    lane_width: float = 3.4
    parking_width: float = 0.0
    pavement_width: float = 3.0
    heading_waves: tuple[Wave, ...] = ()
    hills: Hills = Hills()
    length: float = 600.0
    kind: RoadKind = "street"
    median_width: float = 0.0
    shoulder_width: float = 0.0
    kerb_height: float = KERB_HEIGHT
    speed_limit: float = 13.9
    ego_lane: int = 0
    banks: tuple[Bank, Bank] = (Bank(), Bank())
    paint: Paint = dataclasses.field(default_factory=Paint)
    verge_width: float = 0.0

    @property
    def lanes_edge(self) -> float:
        """From the centre line to the outer edge of the outermost lane."""
        return self.median_width / 2 + self.lanes_per_direction * self.lane_width

    @property
    def half_width(self) -> float:
        """From the centre line to the kerb."""
        return self.lanes_edge + self.shoulder_width + self.parking_width

    @property
    def house_line(self) -> float:
        """From the centre line to the far side of the pavement."""
        return self.half_width + self.pavement_width

    def lane_centre(self, lane: int, direction: int) -> float:
        """t of a lane counted from the centre line; direction 1 as the ego vehicle, -1 oncoming."""
        return -direction * (self.median_width / 2 + (lane + 0.5) * self.lane_width)

    @property
    def has_raised_median(self) -> bool:
        """Whether kerbs keep traffic off the reservation."""
        return self.median_width >= 1.0 and self.kerb_height > 0

    def bank(self, side: int) -> Bank:
        """The bank on the left (1) or right (-1)."""
        return self.banks[1 if side > 0 else 0]

    def bank_rise(self, s: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """How far the banks lift the ground at road coordinates, metres."""
        along, across = np.broadcast_arrays(np.asarray(s, dtype=np.float64), np.asarray(t, dtype=np.float64))
        rise = np.zeros(along.shape)
        for side in (-1, 1):
            bank = self.bank(side)
            if not bank.is_flat:
                rise = rise + np.clip((across * side - self.house_line - bank.start) / bank.width, 0.0, 1.0) * bank.height(along)
        return rise

    def heading(self, s: npt.ArrayLike) -> Array:
        """Direction of the road in radians, 0 at s = 0."""
        return np.asarray(np.interp(np.asarray(s, dtype=np.float64), self._knots, self._headings))

    def position(self, s: npt.ArrayLike, t: npt.ArrayLike = 0.0) -> Array:
        """World x, y (..., 2) of road coordinates."""
        along, across = np.broadcast_arrays(np.asarray(s, dtype=np.float64), np.asarray(t, dtype=np.float64))
        table = self._table
        index = np.clip(((along - ROAD_START) / _TABLE_STEP).astype(np.int64), 0, len(table) - 1)
        knot = ROAD_START + index * _TABLE_STEP
        middle, angle = self.heading((along + knot) / 2), self.heading(along)
        rest = along - knot
        place = np.empty((*along.shape, 2))
        place[..., 0] = table[index, 0] + rest * np.cos(middle) - across * np.sin(angle)
        place[..., 1] = table[index, 1] + rest * np.sin(middle) + across * np.cos(angle)
        return place

    def point(self, s: npt.ArrayLike, t: npt.ArrayLike = 0.0, height: npt.ArrayLike = 0.0) -> Array:
        """World points (..., 3), `height` metres above the land."""
        ground = self.position(s, t)
        return np.concatenate(
            [ground, (self.hills(ground[..., 0], ground[..., 1]) + np.asarray(height, dtype=np.float64))[..., None]], axis=-1
        )

    def pose(self, s: float, t: float = 0.0, height: float = 0.0, yaw: float = 0.0, upright: bool = True) -> Matrix:
        """world_from_object of something on the land facing along the road (+ yaw); not upright: pitched and rolled with the land."""
        table = self._table
        index = min(max(int((s - ROAD_START) / _TABLE_STEP), 0), len(table) - 1)
        knot = ROAD_START + index * _TABLE_STEP
        heading = float(np.interp(s, self._knots, self._headings))
        middle = float(np.interp((s + knot) / 2, self._knots, self._headings))
        x = float(table[index, 0]) + (s - knot) * math.cos(middle) - t * math.sin(heading)
        y = float(table[index, 1]) + (s - knot) * math.sin(middle) + t * math.cos(heading)
        return self.hills.pose(x, y, heading + yaw, height, upright)

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
    def _knots(self) -> Array:
        return np.arange(ROAD_START, max(self.length + 400.0, _TABLE_REACH), _TABLE_STEP)

    @functools.cached_property
    def _headings(self) -> Array:
        angle = np.zeros(len(self._knots))
        for wave in self.heading_waves:
            angle = angle + wave(self._knots) - wave(0.0)
        return angle

    @functools.cached_property
    def _table(self) -> Array:
        middle = (self._headings[:-1] + self._headings[1:]) / 2
        steps = np.stack([np.cos(middle), np.sin(middle)], axis=-1) * _TABLE_STEP
        table = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        return np.asarray(table - table[round(-ROAD_START / _TABLE_STEP)])
