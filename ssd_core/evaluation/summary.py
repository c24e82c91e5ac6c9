# SPDX-License-Identifier: Apache-2.0
"""Records of frames to mean figures: pooled, per condition, per camera, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ssd_core.evaluation.evaluation import FrameRecord
from ssd_core.evaluation.metrics import METRIC_NAMES
from ssd_core.evaluation.protocol import MODES, Mode
from ssd_core.evaluation.statistics import sequence_bootstrap
from ssd_core.storage.configuration import StrictModel


class Score(StrictModel):
    """Means over images, each image counting once (metrics as in `DepthMetrics`, d1 to d3 as fractions)."""

    images: int
    sequences: int
    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    d1: float
    d2: float
    d3: float
    interval_95: dict[str, tuple[float, float]] | None = None
    """By metric, over sequences drawn with replacement; None where there are too few sequences."""


class GroupScores(StrictModel):
    """One predictor's scores by mode; a relative model has no raw and flip."""

    pooled: dict[Mode, Score]
    conditions: dict[str, dict[Mode, Score]]
    cameras: dict[str, dict[Mode, Score]]


class DepthScale(StrictModel):
    """The factor that makes a metric model right for a camera: the node's parameter depth_scale."""

    factor: float
    """Median over images of median(truth) / median(prediction)."""
    quartiles: tuple[float, float]
    """Half of the images lie between these."""
    images: int


def summarise(records: Sequence[FrameRecord], predictor: str) -> GroupScores:
    """Mean figures of one predictor over the measured frames."""
    measured = [record for record in records if predictor in record.scores]
    return GroupScores(
        pooled=_by_mode(measured, predictor),
        conditions=_grouped(measured, predictor, lambda record: record.condition),
        cameras=_grouped(measured, predictor, lambda record: record.camera),
    )


def depth_scales(records: Sequence[FrameRecord], predictor: str) -> dict[str, DepthScale]:
    """By camera name, and "" for all cameras; empty for a relative model."""
    scales: dict[str, list[float]] = {}
    for record in records:
        score = record.scores.get(predictor)
        if score is not None and score.scale is not None:
            for name in ("", record.camera):
                scales.setdefault(name, []).append(score.scale)
    found = {}
    for name, values in scales.items():
        low, middle, high = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
        found[name] = DepthScale(factor=middle, quartiles=(low, high), images=len(values))
    return found


def skipped_reasons(records: Sequence[FrameRecord]) -> dict[str, int]:
    """Why frames weren't measured, and how many; frames of one reason with different file names count apart."""
    reasons: dict[str, int] = {}
    for record in records:
        if record.skipped is not None:
            reasons[record.skipped] = reasons.get(record.skipped, 0) + 1
    return dict(sorted(reasons.items(), key=lambda item: -item[1]))


def _grouped(records: Sequence[FrameRecord], predictor: str, key: Callable[[FrameRecord], str]) -> dict[str, dict[Mode, Score]]:
    groups: dict[str, list[FrameRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return {name: _by_mode(groups[name], predictor) for name in sorted(groups)}


def _by_mode(records: Sequence[FrameRecord], predictor: str) -> dict[Mode, Score]:
    scores = {}
    for mode in MODES:
        measured = [record for record in records if mode in record.scores[predictor].metrics]
        if measured:
            scores[mode] = _score(measured, predictor, mode)
    return scores


def _score(records: Sequence[FrameRecord], predictor: str, mode: Mode) -> Score:
    metrics = [dict(record.scores[predictor].metrics[mode]) for record in records]
    values = np.array([[image[name] for name in METRIC_NAMES] for image in metrics], dtype=np.float64)
    sequences = [record.sequence for record in records]
    bounds = sequence_bootstrap(values, sequences)
    interval = None if bounds is None else {name: (float(low), float(high)) for name, low, high in zip(METRIC_NAMES, *bounds, strict=True)}
    means = {name: float(mean) for name, mean in zip(METRIC_NAMES, values.mean(axis=0), strict=True)}
    return Score(images=len(records), sequences=len(set(sequences)), interval_95=interval, **means)
