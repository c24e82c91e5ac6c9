# SPDX-License-Identifier: Apache-2.0
"""A protobuf recording of nuScenes (nuscenes2mcap), which ROS 2 can't play, as a ROS 2 bag that it can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ssd_core.data.bag import BagError, BagMessage, BagReader
from ssd_core.data.bag_topics import CAMERA_INFO_TYPE, COMPRESSED_IMAGE_TYPE, IMAGE_TYPE
from ssd_core.data.writers.bag import BagWriter, reliable_qos
from ssd_core.data.writers.messages import odometry_message
from ssd_core.geometry.pose import Matrix, pose_from_quaternion
from ssd_core.storage.configuration import git_revision

_TF_TYPE, _ODOMETRY_TYPE = "tf2_msgs/msg/TFMessage", "nav_msgs/msg/Odometry"
_BASE = "base_link"


class FoxgloveToBag:
    """Copies cameras, lidar and transforms of a recording into a bag, and adds /odom from the transforms where there is none.

    cameras: names as `BagReader.find_cameras` gives them, None for all. What ROS 2 has no type for is left out; `warnings` says so.
    Raises BagError for a recording without images, and for an unknown camera.
    """

    def __init__(self, path: Path, cameras: tuple[str, ...] | None = None) -> None:
        self.path = path
        with BagReader(path) as bag:
            self.topics = _topics(bag, cameras)
            self.message_count = sum(connection.count for connection in bag.connections if connection.topic in self.topics)
            self.needs_odometry = not bag.topics_of_type(_ODOMETRY_TYPE)
            left_out = [connection.topic for connection in bag.connections if connection.serialization != "cdr" and connection.count]
            self.warnings = list(bag.warnings)
        if left_out:
            self.warnings.append(f"{path}: left out, as ROS 2 has no type for them: {', '.join(left_out)}")

    def write(self, out: Path, on_message: Callable[[], None] = lambda: None) -> None:
        """Write the bag, whole or not at all. Raises OSError where it can't be written or would replace the recording."""
        notes = {"nuscenes_to_bag.source": self.path.name, "nuscenes_to_bag.git_revision": git_revision()}
        with BagReader(self.path) as recording, BagWriter(out, notes, [self.path]) as bag:
            for topic, message_type in self.topics.items():
                bag.add_topic(topic, message_type, reliable_qos(100 if message_type == _TF_TYPE else 10))
            odometry = _Odometry(bag)
            for message in recording.messages(list(self.topics)):
                bag.write_raw(message.topic, message.bag_time_ns, message.data)
                if self.needs_odometry and message.message_type == _TF_TYPE:
                    odometry.follow(message, recording.deserialise(message))
                on_message()


class _Odometry:
    """nav_msgs/Odometry at every transform that moves base_link, with the velocity since the one before."""

    def __init__(self, bag: BagWriter) -> None:
        self._bag = bag
        self._previous: tuple[int, Matrix] | None = None

    def follow(self, raw: BagMessage, message: Any) -> None:
        """Take the next TFMessage: as recorded, and deserialised (None: it can't be)."""
        for item in message.transforms if message is not None else ():
            stamp = int(item.header.stamp.sec) * 1_000_000_000 + int(item.header.stamp.nanosec)
            if item.child_frame_id.lstrip("/") != _BASE or (self._previous is not None and stamp <= self._previous[0]):
                continue
            t, q = item.transform.translation, item.transform.rotation
            pose = pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
            linear, angular = np.zeros(3), np.zeros(3)
            if self._previous is not None:
                before_ns, before = self._previous
                seconds = (stamp - before_ns) * 1e-9
                linear = pose[:3, :3].T @ (pose[:3, 3] - before[:3, 3]) / seconds
                angular = Rotation.from_matrix(before[:3, :3].T @ pose[:3, :3]).as_rotvec() / seconds
            self._bag.write("/odom", raw.bag_time_ns, odometry_message(pose, linear, angular, stamp, item.header.frame_id, _BASE))
            self._previous = stamp, pose


def _topics(bag: BagReader, cameras: tuple[str, ...] | None) -> dict[str, str]:
    """Topic -> type of all that is copied."""
    found = {camera.name: camera for camera in bag.find_cameras()}
    if not found:
        raise BagError(f"{bag.path}: no camera images in it; it has {', '.join(c.topic for c in bag.connections) or 'nothing'}")
    unknown = [name for name in cameras or () if name not in found]
    if unknown:
        raise BagError(f"{bag.path}: no camera {', '.join(unknown)}; it has {', '.join(found)}")
    chosen = [found[name] for name in cameras or found]
    topics = {camera.image_topic: camera.image_type for camera in chosen}
    topics |= {camera.camera_info_topic: CAMERA_INFO_TYPE for camera in chosen if camera.camera_info_topic}
    pictures = {IMAGE_TYPE, COMPRESSED_IMAGE_TYPE, CAMERA_INFO_TYPE}
    others = [c for c in bag.connections if c.serialization == "cdr" and c.message_type not in pictures and c.count]
    return topics | {connection.topic: connection.message_type for connection in others}
