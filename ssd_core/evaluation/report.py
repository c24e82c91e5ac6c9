# SPDX-License-Identifier: Apache-2.0
"""An evaluation as a report: report.json for programs, report.md for people, the same tables for the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ssd_core.evaluation.evaluation import EvaluationConfiguration, FrameRecord
from ssd_core.evaluation.protocol import MODE_LABELS, MODES, Mode
from ssd_core.evaluation.published import Comparison, PublishedRow
from ssd_core.evaluation.summary import DepthScale, GroupScores, Score, depth_scales, skipped_reasons, summarise
from ssd_core.storage.atomic_write import atomic_write_text
from ssd_core.storage.configuration import StrictModel, git_revision

MODEL = "model"
"""The model's name among the predictors of the records; all others are baselines."""
CONSTANT = "constant"
ORACLE = "per-image median (oracle)"

_WIDE = 120
_TOO_MUCH = ("sqRel", "RMSElog", "d2 %", "d3 %")
"""Columns that a narrow terminal does without, as it does without intervals; report.md has them."""
_UNSCALED = "none (metres as predicted)"
_METRICS = (
    ("abs_rel", "absRel"),
    ("sq_rel", "sqRel"),
    ("rmse", "RMSE"),
    ("rmse_log", "RMSElog"),
    ("d1", "d1 %"),
    ("d2", "d2 %"),
    ("d3", "d3 %"),
)


class EvaluatedModel(StrictModel):
    """What was measured."""

    checkpoint: str
    """Name and hash."""
    kind: str
    is_trained: bool
    input_size: tuple[int, int]
    """(width, height)."""
    backend: str
    precision: str


class DataDescription(StrictModel):
    """What it was measured on."""

    path: str
    kind: str
    """Such as "nuScenes v1.0-mini" or "bag"."""
    split: str
    cameras: list[str]
    selected: list[str]
    """How frames were chosen, in words; empty for all of them."""


class Report(StrictModel):
    """All of report.json."""

    format_version: int = 1
    git_revision: str
    data: DataDescription
    protocol: dict[str, Any]
    model: EvaluatedModel
    results: GroupScores
    baselines: dict[str, GroupScores]
    baselines_learnt_from: str | None
    depth_scale: dict[str, DepthScale]
    """By camera; "" is all cameras."""
    skipped: dict[str, int]
    published: list[dict[str, Any]]
    published_note: str
    warnings: list[str]


class _Table(NamedTuple):
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def make_report(
    configuration: EvaluationConfiguration,
    data: DataDescription,
    model: EvaluatedModel,
    records: Sequence[FrameRecord],
    comparison: Comparison,
    learnt_from: str | None,
    warnings: Sequence[str],
) -> Report:
    """Everything that is said about an evaluation; records measured with other code than this are told among the warnings."""
    revision = git_revision()
    baselines = {name: summarise(records, name) for name in configuration.predictors if name != MODEL}
    if CONSTANT in baselines:
        baselines[ORACLE] = _oracle(baselines[CONSTANT])
    relative = model.kind != "metric"
    protocol = {
        "split": data.split,
        "frames": len(records),
        "frames_measured": sum(record.skipped is None for record in records),
        "sequences": len({record.sequence for record in records}),
        "min_depth": configuration.depth_range.min_depth,
        "cap": configuration.depth_range.cap,
        "truth": "lidar projected into the full image, nearest point of a pixel",
        "upsampling": "depth, bilinear, to the image's size" if not relative else "inverse depth, bilinear, to the image's size",
        "averaging": "per image, then over images",
        "scaling": {
            "raw": _UNSCALED,
            "median": "scale and shift of inverse depth fitted to the truth per image" if relative else "median of the truth per image",
        },
        "flip": "mean of the depth of image and mirror image, before scaling and clamping",
        "input_size": list(model.input_size),
        "checkpoint": model.checkpoint,
        "interval": "95 %, sequences drawn with replacement, 2,000 times; none below 5 sequences",
    }
    return Report(
        git_revision=revision,
        data=data,
        protocol=protocol,
        model=model,
        results=summarise(records, MODEL),
        baselines=baselines,
        baselines_learnt_from=learnt_from,
        depth_scale=depth_scales(records, MODEL),
        skipped=skipped_reasons(records),
        published=[row._asdict() for row in comparison.rows],
        published_note=comparison.note,
        warnings=[*warnings, *_other_code(records, revision)],
    )


def write_report(report: Report, folder: Path, sheets: Sequence[Path] = ()) -> None:
    """report.json and report.md, atomically."""
    atomic_write_text(
        folder / "report.json", json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )
    atomic_write_text(folder / "report.md", _markdown(report, sheets))


def print_report(report: Report, console: Console) -> None:
    """The report's tables and sentences on a terminal."""
    for table in _tables(report):
        hidden = _TOO_MUCH if console.width < _WIDE else ()
        shown = Table(title=table.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for index, column in enumerate(table.columns):
            if column not in hidden:
                shown.add_column(column, justify="left" if index < _left_columns(table) else "right", no_wrap=index > 0)
        previous = ""
        for row in table.rows:
            kept = [cell for column, cell in zip(table.columns, row, strict=True) if column not in hidden]
            cells = [escape(cell.partition(" [")[0] if hidden else cell) for cell in kept]
            shown.add_row("" if cells[0] == previous else cells[0], *cells[1:])
            previous = cells[0]
        console.print(shown)
    for sentence in _sentences(report):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def depth_scale_sentences(report: Report) -> list[str]:
    """What to set the node's parameter depth_scale to, for each camera."""
    if not report.depth_scale:
        return []
    sentences = [_scale_sentence(report.depth_scale[""], "all cameras" if len(report.depth_scale) > 2 else "this camera")]
    if len(report.depth_scale) > 2:
        sentences += [_scale_sentence(scale, name) for name, scale in report.depth_scale.items() if name]
    return sentences


def _scale_sentence(scale: DepthScale, name: str) -> str:
    images = _count(scale.images, "image")
    spread = ", half within {:.3g}-{:.3g}".format(*scale.quartiles) if scale.images > 1 else ""
    return f"set depth_scale: {scale.factor:.3g}  ({name}: median of truth/prediction over {images}{spread})"


def _oracle(constant: GroupScores) -> GroupScores:
    """Any constant, scaled by the truth's median, is the truth's median."""

    def only_raw(scores: dict[Mode, Score]) -> dict[Mode, Score]:
        return {"raw": scores["median"]}

    return GroupScores(
        pooled=only_raw(constant.pooled),
        conditions={name: only_raw(scores) for name, scores in constant.conditions.items()},
        cameras={name: only_raw(scores) for name, scores in constant.cameras.items()},
    )


def _other_code(records: Sequence[FrameRecord], revision: str) -> list[str]:
    measured = Counter(record.git_revision for record in records if record.skipped is None and record.git_revision)
    others = [f"{_count(number, 'frame')} with {code}" for code, number in measured.items() if code != revision]
    if not others:
        return []
    return [f"not all frames were measured with code {revision}: {', '.join(others)}; --overwrite measures all with one code"]


def _sentences(report: Report) -> list[str]:
    protocol, model = report.protocol, report.model
    width, height = model.input_size
    counts = f"{protocol['frames_measured']} of {_count(protocol['frames'], 'frame')} measured, {_count(protocol['sequences'], 'sequence')}"
    selected = "".join(f"; {how}" for how in report.data.selected)
    sentences = [
        f"Data: {report.data.kind}, split {report.data.split}, {', '.join(report.data.cameras)}; {counts}{selected}.",
        f"Protocol: truth {protocol['min_depth']:g}-{protocol['cap']:g} m ({protocol['truth']}), {protocol['upsampling']}, clamped;"
        f" metrics per image, then the mean over images. Scaled rows: {protocol['scaling']['median']}. Flip: {protocol['flip']}.",
        f"Model: {model.checkpoint} at {width}x{height}, {model.backend} {model.precision}; code {report.git_revision}.",
    ]
    if not model.is_trained:
        sentences.append("UNTRAINED WEIGHTS: this model's weights are random; its figures mean nothing.")
    if report.baselines_learnt_from:
        sentences.append(f"Baselines never look at the image; learnt from {report.baselines_learnt_from}. The oracle reads the truth.")
    sentences += [f"Skipped: {_count(count, 'frame')}: {reason}." for reason, count in list(report.skipped.items())[:10]]
    if len(report.skipped) > 10:
        sentences.append(
            f"Skipped: {sum(list(report.skipped.values())[10:])} more frames for {len(report.skipped) - 10} other reasons; see report.json."
        )
    sentences += [f"Warning: {warning}" for warning in report.warnings]
    if report.published_note:
        sentences.append(report.published_note)
    return sentences + depth_scale_sentences(report)


def _tables(report: Report) -> list[_Table]:
    columns = ("group", "scaling", "images", *(label for _, label in _METRICS))
    results = report.results
    rows = _rows("all", results.pooled)
    groups = [
        *(results.conditions.items() if len(results.conditions) > 1 else ()),
        *(results.cameras.items() if len(results.cameras) > 1 else ()),
    ]
    for name, scores in groups:
        rows += _rows(name, scores)
    tables = [_Table(report.model.checkpoint, columns, rows)]
    if report.baselines:
        baseline_columns = ("baseline", "scaling", "images", *(label for _, label in _METRICS))
        baseline_rows = []
        for name, group in report.baselines.items():
            for mode in ("raw", "median"):
                if mode in group.pooled:
                    baseline_rows += _rows(name, {mode: group.pooled[mode]})  # type: ignore[dict-item]
        tables.append(_Table("Baselines: they never look at the image", baseline_columns, baseline_rows))
    if report.published:
        tables.append(_published_table(report))
    return tables


def _rows(name: str, scores: dict[Mode, Score]) -> list[list[str]]:
    return [[name, MODE_LABELS[mode], str(scores[mode].images), *_cells(scores[mode])] for mode in MODES if mode in scores]


def _cells(score: Score) -> list[str]:
    cells = []
    for key, _ in _METRICS:
        factor, digits = (100.0, 2) if key in ("d1", "d2", "d3") else (1.0, 3 if key in ("sq_rel", "rmse") else 4)
        text = f"{factor * getattr(score, key):.{digits}f}"
        if score.interval_95 and key in ("abs_rel", "rmse", "d1"):
            low, high = score.interval_95[key]
            text += f" [{factor * low:.{digits}f}, {factor * high:.{digits}f}]"
        cells.append(text)
    return cells


def _published_table(report: Report) -> _Table:
    rows = []
    for condition in dict.fromkeys(str(row["condition"]) for row in report.published):
        for values in report.published:
            row = PublishedRow(**values)
            if row.condition == condition:
                rows.append(
                    [condition, row.method, _known(row.abs_rel, 4), _known(row.sq_rel, 3), _known(row.rmse, 3), _known(row.d1, 2, 100)]
                )
        ours = report.results.conditions[condition].get("raw")
        if ours is not None:
            rows.append(
                [
                    condition,
                    f"{report.model.checkpoint} (ours)",
                    _known(ours.abs_rel, 4),
                    _known(ours.sq_rel, 3),
                    _known(ours.rmse, 3),
                    _known(ours.d1, 2, 100),
                ]
            )
    return _Table("Published, the same frames and protocol", ("condition", "method", "absRel", "sqRel", "RMSE", "d1 %"), rows)


def _known(value: float | None, digits: int, factor: float = 1.0) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f}"


def _left_columns(table: _Table) -> int:
    return 2 if table.columns[1] in ("scaling", "method") else 1


def _markdown(report: Report, sheets: Sequence[Path]) -> str:
    parts = [f"# Depth of {report.model.checkpoint} on {Path(report.data.path).name}", ""]
    for table in _tables(report):
        parts += [f"## {table.title}", "", f"| {' | '.join(table.columns)} |"]
        left = _left_columns(table)
        parts.append(f"|{'|'.join('---' if index < left else '--:' for index in range(len(table.columns)))}|")
        parts += [f"| {' | '.join(row)} |" for row in table.rows] + [""]
    parts += ["## Protocol and notes", ""] + [f"- {sentence}" for sentence in _sentences(report)] + [""]
    for sheet in sheets:
        parts += [f"![{sheet.stem}]({sheet.name})", ""]
    return "\n".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
