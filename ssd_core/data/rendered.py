# SPDX-License-Identifier: Apache-2.0
"""Frames of the rendered world with exact depth, as plans say; a plan of single views for supervised training is here."""

from __future__ import annotations

import abc
import json
import multiprocessing
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pydantic

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import DESCRIPTION_FILE, FrameDataset, FrameDatasetWriter, encode_depth
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg
from ssd_core.road_world import REVISION
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.presets import Preset, Viewpoint, camera_pose, draw_viewpoint
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.traffic import Density
from ssd_core.road_world.weather import Condition
from ssd_core.storage.configuration import StrictModel

Range = tuple[float, float]


class RenderedFrame(NamedTuple):
    """A frame, its JPEG, and its dense depth: encoded (see encode_depth), the frame_id of an earlier frame with the same depth, or none."""

    frame: Frame
    image: bytes
    depth: bytes | str | None


class ScenePlan(StrictModel, abc.ABC):
    """Which scenes are rendered; subclasses say what of them."""

    kind: ClassVar[str]
    """What the frame dataset says it was made from."""
    first_scene: pydantic.NonNegativeInt = 1000
    """Seeds from here on; keep those of training and validation apart."""
    scenes: pydantic.PositiveInt = 200

    @abc.abstractmethod
    def frame_ids(self, seed: int) -> list[str]:
        """Names of all frames of a scene."""

    @abc.abstractmethod
    def render_scene(self, seed: int, known: frozenset[str]) -> Iterator[RenderedFrame]:
        """The frames of a scene in the order of `frame_ids`; those in `known` may be left out."""


class RenderPlan(ScenePlan):
    """Single views from cameras of many kinds. Ranges are drawn from uniformly, anew for every view."""

    kind = "rendered"
    moments: pydantic.PositiveInt = 10
    """Times a scene is looked at, `interval_s` of driving apart."""
    interval_s: pydantic.PositiveFloat = 6.0
    views: pydantic.PositiveInt = 2
    """Cameras at each moment; the first looks ahead, the others anywhere."""
    conditions: tuple[Condition, ...] = ("day-clear", "night", "day-rain")
    """Every view is rendered in each of them, or in `looks` of them: same geometry, same depth."""
    looks: pydantic.PositiveInt | None = None
    """Conditions a view, drawn by weight; None: all. Many scenes in few looks teach more than few in many."""
    weights: tuple[pydantic.PositiveFloat, ...] = ()
    """How often each of `conditions` is drawn in relation to the others; empty: equally often."""
    presets: tuple[Preset, ...] = ()
    """Kinds of cameras, one drawn a view; twice in the list is twice as often. Sizes are of about width x height pixels and each kind's
    aspect, and the ranges below don't count. Empty: cameras from the ranges."""
    camera_variety: float | None = pydantic.Field(default=None, ge=0, le=1)
    """How different sensors and their processing are, drawn a view; 1 is what one meets among recordings. None: mild, one a scene."""
    traffic: tuple[Density, ...] = ()
    """How full the ego vehicle's lanes are, one drawn a scene; twice in the list is twice as often. Empty: as the world has it, which is
    often full, since near vehicles are what takes learning; but who never sees an open road expects something on every one."""
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

    @pydantic.model_validator(mode="after")
    def _has_enough_conditions(self) -> RenderPlan:
        if self.looks is not None and self.looks > len(self.conditions):
            raise ValueError(f"looks: {self.looks} of {len(self.conditions)} conditions can't be drawn")
        if self.weights and len(self.weights) != len(self.conditions):
            raise ValueError(f"weights: one for each of {len(self.conditions)} conditions is needed, not {len(self.weights)}")
        return self

    def frame_ids(self, seed: int) -> list[str]:
        """See ScenePlan."""
        return [name for moment in range(self.moments) for view in range(self.views) for name in _frame_ids(self, seed, moment, view)]

    def render_scene(self, seed: int, known: frozenset[str]) -> Iterator[RenderedFrame]:
        """See ScenePlan."""
        density = self.traffic[int(np.random.default_rng([seed, 94]).integers(len(self.traffic)))] if self.traffic else None
        scene = Scene.generate(seed, self.moments * self.interval_s + 1, density)
        for moment in range(self.moments):
            # Seeded by what it is, not by what came before, so that a resumed run draws the same.
            generator = np.random.default_rng([seed, moment, 91])
            time = (moment + float(generator.uniform(0, 0.9))) * self.interval_s
            for number, view in enumerate(_views(self, generator)):
                frame_ids = _frame_ids(self, seed, moment, number)
                if not known.issuperset(frame_ids):
                    yield from _render_view(self, scene, time, view, frame_ids)


def render_frames(plan: ScenePlan, folder: Path, on_progress: Callable[[int, int], None] | None = None, workers: int = 1) -> FrameDataset:
    """Render what the plan asks for into a frame dataset with dense depth; goes on where a killed run stopped.

    on_progress is called with frames done and frames in all. workers: processes that share the scenes; the files are the
    same for every number. More than one are spawned anew, so a script needs its `if __name__ == "__main__":`.
    Raises DataError if a worker dies, or for a folder begun with another plan or another REVISION of the world, and whatever rendering
    raises.
    """
    _refuse_other_revision(folder)
    names = {seed: plan.frame_ids(seed) for seed in range(plan.first_scene, plan.first_scene + plan.scenes)}
    total = sum(map(len, names.values()))
    with FrameDatasetWriter(folder, {"kind": plan.kind, "revision": REVISION, **plan.model_dump(mode="json")}) as writer:
        known = {seed: frozenset(name for name in names[seed] if name in writer) for seed in names}
        jobs = [_Job(plan, seed, known[seed]) for seed in names if len(known[seed]) < len(names[seed])]
        done = total - sum(len(names[job.seed]) for job in jobs)
        for job, frames in zip(jobs, _rendered_scenes(jobs, workers), strict=True):
            for rendered in frames:
                writer.add(rendered.frame, rendered.image, depth=rendered.depth)
            done += len(names[job.seed])
            if on_progress:
                on_progress(done, total)
    return FrameDataset(folder)


def _refuse_other_revision(folder: Path) -> None:
    path = folder / DESCRIPTION_FILE
    if not path.exists():
        return
    begun = json.loads(path.read_text())["source"].get("revision", "unknown")
    if begun != REVISION:
        raise DataError(
            f"{folder} was begun with revision {begun} of the rendered world, this is revision {REVISION}; remove it or give another folder"
        )


class _Job(NamedTuple):
    """One scene to render, but for the frames that are there already."""

    plan: ScenePlan
    seed: int
    known: frozenset[str]


def _rendered_scenes(jobs: list[_Job], workers: int) -> Iterator[Iterable[RenderedFrame]]:
    """The frames of each job, in the jobs' order."""
    if workers == 1 or len(jobs) < 2:
        yield from map(_render_scene, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_start_worker) as pool:
        waiting: deque[Future[list[RenderedFrame]]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(_render_whole_scene, job))
                # No further ahead: rendered scenes wait in memory for their turn.
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(
                "a rendering process died (out of memory? killed?); what was finished is kept, run again with fewer workers"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _start_worker() -> None:
    # Each process keeps a core busy by itself; threads of the software rasteriser would only get into each other's way.
    os.environ.setdefault("LP_NUM_THREADS", "0")


def _render_whole_scene(job: _Job) -> list[RenderedFrame]:
    return list(_render_scene(job))


def _render_scene(job: _Job) -> Iterator[RenderedFrame]:
    return job.plan.render_scene(job.seed, job.known)


def _render_view(plan: RenderPlan, scene: Scene, time: float, view: Viewpoint, frame_ids: list[str]) -> Iterator[RenderedFrame]:
    scene = scene.with_ego_body(view.ego_body)
    renderer = Renderer(view.camera, camera_model=_camera_model(plan, frame_ids[0]))
    world_from_camera = scene.world_from_base(time) @ view.base_from_camera
    depth = encode_depth(renderer.render_depth(scene, world_from_camera, time))
    for frame_id in frame_ids:
        condition = _condition_of(plan, frame_id)
        frame = Frame(
            frame_id=frame_id,
            sequence=f"scene-{scene.seed:05d}",
            camera_name=view.name,
            stamp_ns=round(time * 1e9),
            camera=view.camera,
            world_from_camera=world_from_camera,
            speed_mps=scene.speed(time),
            condition=condition,
        )
        image = renderer.render(scene, world_from_camera, time, condition).image
        yield RenderedFrame(frame, encode_jpeg(image, plan.jpeg_quality), depth if frame_id == frame_ids[0] else frame_ids[0])


def _frame_ids(plan: RenderPlan, seed: int, moment: int, view: int) -> list[str]:
    conditions = plan.conditions
    if plan.looks is not None:
        shares = np.array(plan.weights or [1.0] * len(conditions))
        generator = np.random.default_rng([seed, moment, view, 93])
        chosen = generator.choice(len(conditions), plan.looks, replace=False, p=shares / shares.sum())
        conditions = tuple(conditions[place] for place in sorted(chosen))
    return [f"scene-{seed:05d}/camera_{view}/{moment:03d}_{condition}" for condition in conditions]


def _condition_of(plan: RenderPlan, frame_id: str) -> Condition:
    name = frame_id.rpartition("/")[2].partition("_")[2]
    return next(condition for condition in plan.conditions if condition == name)


def _camera_model(plan: RenderPlan, frame_id: str) -> CameraModel | None:
    """The same in all conditions of a view."""
    if plan.camera_variety is None:
        return None
    return CameraModel.draw(zlib.crc32(frame_id.rpartition("_")[0].encode()), plan.camera_variety)


def _views(plan: RenderPlan, generator: np.random.Generator) -> Iterator[Viewpoint]:
    for number in range(plan.views):
        if plan.presets:
            preset = plan.presets[int(generator.integers(len(plan.presets)))]
            yield draw_viewpoint(preset, plan.width * plan.height, generator, ahead=number == 0)
            continue
        yaw = generator.normal(0.0, 6.0) if number == 0 else generator.uniform(-180.0, 180.0)
        pitch, roll = generator.uniform(*plan.pitch), generator.uniform(*plan.roll)
        camera = PinholeCamera.from_field_of_view(plan.width, plan.height, float(generator.uniform(*plan.field_of_view)))
        position = 1.5 * np.cos(np.radians(yaw)), 0.8 * np.sin(np.radians(yaw)), float(generator.uniform(*plan.camera_height))
        yield Viewpoint(f"camera_{number}", camera, camera_pose(position, yaw, pitch, roll), None)
