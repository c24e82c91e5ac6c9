# SPDX-License-Identifier: Apache-2.0
"""The `ssd-depth` command: one subcommand a file of this folder."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from ssd_core.command_line.dataset import dataset
from ssd_core.command_line.doctor import doctor
from ssd_core.command_line.evaluate import evaluate
from ssd_core.command_line.experiment import experiment
from ssd_core.command_line.export import export
from ssd_core.command_line.extract import extract
from ssd_core.command_line.nuscenes_to_bag import nuscenes_to_bag
from ssd_core.command_line.predict import predict
from ssd_core.command_line.render import render
from ssd_core.command_line.render_dataset import render_dataset
from ssd_core.command_line.render_sheet import render_sheet
from ssd_core.command_line.synthesize import synthesize
from ssd_core.command_line.terminal import tell
from ssd_core.command_line.train import train

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Metric depth from one camera, at night and in rain.")
app.command()(predict)
app.command()(evaluate)
app.command()(extract)
app.command()(nuscenes_to_bag)
app.add_typer(dataset, name="dataset")
app.command()(render)
app.command()(render_dataset)
app.command()(render_sheet)
app.command()(train)
app.command()(experiment)
app.command()(synthesize)
app.command()(export)
app.command()(doctor)


def main() -> None:
    """Run the command; errors that the user can mend are one line, not a traceback."""
    try:
        app()
    except (OSError, ValueError, FloatingPointError) as error:
        tell(Console(stderr=True), "error", error, "bold red")
        sys.exit(1)
