# SPDX-License-Identifier: Apache-2.0
"""One camera's output topics: depth, CameraInfo, cloud and previews, each made only while somebody subscribes to it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.point_cloud import CloudGrid
from ssd_core.images.colour_map import colourise_depth, colourise_inverse_depth
from ssd_depth_ros.messages import CloudMessage, DepthMessage, Pixels, Size, camera_info_message, jpeg_message, rgb_message, stamp_ns
from ssd_depth_ros.parameters import Settings

_QUEUE = 5


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which outputs have subscribers now; a cloud only if its rate lets one come now."""

    depth: bool
    info: bool
    cloud: bool
    preview: bool
    preview_jpeg: bool

    @property
    def network(self) -> bool:
        """Whether anything is wanted that needs the network."""
        return self.depth or self.cloud or self.preview or self.preview_jpeg


@dataclasses.dataclass(frozen=True)
class DepthRange:
    """Metres: below `minimum` is -Inf, from `maximum` on +Inf, and no point lies beyond `cloud_maximum`."""

    minimum: float
    maximum: float
    cloud_maximum: float


class CameraOutputs:
    """Publishers under ``{prefix}depth/...`` and the buffers that they send."""

    def __init__(
        self, node: LifecycleNode, prefix: str, is_rectified: bool, kind: Literal["metric", "relative_inverse"], encoding: str
    ) -> None:
        self._node = node
        self._is_metric = kind == "metric"
        self._encoding = encoding if self._is_metric else "32FC1"
        name = "depth/image_rect" if is_rectified else "depth/image_raw"
        image, info = (name, "depth/camera_info") if self._is_metric else ("inverse_depth/image", "inverse_depth/camera_info")
        self._depth = self._publisher(Image, prefix + image)
        self._info = self._publisher(CameraInfo, prefix + info)
        # Inverse depth up to an unknown scale and shift has no place in space.
        self._cloud = self._publisher(PointCloud2, prefix + "depth/points") if self._is_metric else None
        self._preview = self._publisher(Image, prefix + "depth/preview")
        self._preview_jpeg = self._publisher(CompressedImage, prefix + "depth/preview/compressed")
        self._depth_message: DepthMessage | None = None
        self._cloud_message: CloudMessage | None = None
        self._grid: CloudGrid | None = None
        self._next_cloud_ns = -math.inf
        self._last_cloud_ns = -math.inf

    def _publisher(self, message_type: Any, topic: str) -> Any:
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=_QUEUE, reliability=ReliabilityPolicy.RELIABLE)
        options = QoSOverridingOptions.with_default_policies()
        return self._node.create_lifecycle_publisher(message_type, topic, qos, qos_overriding_options=options)

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in (self._depth, self._info, self._cloud, self._preview, self._preview_jpeg):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    def wanted(self, image_ns: int, cloud_rate: float) -> Wanted:
        """Look which outputs of an image of this stamp (nanoseconds) have subscribers."""
        return Wanted(
            depth=self._depth.get_subscription_count() > 0,
            info=self._info.get_subscription_count() > 0,
            cloud=self._cloud is not None and self._cloud.get_subscription_count() > 0 and self._cloud_is_due(image_ns, cloud_rate),
            preview=self._preview.get_subscription_count() > 0,
            preview_jpeg=self._preview_jpeg.get_subscription_count() > 0,
        )

    def reset(self) -> None:
        """Forget what was derived from earlier stamps."""
        self._next_cloud_ns = -math.inf
        self._last_cloud_ns = -math.inf

    def publish_info(self, header: Header, camera: PinholeCamera, size: Size) -> None:
        """CameraInfo of the depth image of this (width, height)."""
        self._info.publish(camera_info_message(header, camera.scaled(*size)))

    def publish(
        self,
        wanted: Wanted,
        header: Header,
        image: Pixels,
        camera: PinholeCamera | None,
        depth: npt.NDArray[np.float32],
        limits: DepthRange,
        settings: Settings,
    ) -> None:
        """Publish what is wanted: depth (H, W) in metres (already scaled) or inverse depth; camera is that of the full input image."""
        size = (depth.shape[1], depth.shape[0])
        if wanted.depth:
            self._depth.publish(self._filled_depth(header, depth, limits))
        if wanted.info and camera is not None:
            self.publish_info(header, camera, size)
        if wanted.cloud and camera is not None and self._cloud is not None:
            self._note_cloud(stamp_ns(header), settings.cloud_rate)
            self._cloud.publish(self._filled_cloud(header, image, camera, depth, limits, settings.cloud_stride))
        if wanted.preview or wanted.preview_jpeg:
            self._publish_previews(wanted, header, depth, settings)

    def _filled_depth(self, header: Header, depth: npt.NDArray[np.float32], limits: DepthRange) -> Image:
        size = (depth.shape[1], depth.shape[0])
        if self._depth_message is None or self._depth_message.size != size:
            self._depth_message = DepthMessage(*size, self._encoding)
        if self._is_metric:
            return self._depth_message.fill(header, depth, limits.minimum, limits.maximum)
        return self._depth_message.fill_unchanged(header, depth)

    def _filled_cloud(
        self, header: Header, image: Pixels, camera: PinholeCamera, depth: npt.NDArray[np.float32], limits: DepthRange, stride: int
    ) -> PointCloud2:
        if self._grid is None or self._grid.camera != camera or self._grid.stride != stride:
            self._grid = CloudGrid(camera, stride)
        shape = self._grid.shape
        if self._cloud_message is None or self._cloud_message.points.shape[:2] != shape:
            self._cloud_message = CloudMessage(*shape)
        self._grid.fill(depth, image, self._cloud_message.points, limits.minimum, limits.cloud_maximum)
        self._cloud_message.message.header = header
        return self._cloud_message.message

    def _cloud_is_due(self, now: int, rate: float) -> bool:
        # A driver that leaves all stamps alike gets every cloud rather than one for ever.
        # The second bound for a rate that was raised after the due time was set.
        return rate <= 0 or now >= min(self._next_cloud_ns, self._last_cloud_ns + 1e9 / rate) or now == self._last_cloud_ns

    def _note_cloud(self, now: int, rate: float) -> None:
        self._last_cloud_ns = now
        if rate > 0:
            # Due times lie on a grid, so that 12 images a second give 10 clouds a second and not 6.
            period = 1e9 / rate
            on_grid = now + period if math.isinf(self._next_cloud_ns) else max(self._next_cloud_ns + period, now)
            self._next_cloud_ns = min(on_grid, now + period)

    def _publish_previews(self, wanted: Wanted, header: Header, depth: npt.NDArray[np.float32], settings: Settings) -> None:
        if self._is_metric:
            picture = colourise_depth(depth, settings.preview_min_depth, settings.preview_max_depth)
        else:
            picture = colourise_inverse_depth(depth)
        if wanted.preview:
            self._preview.publish(rgb_message(header, picture))
        if wanted.preview_jpeg:
            self._preview_jpeg.publish(jpeg_message(header, picture, settings.preview_quality))
