# SPDX-License-Identifier: Apache-2.0
"""A road with water on it: darker, and a mirror, the more so the flatter one looks at it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array, dim, mix, smooth_step
from ssd_core.gdt.physical.noise_texture import noise_texture, sample_noise
from ssd_core.gdt.physical.view import View
from ssd_core.storage.compiled import compiled

_REDUCTION = 2
_FRESNEL_OF_WATER = 0.02
_PUDDLE_METRES = 1.6


def wetness_map(view: View, wetness: float, puddles: float, generator: np.random.Generator) -> Array:
    """How wet each pixel's ground is (H, W), 0 to 1, in patches; `puddles` is the share of it that stands under water."""
    pattern = sample_noise(noise_texture(generator), *view.on_ground(), _PUDDLE_METRES)
    film = wetness * (0.55 + 0.45 * pattern)
    standing = smooth_step(pattern, 1 - puddles, 1.08 - puddles)
    return np.asarray(np.maximum(film * 0.75, standing * min(1.0, wetness + 0.2)) * view.ground, dtype=np.float32)


def darkened(light: Array, wet: Array, porosity: float) -> Array:
    """Ground that water has soaked (Lekner and Dorf 1988, "Why some things are darker when wet"): light trapped below the film.

    wet: (H, W) from `wetness_map`; porosity: share of light lost where it is quite wet, about 0.5 for asphalt.
    """
    soaked = light.copy()
    dim(soaked, np.asarray(1 - np.float32(porosity) * np.minimum(1.3 * wet, 1), dtype=np.float32))
    return soaked


def mirrored(light: Array, view: View, background: Array) -> Array:
    """What a flat mirror in place of the ground would show, (H, W, 3): every point above it, drawn as far below it.

    background: (3,) light from where the picture doesn't reach. Rough water draws it out downwards.
    """
    width, height = view.size
    small = max(2, width // _REDUCTION), max(2, height // _REDUCTION)
    colours = cv2.resize(light, small, interpolation=cv2.INTER_AREA)
    near = cv2.resize(view.depth, small, interpolation=cv2.INTER_NEAREST)
    above = cv2.resize(view.height, small, interpolation=cv2.INTER_NEAREST)
    ray_x = np.ascontiguousarray(cv2.resize(np.broadcast_to(view.ray_x, view.depth.shape), small, interpolation=cv2.INTER_NEAREST))
    ray_y = np.ascontiguousarray(cv2.resize(np.broadcast_to(view.ray_y, view.depth.shape), small, interpolation=cv2.INTER_NEAREST))
    middle = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1]], dtype=np.float32)
    at = view.project(middle) / _REDUCTION
    axes = np.array([at[0, 0], at[1, 0] - at[0, 0], at[0, 1], at[2, 1] - at[0, 1]], dtype=np.float32)
    drawn = np.zeros((small[1], small[0], 4), dtype=np.float32)
    nearest = np.full((small[1], small[0]), np.inf, dtype=np.float32)
    splat: Any = _splat
    splat(colours, near, above, ray_x, ray_y, view.up, axes, drawn, nearest)
    # Holes between splats, and the roughness of water, which spreads along the line of sight.
    spread = max(3, small[1] // 40) | 1
    smooth = cv2.blur(cv2.blur(drawn, (3, spread)), (1, spread))
    sharp = cv2.blur(drawn, (3, 5))
    both = 0.65 * smooth + 0.35 * sharp
    weight = both[..., 3:]
    image = (both[..., :3] + 0.05 * background) / (weight + np.float32(0.05))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def reflect(light: Array, mirror: Array, wet: Array, view: View, smoothness: float) -> Array:
    """Ground with its mirror on it, by Fresnel's law in Schlick's form for water; smoothness: share of it that mirrors."""
    towards = -(view.ray_x * view.up[0] + view.ray_y * view.up[1] + view.up[2])
    cosine = np.clip(towards / np.sqrt(1 + view.ray_x**2 + view.ray_y**2), 0, 1)
    mirroring = (_FRESNEL_OF_WATER + (1 - _FRESNEL_OF_WATER) * (1 - cosine) ** 5) * wet * np.float32(smoothness)
    return mix(light, mirror, np.asarray(mirroring, dtype=np.float32))


@compiled()
def _splat(colours, depth, above, ray_x, ray_y, up, axes, drawn, nearest):  # type: ignore[no-untyped-def] # pragma: no cover
    rows, columns = depth.shape
    for row in range(rows):
        for column in range(columns):
            rise = above[row, column]
            if rise < 0.05:
                continue
            z = depth[row, column]
            down = 2.0 * rise
            x = ray_x[row, column] * z - down * up[0]
            y = ray_y[row, column] * z - down * up[1]
            w = z - down * up[2]
            if w < 0.5:
                continue
            u = round(axes[0] + axes[1] * x / w)
            v = round(axes[2] + axes[3] * y / w)
            if 0 <= u < columns and 0 <= v < rows and z < nearest[v, u]:
                nearest[v, u] = z
                drawn[v, u, 0] = colours[row, column, 0]
                drawn[v, u, 1] = colours[row, column, 1]
                drawn[v, u, 2] = colours[row, column, 2]
                drawn[v, u, 3] = 1.0
