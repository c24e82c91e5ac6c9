# SPDX-License-Identifier: Apache-2.0
"""The own vehicle's headlights: what their low beam throws on every surface."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ssd_core.gdt.physical.light import Array
from ssd_core.gdt.physical.view import View
from ssd_core.storage.compiled import compiled

LAMP_HEIGHT = 0.68
"""Metres above the road, of a passenger car."""
LAMP_AHEAD = 1.6
"""Metres from the camera behind the windscreen to the lamps."""
REFERENCE_DISTANCE = 12.0
"""Metres ahead of the lamps at which a surface that faces them, in the middle of the beam, receives light 1."""

_SCATTERED = 0.3
_REACH = 200.0


def headlight(view: View, width: float, cut_off: float) -> Array:
    """Light (H, W) that the low beam throws on each pixel's surface.

    width: degrees from the middle of the beam to where it has a third of its strength; cut_off: degrees below the horizontal at which the
    beam ends. Pattern in the spirit of UNECE regulation 112: brightest just below a sharp cut-off, falling off downwards, a few
    hundredths above, which signs live on. Falls with the square of the distance and the cosine at the surface; the share that
    surfaces scatter at random angles keeps small errors of depth from showing as stripes.
    """
    lamps = -view.up * np.float32(view.camera_height - LAMP_HEIGHT) + view.forward * np.float32(LAMP_AHEAD)
    frame = np.stack([view.right, -view.up, view.forward]).astype(np.float32)
    light = np.empty_like(view.depth)
    beam: Any = _beam
    beam(
        view.depth,
        np.ascontiguousarray(np.broadcast_to(view.ray_x, view.depth.shape)),
        np.ascontiguousarray(np.broadcast_to(view.ray_y, view.depth.shape)),
        view.normals,
        lamps.astype(np.float32),
        frame,
        np.float32(1 / math.tan(math.radians(width))),
        np.float32(math.tan(math.radians(cut_off))),
        light,
    )
    return light


@compiled(fastmath=True)
def _beam(depth, ray_x, ray_y, normals, lamps, frame, narrowness, cut_off, out):  # type: ignore[no-untyped-def] # pragma: no cover
    rows, columns = depth.shape
    for row in range(rows):
        for column in range(columns):
            z = depth[row, column]
            x, y, z = ray_x[row, column] * z - lamps[0], ray_y[row, column] * z - lamps[1], z - lamps[2]
            ahead = x * frame[2, 0] + y * frame[2, 1] + z * frame[2, 2]
            if ahead < 0.3 or ahead > _REACH:
                out[row, column] = 0.0
                continue
            across = (x * frame[0, 0] + y * frame[0, 1] + z * frame[0, 2]) / ahead * narrowness
            down = (x * frame[1, 0] + y * frame[1, 1] + z * frame[1, 2]) / ahead
            below = (down - cut_off) * 90.0
            edge = 1.0 / (1.0 + math.exp(-below * 2.0))
            fall = 1.0 / (1.0 + (max(down - cut_off, np.float32(0.0)) * 9.0) ** 2)
            strength = math.exp(-across * across) * (0.03 + 0.97 * edge * fall) + 0.04 * edge * math.exp(-across * across * 0.12)
            squared = x * x + y * y + z * z
            facing = -(normals[row, column, 0] * x + normals[row, column, 1] * y + normals[row, column, 2] * z) / math.sqrt(squared)
            facing = _SCATTERED + (1 - _SCATTERED) * min(max(facing, np.float32(0.0)), np.float32(1.0))
            out[row, column] = REFERENCE_DISTANCE**2 * strength * facing / (squared + 1.0)
