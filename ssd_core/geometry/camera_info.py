# SPDX-License-Identifier: Apache-2.0
"""The fields of sensor_msgs/CameraInfo to a PinholeCamera of the image that was published with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import DISTORTION_MODELS, CameraError, DistortionModel, PinholeCamera

# The longest form OpenCV and ROS know of each model; shorter lists are filled up with zeros.
_FULL_COUNT: dict[str, int] = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}


class DistortionError(CameraError):
    """A lens model that isn't known or has the wrong coefficients; the intrinsics beside it may still be good."""


def camera_from_info(
    *,
    width: int,
    height: int,
    k: npt.ArrayLike,
    d: npt.ArrayLike,
    r: npt.ArrayLike,
    p: npt.ArrayLike,
    distortion_model: str,
    binning_x: int = 0,
    binning_y: int = 0,
    roi: Sequence[int] = (0, 0, 0, 0),
    rectified: bool,
) -> PinholeCamera:
    """The camera of the published image: of the ROI (x_offset, y_offset, width, height; full pixels) after binning.

    k (9), d (any length), r (9), p (12), row-major as in the message. `rectified` tells which image it is: a rectified one has the
    left 3x3 of P and no distortion, or K where P isn't set or R is no rotation (as nuScenes converters
    write it); a raw one has K with D. Binning averages pixels, so pixel edges map to pixel edges.

    Raises CameraError on an empty size, intrinsics that aren't positive and finite, an ROI beyond the image; its subclass
    DistortionError if only the distortion of a raw image can't be used.
    """
    if width < 1 or height < 1:
        raise CameraError(f"CameraInfo: image size {width}x{height} is empty")
    intrinsics = _matrix(k, (3, 3), "K")
    projection = _matrix(p, (3, 4), "P")[:, :3]
    model: DistortionModel = "none"
    coefficients: tuple[float, ...] = ()
    if rectified:
        unusable = projection[0, 0] == 0 or not _is_rotation(_matrix(r, (3, 3), "R"))
        matrix = intrinsics if unusable and intrinsics[0, 0] != 0 else projection
    else:
        matrix = intrinsics
    try:
        # Without distortion first: wrong intrinsics are the graver cause and must not hide behind a lens model.
        camera = PinholeCamera.from_matrix(matrix, width, height)
    except CameraError as error:
        raise CameraError(f"CameraInfo: {error} (is the camera calibrated?)") from error
    if not rectified:
        model, coefficients = _distortion(distortion_model, np.asarray(d, dtype=np.float64).ravel())
        camera = PinholeCamera.from_matrix(matrix, width, height, model, coefficients)
    return _binned(_region(camera, roi), binning_x, binning_y)


def _matrix(values: npt.ArrayLike, shape: tuple[int, int], name: str) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.size != shape[0] * shape[1]:
        raise CameraError(f"CameraInfo: {name} needs {shape[0] * shape[1]} values, got {array.size}")
    return array.reshape(shape)


def _is_rotation(r: npt.NDArray[np.float64]) -> bool:
    if not np.isfinite(r).all():
        return False
    return bool(np.allclose(r @ r.T, np.eye(3), atol=1e-3) and np.linalg.det(r) > 0)


def _distortion(model: str, values: npt.NDArray[np.float64]) -> tuple[DistortionModel, tuple[float, ...]]:
    if model != "equidistant" and not values.any():
        return "none", ()
    if model not in _FULL_COUNT:
        known = ", ".join(name for name in DISTORTION_MODELS if name != "none")
        raise DistortionError(f"CameraInfo: unknown distortion model {model!r}; known: {known}")
    if not np.isfinite(values).all():
        raise DistortionError(f"CameraInfo: distortion {values.tolist()} has a value that isn't finite")
    count = _FULL_COUNT[model]
    if values[count:].any():
        raise DistortionError(f"CameraInfo: {model} takes {count} distortion coefficients, got {len(values)}")
    filled = np.zeros(count)
    filled[: min(count, len(values))] = values[:count]
    return model, tuple(filled.tolist())  # type: ignore[return-value]


def _region(camera: PinholeCamera, roi: Sequence[int]) -> PinholeCamera:
    left, top, width, height = (int(value) for value in roi)
    if width == 0 and height == 0:
        return camera
    if width < 1 or height < 1 or left < 0 or top < 0 or left + width > camera.width or top + height > camera.height:
        raise CameraError(f"CameraInfo: ROI {width}x{height} at ({left}, {top}) isn't inside the image of {camera.width}x{camera.height}")
    return camera.cropped(left, top, width, height)


def _binned(camera: PinholeCamera, binning_x: int, binning_y: int) -> PinholeCamera:
    across, down = max(1, int(binning_x)), max(1, int(binning_y))
    if (across, down) == (1, 1):
        return camera
    columns, rows = camera.width // across, camera.height // down
    if columns < 1 or rows < 1:
        raise CameraError(f"CameraInfo: binning {across}x{down} leaves nothing of {camera.width}x{camera.height} pixels")
    # Pixels that don't fill a last bin are dropped by the sensor, hence the crop before the scaling.
    return camera.cropped(0, 0, columns * across, rows * down).scaled(columns, rows)
