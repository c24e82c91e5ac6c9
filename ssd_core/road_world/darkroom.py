# SPDX-License-Identifier: Apache-2.0
"""From the light of a view to its picture, on the graphics side: what lies between the scene and the file."""

from __future__ import annotations

import dataclasses
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, invert_pose
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.graphics import Graphics, set_uniforms
from ssd_core.road_world.meshes import Array
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.weather import Weather

# Motion that blurs less than this on a near road isn't worth the time, pixels.
_VISIBLE_BLUR = 0.7
_NEAR_ROAD = 4.0
_STREAK_STEP, _STREAK_TAIL = 2.2, 2.5


@dataclasses.dataclass(frozen=True)
class Shot:
    """One opening of the shutter."""

    camera: PinholeCamera
    scene: Scene
    world_from_camera: Matrix
    time: float
    weather: Weather
    model: CameraModel

    def motion(self) -> tuple[Array, Array]:
        """How far (metres) the camera moves and turns (radians) while the shutter is open, about its own axes."""
        open_for = self.weather.shutter * self.model.shutter
        if open_for == 0:
            return np.zeros(3), np.zeros(3)
        before, after = self.scene.world_from_base(self.time), self.scene.world_from_base(self.time + open_for)
        step = invert_pose(self.world_from_camera) @ after @ invert_pose(before) @ self.world_from_camera
        turn = step[:3, :3]
        return step[:3, 3], 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])

    def sun_on_screen(self) -> tuple[float, float, float]:
        """Where the sun stands, 0 to 1 inside the picture, and how much of it counts: less the farther outside it is."""
        x, y, z = self.world_from_camera[:3, :3].T @ self.weather.sun_direction
        if not self.weather.has_shadows or z < 0.05:
            return 0.5, 0.5, 0.0
        camera = self.camera
        u, v = (camera.fx * x / z + camera.cx + 0.5) / camera.width, (camera.fy * y / z + camera.cy + 0.5) / camera.height
        outside = max(-u, u - 1, -v, v - 1, 0.0)
        return float(u), float(v), float(np.clip(1 - 2.5 * outside, 0, 1))


class _Sheet:
    """A texture of light, and the door to paint on it."""

    def __init__(self, context: moderngl.Context, size: tuple[int, int]) -> None:
        self.texture = context.texture(size, 4, dtype="f2")
        self.texture.repeat_x = self.texture.repeat_y = False
        self.framebuffer = context.framebuffer([self.texture])


class Darkroom:
    """Develops pictures of one size."""

    def __init__(self, graphics: Graphics, size: tuple[int, int]) -> None:
        self._graphics, self._size = graphics, size
        context = graphics.context
        quarter = (max(1, size[0] // 4), max(1, size[1] // 4))
        self._quarter = quarter
        self._coarse, self._halo, self._streaks = (_Sheet(context, quarter) for _ in range(3))
        self._picture = context.framebuffer([context.renderbuffer(size, 4)])

    def develop(self, light: moderngl.Texture, shot: Shot, smooth: bool) -> npt.NDArray[np.uint8]:
        """(H, W, 3) RGB from a texture of linear light whose alpha is inverse depth. smooth: edges are not smoothed yet."""
        graphics, weather, model = self._graphics, shot.weather, shot.model
        graphics.context.disable(moderngl.DEPTH_TEST)
        program = graphics.screen_program("coarse.frag")
        self._pass(program, light, self._coarse, {"stride": (1 / self._size[0], 1 / self._size[1])})
        width, height = self._quarter
        read = self._coarse.framebuffer.read(components=4, dtype="f2")
        thumbnail = np.frombuffer(read, dtype=np.float16).reshape(height, width, 4).astype(np.float32)
        exposure = model.exposure(weather.exposure, thumbnail, weather.brightness)
        has_streaks = model.streaks > 0 and weather.is_night
        self._spill_light(1.4 / exposure, weather.glare, model, has_streaks)
        moved, turned = shot.motion()
        sun = self._seen_sun(shot, thumbnail)
        features = _features(shot, smooth, has_streaks, moved, turned, sun)
        self._finish(light, features, self._uniforms(shot) | {"exposure": exposure, "moved": moved, "turned": turned, "sun_on_screen": sun})
        graphics.context.enable(moderngl.DEPTH_TEST)
        width, height = self._size
        return np.frombuffer(self._picture.read(components=3), dtype=np.uint8).reshape(height, width, 3)

    def _pass(self, program: moderngl.Program, source: moderngl.Texture, target: _Sheet, uniforms: dict[str, Any]) -> None:
        target.framebuffer.use()
        source.use(0)
        set_uniforms(program, {"source": 0, **uniforms})
        self._graphics.draw_screen(program)

    def _spill_light(self, threshold: float, ceiling: float, model: CameraModel, has_streaks: bool) -> None:
        glare, (width, height) = self._graphics.screen_program("glare.frag"), self._quarter
        round_spot = {"tail": 0.0, "ceiling": ceiling}
        self._pass(glare, self._coarse.texture, self._streaks, {**round_spot, "stride": (1 / width, 0.0), "threshold": threshold})
        self._pass(glare, self._streaks.texture, self._halo, {**round_spot, "stride": (0.0, 1 / height), "threshold": 0.0})
        if has_streaks:
            along = np.array([np.sin(model.streak_angle) / width, np.cos(model.streak_angle) / height]) * _STREAK_STEP
            streak = {"stride": (float(along[0]), float(along[1])), "tail": _STREAK_TAIL * model.streaks, "ceiling": ceiling}
            self._pass(glare, self._coarse.texture, self._streaks, {**streak, "threshold": threshold})

    def _seen_sun(self, shot: Shot, thumbnail: npt.NDArray[np.float32]) -> tuple[float, float, float]:
        u, v, share = shot.sun_on_screen()
        height, width = thumbnail.shape[:2]
        inverse_depth = thumbnail[int(np.clip(v * height, 0, height - 1)), int(np.clip(u * width, 0, width - 1)), 3]
        return u, v, share * shot.model.flare if inverse_depth < 1e-4 else 0.0

    def _uniforms(self, shot: Shot) -> dict[str, Any]:
        model, weather, camera = shot.model, shot.weather, shot.camera
        grain = np.random.default_rng([shot.scene.seed, 6, round(shot.time * 1e4) % 2**32]).random()
        from_model = ("white_balance", "shoulder", "contrast", "saturation", "black_level", "vignetting", "blotches", "bloom", "dirt")
        ray = ((camera.width / 2) / camera.fx, (camera.height / 2) / camera.fy,
               (camera.width / 2 - 0.5 - camera.cx) / camera.fx, (camera.height / 2 - 0.5 - camera.cy) / camera.fy)  # fmt: skip
        falling = max(weather.rain, 0.4 * weather.wetness, 0.4 * weather.snowfall)
        return {name: getattr(model, name) for name in from_model} | {
            "drops": model.drops * falling,
            "drop_size": model.drop_size,
            "film": model.film * weather.rain,
            "noise_level": model.noise * weather.noise,
            "rain": weather.rain,
            "snowfall": weather.snowfall,
            "air_light": weather.air_light,
            "sun_colour": weather.sun_colour,
            "frame_seed": float(grain),
            "lens_seed": float(shot.scene.seed % 97),
            "view_size": tuple(map(float, self._size)),
            "ray_scale_and_offset": ray,
        }

    def _finish(self, light: moderngl.Texture, features: tuple[str, ...], uniforms: dict[str, Any]) -> None:
        develop = self._graphics.screen_program("develop.frag", features)
        self._picture.use()
        sheets = {"glare": self._halo, "coarse": self._coarse, "streak": self._streaks}
        textures = {"scene": light, "noise": self._graphics.noise} | {name: sheet.texture for name, sheet in sheets.items()}
        for unit, (name, texture) in enumerate(textures.items()):
            texture.use(unit)
            set_uniforms(develop, {f"{name}_texture": unit})
        set_uniforms(develop, uniforms)
        self._graphics.draw_screen(develop)


def _features(shot: Shot, smooth: bool, has_streaks: bool, moved: Array, turned: Array, sun: tuple[float, float, float]) -> tuple[str, ...]:
    """Variants of the shader: a picture only pays for what it shows."""
    weather, model = shot.weather, shot.model
    blur = shot.camera.fx * max(float(np.linalg.norm(moved)) / _NEAR_ROAD, float(np.linalg.norm(turned)))
    wet = weather.rain > 0 or weather.wetness > 0 or weather.snowfall > 0
    switches = {
        "BLUR": blur > _VISIBLE_BLUR,
        "SMOOTH": smooth and blur <= _VISIBLE_BLUR,
        "LENS": model.dirt > 0 or (wet and (model.drops > 0 or model.film > 0)),
        "RAIN": weather.rain > 0,
        "SNOWFALL": weather.snowfall > 0,
        "STREAKS": has_streaks,
        "FLARE": sun[2] > 0,
        "NOISE": model.noise > 0,
    }
    return tuple(name for name, on in switches.items() if on)
