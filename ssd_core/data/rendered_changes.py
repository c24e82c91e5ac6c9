# SPDX-License-Identifier: Apache-2.0
"""Views of the rendered world in which one vehicle or person is there, gone, or elsewhere: what a change detector learns from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pydantic

from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import encode_depth
from ssd_core.data.rendered import Range, RenderedFrame, ScenePlan
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.images.codec import encode_jpeg
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.presets import camera_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.weather import Condition

WHOLE, GONE, MOVED = "whole", "gone", "moved"
DAY: Condition = "day-clear"
_TRIES = 4
_LARGEST = 0.3
"""Share of the picture that an object may fill."""


class RenderedChanges(ScenePlan):
    """Moments of a drive: the view as it is and without one object by day, and both, and with the object elsewhere, in other conditions.

    Names of frames end in content and condition (`..._gone_night`); all frames of a moment share camera and pose, and depth tells what
    differs. Where no object is large enough, all contents are the same view. Ranges are drawn from uniformly, anew for every moment.
    """

    kind = "rendered_changes"
    moments: pydantic.PositiveInt = 5
    interval_s: pydantic.PositiveFloat = 8.0
    conditions: tuple[Condition, ...] = ("night", "day-rain", "snow", "fog")
    looks: pydantic.PositiveInt = 2
    """So many of `conditions` are drawn for each moment."""
    smallest_object: float = pydantic.Field(default=0.008, gt=0, lt=_LARGEST)
    """Share of the picture that the object fills at least."""
    width: pydantic.PositiveInt = 400
    height: pydantic.PositiveInt = 224
    field_of_view: Range = (50.0, 90.0)
    """Horizontal, degrees."""
    camera_height: Range = (1.3, 2.0)
    """Metres above the road."""
    pitch: Range = (-3.0, 2.0)
    """Degrees, up is positive."""
    yaw: Range = (-25.0, 25.0)
    camera_variety: float = pydantic.Field(default=0.7, ge=0, le=1)
    """How much the cameras of moments differ in colours, tones, noise and dirt."""
    jpeg_quality: pydantic.PositiveInt = 92

    @pydantic.model_validator(mode="after")
    def _has_enough_conditions(self) -> RenderedChanges:
        if self.looks > len(self.conditions):
            raise ValueError(f"looks: {self.looks} of {len(self.conditions)} conditions can't be drawn")
        return self

    def frame_ids(self, seed: int) -> list[str]:
        """See ScenePlan."""
        return [name for moment in range(self.moments) for name in self._names(seed, moment)]

    def render_scene(self, seed: int, known: frozenset[str]) -> Iterator[RenderedFrame]:
        """See ScenePlan."""
        scene = Scene.generate(seed, self.moments * self.interval_s + 1)
        for moment in range(self.moments):
            names = self._names(seed, moment)
            if not known.issuperset(names):
                yield from self._moment(scene, moment, names)

    def _names(self, seed: int, moment: int) -> list[str]:
        generator = np.random.default_rng([seed, moment, 95])
        drawn = sorted(generator.choice(len(self.conditions), self.looks, replace=False))
        views = [(content, DAY) for content in (WHOLE, GONE)]
        views += [(content, self.conditions[place]) for place in drawn for content in (WHOLE, GONE, MOVED)]
        return [f"scene-{seed:05d}/front/{moment:02d}_{content}_{condition}" for content, condition in views]

    def _moment(self, scene: Scene, moment: int, names: list[str]) -> Iterator[RenderedFrame]:
        generator = np.random.default_rng([scene.seed, moment, 96])
        camera = PinholeCamera.from_field_of_view(self.width, self.height, float(generator.uniform(*self.field_of_view)))
        yaw, pitch = float(generator.uniform(*self.yaw)), float(generator.uniform(*self.pitch))
        base_from_camera = camera_pose((1.5, 0.0, float(generator.uniform(*self.camera_height))), yaw, pitch, 0.0)
        renderer = Renderer(camera, camera_model=CameraModel.draw(int(generator.integers(2**31)), self.camera_variety))
        time, instance = self._find_object(renderer, scene, moment, base_from_camera, generator)
        world_from_base = scene.world_from_base(time)
        contents = {WHOLE: scene}
        if instance is not None:
            contents[GONE] = scene.with_instance_moved(instance, None)
            contents[MOVED] = scene.with_instance_moved(instance, _aside(world_from_base, generator))
        made: dict[tuple[str, str], bytes] = {}
        depths: dict[str, str] = {}
        for name in names:
            content, _, condition = name.rpartition("/")[2].partition("_")[2].partition("_")
            if content not in contents:
                content = WHOLE
            depth: bytes | str = depths.get(content, "")
            if (content, condition) not in made:
                look: Condition = next(known for known in (DAY, *self.conditions) if known == condition)
                view = renderer.render(contents[content], world_from_base @ base_from_camera, time, look)
                made[content, condition] = encode_jpeg(view.image, self.jpeg_quality)
                depth = depth or encode_depth(view.depth)
            depths.setdefault(content, name)
            frame = Frame(
                frame_id=name,
                sequence=f"scene-{scene.seed:05d}",
                camera_name="front",
                stamp_ns=round(time * 1e9),
                camera=camera,
                world_from_camera=world_from_base @ base_from_camera,
                speed_mps=scene.speed(time),
                condition=condition,
            )
            yield RenderedFrame(frame, made[content, condition], depth)

    def _find_object(
        self, renderer: Renderer, scene: Scene, moment: int, base_from_camera: Matrix, generator: np.random.Generator
    ) -> tuple[float, int | None]:
        """A time within the moment at which an object is in view, if there is one, and its number."""
        time = 0.0
        for _ in range(_TRIES):
            time = (moment + float(generator.uniform(0, 0.9))) * self.interval_s
            instances = renderer.render_truth(scene, scene.world_from_base(time) @ base_from_camera, time).instance
            numbers, counts = np.unique(instances[instances > 0], return_counts=True)
            shares = counts / instances.size
            large = numbers[(shares >= self.smallest_object) & (shares < _LARGEST)]
            large = large[np.isin(large, list(scene.movable_instances(time)))]
            if large.size:
                return time, int(generator.choice(large))
        return time, None


def _aside(world_from_base: Matrix, generator: np.random.Generator) -> Matrix:
    """A motion in the world: up to 2 m along the road, 1.2 to 3 m across it."""
    motion = np.eye(4)
    across = generator.choice([-1, 1]) * generator.uniform(1.2, 3.0)
    motion[:3, 3] = world_from_base[:3, :3] @ (generator.uniform(-2, 2), across, 0.0)
    return motion
