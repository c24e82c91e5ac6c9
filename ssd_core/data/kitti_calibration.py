# SPDX-License-Identifier: Apache-2.0
"""The calibration files of KITTI raw: rectified pinhole cameras, and where they sit relative to the Velodyne."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.pose import Matrix


class KittiCamera(NamedTuple):
    """A rectified camera and its place: (4, 4) motions into its optical frame, from the Velodyne's None where unknown."""

    camera: PinholeCamera
    camera_from_camera_0: Matrix
    camera_from_velodyne: Matrix | None


def read_cameras(date: Path, names: Sequence[str], once: OncePerCause) -> dict[str, KittiCamera]:
    """The cameras "image_00" ... of a date folder.

    x = P_rect_0N * R_rect_00 * velo_to_cam * X (Geiger et al., Vision meets Robotics, IJRR 2013, eq. 9); P_rect_0N = K [1 | t], so that
    t is where the camera sits beside camera 0. Raises DataError naming file and entry.
    """
    path = date / "calib_cam_to_cam.txt"
    values = _read(path)
    camera_0_from_velodyne = read_motion(date / "calib_velo_to_cam.txt")
    if camera_0_from_velodyne is None:
        once.tell(f"velodyne {date}", f"{date / 'calib_velo_to_cam.txt'}: no such file; frames of {date.name} have no lidar depth")
    rectification = np.eye(4)
    rectification[:3, :3] = _matrix(values, "R_rect_00", (3, 3), path)
    cameras = {}
    for name in names:
        index = name[-2:]
        projection = _matrix(values, f"P_rect_{index}", (3, 4), path)
        width, height = _matrix(values, f"S_rect_{index}", (2,), path)
        try:
            camera = PinholeCamera.from_matrix(projection[:, :3], int(width), int(height))
        except CameraError as error:
            raise DataError(f"{path}: P_rect_{index}: {error}") from error
        beside = np.eye(4)
        beside[:3, 3] = np.linalg.inv(projection[:, :3]) @ projection[:, 3]
        motion = None if camera_0_from_velodyne is None else beside @ rectification @ camera_0_from_velodyne
        cameras[name] = KittiCamera(camera, beside, motion)
    return cameras


def read_motion(path: Path) -> Matrix | None:
    """The (4, 4) motion in a file with R and T; None if the file isn't there. Raises DataError if it is broken."""
    if not path.exists():
        return None
    values = _read(path)
    motion = np.eye(4)
    motion[:3, :3] = _matrix(values, "R", (3, 3), path)
    motion[:3, 3] = _matrix(values, "T", (3,), path)
    return motion


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; KITTI's calibration files belong into the date folder") from error
    return {name.strip(): numbers for name, colon, numbers in (line.partition(":") for line in lines) if colon}


def _matrix(values: dict[str, str], name: str, shape: tuple[int, ...], path: Path) -> npt.NDArray[np.float64]:
    if name not in values:
        raise DataError(f"{path}: no entry {name}; it has {', '.join(values) or 'none'}")
    try:
        matrix = np.array([float(word) for word in values[name].split()]).reshape(shape)
    except ValueError as error:
        raise DataError(f"{path}: {name}: {error}") from error
    if not np.isfinite(matrix).all():
        raise DataError(f"{path}: {name} has a value that isn't finite")
    return matrix
