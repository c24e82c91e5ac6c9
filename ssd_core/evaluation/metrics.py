# SPDX-License-Identifier: Apache-2.0
"""How far a depth image is from the truth: the seven numbers every depth paper reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt


class DepthMetrics(TypedDict):
    """Errors of one image (abs_rel, sq_rel, rmse, rmse_log: lower is better) and shares within 1.25**n (d1, d2, d3: higher is better).

    sq_rel and rmse are in metres, rmse_log is of natural logarithms, the others have no unit.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    d1: float
    d2: float
    d3: float


METRIC_NAMES: tuple[str, ...] = tuple(DepthMetrics.__annotations__)


def depth_metrics(
    prediction: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], cap: float = 80.0, min_depth: float = 1e-3
) -> DepthMetrics | None:
    """Compare two depth arrays of one shape, metres along the optical axis; None if no truth lies in (min_depth, cap].

    Pixels count where the truth is finite and in (min_depth, cap]; 0 and NaN in the truth mean unknown. The prediction
    is clamped to [min_depth, cap], so +Inf (beyond range) becomes the cap and -Inf (too close) min_depth: a pixel can't be
    won by leaving it out. NaN in the prediction counts as the cap.
    Formulas: Eigen, Puhrsch, Fergus, "Depth Map Prediction from a Single Image", section 4.2.
    Raises ValueError if the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} must have one shape")
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(truth) & (truth > min_depth) & (truth <= cap)
    if not valid.any():
        return None
    true = truth[valid].astype(np.float64)
    predicted = np.nan_to_num(prediction[valid].astype(np.float64), nan=cap, posinf=cap, neginf=min_depth).clip(min_depth, cap)
    error = predicted - true
    ratio = np.maximum(predicted / true, true / predicted)
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(error) / true)),
        sq_rel=float(np.mean(error**2 / true)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean((np.log(predicted) - np.log(true)) ** 2))),
        d1=float(np.mean(ratio < 1.25)),
        d2=float(np.mean(ratio < 1.25**2)),
        d3=float(np.mean(ratio < 1.25**3)),
    )


def mean_metrics(images: Sequence[DepthMetrics | None]) -> DepthMetrics | None:
    """Average over images (each image counts once, however many pixels it had); None if no image had truth."""
    known = [image for image in images if image is not None]
    if not known:
        return None
    return cast(DepthMetrics, {name: float(np.mean([cast(float, dict(image)[name]) for image in known])) for name in METRIC_NAMES})
