# SPDX-License-Identifier: Apache-2.0
"""Lidar scans stored as bare float32 values (nuScenes .pcd.bin, KITTI .bin)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError


def read_float32_points(path: Path, columns: int, record: str) -> npt.NDArray[np.float32]:
    """Points (N, 3) float32, metres in the lidar's frame, of a file with `columns` little-endian float32 values a point.

    Points that aren't finite stay in. record: who asks for the file, for the message of DataError, which is raised if the file
    is gone or empty or its size is no whole number of points.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; {record} needs this lidar scan") from error
    size = 4 * columns
    if not data or len(data) % size:
        raise DataError(
            f"{path}: {len(data)} bytes are no whole number of points of {columns} float32 values ({size} bytes);"
            f" the scan of {record} is cut off or of another format"
        )
    return np.frombuffer(data, dtype="<f4").reshape(-1, columns)[:, :3]
