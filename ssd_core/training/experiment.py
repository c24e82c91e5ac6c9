# SPDX-License-Identifier: Apache-2.0
"""An ablation as jobs: a row and a seed each, trained, judged on scenes that nothing else sees, and kept as one small file.

A job whose file is there is done, so an experiment may be spread over many sittings and machines, and its table is made from the files.
A file says what made it; `experiment_checks.py` refuses what doesn't belong together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
from rich.console import Console

from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.evaluation.ablation import ConditionErrors, JobResult
from ssd_core.model.checkpoint import WEIGHTS_FILE, open_checkpoint
from ssd_core.road_world import REVISION
from ssd_core.storage.atomic_write import atomic_write_text
from ssd_core.storage.configuration import ConfigurationError, StrictModel, git_revision
from ssd_core.training.depth_network import predict_metres
from ssd_core.training.run import alone_in, data_folder, load_recipe, run_training
from ssd_core.training.student import StudentConfig
from ssd_core.training.teacher import TeacherConfig
from ssd_core.training.validation import DepthJudge, FrameErrors, PredictDepth
from ssd_core.training.video import RecordedVideo, open_video

ROW_PRIOR = "row_prior"
"""The baseline's name among the results."""

TEACHER_FILE = "teacher.sha256"
"""In a student's run: which weights it learns from."""


class Row(StrictModel):
    """What is trained; a line of the table for all its seeds together."""

    says: str
    """What it is, in words, for the table."""
    recipe: Path
    """Beside the experiment's file."""
    changes: tuple[str, ...] = ()
    """Overrides of the recipe, `key=value`; the seed is the job's."""
    teacher: str | None = None
    """For a student: the row whose run with the same seed it learns from."""
    translator: str | None = None
    """For a student: whose translations it is shown; they are made before (`ssd-depth synthesize`). None: the rendered ones."""
    against: tuple[str, ...] = ()
    """Rows that the table compares it with, scene by scene."""


class ExperimentConfig(StrictModel):
    """Rows, in an order in which teachers come first; every one with every seed."""

    seeds: tuple[pydantic.NonNegativeInt, ...] = pydantic.Field(min_length=1)
    test: RenderedSequences | RecordedVideo
    """On which everything is judged, and nothing is trained or chosen."""
    rows: dict[str, Row] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="after")
    def _names_earlier_rows(self) -> ExperimentConfig:
        earlier: set[str] = set()
        for name, row in self.rows.items():
            if row.teacher is not None and row.teacher not in earlier:
                raise ValueError(f"rows.{name}.teacher: {row.teacher!r} is no row above it")
            unknown = set(row.against) - self.rows.keys() - {ROW_PRIOR}
            if unknown:
                raise ValueError(f"rows.{name}.against: there is no row {', '.join(sorted(unknown))}")
            earlier.add(name)
        return self


class Job(NamedTuple):
    """One run."""

    name: str
    row: Row
    seed: int

    @property
    def run(self) -> str:
        """Name of its folder and of its result."""
        return f"{self.name}_{self.seed}"

    @property
    def teachers_run(self) -> str | None:
        """The run that it learns from."""
        return None if self.row.teacher is None else f"{self.row.teacher}_{self.seed}"


class Places(NamedTuple):
    """Where recipes, runs and results are."""

    recipes: Path
    runs: Path
    results: Path

    def result(self, run: str) -> Path:
        """The file of a finished job."""
        return self.results / f"{run}.json"

    def weights(self, run: str) -> Path:
        """The checkpoint that a run ends with."""
        return self.runs / run / "last"


def all_jobs(config: ExperimentConfig, rows: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Job]:
    """Seed by seed, so that the first table is there early; `rows`: only these, with the rows that they learn from; `seeds`: only these.

    Raises ConfigurationError for a row or a seed that isn't there.
    """
    unknown = set(rows) - config.rows.keys()
    if unknown:
        raise ConfigurationError(f"there is no row {', '.join(sorted(unknown))}; there is {', '.join(config.rows)}")
    unplanned = set(seeds) - set(config.seeds)
    if unplanned:
        raise ConfigurationError(f"there is no seed {', '.join(map(str, sorted(unplanned)))}; there is {', '.join(map(str, config.seeds))}")
    wanted = set(rows or config.rows)
    # From below, since teachers stand above, and may have teachers themselves.
    for name, row in reversed(config.rows.items()):
        wanted |= {row.teacher} if name in wanted and row.teacher is not None else set()
    chosen = [seed for seed in config.seeds if not seeds or seed in seeds]
    return [Job(name, row, seed) for seed in chosen for name, row in config.rows.items() if name in wanted]


def resolve_recipe(job: Job, places: Places) -> TeacherConfig | StudentConfig:
    """With the job's changes. Raises ConfigurationError for a recipe that isn't learnt from video."""
    recipe = places.recipes / job.row.recipe
    learning = load_recipe(recipe, _changes(job, places))
    if not isinstance(learning, TeacherConfig | StudentConfig):
        raise ConfigurationError(f"{recipe}: rows of an experiment learn from video, not {learning.task}")
    return learning


def describe_origin(config: ExperimentConfig, learning: TeacherConfig | StudentConfig | None) -> dict[str, Any]:
    """Fields of `JobResult` that say what made it, but for code and teacher. None: the row prior, which has no recipe."""
    recipe = {} if learning is None else learning.model_dump(mode="json", exclude={"teacher"})
    return {"world": REVISION, "test": config.test.model_dump(mode="json"), "recipe": recipe}


def hash_weights(folder: Path) -> str:
    """SHA-256 of a checkpoint's weights alone: judging a finished run again writes its ssd.json with another git revision."""
    return hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()


def run_job(
    job: Job, config: ExperimentConfig, places: Places, console: Console, translate: Callable[[Path, str], None] | None = None
) -> bool:
    """Train, unless that was done, judge, and write the result; True once it is there, False where the recipe's time ended before.

    translate: called with the folder of the training data and the name of the row's translator before training.
    Raises ConfigurationError for a recipe that isn't learnt from video, and what training raises.
    """
    folder, learning, teacher = places.runs / job.run, resolve_recipe(job, places), None
    if job.teachers_run is not None:
        teacher = hash_weights(places.weights(job.teachers_run))
        atomic_write_text(folder / TEACHER_FILE, teacher + "\n")
    if job.row.translator is not None and translate is not None:
        for source in learning.data.train:
            recording = data_folder(source, console)
            # Jobs of other seeds, in processes of their own, want the same translations.
            with alone_in(recording, "translates", console):
                translate(recording, job.row.translator)
    trainer, _ = run_training(places.recipes / job.row.recipe, folder, _changes(job, places), console)
    if not trainer.is_finished:
        return False
    model = open_checkpoint(places.weights(job.run)).load_model()
    judge = _judge(config, learning, model.description.input_size, model.description.farthest, console)
    result = JobResult(
        row=job.name,
        seed=job.seed,
        git_revision=git_revision(),
        teacher=teacher,
        **describe_origin(config, learning),
        scenes=_by_scene(judge.measure(lambda sample: predict_metres(model, sample))),
    )
    _write(places.result(job.run), result)
    prior = judge.row_prior()
    if prior is not None and not places.result(ROW_PRIOR).exists():
        _write(places.result(ROW_PRIOR), _of_prior(result, judge, prior))
    return True


def _changes(job: Job, places: Places) -> list[str]:
    """Overrides of the row's recipe."""
    changes = [*job.row.changes, f"loop.seed={job.seed}"]
    if job.teachers_run is not None:
        changes.append(f"teacher={json.dumps(str(places.weights(job.teachers_run)))}")
    if job.row.translator is not None:
        changes.append(f"data.translator={job.row.translator}")
    return changes


def _judge(
    config: ExperimentConfig, learning: TeacherConfig | StudentConfig, size: tuple[int, int], farthest: float, console: Console
) -> DepthJudge:
    videos = [open_video(source, data_folder(source, console)) for source in learning.data.train]
    test = open_video(config.test, data_folder(config.test, console))
    return DepthJudge([test], videos, len(test.frames), size, farthest)


def _of_prior(result: JobResult, judge: DepthJudge, prior: PredictDepth) -> JobResult:
    return result.model_copy(update={"row": ROW_PRIOR, "seed": 0, "teacher": None, "recipe": {}, "scenes": _by_scene(judge.measure(prior))})


def _by_scene(frames: Iterator[FrameErrors]) -> dict[str, dict[str, ConditionErrors]]:
    collected: dict[str, dict[str, list[FrameErrors]]] = {}
    for errors in frames:
        collected.setdefault(errors.sequence, {}).setdefault(errors.condition, []).append(errors)
    return {
        scene: {condition: _mean(errors) for condition, errors in conditions.items()} for scene, conditions in sorted(collected.items())
    }


def _mean(errors: Sequence[FrameErrors]) -> ConditionErrors:
    def mean(name: str) -> float:
        return round(float(sum(getattr(frame, name) for frame in errors)) / len(errors), 5)

    return ConditionErrors(frames=len(errors), abs_rel=mean("abs_rel"), abs_rel_median=mean("abs_rel_median"), d1=mean("d1"))


def _write(path: Path, result: JobResult) -> None:
    values: dict[str, Any] = result.model_dump(mode="json")
    atomic_write_text(path, json.dumps(values, indent=1) + "\n")
