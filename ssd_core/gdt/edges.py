# SPDX-License-Identifier: Apache-2.0
"""Whether the outlines of two pictures lie in the same places, whatever the light that shows them."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Gray = npt.NDArray[np.uint8]

_TILE, _STEP = 64, 32
_FARTHEST_SHIFT = 16
_SAME_PLACE = 2
_MARGIN = 0.12
_LEAST_CORRELATION = 0.2
_DARK = 12.0
_FLAT = 1e-3


class EdgeScores(NamedTuple):
    """agreement: correlation of outlines over the whole picture, -1 to 1, without shift. displaced: share of the tiles that have
    matching outlines at all whose best match lies elsewhere than in the same place; 1 if no tile matches anywhere.
    """

    agreement: float
    displaced: float


def edge_scores(source: Gray, translated: Gray) -> EdgeScores:
    """Scores of two gray pictures (H, W) of one size, some 320 pixels wide.

    Outlines are gradients of the logarithm of brightness without their sign (a lit window has the outline of a dark one), made equally
    strong everywhere. Tiles of 64 pixels are matched by normalised correlation over shifts of up to 16 pixels.
    """
    first, second = outlines(source), outlines(translated)
    agreement = float((first * second).sum() / max(float(np.sqrt((first**2).sum() * (second**2).sum())), 1e-6))
    height, width = first.shape
    here = elsewhere = 0
    for top in range(0, max(1, height - _TILE + 1), _STEP):
        for left in range(0, max(1, width - _TILE + 1), _STEP):
            match = _match(first[top : top + _TILE, left : left + _TILE], second, top, left)
            if match is not None:
                here += match
                elsewhere += not match
    return EdgeScores(agreement, elsewhere / (here + elsewhere) if here + elsewhere else 1.0)


def outlines(gray: Gray) -> Array:
    """Strength of outlines (H, W), mean 0: by local contrast, so that dim parts count as much as bright ones."""
    logarithm = np.log(cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.2) + np.float32(_DARK))
    strength = cv2.magnitude(cv2.Sobel(logarithm, cv2.CV_32F, 1, 0), cv2.Sobel(logarithm, cv2.CV_32F, 0, 1))
    local = cv2.GaussianBlur(strength, (0, 0), 12.0)
    even = np.sqrt(strength / (local + 0.5 * float(strength.mean()) + np.float32(1e-6)))
    return np.asarray(even - even.mean(), dtype=np.float32)


def _match(tile: Array, other: Array, top: int, left: int) -> bool | None:
    """True if the tile matches best in its own place, False if elsewhere, None if it matches nowhere."""
    reach = _FARTHEST_SHIFT
    padded = cv2.copyMakeBorder(other, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0.0)
    window = padded[top : top + tile.shape[0] + 2 * reach, left : left + tile.shape[1] + 2 * reach]
    if min(float(tile.std()), float(window.std())) < _FLAT:
        return None
    correlation = cv2.matchTemplate(np.ascontiguousarray(window), np.ascontiguousarray(tile), cv2.TM_CCOEFF_NORMED)
    near = slice(reach - _SAME_PLACE, reach + _SAME_PLACE + 1)
    own, best = float(correlation[near, near].max()), float(correlation.max())
    if best < _LEAST_CORRELATION:
        return None
    return own > best - _MARGIN
