# SPDX-License-Identifier: Apache-2.0
"""Lidar points to sparse depth images: the nearest point of a pixel wins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera


class SparseDepth(NamedTuple):
    """Depth known at some pixels: integer columns ``u``, rows ``v`` and depth ``z`` along the optical axis, metres."""

    u: npt.NDArray[np.int32]
    v: npt.NDArray[np.int32]
    z: npt.NDArray[np.float32]

    def to_image(self, width: int, height: int) -> npt.NDArray[np.float32]:
        """(height, width) float32, 0 where no depth is known."""
        image = np.zeros((height, width), dtype=np.float32)
        image[self.v, self.u] = self.z
        return image


def project_lidar(points: npt.ArrayLike, camera: PinholeCamera, min_depth: float = 0.1, max_depth: float = np.inf) -> SparseDepth:
    """Lidar points (N, 3) in the camera's optical frame -> sparse depth, at most one value a pixel, the nearest.

    Points that aren't finite, lie outside [min_depth, max_depth] metres, or fall outside the image are left
    out. A point belongs to the pixel whose centre is nearest (see camera.py for the convention).
    """
    xyz = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    z = xyz[:, 2]
    xyz = xyz[np.isfinite(xyz).all(axis=1) & (z >= min_depth) & (z <= max_depth)]
    pixels = np.floor(camera.project(xyz) + 0.5)
    inside = (pixels[:, 0] >= 0) & (pixels[:, 0] < camera.width) & (pixels[:, 1] >= 0) & (pixels[:, 1] < camera.height)
    columns, rows = pixels[inside].astype(np.int32).T
    depth = xyz[inside, 2].astype(np.float32)
    order = np.argsort(depth, kind="stable")
    _, first = np.unique(rows[order].astype(np.int64) * camera.width + columns[order], return_index=True)
    kept = order[first]
    return SparseDepth(columns[kept], rows[kept], depth[kept])
