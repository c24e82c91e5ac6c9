# SPDX-License-Identifier: Apache-2.0
"""A sequence folder of KITTI odometry (calib.txt, image_0 .. image_3, times.txt, poses.txt): pictures with intrinsics and poses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssd_core.data.errors import DataError
from ssd_core.data.image_folder import ImageFolder
from ssd_core.data.intrinsics import CameraForSize
from ssd_core.data.trajectory import TrajectoryFiles
from ssd_core.geometry.camera import PinholeCamera

# Folder names and the line of calib.txt that belongs to each; image_l is what some copies call the left camera.
_CAMERAS = {"image_0": 0, "image_1": 1, "image_2": 2, "image_3": 3, "image_l": 0, "image_r": 1}


def is_kitti_odometry(path: Path) -> bool:
    """True for a folder with calib.txt and at least one folder of pictures beside it."""
    return (path / "calib.txt").is_file() and any((path / name).is_dir() for name in _CAMERAS)


def open_kitti_odometry(path: Path, cameras: Sequence[str] | None = None) -> ImageFolder:
    """One camera of a sequence, by default the first there is; poses.txt (of camera 0) and times.txt are used where they are.

    Raises DataError for a camera that isn't there, a calibration that can't be read, or lines that don't fit the pictures.
    """
    present = [name for name in _CAMERAS if (path / name).is_dir()]
    name = cameras[0] if cameras else present[0]
    if name not in present or (cameras and len(cameras) > 1):
        raise DataError(f"{path}: one camera of {', '.join(present)} can be chosen, not {', '.join(cameras or ())}")
    projection = _projection(path / "calib.txt", _CAMERAS[name])
    poses, stamps = path / "poses.txt", path / "times.txt"
    # poses.txt is of camera 0; the others are rectified to be parallel, a baseline to its right.
    baseline = -projection[0, 3] / projection[0, 0]
    files = TrajectoryFiles(poses if poses.exists() else None, stamps if stamps.exists() else None)
    return ImageFolder(path / name, _camera(projection), files, camera_name=name, sequence=path.name, right_of_pose=float(baseline))


def _projection(path: Path, line: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    try:
        text = [row.partition(":")[2] if ":" in row else row for row in path.read_text().splitlines() if row.strip()]
        return np.array(text[line].split(), dtype=np.float64).reshape(3, 4)
    except (OSError, IndexError, ValueError) as error:
        raise DataError(f"{path}: line {line + 1}: 12 numbers of a projection matrix are expected ({error})") from error


def _camera(projection: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> CameraForSize:
    return lambda size: PinholeCamera.from_matrix(projection[:, :3], *size)
