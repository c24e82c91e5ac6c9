# SPDX-License-Identifier: Apache-2.0
"""The files of an Oxford RobotCar traverse: camera model, distortion table, extrinsics, visual odometry, laser scans.

Layouts follow the dataset's public documentation (Maddern et al., "1 Year, 1000km", IJRR 2016). Vehicle and stereo camera
share one frame: x forward, y right, z down. Times are microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

from ssd_core.data.errors import DataError
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.pose import Matrix

VEHICLE_FROM_OPTICAL: Matrix = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
"""Optical axes (x right, y down, z forward) in the axes of vehicle and camera (x forward, y right, z down)."""

ODOMETRY_HEADER = "source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw"

_MAX_ODOMETRY_GAP_US = 1_000_000


class CameraModel(NamedTuple):
    """The undistorted camera, and where its optical frame sits in the stereo camera's frame, (4, 4)."""

    camera: PinholeCamera
    camera_from_optical: Matrix


def read_camera_model(path: Path, size: tuple[int, int]) -> CameraModel:
    """A model text: a line `fx fy cx cy`, then the (4, 4) camera_from_optical; size (width, height) of the pictures.

    Raises DataError naming the file.
    """
    numbers = _numbers(path, "camera model")
    if len(numbers) != 20:
        raise DataError(f"{path}: {len(numbers)} numbers; a camera model has 20 (fx fy cx cy and a 4x4 matrix)")
    try:
        camera = PinholeCamera(size[0], size[1], numbers[0], numbers[1], numbers[2], numbers[3])
    except CameraError as error:
        raise DataError(f"{path}: {error}") from error
    return CameraModel(camera, np.array(numbers[4:], dtype=np.float64).reshape(4, 4))


def read_distortion_table(path: Path, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Where each pixel of the undistorted picture lies in the raw one: (height, width, 2) float32, column and row.

    The file holds float64: all columns, then all rows. Raises DataError if it is gone or isn't of this size.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}; raw pictures can't be undistorted without this table (it comes with the SDK)"
        ) from error
    width, height = size
    if len(data) != 16 * width * height:
        raise DataError(f"{path}: {len(data)} bytes; the distortion table of {width}x{height} pictures has {16 * width * height}")
    table = np.frombuffer(data, dtype="<f8").reshape(2, height, width)
    return np.ascontiguousarray(np.moveaxis(table, 0, -1), dtype=np.float32)


def read_extrinsics(path: Path) -> Matrix:
    """The (4, 4) motion of a text with `x y z roll pitch yaw`; raises DataError naming the file."""
    numbers = _numbers(path, "extrinsics")
    if len(numbers) != 6:
        raise DataError(f"{path}: {len(numbers)} numbers; extrinsics have 6 (x y z roll pitch yaw)")
    return np.asarray(poses_from_components([numbers])[0])


def poses_from_components(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(N, 6) x y z roll pitch yaw, metres and radians, -> (N, 4, 4); rotation Rz(yaw) Ry(pitch) Rx(roll)."""
    rows = np.asarray(values, dtype=np.float64).reshape(-1, 6)
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :3] = Rotation.from_euler("xyz", rows[:, 3:]).as_matrix()
    poses[:, :3, 3] = rows[:, :3]
    return poses


def components_from_pose(pose: Matrix) -> tuple[float, ...]:
    """The inverse of poses_from_components for one pose."""
    angles = Rotation.from_matrix(pose[:3, :3]).as_euler("xyz")
    return tuple(float(value) for value in (*pose[:3, 3], *angles))


class VehiclePoses(NamedTuple):
    """World from vehicle (N, 4, 4), and the number of the unbroken stretch of odometry each belongs to, -1 where there is no pose."""

    poses: npt.NDArray[np.float64]
    stretches: npt.NDArray[np.int64]


class VisualOdometry:
    """vo.csv as poses: world is the vehicle's frame at the first odometry of each unbroken stretch.

    A row moves from the earlier of its two stamps to the later one: pose(later) = pose(earlier) @ row. A row whose earlier
    stamp no row before it reached starts a new stretch. Raises DataError naming file and line for rows that aren't in order
    of time or aren't numbers.
    """

    def __init__(self, path: Path) -> None:
        earlier, later, motions = _read_odometry(path)
        self.stamps_us, poses, self._stretches = _chain(earlier, later, motions)
        self._positions = poses[:, :3, 3]
        self._slerp = Slerp(self.stamps_us - self.stamps_us[0], Rotation.from_matrix(poses[:, :3, :3]))

    @property
    def stretch_count(self) -> int:
        """Number of unbroken stretches."""
        return int(self._stretches.max()) + 1

    def at(self, stamps_us: npt.ArrayLike) -> VehiclePoses:
        """Poses at times: linear in position, SLERP in rotation; none outside the odometry, between stretches or in gaps over 1 s."""
        times = np.asarray(stamps_us, dtype=np.int64).reshape(-1)
        after = np.clip(np.searchsorted(self.stamps_us, times, side="left"), 0, len(self.stamps_us) - 1)
        exact = self.stamps_us[after] == times
        before = np.where(exact, after, np.maximum(after - 1, 0))
        gap = self.stamps_us[after] - self.stamps_us[before]
        known = exact | ((self.stamps_us[before] < times) & (times < self.stamps_us[after]) & (gap <= _MAX_ODOMETRY_GAP_US))
        known &= self._stretches[before] == self._stretches[after]
        poses = np.tile(np.eye(4), (len(times), 1, 1))
        share = np.where(gap > 0, (times - self.stamps_us[before]) / np.maximum(gap, 1), 0.0)[known, None]
        if known.any():
            poses[known, :3, :3] = self._slerp(times[known] - self.stamps_us[0]).as_matrix()
            poses[known, :3, 3] = (1 - share) * self._positions[before[known]] + share * self._positions[after[known]]
        return VehiclePoses(poses, np.where(known, self._stretches[before], -1))


def read_scan(path: Path, laser: str) -> npt.NDArray[np.float64]:
    """Points (N, 3) of a scan in its laser's frame, metres.

    float64 triples: x y z of the LD-MRS (`ldmrs`), x y reflectance of the planar LMS-151 (`lms_front`, z = 0). An empty file is an empty
    scan. Raises DataError for a size that is no whole number of points.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if len(data) % 24:
        raise DataError(f"{path}: {len(data)} bytes are no whole number of points of 3 float64 values (24 bytes); the scan is cut off")
    points = np.frombuffer(data, dtype="<f8").reshape(-1, 3)
    return points if laser == "ldmrs" else points * (1.0, 1.0, 0.0)


def _numbers(path: Path, what: str) -> list[float]:
    try:
        return [float(word) for word in path.read_text().split()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no {what} ({error})") from error


def _read_odometry(path: Path) -> tuple[Sequence[int], Sequence[int], npt.NDArray[np.float64]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no visual odometry ({error})") from error
    if not lines or lines[0].replace(" ", "") != ODOMETRY_HEADER:
        raise DataError(f"{path}: line 1 is no header of visual odometry ({ODOMETRY_HEADER})")
    earlier: list[int] = []
    later: list[int] = []
    components: list[list[float]] = []
    for number, line in enumerate(lines[1:], start=2):
        words = line.split(",")
        try:
            first, second = sorted((int(words[0]), int(words[1])))
            row = [float(word) for word in words[2:8]]
        except (ValueError, IndexError) as error:
            raise DataError(f"{path}: line {number}: {error}") from error
        if len(row) != 6 or not np.isfinite(row).all():
            raise DataError(f"{path}: line {number}: 6 finite numbers are expected after the stamps, got {words[2:]}")
        if first == second or (later and second <= later[-1]):
            raise DataError(f"{path}: line {number}: odometry runs backwards or stands still in time ({later[-1:] or first} -> {second})")
        earlier.append(first)
        later.append(second)
        components.append(row)
    if not components:
        raise DataError(f"{path}: no odometry after the header")
    return earlier, later, poses_from_components(components)


def _chain(
    earlier: Sequence[int], later: Sequence[int], motions: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Stamps in order, world_from_vehicle at each, and the stretch of each."""
    known: dict[int, tuple[Matrix, int]] = {}
    stretch = -1
    for start, end, motion in zip(earlier, later, motions, strict=True):
        if start not in known:
            stretch += 1
            known[start] = np.eye(4), stretch
        pose, of_start = known[start]
        known[end] = pose @ motion, of_start
    stamps = sorted(known)
    return (
        np.array(stamps, dtype=np.int64),
        np.stack([known[stamp][0] for stamp in stamps]),
        np.array([known[stamp][1] for stamp in stamps], dtype=np.int64),
    )
