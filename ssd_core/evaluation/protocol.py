# SPDX-License-Identifier: Apache-2.0
"""The evaluation protocol on one batch: predict, upsample depth to the truth's size, scale or not, clamp, measure, in all four modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt
import pydantic

from ssd_core.evaluation.metrics import DepthMetrics, align_inverse_depth, at_truth, depth_metrics, median_scale
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image
from ssd_core.model.config import DepthKind
from ssd_core.runtime.estimator import DepthMap
from ssd_core.storage.configuration import StrictModel

Mode = Literal["raw", "flip", "median", "flip_median"]
"""raw: as predicted; flip: the mean of the image's and its mirror image's depth; median: scaled per image by the truth's median;
flip_median: both."""
MODES: tuple[Mode, ...] = get_args(Mode)
MODE_LABELS: dict[Mode, str] = {"raw": "raw", "flip": "flip", "median": "median", "flip_median": "flip + median"}

Values = npt.NDArray[np.float64]


class DepthRange(StrictModel):
    """Which pixels count, and what predictions are clamped to, in metres."""

    min_depth: pydantic.PositiveFloat = 0.1
    """Truth must be farther than this."""
    cap: pydantic.PositiveFloat = 80.0
    """Truth must not be farther than this."""

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> DepthRange:
        if self.min_depth >= self.cap:
            raise ValueError(f"min_depth {self.min_depth} must be below cap {self.cap}")
        return self


class DepthPredictor(Protocol):
    """What the protocol measures: a DepthEstimator, or anything that is called like one."""

    @property
    def model_id(self) -> str:
        """Name and hash of what decides the output."""
        ...

    @property
    def kind(self) -> DepthKind:
        """Metres, or inverse depth up to scale and shift."""
        ...

    @property
    def max_batch(self) -> int:
        """Images that run at once."""
        ...

    def __call__(
        self,
        images: Sequence[Image],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        """See DepthEstimator."""
        ...


class ImageScores(StrictModel):
    """What one predictor did on one image."""

    metrics: dict[Mode, DepthMetrics]
    """Empty where no truth lies in the range; without raw and flip for a relative model, which has no metres."""
    scale: float | None = None
    """median(truth) / median(prediction), unflipped; None for a relative model."""


class Sample(NamedTuple):
    """One image with what is known about its depth; image and truth have the camera's size."""

    image: Image
    camera: PinholeCamera
    truth: SparseDepth


def score_batch(predictor: DepthPredictor, samples: Sequence[Sample], depth_range: DepthRange) -> list[ImageScores]:
    """All modes of each sample, in order.

    The network's depth, or inverse depth for a relative model, is upsampled bilinearly to the camera's size and read at the truth's
    pixels. Flip averages after upsampling (which is linear) and before scaling and clamping; the mirrored image is given with the
    mirrored camera. Relative models are aligned per image by scale and shift in inverse depth, in the places of median scaling.
    """
    sizes = [sample.camera.size for sample in samples]
    plain = predictor([sample.image for sample in samples], [sample.camera for sample in samples], sizes)
    mirrored = [np.ascontiguousarray(sample.image[:, ::-1]) for sample in samples]
    flipped = predictor(mirrored, [sample.camera.flipped() for sample in samples], sizes)
    return [
        _score(at_truth(one.values, sample.truth), at_truth(other.values[:, ::-1], sample.truth), sample.truth.z, one.kind, depth_range)
        for sample, one, other in zip(samples, plain, flipped, strict=True)
    ]


def score_values(
    prediction: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], kind: DepthKind, mode: Mode, depth_range: DepthRange
) -> DepthMetrics | None:
    """Metrics of values (N,) at the truth's pixels; mode says whether they are scaled, the flip is the caller's affair."""
    scaled = scaled_depth(prediction, truth, kind, depth_range) if mode.endswith("median") else (prediction if kind == "metric" else None)
    return None if scaled is None else depth_metrics(scaled, truth, depth_range.cap, depth_range.min_depth)


def scaled_depth(
    prediction: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], kind: DepthKind, depth_range: DepthRange
) -> Values | None:
    """Values (N,) brought to the truth's scale: by its median, or by scale and shift of inverse depth; None where that is impossible."""
    if kind == "relative_inverse":
        return align_inverse_depth(prediction, truth, depth_range.cap, depth_range.min_depth)
    scale = median_scale(prediction, truth, depth_range.cap, depth_range.min_depth)
    return None if scale is None else prediction.astype(np.float64) * scale


def _score(
    plain: npt.NDArray[np.floating],
    flipped: npt.NDArray[np.floating],
    truth: npt.NDArray[np.floating],
    kind: DepthKind,
    depth_range: DepthRange,
) -> ImageScores:
    mean = (plain.astype(np.float64) + flipped) / 2
    metrics: dict[Mode, DepthMetrics] = {}
    for mode in MODES:
        found = score_values(mean if mode.startswith("flip") else plain, truth, kind, mode, depth_range)
        if found is not None:
            metrics[mode] = found
    scale = median_scale(plain, truth, depth_range.cap, depth_range.min_depth) if kind == "metric" else None
    return ImageScores(metrics=metrics, scale=scale)
