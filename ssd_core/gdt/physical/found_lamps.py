# SPDX-License-Identifier: Apache-2.0
"""Lamps and windows that the day picture already shows: tail lights, signals and panes that may shine at night."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.gdt.physical.light import Array, blurred, dim, luminance, resized
from ssd_core.gdt.physical.view import View

_WINDOW_COLOURS = ((1.0, 0.68, 0.36), (1.0, 0.82, 0.58), (0.95, 0.97, 1.0), (0.75, 0.90, 1.0))
_WINDOW_SHARES = (0.4, 0.3, 0.2, 0.1)
_TAIL_LIGHT = np.array([1.0, 0.06, 0.03], dtype=np.float32)


class _Patch(NamedTuple):
    """A connected patch of one kind of pixel, by metres where it stands."""

    label: int
    width: float
    tall: float
    height: float
    depth: float
    fill: float


class Small(NamedTuple):
    """What is looked at of a view, at half its size: small lamps have a few pixels at the least."""

    light: Array
    level: Array
    upright: npt.NDArray[np.bool_]
    height: Array
    sky: Array


def shrink(view: View) -> Small:
    """For the functions below."""
    light = _half(view.light)
    return Small(light, luminance(light), np.abs(_half(view.normals) @ view.up) < 0.5, _half(view.height), _half(view.sky))


def lit_windows(view: View, small: Small, share: float, brightness: float, generator: np.random.Generator) -> Array:
    """Light (H/2, W/2, 3) of windows: dark upright rectangles of a window's size in walls, of which `share` is lit.

    What is behind the pane is as uneven as what it mirrors by day.
    """
    around = blurred(small.level, small.level.shape[1] / 40)
    is_pane = (small.level < 0.62 * around) & small.upright & (small.height > 0.9) & (small.height < 40) & (small.sky < 0.1)
    opened = cv2.morphologyEx(is_pane.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), dtype=np.uint8))
    labels, patches = _patches(opened > 0, view)
    colours = np.zeros((int(labels.max()) + 1, 3), dtype=np.float32)
    for patch in patches:
        chosen = generator.random() < share
        hue, strength = generator.choice(len(_WINDOW_COLOURS), p=_WINDOW_SHARES), np.exp(generator.normal(0, 0.6))
        is_window = 0.4 < patch.width < 5 and 0.5 < patch.tall < 4 and patch.fill > 0.72
        # Cars have dark panes at this height too.
        is_house = patch.height > 2.3 or patch.tall > 1.3
        if chosen and is_window and is_house and patch.depth < 120:
            colours[patch.label] = np.array(_WINDOW_COLOURS[hue]) * (brightness * strength)
    shining = colours[labels]
    dim(shining, np.asarray(0.35 + 0.65 * np.clip(small.level / np.maximum(blurred(small.level, 6.0), 1e-3), 0, 2), dtype=np.float32))
    return shining


def vehicle_lamps(view: View, small: Small, brightness: float) -> Array:
    """Light (H/2, W/2, 3) of small patches of pure red at the height of tail lights."""
    red, other = small.light[..., 0], np.maximum(small.light[..., 1], small.light[..., 2])
    labels, patches = _patches((red > 0.05) & (red > 2.2 * other), view)
    levels = np.zeros((int(labels.max()) + 1, 3), dtype=np.float32)
    for patch in patches:
        if 0.06 < patch.width < 0.8 and 0.05 < patch.tall < 0.6 and 0.35 < patch.height < 1.7 and patch.depth < 90:
            levels[patch.label] = brightness * _TAIL_LIGHT
    return levels[labels]


def signals(view: View, small: Small, brightness: float) -> Array:
    """Light (H/2, W/2, 3) of traffic lights: small patches of bright pure red, amber or green, higher than vehicles."""
    red, green, blue = cv2.split(small.light)
    strongest = np.maximum(np.maximum(red, green), blue)
    pure = (strongest > 0.25) & (np.minimum(np.minimum(red, green), blue) < 0.35 * strongest) & (blue < 0.9 * green + 0.02)
    labels, patches = _patches(pure, view)
    levels = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    for patch in patches:
        if max(patch.width, patch.tall) < 0.5 and 2.0 < patch.height < 9 and patch.fill > 0.5 and patch.depth < 120:
            levels[patch.label] = brightness
    shining = small.light.copy()
    dim(shining, np.asarray(levels[labels] / np.maximum(strongest, 1e-3), dtype=np.float32))
    return shining


def _patches(mask: npt.NDArray[np.bool_], view: View) -> tuple[npt.NDArray[np.int32], list[_Patch]]:
    """Labels (H/2, W/2), 0 for none, and the patches of more than a few pixels, in the order of their labels."""
    count, found, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    labels = np.asarray(found, dtype=np.int32)
    patches = []
    columns, rows = np.clip(2 * centres.astype(int), 0, np.array(view.size) - 1).T
    for label in range(1, count):
        _, _, wide, tall, area = stats[label].tolist()
        if area < 4:
            continue
        depth = float(view.depth[rows[label], columns[label]])
        metres = 2 * depth / view.focal
        height = float(view.height[rows[label], columns[label]])
        patches.append(_Patch(label, wide * metres, tall * metres, height, depth, area / (wide * tall)))
    return labels, patches


def _half(values: Array) -> Array:
    return resized(values, (max(2, values.shape[1] // 2), max(2, values.shape[0] // 2)), cv2.INTER_AREA)
