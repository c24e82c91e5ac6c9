# SPDX-License-Identifier: Apache-2.0
"""The geometry gate: a translation may change light, weather and colours, but nothing may move, come or go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pydantic

from ssd_core.data.intrinsics import assumed_camera
from ssd_core.gdt.changes import chance_of_change
from ssd_core.gdt.edges import edge_scores
from ssd_core.gdt.translator import DepthSource, TargetCondition, TranslationRequest
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import Image
from ssd_core.images.resize import resize_depth, resize_image
from ssd_core.model.change_detector import ChangeDetector
from ssd_core.runtime.estimator import DepthMap
from ssd_core.storage.configuration import StrictModel
from ssd_core.weights import BUNDLED

Array = npt.NDArray[np.float32]

_WIDTH = 320
_FARTHEST, _NEAREST = 60.0, 1.0
_LOCAL_SHARE = 0.08
"""Side of the window for local errors, in picture widths: an object of one hundredth of the picture fills it about."""


class GateThresholds(StrictModel):
    """What a translation to one condition must keep to; none: that score doesn't decide."""

    max_depth_error: float | None = 0.18
    """Mean relative difference of depth, scale aligned."""
    max_local_depth_error: float | None = 0.55
    """Largest mean difference of log depth in a window of an object's size."""
    min_edge_agreement: float | None = 0.3
    """Correlation of outlines, -1 to 1."""
    max_displaced: float | None = 0.13
    """Share of places with outlines whose best match lies elsewhere."""
    max_changed: float | None = 0.6
    """How sure the change detector may be that something stands where nothing stood, or the other way round, 0 to 1."""
    brightness: tuple[float, float] = (0.0, 1.0)
    """Mean luma that a translation may have, 0 to 1."""
    min_change: float = 0.02
    """Mean change of a pixel's colour, 0 to 1: a copy is no translation."""


class GateConfig(StrictModel):
    """The gate's depth network, and thresholds by condition."""

    model: str | None = None
    """bundled, a checkpoint folder or a Hub id: a network that sees at night and in rain too, since one that knows days only fails on
    true nights. None: what gave the translator its depth; where that was the truth of a rendered data set, no depth is compared."""
    use_depth: bool | None = None
    """False judges by outlines, brightness and change alone. None: by depth too, unless the network is the bundled one, whose depth
    changes more from day to night than a moved vehicle does (docs/gdt.md)."""
    change_detector: str | None = BUNDLED
    """bundled, or the folder of another one (training/recipes/changes_rendered.yaml); None: none is asked."""
    night: GateThresholds = GateThresholds(min_edge_agreement=0.25, max_displaced=0.16, max_changed=0.7, brightness=(0.02, 0.45))
    rain: GateThresholds = GateThresholds()
    snow: GateThresholds = GateThresholds(max_displaced=0.15)
    fog: GateThresholds = GateThresholds(max_displaced=0.22)

    @pydantic.field_validator("night", "rain", "snow", "fog", mode="before")
    @classmethod
    def _keeps_what_is_not_said(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        """A threshold that is said leaves the condition's others as they are."""
        default: GateThresholds = cls.model_fields[str(info.field_name)].default
        return {**default.model_dump(), **value} if isinstance(value, dict) else value

    def depth_model(self, translators: str) -> str | None:
        """The network whose depth is compared, where the translator has its depth from network `translators`; None: no depth is."""
        model = self.model or translators
        compares = model != BUNDLED if self.use_depth is None else self.use_depth
        return model if compares else None

    def thresholds(self, condition: TargetCondition) -> GateThresholds:
        """Of one condition."""
        found: GateThresholds = getattr(self, condition)
        return found


class GateScores(NamedTuple):
    """How one translation compares with its source; see GateThresholds. None: there was no network to ask."""

    depth_error: float | None
    local_depth_error: float | None
    edge_agreement: float
    displaced: float
    changed: float | None
    brightness: float
    change: float


class Verdict(NamedTuple):
    """Scores, and the names of those that turned the picture back; none: it is accepted."""

    scores: GateScores
    reasons: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """True if nothing speaks against it."""
        return not self.reasons


class GeometryGate:
    """Judges translations of any translator."""

    def __init__(self, config: GateConfig, depth: DepthSource | None, detector: ChangeDetector | None = None) -> None:
        """depth: the network, None compares no depth; detector: None asks none."""
        self.config = config
        self.depth = depth
        self.detector = detector

    @property
    def model_id(self) -> str | None:
        """Of the depth network."""
        return self.depth.model_id if self.depth else None

    def judge(self, requests: Sequence[TranslationRequest], translated: Sequence[Image]) -> list[Verdict]:
        """A verdict for each translation, in order."""
        return [self._judge_one(request, image) for request, image in zip(requests, translated, strict=True)]

    def _judge_one(self, request: TranslationRequest, translated: Image) -> Verdict:
        scores = self.score(request.image, translated, request.camera)
        return Verdict(scores, reasons_against(scores, self.config.thresholds(request.condition)))

    def score(self, source: Image, translated: Image, camera: PinholeCamera | None) -> GateScores:
        """Scores of one pair, uint8 (H, W, 3) RGB each, of one size; camera None: one is assumed."""
        if source.shape != translated.shape:
            raise ValueError(f"a translation of {translated.shape[1]}x{translated.shape[0]} for a picture of {source.shape[1::-1]}")
        depth_error = local = None
        if self.depth is not None:
            seen_by = camera or assumed_camera((source.shape[1], source.shape[0]))
            before, after = self.depth([source, translated], [seen_by, seen_by])
            depth_error, local = depth_errors(before, after)
        size = _WIDTH, max(8, round(_WIDTH * source.shape[0] / source.shape[1]))
        first, second = resize_image(source, size), resize_image(translated, size)
        edges = edge_scores(_gray(first), _gray(second))
        change = float(np.abs(first.astype(np.float32) - second.astype(np.float32)).mean()) / 255
        changed = None if self.detector is None else chance_of_change(self.detector, source, translated)
        return GateScores(depth_error, local, edges.agreement, edges.displaced, changed, float(_gray(second).mean()) / 255, change)


def reasons_against(scores: GateScores, thresholds: GateThresholds) -> tuple[str, ...]:
    """Names of the scores that are beyond their thresholds."""
    low, high = thresholds.brightness
    failed = {
        "depth_error": _above(scores.depth_error, thresholds.max_depth_error),
        "local_depth_error": _above(scores.local_depth_error, thresholds.max_local_depth_error),
        "edge_agreement": _above(thresholds.min_edge_agreement, scores.edge_agreement),
        "displaced": _above(scores.displaced, thresholds.max_displaced),
        "changed": _above(scores.changed, thresholds.max_changed),
        "brightness": not low <= scores.brightness <= high,
        "change": scores.change < thresholds.min_change,
    }
    return tuple(name for name, is_beyond in failed.items() if is_beyond)


def depth_errors(before: DepthMap, after: DepthMap) -> tuple[float, float]:
    """(mean relative error, largest mean error of log depth in a window) of depth after translation against before, scale aligned.

    Metric maps are aligned by the median of their ratio over what is nearer than 60 m; relative inverse ones by the best scale and
    shift, their errors are shares of the map's spread.
    """
    size = _WIDTH, max(8, round(_WIDTH * before.values.shape[0] / before.values.shape[1]))
    first, second = resize_depth(before.values, size), resize_depth(after.values, size)
    if before.kind == "relative_inverse":
        relative = _relative_difference(first, second)
        logarithmic = relative
        counts = np.ones_like(first)
    else:
        first, second = (np.clip(values, _NEAREST, 1e3) for values in (first, second))
        counts = (first < _FARTHEST).astype(np.float32)
        if counts.mean() < 0.02:
            return 0.0, 0.0
        ratio = np.log(second / first)
        ratio -= np.median(ratio[counts > 0])
        logarithmic, relative = np.abs(ratio), np.abs(np.exp(ratio) - 1)
    side = max(3, round(_LOCAL_SHARE * _WIDTH))
    local = cv2.blur(logarithmic * counts, (side, side))
    return float((relative * counts).sum() / counts.sum()), float(local.max())


def _relative_difference(first: Array, second: Array) -> Array:
    design = np.stack([second.ravel(), np.ones(second.size, dtype=np.float32)], axis=1)
    scale, shift = np.linalg.lstsq(design, first.ravel(), rcond=None)[0]
    spread = max(float(np.subtract(*np.percentile(first, (95, 5)))), 1e-6)
    return np.asarray(np.abs(scale * second + shift - first) / spread, dtype=np.float32)


def _above(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def _gray(image: Image) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
