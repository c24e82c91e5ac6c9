# SPDX-License-Identifier: Apache-2.0
"""Nights as dark as real ones: Stable Diffusion paints them brighter, and the paper adjusts them too (how was not recovered)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.gdt.diffusion.config import BrightnessConfig
from ssd_core.images.codec import Image

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""ITU-R BT.709."""
_HALVINGS = 20


class Adjusted(NamedTuple):
    """exponent: of the luma, 1 for a picture left as it was; mean: of the adjusted luma, 0 to 1."""

    image: Image
    exponent: float
    mean: float


def mean_brightness(image: Image) -> float:
    """Mean luma of uint8 (H, W, 3) RGB, 0 to 1, as stored (not linear light)."""
    return float(_luma(image).mean())


def adjust_brightness(image: Image, config: BrightnessConfig) -> Adjusted:
    """Bring the mean luma into [low, high] by a power of it, if it isn't there; lamps stay bright, hues stay.

    A darkening exponent is above 1 and can't clip. Where `strongest` is too weak the picture ends up outside.
    """
    luma = _luma(image)
    mean = float(luma.mean())
    if config.low <= mean <= config.high:
        return Adjusted(image, 1.0, mean)
    exponent = _exponent_for(luma, config.high if mean > config.high else config.low, config.strongest)
    factor = luma ** (exponent - 1)
    adjusted = np.clip(np.round(image * factor[..., None]), 0, 255).astype(np.uint8)
    return Adjusted(adjusted, exponent, mean_brightness(adjusted))


def _luma(image: Image) -> npt.NDArray[np.float32]:
    # One level above black at the least: a power below 0 of black would be infinite.
    return np.maximum(np.asarray(image @ _LUMA, dtype=np.float32) / 255, np.float32(1 / 255))


def _exponent_for(luma: npt.NDArray[np.float32], target: float, strongest: float) -> float:
    levels, counts = np.unique(np.round(luma * 255).astype(np.int64), return_counts=True)
    low, high = 1 / strongest, strongest
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        # A greater exponent is darker.
        is_too_bright = np.average((levels / 255) ** middle, weights=counts) > target
        low, high = (middle, high) if is_too_bright else (low, middle)
    return float((low * high) ** 0.5)
