# SPDX-License-Identifier: Apache-2.0
"""Serialised (CDR) messages in and out of rclpy: types by name, stamps out of raw bytes, quality of service from recordings."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from ssd_core.data.bag_storage import BagConnection
from ssd_depth_ros.subscriptions import AdaptiveSubscription, Source

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
_RAW_QUEUE = 50


class UnknownMessageTypeError(LookupError):
    """A message type that isn't installed here; the message says how to get it."""


class Stamp(NamedTuple):
    """header.stamp of a message."""

    seconds: int
    nanoseconds: int

    def total(self) -> int:
        """Nanoseconds since the epoch."""
        return self.seconds * 10**9 + self.nanoseconds

    def __str__(self) -> str:
        return f"{self.seconds}.{self.nanoseconds:09d}"


def message_class(type_name: str) -> Any:
    """The Python class of e.g. `sensor_msgs/msg/Image`.

    Raises UnknownMessageTypeError where the package isn't installed.
    """
    package, _, name = type_name.replace("/msg/", "/").partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise UnknownMessageTypeError(
            f"{type_name} isn't installed here (with ROS: apt install ros-$ROS_DISTRO-{package.replace('_', '-')})"
        ) from error


def has_header(message_type: Any) -> bool:
    """Whether a message class begins with a std_msgs/Header, so that `header_stamp` can read its bytes."""
    first = next(iter(message_type.get_fields_and_field_types().values()), "")
    return bool(first == "std_msgs/Header")


def header_stamp(raw: bytes) -> Stamp:
    """header.stamp of a serialised message that begins with a std_msgs/Header (CDR: 4 bytes of encapsulation, int32, uint32).

    Raises ValueError for fewer than 12 bytes.
    """
    if len(raw) < 12:
        raise ValueError(f"a message with a header has at least 12 bytes, this one {len(raw)}")
    little_endian = raw[1] & 1
    return Stamp(*struct.unpack_from("<iI" if little_endian else ">iI", raw, 4))


def recorded_profile(connection: BagConnection) -> QoSProfile:
    """The profile to offer for a recorded topic: what its publishers offered, else reliable, volatile, the last 10.

    Publishers that differ are met by the defaults, which suit every subscriber except a transient-local one. /tf_static is
    transient-local in any case, and keeps all that it had: latecomers need every frame, and one publisher stands in for many here.
    """
    profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10)
    if len(set(connection.offered_qos)) == 1:
        offered = connection.offered_qos[0]
        if offered.reliability == "best_effort":
            profile.reliability = ReliabilityPolicy.BEST_EFFORT
        if offered.durability == "transient_local":
            profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
        if offered.history == "keep_all":
            profile.history = HistoryPolicy.KEEP_ALL
        elif offered.depth > 0:
            profile.depth = offered.depth
    if connection.topic.rpartition("/")[2] == "tf_static":
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
        profile.depth = max(profile.depth, connection.count)
    return profile


def subscribe_raw(
    node: Node, topic: str, type_name: str, callback: Callable[[bytes], None], transient_local: bool = False
) -> AdaptiveSubscription:
    """Subscribe to the serialised bytes of a topic, whatever quality of service is offered; raises UnknownMessageTypeError.

    transient_local also asks for what was published earlier.
    """
    source = Source(topic, message_class(type_name))
    return AdaptiveSubscription(node, source, callback, depth=_RAW_QUEUE, raw=True, transient_local=transient_local)
