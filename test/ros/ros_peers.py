# SPDX-License-Identifier: Apache-2.0
"""Parts of rclpy tests: waiting for conditions, an executor thread, a camera that publishes, a subscriber that collects."""

import array
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

TIMEOUT = 10.0
"""Seconds that a condition may take to come true; discovery alone takes up to 3."""


def wait_until(condition: Callable[[], Any], what: str = "", timeout: float = TIMEOUT) -> Any:
    """Poll until the condition's value is true and return it; fail after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {timeout:g} s: {what or condition}")
        time.sleep(0.005)
    return value


class Spinner:
    """Runs nodes in one executor thread and destroys them at the end."""

    def __init__(self) -> None:
        from rclpy.executors import SingleThreadedExecutor

        self._executor = SingleThreadedExecutor()
        self._nodes: list[Any] = []
        self._stop = threading.Event()
        self.failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def add(self, node: Any) -> Any:
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a function in the executor's thread, as a service callback would be, and return its result."""
        task = self._executor.create_task(function)
        self._executor.wake()
        wait_until(task.done, "a call in the executor's thread", timeout=30)
        return task.result()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT)
        for node in self._nodes:
            self._executor.remove_node(node)
            node.destroy_node()
        self._executor.shutdown(timeout_sec=1.0)
        # A lifecycle node holds its rcl node until it is collected; the next test's node has the same name.
        self._nodes.clear()
        gc.collect()

    def _spin(self) -> None:
        while not self._stop.is_set():
            try:
                self._executor.spin_once(timeout_sec=0.05)
            except Exception as error:  # noqa: BLE001  shown by the fixture
                self.failures.append(error)
                return


class FakeCamera:
    """Publishes images and CameraInfo under absolute topics, with stamps of its own choosing."""

    def __init__(
        self,
        node: Any,
        image_topic: str = "/image",
        info_topic: str = "/camera_info",
        compressed: bool = False,
        reliable: bool = True,
    ) -> None:
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT)
        self.image_type = CompressedImage if compressed else Image
        self.images = node.create_publisher(self.image_type, image_topic, qos)
        self.infos = node.create_publisher(CameraInfo, info_topic, qos)

    def wait_for_node(self) -> None:
        wait_until(lambda: self.images.get_subscription_count() and self.infos.get_subscription_count(), "subscriptions of the node")

    def header(self, stamp: float, frame: str = "camera_optical") -> Any:
        from builtin_interfaces.msg import Time
        from std_msgs.msg import Header

        seconds = int(stamp)
        return Header(stamp=Time(sec=seconds, nanosec=round((stamp - seconds) * 1e9)), frame_id=frame)

    def send_info(self, camera: Any, stamp: float = 1.0, **changes: Any) -> None:
        """CameraInfo of a PinholeCamera; changes replace message fields."""
        from ssd_depth_ros.messages import camera_info_message

        message = camera_info_message(self.header(stamp), camera)
        for name, value in changes.items():
            setattr(message, name, value)
        self.infos.publish(message)

    def send_image(self, pixels: np.ndarray, stamp: float = 1.0, **changes: Any) -> None:
        """rgb8 of uint8 (H, W, 3); changes replace message fields."""
        height, width = pixels.shape[:2]
        fields = {"header": self.header(stamp), "height": height, "width": width, "encoding": "rgb8", "step": width * 3}
        fields["data"] = array.array("B", np.ascontiguousarray(pixels).tobytes())
        self.images.publish(self.image_type(**(fields | changes)))

    def send_compressed(self, data: bytes, stamp: float = 1.0, form: str = "jpeg") -> None:
        self.images.publish(self.image_type(header=self.header(stamp), format=form, data=array.array("B", data)))


class Collector:
    """Subscribes to a topic and keeps what arrives."""

    def __init__(self, node: Any, message_type: Any, topic: str) -> None:
        from rclpy.qos import QoSProfile

        self.topic = topic
        self.messages: list[Any] = []
        self.subscription = node.create_subscription(message_type, topic, self.messages.append, QoSProfile(depth=50))

    def wait(self, count: int = 1) -> list[Any]:
        wait_until(lambda: len(self.messages) >= count, f"{count} messages on {self.topic}, got {len(self.messages)}")
        return self.messages
