# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth evaluate`: a model against the lidar of a recording or data set, beside guesses that never look at the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ssd_core.command_line.terminal import frame_progress, parse_size, split_names

if TYPE_CHECKING:
    from ssd_core.data.frame import Frame, FrameSource
    from ssd_core.evaluation.baselines import CameraPrior
    from ssd_core.evaluation.evaluation import EvaluationConfiguration, FrameRecord
    from ssd_core.evaluation.protocol import DepthPredictor, DepthRange
    from ssd_core.evaluation.report import DataDescription, EvaluatedModel
    from ssd_core.runtime.estimator import DepthEstimator


def evaluate(
    data: Annotated[
        Path, typer.Option(help="A bag, nuScenes, RobotCar, KITTI raw, DGP, or a frame dataset, with lidar.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report; a second run goes on where the first ended.", show_default=False)],
    model: Annotated[str, typer.Option(help="bundled, a checkpoint folder, or a Hub id.")] = "bundled",
    backend: Annotated[str, typer.Option(help="auto, tensorrt, openvino or torch.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    input_size: Annotated[str | None, typer.Option(metavar="WxH", help="Network input, multiples of 14; default fits the aspect.")] = None,
    cap: Annotated[float, typer.Option(min=0.1, help="Farthest truth that counts, metres; predictions are clamped to it.")] = 80.0,
    min_depth: Annotated[float, typer.Option(min=1e-3, help="Nearest truth that counts, metres.")] = 0.1,
    split: Annotated[
        str | None, typer.Option(help="Of a data set: train, val, ..., or RobotCar lists; default: nuScenes v1.0-trainval val, else all.")
    ] = None,
    cameras: Annotated[list[str] | None, typer.Option(help="Only these cameras: A,B or several times.")] = None,
    condition: Annotated[list[str] | None, typer.Option(help="Only these conditions: day-clear,night,... or several times.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="That many frames, spread evenly.")] = None,
    baselines: Annotated[bool, typer.Option(help="Also measure constant, row prior and ray-angle prior.")] = True,
    baseline_data: Annotated[
        Path | None, typer.Option(help="Learn baselines from this other recording instead of rendered streets.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")] = False,
) -> None:
    """Measure a model's depth: report.md, report.json, and pictures of the best, median and worst frame."""
    from ssd_core.data.source import open_source
    from ssd_core.evaluation.evaluation import choose_frames, evaluate_to_folder
    from ssd_core.evaluation.protocol import DepthRange
    from ssd_core.evaluation.published import published_rows
    from ssd_core.evaluation.report import MODEL, make_report, print_report, write_report
    from ssd_core.evaluation.sheet import write_sheets
    from ssd_core.storage.configuration import validate_configuration

    console, messages = Console(), Console(stderr=True)
    depth_range = validate_configuration(DepthRange, {"min_depth": min_depth, "cap": cap}, "--min-depth, --cap")
    source = open_source(data, split_names(cameras), split=split)
    try:
        conditions = split_names(condition)
        frames = choose_frames(source.frames(), None, conditions, limit)
        priors, learnt_from = _learn(messages, frames, data, baseline_data, depth_range) if baselines else ([], None)
        estimator = _load(model, backend, precision, input_size, frames)
        if not estimator.is_trained:
            messages.print(
                "[bold white on red] UNTRAINED WEIGHTS [/] [bold red]this model's weights are random: its depth means nothing.[/]"
            )
        predictors: dict[str, DepthPredictor] = {MODEL: estimator, **{prior.name: prior for prior in priors}}
        configuration = _configuration(data, frames, predictors, estimator, depth_range)
        with _Bar(messages, len(frames)) as bar:
            records = evaluate_to_folder(source, frames, predictors, configuration, out, overwrite, bar.step)
        sheets = write_sheets(source, frames, records, estimator, MODEL, depth_range, out)
        selected = _selected(frames, conditions, limit)
        comparison = published_rows(source, records, depth_range)
        report = make_report(
            configuration,
            _describe(source, data, frames, selected),
            _describe_model(estimator),
            records,
            comparison,
            learnt_from,
            source.warnings,
        )
        estimator.close()
    finally:
        source.close()
    write_report(report, out, sheets)
    print_report(report, console)
    messages.print(f"-> {out / 'report.md'}", highlight=False, soft_wrap=True, markup=False)


def _load(model: str, backend: str, precision: str, input_size: str | None, frames: Sequence[Frame]) -> DepthEstimator:
    """At the given input size, or the one that fits the first camera's aspect."""
    from ssd_core.runtime.estimator import DepthEstimator, fitting_input_size

    size = parse_size(input_size) if input_size else fitting_input_size(model, (frame.camera for frame in frames))
    return DepthEstimator.load(model, backend, size, precision)


def _learn(
    messages: Console, frames: Sequence[Frame], data: Path, baseline_data: Path | None, depth_range: DepthRange
) -> tuple[list[CameraPrior], str]:
    """Priors, and in words what they were learnt from."""
    from ssd_core.data.source import open_source
    from ssd_core.evaluation.baselines import learn_baselines
    from ssd_core.evaluation.learning_data import RENDERED_SEEDS, LearningDataError, recorded_samples, rendered_samples

    if baseline_data is not None:
        if baseline_data.resolve() == data.resolve():
            raise LearningDataError(f"--baseline-data {baseline_data}: baselines must learn from other data than they are measured on")
        other = open_source(baseline_data)
        try:
            samples = recorded_samples(other, other.frames())
        finally:
            other.close()
        return learn_baselines(samples, depth_range.min_depth, depth_range.cap), f"the lidar of {baseline_data}"
    surround = len({frame.camera_name for frame in frames}) > 1
    try:
        with frame_progress(messages, transient=True) as progress:
            task = progress.add_task("rendering streets for the baselines", total=len(RENDERED_SEEDS))
            samples = rendered_samples(surround, on_street=lambda: progress.advance(task))
    except LearningDataError as error:
        raise LearningDataError(f"{error}. Go without them (--no-baselines) or learn them from a recording (--baseline-data)") from error
    mounted = "all six cameras" if surround else "the front camera"
    return learn_baselines(
        samples, depth_range.min_depth, depth_range.cap
    ), f"lidar depth in {len(RENDERED_SEEDS)} rendered streets, {mounted}"


def _configuration(
    data: Path, frames: Sequence[Frame], predictors: dict[str, DepthPredictor], estimator: DepthEstimator, depth_range: DepthRange
) -> EvaluationConfiguration:
    from ssd_core.evaluation.evaluation import EvaluationConfiguration, frames_hash

    return EvaluationConfiguration(
        data=str(data.resolve()),
        frames=len(frames),
        frames_hash=frames_hash(frames),
        depth_range=depth_range,
        predictors={name: predictor.model_id for name, predictor in predictors.items()},
        input_size=estimator.input_size,
        backend=estimator.backend,
        precision=estimator.precision,
    )


def _selected(frames: Sequence[Frame], conditions: Sequence[str] | None, limit: int | None) -> list[str]:
    selected = [f"only {', '.join(conditions)}"] if conditions else []
    if limit is not None and len(frames) == limit:
        selected.append(f"{limit} frames spread evenly")
    return selected


def _describe(source: FrameSource, path: Path, frames: Sequence[Frame], selected: list[str]) -> DataDescription:
    from ssd_core.evaluation.report import DataDescription

    kind = type(source).__name__
    version = getattr(source, "version", "")
    return DataDescription(
        path=str(path.resolve()),
        kind=f"{_KINDS.get(kind, kind)} {version}".strip(),
        split=str(getattr(source, "split", "all")),
        cameras=sorted({frame.camera_name for frame in frames}),
        selected=selected,
    )


_KINDS = {
    "BagFrames": "bag",
    "NuScenesFrames": "nuScenes",
    "KittiFrames": "KITTI raw",
    "DgpFrames": "DGP",
    "RobotCarFrames": "Oxford RobotCar",
    "FrameDataset": "frame dataset",
    "ImageFolder": "folder of images",
    "Video": "video",
}


def _describe_model(estimator: DepthEstimator) -> EvaluatedModel:
    from ssd_core.evaluation.report import EvaluatedModel

    return EvaluatedModel(
        checkpoint=estimator.model_id,
        kind=estimator.kind,
        is_trained=estimator.is_trained,
        input_size=estimator.input_size,
        backend=estimator.backend,
        precision=estimator.precision,
    )


class _Bar:
    """Progress over frames with the model's running raw absRel."""

    def __init__(self, console: Console, total: int) -> None:
        self._progress = frame_progress(console)
        self._task = self._progress.add_task("evaluating", total=total)
        self._sum, self._count = 0.0, 0

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, record: FrameRecord) -> None:
        """One frame is done."""
        scores = record.scores.get("model")
        if scores is not None and "raw" in scores.metrics:
            self._sum, self._count = self._sum + scores.metrics["raw"]["abs_rel"], self._count + 1
        text = f"evaluating, absRel {self._sum / self._count:.3f}" if self._count else "evaluating"
        self._progress.update(self._task, advance=1, description=text)
