# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth render-dataset`: rendered streets as a folder in the layout of nuScenes or Oxford RobotCar, or our own with dense depth."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from ssd_core.command_line.render import CameraPreset, Weather

if TYPE_CHECKING:
    from ssd_core.geometry.camera import PinholeCamera
    from ssd_core.road_world.scene import Scene

# Drives start here, ten minutes apart, so that the same options write the same folder.
_START_NS, _DRIVE_NS = 1_700_000_000_000_000_000, 600_000_000_000
_DESCRIPTIONS = {
    Weather.DAY_CLEAR: "Rendered street, clear day",
    Weather.NIGHT: "Night, rendered street",
    Weather.DAY_RAIN: "Rain, rendered street",
    Weather.OVERCAST: "Rendered street, overcast",
    Weather.DUSK: "Rendered street, dusk",
    Weather.NIGHT_RAIN: "Night, rain, rendered street",
    Weather.FOG: "Rendered street, fog",
    Weather.SNOW: "Rendered street, snow",
}
# RobotCar's Bumblebee: focal length in widths of the picture, a mild barrel distortion; and where its laser sits on the camera
# (x y z roll pitch yaw as in the dataset's extrinsics: a push-broom ahead of and below the camera).
_FOCAL_SHARE, _DISTORTION = 983.044 / 1280, (-0.12, 0.03, 0.0, 0.0, 0.0)
_LASER_MOUNTING = (1.76, 0.23, 1.04, -0.04, -1.46, 0.04)
_LASER_HALF_ANGLE = math.radians(135)

_Advance = Callable[[], None]


class Layout(str, enum.Enum):
    """Data sets whose folders can be written; frames is our own frame dataset."""

    NUSCENES = "nuscenes"
    ROBOTCAR = "robotcar"
    FRAMES = "frames"


def render_dataset(
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    layout: Annotated[Layout, typer.Option("--format", help="Whose folders and files.")] = Layout.NUSCENES,
    condition: Annotated[list[Weather], typer.Option(help="Light and weather; once or several times, each drive is rendered in all.")] = [  # noqa: B006
        Weather.DAY_CLEAR
    ],
    drives: Annotated[int, typer.Option(min=1, help="Streets, with seeds from --seed on.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of a drive.")] = 8.0,
    seed: Annotated[int, typer.Option(min=0, help="The first street.")] = 3,
    cameras: Annotated[int, typer.Option(help="nuScenes: 1 (CAM_FRONT) or 6.")] = 1,
    width: Annotated[int, typer.Option(min=32, help="Picture width; the height follows from the data set's aspect.")] = 640,
    rate: Annotated[float, typer.Option(min=0.1, help="Pictures a second of each camera.")] = 12.0,
    key_every: Annotated[int, typer.Option(min=1, help="nuScenes: every so many-th picture is a key frame, with a lidar scan.")] = 6,
    scan_rate: Annotated[float, typer.Option(min=0.1, help="RobotCar: laser scans a second.")] = 25.0,
    preset: Annotated[list[CameraPreset], typer.Option(help="frames: kinds of cameras, one drawn a picture; once or several times.")] = [  # noqa: B006
        CameraPreset.MIXED
    ],
    looks: Annotated[
        int | None, typer.Option(min=1, help="frames: conditions a picture, drawn; default: all of --condition, pixel on pixel.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="frames: processes that render.")] = 1,
) -> None:
    """Render drives into a folder that the loaders of nuScenes or RobotCar (ours or others') read; depth and poses are exact.

    frames: single pictures with dense depth for supervised training, `--rate` a second of driving (0.2 is a good one), each through a
    camera of its own; a run that was stopped goes on.
    """
    from rich.console import Console
    from rich.progress import Progress

    from ssd_core.road_world.graphics import GraphicsError

    if cameras not in (1, 6):
        raise typer.BadParameter(f"{cameras} cameras: the rigs have 1 or 6", param_hint="--cameras")
    jobs = [(number, weather) for number in range(seed, seed + drives) for weather in dict.fromkeys(condition)]
    pictures = max(2, math.ceil(seconds * rate))
    scans = math.ceil(seconds * scan_rate) if layout is Layout.ROBOTCAR else 0
    if layout is Layout.FRAMES:
        write_frames(out, list(range(seed, seed + drives)), list(dict.fromkeys(condition)), looks, preset, pictures, rate, width, workers)
        return
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(layout.value, total=len(jobs) * (pictures * (cameras if layout is Layout.NUSCENES else 1) + scans))
        try:
            if layout is Layout.NUSCENES:
                write_nuscenes(out, jobs, pictures, rate, key_every, cameras, width, lambda: progress.advance(task))
            else:
                write_robotcar(out, jobs, pictures, rate, scans, scan_rate, width, lambda: progress.advance(task))
        except GraphicsError as error:
            raise OSError(str(error)) from error


def write_nuscenes(
    out: Path, jobs: list[tuple[int, Weather]], pictures: int, rate: float, key_every: int, cameras: int, width: int, advance: _Advance
) -> None:
    """One scene a job (seed and condition): pictures of all cameras at `rate`, and a LIDAR_TOP scan with each key frame."""
    from ssd_core.data.writers.nuscenes import nuscenes_writer
    from ssd_core.images.codec import encode_jpeg
    from ssd_core.road_world.renderer import Renderer
    from ssd_core.road_world.sensors import LidarCaster, Rig

    height = round(width * 9 / 16)
    rig = Rig.nuscenes(width, height) if cameras == 6 else Rig.nuscenes_front(width, height)
    renderers = {camera: Renderer(camera) for camera in {mounted.camera for mounted in rig.cameras}}
    caster = LidarCaster(rig.lidar)
    with nuscenes_writer(out) as writer:
        for start, seed, weather, scene in _scenes(jobs, pictures / rate):
            writer.add_scene(f"scene-{seed:04d}-{weather.value}", _DESCRIPTIONS[weather], f"r{seed:03d}-{weather.value}")
            for index in range(pictures):
                time, is_key = _whole_microseconds(index / rate), index % key_every == 0
                if is_key:
                    base = scene.world_from_base(time)
                    points = caster.cast(scene, base @ rig.lidar.base_from_lidar, time, weather.value)
                    writer.add_scan(_stamp(start, time), points, rig.lidar.base_from_lidar, base)
                for mounted in rig.cameras:
                    shot = _whole_microseconds(time + mounted.delay)
                    base = scene.world_from_base(shot)
                    view = renderers[mounted.camera].render(scene, base @ mounted.base_from_camera, shot, weather.value)
                    jpeg = encode_jpeg(view.image, 92)
                    writer.add_picture(mounted.name, _stamp(start, shot), jpeg, mounted.camera, mounted.base_from_camera, base, is_key)
                    advance()


def write_frames(
    out: Path,
    seeds: list[int],
    conditions: list[Weather],
    looks: int | None,
    presets: list[CameraPreset],
    pictures: int,
    rate: float,
    width: int,
    workers: int,
) -> None:
    """Single views with dense depth (see RenderPlan); pictures of about width x 9/16 width pixels, in each kind's aspect."""
    from rich.console import Console
    from rich.progress import Progress

    from ssd_core.data.rendered import RenderPlan, render_frames
    from ssd_core.road_world.graphics import GraphicsError
    from ssd_core.storage.configuration import validate_configuration

    values = {
        "first_scene": seeds[0],
        "scenes": len(seeds),
        "moments": pictures,
        "interval_s": 1 / rate,
        "views": 1,
        "conditions": [weather.value for weather in conditions],
        "looks": looks,
        "presets": [preset.value for preset in presets],
        "camera_variety": 1.0,
        "width": width,
        "height": round(width * 9 / 16),
    }
    plan = validate_configuration(RenderPlan, values, "--looks, --condition")
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("frames", total=None)
        try:
            render_frames(plan, out, lambda done, total: progress.update(task, completed=done, total=total), workers)
        except GraphicsError as error:
            raise OSError(str(error)) from error


def write_robotcar(
    out: Path, jobs: list[tuple[int, Weather]], pictures: int, rate: float, scans: int, scan_rate: float, width: int, advance: _Advance
) -> None:
    """One traverse a job: raw pictures of a distorted left stereo camera, planar scans of LMS-front, exact odometry."""
    from ssd_core.data.robotcar_files import VEHICLE_FROM_OPTICAL, poses_from_components
    from ssd_core.data.writers.robotcar import robotcar_writer
    from ssd_core.geometry.pose import invert_pose
    from ssd_core.road_world.meshes import yaw_pose
    from ssd_core.road_world.renderer import Renderer
    from ssd_core.road_world.sensors import BODY_FROM_OPTICAL, Lidar, LidarCaster

    camera = robotcar_camera(width)
    base_from_camera = yaw_pose(1.5, 0.0, 1.55, 0.0) @ BODY_FROM_OPTICAL
    vehicle_from_laser = np.asarray(poses_from_components([_LASER_MOUNTING])[0])
    base_from_laser = base_from_camera @ invert_pose(VEHICLE_FROM_OPTICAL) @ vehicle_from_laser
    caster = LidarCaster(Lidar("LMS", base_from_laser, (0.0,), 720, 0.5, 50.0))
    renderer = Renderer(camera)
    for start, seed, weather, scene in _scenes(jobs, pictures / rate):
        with robotcar_writer(out, f"rendered-{weather.value}-{seed:04d}", camera, vehicle_from_laser) as writer:
            for index in range(pictures):
                time = _whole_microseconds(index / rate)
                pose = scene.world_from_base(time) @ base_from_camera
                writer.add_picture(_stamp(start, time), renderer.render(scene, pose, time, weather.value).image, pose)
                advance()
            for index in range(scans):
                time = _whole_microseconds(index / scan_rate)
                points = caster.cast(scene, scene.world_from_base(time) @ base_from_laser, time, weather.value)[:, :3]
                ahead = np.abs(np.arctan2(points[:, 1], points[:, 0])) <= _LASER_HALF_ANGLE
                writer.add_scan(_stamp(start, time), points[ahead] * (1, 1, 0))
                advance()


def robotcar_camera(width: int) -> PinholeCamera:
    """RobotCar's left stereo lens for 4:3 pictures of a width, with some barrel distortion to undo."""
    from ssd_core.geometry.camera import PinholeCamera

    height = round(width * 3 / 4)
    focal = _FOCAL_SHARE * width
    return PinholeCamera(width, height, focal, focal, 0.503 * width, 0.514 * height, "plumb_bob", _DISTORTION)


def _scenes(jobs: list[tuple[int, Weather]], seconds: float) -> Iterator[tuple[int, int, Weather, Scene]]:
    """Start in nanoseconds, seed, condition and street of every job."""
    from ssd_core.road_world.scene import Scene

    for place, (seed, weather) in enumerate(jobs):
        yield _START_NS + place * _DRIVE_NS, seed, weather, Scene.generate(seed, seconds + 1.0)


def _whole_microseconds(time: float) -> float:
    # Both formats keep microseconds; what is rendered must be what the stamp says.
    return round(time * 1e6) / 1e6


def _stamp(start_ns: int, time: float) -> int:
    return start_ns + round(time * 1e6) * 1000
