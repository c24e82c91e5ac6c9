# SPDX-License-Identifier: Apache-2.0
"""Who crosses the road does so without being run over, and vehicles wait where they may not go."""

import dataclasses

import numpy as np
import pytest

from ssd_core.road_world.crossings import Crosser, Crossings
from ssd_core.road_world.ground import Junction
from ssd_core.road_world.people import make_person
from ssd_core.road_world.road import Hills, Road
from ssd_core.road_world.traffic import EGO_NOSE, Traffic, make_traffic
from ssd_core.road_world.vehicles import Vehicle, make_vehicle

ROAD = Road(lanes_per_direction=1, lane_width=3.4, pavement_width=3.0)


def ego_distance(time):
    return 8.0 * time


def crossers_of(traffic, count=40):
    crossings = Crossings(5, ROAD, traffic, ego_distance)
    return [
        crosser
        for index in range(1, count)
        for crosser in crossings.of_stretch(index, index * 40.0, index * 40.0 + 40.0, Junction(index * 40.0 + 20.0, 4.0, True), 1.0)
    ]


def test_people_and_vehicles_cross_an_empty_road_ahead_of_the_ego_vehicle():
    crossers = [crosser for crosser in crossers_of(Traffic(ROAD, [])) if np.isfinite(crosser.start) and crosser.halt is None]
    assert any(isinstance(crosser.what, Vehicle) for crosser in crossers)
    assert sum(not isinstance(crosser.what, Vehicle) for crosser in crossers) > 5
    for crosser in crossers:
        assert crosser.t(crosser.start - 1.0) == crosser.side * crosser.reach
        assert abs(crosser.t(crosser.start + 2 * crosser.reach / crosser.speed + 1.0) + crosser.side * crosser.reach) < 1e-6
        on_road = [time for time in np.arange(0, 400, 0.1) if abs(crosser.t(time) - ROAD.lane_centre(0, 1)) < 1.0]
        for time in on_road:
            gap = crosser.s - ego_distance(time)
            assert gap > EGO_NOSE + 2.0 or gap < -1.0, (crosser, time)


def test_nobody_crosses_a_jam():
    waiting = crossers_of(make_traffic(3, ROAD, "jam"))
    vehicles = [crosser for crosser in waiting if isinstance(crosser.what, Vehicle)]
    halted = [crosser for crosser in vehicles if crosser.halt is not None]
    assert len(halted) > 0.6 * len(vehicles) > 0
    for crosser in halted:
        times = np.arange(max(crosser.start, 0), crosser.start + 60, 0.5)
        assert min(abs(crosser.t(time)) for time in times) - crosser.what.length / 2 > ROAD.half_width


def test_the_same_stretch_has_the_same_crossers():
    first, second = (crossers_of(make_traffic(4, ROAD, "normal"), 6) for _ in range(2))
    assert [(crosser.s, crosser.start, crosser.instance) for crosser in first] == [
        (crosser.s, crosser.start, crosser.instance) for crosser in second
    ]
    assert len({crosser.instance for crosser in first}) == len(first)


def test_walking_across_moves_legs_and_steps_down_the_kerb():
    crosser = Crosser(make_person(np.random.default_rng(1)), ROAD, 30.0, 1, 4.0, 2.0, 1.4, 7)
    before, middle = crosser.parts(0.0), crosser.parts(2.0 + 4.0 / 1.4)
    assert [part.instance for part in before] == [7, 7, 7]
    assert before[0].world_from_part[2, 3] > middle[0].world_from_part[2, 3] == 0.0
    np.testing.assert_allclose(middle[0].world_from_part[:2, 3], ROAD.position(30.0), atol=1e-6)
    np.testing.assert_allclose(middle[0].world_from_part[:2, 0], (0.0, -1.0), atol=1e-9)


def test_vehicles_out_of_side_streets_stand_on_the_slope():
    slope = dataclasses.replace(ROAD, hills=Hills(((8.0, 0.01, 0.004, 0.0),)))
    vehicle = make_vehicle(np.random.default_rng(1), 0.0)
    pose = Crosser(vehicle, slope, 30.0, 1, 40.0, 0.0, 8.0, 7, 1.5).parts(3.0)[0].world_from_part
    ahead, left = pose[:3, 3] + pose[:3, 0], pose[:3, 3] + pose[:3, 1]
    for place in (ahead, left):
        assert place[2] == pytest.approx(float(slope.hills(place[0], place[1])), abs=2e-3)
    assert abs(pose[2, 1]) > 0.05
