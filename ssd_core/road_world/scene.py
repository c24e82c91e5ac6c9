# SPDX-License-Identifier: Apache-2.0
"""A seeded street with an ego vehicle driving through it: same seed, same world, in every condition."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.district import District, make_district, make_road
from ssd_core.road_world.meshes import Mesh, Part
from ssd_core.road_world.road import Road, Wave
from ssd_core.road_world.street import BLOCK_LENGTH, Block, build_block
from ssd_core.road_world.vehicles import make_cyclist, make_vehicle

MIN_SPEED, MAX_SPEED = 5.0, 14.0
# How far the world is built around the ego vehicle, metres of road.
_REACH_BEHIND, _REACH_AHEAD = 130.0, 240.0
# Parked vehicles, people and street furniture only appear this near: beyond, they are a few pixels.
_DETAIL_BEHIND, _DETAIL_AHEAD = 75.0, 130.0


_STEADY = Wave(0.0, 1.0, 0.0)


@dataclasses.dataclass(frozen=True)
class EgoMotion:
    """Distance along the road over time, and the wobble about the lane's middle."""

    mean_speed: float
    speed_waves: tuple[Wave, ...]
    wobble: Wave

    def distance(self, time: float) -> float:
        """Metres of road since time 0."""
        return self.mean_speed * time + sum(float(wave.integral(time)) for wave in self.speed_waves)

    def acceleration(self, time: float) -> float:
        """Along the road, m/s^2."""
        return sum(float(wave.slope(time)) for wave in self.speed_waves)


@dataclasses.dataclass(frozen=True)
class Driver:
    """A moving vehicle: road distance = start + speed * time + share * the ego vehicle's distance + wave."""

    mesh: Mesh
    lane_t: float
    direction: int
    start: float
    speed: float
    follows_ego: bool
    wave: Wave = _STEADY

    def distance(self, time: float, ego: EgoMotion) -> float:
        """s at a time."""
        return self.start + self.speed * time + (ego.distance(time) if self.follows_ego else 0.0) + float(self.wave(time))


class Scene:
    """Still and moving parts, their lights, and the path of base_link through them.

    World frame: x forward at the start, y left, z up (REP 103), metres. `base_link` is on the ground under the
    ego vehicle's rear axle, x forward. The ego vehicle itself has no body: cameras sit in front of it.
    """

    def __init__(
        self,
        seed: int,
        road: Road,
        ego: EgoMotion,
        district: District | None = None,
        still: tuple[Part, ...] = (),
    ) -> None:
        self.seed, self.road, self.ego = seed, road, ego
        self._district, self._still = district, still
        self._blocks: dict[int, Block] = {}

    @classmethod
    def generate(cls, seed: int, duration: float = 20.0) -> Scene:
        """The street of a seed, long enough to drive for `duration` seconds; a longer one begins the same."""
        rng = np.random.default_rng([seed, 1])
        road = make_road(rng, duration * MAX_SPEED + _REACH_AHEAD)
        ego = _make_ego(rng)
        district = make_district(rng, seed, road)
        return cls(seed, road, ego, district)

    @classmethod
    def of_parts(cls, parts: tuple[Part, ...], seed: int = 0) -> Scene:
        """A world of given parts only, with a straight flat road to drive along (but not to see)."""
        return cls(seed, Road(), EgoMotion(8.0, (), _STEADY), still=parts)

    def parts(self, time: float) -> list[Part]:
        """Everything near the ego vehicle at a time in seconds."""
        here = self.ego.distance(time)
        parts = list(self._still)
        if self._district is not None:
            for index in range(int((here - _REACH_BEHIND) // BLOCK_LENGTH), int((here + _REACH_AHEAD) // BLOCK_LENGTH) + 1):
                block = self._block(index)
                parts.append(block.shell)
                if not -_DETAIL_BEHIND < (index + 0.5) * BLOCK_LENGTH - here < _DETAIL_AHEAD:
                    continue
                if block.detail.mesh.vertices:
                    parts.append(block.detail)
                for walker in block.walkers:
                    parts.extend(walker.parts(time))
        for driver in self._drivers:
            s = driver.distance(time, self.ego)
            if -_REACH_BEHIND < s - here < _REACH_AHEAD:
                parts.append(
                    Part(driver.mesh, self.road.pose(s, driver.lane_t, 0.0, 0.0 if driver.direction > 0 else np.pi, upright=False))
                )
        return parts

    def world_from_base(self, time: float) -> Matrix:
        """Pose of base_link: on the road, pitched with the land and a little with braking and accelerating."""
        s, t = self._base_coordinates(time)
        ahead = self._base_coordinates(time + 1e-3)
        yaw = np.arctan2(ahead[1] - t, ahead[0] - s)
        pose = self.road.pose(s, t, 0.0, float(yaw), upright=False)
        angle = -0.006 * self.ego.acceleration(time)
        pitch = np.eye(4)
        pitch[0, 0], pitch[0, 2], pitch[2, 0], pitch[2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
        return np.asarray(pose @ pitch)

    def velocity(self, time: float) -> Matrix:
        """Velocity (3,) of base_link in the world, m/s."""
        step = 5e-3
        after, before = self._base_coordinates(time + step), self._base_coordinates(time - step)
        return np.asarray((self.road.point(*after) - self.road.point(*before)) / (2 * step))

    def speed(self, time: float) -> float:
        """Speed of base_link, m/s."""
        return float(np.linalg.norm(self.velocity(time)))

    def yaw_rate(self, time: float) -> float:
        """Turning to the left, rad/s."""
        step = 5e-3
        after, before = self.world_from_base(time + step), self.world_from_base(time - step)
        turn = before[:3, :3].T @ after[:3, :3]
        return float(np.arctan2(turn[1, 0], turn[0, 0]) / (2 * step))

    def _base_coordinates(self, time: float) -> tuple[float, float]:
        return self.ego.distance(time), self.road.lane_centre(0, 1) + float(self.ego.wobble(time))

    @functools.cached_property
    def _drivers(self) -> list[Driver]:
        return _make_traffic(self.seed, self.road) if self._district is not None else []

    def _block(self, index: int) -> Block:
        if index not in self._blocks:
            assert self._district is not None
            self._blocks[index] = build_block(self._district, index)
        return self._blocks[index]


def _make_ego(rng: np.random.Generator) -> EgoMotion:
    mean = rng.uniform(8.0, 10.5)
    room = min(mean - MIN_SPEED, MAX_SPEED - mean) * 0.97
    share = rng.uniform(0.55, 0.75)
    waves = (
        Wave(room * share, 2 * np.pi / rng.uniform(9, 16), rng.uniform(0, 2 * np.pi)),
        Wave(room * (1 - share), 2 * np.pi / rng.uniform(4, 7), rng.uniform(0, 2 * np.pi)),
    )
    return EgoMotion(mean, waves, Wave(rng.uniform(0.05, 0.25), 2 * np.pi / rng.uniform(6, 11), rng.uniform(0, 2 * np.pi)))


def _make_traffic(seed: int, road: Road) -> list[Driver]:
    drivers = []
    for lane in range(road.lanes_per_direction):
        drivers.extend(_oncoming_lane(np.random.default_rng([seed, 2, lane, 0]), road, lane))
        rng = np.random.default_rng([seed, 2, lane, 1])
        drivers.extend(_own_lane(rng, road) if lane == 0 else _neighbour_lane(rng, road, lane))
    if road.parking_width == 0:
        drivers.extend(_cyclists(np.random.default_rng([seed, 3]), road))
    return drivers


def _oncoming_lane(rng: np.random.Generator, road: Road, lane: int) -> list[Driver]:
    speed, spacing = rng.uniform(7.5, 12.5), rng.uniform(16, 55)
    s, drivers = -120.0, []
    while s < 2.2 * road.length:
        drivers.append(Driver(make_vehicle(rng, 0.25).mesh, road.lane_centre(lane, -1) + rng.normal(0, 0.1), -1, s, -speed, False))
        s += 14 + rng.exponential(spacing)
    return drivers


def _own_lane(rng: np.random.Generator, road: Road) -> list[Driver]:
    """Vehicles ahead of and behind the ego vehicle keep a varying distance to it; some streets leave the view free."""
    lane_t = road.lane_centre(0, 1)
    wave = Wave(rng.uniform(1.0, 3.0), 2 * np.pi / rng.uniform(8, 15), rng.uniform(0, 2 * np.pi))
    drivers, s = [], rng.choice([rng.uniform(13, 20), rng.uniform(20, 38), rng.uniform(38, 70)])
    while s < 200:
        vehicle = make_vehicle(rng, 0.3)
        drivers.append(Driver(vehicle.mesh, lane_t + rng.normal(0, 0.12), 1, s + vehicle.length / 2, 0.0, True, wave))
        s += vehicle.length + rng.uniform(6, 40)
    drivers.append(Driver(make_vehicle(rng, 0.2).mesh, lane_t, 1, -rng.uniform(12, 25), 0.0, True))
    return drivers


def _neighbour_lane(rng: np.random.Generator, road: Road, lane: int) -> list[Driver]:
    drift, s, drivers = rng.uniform(-1.5, 1.5), -200.0, []
    while s < 320:
        vehicle = make_vehicle(rng, 0.25)
        drivers.append(Driver(vehicle.mesh, road.lane_centre(lane, 1) + rng.normal(0, 0.12), 1, s, drift, True))
        s += vehicle.length + 6 + rng.exponential(24)
    return drivers


def _cyclists(rng: np.random.Generator, road: Road) -> list[Driver]:
    drivers, s = [], 15.0
    while s < road.length:
        if rng.random() < 0.35:
            direction = int(rng.choice([-1, 1]))
            drivers.append(
                Driver(
                    make_cyclist(rng).mesh, -direction * (road.half_width - 0.45), direction, s, direction * rng.uniform(3.5, 5.5), False
                )
            )
        s += rng.uniform(25, 70)
    return drivers
