# SPDX-License-Identifier: Apache-2.0
"""The drive and the world: speeds, curves, determinism, motion."""

import numpy as np
import pytest

from ssd_core.road_world.block import from_library
from ssd_core.road_world.meshes import move_footprints
from ssd_core.road_world.road import KERB_HEIGHT, Road
from ssd_core.road_world.scene import MIN_SPEED, Scene
from ssd_core.road_world.traffic import DENSITIES, _fleet_vehicle
from ssd_core.road_world.weather import CONDITIONS, make_weather

TIMES = np.arange(0, 20, 0.1)


@pytest.mark.parametrize("seed", range(6))
def test_ego_speed_stays_in_range_and_varies(seed):
    scene = Scene.generate(seed, density="normal")
    speeds = np.array([scene.speed(time) for time in TIMES])
    assert speeds.min() > MIN_SPEED - 0.2 and speeds.max() < 1.1 * scene.road.speed_limit
    assert speeds.std() > 0.4
    assert np.abs(np.diff(speeds)).max() / 0.1 < 5.0


def test_velocity_is_the_derivative_of_the_pose():
    scene = Scene.generate(2)
    for time in (0.3, 4.0, 11.7):
        difference = (scene.world_from_base(time + 0.01)[:3, 3] - scene.world_from_base(time - 0.01)[:3, 3]) / 0.02
        np.testing.assert_allclose(scene.velocity(time), difference, atol=0.02)
        forward = scene.world_from_base(time)[:3, 0]
        assert forward @ scene.velocity(time) > 0.998 * scene.speed(time)


def test_roads_turn_both_ways():
    scenes = [Scene.generate(seed) for seed in range(8)]
    yaw_rates = np.array([[scene.yaw_rate(time) for time in (1.0, 6.0, 12.0, 18.0)] for scene in scenes])
    assert yaw_rates.max() > 0.02 and yaw_rates.min() < -0.02
    assert np.abs(yaw_rates).max() < 0.3


def test_base_is_a_rigid_pose_on_the_ground():
    scene = Scene.generate(7)
    for time in (0.0, 5.0, 9.3):
        pose = scene.world_from_base(time)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
        assert pose[2, 3] == pytest.approx(float(scene.road.hills(*pose[:2, 3])), abs=1e-9)


def test_a_longer_drive_begins_the_same():
    short, long = Scene.generate(3, duration=5.0), Scene.generate(3, duration=40.0)
    for time in (0.0, 2.5):
        np.testing.assert_array_equal(short.world_from_base(time), long.world_from_base(time))
        first, second = short.parts(time), long.parts(time)
        for part, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(part.world_from_part, other.world_from_part)
            assert part.mesh.vertices.keys() == other.mesh.vertices.keys()


def test_seeds_differ_and_traffic_moves():
    scene = Scene.generate(3)
    assert not np.allclose(scene.world_from_base(4.0), Scene.generate(4).world_from_base(4.0))
    before = {id(part.mesh): part.world_from_part for part in scene.parts(1.0)}
    moved = [part for part in scene.parts(1.5) if id(part.mesh) in before and not np.allclose(part.world_from_part, before[id(part.mesh)])]
    assert len(moved) >= 5


def test_no_vehicle_stands_where_the_ego_vehicle_drives():
    for seed in (0, 2):
        scene = Scene.generate(seed)
        for time in (0.0, 4.0):
            base = scene.world_from_base(time)
            # The ego vehicle's body: 1 m behind to 4 m ahead of the rear axle, 1.8 m wide.
            body = np.stack(np.meshgrid(np.linspace(-1, 4, 11), (-0.9, 0.0, 0.9)), axis=-1).reshape(-1, 2) @ base[:2, :2].T + base[:2, 3]
            for part in scene.parts(time):
                prints = move_footprints(part.mesh.footprints, part.world_from_part)
                for x, y, cosine, sine, half_length, half_width in prints:
                    offset = (body - (x, y)) @ np.array([[cosine, -sine], [sine, cosine]])
                    assert not ((np.abs(offset) < (half_length, half_width)).all(axis=1)).any(), (seed, time)


def test_position_is_continuous_across_table_knots():
    road = Scene.generate(1).road
    s = np.linspace(10.0, 12.0, 4001)
    steps = np.linalg.norm(np.diff(road.position(s), axis=0), axis=1)
    np.testing.assert_allclose(steps, 5e-4, rtol=1e-3)


def test_straight_road_follows_x():
    np.testing.assert_allclose(Road().point(12.3, -1.5, KERB_HEIGHT), (12.3, -1.5, KERB_HEIGHT))


def test_unknown_condition_is_named():
    with pytest.raises(ValueError, match=r"hail.*day-clear"):
        make_weather("hail", 1)
    assert len(set(CONDITIONS)) == len(CONDITIONS) >= 8


def test_a_world_does_not_depend_on_what_was_made_before():
    def built():
        return [(part.mesh, part.world_from_part, part.instance) for part in Scene.generate(7, 5.0, "dense").parts(1.0)]

    first = built()
    from_library.cache_clear()
    _fleet_vehicle.cache_clear()
    Scene.generate(8, 5.0, "jam").parts(3.0)
    second = built()
    assert len(first) == len(second) > 20
    for (mesh, pose, instance), (other, other_pose, other_instance) in zip(first, second, strict=True):
        np.testing.assert_array_equal(pose, other_pose)
        assert instance == other_instance and mesh.vertices.keys() == other.vertices.keys()
        for family, vertices in mesh.vertices.items():
            np.testing.assert_array_equal(vertices, other.vertices[family])


def test_weather_and_traffic_are_drawn_apart():
    """Streams of random numbers whose seeds differ only by zeros at the end are the same."""
    elevation = np.array([make_weather("day-clear", seed).sun_direction[2] for seed in range(300)])
    fullness = np.array([DENSITIES.index(Scene.generate(seed, 1.0).density) for seed in range(300)])
    assert abs(np.corrcoef(elevation, fullness)[0, 1]) < 0.15


def test_one_of_the_traffic_can_be_moved_or_taken_away_and_nothing_else_changes():
    scene = Scene.generate(3)
    instance = min(scene.movable_instances(2.0))
    aside = np.eye(4)
    aside[:3, 3] = (0.0, 2.0, 0.0)
    whole = scene.parts(2.0)
    kept = [part for part in whole if part.instance != instance]
    gone = scene.with_instance_moved(instance, None)
    assert len(gone.parts(2.0)) == len(kept) < len(whole)
    for before, after in zip(whole, scene.with_instance_moved(instance, aside).parts(2.0), strict=True):
        expected = aside @ before.world_from_part if before.instance == instance else before.world_from_part
        np.testing.assert_array_equal(after.world_from_part, expected)
    both = gone.with_instance_moved(max(scene.movable_instances(2.0)), None)
    assert len(both.parts(2.0)) < len(kept)
    assert len(scene.parts(2.0)) == len(whole)
