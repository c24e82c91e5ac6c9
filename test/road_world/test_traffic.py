# SPDX-License-Identifier: Apache-2.0
"""Traffic keeps apart, from free roads to jams, and goes on moving."""

import numpy as np
import pytest

from ssd_core.road_world.meshes import yaw_pose
from ssd_core.road_world.road import Road
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.traffic import (
    DENSITIES,
    EGO_HALF_WIDTH,
    EGO_NOSE,
    EGO_TAIL,
    FLOWS,
    REACH_AHEAD,
    REACH_BEHIND,
    _Fleet,
)
from ssd_core.road_world.two_wheelers import make_cyclist, make_motorcyclist

TIMES = (0.0, 2.3, 5.2, 7.1, 9.4, 12.6, 19.0)


def overlaps(poses, sizes):
    """Pairs of rectangles seen from above that cut into each other: the test of separating axes. poses (N, 4, 4), sizes (N, 2) halves."""
    centres, axes = poses[:, :2, 3], np.stack([poses[:, :2, 0], poses[:, :2, 1]], axis=1)
    apart = np.zeros((len(poses), len(poses)), dtype=bool)
    offset = centres[None] - centres[:, None]
    for way in range(2):
        axis = axes[:, way] / np.linalg.norm(axes[:, way], axis=-1, keepdims=True)
        reach = np.abs(np.einsum("nk,mik->nmi", axis, axes))
        extent = (reach * sizes[None]).sum(axis=-1) + sizes[:, way][:, None]
        separated = np.abs(np.einsum("nk,nmk->nm", axis, offset)) >= extent
        apart |= separated | separated.T
    return np.argwhere(np.triu(~apart, 1))


def test_the_overlap_test_itself():
    poses = np.stack([yaw_pose(0, 0), yaw_pose(3.9, 1.7), yaw_pose(4.1, 0), yaw_pose(0, 3.0, yaw=np.pi / 2)])
    sizes = np.array([[2.0, 0.9]] * 4)
    assert overlaps(poses, sizes).tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("seed", range(6))
def test_nobody_cuts_into_anybody(seed):
    # All densities of a seed share its vehicles, which take longest to make.
    for density in DENSITIES:
        scene = Scene.generate(seed, density=density)
        traffic = scene.traffic
        owner = np.concatenate([[-1], traffic.owners])
        ego_size = np.array([[(EGO_NOSE - EGO_TAIL) / 2, EGO_HALF_WIDTH]])
        for time in TIMES:
            ego = scene.world_from_base(time) @ yaw_pose((EGO_NOSE + EGO_TAIL) / 2, 0.0)
            poses = np.concatenate([ego[None], traffic.poses(time, scene.ego.distance(time))])
            pairs = overlaps(poses, np.concatenate([ego_size, traffic.sizes]))
            # Pieces of one vehicle hang together.
            pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
            assert len(pairs) == 0, (density, time, pairs[:3])


def test_jams_are_near_and_slow_and_free_roads_are_not():
    def gap(scene):
        here, lane = scene.ego.distance(3.0), scene.road.lane_centre(scene.road.ego_lane, 1)
        drivers = zip(scene.traffic.drivers, *scene.traffic.positions(3.0, here)[:2], strict=True)
        return min(s - here - EGO_NOSE - driver.vehicle.length / 2 for driver, s, t in drivers if abs(t - lane) < 1.3 and s > here)

    jam, free = zip(*([gap(Scene.generate(seed, density=density)) for density in ("jam", "free")] for seed in range(8)), strict=True)
    assert np.median(jam) < 6.0 and min(jam) > 0.4
    assert np.median(free) > 20.0
    assert all(
        scene.ego.mean_speed < max(0.3 * scene.road.speed_limit, 1.8)
        for scene in (Scene.generate(seed, density="jam") for seed in range(8))
    )
    assert len(FLOWS) == len(DENSITIES)


def test_all_densities_are_drawn():
    assert {Scene.generate(seed).density for seed in range(40)} == set(DENSITIES)


def test_everybody_stays_in_reach_and_moves():
    scene = Scene.generate(3, density="dense")
    for time in (0.0, 60.0, 400.0):
        here = scene.ego.distance(time)
        s, _, _ = scene.traffic.positions(time, here)
        assert (s - here >= -REACH_BEHIND).all() and (s - here <= REACH_AHEAD).all()
    before, after = (scene.traffic.poses(time, scene.ego.distance(time)) for time in (1.0, 1.5))
    assert (np.linalg.norm(after[:, :3, 3] - before[:, :3, 3], axis=1) > 0.05).all()


def test_the_same_seed_is_the_same_traffic():
    first, second = Scene.generate(11), Scene.generate(11)
    np.testing.assert_array_equal(first.traffic.poses(4.0, 30.0), second.traffic.poses(4.0, 30.0))


def test_some_change_lanes():
    changes = 0
    for seed in range(30):
        if changes >= 3:
            break
        scene = Scene.generate(seed, density="free")
        if scene.road.lanes_per_direction == 1:
            continue
        traffic = scene.traffic
        changing = [number for number, driver in enumerate(traffic.drivers) if driver.change]
        changes += len(changing)
        for number in changing:
            driver = traffic.drivers[number]
            middle = driver.change_time + driver.change_duration / 2
            t = [traffic.positions(time, 0.0)[1][number] for time in (0.0, middle, 40.0)]
            np.testing.assert_allclose(t, [driver.t, driver.t + driver.change / 2, driver.t + driver.change])
            # Turned towards where they go.
            assert np.sign(traffic.positions(middle, 0.0)[2][number]) == np.sign(driver.change)
    assert changes >= 3


def test_motorways_have_motorcycles_but_no_bicycles():
    rng, narrow = np.random.default_rng(1), []
    for kind in ("motorway", "street"):
        fleet = _Fleet(5, Road(kind=kind, lane_width=3.6), FLOWS["normal"])
        vehicles = [fleet.draw(rng) for _ in range(400)]
        narrow.append({vehicle.half_width for vehicle in vehicles if vehicle.half_width < 0.5})
    bicycle, motorcycle = (maker(np.random.default_rng(0)).half_width for maker in (make_cyclist, make_motorcyclist))
    assert narrow == [{motorcycle}, {bicycle, motorcycle}]
