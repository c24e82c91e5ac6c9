# SPDX-License-Identifier: Apache-2.0
"""Frames of the rendered world with exact depth, from cameras of many kinds: what supervised training learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydantic
from scipy.spatial.transform import Rotation

from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDataset, FrameDatasetWriter
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.images.codec import encode_jpeg
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL
from ssd_core.road_world.weather import Condition
from ssd_core.storage.configuration import StrictModel

Range = tuple[float, float]


class RenderPlan(StrictModel):
    """Which scenes are rendered, and from where. Ranges are drawn from uniformly, anew for every view."""

    first_scene: pydantic.NonNegativeInt = 1000
    """Seeds from here on; keep those of training and validation apart."""
    scenes: pydantic.PositiveInt = 200
    moments: pydantic.PositiveInt = 10
    """Times a scene is looked at, `interval_s` of driving apart."""
    interval_s: pydantic.PositiveFloat = 6.0
    views: pydantic.PositiveInt = 2
    """Cameras at each moment; the first looks ahead, the others anywhere."""
    conditions: tuple[Condition, ...] = ("day-clear", "night", "day-rain")
    """Every view is rendered in each of them: same geometry, same depth."""
    width: pydantic.PositiveInt = 448
    height: pydantic.PositiveInt = 252
    field_of_view: Range = (45.0, 95.0)
    """Horizontal, degrees."""
    camera_height: Range = (1.2, 2.1)
    """Metres above the road."""
    pitch: Range = (-6.0, 4.0)
    """Degrees, up is positive."""
    roll: Range = (-1.5, 1.5)
    jpeg_quality: pydantic.PositiveInt = 92


class _View(NamedTuple):
    camera: PinholeCamera
    base_from_camera: Matrix


def render_frames(plan: RenderPlan, folder: Path, on_progress: Callable[[int, int], None] | None = None) -> FrameDataset:
    """Render what the plan asks for into a frame dataset with dense depth; goes on where a killed run stopped.

    on_progress is called with frames done and frames in all.
    """
    writer = FrameDatasetWriter(folder, {"kind": "rendered", **plan.model_dump(mode="json")})
    total = plan.scenes * plan.moments * plan.views * len(plan.conditions)
    done = 0
    for seed in range(plan.first_scene, plan.first_scene + plan.scenes):
        names = [name for moment in range(plan.moments) for view in range(plan.views) for name in _frame_ids(plan, seed, moment, view)]
        if not all(name in writer for name in names):
            _render_scene(plan, seed, writer)
        done += len(names)
        if on_progress:
            on_progress(done, total)
    return FrameDataset(folder)


def _render_scene(plan: RenderPlan, seed: int, writer: FrameDatasetWriter) -> None:
    scene = Scene.generate(seed, plan.moments * plan.interval_s + 1)
    for moment in range(plan.moments):
        # Seeded by what it is, not by what came before, so that a resumed run draws the same.
        generator = np.random.default_rng([seed, moment, 91])
        time = (moment + float(generator.uniform(0, 0.9))) * plan.interval_s
        for number, view in enumerate(_views(plan, generator)):
            frame_ids = _frame_ids(plan, seed, moment, number)
            if not all(frame_id in writer for frame_id in frame_ids):
                _render_view(plan, scene, time, view, frame_ids, writer)


def _render_view(plan: RenderPlan, scene: Scene, time: float, view: _View, frame_ids: list[str], writer: FrameDatasetWriter) -> None:
    renderer = Renderer(view.camera)
    world_from_camera = scene.world_from_base(time) @ view.base_from_camera
    depth = renderer.render_depth(scene, world_from_camera, time)
    for condition, frame_id in zip(plan.conditions, frame_ids, strict=True):
        frame = Frame(
            frame_id=frame_id,
            sequence=f"scene-{scene.seed:05d}",
            camera_name=frame_id.split("/")[1],
            stamp_ns=round(time * 1e9),
            camera=view.camera,
            world_from_camera=world_from_camera,
            speed_mps=scene.speed(time),
            condition=condition,
        )
        image = renderer.render(scene, world_from_camera, time, condition).image
        known = depth if frame_id == frame_ids[0] else frame_ids[0]
        writer.add(frame, encode_jpeg(image, plan.jpeg_quality), depth=known)


def _frame_ids(plan: RenderPlan, seed: int, moment: int, view: int) -> list[str]:
    return [f"scene-{seed:05d}/camera_{view}/{moment:03d}_{condition}" for condition in plan.conditions]


def _views(plan: RenderPlan, generator: np.random.Generator) -> Iterator[_View]:
    for number in range(plan.views):
        yaw = generator.normal(0.0, 6.0) if number == 0 else generator.uniform(-180.0, 180.0)
        pitch, roll = generator.uniform(*plan.pitch), generator.uniform(*plan.roll)
        camera = PinholeCamera.from_field_of_view(plan.width, plan.height, float(generator.uniform(*plan.field_of_view)))
        pose = np.eye(4)
        # base_link: x forward, y left, z up; a positive turn about y looks down.
        pose[:3, :3] = Rotation.from_euler("ZYX", [yaw, -pitch, roll], degrees=True).as_matrix()
        pose[:3, 3] = 1.5 * np.cos(np.radians(yaw)), 0.8 * np.sin(np.radians(yaw)), generator.uniform(*plan.camera_height)
        yield _View(camera, pose @ BODY_FROM_OPTICAL)
