# SPDX-License-Identifier: Apache-2.0
"""What an experiment refuses before anything is trained: results and runs that its table would mix with others, and absent teachers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ssd_core.evaluation.ablation import Results, read_results
from ssd_core.model.checkpoint import WEIGHTS_FILE
from ssd_core.storage.configuration import ConfigurationError, configuration_differences, read_values
from ssd_core.training.experiment import (
    ROW_PRIOR,
    TEACHER_FILE,
    ExperimentConfig,
    Job,
    Places,
    describe_origin,
    hash_weights,
    resolve_recipe,
)
from ssd_core.training.run import CONFIGURATION_FILE

_SHOWN = 4
"""Differences that an error lists."""


def check_results(config: ExperimentConfig, places: Places) -> None:
    """Raises ConfigurationError where the results there are don't belong into one table: of another recipe, test or world than the
    experiment's now, or, with the same seed, of students of different teachers.
    """
    results = read_results(places.results)
    changed = {
        path: differences for path, old, new in _origins(config, places, results) if (differences := configuration_differences(old, new))
    }
    if changed:
        first, *others = changed
        also = f" (as {_names(others)})" if others else ""
        raise ConfigurationError(
            f"{first}{also}: made otherwise than the experiment would make it now: {_listed(changed[first])}. "
            f"Fix: move the old results away, and their runs out of {places.runs}; or restore the recipe"
        )
    for runs in _students(config, results).values():
        if len(runs) > 1:
            raise ConfigurationError(
                f"{places.results}: {_names([places.result(run) for run in runs.values()])} are of students of different teachers, "
                "which a table doesn't compare. Fix: move those of one teacher away"
            )


def check_runs(jobs: Sequence[Job], config: ExperimentConfig, places: Places) -> None:
    """Raises ConfigurationError where jobs can't be run: a run was begun with another recipe or teacher, or the teacher has its result, but
    no weights here, or others than those that judged students learnt from.
    """
    results = read_results(places.results)
    for job in jobs:
        _check_recipe(job, places)
        if job.teachers_run is not None and places.result(job.teachers_run).exists():
            _check_teacher(job, config, places, results)


def _origins(config: ExperimentConfig, places: Places, results: Results) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Each result's file, what it says it is of, and what it would be of now."""
    for name, found in results.items():
        for result in found:
            if name == ROW_PRIOR:
                path, now = places.result(ROW_PRIOR), describe_origin(config, None)
            elif name in config.rows:
                job = Job(name, config.rows[name], result.seed)
                path, now = places.result(job.run), describe_origin(config, resolve_recipe(job, places))
            else:
                # No line of the table.
                continue
            yield path, {field: getattr(result, field) for field in now}, now


def _check_recipe(job: Job, places: Places) -> None:
    """A run goes on where it stopped, so what it was begun with must be the recipe of now."""
    path = places.runs / job.run / CONFIGURATION_FILE
    if not path.exists() or not places.weights(job.run).exists():
        return
    begun = {key: value for key, value in read_values(path).items() if key not in ("git_revision", "teacher")}
    differences = configuration_differences(begun, resolve_recipe(job, places).model_dump(mode="json", exclude={"teacher"}))
    if differences:
        raise ConfigurationError(
            f"{path.parent}: was trained by another recipe than {job.run} has now: {_listed(differences)}. "
            "Fix: move the folder away, or restore the recipe"
        )


def _check_teacher(job: Job, config: ExperimentConfig, places: Places, results: Results) -> None:
    assert job.row.teacher is not None and job.teachers_run is not None
    folder = places.weights(job.teachers_run)
    students = [Job(name, row, job.seed).run for name, row in config.rows.items() if row.teacher == job.row.teacher]
    judged = [path for run in (job.teachers_run, *students) if (path := places.result(run)).exists()]
    fix = f"Fix: bring it from where it was trained, or move {_names(judged)} away, so that all of them are trained again"
    if not (folder / WEIGHTS_FILE).exists():
        raise ConfigurationError(f"{folder}: missing, though {job.run} learns from it and {judged[0].name} is there. {fix}")
    _check_recipe(Job(job.row.teacher, config.rows[job.row.teacher], job.seed), places)
    weights = hash_weights(folder)
    for learnt_from, run in _students(config, results).get((job.row.teacher, job.seed), {}).items():
        if learnt_from != weights:
            raise ConfigurationError(f"{folder}: not the teacher that {run} learnt from, with which {job.run} is compared. {fix}")
    noted = places.runs / job.run / TEACHER_FILE
    if noted.exists() and noted.read_text().strip() != weights:
        raise ConfigurationError(f"{noted.parent}: was begun with another teacher than {folder}. Fix: move the folder away")


def _students(config: ExperimentConfig, results: Results) -> dict[tuple[str, int], dict[str, str]]:
    """By the teacher's row and seed: each hash of its weights that a student's result knows, with the first such run."""
    known: dict[tuple[str, int], dict[str, str]] = {}
    for name, row in config.rows.items():
        for result in results.get(name, []):
            if row.teacher is not None and result.teacher is not None:
                known.setdefault((row.teacher, result.seed), {}).setdefault(result.teacher, Job(name, row, result.seed).run)
    return known


def _listed(differences: Sequence[str]) -> str:
    more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return ", ".join(differences[:_SHOWN]) + more


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)
