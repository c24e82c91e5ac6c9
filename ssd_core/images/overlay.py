# SPDX-License-Identifier: Apache-2.0
"""Coloured dots over a dark gray picture: where a scan hits, and what it says there."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.images.colour_map import colourise_depth
from ssd_core.images.resize import resize_image


def draw_points(
    image: npt.NDArray[np.uint8],
    u: npt.NDArray[np.int32],
    v: npt.NDArray[np.int32],
    colours: npt.NDArray[np.uint8],
    width: int,
) -> npt.NDArray[np.uint8]:
    """Picture (H, W, 3) darkened to gray and scaled to `width`, with a dot at each pixel (u, v); of dots that overlap the last one shows.

    Drawn at the final size, because single pixels would be averaged away. u, v: (N,) columns and rows of `image`; colours: (N, 3) RGB.
    """
    scale = width / image.shape[1]
    small = resize_image(image, (width, max(1, round(image.shape[0] * scale))))
    canvas = np.repeat((small.mean(axis=2, keepdims=True) * 0.45).astype(np.uint8), 3, axis=2)
    for column, row, colour in zip(u.tolist(), v.tolist(), colours.tolist(), strict=True):
        cv2.circle(canvas, (int((column + 0.5) * scale), int((row + 0.5) * scale)), 1, tuple(colour), -1)
    return canvas


def draw_sparse_depth(
    image: npt.NDArray[np.uint8], u: npt.NDArray[np.int32], v: npt.NDArray[np.int32], z: npt.NDArray[np.float32], width: int
) -> npt.NDArray[np.uint8]:
    """Depth z (N,) metres at pixels (u, v) over the picture, in the colours of `colourise_depth`, near ones on top; see draw_points."""
    far_first = np.argsort(-z, kind="stable")
    colours = colourise_depth(z[None])[0] if z.size else np.empty((0, 3), dtype=np.uint8)
    return draw_points(image, u[far_first], v[far_first], colours[far_first], width)
