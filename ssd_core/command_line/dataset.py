# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth dataset`: check a frame dataset file by file, and look at any recording or data set with its lidar drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ssd_core.command_line.terminal import frame_progress, split_names, tell

if TYPE_CHECKING:
    from ssd_core.data.frame import Frame, FrameSource
    from ssd_core.images.codec import Image

_CELL_WIDTH = 640

dataset = typer.Typer(no_args_is_help=True, help="Check a frame dataset, or look at its frames.")


@dataset.command()
def check(folder: Annotated[Path, typer.Argument(help="A frame dataset.", show_default=False)]) -> None:
    """List every missing or damaged file; the exit code is 1 if there is one."""
    from ssd_core.data.frame_dataset import FrameDataset

    console = Console(stderr=True)
    opened = FrameDataset(folder)
    count = 0
    with frame_progress(console) as progress:
        task = progress.add_task("checking", total=len(opened.frames()))
        for problem in opened.problems(lambda: progress.advance(task)):
            count += 1
            progress.console.print(problem, highlight=False, soft_wrap=True, markup=False)
    cameras = sorted({frame.camera_name for frame in opened.frames()})
    console.print(f"{folder}: {len(opened.frames())} frames of {', '.join(cameras)}, {count} problems", highlight=False, soft_wrap=True)
    if count:
        raise typer.Exit(1)


@dataset.command()
def show(
    data: Annotated[Path, typer.Argument(help="A frame dataset, bag, nuScenes, RobotCar, KITTI or DGP folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The sheet, .png or .jpg; several cameras: one each, its name added.")] = Path("sheet.png"),
    cameras: Annotated[list[str] | None, typer.Option(help="Only these cameras: A,B or several times.")] = None,
    split: Annotated[str | None, typer.Option(help="Of a data set: train, val, mini_val, ...")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Frames on a sheet, spread evenly over the recording.")] = 12,
) -> None:
    """Write contact sheets: each picture, and beside it the lidar points (red near, blue far) that fall into it."""
    from ssd_core.data.source import open_source
    from ssd_core.images.codec import write_image
    from ssd_core.images.contact_sheet import contact_sheet

    console = Console(stderr=True)
    source = open_source(data, split_names(cameras), split=split)
    try:
        by_camera: dict[str, list[Frame]] = {}
        for frame in source.frames():
            by_camera.setdefault(frame.camera_name, []).append(frame)
        for name, frames in by_camera.items():
            rows, labels = _rows(source, _spread(frames, limit))
            path = out if len(by_camera) == 1 else out.with_name(f"{out.stem}_{name}{out.suffix}")
            write_image(path, contact_sheet(rows, _CELL_WIDTH, labels))
            console.print(f"-> {path}", highlight=False, soft_wrap=True)
        for sentence in source.warnings:
            tell(console, "warning", sentence, "yellow")
    finally:
        source.close()


def _spread(frames: Sequence[Frame], limit: int) -> list[Frame]:
    count = min(limit, len(frames))
    return [frames[index * (len(frames) - 1) // max(count - 1, 1)] for index in range(count)]


def _rows(source: FrameSource, frames: Sequence[Frame]) -> tuple[list[list[Image]], list[str]]:
    """A row and its label for each frame; a picture that can't be read is named and drawn black."""
    import numpy as np

    from ssd_core.data.errors import DataError
    from ssd_core.data.frame_dataset import FrameDataset
    from ssd_core.images.codec import ImageDecodeError
    from ssd_core.images.colour_map import colourise_depth
    from ssd_core.images.overlay import draw_sparse_depth

    rows, labels = [], []
    for frame in frames:
        row: list[Image] = []
        label = frame.frame_id if frame.sequence in frame.frame_id else f"{frame.frame_id}  {frame.sequence}"
        label += f"  {frame.condition}"
        if frame.speed_mps is not None:
            label += f"  {frame.speed_mps:.1f} m/s" + (" static" if frame.is_static else "")
        try:
            row.append(source.image(frame))
            sparse = source.lidar_depth(frame)
            if sparse is not None:
                row.append(draw_sparse_depth(row[0], sparse.u, sparse.v, sparse.z, _CELL_WIDTH))
                label += f"  {len(sparse.z)} points"
            dense = source.dense_depth(frame) if isinstance(source, FrameDataset) else None
            if dense is not None:
                row.append(colourise_depth(dense))
        except (DataError, ImageDecodeError) as error:
            label = str(error)
        rows.append(row or [np.zeros((90, 160, 3), dtype=np.uint8)])
        labels.append(label)
    return rows, labels
