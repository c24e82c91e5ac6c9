# SPDX-License-Identifier: Apache-2.0
"""Small bags written with rosbags, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ssd_core.images.codec import encode_jpeg

STORE = get_typestore(Stores.ROS2_JAZZY)
ROS1_STORE = get_typestore(Stores.ROS1_NOETIC)
ROS1_STORE.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage"))
TYPES = STORE.types
SECOND = 1_000_000_000


def time_message(stamp_ns: int) -> Any:
    return TYPES["builtin_interfaces/msg/Time"](sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)


def header(stamp_ns: int, frame_id: str) -> Any:
    return TYPES["std_msgs/msg/Header"](stamp=time_message(stamp_ns), frame_id=frame_id)


def picture(seed: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth picture whose mean colour tells the seed."""
    ramp = np.linspace(0, 60, width, dtype=np.uint8)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0] = ramp
    image[..., 1] = (seed * 20) % 200
    return image


def compressed_image(stamp_ns: int, frame_id: str, image: np.ndarray, format_name: str = "jpeg") -> Any:
    data = np.frombuffer(encode_jpeg(image), dtype=np.uint8)
    return TYPES["sensor_msgs/msg/CompressedImage"](header=header(stamp_ns, frame_id), format=format_name, data=data)


def raw_image(stamp_ns: int, frame_id: str, image: np.ndarray, encoding: str = "rgb8") -> Any:
    rows = np.ascontiguousarray(image).view(np.uint8).reshape(image.shape[0], -1)
    return TYPES["sensor_msgs/msg/Image"](
        header=header(stamp_ns, frame_id),
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.reshape(-1),
    )


def camera_info(stamp_ns: int, frame_id: str, width: int = 64, height: int = 48, focal: float = 60.0) -> Any:
    k = np.array([focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1], dtype=np.float64)
    roi = TYPES["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return TYPES["sensor_msgs/msg/CameraInfo"](
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).reshape(-1),
        p=np.concatenate([k.reshape(3, 3), np.zeros((3, 1))], axis=1).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def point_cloud(stamp_ns: int, frame_id: str, xyz: np.ndarray) -> Any:
    field = TYPES["sensor_msgs/msg/PointField"]
    fields = [field(name=name, offset=4 * index, datatype=7, count=1) for index, name in enumerate("xyz")]
    data = np.ascontiguousarray(xyz, dtype=np.float32).view(np.uint8).reshape(-1)
    return TYPES["sensor_msgs/msg/PointCloud2"](
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(xyz),
        fields=fields,
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(xyz),
        data=data,
        is_dense=True,
    )


def transform(stamp_ns: int, parent: str, child: str, translation: Sequence[float], quaternion: Sequence[float] = (0, 0, 0, 1)) -> Any:
    vector = TYPES["geometry_msgs/msg/Vector3"](*map(float, translation))
    rotation = TYPES["geometry_msgs/msg/Quaternion"](*map(float, quaternion))
    motion = TYPES["geometry_msgs/msg/Transform"](translation=vector, rotation=rotation)
    return TYPES["geometry_msgs/msg/TransformStamped"](header=header(stamp_ns, parent), child_frame_id=child, transform=motion)


def tf_message(*transforms: Any) -> Any:
    return TYPES["tf2_msgs/msg/TFMessage"](transforms=list(transforms))


def write_bag(path: Path, messages: Sequence[tuple[str, int, Any]], storage: str = "mcap", compression: str = "") -> Path:
    """A ROS 2 bag folder of (topic, bag time, message)."""
    writer = Ros2Writer(path, version=9, storage_plugin=StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3)
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, stamp_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE)
            writer.write(connections[topic], stamp_ns, STORE.serialize_cdr(message, message.__msgtype__))
    return path


def write_ros1_bag(path: Path, messages: Sequence[tuple[str, int, Any]]) -> Path:
    """The same as a ROS 1 bag; the field names K, D, R, P and header.seq are ROS 1's."""
    with Ros1Writer(path) as writer:
        connections = {}
        for topic, stamp_ns, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=ROS1_STORE)
            data = STORE.cdr_to_ros1(STORE.serialize_cdr(message, kind), kind)
            writer.write(connections[topic], stamp_ns, data)
    return path


def six_frames(cameras: Sequence[str] = ("CAM_FRONT", "CAM_BACK"), count: int = 3) -> list[tuple[str, int, Any]]:
    """`count` JPEG frames a camera with CameraInfo, 0.1 s apart; bag times lie 0.05 s behind the stamps."""
    messages = []
    for index in range(count):
        stamp = 10 * SECOND + index * SECOND // 10
        for offset, camera in enumerate(cameras):
            bag_time = stamp + SECOND // 20 + offset
            image = compressed_image(stamp, camera, picture(index))
            messages.append((f"/{camera}/camera_info", bag_time, camera_info(stamp, camera)))
            messages.append((f"/{camera}/image_rect_compressed", bag_time, image))
    return messages
