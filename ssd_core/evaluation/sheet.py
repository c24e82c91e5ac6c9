# SPDX-License-Identifier: Apache-2.0
"""The best, the median and the worst frame as pictures: image, prediction, truth, error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.data.frame import Frame, FrameSource
from ssd_core.evaluation.evaluation import FrameRecord
from ssd_core.evaluation.metrics import at_truth
from ssd_core.evaluation.protocol import DepthPredictor, DepthRange, scaled_depth
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image, write_image
from ssd_core.images.colour_map import colourise_depth, colourise_inverse_depth
from ssd_core.images.contact_sheet import contact_sheet
from ssd_core.images.overlay import draw_points

_CELL_WIDTH = 640
_WORST_COLOUR = 0.5
"""absRel from which an error is drawn in the reddest red."""


def write_sheets(
    source: FrameSource,
    frames: Sequence[Frame],
    records: Sequence[FrameRecord],
    predictor: DepthPredictor,
    name: str,
    depth_range: DepthRange,
    folder: Path,
) -> list[Path]:
    """sheet.png over all frames, and sheet_<condition>.png for each where there are several; `name` is the predictor's in the records."""
    by_id = {frame.frame_id: frame for frame in frames}
    measured = [record for record in records if name in record.scores and record.scores[name].metrics]
    conditions = sorted({record.condition for record in measured})
    groups = {"sheet.png": measured}
    if len(conditions) > 1:
        groups |= {f"sheet_{condition}.png": [r for r in measured if r.condition == condition] for condition in conditions}
    paths = []
    for file, group in groups.items():
        if not group:
            continue
        chosen = best_median_worst(group, name)
        rows = [_row(source, by_id[record.frame_id], predictor, depth_range) for _, record in chosen]
        labels = [_label(word, record, name) for word, record in chosen]
        columns = ("image", "prediction (red near, blue far)", "lidar", f"error: blue 0, red absRel {_WORST_COLOUR:g} or more")
        write_image(folder / file, contact_sheet(rows, _CELL_WIDTH, labels, columns))
        paths.append(folder / file)
    return paths


def best_median_worst(records: Sequence[FrameRecord], name: str) -> list[tuple[str, FrameRecord]]:
    """The records of least, middle and greatest absRel, each once; ties go to the frame that comes first."""
    ordered = sorted(records, key=lambda record: _abs_rel(record, name))
    places = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    chosen: list[tuple[str, FrameRecord]] = []
    for word, place in places.items():
        if ordered[place] not in [record for _, record in chosen]:
            chosen.append((word, ordered[place]))
    return chosen


def _abs_rel(record: FrameRecord, name: str) -> float:
    metrics = record.scores[name].metrics
    return (metrics["raw"] if "raw" in metrics else next(iter(metrics.values())))["abs_rel"]


def _label(word: str, record: FrameRecord, name: str) -> str:
    scores = record.scores[name]
    mode = "raw" if "raw" in scores.metrics else next(iter(scores.metrics))
    metrics = scores.metrics[mode]
    scale = "" if scores.scale is None else f", truth/prediction {scores.scale:.2f}"
    return f"{word}: {record.frame_id} ({record.condition})  absRel {metrics['abs_rel']:.3f}  d1 {100 * metrics['d1']:.1f} %{scale}"


def _row(source: FrameSource, frame: Frame, predictor: DepthPredictor, depth_range: DepthRange) -> list[Image]:
    image, truth = source.image(frame), source.lidar_depth(frame)
    assert truth is not None, "only measured frames are drawn"
    size = image.shape[1], image.shape[0]
    prediction = predictor([image], [frame.camera], [size])[0]
    at_points = at_truth(prediction.values, truth)
    depth = at_points if prediction.kind == "metric" else scaled_depth(at_points, truth.z, prediction.kind, depth_range)
    if depth is None:
        depth = np.full(len(truth.z), depth_range.cap)
    error = np.abs(np.clip(depth, depth_range.min_depth, depth_range.cap) - truth.z) / truth.z
    counts = (truth.z > depth_range.min_depth) & (truth.z <= depth_range.cap)
    picture = colourise_depth if prediction.kind == "metric" else colourise_inverse_depth
    return [
        image,
        picture(prediction.values),
        _points(image, truth, colourise_depth(truth.z[None])[0], counts),
        _points(image, truth, _error_colours(error), counts),
    ]


def _points(image: Image, truth: SparseDepth, colours: npt.NDArray[np.uint8], counts: npt.NDArray[np.bool_]) -> Image:
    """The truth that counts as dots over the picture, near ones on top."""
    order = np.argsort(-truth.z, kind="stable")
    order = order[counts[order]]
    return draw_points(image, truth.u[order], truth.v[order], colours[order], _CELL_WIDTH)


def _error_colours(error: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    # Turbo's ends are dark and would be lost on the dark picture.
    levels = (25 + np.clip(error / _WORST_COLOUR, 0, 1) * 205).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels[None], cv2.COLORMAP_TURBO)[0, :, ::-1], dtype=np.uint8)
