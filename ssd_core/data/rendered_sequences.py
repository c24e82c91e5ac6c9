# SPDX-License-Identifier: Apache-2.0
"""Video of the rendered world: clips of consecutive frames by day, and the same moments in other conditions, pixel on pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pydantic
from scipy.spatial.transform import Rotation

from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import encode_depth
from ssd_core.data.rendered import Range, RenderedFrame, ScenePlan
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.images.codec import encode_jpeg
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL
from ssd_core.road_world.weather import Condition


class RenderedSequences(ScenePlan):
    """Clips of one forward camera a scene. Ranges are drawn from uniformly, once a scene.

    Only the frames that have both neighbours are rendered in `aligned` conditions and have depth: those are what is learnt on,
    the first and the last of a clip stand beside. Light and tones are the scene's, equal in all its frames of a condition.
    """

    kind = "rendered_sequences"
    clips: pydantic.PositiveInt = 1
    """Stretches of driving a scene, `clip_gap_s` apart; later ones are elsewhere and at another speed."""
    frames: pydantic.PositiveInt = pydantic.Field(default=15, ge=3)
    """Frames of a clip."""
    interval_s: pydantic.PositiveFloat = 0.1
    """From one frame to the next."""
    clip_gap_s: pydantic.PositiveFloat = 6.0
    condition: Condition = "day-clear"
    """Of the video."""
    aligned: tuple[Condition, ...] = ()
    """Other conditions, of single frames."""
    width: pydantic.PositiveInt = 280
    height: pydantic.PositiveInt = 154
    field_of_view: Range = (64.0, 64.0)
    """Horizontal, degrees. One value: one camera, whose metres the network learns, as of the front camera of nuScenes."""
    camera_height: Range = (1.5, 1.5)
    """Metres above the road."""
    pitch: Range = (-1.0, 1.0)
    """Degrees, up is positive."""
    camera_variety: float = pydantic.Field(default=0.3, ge=0, le=1)
    """How much the cameras of scenes differ in colours, tones, noise and dirt; exposure is fixed, since light that changes from frame
    to frame is no motion."""
    jpeg_quality: pydantic.PositiveInt = 95

    @pydantic.model_validator(mode="after")
    def _is_aligned_with_others(self) -> RenderedSequences:
        if self.condition in self.aligned:
            raise ValueError(f"aligned: {self.condition} is the condition of the video itself")
        return self

    def frame_ids(self, seed: int) -> list[str]:
        """See ScenePlan."""
        return [name for clip in range(self.clips) for place in range(self.frames) for name in self._names(seed, clip, place)]

    def render_scene(self, seed: int, known: frozenset[str]) -> Iterator[RenderedFrame]:
        """See ScenePlan."""
        clip_s = (self.frames - 1) * self.interval_s
        scene = Scene.generate(seed, self.clips * (clip_s + self.clip_gap_s) + 1)
        camera, base_from_camera = self._camera(np.random.default_rng([seed, 92]))
        model = dataclasses.replace(CameraModel.draw(seed, self.camera_variety), metering=0.0, jpeg_quality=None)
        renderer = Renderer(camera, camera_model=model)
        for clip in range(self.clips):
            start = 0.5 + clip * (clip_s + self.clip_gap_s)
            for place in range(self.frames):
                names = self._names(seed, clip, place)
                is_inner = 0 < place < self.frames - 1
                time = start + place * self.interval_s
                if not known.issuperset(names):
                    yield from self._moment(renderer, scene, scene.world_from_base(time) @ base_from_camera, time, names, is_inner)

    def _moment(
        self, renderer: Renderer, scene: Scene, world_from_camera: Matrix, time: float, names: list[str], is_inner: bool
    ) -> Iterator[RenderedFrame]:
        frame = Frame(
            frame_id=names[0],
            sequence=f"scene-{scene.seed:05d}",
            camera_name="front",
            stamp_ns=round(time * 1e9),
            camera=renderer.camera,
            world_from_camera=world_from_camera,
            speed_mps=scene.speed(time),
            condition=self.condition,
        )
        view = renderer.render(scene, world_from_camera, time, self.condition)
        depth = encode_depth(view.depth) if is_inner else None
        yield RenderedFrame(frame, encode_jpeg(view.image, self.jpeg_quality), depth)
        for condition, name in zip(self.aligned, names[1:], strict=False):
            image = renderer.render(scene, world_from_camera, time, condition).image
            other = dataclasses.replace(frame, frame_id=name, condition=condition)
            yield RenderedFrame(other, encode_jpeg(image, self.jpeg_quality), names[0])

    def _names(self, seed: int, clip: int, place: int) -> list[str]:
        conditions = (self.condition, *self.aligned) if 0 < place < self.frames - 1 else (self.condition,)
        return [f"scene-{seed:05d}/front/{clip:02d}_{place:03d}_{condition}" for condition in conditions]

    def _camera(self, generator: np.random.Generator) -> tuple[PinholeCamera, Matrix]:
        camera = PinholeCamera.from_field_of_view(self.width, self.height, float(generator.uniform(*self.field_of_view)))
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("y", -generator.uniform(*self.pitch), degrees=True).as_matrix()
        pose[:3, 3] = 1.5, 0.0, generator.uniform(*self.camera_height)
        return camera, pose @ BODY_FROM_OPTICAL
