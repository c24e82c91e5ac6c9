# SPDX-License-Identifier: Apache-2.0
"""What came out of a demo run: counted, compared with lidar, and put into tables."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE
from rich.table import Table

from ssd_core.data.bag import BagReader, header_stamp
from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.frame import Frame
from ssd_core.data.point_cloud_message import point_cloud_xyz
from ssd_core.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.resize import resize_depth
from ssd_depth_ros.demo_pictures import Pictures
from ssd_depth_ros.demo_plan import DemoPlan
from ssd_depth_ros.messages import depth_values

DEPTH_CAP = 80.0
"""Metres up to which lidar counts as truth; the usual cap outdoors."""

Depth = npt.NDArray[np.float32]
Outputs = Mapping[str, Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class RunReport:
    """One bag's results. Latencies, in milliseconds, run from the player's publishing an image to its hearing the depth image."""

    name: str
    cameras: int
    images_in: int
    depth_out: int
    clouds_out: int
    dropped: int
    latency_p50: float | None
    latency_p95: float | None
    metrics: DepthMetrics | None
    images_with_lidar: int
    model: str
    backend: str
    kind: str
    is_trained: bool
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For report.json."""
        return {**dataclasses.asdict(self), "files": [path.name for path in self.files]}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the node published for one image: depth (H, W), metres or relative inverse depth, and the cloud (N, 3) in the camera's frame."""

    camera: str
    stamp_ns: int
    depth: Depth
    cloud: Depth | None


def report_run(
    plan: DemoPlan, outputs: Outputs, recording: Path, player: Mapping[str, Any], model: Mapping[str, str], out: Path
) -> RunReport:
    """Read the recorded bag beside its source: count, measure, and write sheet and video."""
    is_metric = model.get("kind") != "relative_inverse"
    names = {camera.name_recorded: camera.name for camera in plan.cameras}
    source = BagFrames(plan.bag, list(names))
    try:
        frames = {(names[frame.camera_name], frame.stamp_ns): frame for frame in source.frames()}
        frame_ids = {names[camera.name]: camera.frame_id for camera in source.cameras}
        pictures = Pictures(out / plan.name, list(frames.values()), is_metric)
        counts: Counter[str] = Counter()
        measured: list[DepthMetrics | None] = []
        with pictures, BagReader(recording) as recorded:
            for answer in read_answers(recorded, outputs, frame_ids, counts):
                frame = frames.get((answer.camera, answer.stamp_ns))
                if frame is None:
                    continue
                counts["depth"] += 1
                counts["cloud"] += answer.cloud is not None
                lidar = source.lidar_depth(frame)
                if is_metric and lidar is not None:
                    measured.append(lidar_metrics(answer.depth, lidar, frame))
                if pictures.wants(frame):
                    pictures.add(frame, source.image(frame), answer.depth, answer.cloud, lidar)
        notes = [*source.warnings, *pictures.notes]
    finally:
        source.close()
    images_in = sum(player["topics"][camera.image]["messages"] for camera in plan.cameras)
    p50, p95 = latency_percentiles([player["outputs"][outputs[camera.name]["depth"]]["latency_ms"] for camera in plan.cameras])
    if counts["strange"]:
        notes.append(f"{counts['strange']} outputs carry another frame_id than their image")
    return RunReport(
        name=plan.name,
        cameras=len(plan.cameras),
        images_in=images_in,
        depth_out=counts["depth"],
        clouds_out=counts["cloud"],
        dropped=images_in - counts["depth"],
        latency_p50=p50,
        latency_p95=p95,
        metrics=mean_metrics(measured),
        images_with_lidar=sum(metrics is not None for metrics in measured),
        model=model.get("model", "?"),
        backend=f"{model.get('backend', '?')} {model.get('precision', '')}".strip(),
        kind=model.get("kind", "?"),
        is_trained=model.get("trained", "").lower() == "true",
        files=(recording, *pictures.files),
        notes=tuple(notes),
    )


def read_answers(bag: BagReader, outputs: Outputs, frame_ids: Mapping[str, str], counts: Counter[str]) -> Iterator[Answer]:
    """Depth and cloud of each image, joined by stamp. Messages with another frame_id than the camera's count as "strange" only."""
    roles = {topics[role]: (camera, role) for camera, topics in outputs.items() for role in ("depth", "cloud") if role in topics}
    parts: dict[tuple[str, int], dict[str, Depth]] = {}
    for raw, message in bag.deserialised(roles):
        camera, role = roles[raw.topic]
        if message.header.frame_id != frame_ids[camera]:
            counts["strange"] += 1
            continue
        key = camera, header_stamp(message)
        found = parts.setdefault(key, {})
        found[role] = depth_values(message) if role == "depth" else point_cloud_xyz(message)
        if len(found) == len({"depth", "cloud"} & outputs[camera].keys()):
            del parts[key]
            yield Answer(*key, found["depth"], found.get("cloud"))
    for key, found in parts.items():
        if "depth" in found:
            yield Answer(*key, found["depth"], None)


def lidar_metrics(depth: Depth, lidar: SparseDepth, frame: Frame) -> DepthMetrics | None:
    """Metric depth (h, w) of an image against its lidar, compared at the image's size."""
    assert frame.camera is not None, "lidar depth needs intrinsics"
    # Infinities would become NaN where bilinear weights are 0.
    finite = np.nan_to_num(depth, nan=DEPTH_CAP, posinf=DEPTH_CAP, neginf=0.0)
    dense = resize_depth(finite.astype(np.float32), (frame.camera.width, frame.camera.height))
    return depth_metrics(dense[lidar.v, lidar.u], lidar.z, DEPTH_CAP)


def latency_percentiles(cameras: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """(p50, p95) over all cameras. Each camera's first image is left out where there are more: it may have had the network built anew."""
    values = [value for latencies in cameras for value in (latencies[1:] or latencies)]
    if not values:
        return None, None
    p50, p95 = np.percentile(values, (50, 95))
    return round(float(p50), 1), round(float(p95), 1)


def _columns(reports: Sequence[RunReport]) -> tuple[list[str], list[list[str]]]:
    names = ["condition", "cams", "in", "depth", "clouds", "dropped", "p50 ms", "p95 ms"]
    with_truth = any(report.metrics for report in reports)
    if with_truth:
        names += ["absRel", "RMSE m", "d1"]
    rows = []
    for report in reports:
        row = [report.name, *map(str, (report.cameras, report.images_in, report.depth_out, report.clouds_out, report.dropped))]
        row += [_number(report.latency_p50, 0), _number(report.latency_p95, 0)]
        if with_truth:
            truth: Mapping[str, Any] = report.metrics or {}
            row += [_number(truth.get("abs_rel"), 3), _number(truth.get("rmse"), 2), _number(truth.get("d1"), 3)]
        rows.append(row)
    return names, rows


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _title(reports: Sequence[RunReport]) -> str:
    kinds = sorted({f"{report.model} on {report.backend}" + ("" if report.is_trained else ", UNTRAINED") for report in reports})
    return "; ".join(kinds)


def table(reports: Sequence[RunReport]) -> Table:
    """For the terminal."""
    names, rows = _columns(reports)
    result = Table(title=_title(reports), box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    for index, name in enumerate(names):
        result.add_column(name.replace(" ", "\n"), justify="left" if index == 0 else "right", no_wrap=index > 0, overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def markdown(reports: Sequence[RunReport]) -> str:
    """For report.md."""
    names, rows = _columns(reports)
    lines = [f"# Demo: {_title(reports)}", ""]
    if not all(report.is_trained for report in reports):
        lines += ["**The weights are UNTRAINED: layout, stamps and geometry are right, depth means nothing.**", ""]
    lines += ["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *("| " + " | ".join(row) + " |" for row in rows), ""]
    lines += [
        "in: images played; depth, clouds: answers with their image's stamp and frame_id; dropped: images without depth.",
        "Latency: from the player's publishing an image to its hearing the depth image, the first image of each camera left out.",
    ]
    if any(report.metrics for report in reports):
        lines += [f"absRel, RMSE, d1: against lidar up to {DEPTH_CAP:g} m at the image's size, averaged over the images that have any."]
    lines += [""]
    for report in reports:
        lines += [f"- {report.name}: " + ", ".join(f"[{path.name}]({path.name})" for path in report.files)]
        lines += [f"  - {note}" for note in report.notes]
    return "\n".join(lines) + "\n"
