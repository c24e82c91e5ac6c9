# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth nuscenes-to-bag`: scenes of nuScenes as bags that `ros2 bag play` and our own player replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def nuscenes_to_bag(
    root: Annotated[Path, typer.Argument(help="A nuScenes folder, or a version folder in it.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="X.mcap, X.db3 or a bag folder for one scene; a folder of bags for several.", show_default=False)
    ],
    scene: Annotated[str | None, typer.Option(help="Only this scene, such as scene-0061.")] = None,
    cameras: Annotated[str | None, typer.Option(help="Only these cameras, separated by commas; default: all.")] = None,
    sweeps: Annotated[bool, typer.Option("--sweeps", help="Also what lies between the key frames: 12 pictures a second, not 2.")] = False,
) -> None:
    """Write scenes as ROS 2 bags: cameras, calibration, lidar, transforms and odometry."""
    from ssd_core.data.nuscenes_to_bag import NuScenesBagConfiguration, NuScenesBags
    from ssd_core.storage.configuration import validate_configuration

    names = [name.strip() for name in cameras.split(",") if name.strip()] if cameras else None
    values = {"root": str(root), "scene": scene, "cameras": names, "sweeps": sweeps}
    console = Console(stderr=True)
    bags = NuScenesBags(validate_configuration(NuScenesBagConfiguration, values, "ssd-depth nuscenes-to-bag"))
    bags.bag_paths(out)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("writing", total=bags.record_count())
        paths = bags.write(out, lambda: progress.advance(task))
    for sentence in bags.warnings:
        console.print(f"[yellow]warning:[/] {sentence}", highlight=False, soft_wrap=True)
    for found, path in zip(bags.scenes, paths, strict=True):
        console.print(f"{found.name} ({found.description}) -> {path}", highlight=False, soft_wrap=True, markup=False)
