# SPDX-License-Identifier: Apache-2.0
"""A whole recording or data set through the protocol: streamed, batched, and continued after an interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydantic

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame, FrameSource
from ssd_core.evaluation.protocol import DepthPredictor, DepthRange, ImageScores, Sample, score_batch
from ssd_core.images.codec import ImageDecodeError
from ssd_core.storage.configuration import StrictModel, git_revision
from ssd_core.storage.json_lines import append_json_line, read_json_lines

RECORDS_FILE = "frames.jsonl"
_REVISION = "git_revision"
_MOST_AT_ONCE = 8


class EvaluationError(ValueError):
    """An evaluation that can't be done or continued; the message says why and what to do."""


class EvaluationConfiguration(StrictModel):
    """Everything the results depend on. A run is continued only where all of it is equal."""

    format_version: int = 1
    data: str
    frames: int
    frames_hash: str
    """Of the ids of the frames, in order."""
    depth_range: DepthRange
    predictors: dict[str, str]
    """Name to model id (with a hash of weights or values)."""
    input_size: tuple[int, int] | None = None
    """(width, height) of the network's input."""
    backend: str = ""
    precision: str = ""


class FrameRecord(StrictModel):
    """One line of RECORDS_FILE: what became of one frame."""

    frame_id: str
    sequence: str
    camera: str
    condition: str
    points: int = 0
    """Truth that counted."""
    skipped: str | None = None
    """Why the frame wasn't measured."""
    scores: dict[str, ImageScores] = pydantic.Field(default_factory=dict)
    """By predictor."""
    git_revision: str = pydantic.Field(default="", exclude=True)
    """Of the code that measured it, empty if unknown; the file says it once for all records that follow."""


class _Prepared(NamedTuple):
    frame: Frame
    sample: Sample | None
    skipped: str | None


def choose_frames(
    frames: Sequence[Frame], cameras: Sequence[str] | None = None, conditions: Sequence[str] | None = None, limit: int | None = None
) -> list[Frame]:
    """The frames of these cameras and conditions; with a limit, that many spread evenly over them.

    Raises EvaluationError, naming what there is, if nothing is left.
    """
    if not frames:
        raise EvaluationError("there are no frames to evaluate")
    for word, wanted, known in (
        ("camera", cameras, {frame.camera_name for frame in frames}),
        ("condition", conditions, {frame.condition for frame in frames}),
    ):
        unknown = sorted(set(wanted or ()) - known)
        if unknown:
            raise EvaluationError(f"no {word} {', '.join(unknown)} among the frames; there is {', '.join(sorted(known))}")
    chosen = [
        frame for frame in frames if (not cameras or frame.camera_name in cameras) and (not conditions or frame.condition in conditions)
    ]
    if not chosen:
        raise EvaluationError("no frame has both one of the cameras and one of the conditions asked for")
    if limit is not None and limit < len(chosen):
        return [chosen[index] for index in np.linspace(0, len(chosen) - 1, max(1, limit)).round().astype(int)]
    return chosen


def frames_hash(frames: Sequence[Frame]) -> str:
    """SHA-256 of the frames' ids in order, shortened."""
    return hashlib.sha256("\n".join(frame.frame_id for frame in frames).encode()).hexdigest()[:16]


def evaluate_frames(
    source: FrameSource,
    frames: Sequence[Frame],
    predictors: Mapping[str, DepthPredictor],
    depth_range: DepthRange,
    on_frame: Callable[[FrameRecord], None] | None = None,
) -> Iterator[FrameRecord]:
    """Measure frames, in order, and yield a record of each; images are read while the batch before them is predicted.

    A frame without truth or with a damaged picture or scan yields a record that says so.
    """
    batch_size = max(1, min(_MOST_AT_ONCE, *(predictor.max_batch for predictor in predictors.values())))
    with ThreadPoolExecutor(1) as worker:
        # The source stays in this thread (readers of databases ask for that); the network computes in the other one.
        running: Future[list[FrameRecord]] | None = None
        for start in range(0, len(frames), batch_size):
            batch = [_prepare(source, frame) for frame in frames[start : start + batch_size]]
            finished = running.result() if running else []
            running = worker.submit(_measure, batch, predictors, depth_range)
            yield from _told(finished, on_frame)
        yield from _told(running.result() if running else [], on_frame)


def evaluate_to_folder(
    source: FrameSource,
    frames: Sequence[Frame],
    predictors: Mapping[str, DepthPredictor],
    configuration: EvaluationConfiguration,
    folder: Path,
    overwrite: bool = False,
    on_frame: Callable[[FrameRecord], None] | None = None,
) -> list[FrameRecord]:
    """`evaluate_frames` with every record appended to folder/frames.jsonl; a rerun measures only what is missing or was skipped.

    Skipped frames are tried again since what they lacked may have been mended meanwhile; the last record of a frame counts.
    Records measured with other code stay: they know its revision, and the report tells.

    Raises EvaluationError if the file belongs to another configuration (unless `overwrite`), and if no frame could be measured.
    """
    path = folder / RECORDS_FILE
    if overwrite:
        path.unlink(missing_ok=True)
    done, written_by = _begun(path, configuration)
    revision = git_revision()
    measured = {frame_id for frame_id, record in done.items() if record.skipped is None}
    waiting = [frame for frame in frames if frame.frame_id not in measured]
    if on_frame is not None:
        for frame_id in measured:
            on_frame(done[frame_id])
    for record in evaluate_frames(source, waiting, predictors, configuration.depth_range, on_frame):
        before = done.get(record.frame_id)
        if before is None or to_json(before) != to_json(record):
            if written_by != revision:
                append_json_line(path, {_REVISION: revision})
                written_by = revision
            append_json_line(path, to_json(record))
            done[record.frame_id] = record.model_copy(update={_REVISION: revision})
    records = [done[frame.frame_id] for frame in frames]
    if all(record.skipped for record in records):
        raise EvaluationError(_why_nothing(configuration.data, records))
    return records


def to_json(record: FrameRecord) -> dict[str, Any]:
    """A record as plain values, without what is empty."""
    return record.model_dump(mode="json", exclude_defaults=True)


def _begun(path: Path, configuration: EvaluationConfiguration) -> tuple[dict[str, FrameRecord], str]:
    """The records that are there, and the revision of the code that wrote the last of them."""
    lines = read_json_lines(path)
    if not lines:
        revision = git_revision()
        append_json_line(path, {"configuration": configuration.model_dump(mode="json"), _REVISION: revision})
        return {}, revision
    before, now = lines[0].get("configuration"), configuration.model_dump(mode="json")
    if not isinstance(before, dict):
        raise EvaluationError(f"{path}: the first line holds no configuration; choose another folder or overwrite it (--overwrite)")
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if changed:
        values = "; ".join(f"{key} was {before.get(key)!r} and is {now.get(key)!r}" for key in changed)
        raise EvaluationError(f"{path} belongs to another evaluation: {values}. Choose another folder or overwrite it (--overwrite)")
    records: dict[str, FrameRecord] = {}
    revision = str(lines[0].get(_REVISION, ""))
    try:
        for line in lines[1:]:
            if line.keys() == {_REVISION}:
                revision = str(line[_REVISION])
                continue
            record = FrameRecord.model_validate({**line, _REVISION: revision})
            records[record.frame_id] = record
    except pydantic.ValidationError as error:
        raise EvaluationError(f"{path}: a record can't be read ({error.errors()[0]['msg']}); overwrite it (--overwrite)") from error
    return records, revision


def _prepare(source: FrameSource, frame: Frame) -> _Prepared:
    """Truth first: where there is none, no picture needs decoding."""
    if frame.camera is None:
        return _Prepared(frame, None, "its camera's intrinsics are unknown")
    try:
        truth = source.lidar_depth(frame)
        if truth is None:
            return _Prepared(frame, None, "no lidar depth")
        image = source.image(frame)
    except (ImageDecodeError, DataError) as error:
        return _Prepared(frame, None, str(error))
    if image.shape[:2] != (frame.camera.height, frame.camera.width):
        return _Prepared(
            frame, None, f"the image is {image.shape[1]}x{image.shape[0]}, its camera {frame.camera.width}x{frame.camera.height}"
        )
    return _Prepared(frame, Sample(image, frame.camera, truth), None)


def _measure(batch: Sequence[_Prepared], predictors: Mapping[str, DepthPredictor], depth_range: DepthRange) -> list[FrameRecord]:
    samples = [prepared.sample for prepared in batch if prepared.sample is not None]
    scores = {name: iter(score_batch(predictor, samples, depth_range)) for name, predictor in predictors.items()} if samples else {}
    records = []
    for frame, sample, skipped in batch:
        about = {"frame_id": frame.frame_id, "sequence": frame.sequence, "camera": frame.camera_name, "condition": frame.condition}
        if sample is None:
            records.append(FrameRecord(**about, skipped=skipped))  # type: ignore[arg-type]
            continue
        found = {name: next(of_frame) for name, of_frame in scores.items()}
        z = sample.truth.z
        points = int(((z > depth_range.min_depth) & (z <= depth_range.cap)).sum())
        skipped = None if points else f"no lidar depth between {depth_range.min_depth:g} and {depth_range.cap:g} m"
        records.append(FrameRecord(**about, points=points, skipped=skipped, scores=found if points else {}))  # type: ignore[arg-type]
    return records


def _told(records: Sequence[FrameRecord], on_frame: Callable[[FrameRecord], None] | None) -> Iterator[FrameRecord]:
    for record in records:
        yield record
        if on_frame is not None:
            on_frame(record)


def _why_nothing(data: str, records: Sequence[FrameRecord]) -> str:
    reasons: dict[str, int] = {}
    for record in records:
        reasons[record.skipped or ""] = reasons.get(record.skipped or "", 0) + 1
    told = "; ".join(f"{reason} ({count}x)" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:3])
    return (
        f"{data}: none of {len(records)} frames can be measured: {told}. An evaluation needs lidar, intrinsics and the transform"
        " between both"
    )
