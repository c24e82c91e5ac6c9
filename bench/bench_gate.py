# SPDX-License-Identifier: Apache-2.0
"""What the geometry gate lets through, on the rendered world: true translations, and ones that show something else. Run by hand.

    python bench/bench_gate.py --model runs/supervised/best --out out/bench/gate [--scenes 40] [--config FILE] [KEY=VALUE ...]

Each view is rendered by day, and at night, in rain, snow and fog as it is; mirrored; shifted by 3 % of the width; from a place 1 m away;
of another scene; and with one vehicle or person of at least a hundredth of the picture moved, added or removed. Outlines, brightness,
change and the change detector judge, with --model depth too. Writes report.md, scores.json and roc.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from rich.progress import track

from ssd_core.gdt.config import SynthesisConfig
from ssd_core.gdt.gate import GateScores, GeometryGate, reasons_against
from ssd_core.gdt.translator import FRAME_CONDITIONS, TARGET_CONDITIONS, TargetCondition
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.images.codec import Image
from ssd_core.model.change_detector import load_change_detector
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.presets import camera_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.storage.atomic_write import atomic_write_text
from ssd_core.storage.configuration import load_configuration
from ssd_core.training.changes import shifted

mpl.use("Agg")
from matplotlib import pyplot as plt

TIME = 3.0
SMALLEST_OBJECT = 0.01
SHIFT = 0.03
WIDTH, HEIGHT = 640, 360
LOWER_IS_WORSE = ("edge_agreement", "change", "brightness")


class Case(NamedTuple):
    """A pair to judge."""

    kind: str
    condition: TargetCondition
    source: Image
    shown: Image
    camera: PinholeCamera


def cases_of(seed: int, others: dict[TargetCondition, Image]) -> Iterator[Case]:
    """All pairs of one view; `others` holds the translations of the scene before, and is brought up to date."""
    rng = np.random.default_rng([seed, 17])
    scene = Scene.generate(seed, TIME + 2)
    camera = PinholeCamera.from_field_of_view(WIDTH, HEIGHT, float(rng.uniform(55, 80)))
    renderer = Renderer(camera, camera_model=CameraModel.draw(seed, 0.6))
    base = scene.world_from_base(TIME)
    pose = base @ camera_pose((1.5, 0.0, 1.55), 0.0, float(rng.uniform(-2, 1)), 0.0)
    away = base @ camera_pose((1.5 + float(rng.choice([-1, 0, 1])), float(rng.choice([-1, 1])), 1.55), 0.0, 0.0, 0.0)
    away[:3, 3] = pose[:3, 3] + (away[:3, 3] - pose[:3, 3]) / np.linalg.norm(away[:3, 3] - pose[:3, 3])
    away[:3, :3] = pose[:3, :3]
    day = renderer.render(scene, pose, TIME, "day-clear").image
    instance = _object(renderer, scene, pose, rng)
    for condition in TARGET_CONDITIONS:
        look: Any = FRAME_CONDITIONS[condition]
        true = renderer.render(scene, pose, TIME, look).image
        yield Case("true", condition, day, true, camera)
        yield Case("mirrored", condition, day, np.ascontiguousarray(true[:, ::-1]), camera)
        yield Case("shifted 3 %", condition, day, shifted(true, SHIFT * float(rng.choice([-1, 1]))), camera)
        yield Case("1 m away", condition, day, renderer.render(scene, away, TIME, look).image, camera)
        if condition in others:
            yield Case("another scene", condition, day, others[condition], camera)
        others[condition] = true
        if instance is not None:
            gone = scene.with_instance_moved(instance, None)
            yield Case("object removed", condition, day, renderer.render(gone, pose, TIME, look).image, camera)
            yield Case("object added", condition, renderer.render(gone, pose, TIME, "day-clear").image, true, camera)
            moved = scene.with_instance_moved(instance, _aside(base, rng))
            yield Case("object moved", condition, day, renderer.render(moved, pose, TIME, look).image, camera)


def _object(renderer: Renderer, scene: Scene, pose: Matrix, rng: np.random.Generator) -> int | None:
    instances = renderer.render_truth(scene, pose, TIME).instance
    numbers, counts = np.unique(instances[instances > 0], return_counts=True)
    large = numbers[(counts >= SMALLEST_OBJECT * instances.size) & (counts < 0.3 * instances.size)]
    large = large[np.isin(large, list(scene.movable_instances(TIME)))]
    return int(rng.choice(large)) if large.size else None


def _aside(base: Matrix, rng: np.random.Generator) -> Matrix:
    """1.5 to 3 m along and across the road."""
    motion = np.eye(4)
    motion[:3, 3] = base[:3, :3] @ (rng.uniform(-2, 2), rng.choice([-1, 1]) * rng.uniform(1.5, 2.5), 0.0)
    return motion


def badness(name: str, value: float) -> float:
    """Higher is worse."""
    return -value if name in LOWER_IS_WORSE else value


def area_under_curve(good: np.ndarray, bad: np.ndarray) -> float:
    """Chance that a bad one scores worse than a good one."""
    return float(((bad[:, None] > good[None]).mean() + (bad[:, None] >= good[None]).mean()) / 2)


def report(rows: list[dict[str, Any]], model: str | None) -> str:
    """Markdown: shares accepted and rejected, and each score alone."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    lines = [f"# The gate on the rendered world, depth by {model or 'no network'}", "", "Share rejected (of `true`: accepted)", ""]
    lines += ["| kind | " + " | ".join(TARGET_CONDITIONS) + " | all |", "|---" * (len(TARGET_CONDITIONS) + 2) + "|"]
    for kind in kinds:
        cells = []
        for condition in (*TARGET_CONDITIONS, None):
            found = [bool(row["reasons"]) for row in rows if row["kind"] == kind and condition in (row["condition"], None)]
            share = np.mean(found) if found else np.nan
            cells.append(f"{1 - share if kind == 'true' else share:.1%} ({len(found)})")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    lines += ["", "Area under the ROC of each score alone; rejected at the threshold that lets 95 % of true ones pass", ""]
    scores = [name for name in GateScores._fields if rows[0]["scores"][name] is not None]
    lines += ["| kind | " + " | ".join(scores) + " |", "|---" * (len(scores) + 1) + "|"]
    for kind in kinds[1:]:
        cells = []
        for name in scores:
            good, bad = (values_of(rows, which, name) for which in ("true", kind))
            cells.append(f"{area_under_curve(good, bad):.3f}, {(bad > np.percentile(good, 95)).mean():.0%}")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "![ROC of each score](roc.png)", ""])


def values_of(rows: list[dict[str, Any]], kind: str, name: str) -> np.ndarray:
    """Badness of one kind by one score."""
    return np.array([badness(name, row["scores"][name]) for row in rows if row["kind"] == kind])


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """roc.png: a panel a score, a curve a kind."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))[1:]
    scores = [name for name in GateScores._fields if rows[0]["scores"][name] is not None]
    figure, axes = plt.subplots(1, len(scores), figsize=(3.4 * len(scores), 3.6), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], scores, strict=True):
        good = values_of(rows, "true", name)
        limits = np.sort(np.concatenate([good, *(values_of(rows, kind, name) for kind in kinds)]))[::-1]
        for kind in kinds:
            bad = values_of(rows, kind, name)
            axis.plot([(good > limit).mean() for limit in limits], [(bad > limit).mean() for limit in limits], label=kind)
        axis.set(title=name, xlabel="true ones rejected")
    axes[0][0].set_ylabel("wrong ones rejected")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    """Render, judge, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="depth network of the gate: a checkpoint folder or a Hub id")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first-scene", type=int, default=600_000, help="train on others")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--config", type=Path, help="thresholds, as of ssd-depth synthesize")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as gate.change_detector=null")
    arguments = parser.parse_args()
    config = load_configuration(SynthesisConfig, arguments.config, arguments.overrides).gate
    network = None
    if arguments.model:
        plain = DepthEstimator.load(arguments.model)
        network = DepthEstimator.load(arguments.model, input_size=plain.fitting_input_size((WIDTH, HEIGHT)))
    detector = None if config.change_detector is None else load_change_detector(config.change_detector)
    gate = GeometryGate(config, network, detector)
    rows: list[dict[str, Any]] = []
    others: dict[TargetCondition, Image] = {}
    for seed in track(range(arguments.first_scene, arguments.first_scene + arguments.scenes)):
        for case in cases_of(seed, others):
            scores = gate.score(case.source, case.shown, case.camera)
            reasons = reasons_against(scores, config.thresholds(case.condition))
            rows.append(
                {"seed": seed, "kind": case.kind, "condition": case.condition, "scores": scores._asdict(), "reasons": list(reasons)}
            )
    rows.sort(key=lambda row: row["kind"] != "true")
    arguments.out.mkdir(parents=True, exist_ok=True)
    atomic_write_text(arguments.out / "scores.json", json.dumps(rows, indent=1))
    draw_curves(rows, arguments.out / "roc.png")
    text = report(rows, network.model_id if network else None)
    atomic_write_text(arguments.out / "report.md", text)
    print(text)


if __name__ == "__main__":
    main()
