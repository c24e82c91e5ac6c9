# SPDX-License-Identifier: Apache-2.0
"""How well a depth map draws the outlines of things, against dense truth."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Depth = npt.NDArray[np.float32]


class EdgeQuality(NamedTuple):
    """sharpness: how much of the truth's steps the map makes within `reach` pixels to either side of them, mean over steps, 0 to 1.
    abs_rel: |prediction - truth| / truth, mean over the pixels within `reach` of a step. share: of the picture that these pixels are.
    """

    sharpness: float
    abs_rel: float
    share: float


def edge_quality(prediction: Depth, truth: Depth, cap: float = 80.0, jump: float = 1.25, reach: int = 3) -> EdgeQuality | None:
    """Compare two dense maps (H, W), metres along the optical axis; None if the truth has no step.

    A step is where neighbouring pixels of the truth differ by the factor `jump`. Both maps are clamped to `cap`, so that sky is the
    farthest depth; NaN in the truth is no step. Structures thinner than 2 * reach count in abs_rel only.
    Raises ValueError if the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} must have one shape")
    known = ~np.isnan(truth)
    true = np.log(np.nan_to_num(truth, nan=cap, posinf=cap).clip(0.1, cap))
    predicted = np.log(np.nan_to_num(prediction, nan=cap, posinf=cap, neginf=0.1).clip(0.1, cap))
    near = np.zeros(truth.shape, dtype=np.uint8)
    shares = []
    for axis in (0, 1):
        step = np.diff(true, axis=axis)
        is_step = (np.abs(step) > np.log(jump)) & _both(known, axis)
        np.maximum(near, _touching(is_step, axis), out=near)
        shares.append(_made_share(step, is_step, true, predicted, axis, reach, float(np.log(jump))))
    made = np.concatenate(shares)
    if not made.size:
        return None
    close = (cv2.dilate(near, np.ones((2 * reach - 1, 2 * reach - 1), dtype=np.uint8)) > 0) & known
    error = np.abs(np.exp(predicted[close] - true[close]) - 1)
    return EdgeQuality(float(made.mean()), float(error.mean()), float(close.mean()))


def _made_share(
    step: Depth, is_step: npt.NDArray[np.bool_], true: Depth, predicted: Depth, axis: int, reach: int, least: float
) -> npt.NDArray[np.float64]:
    """Share of each step that the prediction makes between `reach` pixels before and behind it, 0 to 1."""
    span = 2 * reach - 1
    inside = [slice(None), slice(None)]
    inside[axis] = slice(reach - 1, true.shape[axis] - reach)

    def across(values: Depth) -> Depth:
        ahead, behind = [slice(None), slice(None)], [slice(None), slice(None)]
        ahead[axis], behind[axis] = slice(span, None), slice(None, -span)
        return np.asarray(values[tuple(ahead)] - values[tuple(behind)])

    change, steps = across(true), step[tuple(inside)]
    counted = is_step[tuple(inside)] & (np.sign(change) == np.sign(steps)) & (np.abs(change) > least)
    return np.asarray((across(predicted)[counted] / change[counted]).clip(0, 1), dtype=np.float64)


def _both(known: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
    return known[1:] & known[:-1] if axis == 0 else known[:, 1:] & known[:, :-1]


def _touching(is_step: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.uint8]:
    """The pixels on both sides of each step."""
    before, after = ((0, 1), (0, 0)), ((1, 0), (0, 0))
    if axis == 1:
        before, after = before[::-1], after[::-1]
    return np.asarray(np.pad(is_step, before) | np.pad(is_step, after), dtype=np.uint8)
