# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as (4, 4) float64 matrices named ``target_from_source``: ``p_target = T @ p_source``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

Matrix = npt.NDArray[np.float64]


def pose_from_quaternion(translation: npt.ArrayLike, quaternion_xyzw: npt.ArrayLike) -> Matrix:
    """(4, 4) motion from a translation in metres and a quaternion in ROS order x, y, z, w.

    Raises ValueError if the quaternion has no length or a value isn't finite.
    """
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(np.asarray(quaternion_xyzw, dtype=np.float64)).as_matrix()
    pose[:3, 3] = translation
    if not np.isfinite(pose).all():
        raise ValueError(f"pose with a value that isn't finite: {translation!r} {quaternion_xyzw!r}")
    return pose


def quaternion_from_pose(pose: Matrix) -> npt.NDArray[np.float64]:
    """The rotation of a (4, 4) motion as a quaternion x, y, z, w with w >= 0."""
    return np.asarray(Rotation.from_matrix(pose[:3, :3]).as_quat(canonical=True), dtype=np.float64)


def invert_pose(pose: Matrix) -> Matrix:
    """The inverse of a rigid (4, 4) motion."""
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse


def transform_points(pose: Matrix, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points (N, 3) moved by a (4, 4) motion."""
    return np.asarray(points, dtype=np.float64) @ pose[:3, :3].T + pose[:3, 3]


def interpolate_pose(stamps: npt.ArrayLike, poses: npt.NDArray[np.float64], stamp: int) -> Matrix | None:
    """The pose (4, 4) at ``stamp`` between sorted ``stamps`` (N,), nanoseconds: linear in position, SLERP in rotation.

    poses (N, 4, 4), metres: of one frame in another, as the result is.
    None outside the span of the stamps: extrapolated poses are worse than none.
    """
    times = np.asarray(stamps, dtype=np.int64)
    after = int(np.searchsorted(times, stamp, side="left"))
    if after < len(times) and times[after] == stamp:
        return np.array(poses[after])
    if after == 0 or after == len(times):
        return None
    before = after - 1
    fraction = float(stamp - times[before]) / float(times[after] - times[before])
    pose = np.eye(4)
    pose[:3, :3] = Slerp([0.0, 1.0], Rotation.from_matrix(poses[before : after + 1, :3, :3]))(fraction).as_matrix()
    pose[:3, 3] = (1 - fraction) * poses[before, :3, 3] + fraction * poses[after, :3, 3]
    return pose
