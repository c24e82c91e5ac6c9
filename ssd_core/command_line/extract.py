# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth extract`: ROS bags into a frame dataset for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ssd_core.command_line.terminal import frame_progress, split_names, tell

if TYPE_CHECKING:
    from ssd_core.data.extraction import CameraCount


def extract(
    bags: Annotated[list[Path], typer.Argument(help="ROS 2 bags (folder, .mcap, .db3) or ROS 1 .bag files.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the dataset; a second run goes on where the first ended.", show_default=False)],
    cameras: Annotated[list[str] | None, typer.Option(help="Only these cameras: A,B or several times; default: all found.")] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(help="day-clear, night, day-rain, ... for all bags, or PATTERN=NAME for bags with such file names; may be repeated."),
    ] = None,
    jpeg: Annotated[
        int | None,
        typer.Option(min=1, max=100, metavar="QUALITY", help="Store raw images as JPEG; default: PNG. Compressed images stay as they are."),
    ] = None,
    max_lidar_age: Annotated[float, typer.Option(min=0.1, help="How far from an image a scan may be taken, milliseconds.")] = 100.0,
    min_lidar_depth: Annotated[float, typer.Option(min=0.01, help="Points nearer than that, in metres, are the vehicle itself.")] = 1.0,
) -> None:
    """Write every image of the BAGS with its camera, its pose at the image's stamp, and the lidar points in it."""
    from ssd_core.data.extraction import ExtractionConfiguration, count_images
    from ssd_core.data.extraction import extract as extract_bags
    from ssd_core.storage.configuration import validate_configuration

    values = {
        "bags": [str(bag.resolve()) for bag in bags],
        "cameras": split_names(cameras),
        "condition": condition or [],
        "jpeg_quality": jpeg,
        "max_lidar_age_ms": max_lidar_age,
        "min_lidar_depth": min_lidar_depth,
    }
    configuration = validate_configuration(ExtractionConfiguration, values, "ssd-depth extract")
    console = Console(stderr=True)
    with frame_progress(console) as progress:
        task = progress.add_task("extracting", total=count_images(configuration))
        counts = extract_bags(
            configuration,
            out,
            lambda: progress.advance(task),
            lambda sentence: tell(progress.console, "warning", sentence, "yellow"),
        )
    _summarise(console, counts, out)
    if any(count.damaged for count in counts):
        raise typer.Exit(1)


def _summarise(console: Console, counts: Sequence[CameraCount], out: Path) -> None:
    table = Table("camera", *("added", "before", "damaged", "static", "no pose", "lidar", "points"))
    for count in counts:
        points = f"{count.lidar_points / count.with_lidar:.0f}" if count.with_lidar else "-"
        numbers = count.added, count.present, count.damaged, count.static, count.without_pose, count.with_lidar
        table.add_row(f"{count.sequence}/{count.camera_name}", *map(str, numbers), points)
    console.print(table)
    console.print(f"-> {out}", highlight=False, soft_wrap=True)
