# SPDX-License-Identifier: Apache-2.0
"""Sensors on the ego vehicle: camera rigs as nuScenes mounts them, and a rotating lidar cast against the rendered geometry."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.meshes import Array, yaw_pose
from ssd_core.road_world.renderer import Renderer, depth_at
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.weather import Condition, make_weather

# Columns: x right-forward axes of REP 103 bodies to optical axes (x right, y down, z forward).
BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])

POINT_FIELDS = ("x", "y", "z", "intensity", "ring")

# name: x, y, z in metres and yaw in degrees in base_link, horizontal field of view in degrees; rounded from typical nuScenes calibrations.
_NUSCENES_CAMERAS = {
    "CAM_FRONT": (1.70, 0.02, 1.51, 0.0, 64.6),
    "CAM_FRONT_RIGHT": (1.55, -0.49, 1.50, -55.0, 64.8),
    "CAM_BACK_RIGHT": (1.01, -0.48, 1.56, -110.0, 64.8),
    "CAM_BACK": (0.03, 0.00, 1.57, 180.0, 89.4),
    "CAM_BACK_LEFT": (1.03, 0.48, 1.59, 110.0, 64.8),
    "CAM_FRONT_LEFT": (1.52, 0.49, 1.51, 55.0, 64.4),
}
_LIDAR_PERIOD = 0.05


@dataclasses.dataclass(frozen=True)
class MountedCamera:
    """A camera on the vehicle; it fires `delay` seconds into each period."""

    name: str
    camera: PinholeCamera
    base_from_camera: Matrix
    delay: float


@dataclasses.dataclass(frozen=True)
class Lidar:
    """A rotating multi-beam lidar: elevations of its beams in radians, lowest first (ring 0), and directions in one turn.

    A sweep is one instant: as if the turn's own motion had been taken out of it.
    """

    name: str
    base_from_lidar: Matrix
    elevations: tuple[float, ...]
    columns: int
    min_range: float = 1.0
    max_range: float = 100.0

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
        return cls(tuple(_mounted(name, width, height) for name in _NUSCENES_CAMERAS), lidar or Lidar.nuscenes_top())


class LidarCaster:
    """Casts a lidar's beams against the scene by way of four exact depth pictures around it."""

    def __init__(self, lidar: Lidar) -> None:
        self.lidar = lidar
        elevation = np.array(lidar.elevations)
        azimuth = np.arange(lidar.columns) * (2 * np.pi / lidar.columns)
        # Clockwise from straight ahead, as the real one turns; all beams of one direction after each other.
        flat = np.cos(elevation)
        up = np.broadcast_to(np.sin(elevation), (lidar.columns, len(elevation)))
        self._directions = np.stack([np.sin(azimuth)[:, None] * flat, np.cos(azimuth)[:, None] * flat, up], axis=-1).reshape(-1, 3)
        self._rings = np.tile(np.arange(len(elevation), dtype=np.float32), lidar.columns)
        self._camera = _face_camera(elevation)
        self._renderer = Renderer(self._camera)
        self._faces = [yaw_pose(0, 0, 0, yaw) @ BODY_FROM_OPTICAL for yaw in np.arange(4) * (np.pi / 2)]

    def cast(self, scene: Scene, world_from_lidar: Matrix, time: float, condition: Condition = "day-clear") -> npt.NDArray[np.float32]:
        """One sweep at `time` seconds: (N, 5) float32, POINT_FIELDS, metres in the lidar's frame (x right, y forward, z up).

        Ranges are exact. Rain swallows far and dark returns, more of them the stronger it is; intensity is 0 to 255.
        """
        ranges, brightness = self._ranges(scene, world_from_lidar, time)
        hit = np.isfinite(ranges) & (ranges >= self.lidar.min_range) & (ranges <= self.lidar.max_range)
        ranges = np.where(hit, ranges, 0.0)
        weather = make_weather(condition, scene.seed)
        rng = np.random.default_rng([scene.seed, 7, round(time * 1e4) % 2**32])
        # Matt surfaces return less from afar; what comes back below a noise floor is lost.
        returned = (0.15 + brightness) * np.exp(-ranges * (0.008 + 0.03 * weather.rain))
        hit &= returned > rng.uniform(0.0, 0.09, len(ranges))
        intensity = np.clip(returned * 110.0 * rng.uniform(0.85, 1.15, len(ranges)), 0.0, 255.0)
        points = np.concatenate([self._directions * ranges[:, None], np.round(intensity)[:, None], self._rings[:, None]], axis=1)
        return np.asarray(points[hit], dtype=np.float32)

    def _ranges(self, scene: Scene, world_from_lidar: Matrix, time: float) -> tuple[Array, Array]:
        ranges = np.full(len(self._directions), np.inf)
        brightness = np.zeros(len(self._directions))
        for lidar_from_face in self._faces:
            rays = self._directions @ lidar_from_face[:3, :3]
            inside = (rays[:, 2] > 0) & (np.abs(rays[:, 0]) <= rays[:, 2])
            layers = self._renderer.render_inverse_depth(scene, world_from_lidar @ lidar_from_face, time)
            pixels = self._camera.project(rays[inside])
            depth = depth_at(layers, pixels[:, 0], pixels[:, 1]).astype(np.float64)
            ranges[inside] = depth / rays[inside, 2]
            rows, columns = np.rint(pixels[:, 1]).astype(np.int64), np.rint(pixels[:, 0]).astype(np.int64)
            brightness[inside] = layers[rows, columns, 3]
        return ranges, brightness


def _face_camera(elevation: Array) -> PinholeCamera:
    """A quarter of the turn, with a pixel of margin; steep beams reach farthest from the centre in the corners."""
    focal, margin = 300.0, 2
    half = int(np.ceil(focal)) + margin
    above = int(np.ceil(focal * np.sqrt(2) * max(np.tan(elevation.max()), 0.0))) + margin
    below = int(np.ceil(focal * np.sqrt(2) * max(np.tan(-elevation.min()), 0.0))) + margin
    return PinholeCamera(2 * half + 1, above + below + 1, focal, focal, float(half), float(above))


def _mounted(name: str, width: int, height: int) -> MountedCamera:
    x, y, z, yaw, field_of_view = _NUSCENES_CAMERAS[name]
    camera = PinholeCamera.from_field_of_view(width, height, field_of_view)
    delay = (-yaw % 360.0) / 360.0 * _LIDAR_PERIOD
    return MountedCamera(name, camera, yaw_pose(x, y, z, np.radians(yaw)) @ BODY_FROM_OPTICAL, delay)
