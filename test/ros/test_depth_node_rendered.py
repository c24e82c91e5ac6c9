# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (rclpy or a renderer may be missing: skipped before the imports that need them)
"""Rendered depth through the node: the cloud lies where the rendered world is."""

from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.render]
pytest.importorskip("rclpy", reason="rclpy isn't installed (extra [ros], or a sourced ROS)")
pytest.importorskip("moderngl", reason="moderngl isn't installed (extra [render])")

from fake_estimator import FakeEstimator
from node_bench import NodeBench, points_of

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import transform_points
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import MeshBuilder, Part, yaw_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL

HEIGHT, WALL = 1.5, 30.0


@pytest.mark.parametrize(
    "camera",
    [
        PinholeCamera(320, 192, 220.0, 222.0, 162.4, 93.0),
        PinholeCamera(320, 192, 220.0, 222.0, 162.4, 93.0, "plumb_bob", (-0.28, 0.07, 0.001, -0.0008, 0.0)),
        PinholeCamera(320, 192, 180.0, 180.0, 158.0, 96.0, "equidistant", (0.02, -0.004, 0.001, 0.0)),
    ],
    ids=lambda camera: camera.distortion_model,
)
def test_points_lie_on_the_rendered_road_and_wall(spinner: Any, camera: PinholeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssd_depth_ros.depth_node.LOOK_PERIOD", 0.05)
    builder = MeshBuilder()
    builder.quads([[(-500, -500, 0), (500, -500, 0), (500, 500, 0), (-500, 500, 0)]], Material.PAVEMENT, (0.5, 0.5, 0.5))
    builder.quads([[(WALL, 500, 0), (WALL, -500, 0), (WALL, -500, 90), (WALL, 500, 90)]], Material.PAVEMENT, (0.5, 0.5, 0.5))
    pose = yaw_pose(0.0, 0.0, HEIGHT) @ BODY_FROM_OPTICAL
    rendered = Renderer(camera).render_depth(Scene.of_parts((Part(builder.build(), np.eye(4)),)), pose, 0.0)

    bench = NodeBench(spinner)
    bench.start(FakeEstimator(lambda *_: rendered, input_size=(320, 192)), depth_resolution="image", cloud_stride=2)
    publisher = bench.camera()
    (cloud,) = bench.listen("/depth/points")
    publisher.send_info(camera)
    publisher.send_image(np.zeros((192, 320, 3), np.uint8))
    points = points_of(cloud.wait()[0])[..., :3].astype(np.float64)
    assert np.isfinite(points[..., 2]).mean() > 0.95
    assert np.isfinite(points[-5:]).all()
    seen = points[np.isfinite(points[..., 2])]
    world = transform_points(pose, seen)
    distance = np.linalg.norm(seen, axis=1)
    # Straight from the world's two planes, without the depth image: z = 0 in front of the wall, x = WALL above.
    off = np.minimum(np.abs(world[:, 2]), np.abs(world[:, 0] - WALL)) / distance
    corner = (world[:, 2] < 0.1) & (world[:, 0] > WALL - 0.5)
    assert off[~corner].max() < 1e-3
    assert (np.abs(world[:, 2]) < 0.01).any() and (np.abs(world[:, 0] - WALL) < 0.03).any()
