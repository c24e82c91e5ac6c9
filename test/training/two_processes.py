# SPDX-License-Identifier: Apache-2.0
"""Run as `two_processes.py RECIPE OUT`: one step of the recipe's training; the first process writes its gradients to OUT.

By itself it is one process; with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set it is one of several, as `accelerate launch`
starts them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from rich.console import Console

from ssd_core.training.run import load_recipe
from ssd_core.training.teacher import TeacherConfig, TeacherTask
from ssd_core.training.trainer import Trainer


def main(recipe: Path, out: Path) -> None:
    """Take the step."""
    torch.set_num_threads(1)
    config = load_recipe(recipe)
    assert isinstance(config, TeacherConfig)
    folders = [source.path for source in config.data.train if hasattr(source, "path")]
    trainer = Trainer(TeacherTask(config, folders, folders), config.loop, out.parent / "run", Console(quiet=True))
    trainer._prepared.zero_grad = lambda: None
    trainer._step(next(trainer._steps()))
    if trainer.accelerator.is_main_process:
        gradients = {name: value.grad for name, value in trainer.task.module.named_parameters() if value.grad is not None}
        torch.save({"processes": trainer.accelerator.num_processes, "gradients": gradients}, out)
    trainer.accelerator.wait_for_everyone()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
