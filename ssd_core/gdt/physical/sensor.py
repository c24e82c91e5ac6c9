# SPDX-License-Identifier: Apache-2.0
"""From light to a camera's numbers: exposure, vignetting, noise of photons and electronics, tone curve."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array, luminance, resized
from ssd_core.storage.compiled import compiled

_METERING_STRIDE = 8


def exposure_for(light: Array, brightness: float, longest: float) -> float:
    """Factor that makes the mean luminance, highlights clipped at white, `brightness`; `longest` at most: exposure has its limit."""
    samples = luminance(np.ascontiguousarray(light[::_METERING_STRIDE, ::_METERING_STRIDE]))
    factor = 1.0
    for _ in range(12):
        mean = float(np.minimum(samples * factor, 1.0).mean())
        factor *= min(4.0, max(0.25, brightness / max(mean, 1e-6)))
    return min(factor, longest)


def vignetting(size: tuple[int, int], strength: float) -> Array:
    """Share of light (H, W) that reaches each pixel: falls with the fourth power of the cosine, 1 - strength is left in the corners."""
    width, height = size
    x = (np.arange(width, dtype=np.float32) * 2 / width - 1)[None] ** 2
    y = (np.arange(height, dtype=np.float32) * 2 / height - 1)[:, None] ** 2
    slope = (1 - min(strength, 0.95)) ** -0.5 - 1
    return np.asarray(1 / np.square(1 + slope * x / 2 + slope * y / 2), dtype=np.float32)


def add_noise(light: Array, full_well: float, read_noise: float, softness: float, blotches: float, generator: np.random.Generator) -> None:
    """Add shot and read noise in place: variance = light / full_well + (read_noise / full_well)^2 (the Poisson-Gaussian model of Foi et
    al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data").

    full_well: photons that make white, few at a high gain; read_noise: electrons. softness: pixels over which demosaicing smears
    it (standard deviation); blotches: share of the noise left as coloured blotches some eight pixels wide. A pixel
    measures one colour and takes the others from its neighbours, so noise of colour is twice as wide as that of brightness.
    """
    height, width = light.shape[:2]
    fine: Array = generator.standard_normal((height, width), dtype=np.float32)
    if softness > 0:
        kernel = np.asarray(cv2.getGaussianKernel(2 * int(3 * softness + 1) + 1, softness, cv2.CV_32F), dtype=np.float32)
        kernel /= np.linalg.norm(kernel)
        fine = np.asarray(cv2.sepFilter2D(fine, cv2.CV_32F, kernel, kernel), dtype=np.float32)
    colours: Array = generator.standard_normal((height // 2 + 1, width // 2 + 1, 3), dtype=np.float32)
    if blotches > 0:
        coarse = generator.standard_normal((height // 8 + 2, width // 8 + 2, 3), dtype=np.float32)
        colours += np.float32(2 * blotches) * resized(coarse, (width // 2 + 1, height // 2 + 1), cv2.INTER_CUBIC)
    disturb: Any = _disturb
    disturb(light, fine, resized(colours, (width, height)), np.float32(1 / full_well), np.float32((read_noise / full_well) ** 2))


def roll_off(light: Array, shoulder: float) -> None:
    """Bend highlights in place, as a camera's tone curve does: shoulder 0 leaves them to clip, 1 is x / (1 + x) beyond a half."""
    if shoulder <= 0:
        return
    bend: Any = _bend
    bend(light, np.float32(1 - 0.5 * shoulder))


@compiled(fastmath=True)
def _disturb(light, fine, colours, shot, read):  # type: ignore[no-untyped-def] # pragma: no cover
    # Of unit variance together: bilinear enlargement keeps (5/8)^2 of the colours' variance.
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            for colour in range(3):
                here = light[row, column, colour]
                draw = np.float32(0.75) * fine[row, column] + np.float32(1.06) * colours[row, column, colour]
                light[row, column, colour] = here + draw * math.sqrt(max(here, np.float32(0.0)) * shot + read)


@compiled(fastmath=True)
def _bend(light, start):  # type: ignore[no-untyped-def] # pragma: no cover
    room = np.float32(1.0) - start + np.float32(1e-6)
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            for colour in range(3):
                above = light[row, column, colour] - start
                if above > 0:
                    light[row, column, colour] = start + above / (1 + above / room)
