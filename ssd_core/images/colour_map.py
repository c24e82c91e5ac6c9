# SPDX-License-Identifier: Apache-2.0
"""Depth as a picture: inverse depth through Turbo, near is red, far is blue, unknown is black."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def colourise_depth(depth: npt.NDArray[np.float32], min_depth: float = 2.0, max_depth: float = 80.0) -> npt.NDArray[np.uint8]:
    """Metric depth (H, W) -> uint8 (H, W, 3) RGB.

    Colours follow log depth between min_depth and max_depth metres (fixed, so that colours of a video don't
    flicker). +Inf (beyond range) is the farthest colour, -Inf (too close) the nearest, NaN and 0 are black.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        nearness = 1 - np.log(np.maximum(depth, 1e-6) / min_depth) / np.log(max_depth / min_depth)
    unknown = np.isnan(depth) | (depth == 0)
    levels = np.clip(np.where(unknown, 0, nearness), 0, 1) * 255
    return _turbo(levels.astype(np.uint8), unknown)


def colourise_inverse_depth(inverse_depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Relative inverse depth (H, W) -> uint8 RGB, stretched between the 2nd and 98th percentile of this image."""
    unknown = ~np.isfinite(inverse_depth)
    if unknown.all():
        return np.zeros((*inverse_depth.shape, 3), dtype=np.uint8)
    low, high = np.percentile(inverse_depth[~unknown], (2, 98))
    levels = np.clip((np.where(unknown, low, inverse_depth) - low) / max(high - low, 1e-6), 0, 1) * 255
    return _turbo(levels.astype(np.uint8), unknown)


def _turbo(levels: npt.NDArray[np.uint8], unknown: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1].copy()
    colours[unknown] = 0
    return np.asarray(colours, dtype=np.uint8)
