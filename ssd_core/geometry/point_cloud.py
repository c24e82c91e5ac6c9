# SPDX-License-Identifier: Apache-2.0
"""Depth image to organised, coloured point cloud, without intermediate arrays."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(cache=True, fastmath=False, nogil=True)  # type: ignore[untyped-decorator]
def fill_xyzrgb(
    depth: npt.NDArray[np.float32],
    rays: npt.NDArray[np.float32],
    image: npt.NDArray[np.uint8],
    stride: int,
    min_depth: float,
    max_depth: float,
    out: npt.NDArray[np.float32],
) -> None:
    """Write the cloud of every ``stride``-th pixel into ``out`` (rows, columns, 4) float32: x, y, z, packed rgb.

    depth (H, W) metres along the optical axis; rays (H, W, 2) from PinholeCamera.rays; image uint8 RGB of any
    size that covers the same view (colour of the nearest pixel). Points are in the camera's optical frame; x, y, z are
    NaN where the depth isn't finite or outside [min_depth, max_depth] or the ray is NaN (REP 117, PointCloud2 is_dense=false).
    The fourth value's 32 bits are 0x00RRGGBB, the layout of PCL and rviz.
    """
    height, width = depth.shape
    image_height, image_width = image.shape[0], image.shape[1]
    rows, columns = out.shape[0], out.shape[1]
    bits = out.view(np.uint32)
    image_columns = np.empty(columns, dtype=np.int64)
    for column in range(columns):
        image_columns[column] = min((2 * column * stride + 1) * image_width // (2 * width), image_width - 1)
    for row in range(rows):
        v = row * stride
        image_row = image[min((2 * v + 1) * image_height // (2 * height), image_height - 1)]
        for column in range(columns):
            u = column * stride
            z = depth[v, u]
            if not (min_depth <= z <= max_depth and np.isfinite(rays[v, u, 0])):
                z = np.float32(np.nan)
            out[row, column, 0] = z * rays[v, u, 0]
            out[row, column, 1] = z * rays[v, u, 1]
            out[row, column, 2] = z
            pixel = image_row[image_columns[column]]
            bits[row, column, 3] = np.uint32(pixel[0]) << np.uint32(16) | np.uint32(pixel[1]) << np.uint32(8) | np.uint32(pixel[2])


def cloud_shape(height: int, width: int, stride: int) -> tuple[int, int, int]:
    """Shape of the ``out`` array that `fill_xyzrgb` fills for a (height, width) depth image."""
    return -(-height // stride), -(-width // stride), 4
