# SPDX-License-Identifier: Apache-2.0
"""What the subcommands share: reading option texts, and speaking on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


def frame_progress(console: Console, transient: bool = False) -> Progress:
    """A bar with counts, the time it took and the time that is left; a transient one goes when it is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=transient)


def tell(console: Console, kind: str, sentence: object, style: str) -> None:
    """`kind: sentence` on one line, the kind in a style. The sentence is printed as it is: paths may hold what rich takes for markup."""
    console.print(Text.assemble((f"{kind}:", style), f" {sentence}"), soft_wrap=True)


def split_names(texts: Sequence[str] | None) -> list[str] | None:
    """The names of an option that is given once ("a, b") or several times; None where it names nothing."""
    return [name.strip() for text in texts or () for name in text.split(",") if name.strip()] or None


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "448x252". Raises ValueError naming --input-size."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"--input-size {text}: write WIDTHxHEIGHT, such as 448x252")
    return int(width), int(height)
