# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth train`: a recipe, a folder for everything that comes of it, and overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def train(
    config: Annotated[Path, typer.Option(help="A recipe (YAML); see training/recipes.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, curves and pictures; an unfinished run there goes on.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as loop.steps=2000 data.noise=0.")] = None,
) -> None:
    """Train a network; run the same command again to go on after a stop."""
    from ssd_core.training.run import run_training

    console = Console()
    trainer, figures = run_training(config, out, overrides or [], console)
    text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    state = trainer.progressed
    best = f"best {state.best:.4f} at step {state.best_step}" if state.best is not None else "not validated yet"
    console.print(f"step {state.step} of {trainer.loop.steps}; {best}; {text}", highlight=False)
    if not trainer.is_finished:
        console.print(f"not finished; run the same command again to go on from step {state.step}", highlight=False)
    weights = " and ".join(str(out / name) for name in ("best", "last") if (out / name).is_dir())
    curves = f"; curves: {out / 'history.png'}" if (out / "history.png").is_file() else ""
    console.print(f"weights: {weights or 'none yet'}{curves}", highlight=False, soft_wrap=True, markup=False)
