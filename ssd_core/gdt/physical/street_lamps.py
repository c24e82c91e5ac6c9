# SPDX-License-Identifier: Apache-2.0
"""Lamps along the road ahead: where they hang, what they throw on surfaces, and how they look themselves."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

from ssd_core.gdt.physical.light import Array
from ssd_core.gdt.physical.view import View
from ssd_core.storage.compiled import compiled

LAMP_COLOURS = ((1.0, 0.44, 0.09), (1.0, 0.62, 0.27), (1.0, 0.82, 0.58), (0.86, 0.95, 1.0), (0.80, 1.0, 0.88))
"""Linear, of sodium, warm, neutral and cold diodes, and mercury, as a camera balanced for something between them sees them."""

_ROW_LENGTH = 260.0
_LIT_WITHIN = 130.0
_HEAD_RADIUS = 0.16
_SCATTERED = 0.35


class StreetLamps(NamedTuple):
    """positions (N, 3): of the lamps' heads in the optical frame, metres; colour (3,) linear, 1 at most."""

    positions: Array
    colour: Array


def place_street_lamps(
    view: View, spacing: float, height: float, aside: float, both_sides: bool, colour: Array, generator: np.random.Generator
) -> StreetLamps:
    """Rows along the road, every `spacing` metres, `height` above it and `aside` from the camera's lane, from behind the vehicle on."""
    first = float(generator.uniform(-1.0, 0.0)) * spacing
    along = np.arange(first, _ROW_LENGTH, spacing)
    sides = (1.0, -1.0) if both_sides else (float(generator.choice([-1.0, 1.0])),)
    positions = []
    for side in sides:
        shift = generator.uniform(-0.05, 0.05, along.size) * spacing + (0.5 * spacing if side < 0 else 0.0)
        offset = side * aside + generator.uniform(-0.4, 0.4, along.size)
        rise = height - view.camera_height + generator.uniform(-0.2, 0.2, along.size)
        positions.append((along + shift)[:, None] * view.forward + offset[:, None] * view.right + rise[:, None] * view.up)
    return StreetLamps(np.concatenate(positions).astype(np.float32), colour)


def light_of_street_lamps(view: View, lamps: StreetLamps) -> Array:
    """Light (H, W) that falls on each pixel's surface: 1 on the ground below a lamp at 8 m.

    Each sends light downwards only, evenly over the ground near it (batwing pattern), and by the square of the distance; nothing
    casts a shadow.
    """
    ahead = lamps.positions[lamps.positions[:, 2] < _LIT_WITHIN]
    light = np.zeros_like(view.depth)
    if len(ahead):
        shine: Any = _shine
        shine(
            view.depth,
            np.ascontiguousarray(np.broadcast_to(view.ray_x, view.depth.shape)),
            np.ascontiguousarray(np.broadcast_to(view.ray_y, view.depth.shape)),
            view.normals,
            np.ascontiguousarray(ahead[np.argsort(ahead[:, 2])]),
            view.up,
            light,
        )
    return light


def draw_street_lamps(shining: Array, view: View, lamps: StreetLamps, brightness: float) -> None:
    """Add the light of the heads themselves to (H, W, 3), as wide as they are at their distance, where nothing nearer hides them."""
    width, height = view.size
    in_front = lamps.positions[lamps.positions[:, 2] > 4.0]
    for (u, v), z in zip(view.project(in_front).tolist(), in_front[:, 2].tolist(), strict=True):
        column, row = round(u), round(v)
        if not (0 <= column < width and 0 <= row < height and view.depth[row, column] > z):
            continue
        radius = max(0.6, _HEAD_RADIUS * view.focal / z)
        level = brightness * min(1.0, (radius / 0.8) ** 2)
        reach = int(1.5 * radius) + 2
        left, top = max(0, column - reach), max(0, row - reach)
        window = shining[top : row + reach + 1, left : column + reach + 1]
        head = np.zeros(window.shape[:2], dtype=np.uint8)
        cv2.ellipse(head, ((u - left, v - top), (2.6 * radius, 1.5 * radius), 0.0), 255, -1, cv2.LINE_AA)
        window += (head.astype(np.float32) * np.float32(level / 255))[..., None] * lamps.colour


@compiled(fastmath=True)
def _shine(depth, ray_x, ray_y, normals, positions, up, out):  # type: ignore[no-untyped-def] # pragma: no cover
    rows, columns = depth.shape
    for row in range(rows):
        for column in range(columns):
            z = depth[row, column]
            if z > _LIT_WITHIN:
                continue
            x, y = ray_x[row, column] * z, ray_y[row, column] * z
            total = np.float32(0.0)
            for lamp in range(positions.shape[0]):
                dz = positions[lamp, 2] - z
                if dz > 45.0:
                    break
                dx, dy = positions[lamp, 0] - x, positions[lamp, 1] - y
                squared = dx * dx + dy * dy + dz * dz
                if squared > 2000.0:
                    continue
                distance = math.sqrt(squared)
                rise = (dx * up[0] + dy * up[1] + dz * up[2]) / distance
                if rise <= 0.05:
                    continue
                facing = (normals[row, column, 0] * dx + normals[row, column, 1] * dy + normals[row, column, 2] * dz) / distance
                facing = _SCATTERED + (1 - _SCATTERED) * max(facing, np.float32(0.0))
                total += 64.0 * min(rise, np.float32(0.8)) * facing / (squared + 4.0)
            out[row, column] = total
