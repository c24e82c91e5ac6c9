# SPDX-License-Identifier: Apache-2.0
"""Snow that lies: on what faces up, in patches, thin where wheels roll."""

from __future__ import annotations

import numpy as np

from ssd_core.gdt.physical.light import Array, blurred, dim, luminance, mix, smooth_step
from ssd_core.gdt.physical.noise_texture import noise_texture, sample_noise
from ssd_core.gdt.physical.view import View

_PATCH_METRES = 2.2
_TRACK_APART, _TRACK_WIDTH = 0.8, 0.32
_LANE_WIDTH = 3.5
_WHITE = np.array([0.84, 0.87, 0.91], dtype=np.float32)


def snow_cover(view: View, cover: float, ploughed: float, generator: np.random.Generator) -> Array:
    """Share of each pixel's surface (H, W) under snow; cover 0 to 1, ploughed: share of it that traffic has taken off the wheel tracks."""
    pattern = sample_noise(noise_texture(generator), *view.on_ground(), _PATCH_METRES)
    # Depth of networks is rough: off the ground, only what is broad and flat is trusted to face up.
    rising = smooth_step(blurred((view.normals @ view.up).astype(np.float32), view.size[0] / 250), 0.5, 0.9)
    facing_up = np.maximum(0.9 * rising, view.ground)
    lying = smooth_step(pattern, 1.05 - 1.1 * cover, 1.25 - 1.1 * cover)
    across, _ = view.on_ground()
    shift = generator.uniform(-0.4, 0.4)
    beside = np.abs(np.abs(np.mod(across + np.float32(shift) + _LANE_WIDTH / 2, _LANE_WIDTH) - _LANE_WIDTH / 2) - _TRACK_APART)
    road = view.ground * (np.abs(across) < 1.5 * _LANE_WIDTH)
    rolled = (1 - smooth_step(beside, _TRACK_WIDTH * 0.5, _TRACK_WIDTH * 1.3)) * road
    return np.asarray(lying * facing_up * (1 - np.float32(ploughed) * rolled) * (1 - view.sky), dtype=np.float32)


def snowed(light: Array, cover: Array, view: View, brightness: float) -> Array:
    """Light (H, W, 3) with snow of that brightness on it, which keeps a little of what it hides: steps and edges show through."""
    level = luminance(light)
    relief = np.clip(level / np.maximum(blurred(level, view.size[0] / 60), 0.01), 0.6, 1.3)
    snow = np.broadcast_to(_WHITE * np.float32(brightness), light.shape).copy()
    dim(snow, np.asarray(0.7 + 0.3 * relief, dtype=np.float32))
    return mix(light, snow, cover)
