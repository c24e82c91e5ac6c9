# SPDX-License-Identifier: Apache-2.0
"""From picture to linear light and back: effects add up in light, not in the numbers of a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.images.codec import Image

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
    """The sRGB picture of linear light; what is brighter than 1 clips. Overwrites `light`."""
    np.clip(light, 0, 1, out=light)
    light *= _STEPS - 1
    return _ENCODED[light.astype(np.uint16)]


def luminance(light: Array) -> Array:
    """(H, W) of light (H, W, 3)."""
    return np.asarray(cv2.transform(light, LUMINANCE[None]), dtype=np.float32)


def desaturated(light: Array, share: float) -> Array:
    """Light with that share of its colour taken away."""
    mixing = (1 - share) * np.eye(3, dtype=np.float32) + share * LUMINANCE
    return np.asarray(cv2.transform(light, mixing), dtype=np.float32)


def mix(first: Array, second: Array | npt.NDArray[np.floating], share: Array) -> Array:
    """`first` where the share (H, W) is 0, `second` where it is 1."""
    return np.asarray(first + share[..., None] * (second - first), dtype=np.float32)


def resized(values: Array, size: tuple[int, int], interpolation: int = cv2.INTER_LINEAR) -> Array:
    """Of (width, height); pixel edges on pixel edges."""
    return np.asarray(cv2.resize(values, size, interpolation=interpolation), dtype=np.float32)


def smooth_step(values: Array, low: float, high: float) -> Array:
    """0 up to `low`, 1 from `high` on, smooth between."""
    x = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float32)


def blurred(values: Array, sigma: float) -> Array:
    """A Gaussian blur of any width (standard deviation in pixels) at about the same price: wide ones are made of a reduced picture."""
    factor = max(1, int(sigma / 3))
    if factor == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)
    height, width = values.shape[:2]
    small = cv2.resize(values, (max(2, width // factor), max(2, height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
