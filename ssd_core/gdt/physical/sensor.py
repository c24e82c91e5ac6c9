# SPDX-License-Identifier: Apache-2.0
"""From light to a camera's numbers: exposure, vignetting, noise of photons and electronics, tone curve."""

from __future__ import annotations

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array, luminance, resized

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
    return np.asarray((1 + slope * (x + y) / 2) ** -2.0, dtype=np.float32)


def add_noise(light: Array, full_well: float, read_noise: float, softness: float, blotches: float, generator: np.random.Generator) -> None:
    """Add shot and read noise in place: variance = light / full_well + (read_noise / full_well)^2 (the Poisson-Gaussian model of Foi et
    al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data").

    full_well: photons that make white, few at a high gain; read_noise: electrons. softness: pixels over which demosaicing smears
    it (standard deviation); blotches: share of the noise left as coloured blotches some eight pixels wide.
    """
    height, width = light.shape[:2]
    fine: Array = generator.standard_normal((height, width, 3), dtype=np.float32)
    if softness > 0:
        kernel = np.asarray(cv2.getGaussianKernel(2 * int(3 * softness + 1) + 1, softness, cv2.CV_32F), dtype=np.float32)
        kernel /= np.linalg.norm(kernel)
        fine = np.asarray(cv2.sepFilter2D(fine, cv2.CV_32F, kernel, kernel), dtype=np.float32)
    if blotches > 0:
        coarse = generator.standard_normal((height // 8 + 2, width // 8 + 2, 3), dtype=np.float32)
        fine += np.float32(blotches) * resized(coarse, (width, height), cv2.INTER_CUBIC)
    deviation = np.sqrt(np.maximum(light, 0) * np.float32(1 / full_well) + np.float32((read_noise / full_well) ** 2))
    fine *= deviation
    light += fine


def roll_off(light: Array, shoulder: float) -> None:
    """Bend highlights in place, as a camera's tone curve does: shoulder 0 leaves them to clip, 1 is x / (1 + x) beyond a half."""
    if shoulder <= 0:
        return
    start = np.float32(1 - 0.5 * shoulder)
    above = np.maximum(light - start, 0)
    np.minimum(light, start, out=light)
    light += above / (1 + above / (1 - start + np.float32(1e-6)))
