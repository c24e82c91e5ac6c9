# SPDX-License-Identifier: Apache-2.0
"""What bright lamps spill over their surroundings: scatter in the lens, and streaks across a wiped windscreen."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array

_REDUCTION = 4
# Widths in picture widths and their shares: a sharp core and long skirts, as the point spread of lenses and eyes (Spencer et al. 1995,
# "Physically-based glare effects for digital images").
_SKIRTS = ((0.0035, 0.5), (0.012, 0.3), (0.045, 0.2))
_BRIGHTEST = 60.0


def glare(light: Array, threshold: float, strength: float, streaks: float, streak_angle: float) -> Array:
    """Light (H, W, 3) that spills from whatever is brighter than `threshold`.

    strength: share of its light that is scattered around; streaks: share drawn into a line by a smeared windscreen, at `streak_angle`
    radians from the picture's vertical, a tenth of the picture's width long.
    """
    height, width = light.shape[:2]
    small = max(4, width // _REDUCTION), max(4, height // _REDUCTION)
    source = cv2.resize(np.clip(light - np.float32(threshold), 0, _BRIGHTEST), small, interpolation=cv2.INTER_AREA)
    spilled = np.zeros_like(source)
    for size, share in _SKIRTS:
        spilled += share * cv2.GaussianBlur(source, (0, 0), max(0.8, size * small[0]))
    spilled *= strength
    if streaks > 0:
        spilled += streaks * _smear(source, 0.1 * small[0], streak_angle)
    return np.asarray(cv2.resize(spilled, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _smear(source: Array, length: float, angle: float) -> Array:
    side = 2 * int(length) + 1
    kernel = np.zeros((side, side), dtype=np.float32)
    middle = side // 2
    offset = np.array([math.sin(angle), math.cos(angle)]) * length
    ends = [(round(middle + sign * float(offset[0])), round(middle + sign * float(offset[1]))) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
    rows, columns = np.mgrid[:side, :side] - middle
    kernel *= np.exp(-2.5 * np.hypot(rows, columns) / length)
    return np.asarray(cv2.filter2D(source, cv2.CV_32F, kernel / kernel.sum()), dtype=np.float32)
