# SPDX-License-Identifier: Apache-2.0
"""Rigs by the conventions, lidar against geometry and against the camera's depth."""

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

    scene, lidar = Scene.generate(6), Lidar.nuscenes_top(beams=8, columns=180)
    caster, pose = LidarCaster(lidar), scene.world_from_base(0.0) @ lidar.base_from_lidar
    dry, wet = (caster.cast(scene, pose, 0.0, condition) for condition in ("day-clear", "day-rain"))
    assert len(wet) < len(dry)
    assert {tuple(point) for point in wet[:, :3]} <= {tuple(point) for point in dry[:, :3]}
    np.testing.assert_array_equal(caster.cast(scene, pose, 0.0, "day-rain"), wet)


def test_fewer_beams_keep_the_field_of_view():
    assert np.degrees(Lidar.nuscenes_top(16).elevations[0]) == pytest.approx(-30.67)
    assert len(Lidar.nuscenes_top(16).elevations) == 16
    assert isinstance(Rig.nuscenes_front().cameras[0].camera, PinholeCamera)
