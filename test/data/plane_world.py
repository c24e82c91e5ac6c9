# SPDX-License-Identifier: Apache-2.0
"""A street canyon of five textured planes, seen exactly by ray casting: a truth for loaders that needs no graphics."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera

# World axes as RobotCar's vehicle: x forward, y right, z down; the camera drives 1.5 m above the ground.
_NORMALS = np.array([[0, 0, 1], [0, 1, 0], [0, -1, 0], [1, 0, 0], [0, 0, -1]], dtype=np.float64)
_OFFSETS = np.array([1.5, 7.0, 5.0, 70.0, 12.0])


def cast(origins: npt.NDArray[np.float64], directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How many directions (N, 3) long the way is from the origin (3,) to the first plane, (N,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = (_OFFSETS - _NORMALS @ origins)[:, None] / (_NORMALS @ directions.T)
    return np.where(ways > 0, ways, np.inf).min(axis=0)


def look(camera: PinholeCamera, world_from_camera: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """RGB picture and depth along the optical axis; pixels the lens can't see are black with depth 0."""
    rays = _rays(camera)
    seen = np.isfinite(rays).all(axis=1)
    directions = np.column_stack([np.nan_to_num(rays), np.ones(len(rays))]) @ world_from_camera[:3, :3].T
    depth = cast(world_from_camera[:3, 3], directions)
    x, y, z = (world_from_camera[:3, 3] + depth[:, None] * directions).T
    waves = [np.sin(0.9 * x) * np.cos(0.8 * y + z), np.sin(0.4 * x + y), np.cos(0.5 * x - 0.7 * z + 0.3 * y)]
    image = np.rint(120 + 80 * np.stack(waves, axis=-1)) * seen[:, None]
    shape = camera.height, camera.width
    return image.reshape(*shape, 3).astype(np.uint8), (depth * seen).reshape(shape)


def scan(world_from_laser: npt.NDArray[np.float64], directions: npt.NDArray[np.float64], reach: float = 60.0) -> npt.NDArray[np.float64]:
    """Points (M, 3) in the laser's frame of unit directions (N, 3) that hit something within reach."""
    ranges = cast(world_from_laser[:3, 3], directions @ world_from_laser[:3, :3].T)
    hit = np.isfinite(ranges) & (ranges <= reach)
    return directions[hit] * ranges[hit, None]


def drive(time: float) -> npt.NDArray[np.float64]:
    """World from vehicle at a time in seconds: 8 m/s, weaving."""
    pose = np.eye(4)
    yaw = 0.08 * np.sin(0.9 * time)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = 8 * time, 0.6 * np.sin(0.5 * time), 0.02 * np.sin(3 * time)
    return pose


@functools.lru_cache(maxsize=8)
def _rays(camera: PinholeCamera) -> npt.NDArray[np.float64]:
    return camera.rays().reshape(-1, 2).astype(np.float64)
