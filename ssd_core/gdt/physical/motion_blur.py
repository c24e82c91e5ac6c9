# SPDX-License-Identifier: Apache-2.0
"""Blur of a moving camera: everything flows away from the point that the vehicle drives to, the nearer the faster."""

from __future__ import annotations

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array
from ssd_core.gdt.physical.view import View

_SAMPLES = 5
_LONGEST = 0.06


def motion_blur(light: Array, view: View, metres: float) -> Array:
    """Light (H, W, 3) gathered while the camera moves `metres` along its axis.

    A pixel at ray (x, y) flows by focal * (x, y) * metres / depth; at most 6 % of the picture's width.
    """
    width, height = view.size
    if metres <= 0:
        return light
    rate = np.minimum(metres / view.depth, np.float32(_LONGEST * width / view.focal)).astype(np.float32)
    flow_u, flow_v = np.float32(view.focal) * view.ray_x * rate, np.float32(view.focal) * view.ray_y * rate
    if max(float(np.abs(flow_u).max()), float(np.abs(flow_v).max())) < 1.0:
        return light
    u, v = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    total = np.zeros_like(light)
    for place in np.linspace(-0.5, 0.5, _SAMPLES, dtype=np.float32):
        total += cv2.remap(light, u + place * flow_u, v + place * flow_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    total /= _SAMPLES
    return total
