# SPDX-License-Identifier: Apache-2.0
"""Foxglove's protobuf messages as ROS 2 messages in CDR: pictures, calibration, point clouds and transforms.

The messages are described at https://docs.foxglove.dev/docs/visualization/message-schemas; an MCAP file carries their descriptors, from
which they are read here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from ssd_core.data.errors import DataError
from ssd_core.data.point_cloud_message import point_cloud_xyz
from ssd_core.data.writers.messages import TYPESTORE, compressed_image_message, point_cloud_message, transforms_message
from ssd_core.geometry.pose import pose_from_quaternion, transform_points

ROS_TYPES = {
    "foxglove.CompressedImage": "sensor_msgs/msg/CompressedImage",
    "foxglove.RawImage": "sensor_msgs/msg/Image",
    "foxglove.CameraCalibration": "sensor_msgs/msg/CameraInfo",
    "foxglove.PointCloud": "sensor_msgs/msg/PointCloud2",
    "foxglove.FrameTransform": "tf2_msgs/msg/TFMessage",
    "foxglove.FrameTransforms": "tf2_msgs/msg/TFMessage",
}
"""What each message becomes."""

# foxglove.PackedElementField.NumericType -> sensor_msgs/PointField datatype: signed and unsigned are counted the other way round.
_NUMBER_TYPES = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 7, 8: 8}


class FoxgloveMessages:
    """Converts the messages of one type. definition: the FileDescriptorSet of its schema record. Raises DataError for a broken one."""

    def __init__(self, message_type: str, definition: bytes) -> None:
        self.message_type, self.ros_type = message_type, ROS_TYPES[message_type]
        try:
            pool: Any = descriptor_pool.DescriptorPool()
            for file in descriptor_pb2.FileDescriptorSet.FromString(definition).file:
                pool.Add(file)
            self._class = message_factory.GetMessageClass(pool.FindMessageTypeByName(message_type))
        except (DecodeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{message_type}: its descriptor in the file can't be used ({error})") from error
        self._convert = _CONVERTERS[message_type]

    def to_cdr(self, data: bytes) -> bytes:
        """One protobuf message as CDR of its ROS type. Raises DataError if its bytes are damaged or contradict each other."""
        try:
            message = self._convert(self._class.FromString(data))  # type: ignore[no-untyped-call]
            return bytes(TYPESTORE.serialize_cdr(message, message.__msgtype__))
        except (DecodeError, AttributeError, TypeError, ValueError, KeyError, AssertionError) as error:
            raise DataError(f"a {self.message_type} that can't be read ({error})") from error


def _compressed_image(message: Any) -> Any:
    return compressed_image_message(message.data, message.format, _stamp(message), message.frame_id)


def _raw_image(message: Any) -> Any:
    return _make(
        "sensor_msgs/msg/Image",
        header=_header(message),
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=0,
        step=message.step,
        data=np.frombuffer(message.data, dtype=np.uint8),
    )


def _camera_info(message: Any) -> Any:
    rotation = np.array(message.R, dtype=np.float64)
    if rotation.size != 9 or not _is_rotation(rotation.reshape(3, 3)):
        rotation = np.eye(3).reshape(-1)
    camera_matrix = np.array(message.K, dtype=np.float64)
    if camera_matrix.size != 9:
        raise ValueError(f"K has {camera_matrix.size} values")
    projection = np.array(message.P, dtype=np.float64)
    if projection.size != 12:
        projection = np.concatenate([camera_matrix.reshape(3, 3), np.zeros((3, 1))], axis=1).reshape(-1)
    distortion = np.array(message.D, dtype=np.float64)
    roi = _make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return _make(
        "sensor_msgs/msg/CameraInfo", header=_header(message), height=message.height, width=message.width,
        distortion_model=message.distortion_model or "plumb_bob", d=distortion if distortion.size else np.zeros(5),
        k=camera_matrix, r=rotation, p=projection, binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def _point_cloud(message: Any) -> Any:
    fields = [
        _make("sensor_msgs/msg/PointField", name=field.name, offset=field.offset, datatype=_NUMBER_TYPES[field.type], count=1)
        for field in message.fields
    ]
    if not message.point_stride:
        raise ValueError("point_stride is 0")
    count, rest = divmod(len(message.data), message.point_stride)
    if rest:
        raise ValueError(f"{len(message.data)} bytes are no whole number of points of {message.point_stride} bytes")
    cloud = _make(
        "sensor_msgs/msg/PointCloud2", header=_header(message), height=1, width=count, fields=fields, is_bigendian=False,
        point_step=message.point_stride, row_step=len(message.data), data=np.frombuffer(message.data, dtype=np.uint8), is_dense=False,
    )  # fmt: skip
    return _moved(cloud, message)


def _moved(cloud: Any, message: Any) -> Any:
    """The cloud in its frame: Foxglove allows a pose of its own between both. A moved cloud keeps only x, y and z."""
    position, orientation = message.pose.position, message.pose.orientation
    translation = position.x, position.y, position.z
    quaternion = orientation.x, orientation.y, orientation.z, orientation.w
    if not any(quaternion):
        quaternion = 0.0, 0.0, 0.0, 1.0  # the pose was never set
    pose = pose_from_quaternion(translation, quaternion)
    if np.abs(pose - np.eye(4)).max() < 1e-9:
        return cloud
    points = transform_points(pose, point_cloud_xyz(cloud)).astype(np.float32)
    return point_cloud_message(points, ("x", "y", "z"), _stamp(message), message.frame_id)


def _transform(message: Any) -> Any:
    return _transforms([message])


def _transforms(messages: Any) -> Any:
    stamped = []
    for message in messages:
        t, q = message.translation, message.rotation
        pose = pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        stamped += transforms_message([(message.parent_frame_id, message.child_frame_id, pose)], _stamp(message)).transforms
    return _make("tf2_msgs/msg/TFMessage", transforms=stamped)


def _is_rotation(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    return bool(np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) and np.linalg.det(matrix) > 0)


def _stamp(message: Any) -> int:
    return int(message.timestamp.seconds) * 1_000_000_000 + int(message.timestamp.nanos)


def _header(message: Any) -> Any:
    time = _make("builtin_interfaces/msg/Time", sec=message.timestamp.seconds, nanosec=message.timestamp.nanos)
    return _make("std_msgs/msg/Header", stamp=time, frame_id=message.frame_id)


def _make(message_type: str, **values: Any) -> Any:
    return TYPESTORE.types[message_type](**values)


_CONVERTERS = {
    "foxglove.CompressedImage": _compressed_image,
    "foxglove.RawImage": _raw_image,
    "foxglove.CameraCalibration": _camera_info,
    "foxglove.PointCloud": _point_cloud,
    "foxglove.FrameTransform": _transform,
    "foxglove.FrameTransforms": lambda message: _transforms(message.transforms),
}
