# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth doctor`: one page about this machine, for bug reports and for people whose node doesn't run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from ssd_core.diagnosis.finding import Finding

_STYLES = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


def doctor(
    model: Annotated[str, typer.Option(help="Look at this model too: bundled, a checkpoint folder, or a Hub id.")] = "bundled",
    cache: Annotated[Path | None, typer.Option(help="Folder for compiled networks; default: the user's cache.", show_default=False)] = None,
) -> None:
    """Look at GPU, processor, libraries, ROS, cache and model: OK, WARN or FAIL, and what mends it. Exit code 1 if anything is FAIL."""
    from ssd_core.diagnosis.examination import examine
    from ssd_core.diagnosis.finding import Level
    from ssd_core.diagnosis.machine import Machine
    from ssd_core.storage.cache_folder import default_cache_folder

    findings = examine(Machine(), model, cache or default_cache_folder())
    print_page(Console(), findings)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)


def print_page(console: Console, findings: Sequence[Finding]) -> None:
    """A line for each finding and one for its fix, unwrapped, so that the page can be pasted; the home folder is `~`."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        level = finding.level.value
        line = Text.assemble((f"{level:4}", _STYLES[level]), f"  {finding.subject:{width}}  {_one_line(finding.fact)}")
        console.print(line, soft_wrap=True)
        if finding.fix:
            console.print(Text(f"{'':{width + 8}}fix: {_one_line(finding.fix)}"), soft_wrap=True)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace(f"{Path.home()}/", "~/")
