# SPDX-License-Identifier: Apache-2.0
"""The depth node at rclpy level: a fake camera publishes, the node answers, a subscriber looks."""
# ruff: noqa: E402  (rclpy may be missing: skipped before the imports that need it)

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fake_estimator import FakeEstimator

from ssd_core.geometry.camera import PinholeCamera

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy", reason="rclpy isn't installed (extra [ros], or a sourced ROS)")

from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from ssd_depth_ros.depth_node import DepthNode

CAMERA = PinholeCamera(64, 48, 50, 50, 31.5, 23.5)
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


class Bench:
    """A started node, and a peer node for its cameras and subscribers."""

    def __init__(self, spinner: Any) -> None:
        self.spinner = spinner
        self.peer = spinner.add(Node("peer"))
        self.node: Any = None

    def start(self, estimator: FakeEstimator, wait: Callable[..., Any], **values: Any) -> DepthNode:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = self.spinner.add(DepthNode(lambda *_: estimator, parameter_overrides=overrides))
        wait(lambda: self.node._state == "active", "the node is active")
        return self.node


@pytest.fixture
def bench(spinner: Any) -> Iterator[Bench]:
    return Bench(spinner)


def depth_of(message: Image) -> np.ndarray:
    dtype = {"32FC1": np.float32, "16UC1": np.uint16}[message.encoding]
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def test_one_raw_camera_gives_depth_info_cloud_and_previews(bench: Bench, wait_for: Any, fake_camera: Any, collector: Any) -> None:
    node = bench.start(FakeEstimator(5.0), wait_for)
    camera = fake_camera(bench.peer)
    topics = {
        "/depth/image_raw": Image,
        "/depth/camera_info": CameraInfo,
        "/depth/points": PointCloud2,
        "/depth/preview": Image,
        "/depth/preview/compressed": CompressedImage,
    }
    outputs = {topic: collector(bench.peer, kind, topic) for topic, kind in topics.items()}
    camera.wait_for_node()
    wait_for(lambda: all(node.count_subscribers(topic) for topic in topics))
    wait_for(lambda: all(vars(node.cameras[0].outputs.wanted()).values()), "all outputs are wanted")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE, stamp=12.5)
    depth, info, cloud, preview, jpeg = (outputs[topic].wait()[0] for topic in topics)
    for message in (depth, info, cloud, preview, jpeg):
        assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (12, 500_000_000, "camera_optical")
    assert depth.encoding == "32FC1" and depth_of(depth).shape == (42, 56)
    np.testing.assert_array_equal(depth_of(depth), np.float32(5))
    assert (info.width, info.height) == (56, 42) and info.k[0] == pytest.approx(50 * 56 / 64)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.is_dense) == (16, 12, 16, False)
    points = np.frombuffer(cloud.data, np.float32).reshape(12, 16, 4)
    np.testing.assert_allclose(points[..., 2], 5)
    np.testing.assert_allclose(points[2, 3, :2], [5 * (12 - 31.5) / 50, 5 * (8 - 23.5) / 50], rtol=1e-6)
    packed = points.view(np.uint32)[2, 3, 3]
    np.testing.assert_array_equal([packed >> 16, packed >> 8 & 255, packed & 255], PICTURE[8, 12])
    assert preview.encoding == "rgb8" and jpeg.format == "jpeg" and bytes(jpeg.data[:2]) == b"\xff\xd8"
