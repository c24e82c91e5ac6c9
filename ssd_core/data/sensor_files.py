# SPDX-License-Identifier: Apache-2.0
"""Pictures and lidar scans in files of their own; errors name the file and the frame that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.images.codec import Image, ImageDecodeError, read_image

Real = TypeVar("Real", bound=np.floating)


def read_frame_image(path: Path, frame_id: str, size: tuple[int, int] | None, min_size: tuple[int, int] | None) -> Image:
    """The picture of a frame, uint8 (H, W, 3) RGB; min_size as in `decode_image`.

    size: (width, height) that the intrinsics belong to, None where unknown. Raises ImageDecodeError if the file is gone, damaged or
    of another size.
    """
    try:
        image = read_image(path, min_size)
    except OSError as error:
        raise ImageDecodeError(f"{path}: {error.strerror}; it is the picture of {frame_id}", "missing_image") from error
    except ImageDecodeError as error:
        raise ImageDecodeError(f"{error}; it is the picture of {frame_id}", error.cause) from error
    found = image.shape[1::-1]
    if size is not None and min_size is None and found != size:
        raise ImageDecodeError(
            f"{path}: {found[0]}x{found[1]} pixels, but the intrinsics of {frame_id} belong to {size[0]}x{size[1]}", "image_size"
        )
    return image


def read_float32_points(path: Path, columns: int, record: str, once: OncePerCause) -> npt.NDArray[np.float32]:
    """Points (N, 3) float32, metres in the lidar's frame, of a file with `columns` little-endian float32 values a point.

    Points that aren't finite are left out, with a warning. record: who asks for the file, for the message of DataError, which is
    raised if the file is gone or empty or its size is no whole number of points.
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
    return finite_points(np.frombuffer(data, dtype="<f4").reshape(-1, columns)[:, :3], path, once)


def finite_points(points: npt.NDArray[Real], path: Path, once: OncePerCause) -> npt.NDArray[Real]:
    """The points (N, 3) without those that aren't finite; the first file that has such is named in a warning."""
    finite = np.isfinite(points).all(axis=1)
    if finite.all():
        return points
    once.tell("finite points", f"{path}: {len(points) - int(finite.sum())} of {len(points)} points aren't finite and are left out")
    kept: npt.NDArray[Real] = points[finite]
    return kept
