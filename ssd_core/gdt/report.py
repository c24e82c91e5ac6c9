# SPDX-License-Identifier: Apache-2.0
"""What came of a translation job: counts, reasons, scores, speed and pictures, from the manifests of all its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssd_core.data.frame import Frame, FrameSource
from ssd_core.data.translations import read_records
from ssd_core.gdt.gate import GateScores
from ssd_core.gdt.job import SITTINGS_FILE, Outcome
from ssd_core.images.codec import Image, ImageDecodeError, read_image, write_image
from ssd_core.images.colour_map import colourise_depth, colourise_inverse_depth
from ssd_core.images.contact_sheet import contact_sheet
from ssd_core.storage.atomic_write import atomic_write_text
from ssd_core.storage.configuration import StrictModel
from ssd_core.storage.json_lines import read_json_lines

REPORT_FILE = "report.md"
_CELL_WIDTH = 480
_ROWS = 8


class ScoreStatistics(StrictModel):
    """Of one score over the pictures of one condition."""

    p5: float
    median: float
    p95: float


class ConditionReport(StrictModel):
    """Of one condition."""

    accepted: int
    rejected: int
    reasons: dict[str, int]
    """How many were turned back by each score; one picture may fail several."""
    scores: dict[str, ScoreStatistics]


class SynthesisReport(StrictModel):
    """Of one translator's folder."""

    tasks: int
    """Pictures wanted in all, by this and all other shards."""
    conditions: dict[str, ConditionReport]
    seconds_per_picture: float | None
    """Over all sittings, by the one process that made a picture; None before one has ended."""
    hours_total: float | None
    """Of one such machine (GPU hours on a GPU) for all tasks."""
    hours_left: float | None

    @property
    def done(self) -> int:
        """Pictures made so far."""
        return sum(found.accepted + found.rejected for found in self.conditions.values())


def make_report(root: Path, tasks: int) -> SynthesisReport:
    """From what is in the folder; `tasks`: pictures wanted in all. Raises DataError for a damaged manifest."""
    by_condition: dict[str, list[dict[str, Any]]] = {}
    for record in read_records(root):
        by_condition.setdefault(record["condition"], []).append(record)
    sittings = read_json_lines(root / SITTINGS_FILE)
    pictures = sum(sitting["pictures"] for sitting in sittings)
    pace = sum(sitting["seconds"] for sitting in sittings) / pictures if pictures else None
    conditions = {condition: _of_condition(records) for condition, records in sorted(by_condition.items())}
    report = SynthesisReport(tasks=tasks, conditions=conditions, seconds_per_picture=pace, hours_total=None, hours_left=None)
    if pace is None:
        return report
    left = max(0, tasks - report.done)
    return report.model_copy(update={"hours_total": tasks * pace / 3600, "hours_left": left * pace / 3600})


def write_report(root: Path, report: SynthesisReport, source: FrameSource, frames: Sequence[Frame]) -> None:
    """report.md, report.json, and sheets of accepted and rejected pictures beside their sources."""
    by_id = {frame.frame_id: frame for frame in frames}
    sheets = []
    for condition in report.conditions:
        for accepted in (True, False):
            name = f"{'accepted' if accepted else 'rejected'}_{condition}.jpg"
            if _write_sheet(root / name, root, condition, accepted, source, by_id):
                sheets.append(name)
    atomic_write_text(root / "report.json", report.model_dump_json(indent=2) + "\n")
    atomic_write_text(root / REPORT_FILE, _markdown(root.name, report, sheets))


def preview_sheet(outcomes: Sequence[Outcome]) -> Image:
    """A row a frame: source, depth, and each translation with the gate's verdict. Raises ValueError if there is nothing to show."""
    rows: list[list[Image]] = []
    labels: list[str] = []
    current = None
    for outcome in outcomes:
        if outcome.request is None or outcome.translated is None or outcome.verdict is None:
            continue
        request = outcome.request
        if request.frame_id != current:
            colourise = colourise_depth if request.depth_kind == "metric" else colourise_inverse_depth
            rows.append([request.image, colourise(request.depth)])
            labels.append(request.frame_id)
            current = request.frame_id
        rows[-1].append(outcome.translated.image)
        verdict = "accepted" if outcome.accepted else f"rejected ({', '.join(outcome.verdict.reasons)})"
        labels[-1] += f"  {outcome.task.condition}: {verdict}"
    return contact_sheet(rows, _CELL_WIDTH, labels)


def _of_condition(records: Sequence[dict[str, Any]]) -> ConditionReport:
    accepted = sum(bool(record["accepted"]) for record in records)
    reasons = Counter(reason for record in records for reason in record.get("reasons", ()))
    scores = {}
    for name in GateScores._fields:
        values = [record["scores"][name] for record in records if record.get("scores", {}).get(name) is not None]
        if values:
            low, middle, high = (float(value) for value in np.percentile(values, (5, 50, 95)))
            scores[name] = ScoreStatistics(p5=low, median=middle, p95=high)
    return ConditionReport(accepted=accepted, rejected=len(records) - accepted, reasons=dict(reasons.most_common()), scores=scores)


def _write_sheet(path: Path, root: Path, condition: str, accepted: bool, source: FrameSource, frames: dict[str, Frame]) -> bool:
    chosen = [
        record
        for record in read_records(root)
        if record["condition"] == condition and record["accepted"] == accepted and record["image"] and record["frame_id"] in frames
    ]
    rows, labels = [], []
    for record in [chosen[place * len(chosen) // _ROWS] for place in range(_ROWS)] if len(chosen) > _ROWS else chosen:
        try:
            rows.append([source.image(frames[record["frame_id"]]), read_image(root.parents[1] / record["image"])])
        except (OSError, ImageDecodeError):
            continue
        labels.append(f"{record['frame_id']}  {', '.join(record['reasons'])}")
    if rows:
        write_image(path, contact_sheet(rows, _CELL_WIDTH, labels))
    return bool(rows)


def _markdown(name: str, report: SynthesisReport, sheets: Sequence[str]) -> str:
    lines = [f"# Translations by {name}", "", f"{report.done} of {report.tasks} pictures made.", ""]
    lines += ["| condition | accepted | rejected | reasons |", "|---|---|---|---|"]
    for condition, found in report.conditions.items():
        reasons = ", ".join(f"{reason} {count}" for reason, count in found.reasons.items()) or "-"
        lines.append(f"| {condition} | {found.accepted} | {found.rejected} | {reasons} |")
    lines += ["", "| condition | score | 5 % | median | 95 % |", "|---|---|---|---|---|"]
    for condition, found in report.conditions.items():
        lines += [f"| {condition} | {score} | {s.p5:.3f} | {s.median:.3f} | {s.p95:.3f} |" for score, s in found.scores.items()]
    if report.seconds_per_picture is not None:
        lines += [
            "",
            f"{report.seconds_per_picture:.2f} s a picture; {report.hours_total:.2f} machine hours (GPU hours, on a GPU) for all,"
            f" {report.hours_left:.2f} left.",
        ]
    lines += ["", *(f"![{sheet}]({sheet})" for sheet in sheets), ""]
    return "\n".join(lines)
