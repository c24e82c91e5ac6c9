# SPDX-License-Identifier: Apache-2.0
"""How good depth and motion are on held-out video: beside guesses that see no picture, without which numbers mean nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.data.frame import Frame, FrameSource
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.transforms import Resize, Sample
from ssd_core.data.triplets import Triplet
from ssd_core.evaluation.baselines import CameraPrior, DepthSamples, learn_baselines
from ssd_core.evaluation.metrics import depth_metrics, median_scale
from ssd_core.geometry.pose import Matrix
from ssd_core.images.codec import Image
from ssd_core.images.resize import resize_depth
from ssd_core.training.video import Video, motions

Depth = npt.NDArray[np.float32]
PredictDepth = Callable[[Sample], Depth]
"""A picture at the network's size, with its camera, to metres at that size."""

_MOST_PRIOR_FRAMES = 200
_PRIOR_STEP = 5
_LEAST_DEPTH = 1e-3
_PRIOR = "row prior, absRel-optimal"


class FrameErrors(NamedTuple):
    """How one frame's depth compares with the truth; metrics as in `DepthMetrics`."""

    sequence: str
    condition: str
    abs_rel: float
    abs_rel_median: float
    """After scaling by `scale`."""
    d1: float
    scale: float
    """Median of the truth over that of the prediction (see `median_scale`): where there is much near and much far, a small error of shape
    moves it far from 1."""
    ratio: float
    """Median of truth/prediction over the pixels; what is too near and what is too far are equally many at 1."""


class _Instant(NamedTuple):
    """One camera at one time, in all conditions there are."""

    video: Video
    frames: list[Frame]


class DepthJudge:
    """Depth errors on held-out frames with dense or lidar depth, by condition; nothing where there are none."""

    def __init__(self, videos: Sequence[Video], learnt_on: Sequence[Video], count: int, input_size: tuple[int, int], cap: float) -> None:
        """count: instants judged, spread evenly; learnt_on: videos whose depths, where known, the row prior is learnt from."""
        self._instants, self._learnt_on = spread(_instants(videos), count), learnt_on
        self._size, self._cap = input_size, cap
        self._prior_errors: dict[str, float] | None = None

    def figures(self, predict: PredictDepth) -> dict[str, float]:
        """For each condition "<condition>/abs_rel", ".../abs_rel_median", ".../d1", ".../scale" and ".../ratio" (medians over frames)
        and ".../row_prior", the absRel of the row prior that was chosen for its absRel.
        """
        collected: dict[str, list[FrameErrors]] = {}
        for errors in self.measure(predict):
            collected.setdefault(errors.condition, []).append(errors)
        figures: dict[str, float] = {}
        for condition, values in sorted(collected.items()):
            raw, scaled, close, scale, ratio = np.array([errors[2:] for errors in values]).T
            named = {"abs_rel": raw.mean(), "abs_rel_median": scaled.mean(), "d1": close.mean()}
            named |= {"scale": np.median(scale), "ratio": np.median(ratio)}
            named |= {"row_prior": self._priors()[condition]} if condition in self._priors() else {}
            figures |= {f"{condition}/{name}": float(value) for name, value in named.items()}
        return figures

    def measure(self, predict: PredictDepth) -> Iterator[FrameErrors]:
        """Errors of each frame that has depth to compare with."""
        for reader, frame, truth in _frames_with_depth(self._instants):
            errors = self._errors(predict, reader.image(frame), frame, truth)
            if errors is not None:
                yield errors

    def row_prior(self) -> PredictDepth | None:
        """A depth for each row of the picture, the best for absRel by known depths of what is learnt on; None where there are none."""
        prior = learn_row_prior(self._learnt_on, self._cap)
        return None if prior is None else lambda sample: prior([sample.image], [sample.camera])[0].values

    def _errors(self, predict: PredictDepth, image: Image, frame: Frame, truth: Depth) -> FrameErrors | None:
        assert frame.camera is not None
        sample = Resize(*self._size)(Sample(image, frame.camera.scaled(image.shape[1], image.shape[0])))
        depth = resize_depth(predict(sample), (truth.shape[1], truth.shape[0]))
        metrics, scale = depth_metrics(depth, truth, self._cap), median_scale(depth, truth, self._cap)
        if metrics is None or scale is None:
            return None
        scaled = depth_metrics(depth * scale, truth, self._cap)
        assert scaled is not None
        counts = np.isfinite(truth) & (truth > 0) & (truth <= self._cap)
        ratio = float(np.median(truth[counts] / depth[counts].clip(_LEAST_DEPTH)))
        return FrameErrors(frame.sequence, frame.condition, metrics["abs_rel"], scaled["abs_rel"], metrics["d1"], scale, ratio)

    def _priors(self) -> dict[str, float]:
        if self._prior_errors is None:
            prior, collected = self.row_prior(), dict[str, list[float]]()
            for errors in self.measure(prior) if prior is not None else ():
                collected.setdefault(errors.condition, []).append(errors.abs_rel)
            self._prior_errors = {condition: float(np.mean(values)) for condition, values in collected.items()}
        return self._prior_errors


def known_depth(source: FrameSource, frame: Frame) -> Depth | None:
    """(H, W) metres of the frame's size, 0 where unknown, +Inf for sky: dense depth or else lidar's; None where there is neither."""
    if isinstance(source, FrameDataset):
        dense = source.dense_depth(frame)
        if dense is not None:
            return dense
    sparse = source.lidar_depth(frame)
    return None if sparse is None or frame.camera is None else sparse.to_image(*frame.camera.size)


def learn_row_prior(videos: Sequence[Video], cap: float) -> CameraPrior | None:
    """The depth of each row of the picture that is best for absRel, learnt from known depths; None where there are none."""
    parts = []
    instants = [_Instant(video, frames[:1]) for video, frames in spread(_instants(videos), _MOST_PRIOR_FRAMES)]
    for _, frame, truth in _frames_with_depth(instants):
        assert frame.camera is not None
        with np.errstate(invalid="ignore"):
            rows, columns = np.nonzero((truth > 0) & np.isfinite(truth))
        # Lidar's few are all taken, dense depth's many are not.
        step = 1 if len(rows) < truth.size / 4 else _PRIOR_STEP**2
        rows, columns = rows[::step], columns[::step]
        rays = frame.camera.unproject(np.stack([columns, rows], axis=-1)).astype(np.float32)
        parts.append(DepthSamples(rays, truth[rows, columns]))
    if not parts or not len(DepthSamples.joined(parts).within(0.1, cap).depth):
        return None
    return next(prior for prior in learn_baselines(DepthSamples.joined(parts), cap=cap) if prior.name == _PRIOR)


class MotionJudge:
    """Errors of predicted motions, beside those of a constant speed and of never turning, which a network may learn instead."""

    def __init__(self, learnt_on: Sequence[Triplet]) -> None:
        known = [found for triplet in learnt_on if (found := motions(triplet)) is not None]
        translations = [[motion[:3, 3] for motion in pair] for pair in known]
        self._constant = np.median(np.array(translations), axis=0) if translations else None
        self._errors: list[tuple[float, float, float, float]] = []

    def add(self, triplet: Triplet, predicted: Sequence[Matrix]) -> None:
        """Compare the motions to both neighbours with the poses; a triplet without poses counts for nothing."""
        known = motions(triplet)
        if known is None or self._constant is None:
            return
        for truth, guess, constant in zip(known, predicted, self._constant, strict=True):
            self._errors.append((
                float(np.linalg.norm(guess[:3, 3] - truth[:3, 3])),
                float(np.linalg.norm(constant - truth[:3, 3])),
                _degrees(guess[:3, :3] @ truth[:3, :3].T),
                _degrees(truth[:3, :3]),
            ))  # fmt: skip

    def figures(self) -> dict[str, float]:
        """Mean errors: of the translation in metres, of the rotation in degrees; nothing where no pose was known."""
        names = ("motion/metres", "motion/metres_constant_speed", "motion/degrees", "motion/degrees_no_turning")
        return dict(zip(names, map(float, np.mean(self._errors, axis=0)), strict=True)) if self._errors else {}


def spread(values: Sequence[_Instant], count: int) -> list[_Instant]:
    """At most `count` of them, evenly spaced, first and last included."""
    if len(values) <= count:
        return list(values)
    return [values[int(place)] for place in np.unique(np.linspace(0, len(values) - 1, count).astype(int))]


def _instants(videos: Sequence[Video]) -> list[_Instant]:
    instants = []
    for video in videos:
        beside: dict[tuple[str, str, int], list[Frame]] = {}
        for frame in video.frames:
            beside.setdefault((frame.sequence, frame.camera_name, frame.stamp_ns), []).append(frame)
        for triplet in video.triplets:
            current = triplet.current
            others = beside[current.sequence, current.camera_name, current.stamp_ns]
            instants.append(_Instant(video, [current, *(other for other in others if other.frame_id != current.frame_id)]))
    return instants


def _frames_with_depth(instants: Sequence[_Instant]) -> Iterator[tuple[FrameSource, Frame, Depth]]:
    """Each with the open source it comes from."""
    for _, group in itertools.groupby(instants, key=lambda instant: id(instant.video)):
        of_video = list(group)
        reader = of_video[0].video.open()
        for frame in (frame for instant in of_video for frame in instant.frames if frame.camera is not None):
            truth = known_depth(reader, frame)
            if truth is not None:
                yield reader, frame, truth
        reader.close()


def _degrees(rotation: npt.NDArray[np.floating]) -> float:
    skew = rotation - rotation.T
    sine = np.linalg.norm([skew[2, 1], skew[0, 2], skew[1, 0]]) / 2
    return float(np.degrees(np.arctan2(sine, (np.trace(rotation) - 1) / 2)))
