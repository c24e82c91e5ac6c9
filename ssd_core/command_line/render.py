# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth render`: a drive through a rendered street as a ROS 2 bag with topics named as nuScenes' are."""

from __future__ import annotations

import enum
import heapq
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from ssd_core.data.writers.bag import BagWriter
    from ssd_core.road_world.sensors import MountedCamera

# Stamps of a rendered drive start here, so that the same options write the same bag.
_START_NS = 1_700_000_000_000_000_000
_ODOMETRY_RATE = 50.0


class Weather(str, enum.Enum):
    """Conditions a drive can be rendered in."""

    DAY_CLEAR = "day-clear"
    NIGHT = "night"
    DAY_RAIN = "day-rain"
    OVERCAST = "overcast"
    DUSK = "dusk"
    NIGHT_RAIN = "night-rain"
    FOG = "fog"
    SNOW = "snow"


class CameraPreset(str, enum.Enum):
    """Kinds of cameras (see ssd_core.road_world.presets)."""

    NUSCENES = "nuscenes"
    KITTI = "kitti"
    ROBOTCAR = "robotcar"
    DDAD = "ddad"
    MIXED = "mixed"


class _Event(NamedTuple):
    time: float
    order: int
    name: str
    act: Callable[[float, int], None]


def render(
    out: Annotated[Path, typer.Option(help="The bag: X.mcap (single file), X.db3, or X (a folder).")],
    condition: Annotated[Weather, typer.Option(help="Light and weather; the geometry is the same in all.")] = Weather.DAY_CLEAR,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of the drive.")] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="Which street, which drive.")] = 3,
    preset: Annotated[CameraPreset, typer.Option(help="Whose cameras, rectified (mixed: not for bags).")] = CameraPreset.NUSCENES,
    cameras: Annotated[int, typer.Option(help="1 (the front one) or, of nuscenes and ddad, 6 (all).")] = 1,
    width: Annotated[int, typer.Option(min=16, help="Picture width in pixels.")] = 640,
    height: Annotated[
        int | None, typer.Option(min=16, help="Picture height in pixels; default: as the preset's aspect has it.", show_default=False)
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Pictures a second of each camera.")] = 12.0,
    lidar_rate: Annotated[float, typer.Option(min=0.0, help="Lidar sweeps a second; 0 leaves the lidar out.")] = 20.0,
    beams: Annotated[int, typer.Option(min=2, max=128, help="Lidar beams.")] = 32,
    columns: Annotated[int, typer.Option(min=8, help="Directions in one turn of the lidar.")] = 1084,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality.")] = 92,
    fine: Annotated[bool, typer.Option("--fine", help="Finer edges and textures, at about twice the time.")] = False,
    depth: Annotated[bool, typer.Option("--depth", help="Also write the true depth, 32FC1 on /CAMERA/depth_truth.")] = False,
) -> None:
    """Render a drive through a generated street into a ROS 2 bag: images, camera info, lidar, transforms, odometry."""
    from ssd_core.data.writers.bag import BagWriter
    from ssd_core.road_world.graphics import GraphicsError
    from ssd_core.road_world.presets import rig_of
    from ssd_core.road_world.scene import Scene
    from ssd_core.road_world.sensors import Lidar
    from ssd_core.storage.configuration import git_revision

    if preset is CameraPreset.MIXED:
        raise typer.BadParameter("mixed cameras are no vehicle's; choose another kind", param_hint="--preset")
    rig = rig_of(preset.value, width, height, cameras == 1, Lidar.nuscenes_top(beams, columns))
    if len(rig.cameras) != cameras:
        known = "1" if len(rig.cameras) == 1 else f"1 or {len(rig.cameras)}"
        raise typer.BadParameter(f"{cameras} cameras: {preset.value} has {known}", param_hint="--cameras")
    height = rig.cameras[0].camera.height
    options: dict[str, Any] = {
        "condition": condition.value, "seconds": seconds, "seed": seed, "preset": preset.value, "cameras": cameras, "width": width,
        "height": height, "rate": rate, "lidar_rate": lidar_rate, "beams": beams, "columns": columns, "quality": quality, "fine": fine,
        "depth": depth, "git_revision": git_revision(),
    }  # fmt: skip
    console = Console(stderr=True)
    try:
        with BagWriter(out, {f"ssd_depth_render.{key}": str(value) for key, value in options.items()}) as bag:
            drive = _Drive(bag, Scene.generate(seed, seconds + 1.0), rig, condition.value, quality, fine, depth)
            events = list(drive.events(seconds, rate, lidar_rate))
            with Progress(console=console) as progress:
                task = progress.add_task(f"{condition.value}, seed {seed}", total=len(events))
                for event in events:
                    event.act(event.time, _START_NS + round(event.time * 1e9))
                    progress.advance(task)
    except GraphicsError as error:
        raise OSError(str(error)) from error
    console.print(
        f"{out}: {seconds:g} s, {len(rig.cameras)} camera(s), {out.stat().st_size / 1e6:.1f} MB"
        if out.is_file()
        else f"{out}: {seconds:g} s"
    )


class _Drive:
    """What is written into the bag, sensor by sensor."""

    def __init__(self, bag: BagWriter, scene: Any, rig: Any, condition: Any, quality: int, fine: bool, with_depth: bool) -> None:
        from ssd_core.data.writers.bag import Durability, reliable_qos
        from ssd_core.road_world.renderer import Renderer
        from ssd_core.road_world.sensors import LidarCaster

        self.bag, self.scene, self.rig, self.condition = bag, scene, rig, condition
        self.quality, self.with_depth = quality, with_depth
        self.seen = {body: scene.with_ego_body(body) for body in {mounted.ego_body for mounted in rig.cameras}}
        # Cameras of the same intrinsics share targets.
        renderers: dict[Any, Any] = {}
        self.renderers = {
            mounted.name: renderers.setdefault(mounted.camera, Renderer(mounted.camera, 2 if fine else 1)) for mounted in rig.cameras
        }
        self.caster = LidarCaster(rig.lidar)
        bag.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", reliable_qos(1, Durability.LATCHED))
        bag.add_topic("/tf", "tf2_msgs/msg/TFMessage", reliable_qos(100))

    def events(self, seconds: float, rate: float, lidar_rate: float) -> Iterator[_Event]:
        """Everything in order of time; of one instant, transforms come before what needs them."""
        streams = [[_Event(0.0, 0, "tf_static", self._write_static)]]
        streams.append(
            [_Event(time, 1, "odom", self._write_odometry) for time in _ticks(seconds + 1 / _ODOMETRY_RATE, _ODOMETRY_RATE, 0.0)]
        )
        for index, mounted in enumerate(self.rig.cameras):

            def shoot(time: float, stamp: int, mounted: MountedCamera = mounted) -> None:
                self._write_picture(mounted, time, stamp)

            streams.append([_Event(time, 3 + index, mounted.name, shoot) for time in _ticks(seconds, rate, mounted.delay)])
        if lidar_rate > 0:
            streams.append([_Event(time, 2, "lidar", self._write_sweep) for time in _ticks(seconds, lidar_rate, 0.0)])
        return heapq.merge(*streams, key=lambda event: (event.time, event.order))

    def _write_static(self, _time: float, stamp: int) -> None:
        from ssd_core.data.writers.messages import transforms_message

        mounts = [("base_link", mounted.name, mounted.base_from_camera) for mounted in self.rig.cameras]
        mounts.append(("base_link", self.rig.lidar.name, self.rig.lidar.base_from_lidar))
        self.bag.write("/tf_static", stamp, transforms_message(mounts, stamp))

    def _write_odometry(self, time: float, stamp: int) -> None:
        from ssd_core.data.writers.messages import odometry_message, transforms_message

        pose = self.scene.world_from_base(time)
        self.bag.write("/tf", stamp, transforms_message([("odom", "base_link", pose)], stamp))
        velocity = pose[:3, :3].T @ self.scene.velocity(time)
        self.bag.write("/odom", stamp, odometry_message(pose, velocity, (0.0, 0.0, self.scene.yaw_rate(time)), stamp))

    def _write_picture(self, mounted: MountedCamera, time: float, stamp: int) -> None:
        from ssd_core.data.writers.messages import camera_info_message, compressed_image_message, image_message
        from ssd_core.images.codec import encode_jpeg

        pose = self.scene.world_from_base(time) @ mounted.base_from_camera
        view = self.renderers[mounted.name].render(self.seen[mounted.ego_body], pose, time, self.condition)
        name = mounted.name
        self.bag.write(
            f"/{name}/image_rect_compressed", stamp, compressed_image_message(encode_jpeg(view.image, self.quality), "jpeg", stamp, name)
        )
        self.bag.write(f"/{name}/camera_info", stamp, camera_info_message(mounted.camera, stamp, name))
        if self.with_depth:
            self.bag.write(f"/{name}/depth_truth", stamp, image_message(view.depth, "32FC1", stamp, name))

    def _write_sweep(self, time: float, stamp: int) -> None:
        from ssd_core.data.writers.messages import point_cloud_message

        lidar = self.rig.lidar
        points = self.caster.cast(self.scene, self.scene.world_from_base(time) @ lidar.base_from_lidar, time, self.condition)
        self.bag.write(f"/{lidar.name}", stamp, point_cloud_message(points, lidar.point_fields, stamp, lidar.name))


def _ticks(seconds: float, rate: float, delay: float) -> list[float]:
    """Times from `delay` on, `rate` a second, before `seconds`; at least one."""
    count = max(1, math.ceil(round((seconds - delay) * rate, 6)))
    return [delay + index / rate for index in range(count)]
