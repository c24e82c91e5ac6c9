# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth experiment`: the rows of an ablation, seed by seed, and their table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ssd_core.training.experiment import ExperimentConfig

TABLE_FILE = "table.md"


def experiment(
    config: Annotated[Path, typer.Option(help="Rows, seeds and test scenes (YAML); see training/experiment.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs; unfinished ones go on.")],
    results: Annotated[Path, typer.Option(help="Folder of the results, a file a job; a job whose file is there is done.")],
    row: Annotated[list[str] | None, typer.Option(help="Only this row and the one it learns from; may be given again.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this one; may be given again. A process a seed uses several cores.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Begin no further job after so long; 0 writes the table only.")] = None,
) -> None:
    """Train and judge what is missing; after each job table.md and table.png are beside the results. Run it again to go on after a stop.

    Results and runs of another recipe than now, and students without their teacher's weights, are refused before anything is trained.
    """
    from ssd_core.storage.configuration import load_configuration
    from ssd_core.training.experiment import ExperimentConfig, Places, all_jobs, run_job
    from ssd_core.training.experiment_checks import check_results, check_runs

    console = Console()
    settings = load_configuration(ExperimentConfig, config)
    places = Places(config.parent, out, results)
    check_results(settings, places)
    jobs = [job for job in all_jobs(settings, row or [], seed or []) if not places.result(job.run).exists()]
    if minutes != 0:
        check_runs(jobs, settings, places)
    started, left = time.monotonic(), len(jobs)
    for job in jobs:
        if minutes is not None and time.monotonic() - started >= 60 * minutes:
            break
        if job.teachers_run is not None and not places.result(job.teachers_run).exists():
            # Its training was stopped by the recipe's `minutes`.
            continue
        # A teacher of this sitting has its weights only now.
        check_runs([job], settings, places)
        console.rule(f"{job.row.says}, seed {job.seed}")
        if run_job(job, settings, places, console, _translate):
            left -= 1
            console.print(_write_table(settings, results), highlight=False, markup=False, soft_wrap=True)
    if left == len(jobs):
        console.print(_write_table(settings, results), highlight=False, markup=False, soft_wrap=True)
    if left:
        console.print(f"jobs left: {left}; run the same command again", highlight=False)
    console.print(f"-> {results / TABLE_FILE}", highlight=False, soft_wrap=True, markup=False)


def _write_table(settings: ExperimentConfig, results: Path) -> str:
    """Of all results there are, beside them; the text is returned."""
    from ssd_core.evaluation.ablation import draw_table, make_table, read_results
    from ssd_core.storage.atomic_write import atomic_write_text
    from ssd_core.training.experiment import ROW_PRIOR

    says = {ROW_PRIOR: "row prior, absRel-optimal", **{name: line.says for name, line in settings.rows.items()}}
    found = read_results(results)
    table = make_table(found, says, {name: line.against for name, line in settings.rows.items()})
    atomic_write_text(results / TABLE_FILE, table)
    draw_table((results / TABLE_FILE).with_suffix(".png"), found, says)
    return table


def _translate(folder: Path, translator: str) -> None:
    from ssd_core.command_line.synthesize import Target, TranslatorKind, synthesize

    synthesize(data=folder, translator=TranslatorKind(translator), condition=[Target.NIGHT, Target.RAIN], triplets=True)
