# SPDX-License-Identifier: Apache-2.0
"""Who crosses the road: people from kerb to kerb, and vehicles out of side streets, only where nobody would be run over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from ssd_core.road_world.ground import Junction
from ssd_core.road_world.meshes import Array, Part
from ssd_core.road_world.people import Person, figure_parts, make_person
from ssd_core.road_world.road import Road
from ssd_core.road_world.traffic import EGO_HALF_WIDTH, EGO_NOSE, EGO_TAIL, Traffic
from ssd_core.road_world.vehicles import Vehicle, make_two_wheeler, make_vehicle

# Metres that stay free between who crosses and everybody on the road, the ego vehicle more than others.
_MARGIN, _EGO_MARGIN = 2.0, 4.0
_STEP = 0.1
# Side streets are long; nobody is seen coming from farther than this.
_REACH = 55.0
_BRAKING = 14.0
# Numbers of instances, above those of drivers along the road.
_FIRST_INSTANCE = 20_000


@dataclasses.dataclass(frozen=True)
class Crosser:
    """A person or a vehicle on a straight line across the road at s, from t = side * reach to the other side.

    They set out at `start` seconds with `speed`, and if `halt` is given they stop there, at side * halt. `offset` moves a
    vehicle's line along the road, onto its own side of the side street.
    """

    what: Person | Vehicle
    road: Road
    s: float
    side: int
    reach: float
    start: float
    speed: float
    instance: int
    offset: float = 0.0
    halt: float | None = None

    def t(self, time: float) -> float:
        """Metres to the left of the centre line."""
        gone = max(self.speed * (time - self.start), 0.0)
        if self.halt is not None:
            brake_from = self.reach - self.halt - _BRAKING
            if gone > brake_from:
                gone = brake_from + _BRAKING * (1 - np.exp(-(gone - brake_from) / _BRAKING))
        return self.side * (self.reach - min(gone, 2 * self.reach))

    def size(self) -> tuple[float, float]:
        """Half extents along and across the road, metres."""
        return (self.what.half_width, self.what.length / 2) if isinstance(self.what, Vehicle) else (0.35, 0.35)

    def parts(self, time: float) -> list[Part]:
        """Nothing, before they come and after they have gone into the side street."""
        t = self.t(time)
        heading = float(self.road.heading(self.s)) - self.side * np.pi / 2
        middle, away = self.road.position(self.s), np.array([-np.cos(heading), -np.sin(heading)])
        along = np.array([-np.sin(heading), np.cos(heading)]) * -self.offset
        # Straight on over the land: the line doesn't bend with the road.
        x, y = middle + away * t * self.side + along
        if isinstance(self.what, Vehicle):
            if abs(t) >= self.reach - 1e-6:
                return []
            return [Part(self.what.mesh, self.road.hills.pose(float(x), float(y), heading), self.instance)]
        height = self.road.kerb_height if abs(t) > self.road.half_width else 0.0
        walks = self.start < time < self.start + 2 * self.reach / self.speed
        swing = (0.75 if self.speed > 2.2 else 0.5) * np.sin(2.4 * self.speed**0.7 * 1.6 * (time - self.start)) if walks else 0.0
        return figure_parts(self.what, self.road.hills.pose(float(x), float(y), heading, height, upright=True), float(swing), self.instance)


class Crossings:
    """Draws who crosses a stretch of road from its own random numbers, and lets only those go who are safe."""

    def __init__(self, seed: int, road: Road, traffic: Traffic, ego_distance: Callable[[float], float]) -> None:
        self._seed, self._road, self._traffic, self._ego_distance = seed, road, traffic, ego_distance

    def of_stretch(self, index: int, start: float, end: float, junction: Junction | None, liveliness: float) -> list[Crosser]:
        """Crossers between s = start and end, stretch number `index`; liveliness: how many people want to, on average."""
        rng, crossers = np.random.default_rng([self._seed, 21, index + 1000]), list[Crosser]()
        if start < 10.0 or self._road.speed_limit > 17.0:
            return crossers
        if junction is not None:
            for side in junction.sides:
                crossers.extend(self._from_side_street(rng, junction, side, crossers))
        if self._road.kerb_height > 0:
            for _ in range(int(rng.poisson(liveliness))):
                crossers.extend(self._on_foot(rng, start, end, junction))
        return [
            dataclasses.replace(crosser, instance=_FIRST_INSTANCE + 20 * (index % 500) + number) for number, crosser in enumerate(crossers)
        ]

    def _on_foot(self, rng: np.random.Generator, start: float, end: float, junction: Junction | None) -> list[Crosser]:
        """One to three people together; if it isn't safe they stay at the kerb."""
        s = rng.uniform(start, end)
        if junction is None and self._road.parking_width > 0:
            # There would be parked vehicles in the way.
            return []
        if junction is not None:
            s = junction.s + rng.choice([-1, 1]) * (junction.half_width + 3.0) + rng.normal(0, 0.6)
        speed = rng.uniform(2.6, 3.4) if rng.random() < 0.12 else rng.uniform(1.1, 1.7)
        side, reach = int(rng.choice([-1, 1])), self._road.half_width + rng.uniform(0.4, 1.0)
        # Patient people look again, but don't cross late.
        arrivals = self._ego_time(s) - reach / speed - rng.uniform(2.5, 14.0, 4)
        people = [(make_person(rng), float(s) + number * 0.75, rng.uniform(0, 0.5)) for number in range(int(rng.choice([1, 1, 1, 2, 3])))]
        for begin in (*arrivals, np.inf):
            group = [Crosser(who, self._road, place, side, reach, float(begin) + wait, speed, 0) for who, place, wait in people]
            if begin == np.inf or all(self._is_safe(crosser) for crosser in group):
                break
        return group

    def _from_side_street(self, rng: np.random.Generator, junction: Junction, side: int, others: list[Crosser]) -> list[Crosser]:
        """A vehicle that crosses to the side street opposite, if there is one and it is safe, or else waits at the line."""
        if rng.random() < 0.35:
            return []
        vehicle = make_two_wheeler(rng) if rng.random() < 0.12 else make_vehicle(rng, 0.2)
        reach, speed = min(_REACH, junction.reach - 8.0), rng.uniform(5.0, 9.0)
        lane = min(1.8, junction.half_width / 2)
        if vehicle.half_width > lane - 0.15 or vehicle.length > 9.0:
            return []
        begin = self._ego_time(junction.s) - rng.uniform(-1.0, 6.0) - reach / speed
        crosser = Crosser(vehicle, self._road, junction.s, side, reach, begin, speed, 0, lane)
        if set(junction.sides) == {-1, 1} and not others and self._is_safe(crosser):
            return [crosser]
        halt = self._road.half_width + vehicle.length / 2 + rng.uniform(0.8, 2.5)
        return [dataclasses.replace(crosser, halt=float(halt), start=begin - rng.uniform(0.0, 12.0))]

    def _ego_time(self, s: float) -> float:
        """When the ego vehicle comes to s, which lies ahead of its start."""
        late = 1.0
        while self._ego_distance(late) < s and late < 1e5:
            late *= 2
        early = 0.0
        for _ in range(24):
            middle = (early + late) / 2
            early, late = (middle, late) if self._ego_distance(middle) < s else (early, middle)
        return late

    def _is_safe(self, crosser: Crosser) -> bool:
        """Whether nobody comes near while they are on the road."""
        along, across = crosser.size()
        road, drivers = self._road, self._traffic.drivers
        lengths = np.array([driver.vehicle.length / 2 for driver in drivers] + [(EGO_NOSE - EGO_TAIL) / 2])
        widths = np.array([driver.vehicle.half_width for driver in drivers] + [EGO_HALF_WIDTH])
        margins = np.array([_MARGIN] * len(drivers) + [_EGO_MARGIN])
        place = crosser.s - crosser.offset * crosser.side
        first = crosser.start + max(crosser.reach - road.half_width - across - 1.0, 0.0) / crosser.speed
        last = crosser.start + (crosser.reach + road.half_width + across + 1.0) / crosser.speed
        for time in np.arange(max(first, 0.0), last, _STEP):
            ego = self._ego_distance(float(time))
            s, t = self._positions(float(time), ego)
            near = np.abs(s - place) < lengths + along + margins
            if (near & (np.abs(t - crosser.t(float(time))) < widths + across + 0.6)).any():
                return False
        return True

    def _positions(self, time: float, ego: float) -> tuple[Array, Array]:
        lane = self._road.lane_centre(self._road.ego_lane, 1)
        s, t = (self._traffic.positions(time, ego)[:2]) if self._traffic.drivers else (np.zeros(0), np.zeros(0))
        return np.append(s, ego + (EGO_NOSE + EGO_TAIL) / 2), np.append(t, lane)
