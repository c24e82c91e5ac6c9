# SPDX-License-Identifier: Apache-2.0
"""Who else is on the road: lanes full of drivers, from an empty street to a jam, and where each of them is at a time."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Part, exchange_materials
from ssd_core.road_world.road import Road
from ssd_core.road_world.two_wheelers import make_motorcyclist
from ssd_core.road_world.vehicles import Unit, Vehicle, make_two_wheeler, make_vehicle

Density = Literal["free", "normal", "dense", "jam"]
DENSITIES: tuple[Density, ...] = get_args(Density)
# Mostly open: near vehicles are what takes learning, but who has seen mostly full roads sees a vehicle on every empty one.
DENSITY_SHARES = (0.42, 0.33, 0.16, 0.09)
# The ego vehicle's body about base_link, metres: from its tail to its nose, and half its width.
EGO_TAIL, EGO_NOSE, EGO_HALF_WIDTH = -1.0, 3.7, 0.95
# Nobody is met farther behind and ahead of the ego vehicle: who drives out of one end comes in again at the other.
REACH_BEHIND, REACH_AHEAD = 140.0, 250.0
_PERIOD = REACH_BEHIND + REACH_AHEAD
# Free room between bodies that is never used up, metres: along the road, and to the side.
_CLEARANCE, _SIDE_CLEARANCE = 0.6, 0.12
_SHARPEST_BEND = 0.01
_BRAKING_SHARE = 0.35
# The speed limit for which gaps are given, m/s.
_TOWN_SPEED = 13.9
# Cars, large vehicles and two-wheelers of a scene.
_MODELS = (22, 16, 5)


class Flow(NamedTuple):
    """How full lanes are: bumper to bumper gaps (shortest, mean of what is added) where 50 km/h are allowed, share of large
    vehicles, mean speed as a share of the limit, and surge and reach (metres)."""

    shortest_gap: float
    mean_gap: float
    large_share: float
    mean_speed: tuple[float, float]
    surge: float
    reach: float


FLOWS: dict[Density, Flow] = {
    "free": Flow(14.0, 110.0, 0.12, (0.68, 0.9), 2.0, REACH_AHEAD),
    "normal": Flow(9.0, 32.0, 0.15, (0.5, 0.8), 2.5, 220.0),
    "dense": Flow(3.5, 8.0, 0.22, (0.3, 0.6), 1.2, 150.0),
    "jam": Flow(1.6, 1.8, 0.26, (0.1, 0.25), 0.5, 105.0),
}


@dataclasses.dataclass(frozen=True)
class Driver:
    """Somebody driving along a lane.

    Metres of road = start + speed * time + the ego vehicle's distance (who follows_ego only) + surge * sin(pulse * time + phase),
    wrapped into the reach around the ego vehicle. They keep `t` to the left of the centre line, and those with a `change`
    move over by that many metres, beginning at `change_time`, within `change_duration` seconds. Farther than `reach` from
    the ego vehicle they aren't shown: in dense traffic others hide them.
    """

    vehicle: Vehicle
    t: float
    direction: int
    start: float
    speed: float = 0.0
    follows_ego: bool = True
    surge: float = 0.0
    pulse: float = 1.0
    phase: float = 0.0
    change: float = 0.0
    change_time: float = 0.0
    change_duration: float = 4.0
    reach: float = REACH_AHEAD


class Traffic:
    """All drivers of a road; positions are computed for everybody at once. owners (U,): whose driver's each stiff piece is."""

    def __init__(self, road: Road, drivers: list[Driver]) -> None:
        self.road, self.drivers = road, tuple(drivers)
        self._units: list[Unit] = [unit for driver in drivers for unit in driver.vehicle.units]
        self.owners = np.array([number for number, driver in enumerate(drivers) for _ in driver.vehicle.units], dtype=np.int64)
        self._shift = np.array([unit.shift for unit in self._units])

    def parts(self, time: float, ego_distance: float) -> list[Part]:
        """Everybody near the ego vehicle, which is `ego_distance` metres along the road at `time` seconds."""
        if not self.drivers:
            return []
        poses, near = self.poses(time, ego_distance), self._is_shown(time, ego_distance)
        return [
            Part(unit.mesh, pose, 1 + int(owner)) for unit, pose, owner in zip(self._units, poses, self.owners, strict=True) if near[owner]
        ]

    def _is_shown(self, time: float, ego_distance: float) -> npt.NDArray[np.bool_]:
        return np.asarray(np.abs(self.positions(time, ego_distance)[0] - ego_distance) < self._field("reach"))

    def poses(self, time: float, ego_distance: float) -> Array:
        """world_from_unit (U, 4, 4) of all vehicles' stiff pieces."""
        s, t, yaw = self.positions(time, ego_distance)
        s = s[self.owners] + self._shift * self._field("direction")[self.owners]
        return self.road.poses(s, t[self.owners], yaw[self.owners])

    @property
    def sizes(self) -> Array:
        """Half length and half width (U, 2) of all vehicles' stiff pieces, metres."""
        widths = np.array([driver.vehicle.half_width for driver in self.drivers])[self.owners]
        return np.stack([np.array([unit.length / 2 for unit in self._units]), widths], axis=-1)

    def positions(self, time: float, ego_distance: float) -> tuple[Array, Array, Array]:
        """Road coordinates s, t (N,) of all drivers' middles, and yaw (N,) against the road in radians."""
        field = self._field
        angle = field("pulse") * time + field("phase")
        ahead = field("start") + field("speed") * time + field("surge") * np.sin(angle) - (1 - field("follows_ego")) * ego_distance
        ahead = (ahead + REACH_BEHIND) % _PERIOD - REACH_BEHIND
        share = np.clip((time - field("change_time")) / field("change_duration"), 0.0, 1.0)
        t = field("t") + field("change") * share * share * (3 - 2 * share)
        # About 9 m/s: how far along they get while moving over.
        lean = field("change") * 6 * share * (1 - share) / field("change_duration") / 9.0
        yaw = np.where(field("direction") > 0, 0.0, np.pi) + np.arctan(lean)
        return ahead + ego_distance, t, yaw

    @functools.cached_property
    def _table(self) -> dict[str, Array]:
        names = [item.name for item in dataclasses.fields(Driver) if item.name != "vehicle"]
        return {name: np.array([float(getattr(driver, name)) for driver in self.drivers]) for name in names}

    def _field(self, name: str) -> Array:
        return self._table[name]


def make_traffic(seed: int, road: Road, density: Density) -> Traffic:
    """The traffic of a seed. In the ego vehicle's lane there is a place for the ego vehicle, whose bumpers nobody touches."""
    flow = _flow_on(road, density)
    fleet = _Fleet(seed, road, flow)
    oncoming, own = list[Driver](), dict[int, list[Driver]]()
    for lane in range(road.lanes_per_direction):
        oncoming.extend(_oncoming_lane(np.random.default_rng([seed, 2, lane, 0]), road, lane, fleet))
        rng = np.random.default_rng([seed, 2, lane, 1])
        is_ego_lane = lane == road.ego_lane
        own[lane] = _own_lane(rng, road, flow, fleet) if is_ego_lane else _neighbour_lane(rng, road, lane, flow, fleet)
    rng = np.random.default_rng([seed, 2, 99])
    for lane in (road.ego_lane - 1, road.ego_lane + 1):
        if lane in own:
            own[road.ego_lane] = _moving_over(
                rng, own[road.ego_lane], own[lane], road.lane_centre(lane, 1) - road.lane_centre(road.ego_lane, 1)
            )
    return Traffic(road, [*oncoming, *(driver for lane in own.values() for driver in lane)])


def _flow_on(road: Road, density: Density) -> Flow:
    """Drivers keep seconds, not metres, between them: the faster the road, the longer the gaps."""
    flow = FLOWS[density]
    return flow._replace(mean_gap=flow.mean_gap * max(1.0, road.speed_limit / _TOWN_SPEED))


def _moving_over(rng: np.random.Generator, lane: list[Driver], other: list[Driver], across: float) -> list[Driver]:
    """The lane, some of whose drivers move over to where the other lane, if it keeps pace, has a gap for them."""
    if any(driver.speed != 0 for driver in other):
        return lane
    result, taken = list[Driver](), list(other)
    for driver in lane:
        room = [(driver.start - one.start + _PERIOD / 2) % _PERIOD - _PERIOD / 2 for one in taken]
        needed = [(driver.vehicle.length + one.vehicle.length) / 2 + driver.surge + one.surge + _CLEARANCE for one in taken]
        is_free = all(abs(gap) > need for gap, need in zip(room, needed, strict=True))
        if driver.start > 0 and driver.change == 0 and is_free and rng.random() < 0.5:
            driver = dataclasses.replace(driver, change=across, change_time=rng.uniform(1, 12), change_duration=rng.uniform(3.0, 6.0))
            taken.append(driver)
        result.append(driver)
    return result


def _oncoming_lane(rng: np.random.Generator, road: Road, lane: int, fleet: _Fleet) -> list[Driver]:
    """Its density has nothing to do with the own direction's."""
    flow = _flow_on(road, DENSITIES[int(rng.choice(len(DENSITIES), p=DENSITY_SHARES))])
    speed = road.speed_limit * rng.uniform(*flow.mean_speed)
    return [
        dataclasses.replace(driver, direction=-1, speed=-speed, follows_ego=False)
        for driver in _ring(rng, road, road.lane_centre(lane, -1), -1, flow, fleet)
    ]


def _neighbour_lane(rng: np.random.Generator, road: Road, lane: int, flow: Flow, fleet: _Fleet) -> list[Driver]:
    """Creeps past the ego vehicle, is passed by it, or keeps pace."""
    drift = 0.0 if rng.random() < 0.4 else rng.uniform(-1.5, 1.5)
    return [dataclasses.replace(driver, speed=drift) for driver in _ring(rng, road, road.lane_centre(lane, 1), 1, flow, fleet)]


def _ring(rng: np.random.Generator, road: Road, lane_t: float, direction: int, flow: Flow, fleet: _Fleet) -> list[Driver]:
    """A lane filled from end to end; the ends meet, since it wraps around."""
    drivers: list[Driver] = []
    s, pulse, phase = 0.0, 2 * np.pi / rng.uniform(8, 15), rng.uniform(0, 2 * np.pi)
    surge = rng.uniform(0.3, 1.0) * flow.surge
    while True:
        vehicle = fleet.draw(rng)
        gap = flow.shortest_gap + rng.exponential(flow.mean_gap) + 2 * surge
        if s + vehicle.length + gap > _PERIOD:
            return drivers
        t = _across(rng, road, lane_t, direction, vehicle)
        # Each answers a little later than who drives in front.
        drivers.append(
            Driver(
                vehicle,
                t,
                direction,
                s + vehicle.length / 2,
                surge=surge,
                pulse=pulse,
                phase=phase + 0.02 * direction * s,
                reach=flow.reach,
            )
        )
        s += vehicle.length + gap


def _own_lane(rng: np.random.Generator, road: Road, flow: Flow, fleet: _Fleet) -> list[Driver]:
    """A queue ahead of the ego vehicle and one behind it; some streets leave the view free."""
    lane_t, drivers = road.lane_centre(road.ego_lane, 1), list[Driver]()
    surge, pulse, phase = rng.uniform(0.3, 1.0) * flow.surge, 2 * np.pi / rng.uniform(8, 15), rng.uniform(0, 2 * np.pi)
    for way, bumper, reach in ((1, EGO_NOSE, REACH_AHEAD - 20), (-1, EGO_TAIL, -REACH_BEHIND + 20)):
        s = bumper + way * (_CLEARANCE + surge + flow.shortest_gap * rng.uniform(0.4, 2.5) + rng.exponential(flow.mean_gap * 0.6))
        while s * way < reach * way:
            vehicle = fleet.draw(rng)
            middle = s + way * vehicle.length / 2
            t = _across(rng, road, lane_t, 1, vehicle)
            drivers.append(Driver(vehicle, t, 1, middle, surge=surge, pulse=pulse, phase=phase + 0.02 * middle, reach=flow.reach))
            s += way * (vehicle.length + flow.shortest_gap + rng.exponential(flow.mean_gap) + 2 * surge)
    return drivers


class _Fleet:
    """The vehicles of one scene: making each driver's own would take seconds, and nobody would see the difference."""

    def __init__(self, seed: int, road: Road, flow: Flow) -> None:
        self._seed, self._room, self._large_share = seed, road.lane_width - 2 * _SIDE_CLEARANCE - 0.2, flow.large_share
        # Nobody pedals along a motorway.
        self._two_wheelers = 3 if road.kind == "motorway" else 2

    def draw(self, rng: np.random.Generator) -> Vehicle:
        """One that fits into a lane."""
        while True:
            kind = int(rng.choice(3, p=[0.95 * (1 - self._large_share), 0.95 * self._large_share, 0.05]))
            number = int(rng.integers(_MODELS[kind]))
            vehicle = _fleet_vehicle(self._seed, self._two_wheelers if kind == 2 else kind, number)
            if 2 * vehicle.half_width < self._room:
                return vehicle


@functools.lru_cache(maxsize=2 * sum(_MODELS))
def _fleet_vehicle(seed: int, kind: int, number: int) -> Vehicle:
    """kind: 0 car, 1 large vehicle, 2 two-wheeler, 3 motorcycle."""
    rng = np.random.default_rng([seed, 17, kind, number])
    narrow = {2: make_two_wheeler, 3: make_motorcyclist}
    vehicle = narrow[kind](rng) if kind in narrow else make_vehicle(rng, float(kind))
    return _braking(vehicle) if rng.random() < _BRAKING_SHARE else vehicle


def _braking(vehicle: Vehicle) -> Vehicle:
    """The same with its brake lights on."""
    lit = {Material.TAILLIGHT: Material.BRAKE_LIGHT}
    pulled = tuple(unit._replace(mesh=exchange_materials(unit.mesh, lit)) for unit in vehicle.pulled)
    return vehicle._replace(mesh=exchange_materials(vehicle.mesh, lit), pulled=pulled)


def _across(rng: np.random.Generator, road: Road, lane_t: float, direction: int, vehicle: Vehicle) -> float:
    """Where in the lane: about its middle, narrow ones towards the kerb; never over the line, nor in a bend with long corners."""
    # In a bend the ends of a stiff piece swing out.
    swing = max(unit.length for unit in vehicle.units) ** 2 / 8 * _SHARPEST_BEND
    room = max(road.lane_width / 2 - vehicle.half_width - _SIDE_CLEARANCE - swing, 0.0)
    if vehicle.half_width < 0.5:
        return lane_t - direction * room * rng.uniform(0.3, 1.0)
    return lane_t + float(np.clip(rng.normal(0, 0.15), -room, room))
