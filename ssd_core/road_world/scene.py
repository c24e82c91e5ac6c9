# SPDX-License-Identifier: Apache-2.0
"""A seeded street with an ego vehicle driving through it: same seed, same world, in every condition."""

from __future__ import annotations

import copy
import dataclasses
import functools

import numpy as np

from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.crossings import Crosser, Crossings
from ssd_core.road_world.district import District, make_district, make_road
from ssd_core.road_world.ego_body import EgoBody, make_ego_body
from ssd_core.road_world.far_land import FarLand
from ssd_core.road_world.meshes import Mesh, Part
from ssd_core.road_world.road import Road, Wave
from ssd_core.road_world.street import BLOCK_LENGTH, Block, build_block
from ssd_core.road_world.traffic import DENSITIES, DENSITY_SHARES, FLOWS, Density, Traffic, make_traffic

# The ego vehicle never quite stands still, m/s.
MIN_SPEED = 0.5
# How far the world is built around the ego vehicle, metres of road.
_REACH_BEHIND, _REACH_AHEAD = 130.0, 240.0
# Fast roads bend little: from this speed limit on (m/s) one sees farther along them.
_FAST, _FAST_REACH = 16.0, 380.0
_TOP_SPEED = 38.0
# Parked vehicles, people and street furniture only appear this near: beyond, they are a few pixels.
_DETAIL_BEHIND, _DETAIL_AHEAD = 75.0, 130.0


@dataclasses.dataclass(frozen=True)
class EgoMotion:
    """Distance along the road over time, and over distance the wobble about the lane's middle."""

    mean_speed: float
    speed_waves: tuple[Wave, ...] = ()
    wobbles: tuple[Wave, ...] = ()

    def distance(self, time: float) -> float:
        """Metres of road since time 0."""
        return self.mean_speed * time + sum(float(wave.integral(time)) for wave in self.speed_waves)

    def acceleration(self, time: float) -> float:
        """Along the road, m/s^2."""
        return sum(float(wave.slope(time)) for wave in self.speed_waves)

    def wobble(self, distance: float) -> float:
        """Metres to the left of the lane's middle."""
        return sum(float(wave(distance)) for wave in self.wobbles)


class Scene:
    """Still and moving parts, their lights, and the path of base_link through them.

    World frame: x forward at the start, y left, z up (REP 103), metres. `base_link` is on the ground under the
    ego vehicle's rear axle, x forward. The ego vehicle itself has no body unless asked for: see with_ego_body.
    """

    def __init__(
        self,
        seed: int,
        road: Road,
        ego: EgoMotion,
        district: District | None = None,
        still: tuple[Part, ...] = (),
        density: Density = "normal",
    ) -> None:
        self.seed, self.road, self.ego, self.density = seed, road, ego, density
        self._district = district
        self._still = tuple(dataclasses.replace(part, is_still=True) for part in still)
        self._blocks: dict[int, Block] = {}
        self._known_crossers: dict[int, list[Crosser]] = {}
        self._ego_body: Mesh | None = None
        self._moved: dict[int, Matrix | None] = {}

    @classmethod
    def generate(cls, seed: int, duration: float = 20.0, density: Density | None = None) -> Scene:
        """The street of a seed, long enough to drive for `duration` seconds; a longer one begins the same.

        density: how full the ego vehicle's lanes are, and so how fast it drives; None draws it from the seed.
        """
        rng = np.random.default_rng([seed, 1])
        road = make_road(rng, duration * _TOP_SPEED + _REACH_AHEAD)
        district = make_district(rng, seed, road)
        rng = np.random.default_rng([seed, 4])
        drawn = DENSITIES[int(rng.choice(len(DENSITIES), p=DENSITY_SHARES))]
        ego = _make_ego(rng, road.speed_limit, density or drawn)
        return cls(seed, road, ego, district, density=density or drawn)

    @classmethod
    def of_parts(cls, parts: tuple[Part, ...], seed: int = 0) -> Scene:
        """A world of given parts only, with a straight flat road to drive along (but not to see)."""
        return cls(seed, Road(), EgoMotion(8.0), still=parts)

    def with_ego_body(self, kind: EgoBody | None) -> Scene:
        """The same world, sharing everything built so far, with the ego vehicle's own body (see make_ego_body) in it; None: without.

        It moves with base_link and is of class EGO_VEHICLE; which cameras see it depends on where they are mounted.
        """
        scene = copy.copy(self)
        scene._ego_body = None if kind is None else make_ego_body(kind, self.seed)
        return scene

    def with_instance_moved(self, instance: int, motion: Matrix | None) -> Scene:
        """The same world, sharing everything built so far, but for one vehicle or person of `movable_instances`.

        motion: (4, 4) in the world, metres, of where it is at each time; None takes it away.
        """
        scene = copy.copy(self)
        scene._moved = {**self._moved, instance: motion}
        return scene

    def movable_instances(self, time: float) -> frozenset[int]:
        """Numbers of the vehicles and people near the ego vehicle that are no part of a street block, as parked ones are."""
        return frozenset(part.instance for part in self.parts(time) if part.instance)

    def parts(self, time: float) -> list[Part]:
        """Everything near the ego vehicle at a time in seconds."""
        return [moved for part in self._unmoved_parts(time) if (moved := self._where_moved(part)) is not None]

    def _where_moved(self, part: Part) -> Part | None:
        if part.instance == 0 or part.instance not in self._moved:
            return part
        motion = self._moved[part.instance]
        return None if motion is None else dataclasses.replace(part, world_from_part=motion @ part.world_from_part, is_still=False)

    def _unmoved_parts(self, time: float) -> list[Part]:
        here = self.ego.distance(time)
        parts = list(self._still)
        if self._district is not None:
            parts.extend(self._far_land.parts(self.road.position(here)))
            ahead = _REACH_AHEAD if self.road.speed_limit < _FAST else _FAST_REACH
            for index in range(int((here - _REACH_BEHIND) // BLOCK_LENGTH), int((here + ahead) // BLOCK_LENGTH) + 1):
                block = self._block(index)
                parts.append(block.shell)
                if not -_DETAIL_BEHIND < (index + 0.5) * BLOCK_LENGTH - here < _DETAIL_AHEAD:
                    continue
                if block.detail.mesh.vertices:
                    parts.append(block.detail)
                for walker in block.walkers:
                    parts.extend(walker.parts(time))
                for crosser in self._crossers(index):
                    parts.extend(crosser.parts(time))
        parts.extend(self.traffic.parts(time, here))
        if self._ego_body is not None:
            parts.append(Part(self._ego_body, self.world_from_base(time)))
        return parts

    @functools.cached_property
    def traffic(self) -> Traffic:
        """Everybody who drives along the road."""
        return make_traffic(self.seed, self.road, self.density) if self._district is not None else Traffic(self.road, [])

    def world_from_base(self, time: float) -> Matrix:
        """Pose (4, 4) of base_link in the world, metres: on the road, pitched with the land and a little with braking and accelerating."""
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
        distance = self.ego.distance(time)
        return distance, self.road.lane_centre(self.road.ego_lane, 1) + self.ego.wobble(distance)

    @functools.cached_property
    def _far_land(self) -> FarLand:
        assert self._district is not None
        return FarLand(self._district)

    @functools.cached_property
    def _crossings(self) -> Crossings:
        return Crossings(self.seed, self.road, self.traffic, self.ego.distance)

    def _crossers(self, index: int) -> list[Crosser]:
        if index not in self._known_crossers:
            assert self._district is not None
            stretch = index * BLOCK_LENGTH, (index + 1) * BLOCK_LENGTH
            liveliness = 0.5 * self._district.people_per_block
            self._known_crossers[index] = self._crossings.of_stretch(index, *stretch, self._block(index).junction, liveliness)
        return self._known_crossers[index]

    def _block(self, index: int) -> Block:
        if index not in self._blocks:
            assert self._district is not None
            self._blocks[index] = build_block(self._district, index)
        return self._blocks[index]


def _make_ego(rng: np.random.Generator, limit: float, density: Density) -> EgoMotion:
    mean = max(limit * rng.uniform(*FLOWS[density].mean_speed), 1.2 + MIN_SPEED)
    room = min(mean - MIN_SPEED, limit * 1.05 - mean, 4.0) * 0.97
    share = rng.uniform(0.55, 0.75)
    waves = (
        Wave(room * share, 2 * np.pi / rng.uniform(9, 16), rng.uniform(0, 2 * np.pi)),
        Wave(room * (1 - share), 2 * np.pi / rng.uniform(5, 8), rng.uniform(0, 2 * np.pi)),
    )
    wobble = (
        Wave(rng.uniform(0.05, 0.16), 2 * np.pi / rng.uniform(60, 110), rng.uniform(0, 2 * np.pi)),
        Wave(rng.uniform(0.02, 0.06), 2 * np.pi / rng.uniform(24, 45), rng.uniform(0, 2 * np.pi)),
    )
    return EgoMotion(mean, waves, wobble)
