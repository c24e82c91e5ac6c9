# SPDX-License-Identifier: Apache-2.0
"""The picture that the network paints on, and the way back to the source's pixels."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ssd_core.images.codec import Image
from ssd_core.images.resize import resize_image

MULTIPLE = 8
"""Sides of Stable Diffusion's pictures are multiples of this: its autoencoder halves them three times."""


class Canvas(NamedTuple):
    """Sizes are (width, height). The source is resized to `inner`, which stands in `size` at (left, top); mirrored pixels fill the rest.

    `place` and `restore` are each other's inverse: every pixel comes back where it was, so the camera stays the source's.
    """

    source: tuple[int, int]
    inner: tuple[int, int]
    size: tuple[int, int]
    left: int
    top: int

    @classmethod
    def fit(cls, source: tuple[int, int], long_side: int) -> Canvas:
        """The canvas of a picture (width, height) whose longer side shall have so many pixels."""
        scale = long_side / max(source)
        inner = max(1, round(source[0] * scale)), max(1, round(source[1] * scale))
        size = _multiple(inner[0]), _multiple(inner[1])
        return cls(source, inner, size, (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)

    def place(self, picture: Image) -> Image:
        """uint8 (H, W, 3) of the source's size -> of the canvas's. Raises ValueError for another size."""
        if picture.shape[1::-1] != self.source:
            raise ValueError(f"a picture of {picture.shape[1]}x{picture.shape[0]} for a canvas of {self.source[0]}x{self.source[1]}")
        right, bottom = (self.size[axis] - self.inner[axis] - (self.left, self.top)[axis] for axis in (0, 1))
        inner = resize_image(picture, self.inner)
        return np.asarray(cv2.copyMakeBorder(inner, self.top, bottom, self.left, right, cv2.BORDER_REFLECT_101), dtype=np.uint8)

    def restore(self, painted: Image) -> Image:
        """uint8 (H, W, 3) of the canvas's size -> of the source's."""
        inner = painted[self.top : self.top + self.inner[1], self.left : self.left + self.inner[0]]
        return resize_image(np.ascontiguousarray(inner), self.source)


def _multiple(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE
