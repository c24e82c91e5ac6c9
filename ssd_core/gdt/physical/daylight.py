# SPDX-License-Identifier: Apache-2.0
"""The day's own light taken off a picture: what surfaces reflect, and the same street under a closed sky."""

from __future__ import annotations

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array, blurred, desaturated, dim, luminance, mix, resized
from ssd_core.gdt.physical.view import View

_EDGE = 0.15


def reflectance(view: View, flatten: float) -> Array:
    """What surfaces reflect (H, W, 3), 0 to 0.9: the picture's light with a share (0 to 1, in stops) of its broad shading divided out.

    Shading is what an edge-preserving smoothing of the logarithm of light leaves (Retinex in the form of Durand and Dorsey 2002, with the
    guided filter of He et al. 2010); sun and shade become alike without halos at edges.
    """
    logarithm = np.log2(luminance(view.light) + np.float32(0.004))
    small = max(2, view.size[0] // 4), max(2, view.size[1] // 4)
    base = _guided(resized(logarithm, small, cv2.INTER_AREA), max(2, small[0] // 24))
    land = 1 - resized(view.sky, small, cv2.INTER_AREA)
    middle = float((base * land).sum() / max(float(land.sum()), 1.0))
    gain = np.exp2(np.clip(middle - resized(base, view.size), -2.5, 2.5) * np.float32(flatten))
    surfaces = view.light.copy()
    dim(surfaces, np.asarray(gain, dtype=np.float32))
    return np.minimum(surfaces, np.float32(0.9), out=surfaces)


def closed_sky(view: View, flatten: float, saturation: float, brightness: float, tint: float) -> Array:
    """The street (H, W, 3) under clouds: without sun and shade, pale, and a sky of that brightness.

    tint: how much bluer (positive) than white the light is. Clouds keep a trace of those of the day.
    """
    colour = np.array([1 - tint, 1.0, 1 + tint], dtype=np.float32)
    street = desaturated(reflectance(view, flatten), 1 - saturation, colour)
    level = luminance(view.light)
    texture = level / np.maximum(blurred(level, view.size[0] / 30), 0.02)
    clouds = np.broadcast_to(colour * np.float32(brightness), street.shape).copy()
    dim(clouds, np.asarray(np.clip(0.8 + 0.2 * texture, 0.7, 1.15), dtype=np.float32))
    return mix(street, clouds, view.sky)


def _guided(values: Array, radius: int) -> Array:
    """The guided filter with itself as guide: smooth where it varies by less than an edge's stops."""
    side = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(values, side)
    variance = cv2.blur(values * values, side) - mean * mean
    slope = np.maximum(variance, 0) / (np.maximum(variance, 0) + np.float32((4 * _EDGE) ** 2))
    return np.asarray(cv2.blur(slope, side) * values + cv2.blur(mean - slope * mean, side), dtype=np.float32)
