# SPDX-License-Identifier: Apache-2.0
"""A started depth node around a test double, its peer node with a fake camera, and what it logs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from fake_estimator import FakeEstimator
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_peers import Collector, FakeCamera, wait_until
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from ssd_core.geometry.camera import PinholeCamera
from ssd_depth_ros.depth_node import DepthNode

CAMERA = PinholeCamera(64, 48, 50, 50, 31.5, 23.5)
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)

TYPES = {
    "image_rect": Image,
    "image_raw": Image,
    "camera_info": CameraInfo,
    "points": PointCloud2,
    "preview": Image,
    "compressed": CompressedImage,
    "image": Image,
    "/diagnostics": DiagnosticArray,
}


class NodeBench:
    """Everything runs in one process; `complaints` collects what the node warns about."""

    def __init__(self, spinner: Any) -> None:
        self.spinner = spinner
        self.peer = spinner.add(Node("peer"))
        self.estimator = FakeEstimator()
        self.complaints: list[str] = []
        self.node: DepthNode

    def create(self, factory: Any, remap: Sequence[str] = (), **values: Any) -> DepthNode:
        """A node that isn't waited for; remap: rules FROM:=TO."""
        rules = ["--ros-args", *(word for rule in remap for word in ("-r", rule))]
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        bench = self

        class Watched(DepthNode):
            def _warn(self, text: str) -> None:
                bench.complaints.append(text)
                super()._warn(text)

        self.node = self.spinner.add(Watched(factory, parameter_overrides=overrides, cli_args=rules))
        return self.node

    def start(self, estimator: FakeEstimator | None = None, **values: Any) -> DepthNode:
        """An active node."""
        self.estimator = estimator or self.estimator
        node = self.create(lambda *_: self.estimator, **values)
        wait_until(lambda: node.state == "active", "the node is active")
        return node

    def camera(self, image_topic: str = "/image", info_topic: str = "/camera_info", **options: Any) -> FakeCamera:
        """A fake camera that the node has subscribed to."""
        camera = FakeCamera(self.peer, image_topic, info_topic, **options)
        camera.wait_for_node()
        return camera

    def listen(self, *topics: str) -> list[Any]:
        """Collectors of output topics, once the node's publishers see them."""
        collectors = [Collector(self.peer, TYPES.get(topic, TYPES.get(topic.rsplit("/", 1)[-1])), topic) for topic in topics]
        for one in collectors:
            wait_until(lambda one=one: self._is_matched(one), f"a publisher of {one.topic}")
        return collectors

    def _is_matched(self, collector: Any) -> bool:
        # The node looks at its publishers' counts, and those of one topic become true on both sides at different times.
        publishers = [publisher for publisher in self.node.publishers if publisher.topic_name == collector.topic]
        return any(publisher.get_subscription_count() for publisher in publishers)

    @property
    def health(self) -> Any:
        """Counts of the first camera."""
        return self.node.cameras[0].health


def depth_of(message: Image) -> np.ndarray:
    """Pixels of a depth image."""
    dtype = {"32FC1": np.float32, "16UC1": np.uint16}[message.encoding]
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def points_of(message: PointCloud2) -> np.ndarray:
    """(rows, columns, 4) float32 of a cloud."""
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width, 4)


def stamp_of(message: Any) -> float:
    """Header stamp in seconds."""
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
