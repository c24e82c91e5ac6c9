# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a run: the right task for the configuration, its rendered data, and the resolved configuration beside the result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ssd_core.data.rendered import RenderPlan, render_frames
from ssd_core.road_world import REVISION
from ssd_core.runtime.engine_cache import default_cache_folder
from ssd_core.storage.configuration import load_configuration, save_configuration
from ssd_core.training.supervised import SupervisedConfig, SupervisedTask
from ssd_core.training.trainer import Trainer


def run_training(recipe: Path, out: Path, overrides: Sequence[str], console: Console) -> tuple[Trainer, dict[str, float]]:
    """Train as the recipe says; returns the trainer and the last validation's figures.

    Raises ConfigurationError naming the key path, DataError, ModelLoadError, or TrainingError.
    """
    config = load_configuration(SupervisedConfig, recipe, overrides)
    train = [_folder_of(source, console) for source in config.data.train]
    validation = [_folder_of(source, console) for source in config.data.validation]
    save_configuration(out / "configuration.yaml", config)
    trainer = Trainer(SupervisedTask(config, train, validation), config.loop, out, console)
    return trainer, trainer.run()


def _folder_of(source: Path | RenderPlan, console: Console) -> Path:
    """A dataset's folder; a plan is rendered into the cache first, once for all runs with the same plan."""
    if isinstance(source, Path):
        return source
    plan = {"revision": REVISION, **source.model_dump(mode="json")}
    key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:12]
    folder = default_cache_folder() / "rendered" / f"scenes_{source.first_scene}_{source.scenes}_{key}"
    with Progress(console=console) as progress:
        bar = progress.add_task(f"rendering {source.scenes} scenes from {source.first_scene}", total=1)
        render_frames(source, folder, lambda done, total: progress.update(bar, completed=done, total=total))
    return folder
