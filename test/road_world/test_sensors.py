# SPDX-License-Identifier: Apache-2.0
"""Rigs by the conventions, lidar against geometry and against the camera's depth."""

import dataclasses

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import project_lidar
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import MeshBuilder, Part, yaw_pose
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import Lidar, Rig


def test_rig_follows_rep_103():
    rig = Rig.nuscenes(320, 180)
    assert rig.cameras[0].name == "CAM_FRONT" and len(rig.cameras) == 6
    for mounted in rig.cameras:
        rotation = mounted.base_from_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(rotation[:, 1], (0, 0, -1), atol=1e-12)
    views = {mounted.name: mounted.base_from_camera[:3, 2] for mounted in rig.cameras}
    np.testing.assert_allclose(views["CAM_FRONT"], (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(views["CAM_BACK"], (-1, 0, 0), atol=1e-12)
    assert views["CAM_FRONT_LEFT"][1] > 0.8 and views["CAM_BACK_RIGHT"][1] < -0.8
    delays = [mounted.delay for mounted in rig.cameras]
    assert len(set(delays)) == 6 and max(delays) < 0.05


@pytest.mark.render
def test_lidar_is_exact_on_a_plane():
    from ssd_core.road_world.sensors import LidarCaster

    builder = MeshBuilder()
    builder.quads([[(-500, -500, 0), (500, -500, 0), (500, 500, 0), (-500, 500, 0)]], Material.PAVEMENT, (0.5, 0.5, 0.5))
    scene = Scene.of_parts((Part(builder.build(), np.eye(4)),))
    lidar = Lidar.nuscenes_top(columns=360)
    pose = yaw_pose(3.0, 2.0, 1.84, 0.7)
    points = LidarCaster(lidar).cast(scene, pose, 0.0)
    assert points.dtype == np.float32 and points.shape[1] == 5 and len(points) > 3000
    assert np.abs(transform_points(pose, points[:, :3])[:, 2]).max() < 1e-3
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    np.testing.assert_allclose(elevation, np.array(lidar.elevations)[points[:, 4].astype(int)], atol=1e-5)
    assert len(np.unique(np.round(np.degrees(np.arctan2(points[:, 0], points[:, 1])), 2))) > 300


@pytest.mark.render
def test_lidar_agrees_with_camera_depth():
    from ssd_core.road_world.renderer import Renderer
    from ssd_core.road_world.sensors import LidarCaster

    scene, time = Scene.generate(6), 1.2
    rig = Rig.nuscenes_front(960, 540)
    mounted, base = rig.cameras[0], scene.world_from_base(time)
    points = LidarCaster(rig.lidar).cast(scene, base @ rig.lidar.base_from_lidar, time)
    assert len(points) > 10_000 and points[:, 3].min() >= 0 and points[:, 3].max() <= 255
    in_camera = transform_points(invert_pose(mounted.base_from_camera) @ rig.lidar.base_from_lidar, points[:, :3])
    sparse = project_lidar(in_camera, mounted.camera)
    depth = Renderer(mounted.camera).render_depth(scene, base @ mounted.base_from_camera, time)
    error = np.abs(sparse.z - depth[sparse.v, sparse.u]) / sparse.z
    assert len(sparse.z) > 2000
    # The lidar looks over things that hide from the camera, and pixels have a width: most points must still agree.
    assert np.median(error) < 5e-3
    assert (error < 0.03).mean() > 0.8


@pytest.mark.render
def test_rain_swallows_returns_but_moves_none():
    from ssd_core.road_world.sensors import LidarCaster

    scene, lidar = Scene.generate(14), Lidar.nuscenes_top(beams=8, columns=180)
    caster, pose = LidarCaster(lidar), scene.world_from_base(0.0) @ lidar.base_from_lidar
    dry, wet = (caster.cast(scene, pose, 0.0, condition) for condition in ("day-clear", "day-rain"))
    assert len(wet) < len(dry)
    assert {tuple(point) for point in wet[:, :3]} <= {tuple(point) for point in dry[:, :3]}
    np.testing.assert_array_equal(caster.cast(scene, pose, 0.0, "day-rain"), wet)


def test_fewer_beams_keep_the_field_of_view():
    assert np.degrees(Lidar.nuscenes_top(16).elevations[0]) == pytest.approx(-30.67)
    assert len(Lidar.nuscenes_top(16).elevations) == 16
    assert isinstance(Rig.nuscenes_front().cameras[0].camera, PinholeCamera)


def moving_scene(*faces) -> Scene:
    builder = MeshBuilder()
    for face in faces:
        builder.quads([face], Material.PAVEMENT, (0.5, 0.5, 0.5))
    return Scene.of_parts((Part(builder.build(), np.eye(4)),))


@pytest.mark.render
def test_each_column_of_a_turn_has_its_own_time_and_place():
    from ssd_core.road_world.sensors import TIMED_POINT_FIELDS, LidarCaster

    # A wall ahead, a wall to the left, and the ground; the vehicle drives along x.
    wall_x, wall_y = 14.0, 6.0
    scene = moving_scene(
        [(wall_x, -80, -1), (wall_x, 80, -1), (wall_x, 80, 9), (wall_x, -80, 9)],
        [(-200, wall_y, -1), (200, wall_y, -1), (200, wall_y, 9), (-200, wall_y, 9)],
        [(-500, -500, 0), (500, -500, 0), (500, 500, 0), (-500, 500, 0)],
    )
    lidar = dataclasses.replace(Lidar.nuscenes_top(beams=16, columns=720), turn=0.1)
    start = 0.5
    base = scene.world_from_base(start)
    points = LidarCaster(lidar).cast(scene, base @ lidar.base_from_lidar, start).astype(np.float64)
    assert lidar.point_fields == TIMED_POINT_FIELDS and points.shape[1] == 6 and len(points) > 3000
    azimuth = np.arctan2(points[:, 0], points[:, 1]) % (2 * np.pi)
    np.testing.assert_allclose(points[:, 5], azimuth / (2 * np.pi) * lidar.turn, atol=lidar.turn / 720 / 2)
    poses = {time: scene.world_from_base(start + time) @ lidar.base_from_lidar for time in np.unique(points[:, 5])}
    world = np.concatenate([transform_points(poses[time], points[points[:, 5] == time, :3]) for time in poses])
    travelled = np.linalg.norm(scene.world_from_base(start + lidar.turn)[:3, 3] - base[:3, 3])
    assert travelled > 0.5
    off = np.stack([np.abs(world[:, 0] - wall_x), np.abs(world[:, 1] - wall_y), np.abs(world[:, 2])], axis=-1).min(axis=1)
    # Where two faces meet, a beam may be taken for its neighbour's.
    assert (off < 2e-3).mean() > 0.995
    frozen = transform_points(base @ lidar.base_from_lidar, points[:, :3])
    assert np.abs(frozen[np.abs(world[:, 0] - wall_x) < 1e-3, 0] - wall_x).max() > 0.3 * travelled


@pytest.mark.render
def test_a_turn_without_motion_is_the_sweep_of_an_instant():
    from ssd_core.road_world.sensors import LidarCaster

    scene = moving_scene(
        [(14, -80, -1), (14, 80, -1), (14, 80, 9), (14, -80, 9)], [(-500, -500, 0), (500, -500, 0), (500, 500, 0), (-500, 500, 0)]
    )
    lidar = Lidar.nuscenes_top(beams=8, columns=360)
    pose = scene.world_from_base(0.0) @ lidar.base_from_lidar
    instant = LidarCaster(lidar).cast(scene, pose, 0.0)
    turned = LidarCaster(dataclasses.replace(lidar, turn=1e-9)).cast(scene, pose, 0.0)
    beams = [np.round(np.degrees(np.arctan2(points[:, 0], points[:, 1]))) * 8 + points[:, 4] for points in (instant, turned)]
    _, first, second = np.intersect1d(*beams, return_indices=True)
    # At the edge of the wall a pixel more or less is hit.
    assert len(first) > 0.995 * max(len(instant), len(turned)) > 2000
    difference = np.linalg.norm(instant[first, :3] - turned[second, :3], axis=1)
    assert np.median(difference) < 1e-4 and (difference < 2e-3).mean() > 0.995
