# SPDX-License-Identifier: Apache-2.0
"""Rain and snow in the air before the camera: drops that streak, flakes that blur."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.gdt.physical.light import Array, blurred
from ssd_core.gdt.physical.view import View

_NEAR, _FAR = 0.6, 9.0
_LAYERS = 3
_MOST = 2500
_SMALLEST_DROP = 0.0012


def rain_streaks(
    view: View, millimetres_per_hour: float, exposure_s: float, speed: float, wind: float, generator: np.random.Generator
) -> Array:
    """Opacity (H, W), 0 to 1, of drops nearer than 9 m that fall while the shutter is open.

    Sizes as Marshall and Palmer 1948 counted them, N(D) = 8000 exp(-4.1 R^-0.21 D) per m^3 and mm; speed of fall as Atlas et al. 1973
    measured, 9.65 - 10.3 exp(-0.6 D) m/s. A drop of width D hides what is behind it for D / v of the exposure only (Garg and Nayar
    2007), so streaks are faint and long. speed: of the vehicle, wind: from the left, m/s.
    """
    slope = 4.1 * millimetres_per_hour**-0.21
    smallest = _SMALLEST_DROP * 1e3
    per_cubic_metre = 8000 / slope * np.exp(-slope * smallest)
    count = int(min(_MOST, per_cubic_metre * _volume(view)))
    diameter = (smallest + generator.exponential(1 / slope, count)) * 1e-3
    falls = 9.65 - 10.3 * np.exp(-0.6e3 * diameter)
    start = _places(view, count, generator)
    velocity = np.stack([np.full(count, wind), falls, np.full(count, -speed)], axis=1)
    end = start + velocity * exposure_s
    pixels = view.focal * diameter / start[:, 2]
    apparent = np.maximum(np.linalg.norm(velocity[:, :2], axis=1), 1.0)
    opacity = np.minimum(diameter / apparent / exposure_s, 1.0) * np.minimum(pixels, 1.0)
    return _drawn(view, start, end, pixels, opacity)


def snow_flakes(view: View, millimetres_per_hour: float, exposure_s: float, speed: float, generator: np.random.Generator) -> Array:
    """Opacity (H, W), 0 to 1, of flakes nearer than 9 m: aggregates of 3 to 12 mm that sink at about 1 m/s and drift about.

    Sizes fall off exponentially (Gunn and Marshall 1958), N(D) = 3800 R^-0.87 exp(-2.55 R^-0.48 D) by the diameter of the melted flake;
    flakes are some four times as wide as the drop they melt to.
    """
    slope = 2.55 * millimetres_per_hour**-0.48
    smallest = 0.8
    per_cubic_metre = 3800 * millimetres_per_hour**-0.87 / slope * np.exp(-slope * smallest)
    count = int(min(_MOST, per_cubic_metre * _volume(view)))
    diameter = 4e-3 * (smallest + np.minimum(generator.exponential(1 / slope, count), 2.2))
    start = _places(view, count, generator)
    drift = generator.normal(0, 0.5, (count, 3))
    end = start + (drift + np.array([0.0, 1.0, -speed])) * exposure_s
    pixels = view.focal * diameter / start[:, 2]
    length = np.maximum(np.linalg.norm(end - start, axis=1), 1e-9)
    opacity = 0.85 * np.minimum(diameter / length, 1.0) * np.minimum(pixels, 1.0)
    return blurred(_drawn(view, start, end, pixels, opacity), max(0.6, view.size[0] / 1600))


def _volume(view: View) -> float:
    """Cubic metres in the pyramid between the near and the far limit."""
    width, height = view.size
    return width * height / view.focal**2 * (_FAR**3 - _NEAR**3) / 3


def _places(view: View, count: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """(N, 3) in the optical frame, evenly over the pyramid of what the picture shows and a margin above, sorted from far to near."""
    z = np.sort(np.cbrt(generator.uniform(_NEAR**3, _FAR**3, count)))[::-1]
    x = generator.uniform(float(view.ray_x.min()), float(view.ray_x.max()), count) * z
    y = generator.uniform(1.15 * float(view.ray_y.min()), float(view.ray_y.max()), count) * z
    return np.stack([x, y, z], axis=1)


def _drawn(
    view: View,
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    pixels: npt.NDArray[np.float64],
    opacity: npt.NDArray[np.float64],
) -> Array:
    """Lines between points, as wide and opaque as given, layer by layer: what stands nearer than a layer hides it."""
    width, height = view.size
    total = np.zeros((height, width), dtype=np.float32)
    keep = end[:, 2] > 0.3
    first, last = view.project(start[keep].astype(np.float32)), view.project(end[keep].astype(np.float32))
    ends = np.clip(np.rint(np.concatenate([first, last], axis=1) * 16), -(2**20), 2**20).astype(int)
    levels = np.clip(255 * opacity[keep], 0, 255)
    thickness = np.clip(np.rint(pixels[keep]), 1, 24).astype(int)
    depths = start[keep, 2]
    for layer in np.array_split(np.arange(len(depths)), _LAYERS):
        if not layer.size:
            continue
        canvas = np.zeros((height, width), dtype=np.uint8)
        for index in layer.tolist():
            u0, v0, u1, v1 = ends[index].tolist()
            cv2.line(canvas, (u0, v0), (u1, v1), float(levels[index]), int(thickness[index]), cv2.LINE_AA, 4)
        shown = canvas.astype(np.float32) * np.float32(1 / 255)
        shown[view.depth < depths[layer].min()] = 0
        total += shown * (1 - total)
    return total
