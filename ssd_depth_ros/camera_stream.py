# SPDX-License-Identifier: Apache-2.0
"""One camera's input: its newest image, and the intrinsics that belong to it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from ssd_core.data.bag_topics import is_rectified_topic
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.camera_info import DistortionError
from ssd_depth_ros.health import COMPLAINT_PERIOD, CameraHealth
from ssd_depth_ros.messages import Size, camera_from_message, camera_info_key, stamp_ns
from ssd_depth_ros.parameters import Settings, camera_info_beside
from ssd_depth_ros.subscriptions import AdaptiveSubscription, Source, find_image_source, is_published, keeps_messages

CAMERA_INFO_PATIENCE = 1.0
"""Seconds that the first image waits for a CameraInfo: the two topics are discovered and delivered independently."""


@dataclasses.dataclass(frozen=True)
class ReceivedImage:
    """An undecoded image message, its stamp, and the monotonic second of its arrival."""

    message: Any
    stamp_ns: int
    received: float


class CameraStream:
    """Keeps the newest image (an older one that nobody took is dropped and counted) and the cached CameraInfo.

    Callbacks run in the executor's thread, `take` and `camera_for` in the worker's. `wake` is called when there may be
    something to take.
    """

    def __init__(self, node: Node, name: str, settings: Settings, health: CameraHealth, wake: Callable[[], None]) -> None:
        self._node = node
        self.name = name
        self._settings = settings
        self._health = health
        self._wake = wake
        self._image_topic = settings.image_topic_of(name)
        resolved = node.resolve_topic_name(self._image_topic)
        self._info_topic = _info_topic(node, settings, name, resolved)
        self.is_rectified = settings.rectified == "true" or (settings.rectified == "auto" and is_rectified_topic(resolved))
        self._images: AdaptiveSubscription | None = None
        self._infos: AdaptiveSubscription | None = None
        self._lock = threading.Lock()
        self._newest: ReceivedImage | None = None
        self._first_image: float | None = None
        self._last_stamp: int | None = None
        self._info: CameraInfo | None = None
        self._info_key: Hashable = None
        self._camera_key: Hashable = None
        self._camera: PinholeCamera | None = None
        self._trouble: tuple[str, str] | None = None

    @property
    def topic(self) -> str | None:
        """Topic the images come from; None while none is found."""
        return self._images.source.topic if self._images else None

    @property
    def wanted_topic(self) -> str:
        """Topic that images are looked for on, and of which kind, for people."""
        kinds = {"raw": " (Image)", "compressed": " (CompressedImage)", "auto": ""}
        return self._node.resolve_topic_name(self._image_topic) + kinds[self._settings.transport]

    def subscribe(self) -> None:
        """Start to receive (images as soon as somebody publishes them, see `look`)."""
        self._infos = AdaptiveSubscription(self._node, Source(self._info_topic, CameraInfo), self._on_info)
        self.look()

    def look(self) -> None:
        """Look for the image publisher, and for another one when it has gone. Cheap; call it about twice a second."""
        if self._infos is None:
            return
        if self._info is None and not self._infos.asks_for_kept and keeps_messages(self._node, self._info_topic):
            # Published once, perhaps before this node came.
            self._infos.destroy()
            self._infos = AdaptiveSubscription(self._node, Source(self._info_topic, CameraInfo), self._on_info, transient_local=True)
        current = self._images.source if self._images else None
        if current is not None and is_published(self._node, current):
            return
        if self._images is not None and self._images.is_best_effort:
            # The next publisher may be reliable, and of large best-effort images most are lost.
            self._images.destroy()
            self._images = current = None
        source = find_image_source(self._node, self._image_topic, self._settings.transport)
        if source is None or source == current:
            return
        if self._images is not None:
            self._images.destroy()
        self._images = AdaptiveSubscription(self._node, source, self._on_image)
        self._node.get_logger().info(f"{self.name or 'camera'}: images from {source.topic} ({source.message_type.__name__})")

    def unsubscribe(self) -> None:
        """Stop receiving and forget the waiting image."""
        for subscription in (self._images, self._infos):
            if subscription is not None:
                subscription.destroy()
        self._images = self._infos = None
        with self._lock:
            self._newest = self._first_image = self._last_stamp = None

    def take(self) -> ReceivedImage | None:
        """The newest image, once; None if there is none or its CameraInfo is still worth waiting for."""
        with self._lock:
            if self._newest is None or self._awaits_info():
                return None
            taken, self._newest = self._newest, None
        return taken

    @property
    def is_waiting(self) -> bool:
        """Whether an image is held back for its CameraInfo."""
        with self._lock:
            return self._newest is not None

    def went_back(self, image: ReceivedImage) -> bool:
        """Whether this image's stamp lies before the last one's (a recording started again); derived caches are then dropped."""
        back = self._last_stamp is not None and image.stamp_ns < self._last_stamp
        self._last_stamp = image.stamp_ns
        if back:
            self._camera_key = None
            self._health.clock_jumped()
        return back

    def camera_for(self, size: Size) -> PinholeCamera | None:
        """The camera of an image of this (width, height), cached until the CameraInfo or the size changes.

        None where no usable intrinsics are known; that is said once for a while and counted.
        """
        with self._lock:
            info, key = self._info, (self._info_key, size)
        if key != self._camera_key:
            self._camera, self._trouble = self._build_camera(info, size)
            self._camera_key = key
        if self._trouble is not None:
            self._health.complain(*self._trouble)
        return self._camera

    def _build_camera(self, info: CameraInfo | None, size: Size) -> tuple[PinholeCamera | None, tuple[str, str] | None]:
        cause, text = "no_camera_info", f"no CameraInfo on {self._info_topic}: no point cloud"
        advice = "publish it, set camera_info_topic, or give fx, fy, cx, cy"
        if info is not None:
            try:
                return self._camera_from_info(info, size)
            except CameraError as error:
                cause, text, advice = "camera_info", f"{self._info_topic}: {error}", "calibrate the camera or give fx, fy, cx, cy"
        if self._settings.fx <= 0:
            return None, (cause, f"{text}; {advice}")
        try:
            camera = self._camera_of_parameters(size).fitted(*size)
        except CameraError as error:
            return None, ("camera_parameters", f"parameters fx, fy, cx, cy, width, height: {error}")
        return camera, None if info is None else (cause, f"{text}; the parameters fx, fy, cx, cy are used instead")

    def _camera_from_info(self, info: CameraInfo, size: Size) -> tuple[PinholeCamera, tuple[str, str] | None]:
        trouble = None
        try:
            camera = camera_from_message(info, self.is_rectified, size)
        except DistortionError as error:
            camera = camera_from_message(info, self.is_rectified, size, ignore_distortion=True)
            trouble = ("distortion", f"{self._info_topic}: {error}; the lens is treated as free of distortion")
        return camera.fitted(*size), trouble

    def _camera_of_parameters(self, size: Size) -> PinholeCamera:
        values = self._settings
        width, height = (values.width, values.height) if values.width else size
        return PinholeCamera(width, height, values.fx, values.fy or values.fx, values.cx or (width - 1) / 2, values.cy or (height - 1) / 2)

    def _awaits_info(self) -> bool:
        if self._info is not None or self._settings.fx > 0 or self._first_image is None:
            return False
        return time.monotonic() - self._first_image < CAMERA_INFO_PATIENCE

    def _on_image(self, message: Any) -> None:
        received = time.monotonic()
        self._health.image_received()
        with self._lock:
            replaced, self._newest = self._newest, ReceivedImage(message, stamp_ns(message.header), received)
            if self._first_image is None:
                self._first_image = received
        if replaced is not None:
            self._health.image_dropped()
        self._wake()

    def _on_info(self, message: CameraInfo) -> None:
        key = camera_info_key(message)
        with self._lock:
            if key == self._info_key:
                return
            changed = self._info is not None
            self._info, self._info_key = message, key
        if changed:
            # A lens that focuses, or two cameras on one topic, change them with every image.
            text = f"{self._info_topic}: the camera's intrinsics have changed"
            self._node.get_logger().info(text, throttle_duration_sec=COMPLAINT_PERIOD)
        self._wake()


def _info_topic(node: Node, settings: Settings, camera: str, image_topic: str) -> str:
    """Beside the image topic as it is after remapping, unless camera_info is named by parameter or remapped itself."""
    plain = settings.camera_info_topic_of(camera)
    remapped = node.resolve_topic_name(plain)
    if settings.camera_info_topic or remapped != node.resolve_topic_name(plain, only_expand=True):
        return remapped
    return camera_info_beside(image_topic)
