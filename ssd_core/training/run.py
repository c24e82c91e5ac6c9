# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a run: the right task for the configuration, its rendered data, and the resolved configuration beside the result."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import filelock
from accelerate import PartialState
from rich.console import Console
from rich.progress import Progress

from ssd_core.data.rendered import ScenePlan, render_frames
from ssd_core.road_world import REVISION
from ssd_core.storage.cache_folder import default_cache_folder
from ssd_core.storage.configuration import (
    ConfigurationError,
    configuration_differences,
    read_values,
    save_configuration,
    validate_configuration,
)
from ssd_core.training.changes import ChangesConfig, ChangesTask
from ssd_core.training.student import StudentConfig, StudentTask
from ssd_core.training.supervised import SupervisedConfig, SupervisedTask
from ssd_core.training.teacher import TeacherConfig, TeacherTask
from ssd_core.training.trainer import STATE_FILE, Task, Trainer
from ssd_core.training.video import RecordedVideo

CONFIGURATION_FILE = "configuration.yaml"
"""In a run: what it was begun with, resolved."""
_MAY_CHANGE = re.compile(
    r"git_revision|teacher|loop\.(steps|minutes|workers|patience|precision|\w+_every)|model\.(start|encoder)|.*\.(path|translations)(\.\d+)?"
    r"|data\.(train|validation)\.\d+"
)
"""Keys that may differ when a run goes on: how long and how, and where things are by now."""
_PATIENCE = timedelta(days=1)
"""How long processes wait for the first one, which alone renders and validates; the default ends after ten minutes."""

Config = SupervisedConfig | TeacherConfig | StudentConfig | ChangesConfig
_CONFIGURATIONS: dict[str, type[SupervisedConfig] | type[TeacherConfig] | type[StudentConfig] | type[ChangesConfig]] = {
    "supervised": SupervisedConfig,
    "teacher": TeacherConfig,
    "student": StudentConfig,
    "changes": ChangesConfig,
}


def run_training(recipe: Path, out: Path, overrides: Sequence[str], console: Console) -> tuple[Trainer, dict[str, float]]:
    """Train as the recipe says; returns the trainer and the last validation's figures.

    Raises ConfigurationError naming the key path, also where `out` was begun with another recipe, DataError, ModelLoadError, or
    TrainingError.
    """
    config = load_recipe(recipe, overrides)
    _check_begun(out, config)
    PartialState(timeout=_PATIENCE)
    train = [data_folder(source, console) for source in config.data.train]
    validation = [data_folder(source, console) for source in config.data.validation]
    trainer = Trainer(_task(config, train, validation), config.loop, out, console)
    with trainer.alone():
        if PartialState().is_main_process:
            save_configuration(out / CONFIGURATION_FILE, config)
        return trainer, trainer.run()


def _check_begun(out: Path, config: Config) -> None:
    """Raise ConfigurationError where a run would go on with what it wasn't begun with: its weights would be of no recipe."""
    if not (out / STATE_FILE).exists() or not (out / CONFIGURATION_FILE).exists():
        return
    found = configuration_differences(read_values(out / CONFIGURATION_FILE), config.model_dump(mode="json"))
    # Keys that the code of then didn't know have their defaults.
    differences = [text for text in found if not _MAY_CHANGE.fullmatch(text.partition(": ")[0]) and ": nothing -> " not in text]
    if differences:
        raise ConfigurationError(
            f"{out}: was begun with another recipe: {'; '.join(differences[:4])}. Fix: give another folder, which may begin with these "
            f"weights (model.start={out / 'last'}), or the same recipe"
        )


def load_recipe(recipe: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of the recipe's task. Raises ConfigurationError naming the key path, FileNotFoundError."""
    values = read_values(recipe, overrides)
    task = values.get("task")
    if task not in _CONFIGURATIONS:
        raise ConfigurationError(f"{recipe}: task: one of {', '.join(_CONFIGURATIONS)} is expected (got {task!r})")
    return validate_configuration(_CONFIGURATIONS[task], values, str(recipe))


def _task(config: Config, train: Sequence[Path], validation: Sequence[Path]) -> Task:
    if isinstance(config, TeacherConfig):
        return TeacherTask(config, train, validation)
    if isinstance(config, StudentConfig):
        return StudentTask(config, train, validation)
    if isinstance(config, ChangesConfig):
        return ChangesTask(config, train, validation)
    return SupervisedTask(config, train, validation)


def data_folder(source: Path | ScenePlan | RecordedVideo, console: Console) -> Path:
    """Where a recording is; a plan is rendered into the cache first, once for all runs with the same plan."""
    if isinstance(source, Path):
        return source
    if isinstance(source, RecordedVideo):
        return source.path
    plan = {"revision": REVISION, **source.model_dump(mode="json")}
    key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:12]
    folder = default_cache_folder() / "rendered" / f"scenes_{source.first_scene}_{source.scenes}_{key}"
    # One more than there are cores: each waits now and then for pixels or the disk.
    workers = len(os.sched_getaffinity(0)) + 1
    folder.parent.mkdir(parents=True, exist_ok=True)
    # One process renders, the others wait and find it there: those of this run, and of other runs with the same plan.
    with PartialState().local_main_process_first(), alone_in(folder, "renders", console), Progress(console=console) as progress:
        bar = progress.add_task(f"rendering {source.scenes} scenes from {source.first_scene}", total=1)
        render_frames(source, folder, lambda done, total: progress.update(bar, completed=done, total=total), workers)
    return folder


@contextlib.contextmanager
def alone_in(folder: Path, does: str, console: Console) -> Iterator[None]:
    """While no other run does the same in the folder, such as "renders"; waits until it has ended."""
    lock = filelock.FileLock(folder.with_name(f".{folder.name}.{does}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        console.print(f"waiting for another run that {does} {folder}", soft_wrap=True, highlight=False, markup=False)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
