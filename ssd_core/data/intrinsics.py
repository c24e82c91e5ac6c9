# SPDX-License-Identifier: Apache-2.0
"""Intrinsics given by hand, a focal length or a file, and the lens of pictures of which nobody gave any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.camera_info import camera_from_info

ASSUMED_FIELD_OF_VIEW = 65.0
"""Degrees from left to right, of pictures whose camera nobody knows: a middling lens."""
ASSUMED_LENS = f"a horizontal field of view of {ASSUMED_FIELD_OF_VIEW:.0f} degrees is assumed, and metres are off as much as that is"
"""What to tell whenever `assumed_camera` decides what comes out."""
CameraForSize = Callable[[tuple[int, int]], PinholeCamera]
"""Image size (width, height) -> its camera; raises CameraError if the intrinsics don't fit that size."""


def assumed_camera(size: tuple[int, int]) -> PinholeCamera:
    """A CameraForSize for any picture whose camera nobody knows: square pixels, the middle in the middle, ASSUMED_FIELD_OF_VIEW."""
    return PinholeCamera.from_field_of_view(*size, horizontal_degrees=ASSUMED_FIELD_OF_VIEW)


def camera_from_focal_length(focal_pixels: float) -> CameraForSize:
    """Square pixels of that focal length, the principal point in the image's centre, no distortion."""

    def camera(size: tuple[int, int]) -> PinholeCamera:
        width, height = size
        return PinholeCamera(width, height, focal_pixels, focal_pixels, (width - 1) / 2, (height - 1) / 2)

    return camera


def read_intrinsics(path: Path, rectified: bool = False) -> CameraForSize:
    """A file with intrinsics: the YAML of ROS's camera_calibration, or text with 4 (fx fy cx cy), 9 (K) or 12 (P) numbers.

    rectified: use the YAML's projection matrix instead of K with distortion. Plain numbers belong to the full image.
    Raises CameraError naming the file.
    """
    text = path.read_text()
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        return _from_calibration(path, text, rectified)
    if len(numbers) == 4:
        fx, fy, cx, cy = numbers
    elif len(numbers) in (9, 12):
        columns = len(numbers) // 3
        fx, cx, fy, cy = numbers[0], numbers[2], numbers[columns + 1], numbers[columns + 2]
    else:
        raise CameraError(f"{path}: {len(numbers)} numbers; 4 (fx fy cx cy), 9 (K) or 12 (P) are expected, or a ROS calibration YAML")
    return lambda size: PinholeCamera(size[0], size[1], fx, fy, cx, cy)


def _from_calibration(path: Path, text: str, rectified: bool) -> CameraForSize:
    try:
        values: Any = yaml.safe_load(text)
        k = values["camera_matrix"]["data"]
        d = values.get("distortion_coefficients", {}).get("data", [])
        camera = camera_from_info(
            width=int(values["image_width"]),
            height=int(values["image_height"]),
            k=k,
            d=d,
            r=values.get("rectification_matrix", {}).get("data", [1, 0, 0, 0, 1, 0, 0, 0, 1]),
            p=values.get("projection_matrix", {}).get("data", [0] * 12),
            distortion_model=str(values.get("distortion_model", "plumb_bob")),
            rectified=rectified,
        )
    except CameraError as error:
        raise CameraError(f"{path}: {error}") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CameraError(f"{path}: no camera calibration (image_width, image_height, camera_matrix: {error!r})") from error
    return lambda size: camera.fitted(*size)
