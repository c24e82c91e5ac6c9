# SPDX-License-Identifier: Apache-2.0
"""Smooth random patterns that lie in the world, not in the picture: patches of wet, of snow, of mist."""

from __future__ import annotations

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array

_SIDE = 128


def noise_texture(generator: np.random.Generator, octaves: int = 4) -> Array:
    """(128, 128), values 0 to 1 spread about evenly, that tiles: octaves of smoothed white noise, each half as strong and half as wide."""
    total = np.zeros((_SIDE, _SIDE), dtype=np.float32)
    for octave in range(octaves):
        side = _SIDE >> (octaves - octave)
        coarse = generator.standard_normal((side, side), dtype=np.float32)
        padded = np.pad(coarse, 2, mode="wrap")
        scale = _SIDE // side
        grown = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += np.float32(0.5**octave) * grown[2 * scale : 2 * scale + _SIDE, 2 * scale : 2 * scale + _SIDE]
    ranks = np.empty(total.size, dtype=np.float32)
    ranks[np.argsort(total, axis=None)] = np.linspace(0, 1, total.size, dtype=np.float32)
    return ranks.reshape(total.shape)


def sample_noise(texture: Array, across: Array, along: Array, metres: float) -> Array:
    """The texture at places (H, W) of the ground, one tile every 16 * `metres`, so that its patches are about `metres` wide."""
    scale = np.float32(_SIDE / (16 * metres))
    return np.asarray(
        cv2.remap(texture, np.mod(across * scale, _SIDE), np.mod(along * scale, _SIDE), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP),
        dtype=np.float32,
    )
