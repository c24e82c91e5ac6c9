# SPDX-License-Identifier: Apache-2.0
"""How far a depth image is from the truth: the seven numbers every depth paper reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict  # pydantic can't read typing's own below Python 3.12

from ssd_core.geometry.lidar import SparseDepth


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


def sparse_depth_metrics(
    prediction: npt.NDArray[np.floating], truth: SparseDepth, cap: float = 80.0, min_depth: float = 1e-3
) -> DepthMetrics | None:
    """`depth_metrics` of a dense prediction (height, width) at the pixels (u, v) of which a lidar knows the depth z.

    The prediction must have the size of the image the lidar was projected into. Raises ValueError where it hasn't.
    """
    return depth_metrics(at_truth(prediction, truth), truth.z, cap, min_depth)


def at_truth(dense: npt.NDArray[np.floating], truth: SparseDepth) -> npt.NDArray[np.floating]:
    """Values of a dense map (height, width) at the pixels of the truth. Raises ValueError if a pixel lies outside the map."""
    height, width = dense.shape
    if len(truth.z) and (min(truth.u.min(), truth.v.min()) < 0 or truth.u.max() >= width or truth.v.max() >= height):
        reach = f"columns {truth.u.min()} to {truth.u.max()}, rows {truth.v.min()} to {truth.v.max()}"
        raise ValueError(f"truth at {reach} doesn't fit a depth map of {width}x{height}")
    return dense[truth.v, truth.u]


def median_scale(
    prediction: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], cap: float = 80.0, min_depth: float = 1e-3
) -> float | None:
    """The factor median(truth) / median(prediction) over the pixels whose truth counts (see `depth_metrics`).

    Taken before clamping, so that prediction * factor is the same for every multiple of a prediction. None where no truth counts or
    the prediction's median isn't positive and finite. Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", 4.1.
    """
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(truth) & (truth > min_depth) & (truth <= cap)
    if not valid.any():
        return None
    middle = float(np.median(np.asarray(prediction, dtype=np.float64)[valid]))
    return float(np.median(truth[valid].astype(np.float64))) / middle if np.isfinite(middle) and middle > 0 else None


def align_inverse_depth(
    inverse: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], cap: float = 80.0, min_depth: float = 1e-3
) -> npt.NDArray[np.float64] | None:
    """Depth, metres, from affine-invariant inverse depth: scale and shift fitted to 1/truth by least squares, per image.

    The usual protocol for relative models (Ranftl et al., "Towards Robust Monocular Depth Estimation", section 5). Where the fitted
    inverse depth is below 1/cap the depth is the cap. None where fewer than two pixels count or the prediction is constant there.
    """
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(truth) & (truth > min_depth) & (truth <= cap)
    values = np.asarray(inverse, dtype=np.float64)
    if valid.sum() < 2 or np.ptp(values[valid]) == 0:
        return None
    scale, shift = np.polyfit(values[valid], 1 / truth[valid].astype(np.float64), 1)
    return np.asarray(1 / np.maximum(scale * values + shift, 1 / cap))


def mean_metrics(images: Sequence[DepthMetrics | None]) -> DepthMetrics | None:
    """Average over images (each image counts once, however many pixels it had); None if no image had truth."""
    known = [image for image in images if image is not None]
    if not known:
        return None
    return cast(DepthMetrics, {name: float(np.mean([cast(float, dict(image)[name]) for image in known])) for name in METRIC_NAMES})
