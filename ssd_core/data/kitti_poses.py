# SPDX-License-Identifier: Apache-2.0
"""Poses in KITTI's formats: one 3x4 matrix a line, or GPS/IMU packets (oxts)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ssd_core.data.errors import DataError
from ssd_core.geometry.pose import Matrix

_EARTH_RADIUS = 6378137.0  # metres, WGS 84


def read_kitti_poses(path: Path) -> list[Matrix]:
    """The (4, 4) poses, world from sensor, of a file with 12 numbers (3x4, row by row) a line.

    Raises DataError naming the line that has another number of values, isn't finite, or is no rotation (to 1e-3).
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; a file of poses is expected") from error
    return [_pose(line, f"{path}: line {number}") for number, line in enumerate(lines) if line.strip()]


def read_oxts_poses(folder: Path) -> dict[int, Matrix]:
    """Frame number -> (4, 4) pose of the IMU in a world with x east, y north, z up that starts at the first packet; {} without packets.

    Latitude and longitude go through a Mercator projection whose scale is true at the first packet (KITTI's development kit does so).
    Raises DataError naming a packet that has too few or unusable values.
    """
    files = sorted(folder.glob("*.txt"))
    packets = {int(file.stem): _packet(file) for file in files if file.stem.isdigit()}
    if not packets:
        return {}
    first = packets[min(packets)]
    scale = math.cos(math.radians(first[0]))
    origin = _mercator(first, scale)
    poses = {}
    for number, packet in packets.items():
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("xyz", packet[3:6]).as_matrix()  # roll, pitch, yaw about fixed axes: Rz Ry Rx
        pose[:3, 3] = _mercator(packet, scale) - origin
        poses[number] = pose
    return poses


def _pose(line: str, place: str) -> Matrix:
    try:
        values = np.array([float(word) for word in line.split()])
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error
    if len(values) != 12 or not np.isfinite(values).all():
        raise DataError(f"{place}: {len(values)} values; a pose has 12, all finite")
    pose = np.eye(4)
    pose[:3] = values.reshape(3, 4)
    if np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max() > 1e-3:
        raise DataError(f"{place}: the 3x3 part is no rotation")
    return pose


def _packet(path: Path) -> npt.NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in path.read_text().split()[:6]])
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    if len(values) != 6 or not np.isfinite(values).all() or abs(values[0]) >= 90:
        raise DataError(f"{path}: latitude, longitude, altitude, roll, pitch and yaw are expected, got {values.tolist()}")
    return values


def _mercator(packet: npt.NDArray[np.float64], scale: float) -> npt.NDArray[np.float64]:
    latitude, longitude, altitude = packet[:3]
    x = scale * _EARTH_RADIUS * math.radians(longitude)
    y = scale * _EARTH_RADIUS * math.log(math.tan(math.radians(90 + latitude) / 2))
    return np.array([x, y, altitude])
