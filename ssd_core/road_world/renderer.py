# SPDX-License-Identifier: Apache-2.0
"""Pictures and exact depth of a scene, as a camera sees it from somewhere at some time."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.darkroom import Darkroom, Shot
from ssd_core.road_world.drawing import Moment, Piece, View
from ssd_core.road_world.graphics import MAX_FOOTPRINTS, MAX_LIGHTS, Graphics, set_uniforms, uniform_bytes
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import LIGHT_FLOATS, Array
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.shadows import ShadowCache
from ssd_core.road_world.truth import UNSEEN, RenderedFlow, RenderedTruth, flow_to, moved_points, part_motions
from ssd_core.road_world.weather import Condition, Weather, make_weather

# A distorted lens is rendered as a wider pinhole first; beyond this tangent a pinhole is no longer practical.
_WIDEST_TANGENT = 4.0
# Cameras this near to base_link, metres, are taken to be the ego vehicle's own.
_VEHICLE_REACH = 15.0
# Wet roads mirror what stands this near, metres.
_MIRROR_REACH = 60.0
# Lights fade out at the end of this reach around a point ahead of the camera, metres.
_LIGHT_REACH = 60.0
# Shade ends within this distance of a footprint, metres; the ground it falls on lies no farther above or below the land, by distance.
_FOOTPRINT_MARGIN, _STEEPEST_BANK = 1.0, 0.2
# How far cameras differ from scene to scene where none is given.
_VARIETY = 0.5


class RenderedView(NamedTuple):
    """image uint8 (H, W, 3) RGB; depth float32 (H, W), metres along the optical axis (REP 118).

    Depth is +Inf for sky and NaN where the lens sees nothing.
    """

    image: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]

    @property
    def is_sky(self) -> npt.NDArray[np.bool_]:
        """(H, W), True where there is nothing but sky."""
        return np.isposinf(self.depth)


@functools.cache
def shared_graphics() -> Graphics:
    """The context all renderers of this process share, so that a scene is loaded once for all cameras."""
    return Graphics()


_SHADOWS: weakref.WeakKeyDictionary[Graphics, ShadowCache] = weakref.WeakKeyDictionary()


class Renderer:
    """Renders a scene for one camera; a distorted camera is rendered through a wider pinhole and bent.

    supersampling 1 smooths edges in the finished picture; 2 paints four times the pixels and is finer, at about
    twice the time. Depth is the same: at pixel centres, without any smoothing.
    camera_model is what the camera makes of the light; None draws a mild one for each scene.

    Raises GraphicsError where there is no OpenGL. Use it from one thread.
    """

    def __init__(
        self,
        camera: PinholeCamera,
        supersampling: int = 1,
        camera_model: CameraModel | None = None,
    ) -> None:
        self.camera, self.camera_model = camera, camera_model
        self._lens = _Lens(camera) if camera.is_distorted else None
        self._pinhole = self._lens.pinhole if self._lens else camera
        self._graphics = shared_graphics()
        self._targets = _Targets(self._graphics.context, self._pinhole.size, supersampling)
        self._darkroom = Darkroom(self._graphics, self._pinhole.size)
        self._last: _Frame | None = None

    def render(self, scene: Scene, world_from_camera: Matrix, time: float, condition: Condition) -> RenderedView:
        """Picture and depth at `time` seconds; world_from_camera is the pose of the optical frame (x right, y down, z forward)."""
        frame = self._frame(scene, world_from_camera, time)
        depth = self._depth(frame.inverse_depth())
        weather = make_weather(condition, scene.seed)
        model = self.camera_model or CameraModel.draw(scene.seed, _VARIETY)
        light = frame.light(weather)
        image = self._darkroom.develop(
            light, Shot(self._pinhole, scene, world_from_camera, time, weather, model), self._targets.shares_depth
        )
        return RenderedView(model.finish(self._lens.bend(image) if self._lens else image), depth)

    def render_depth(self, scene: Scene, world_from_camera: Matrix, time: float) -> npt.NDArray[np.float32]:
        """Depth alone, (H, W) float32: conditions don't enter it."""
        return self._depth(self.render_inverse_depth(scene, world_from_camera, time))

    def render_inverse_depth(self, scene: Scene, world_from_camera: Matrix, time: float) -> npt.NDArray[np.float32]:
        """(H, W, 4) of the undistorted view: 1 / Z at the pixel centre (0 for sky), its exact slope along u and v, and brightness."""
        return self._frame(scene, world_from_camera, time).inverse_depth()

    def render_truth(self, scene: Scene, world_from_camera: Matrix, time: float) -> RenderedTruth:
        """Depth, classes and instances, of exactly the surfaces that `render` shows."""
        frame = self._frame(scene, world_from_camera, time)
        depth = self._depth(frame.inverse_depth())
        semantic, instance, _ = self._labels(frame)
        return RenderedTruth(depth, np.asarray(semantic, dtype=np.uint8), np.asarray(instance, dtype=np.int32))

    def render_flow(self, scene: Scene, world_from_camera: Matrix, time: float, later_pose: Matrix, later_time: float) -> RenderedFlow:
        """Where the points seen at `time` are in the picture from later_pose at later_time (which may also lie before)."""
        later = self._frame(scene, later_pose, later_time)
        later_layers = later.inverse_depth()
        frame = self._frame(scene, world_from_camera, time)
        depth = self._depth(frame.inverse_depth()).astype(np.float64)
        _, _, part = self._labels(frame)
        motions = part_motions(frame.parts, later.parts)
        moved = moved_points(depth, part, self.camera, world_from_camera, later_pose, motions)
        return flow_to(moved, self.camera, self._pinhole, later_layers)

    def _labels(self, frame: _Frame) -> npt.NDArray[np.int64]:
        """(3, H, W): class, instance, and part from 0 on (-1 for sky), of the pixels whose depth _depth gives."""
        layers = frame.labels().astype(np.int64) - (0, 0, 1)
        if self._lens:
            layers = self._lens.nearest(layers, (UNSEEN, 0, -1))
        return layers.transpose(2, 0, 1)

    def _frame(self, scene: Scene, world_from_camera: Matrix, time: float) -> _Frame:
        last = self._last
        # The same view in another condition, or its truth: its depth is there already.
        if last and last.scene is scene and last.time == time and np.array_equal(last.world_from_camera, world_from_camera):
            return last
        self._graphics.free_unused()
        self._last = _Frame(self._graphics, self._targets, self._pinhole, scene, world_from_camera.copy(), time)
        return self._last

    def _depth(self, layers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._lens:
            return self._lens.depth(layers)
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / layers[..., 0], dtype=np.float32)


class _Targets:
    """Framebuffers for one picture size."""

    def __init__(self, context: moderngl.Context, size: tuple[int, int], supersampling: int) -> None:
        width, height = size
        fine = (width * supersampling, height * supersampling)
        half = (max(1, width // 2), max(1, height // 2))
        self.size, self.fine = size, fine
        depth_buffer = context.depth_renderbuffer(size)
        self.depth = context.framebuffer([context.renderbuffer(size, 4, dtype="f4")], depth_buffer)
        self.shares_depth = supersampling == 1
        self.radiance = self._texture(context, fine)
        self.painted = context.framebuffer([self.radiance], depth_buffer if self.shares_depth else context.depth_renderbuffer(fine))
        self.mirror = self._texture(context, half)
        self.mirrored = context.framebuffer([self.mirror], context.depth_renderbuffer(half))

    @staticmethod
    def _texture(context: moderngl.Context, size: tuple[int, int]) -> moderngl.Texture:
        texture = context.texture(size, 4, dtype="f2")
        texture.repeat_x = texture.repeat_y = False
        return texture


class _Frame:
    """One picture in the making."""

    def __init__(
        self, graphics: Graphics, targets: _Targets, camera: PinholeCamera, scene: Scene, world_from_camera: Matrix, time: float
    ) -> None:
        self.graphics, self.targets, self.camera, self.scene, self.time = graphics, targets, camera, scene, time
        self.world_from_camera = world_from_camera
        self.view = View.of(camera, world_from_camera)
        self.parts = scene.parts(time)
        self.moment = Moment(self.parts)
        self.seen = self.moment.in_view(self.view)
        self._inverse_depth: npt.NDArray[np.float32] | None = None

    def inverse_depth(self) -> npt.NDArray[np.float32]:
        """See Renderer.render_inverse_depth; drawn once, unless another frame has drawn into the same targets since."""
        if self._inverse_depth is None:
            self._inverse_depth = self._draw_depth()
        return self._inverse_depth

    def _draw_depth(self) -> npt.NDArray[np.float32]:
        target = self.targets.depth
        target.use()
        target.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        self._draw(self.graphics.depth_program, self.view.clip_from_relative, tuple(Family), self.seen)
        width, height = self.targets.size
        return np.frombuffer(target.read(components=4, dtype="f4"), dtype=np.float32).reshape(height, width, 4)

    def labels(self) -> npt.NDArray[np.float32]:
        """(H, W, 3): class, instance, number of the part from 1 on; 0 for sky."""
        target = self.targets.depth
        target.use()
        target.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        self._draw(self.graphics.truth_program, self.view.clip_from_relative, tuple(Family), self.seen)
        width, height = self.targets.size
        return np.frombuffer(target.read(components=4, dtype="f4"), dtype=np.float32).reshape(height, width, 4)[..., :3]

    def light(self, weather: Weather) -> moderngl.Texture:
        """Linear light, alpha: inverse depth. Call it after inverse_depth, whose depth buffer it may go on using."""
        features = tuple(
            name
            for name, on in (
                ("SHADOWS", weather.has_shadows),
                ("NIGHT", weather.is_night),
                ("WET", weather.wetness > 0),
                ("SNOW", weather.snow > 0),
            )
            if on
        )
        uniforms = self._uniforms(weather)
        if weather.has_shadows:
            self._cast_shadows(weather, uniforms)
        if weather.wetness > 0:
            self._paint_mirror_image(features, uniforms)
        targets = self.targets
        families = tuple(Family)
        if not targets.shares_depth:
            self._lay_depth(targets.painted, self.view.clip_from_relative, families, self.seen)
        directions = self.world_from_camera[:3, :3]
        self._paint(targets.painted, features, uniforms, self.view.clip_from_relative, directions, families, self.seen)
        return targets.radiance

    def _draw(
        self,
        program_of: Callable[[Family, Material | None], moderngl.Program],
        clip_from_relative: Array,
        families: tuple[Family, ...],
        pieces: list[Piece],
    ) -> None:
        self.moment.draw(self.graphics, program_of, clip_from_relative, self.view.position, families, pieces)

    def _lay_depth(
        self, target: moderngl.Framebuffer, clip_from_relative: Array, families: tuple[Family, ...], pieces: list[Piece]
    ) -> None:
        """Depth before colour: then every pixel is painted once, however many surfaces lie behind each other."""
        target.use()
        target.clear(0.0, 0.0, 0.0, 1.0, depth=1.0)
        self._draw(self.graphics.shadow_program, clip_from_relative, families, pieces)

    def _paint(
        self,
        target: moderngl.Framebuffer,
        features: tuple[str, ...],
        uniforms: dict[str, Any],
        clip_from_relative: Array,
        directions: Array,
        families: tuple[Family, ...],
        pieces: list[Piece],
    ) -> None:
        """Paint over a depth buffer that is laid already."""
        target.use()
        written = uniform_bytes(uniforms)

        def program_of(family: Family, material: Material | None) -> moderngl.Program:
            program = self.graphics.surface_program(family, features, material)
            set_uniforms(program, written)
            return program

        context = self.graphics.context
        # What is cut out was cut out when depth was laid: nothing else lies at that very depth.
        context.depth_func, target.depth_mask = "==", False
        self.moment.paint(self.graphics, program_of, clip_from_relative, self.view.position, families, pieces)
        context.depth_func, target.depth_mask = "<=", True
        sky, camera = self.graphics.sky_program(features), self.camera
        ray = ((camera.width / 2) / camera.fx, (camera.height / 2) / camera.fy,
               (camera.width / 2 - 0.5 - camera.cx) / camera.fx, (camera.height / 2 - 0.5 - camera.cy) / camera.fy)  # fmt: skip
        set_uniforms(sky, uniforms | {"world_from_camera": directions, "ray_scale_and_offset": ray})
        self.graphics.draw_screen(sky)

    def _cast_shadows(self, weather: Weather, uniforms: dict[str, Any]) -> None:
        if self.graphics not in _SHADOWS:
            _SHADOWS[self.graphics] = ShadowCache(self.graphics)
        base = self.scene.world_from_base(self.time)
        # A camera of the vehicle shares its shadows; one that is elsewhere has its own.
        on_vehicle = np.linalg.norm(base[:3, 3] - self.view.position) < _VEHICLE_REACH
        place, forward = (base[:3, 3], base[:3, 0]) if on_vehicle else (self.view.position, self.world_from_camera[:3, 2])
        shadow = _SHADOWS[self.graphics].cast(self.moment, weather.sun_direction, place, forward)
        relative = shadow.shadow_from_world.copy()
        relative[:3, 3] += relative[:3, :3] @ self.view.position
        shadow.texture.use(1)
        uniforms |= {"shadow_from_relative": relative, "shadow_texture": 1}

    def _paint_mirror_image(self, features: tuple[str, ...], uniforms: dict[str, Any]) -> None:
        """The world as the wet road shows it: mirrored at the land's plane a little ahead."""
        here, forward = self.view.position, self.world_from_camera[:3, 2]
        hills = self.scene.road.hills
        spot = here[:2] + forward[:2] * 14.0
        slope = [float(hills(spot[0] + dx, spot[1] + dy) - hills(spot[0] - dx, spot[1] - dy)) / 8 for dx, dy in ((4.0, 0.0), (0.0, 4.0))]
        normal = np.array([-slope[0], -slope[1], 1.0])
        normal /= np.linalg.norm(normal)
        point = np.array([spot[0], spot[1], float(hills(spot[0], spot[1]))]) - here
        mirror = np.eye(4)
        mirror[:3, :3] -= 2 * np.outer(normal, normal)
        mirror[:3, 3] = 2 * (normal @ point) * normal
        families = (Family.FACADE, Family.SOLID, Family.CUTOUT)
        dry = tuple(feature for feature in features if feature != "WET")
        clip, target = self.view.clip_from_relative @ mirror, self.targets.mirrored
        # Rough water shows no details: half the size, and coarse things from nearby on.
        coarsely = dataclasses.replace(self.view, focal_length=self.view.focal_length / 4, pixels=0)
        pieces = self.moment.in_view(coarsely, _MIRROR_REACH)
        self._lay_depth(target, clip, families, pieces)
        self._paint(target, dry, uniforms, clip, mirror[:3, :3] @ self.world_from_camera[:3, :3], families, pieces)
        self.targets.mirror.use(2)
        uniforms["mirror_texture"] = 2

    def _uniforms(self, weather: Weather) -> dict[str, Any]:
        road, base = self.scene.road, self.scene.world_from_base(self.time)
        plain = (
            "sun_direction",
            "sun_colour",
            "sky_horizon",
            "sky_zenith",
            "sky_glow",
            "sky_light",
            "bounce_light",
            "cloud_colour",
            "cloud_cover",
            "cloud_shape",
            "fog_density",
            "fog_height",
            "fog_colour",
            "wetness",
            "snow",
            "in_shade",
            "lit_windows",
            "glow",
            "lamp_colour",
            "headlights",
        )
        uniforms: dict[str, Any] = {name: getattr(weather, name) for name in plain}
        uniforms |= {
            "noise_texture": 0,
            "time": self.time % 64.0,
            "sky_seed": (self.scene.seed % 61) / 61,
            "street_seed": (self.scene.seed * 0.618034) % 1.0,
            "half_width": road.half_width,
            "view_size": tuple(map(float, self.targets.fine)),
            "ego_axes": base[:3, :3].T,
            "ego_lamp": base[:3, :3] @ (3.6, 0.0, 0.68) + base[:3, 3] - self.view.position,
        }
        uniforms |= self._footprints()
        if weather.is_night:
            uniforms |= self._lights()
        return uniforms

    def _nearest(self, positions: Array, count: int) -> npt.NDArray[np.int64]:
        """Indices of what matters most to this view: near a point ahead of the camera."""
        distance = np.linalg.norm(positions - self._ahead()[: positions.shape[1]], axis=1)
        return np.argsort(distance, kind="stable")[:count]

    def _ahead(self) -> Array:
        return self.view.position + self.world_from_camera[:3, 2] * 22.0

    def _lights(self) -> dict[str, Any]:
        lights = np.concatenate([np.zeros((0, LIGHT_FLOATS)), *(part.lights for part in self.parts if len(part.mesh.lights))])
        lights = lights[self._nearest(lights[:, :3], MAX_LIGHTS)]
        distance = np.linalg.norm(lights[:, :3] - self._ahead(), axis=1)
        lights, distance = lights[distance < _LIGHT_REACH], distance[distance < _LIGHT_REACH]
        count = len(lights)
        padded = np.zeros((MAX_LIGHTS, lights.shape[1]))
        padded[:count] = lights
        padded[:count, 6:9] *= np.clip(4 * (1 - distance / _LIGHT_REACH), 0, 1)[:, None]
        padded[:count, :3] -= self.view.position
        position = np.concatenate([padded[:, 0:3], padded[:, 9:10]], axis=1)
        return {"light_count": count, "light_position": position, "light_direction": padded[:, 3:6], "light_colour": padded[:, 6:9]}

    def _footprints(self) -> dict[str, Any]:
        prints = np.concatenate([np.zeros((0, 6)), *(part.footprints for part in self.parts if len(part.mesh.footprints))])
        prints = prints[self._nearest(prints[:, :2], MAX_FOOTPRINTS)]
        prints = prints[self._shows_ground(prints)]
        count = len(prints)
        padded = np.zeros((MAX_FOOTPRINTS, 6))
        padded[:count] = prints
        padded[:, :2] -= self.view.position[:2]
        return {"footprint_count": count, "footprint_pose": padded[:, :4], "footprint_size": padded[:, 4:6]}

    def _shows_ground(self, prints: Array) -> npt.NDArray[np.bool_]:
        """(N,) whether the ground that footprints shade may be in the picture: each costs every pixel of ground."""
        height = self.scene.road.hills(prints[:, 0], prints[:, 1])
        away = np.linalg.norm(prints[:, :2] - self.view.position[:2], axis=1)
        reach = np.hypot(prints[:, 4], prints[:, 5]) + _FOOTPRINT_MARGIN + _STEEPEST_BANK * away
        return self.view.sees(np.column_stack([prints[:, :2], height]), reach)


class _Lens:
    """Bends a wide pinhole view into a distorted camera's picture."""

    def __init__(self, camera: PinholeCamera) -> None:
        rays = camera.rays().astype(np.float64)
        with np.errstate(invalid="ignore"):
            seen = np.isfinite(rays).all(axis=-1) & (np.abs(rays) <= _WIDEST_TANGENT).all(axis=-1)
        margin = 2
        low = np.floor(rays[seen].min(axis=0) * (camera.fx, camera.fy)) - margin
        high = np.ceil(rays[seen].max(axis=0) * (camera.fx, camera.fy)) + margin
        width, height = (int(value) + 1 for value in high - low)
        self.pinhole = PinholeCamera(width, height, camera.fx, camera.fy, -float(low[0]), -float(low[1]))
        pixels = rays * (camera.fx, camera.fy) - low
        pixels[~seen] = -10.0
        self._seen = seen
        self._columns, self._rows = pixels[..., 0], pixels[..., 1]

    def bend(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        maps = self._columns.astype(np.float32), self._rows.astype(np.float32)
        return np.asarray(cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), dtype=np.uint8)

    def nearest(self, layers: npt.NDArray[np.int64], unseen: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """Layers (h, w, C) of the pinhole view as the lens has them, (H, W, C), from the same pixels as `depth`."""
        found = np.broadcast_to(np.array(unseen), (*self._seen.shape, len(unseen))).copy()
        found[self._seen] = layers[np.rint(self._rows[self._seen]).astype(np.int64), np.rint(self._columns[self._seen]).astype(np.int64)]
        return found

    def depth(self, layers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        depth = np.full(self._seen.shape, np.nan, dtype=np.float32)
        depth[self._seen] = depth_at(layers, self._columns[self._seen], self._rows[self._seen])
        return depth


def depth_at(layers: npt.NDArray[np.float32], columns: Array, rows: Array) -> npt.NDArray[np.float32]:
    """Exact depth between pixel centres: the surface of the nearest pixel, continued along its own plane.

    layers as Renderer.render_inverse_depth gives them; columns, rows (N,) in pixels. +Inf for sky.
    """
    u, v = np.rint(columns).astype(np.int64), np.rint(rows).astype(np.int64)
    inverse, slope_u, slope_v = (layers[v, u, channel].astype(np.float64) for channel in range(3))
    refined = inverse + (columns - u) * slope_u + (rows - v) * slope_v
    # Seen edge-on a surface may turn away within half a pixel.
    refined = np.where(refined > 0.5 * inverse, refined, inverse)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / refined, dtype=np.float32)
