# SPDX-License-Identifier: Apache-2.0
"""Pictures for checking a compiled network where no recording is at hand: extremes, noise and soft shapes, always the same."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera

Pictures = npt.NDArray[np.uint8]


def sample_pictures(size: tuple[int, int]) -> Pictures:
    """uint8 (6, H, W, 3) for size = (width, height): black, white, a chess board of patches, noise, and two of soft shapes."""
    width, height = size
    rng = np.random.default_rng(0)
    rows, columns = np.indices((height, width)) // 14
    board = ((rows + columns) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=-1)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    soft = [
        cv2.resize(rng.integers(0, 256, (cells, 2 * cells, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC) for cells in (4, 12)
    ]
    return np.stack([np.zeros_like(board), np.full_like(board, 255), board, noise, *soft])


def sample_cameras(size: tuple[int, int], count: int) -> list[PinholeCamera]:
    """Cameras of such pictures, from a long lens to a wide one, for networks that see their camera."""
    return [PinholeCamera.from_field_of_view(*size, horizontal_degrees=float(angle)) for angle in np.linspace(30, 110, count)]
