# SPDX-License-Identifier: Apache-2.0
"""Drops of rain on the glass before the lens: small upturned pictures of everything, out of focus."""

from __future__ import annotations

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array, smooth_step

_REDUCTION = 4
_COVER = 0.03
"""Share of the picture that drops may hide."""


def lens_drops(light: Array, drops_per_megapixel: float, radius: float, focus_blur: float, generator: np.random.Generator) -> Array:
    """Light (H, W, 3) seen through drops that lie at random.

    A drop is a lens of a few millimetres: it shows the whole street upside down (von Bernuth et al. 2019, "Simulating photo-realistic
    snow and fog on existing images", and Roser and Geiger 2009 for drops on windscreens), darker at its rim; close before the lens it is
    blurred. drops_per_megapixel: of the picture shrunk to 1600 pixels' width; radius: in picture widths; focus_blur: share of the
    radius over which its edge fades.
    """
    height, width = light.shape[:2]
    megapixels = 1.6 * 1.6 * height / width
    small = cv2.resize(light, (max(2, width // _REDUCTION), max(2, height // _REDUCTION)), interpolation=cv2.INTER_AREA)
    seen = np.asarray(cv2.GaussianBlur(small, (0, 0), max(1.0, width / 400)), dtype=np.float32)
    light = light.copy()
    covered = 0.0
    for _ in range(int(generator.poisson(drops_per_megapixel * megapixels))):
        size = radius * width * float(np.exp(generator.normal(0, 0.45)))
        covered += np.pi * size * size / (width * height)
        u, v, aspect, squash = generator.uniform(0, width), generator.uniform(0, height), generator.uniform(0.85, 1.35), generator.random()
        if covered > _COVER:
            break
        _draw_drop(light, seen, (float(u), float(v)), size, float(aspect), float(squash), focus_blur)
    return light


def _draw_drop(
    light: Array, seen: Array, centre: tuple[float, float], radius: float, aspect: float, squash: float, focus_blur: float
) -> None:
    height, width = light.shape[:2]
    reach = radius * (1 + focus_blur) * max(aspect, 1.0) + 2
    left, right = max(0, int(centre[0] - reach)), min(width, int(centre[0] + reach) + 1)
    top, bottom = max(0, int(centre[1] - reach)), min(height, int(centre[1] + reach) + 1)
    if left >= right or top >= bottom:
        return
    x = ((np.arange(left, right, dtype=np.float32) - np.float32(centre[0])) / np.float32(radius))[None]
    y = ((np.arange(top, bottom, dtype=np.float32) - np.float32(centre[1])) / np.float32(radius * aspect))[:, None]
    # Heavier below than above.
    x = x * (1 + np.float32(0.25 * squash) * y)
    distance = np.sqrt(x * x + y * y)
    opacity = 1 - smooth_step(distance, 1 - focus_blur, 1 + focus_blur)
    bend = 0.5 + 0.35 * distance**2
    u = np.float32(seen.shape[1]) * np.clip(0.5 - 0.55 * x * bend, 0, 1)
    v = np.float32(seen.shape[0]) * np.clip(0.45 - 0.6 * y * bend, 0, 1)
    shown = cv2.remap(seen, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shown = shown * (1 - 0.45 * smooth_step(distance, 0.6, 1.1))[..., None]
    window = light[top:bottom, left:right]
    window += (0.92 * opacity)[..., None] * (shown - window)
