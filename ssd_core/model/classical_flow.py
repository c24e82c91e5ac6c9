# SPDX-License-Identifier: Apache-2.0
"""Where every pixel went from one frame to the next, without learning: dense inverse search, helped over the road it would lose."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Grey: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float32]
Matches: TypeAlias = tuple[Field, Field]
"""Flow (2, h, w) in pixels (u, v), and its weight (h, w) from 0 to 1."""

ROAD_BELOW, FARTHEST = 1.5, 50.0
"""Metres: how far below the camera a first idea of the world, a flat road, lies, and how far it sees. A tenth hardly matters."""
_ASTRAY = 0.1
"""Square pixels that flow may miss its start by, there and back, and still count half."""
_OUTSIDE = (100.0, 100.0)
"""Pixels of flow back from outside the image: as good as no match."""
_DISTANCES = (0.15, 0.22, 0.32, 0.45, 0.6, 0.75, 0.9, 1.1, 1.35, 1.6, 1.9, 2.3, 2.8, 3.4)
"""Metres that the camera may have driven, to or fro; a seventh more or less hardly matters."""
_BLUR, _LARGEST_DIFFERENCE = 1.5, 20.0
"""Pixels and grey levels, of the pictures whose roads are compared."""
_STEP = 2
"""Every second pixel each way is enough to compare."""
_BELOW_HORIZON = 0.1
"""y/z from which on a pixel is taken for road: nearer than 15 m."""
_LEAST_SHARE = 0.3
"""Of these pixels, that the other picture must show."""


def dense_flow(current: Grey, neighbour: Grey) -> Matches:
    """Of one uint8 (H, W) image to another; weights are small where the flow back doesn't lead home."""
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    forward, backward = search.calc(current, neighbour, None), search.calc(neighbour, current, None)
    there = _sample(backward, _pixels(current.shape) + forward, _OUTSIDE)
    astray = np.square(forward + there).sum(axis=-1)
    return forward.transpose(2, 0, 1), _ASTRAY / (_ASTRAY + astray)


def flow_over_road(current: Grey, neighbour: Grey, matrix: Field) -> Matches:
    """As `dense_flow`, of a camera that drives: the neighbour is first drawn as if all were a flat road, what is left is searched for.

    Asphalt near the camera moves far and shows little; plain search finds it a sixth short in the mean, and the weights don't tell.
    How far it drove is tried: that counts which makes the road look most alike. matrix: (3, 3) intrinsics of both images.
    """
    along = _driven(current, neighbour, matrix)
    if along is None:
        return dense_flow(current, neighbour)
    guess = _road_flow(_pixels(current.shape), matrix, along)
    reached = _pixels(current.shape) + guess
    rest, weight = dense_flow(current, _sample(neighbour, reached))
    places = _pixels(current.shape) + rest.transpose(1, 2, 0)
    inside = _is_inside(reached, neighbour.shape).astype(np.float32)
    return rest + _sample(guess, places).transpose(2, 0, 1), weight * _sample(inside, places)


def _driven(current: Grey, neighbour: Grey, matrix: Field) -> float | None:
    """Metres back to the current camera along its axis, negative where it drove on; None where standing still explains the road best."""
    first, second = (cv2.GaussianBlur(image, (0, 0), _BLUR).astype(np.float32) for image in (current, neighbour))
    pixels = _pixels(current.shape)[::_STEP, ::_STEP]
    first = first[::_STEP, ::_STEP]
    road = pixels[..., 1] > matrix[1, 2] + _BELOW_HORIZON * matrix[1, 1]
    if not road.any():
        return None
    best, lowest = None, _difference(first, second[::_STEP, ::_STEP])[road].mean()
    for along in (sign * distance for distance in _DISTANCES for sign in (1, -1)):
        reached = pixels + _road_flow(pixels, matrix, along)
        seen = road & _is_inside(reached, current.shape)
        if seen.sum() < _LEAST_SHARE * road.sum():
            continue
        difference = _difference(first, _sample(second, reached))[seen].mean()
        if difference < lowest:
            best, lowest = along, difference
    return best


def _road_flow(pixels: Field, matrix: Field, along: float) -> Field:
    """Flow of pixels (h, w, 2) if a flat road, or what is 50 m away, comes `along` metres farther."""
    from_centre: Field = pixels - matrix[:2, 2]
    depth = ROAD_BELOW / np.maximum(from_centre[..., 1:] / matrix[1, 1], ROAD_BELOW / FARTHEST)
    return np.asarray(from_centre * (depth / np.maximum(depth + along, 0.1 * depth) - 1), dtype=np.float32)


def _difference(first: Field, second: Field) -> Field:
    return np.asarray(np.minimum(np.abs(first - second), np.float32(_LARGEST_DIFFERENCE)))


def _pixels(shape: tuple[int, ...]) -> Field:
    """Their places (H, W, 2) in pixels (u, v)."""
    v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.asarray(np.stack([u, v], axis=-1))


def _sample(image: npt.NDArray[Any], places: Field, outside: tuple[float, float] | None = None) -> npt.NDArray[Any]:
    """Bilinear; beyond the border `outside`, or None: the border repeated."""
    border: Any = {"borderMode": cv2.BORDER_REPLICATE} if outside is None else {"borderValue": outside}
    remap: Any = cv2.remap  # its types want no None, and accept nothing in its place
    return np.asarray(remap(image, places, None, cv2.INTER_LINEAR, **border))


def _is_inside(places: Field, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    u, v = places[..., 0], places[..., 1]
    return np.asarray((u >= 0) & (v >= 0) & (u <= shape[1] - 1) & (v <= shape[0] - 1))
