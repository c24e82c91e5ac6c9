# SPDX-License-Identifier: Apache-2.0
"""From picture to linear light and back: effects add up in light, not in the numbers of a picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.images.codec import Image
from ssd_core.storage.compiled import compiled

Array = npt.NDArray[np.float32]
"""Light is (H, W, 3), linear, 1 is where the picture is white; everything else of a pixel is (H, W)."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Of linear red, green and blue (ITU-R BT.709)."""

_STEPS = 8192


def _to_linear(encoded: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _to_encoded(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


_LINEAR = _to_linear(np.arange(256) / 255).astype(np.float32)
_ENCODED = np.rint(_to_encoded(np.arange(_STEPS) / (_STEPS - 1)) * 255).astype(np.uint8)


def decode(image: Image) -> Array:
    """Linear light (H, W, 3), 0 to 1, of an sRGB picture (IEC 61966-2-1)."""
    return np.asarray(cv2.LUT(image, _LINEAR), dtype=np.float32)


def encode(light: Array) -> Image:
    """The sRGB picture, uint8 (H, W, 3), of linear light (H, W, 3); what is brighter than 1 clips. Overwrites `light`."""
    np.clip(light, 0, 1, out=light)
    light *= _STEPS - 1
    return _ENCODED[light.astype(np.uint16)]


def luminance(light: Array) -> Array:
    """(H, W) of light (H, W, 3)."""
    return np.asarray(cv2.transform(light, LUMINANCE[None]), dtype=np.float32)


def desaturated(light: Array, share: float, colour: Array) -> Array:
    """Light with that share of its own colour taken away, then lit by `colour` (3,)."""
    mixing = ((1 - share) * np.eye(3, dtype=np.float32) + share * LUMINANCE) * colour[:, None]
    return np.asarray(cv2.transform(light, mixing), dtype=np.float32)


def mix(first: Array, second: Array, share: Array) -> Array:
    """`first` (H, W, 3) where the share (H, W) is 0, `second` where it is 1; that may be one colour (3,)."""
    mixed = np.empty_like(first)
    blend: Any = _mix
    blend(first, np.broadcast_to(np.asarray(second, dtype=np.float32), first.shape), np.broadcast_to(share, first.shape[:2]), mixed)
    return mixed


def dim(light: Array, kept: Array, colour: Array | None = None) -> None:
    """Multiply light in place by a share (H, W) and a colour (3,)."""
    multiply: Any = _dim
    multiply(light, kept, np.ones(3, dtype=np.float32) if colour is None else np.asarray(colour, dtype=np.float32))


def resized(values: Array, size: tuple[int, int], interpolation: int = cv2.INTER_LINEAR) -> Array:
    """Of (width, height); pixel edges on pixel edges."""
    return np.asarray(cv2.resize(values, size, interpolation=interpolation), dtype=np.float32)


def smooth_step(values: Array, low: float, high: float) -> Array:
    """Of (H, W): 0 up to `low`, 1 from `high` on, smooth between; with `high` below `low` the other way round."""
    steps = np.empty_like(values)
    step: Any = _smooth_step
    step(values, np.float32(low), np.float32(1 / (high - low)), steps)
    return steps


def blurred(values: Array, sigma: float) -> Array:
    """A Gaussian blur of any width (standard deviation in pixels) at about the same price: wide ones are made of a reduced picture."""
    factor = max(1, int(sigma / 3))
    if factor == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)
    height, width = values.shape[:2]
    small = cv2.resize(values, (max(2, width // factor), max(2, height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


# Loops over pixels: numpy's own are slow over three colours, and write every step to memory.
@compiled(fastmath=True)
def _mix(first, second, share, out):  # type: ignore[no-untyped-def] # pragma: no cover
    for row in range(first.shape[0]):
        for column in range(first.shape[1]):
            part = share[row, column]
            for colour in range(3):
                here = first[row, column, colour]
                out[row, column, colour] = here + part * (second[row, column, colour] - here)


@compiled(fastmath=True)
def _dim(light, kept, colours):  # type: ignore[no-untyped-def] # pragma: no cover
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            part = kept[row, column]
            for colour in range(3):
                light[row, column, colour] *= part * colours[colour]


@compiled(fastmath=True)
def _smooth_step(values, low, slope, out):  # type: ignore[no-untyped-def] # pragma: no cover
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            x = min(max((values[row, column] - low) * slope, np.float32(0.0)), np.float32(1.0))
            out[row, column] = x * x * (np.float32(3.0) - np.float32(2.0) * x)
