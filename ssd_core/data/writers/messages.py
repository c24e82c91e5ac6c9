# SPDX-License-Identifier: Apache-2.0
"""ROS messages from numpy arrays, without ROS: built as rosbags types, ready for BagWriter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.typesys import Stores, get_typestore

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, quaternion_from_pose

# These types haven't changed between Humble and today's distributions, so their hashes fit all of them.
TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)
_FLOAT32 = 7


def image_message(image: npt.NDArray[np.generic], encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/Image of an (H, W[, C]) array in a REP 118 or image encoding such as "32FC1", "16UC1", "rgb8"."""
    pixels = np.ascontiguousarray(image)
    step = pixels.shape[1] * pixels.itemsize * (pixels.shape[2] if pixels.ndim == 3 else 1)
    data = pixels.view(np.uint8).reshape(-1)
    return _make(
        "sensor_msgs/msg/Image",
        header=_header(stamp_ns, frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=step,
        data=data,
    )


def compressed_image_message(data: bytes, image_format: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CompressedImage of encoded bytes; image_format such as "jpeg" or "png"."""
    return _make(
        "sensor_msgs/msg/CompressedImage", header=_header(stamp_ns, frame_id), format=image_format, data=np.frombuffer(data, dtype=np.uint8)
    )


def camera_info_message(camera: PinholeCamera, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CameraInfo; P repeats K, which is right for pictures that are rectified already and for undistorted cameras."""
    model = "plumb_bob" if camera.distortion_model == "none" else camera.distortion_model
    distortion = np.array(camera.distortion or (0.0,) * 5, dtype=np.float64)
    projection = np.concatenate([camera.matrix, np.zeros((3, 1))], axis=1)
    roi = _make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return _make(
        "sensor_msgs/msg/CameraInfo", header=_header(stamp_ns, frame_id), height=camera.height, width=camera.width, distortion_model=model,
        d=distortion, k=camera.matrix.reshape(-1), r=np.eye(3).reshape(-1), p=projection.reshape(-1), binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def point_cloud_message(points: npt.NDArray[np.float32], fields: Sequence[str], stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/PointCloud2 of (N, F) or organised (H, W, F) float32 values named by `fields` ("x", "y", "z", ...)."""
    values = np.ascontiguousarray(points, dtype=np.float32)
    height, width = (1, len(values)) if values.ndim == 2 else values.shape[:2]
    if values.shape[-1] != len(fields):
        raise ValueError(f"{values.shape[-1]} values a point, but {len(fields)} field names")
    described = [
        _make("sensor_msgs/msg/PointField", name=name, offset=4 * index, datatype=_FLOAT32, count=1) for index, name in enumerate(fields)
    ]
    step = 4 * len(fields)
    return _make(
        "sensor_msgs/msg/PointCloud2", header=_header(stamp_ns, frame_id), height=height, width=width, fields=described, is_bigendian=False,
        point_step=step, row_step=step * width, data=values.view(np.uint8).reshape(-1), is_dense=bool(np.isfinite(values).all()),
    )  # fmt: skip


def transforms_message(transforms: Sequence[tuple[str, str, Matrix]], stamp_ns: int) -> Any:
    """tf2_msgs/TFMessage of (parent frame, child frame, parent_from_child)."""
    stamped = [
        _make("geometry_msgs/msg/TransformStamped", header=_header(stamp_ns, parent), child_frame_id=child,
              transform=_make("geometry_msgs/msg/Transform", translation=_vector(pose[:3, 3]), rotation=_quaternion(pose)))
        for parent, child, pose in transforms
    ]  # fmt: skip
    return _make("tf2_msgs/msg/TFMessage", transforms=stamped)


def odometry_message(
    pose: Matrix, linear: npt.ArrayLike, angular: npt.ArrayLike, stamp_ns: int, frame_id: str = "odom", child_frame_id: str = "base_link"
) -> Any:
    """nav_msgs/Odometry: pose frame_id from child, velocities (m/s, rad/s) in the child's axes (REP 105)."""
    zero = np.zeros(36)
    position = _make("geometry_msgs/msg/Point", **dict(zip("xyz", map(float, pose[:3, 3]), strict=True)))
    where = _make(
        "geometry_msgs/msg/PoseWithCovariance",
        pose=_make("geometry_msgs/msg/Pose", position=position, orientation=_quaternion(pose)),
        covariance=zero,
    )
    twist = _make("geometry_msgs/msg/Twist", linear=_vector(linear), angular=_vector(angular))
    moving = _make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=zero)
    return _make("nav_msgs/msg/Odometry", header=_header(stamp_ns, frame_id), child_frame_id=child_frame_id, pose=where, twist=moving)


def _make(message_type: str, **values: Any) -> Any:
    return TYPESTORE.types[message_type](**values)


def _header(stamp_ns: int, frame_id: str) -> Any:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return _make("std_msgs/msg/Header", stamp=_make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def _vector(values: npt.ArrayLike) -> Any:
    x, y, z = (float(value) for value in np.asarray(values, dtype=np.float64))
    return _make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def _quaternion(pose: Matrix) -> Any:
    x, y, z, w = (float(value) for value in quaternion_from_pose(pose))
    return _make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
