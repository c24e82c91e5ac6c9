# SPDX-License-Identifier: Apache-2.0
"""Sensors on the ego vehicle: camera rigs as nuScenes mounts them, and a rotating lidar cast against the rendered geometry."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, invert_pose
from ssd_core.road_world.ego_body import EgoBody
from ssd_core.road_world.meshes import Array, yaw_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.weather import Condition, make_weather

# Columns: x right-forward axes of REP 103 bodies to optical axes (x right, y down, z forward).
BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])

POINT_FIELDS = ("x", "y", "z", "intensity", "ring")
TIMED_POINT_FIELDS = (*POINT_FIELDS, "time")

# name: x, y, z in metres and yaw in degrees in base_link, horizontal field of view in degrees; rounded from typical nuScenes calibrations.
NUSCENES_CAMERAS = {
    "CAM_FRONT": (1.70, 0.02, 1.51, 0.0, 64.6),
    "CAM_FRONT_RIGHT": (1.55, -0.49, 1.50, -55.0, 64.8),
    "CAM_BACK_RIGHT": (1.01, -0.48, 1.56, -110.0, 64.8),
    "CAM_BACK": (0.03, 0.00, 1.57, 180.0, 89.4),
    "CAM_BACK_LEFT": (1.03, 0.48, 1.59, 110.0, 64.8),
    "CAM_FRONT_LEFT": (1.52, 0.49, 1.51, 55.0, 64.4),
}
_LIDAR_PERIOD = 0.05
_TURN_SECTORS = 12


@dataclasses.dataclass(frozen=True)
class MountedCamera:
    """A camera on the vehicle; it fires `delay` seconds into each period. ego_body: what of the own vehicle it may see."""

    name: str
    camera: PinholeCamera
    base_from_camera: Matrix
    delay: float
    ego_body: EgoBody | None = None

    @classmethod
    def at(
        cls, name: str, camera: PinholeCamera, place: tuple[float, float, float], yaw: float, ego_body: EgoBody | None = None
    ) -> MountedCamera:
        """A level camera at a place in base_link (metres), turned to the left by `yaw` degrees; it fires as the lidar turns past it."""
        delay = (-yaw % 360.0) / 360.0 * _LIDAR_PERIOD
        return cls(name, camera, yaw_pose(*place, np.radians(yaw)) @ BODY_FROM_OPTICAL, delay, ego_body)


@dataclasses.dataclass(frozen=True)
class Lidar:
    """A rotating multi-beam lidar: elevations of its beams in radians, lowest first (ring 0), and directions in one turn.

    turn: seconds a turn takes. 0: a sweep is one instant, as if the turn's own motion had been taken out of it. Else each
    column has a time of its own, on which the vehicle has moved on, and points say it: seconds after the first column.
    """

    name: str
    base_from_lidar: Matrix
    elevations: tuple[float, ...]
    columns: int
    min_range: float = 1.0
    max_range: float = 100.0
    turn: float = 0.0

    @property
    def point_fields(self) -> tuple[str, ...]:
        """What the columns of a cast are."""
        return TIMED_POINT_FIELDS if self.turn else POINT_FIELDS

    @classmethod
    def nuscenes_top(cls, beams: int = 32, columns: int = 1084) -> Lidar:
        """LIDAR_TOP: 32 beams from -30.67 to 10.67 degrees, its y axis pointing forward; fewer beams keep the field of view."""
        elevations = np.radians(np.linspace(-30.67, 10.67, beams))
        return cls("LIDAR_TOP", yaw_pose(0.94, 0.0, 1.84, -np.pi / 2), tuple(float(value) for value in elevations), columns)


@dataclasses.dataclass(frozen=True)
class Rig:
    """The cameras and the lidar of a vehicle."""

    cameras: tuple[MountedCamera, ...]
    lidar: Lidar

    @classmethod
    def nuscenes_front(cls, width: int = 640, height: int = 360, lidar: Lidar | None = None) -> Rig:
        """CAM_FRONT and LIDAR_TOP."""
        return cls((_mounted("CAM_FRONT", width, height),), lidar or Lidar.nuscenes_top())

    @classmethod
    def nuscenes(cls, width: int = 640, height: int = 360, lidar: Lidar | None = None) -> Rig:
        """All six cameras, which fire one after the other as the lidar turns past them, and LIDAR_TOP."""
        return cls(tuple(_mounted(name, width, height) for name in NUSCENES_CAMERAS), lidar or Lidar.nuscenes_top())


class LidarCaster:
    """Casts a lidar's beams against the scene by way of exact depth pictures around it.

    A sweep of one instant takes four. A turn that takes time takes twelve, each from where the lidar is in the middle of
    its 30 degrees; beams start where they really do and end on the planes that the pictures hold, so that still surfaces
    are exact. What moves by itself stands still while the lidar passes a picture, a 24th of the turn at most.
    """

    def __init__(self, lidar: Lidar) -> None:
        self.lidar = lidar
        elevation = np.array(lidar.elevations)
        azimuth = np.arange(lidar.columns) * (2 * np.pi / lidar.columns)
        # Clockwise from straight ahead, as the real one turns; all beams of one direction after each other.
        flat = np.cos(elevation)
        up = np.broadcast_to(np.sin(elevation), (lidar.columns, len(elevation)))
        self._directions = np.stack([np.sin(azimuth)[:, None] * flat, np.cos(azimuth)[:, None] * flat, up], axis=-1).reshape(-1, 3)
        self._rings = np.tile(np.arange(len(elevation), dtype=np.float32), lidar.columns)
        self._times = np.repeat(np.arange(lidar.columns) * (lidar.turn / lidar.columns), len(elevation))
        self._sectors = _TURN_SECTORS if lidar.turn else 4
        self._camera = _face_camera(elevation, np.pi / self._sectors)
        self._renderer = Renderer(self._camera)

    def cast(self, scene: Scene, world_from_lidar: Matrix, time: float, condition: Condition = "day-clear") -> npt.NDArray[np.float32]:
        """One sweep that starts at `time` seconds with the lidar at world_from_lidar on the moving vehicle.

        (N, 5 or 6) float32, lidar.point_fields, metres in the lidar's frame (x right, y forward, z up) at each point's own
        time. Rain swallows far and dark returns, more of them the stronger it is; intensity is 0 to 255.
        """
        ranges, brightness = self._ranges(scene, world_from_lidar, time)
        hit = np.isfinite(ranges) & (ranges >= self.lidar.min_range) & (ranges <= self.lidar.max_range)
        ranges = np.where(hit, ranges, 0.0)
        weather = make_weather(condition, scene.seed)
        rng = np.random.default_rng([scene.seed, 7, round(time * 1e4) % 2**32])
        # Matt surfaces return less from afar; what comes back below a noise floor is lost.
        thick_air = max(weather.fog_density - 0.008, 0.0)
        returned = (0.15 + brightness) * np.exp(-ranges * (0.008 + 0.03 * max(weather.rain, weather.snowfall) + thick_air))
        hit &= returned > rng.uniform(0.0, 0.09, len(ranges))
        intensity = np.clip(returned * 110.0 * rng.uniform(0.85, 1.15, len(ranges)), 0.0, 255.0)
        columns: list[Array] = [self._directions * ranges[:, None], np.round(intensity)[:, None], self._rings[:, None].astype(np.float64)]
        if self.lidar.turn:
            columns.append(self._times[:, None])
        return np.asarray(np.concatenate(columns, axis=1)[hit], dtype=np.float32)

    def _ranges(self, scene: Scene, world_from_lidar: Matrix, time: float) -> tuple[Array, Array]:
        ranges = np.full(len(self._directions), np.inf)
        brightness = np.zeros(len(self._directions))
        sector = np.arange(self.lidar.columns) * self._sectors // self.lidar.columns
        for number in range(self._sectors):
            # A quarter turn to the left: the lidar looks along y, its pictures' bodies along x.
            yaw = np.pi / 2 - (number + 0.5) * 2 * np.pi / self._sectors
            lidar_from_face = yaw_pose(0, 0, 0, yaw) @ BODY_FROM_OPTICAL
            columns = np.flatnonzero(sector == number)
            beams = np.isin(np.repeat(np.arange(self.lidar.columns), len(self.lidar.elevations)), columns)
            shot = time + (number + 0.5) * self.lidar.turn / self._sectors
            world_from_face = self._pose(scene, world_from_lidar, time, shot) @ lidar_from_face
            layers = self._renderer.render_inverse_depth(scene, world_from_face, shot)
            starts, rays = self._beams(scene, world_from_lidar, time, columns, invert_pose(world_from_face))
            ranges[beams], brightness[beams] = _cast_into(layers, self._camera, starts, rays)
        return ranges, brightness

    def _pose(self, scene: Scene, world_from_lidar: Matrix, time: float, later: float) -> Matrix:
        if later == time:
            return world_from_lidar
        return np.asarray(scene.world_from_base(later) @ invert_pose(scene.world_from_base(time)) @ world_from_lidar)

    def _beams(
        self, scene: Scene, world_from_lidar: Matrix, time: float, columns: npt.NDArray[np.int64], face_from_world: Matrix
    ) -> tuple[Array, Array]:
        """Starts and unit directions (N, 3) of the beams of some columns, in the frame of a face."""
        step = self.lidar.turn / self.lidar.columns
        poses = np.stack([face_from_world @ self._pose(scene, world_from_lidar, time, time + step * column) for column in columns.tolist()])
        directions = self._directions.reshape(self.lidar.columns, -1, 3)[columns]
        rays = np.einsum("cij,cnj->cni", poses[:, :3, :3], directions)
        starts = np.broadcast_to(poses[:, None, :3, 3], rays.shape)
        return starts.reshape(-1, 3), rays.reshape(-1, 3)


def _cast_into(layers: npt.NDArray[np.float32], camera: PinholeCamera, starts: Array, rays: Array) -> tuple[Array, Array]:
    """Ranges and brightness (N,) where rays that start near a camera's centre meet the planes that its pixels show."""
    height, width = layers.shape[:2]
    ranges, brightness = np.full(len(rays), 30.0), np.zeros(len(rays))
    # The first guess only chooses the pixel, and the next ones refine it: centimetres beside the centre hardly change it.
    for _ in range(3):
        pixels = camera.project(starts + rays * np.where(np.isfinite(ranges), ranges, 1e4)[:, None])
        u = np.clip(np.rint(pixels[:, 0]), 0, width - 1).astype(np.int64)
        v = np.clip(np.rint(pixels[:, 1]), 0, height - 1).astype(np.int64)
        inverse, slope_u, slope_v, shade = layers[v, u].astype(np.float64).T
        # 1 / Z is linear in the pixel: normal . point = 1 on the plane.
        flat = inverse - slope_u * u - slope_v * v + slope_u * camera.cx + slope_v * camera.cy
        normals = np.stack([slope_u * camera.fx, slope_v * camera.fy, flat], axis=-1)
        facing = np.einsum("ni,ni->n", normals, rays)
        # Seen edge-on a surface may turn away within half a pixel.
        facing = np.where(facing > 0.5 * inverse * rays[:, 2], facing, inverse * rays[:, 2])
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(inverse > 0, (1 - np.einsum("ni,ni->n", normals, starts)) / facing, np.inf)
        ranges, brightness = found, shade
    return ranges, brightness


def _face_camera(elevation: Array, half_angle: float) -> PinholeCamera:
    """A sector of the turn, with a few pixels of margin; steep beams reach farthest from the centre in the corners."""
    focal, margin = 300.0, 4
    half = int(np.ceil(focal * np.tan(half_angle))) + margin
    above = int(np.ceil(focal / np.cos(half_angle) * max(np.tan(elevation.max()), 0.0))) + margin
    below = int(np.ceil(focal / np.cos(half_angle) * max(np.tan(-elevation.min()), 0.0))) + margin
    return PinholeCamera(2 * half + 1, above + below + 1, focal, focal, float(half), float(above))


def _mounted(name: str, width: int, height: int) -> MountedCamera:
    x, y, z, yaw, field_of_view = NUSCENES_CAMERAS[name]
    return MountedCamera.at(name, PinholeCamera.from_field_of_view(width, height, field_of_view), (x, y, z), yaw)
