# SPDX-License-Identifier: Apache-2.0
"""Shadows of the sun: the still world is drawn once a region and kept, what moves is drawn over a copy for each moment."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import NamedTuple

import moderngl
import numpy as np
import numpy.typing as npt

from ssd_core.road_world.drawing import Moment
from ssd_core.road_world.graphics import SHADOW_SIZE, Graphics
from ssd_core.road_world.materials import Family
from ssd_core.road_world.meshes import Array, Part

# Half the side of the square that a map covers, and half of what it covers along the sun's rays, metres.
_REACH, _DEPTH = 70.0, 180.0
# The square's middle lies this far ahead of the vehicle, on a grid of _STEP metres: a stretch of driving shares one map.
# Along the rays there is room to spare.
_AHEAD, _STEP, _DEPTH_STEP = 34.0, 2 * _REACH / SHADOW_SIZE * 192, 30.0
_KEPT = 3
_CASTERS = (Family.FACADE, Family.SOLID, Family.CUTOUT)


Chosen = npt.NDArray[np.bool_]


class Shadow(NamedTuple):
    """A depth map seen from the sun, and the (4, 4) matrix from world to its clip space."""

    texture: moderngl.Texture
    shadow_from_world: Array


class _Map:
    def __init__(self, context: moderngl.Context) -> None:
        self.texture = context.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.texture.compare_func = "<="
        self.texture.repeat_x = self.texture.repeat_y = False
        self.target = context.framebuffer(depth_attachment=self.texture)


class ShadowCache:
    """The shadow maps of one graphics context. A map depends on nothing but what it shows, never on what was drawn before."""

    def __init__(self, graphics: Graphics) -> None:
        # The graphics keep this cache.
        self._graphics = weakref.proxy(graphics)
        self._still: OrderedDict[tuple[bytes, ...], tuple[list[weakref.ref[Part]], _Map]] = OrderedDict()
        self._shown = _Map(graphics.context)

    def cast(self, moment: Moment, sun: Array, place: Array, forward: Array) -> Shadow:
        """Shadows around a vehicle at `place` facing `forward` (world); sun: direction towards it. Valid until the next call."""
        axes = _axes(sun)
        seen_from_sun = axes @ (place + forward * _AHEAD)
        seen_from_sun[:2] = np.round(seen_from_sun[:2] / _STEP) * _STEP
        seen_from_sun[2] = np.round(seen_from_sun[2] / _DEPTH_STEP) * _DEPTH_STEP
        centre = axes.T @ seen_from_sun
        clip_from_relative = np.eye(4)
        clip_from_relative[:3, :3] = axes / np.array([[_REACH], [_REACH], [_DEPTH]])
        reaches = (np.abs((moment.centres - centre) @ axes[:2].T) < _REACH + moment.radii[:, None]).all(axis=1)
        still = self._still_map(moment, reaches & moment.is_still, clip_from_relative, centre)
        self._graphics.copy_depth(still.texture, self._shown.texture)
        self._draw(moment, reaches & ~moment.is_still, self._shown, clip_from_relative, centre)
        shadow_from_world = clip_from_relative.copy()
        shadow_from_world[:3, 3] = -clip_from_relative[:3, :3] @ centre
        return Shadow(self._shown.texture, shadow_from_world)

    def _still_map(self, moment: Moment, chosen: Chosen, clip_from_relative: Array, centre: Array) -> _Map:
        parts = moment.owners(chosen)
        key = (clip_from_relative.tobytes(), centre.tobytes(), np.array([id(part) for part in parts]).tobytes())
        known = self._still.get(key)
        # An id may have passed on to another part; what was drawn by it is gone then.
        if known and all(reference() is part for reference, part in zip(known[0], parts, strict=True)):
            self._still.move_to_end(key)
            return known[1]
        drawn = self._still.popitem(last=False)[1][1] if len(self._still) >= _KEPT else _Map(self._graphics.context)
        drawn.target.use()
        drawn.target.clear(depth=1.0)
        self._draw(moment, chosen, drawn, clip_from_relative, centre)
        self._still[key] = ([weakref.ref(part) for part in parts], drawn)
        return drawn

    def _draw(self, moment: Moment, chosen: Chosen, onto: _Map, clip_from_relative: Array, centre: Array) -> None:
        onto.target.use()
        # A shadow is blurred over more than what sets coarse and fine apart.
        # What is nearest the sun comes first: what lies behind is then rejected before its holes are looked up.
        from_sun = (moment.centres - centre) @ clip_from_relative[2, :3]
        pieces = moment.pieces(chosen, moment.has_coarse, from_sun, np.zeros(len(chosen), dtype=bool))
        moment.draw(self._graphics, self._graphics.shadow_program, clip_from_relative, centre, _CASTERS, pieces)


def _axes(sun: Array) -> Array:
    across = np.cross((0.0, 0.0, 1.0), sun)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(sun, across), -sun])
