# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth nuscenes-to-bag`: scenes of nuScenes as bags that `ros2 bag play` and our own player replay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ssd_core.command_line.terminal import frame_progress, split_names, tell


def nuscenes_to_bag(
    root: Annotated[Path, typer.Argument(help="A nuScenes folder, a version folder in it, or a nuscenes2mcap .mcap.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="X.mcap, X.db3 or a bag folder for one scene; a folder of bags for several.", show_default=False)
    ],
    scene: Annotated[str | None, typer.Option(help="Only this scene, such as scene-0061.")] = None,
    cameras: Annotated[list[str] | None, typer.Option(help="Only these cameras: A,B or several times; default: all.")] = None,
    sweeps: Annotated[bool, typer.Option("--sweeps", help="Also what lies between the key frames: 12 pictures a second, not 2.")] = False,
) -> None:
    """Write scenes as ROS 2 bags: cameras, calibration, lidar, transforms and odometry."""
    console = Console(stderr=True)
    names = tuple(split_names(cameras) or ()) or None
    if root.is_file():
        if scene is not None or sweeps:
            raise ValueError(f"{root}: --scene and --sweeps choose from a nuScenes folder; a recording is written as a whole")
        _from_recording(console, root, out, names)
    else:
        _from_folder(console, root, out, scene, names, sweeps)


def _from_folder(console: Console, root: Path, out: Path, scene: str | None, cameras: tuple[str, ...] | None, sweeps: bool) -> None:
    from ssd_core.data.nuscenes_to_bag import NuScenesBagConfiguration, NuScenesBags

    bags = NuScenesBags(NuScenesBagConfiguration(root=str(root), scene=scene, cameras=cameras, sweeps=sweeps))
    bags.bag_paths(out)
    with frame_progress(console) as progress:
        task = progress.add_task("writing", total=bags.record_count())
        paths = bags.write(out, lambda: progress.advance(task))
    _warn(console, bags.warnings)
    for found, path in zip(bags.scenes, paths, strict=True):
        console.print(f"{found.name} ({found.description}) -> {path}", highlight=False, soft_wrap=True, markup=False)


def _from_recording(console: Console, path: Path, out: Path, cameras: tuple[str, ...] | None) -> None:
    from ssd_core.data.foxglove_to_bag import FoxgloveToBag

    recording = FoxgloveToBag(path, cameras)
    with frame_progress(console) as progress:
        task = progress.add_task("writing", total=recording.message_count)
        recording.write(out, lambda: progress.advance(task))
    _warn(console, recording.warnings)
    console.print(f"{path.name} -> {out}", highlight=False, soft_wrap=True, markup=False)


def _warn(console: Console, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        tell(console, "warning", sentence, "yellow")
