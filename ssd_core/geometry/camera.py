# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera with lens distortion, and what crops, resizes and flips do to it.

Pixel-centre convention (OpenCV, ROS): the centre of the top-left pixel is (0, 0), so an image of
width W spans -0.5 .. W-0.5. A resize by s therefore maps u to ``(u + 0.5) * s - 0.5``.
Camera frames are optical frames (REP 103): x right, y down, z forward.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

DistortionModel = Literal["none", "plumb_bob", "rational_polynomial", "equidistant"]
DISTORTION_MODELS: tuple[str, ...] = get_args(DistortionModel)
ASPECT_TOLERANCE = 0.01
"""Relative difference of aspect up to which a picture of another size is taken for the resized one (see `PinholeCamera.fitted`)."""

_COEFFICIENT_COUNTS = {"none": (0,), "plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}


class CameraError(ValueError):
    """Intrinsics or distortion that can't describe a camera; the message names the value."""


@dataclasses.dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of one image: size in pixels, focal lengths and principal point in pixels.

    ``distortion`` holds the coefficients in ROS order (sensor_msgs/CameraInfo.d): k1 k2 p1 p2 [k3] for
    plumb_bob, k1 k2 p1 p2 k3 k4 k5 k6 for rational_polynomial, k1 k2 k3 k4 for equidistant.

    Raises CameraError on a size below one pixel, a focal length that isn't positive and finite, a
    principal point or coefficient that isn't finite, or a wrong number of coefficients.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: DistortionModel = "none"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise CameraError(f"image size {self.width}x{self.height} is empty")
        for name in ("fx", "fy"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise CameraError(f"{name} = {value}: a focal length must be positive and finite")
        for name in ("cx", "cy"):
            if not math.isfinite(getattr(self, name)):
                raise CameraError(f"{name} = {getattr(self, name)}: the principal point must be finite")
        if self.distortion_model not in DISTORTION_MODELS:
            raise CameraError(f"unknown distortion model {self.distortion_model!r}; known: {', '.join(DISTORTION_MODELS)}")
        allowed = _COEFFICIENT_COUNTS[self.distortion_model]
        if len(self.distortion) not in allowed:
            raise CameraError(f"{self.distortion_model} needs {' or '.join(map(str, allowed))} coefficients, got {len(self.distortion)}")
        if not all(math.isfinite(value) for value in self.distortion):
            raise CameraError(f"distortion {self.distortion} has a value that isn't finite")

    @classmethod
    def from_matrix(
        cls,
        matrix: npt.ArrayLike,
        width: int,
        height: int,
        distortion_model: DistortionModel = "none",
        distortion: Sequence[float] = (),
    ) -> PinholeCamera:
        """Build a camera from a (3, 3) intrinsic matrix; skew is refused."""
        k = np.asarray(matrix, dtype=np.float64)
        if k.shape != (3, 3):
            raise CameraError(f"the intrinsic matrix must be 3x3, got {k.shape}")
        if abs(k[0, 1]) > 1e-6:
            raise CameraError(f"skew {k[0, 1]} isn't supported")
        coefficients = tuple(float(value) for value in distortion)
        return cls(width, height, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), distortion_model, coefficients)

    @classmethod
    def from_field_of_view(cls, width: int, height: int, horizontal_degrees: float) -> PinholeCamera:
        """Square pixels, centred principal point, and the given horizontal field of view."""
        focal = width / 2 / math.tan(math.radians(horizontal_degrees) / 2)
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The (3, 3) intrinsic matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    @property
    def is_distorted(self) -> bool:
        """True if any distortion coefficient differs from zero (an equidistant lens always bends rays)."""
        return self.distortion_model == "equidistant" or any(self.distortion)

    def scaled(self, width: int, height: int) -> PinholeCamera:
        """The camera of this image resized to (width, height); pixel centres are honoured."""
        sx, sy = width / self.width, height / self.height
        return dataclasses.replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def fitted(self, width: int, height: int) -> PinholeCamera:
        """The camera of a picture that was resized after calibration. Raises CameraError where its aspect is another one: by more than
        a hundredth, and by more than a pixel.
        """
        if self.size == (width, height):
            return self
        across, down = self.width * height, self.height * width
        if abs(across - down) > max(self.width, width, ASPECT_TOLERANCE * down):
            raise CameraError(
                f"intrinsics of {self.width}x{self.height} don't fit an image of {width}x{height}, which has another aspect (a crop "
                "can't be guessed): calibrate for this size"
            )
        return self.scaled(width, height)

    def cropped(self, left: int, top: int, width: int, height: int) -> PinholeCamera:
        """The camera of the window that starts at pixel (left, top); may reach beyond the image."""
        return dataclasses.replace(self, width=width, height=height, cx=self.cx - left, cy=self.cy - top)

    def strided(self, stride: int) -> PinholeCamera:
        """The camera of ``image[::stride, ::stride]``: pixel (i, j) looks along pixel (i*stride, j*stride)."""
        return dataclasses.replace(
            self,
            width=-(-self.width // stride),
            height=-(-self.height // stride),
            fx=self.fx / stride,
            fy=self.fy / stride,
            cx=self.cx / stride,
            cy=self.cy / stride,
        )

    def flipped(self) -> PinholeCamera:
        """The camera of the horizontally mirrored image; the principal point and p2 mirror too."""
        distortion = list(self.distortion)
        if self.distortion_model in ("plumb_bob", "rational_polynomial"):
            distortion[3] = -distortion[3]
        return dataclasses.replace(self, cx=self.width - 1 - self.cx, distortion=tuple(distortion))

    def rectified(self) -> PinholeCamera:
        """The same intrinsics without distortion."""
        return dataclasses.replace(self, distortion_model="none", distortion=())

    def rays(self) -> npt.NDArray[np.float32]:
        """Direction of every pixel, scaled to z = 1: (height, width, 2) float32 holding x/z and y/z.

        A point at depth Z along pixel (u, v) is ``Z * (rays[v, u, 0], rays[v, u, 1], 1)``. NaN where
        the lens model has no ray in front of the camera (fisheye pixels beyond 90 degrees, or pixels outside the
        circle at which the distortion folds back).
        """
        if not self.is_distorted:
            x = (np.arange(self.width, dtype=np.float64) - self.cx) / self.fx
            y = (np.arange(self.height, dtype=np.float64) - self.cy) / self.fy
            return np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).astype(np.float32)
        grid = np.stack(np.meshgrid(np.arange(self.width), np.arange(self.height)), axis=-1)
        return self.unproject(grid.reshape(-1, 2)).reshape(self.height, self.width, 2).astype(np.float32)

    def unproject(self, pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Rays (N, 2), x/z and y/z, of pixels (N, 2); NaN where there is none (see `rays`)."""
        points = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        # OpenCV makes one point of none.
        if not self.is_distorted or not len(points):
            return (points - (self.cx, self.cy)) / (self.fx, self.fy)
        coefficients = np.array(self.distortion)
        if self.distortion_model == "equidistant":
            found = cv2.fisheye.undistortPoints(points[:, None], self.matrix, coefficients)
        else:
            found = _undistort_points(points[:, None], self.matrix, coefficients)
        rays: npt.NDArray[np.float64] = np.asarray(found, dtype=np.float64).reshape(-1, 2)
        wrong = ~self._leads_to(rays, points)
        rays[wrong] = np.nan
        # OpenCV's iteration diverges near the corners of wide lenses, where there is a ray all the same. The twentieth allows for the
        # tangential distortion; farther out the picture shows nothing.
        bent = (points - (self.cx, self.cy)) / (self.fx, self.fy)
        wrong &= np.linalg.norm(bent, axis=1) < 1.05 * _radial_table(self)[1][-1]
        if wrong.any():
            with np.errstate(all="ignore"):
                found = self._search_rays(bent[wrong])
            found[~self._leads_to(found, points[wrong])] = np.nan
            rays[wrong] = found
        return rays

    def _leads_to(self, rays: npt.NDArray[np.float64], pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        returned = self.project(np.concatenate([rays, np.ones((len(rays), 1))], axis=1))
        return np.asarray(np.linalg.norm(returned - pixels, axis=1) < 0.1)

    def _search_rays(self, wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Rays that the lens bends to `wanted` (N, 2), by Newton's method from what its radial part gives; anything where it fails."""
        plain, bent = _radial_table(self)
        distance = np.linalg.norm(wanted, axis=1, keepdims=True)
        rays: npt.NDArray[np.float64] = wanted / np.maximum(distance, 1e-12) * np.interp(distance, bent, plain)
        step = 1e-6
        for _ in range(10):
            here, right, below = (
                (self._bent(rays + offset) - (self.cx, self.cy)) / (self.fx, self.fy) for offset in ((0, 0), (step, 0), (0, step))
            )
            slope = np.stack([right - here, below - here], axis=-1) / step
            solvable = np.abs(np.linalg.det(slope)) > 1e-9
            rays[solvable] += np.linalg.solve(slope[solvable], (wanted - here)[solvable, :, None])[..., 0]
        return rays

    def project(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Pixels (N, 2) of points (N, 3) in the camera's optical frame, metres.

        NaN where z <= 0, and beyond the angle at which the distortion's polynomial folds back: it would put what lies far outside the
        lens into the image.
        """
        xyz = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        pixels = np.full((len(xyz), 2), np.nan)
        front = xyz[:, 2] > 0
        rays = xyz[front, :2] / xyz[front, 2:]
        if not self.is_distorted:
            pixels[front] = rays * (self.fx, self.fy) + (self.cx, self.cy)
            return pixels
        projected = self._bent(rays)
        projected[np.linalg.norm(rays, axis=1) > _radial_table(self)[0][-1]] = np.nan
        pixels[front] = projected
        return pixels

    def _bent(self, rays: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Pixels (N, 2) of rays (N, 2), x/z and y/z, by the formula of the lens, whether it holds there or not."""
        if not len(rays):
            return np.empty((0, 2))
        points, zero, coefficients = np.insert(rays, 2, 1.0, axis=1)[:, None], np.zeros(3), np.array(self.distortion)
        if self.distortion_model == "equidistant":
            projected, _ = cv2.fisheye.projectPoints(points, zero, zero, self.matrix, coefficients)
        else:
            projected, _ = cv2.projectPoints(points, zero, zero, self.matrix, coefficients)
        return np.asarray(projected, dtype=np.float64).reshape(-1, 2)


@functools.lru_cache(maxsize=64)
def _radial_table(camera: PinholeCamera) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distances from the axis at z = 1, without and with the radial distortion, up to where the latter stops growing."""
    coefficients = list(camera.distortion)
    if camera.distortion_model != "equidistant":
        coefficients[2:4] = 0.0, 0.0  # the tangential part has no axis
    plain = np.tan(np.radians(np.linspace(0, 89.9, 9000)))
    bare = dataclasses.replace(camera, fx=1.0, fy=1.0, cx=0.0, cy=0.0, distortion=tuple(coefficients))
    bent = bare._bent(np.stack([plain, np.zeros_like(plain)], axis=1))[:, 0]
    folds = ~(np.diff(bent) > 0)
    end = int(folds.argmax()) + 1 if folds.any() else len(plain)
    return plain[:end], bent[:end]


def _undistort_points(
    points: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64], coefficients: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)
    if hasattr(cv2, "undistortPointsIter"):  # OpenCV 4; version 5 merged it into undistortPoints
        return np.asarray(cv2.undistortPointsIter(points, matrix, coefficients, None, None, criteria))
    return np.asarray(cv2.undistortPoints(points, matrix, coefficients, criteria=criteria))
