# SPDX-License-Identifier: Apache-2.0
"""One camera's organised cloud at one stride: rays and look-up tables made once, then filled from every depth image."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.storage.compiled import compiled

Floats = npt.NDArray[np.float32]
# Unsigned, as for signed ones numba asks at every access whether it counts from the end.
Indices = npt.NDArray[np.uint32]

_POINTS_WORTH_A_THREAD = 400_000


class CloudGrid:
    """Every ``stride``-th pixel of a camera's image as a point: (rows, columns), row i column j is pixel (j*stride, i*stride).

    Depth and colours may have any size that covers the camera's view (pixel edges on pixel edges): depth is read bilinearly at
    the pixel's centre, colour from the nearest pixel. Rays honour the camera's distortion.
    """

    def __init__(self, camera: PinholeCamera, stride: int) -> None:
        if stride < 1:
            raise ValueError(f"stride {stride}: at least 1")
        self.camera = camera
        self.stride = stride
        strided = camera.strided(stride)
        self.shape: tuple[int, int] = (strided.height, strided.width)
        rays = strided.rays()
        # Without distortion x/z depends on the column alone and y/z on the row alone: two short vectors stay in the cache.
        self._rays_x: Floats = np.ascontiguousarray(rays[..., 0] if camera.is_distorted else rays[:1, :, 0])
        self._rays_y: Floats = np.ascontiguousarray(rays[..., 1] if camera.is_distorted else rays[:, :1, 1])
        self._tables: dict[tuple[int, ...], tuple[Any, ...]] = {}

    def fill(self, depth: Floats, image: npt.NDArray[np.uint8], out: Floats, minimum: float, maximum: float, scale: float = 1.0) -> None:
        """Write the cloud into ``out`` (rows, columns, 4) float32: x, y, z in metres and packed colour 0x00RRGGBB (PCL, rviz).

        depth (h, w) float32 along the optical axis, multiplied by `scale`; image (H, W, 3) uint8 RGB. Points are in the
        camera's optical frame (REP 103). x, y, z are NaN where the scaled depth isn't in [minimum, maximum], isn't finite, or
        the pixel has no ray.
        """
        depth = np.ascontiguousarray(depth)
        rows, columns, (colour_rows, colour_columns) = self._lookup(depth.shape, image.shape)
        limits = np.float32(scale), np.float32(minimum), np.float32(maximum)

        def fill_band(band: slice) -> None:
            rays_x = self._rays_x[band] if len(self._rays_x) > 1 else self._rays_x
            fill: Any = _fill
            fill(
                depth,
                *(table[band] for table in rows),
                *columns,
                rays_x,
                self._rays_y[band],
                image,
                colour_rows[band],
                colour_columns,
                *limits,
                out[band],
            )

        # The kernel holds no GIL; small clouds are filled before a second thread has woken up.
        middle = self.shape[0] // 2 if self.shape[0] * self.shape[1] > _POINTS_WORTH_A_THREAD else 0
        upper = _threads().submit(fill_band, slice(0, middle)) if middle else None
        fill_band(slice(middle, None))
        if upper is not None:
            upper.result()

    def _lookup(self, depth_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> tuple[Any, ...]:
        key = (*depth_shape, *image_shape)
        if key not in self._tables:
            height, width = self.camera.height, self.camera.width
            self._tables.clear()  # one camera sends one size; a change of size must not pile up tables
            self._tables[key] = (
                _linear(height, self.stride, depth_shape[0]),
                _linear(width, self.stride, depth_shape[1]),
                (_nearest(height, self.stride, image_shape[0]), _nearest(width, self.stride, image_shape[1])),
            )
        return self._tables[key]


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="cloud")


def warm_up() -> None:
    """Compile, or load from numba's cache, what `CloudGrid.fill` runs, so that the first real cloud isn't seconds late."""
    grid = CloudGrid(PinholeCamera(4, 4, 1.0, 1.0, 1.5, 1.5), 1)
    out = np.empty((*grid.shape, 4), np.float32)
    grid.fill(np.ones((2, 2), np.float32), np.zeros((4, 4, 3), np.uint8), out, 0.0, 2.0)


def _linear(length: int, stride: int, source_length: int) -> tuple[Indices, Indices, Floats]:
    """For every stride-th pixel of `length`: the two source pixels around its centre and the weight of the second."""
    position = np.clip((np.arange(0, length, stride) + 0.5) * (source_length / length) - 0.5, 0, source_length - 1)
    low = np.floor(position)
    weight = (position - low).astype(np.float32)
    # A neighbour of weight zero must not be read at all: 0 * inf would be NaN.
    high = np.where(weight > 0, low + 1, low)
    return low.astype(np.uint32), high.astype(np.uint32), weight


def _nearest(length: int, stride: int, source_length: int) -> Indices:
    position = np.floor((np.arange(0, length, stride) + 0.5) * (source_length / length))
    return np.asarray(np.minimum(position, source_length - 1), dtype=np.uint32)


@compiled()
def _fill(
    depth: Floats,
    row_low: Indices,
    row_high: Indices,
    row_weight: Floats,
    column_low: Indices,
    column_high: Indices,
    column_weight: Floats,
    rays_x: Floats,
    rays_y: Floats,
    image: npt.NDArray[np.uint8],
    image_rows: Indices,
    image_columns: Indices,
    scale: np.float32,
    minimum: np.float32,
    maximum: np.float32,
    out: Floats,
) -> None:
    rows, columns, width = out.shape[0], out.shape[1], depth.shape[1]
    blended = np.empty(width, np.float32)
    z = np.empty(columns, np.float32)
    nothing = np.float32(np.nan)
    for row in range(rows):
        above, below, weight = depth[row_low[row]], depth[row_high[row]], row_weight[row]
        for column in range(width):
            blended[column] = (above[column] + (below[column] - above[column]) * weight) * scale
        for column in range(columns):
            left = blended[column_low[column]]
            value = left + (blended[column_high[column]] - left) * column_weight[column]
            z[column] = value if minimum <= value <= maximum else nothing
        x_rays, y_rays = rays_x[row if rays_x.shape[0] > 1 else 0], rays_y[row]
        y_step = 1 if y_rays.shape[0] > 1 else 0
        colours, line = image[image_rows[row]], out[row]
        for column in range(columns):
            value, x_ray, y_ray, pixel = z[column], x_rays[column], y_rays[column * y_step], image_columns[column]
            red, green, blue = np.uint32(colours[pixel, 0]), np.uint32(colours[pixel, 1]), np.uint32(colours[pixel, 2])
            rgb = red << np.uint32(16) | green << np.uint32(8) | blue
            # A point is whole or NaN in x, y and z: adding (ray - ray), 0 or NaN, spreads the NaN of a missing ray.
            line[column, 0] = value * x_ray
            line[column, 1] = value * y_ray
            line[column, 2] = value + (x_ray - x_ray)
            line[column, 3] = np.uint32(rgb).view(np.float32)
