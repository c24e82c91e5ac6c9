# SPDX-License-Identifier: Apache-2.0
"""A drive through a street of textured planes, seen exactly by ray casting, as a frame dataset: video to learn from without graphics."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.images.codec import encode_jpeg

CAMERA = PinholeCamera.from_field_of_view(112, 70, 70.0)
# x right, y down, z forward; ground 1.5 m below the camera, walls at both sides, one across the street far away.
_NORMALS = np.array([[0, 1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float64)
_OFFSETS = np.array([1.5, 6.0, 4.0, 60.0, 9.0])


def look(world_from_camera: Matrix) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """RGB picture and depth along the optical axis."""
    directions = _directions() @ world_from_camera[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = (_OFFSETS - _NORMALS @ world_from_camera[:3, 3])[:, None] / (_NORMALS @ directions.T)
    depth = np.where(ways > 0, ways, np.inf).min(axis=0)
    x, y, z = (world_from_camera[:3, 3] + depth[:, None] * directions).T
    waves = [np.sin(2.9 * x + y) * np.cos(2.3 * z), np.sin(1.8 * x + 2 * y + 1.7 * z), np.cos(1.1 * x - 1.9 * z + y)]
    image = np.rint(120 + 80 * np.stack(waves, axis=-1)).astype(np.uint8)
    return image.reshape(70, 112, 3), depth.reshape(70, 112).astype(np.float32)


def drive(count: int, step: float = 0.8) -> list[Matrix]:
    """World from camera: ahead, faster and slower, weaving a little."""
    poses = []
    for index in range(count):
        pose = np.eye(4)
        yaw = 0.03 * np.sin(0.9 * index)
        pose[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        pose[:3, 3] = 0.1 * np.sin(0.5 * index), 0.0, step * index + 0.3 * step * np.sin(0.7 * index)
        poses.append(pose)
    return poses


def write_video(
    folder: Path,
    count: int = 8,
    with_poses: bool = True,
    dark: Sequence[int] = (),
    with_depth: bool = True,
    speed_mps: float | None = None,
) -> Path:
    """A frame dataset, with dense depth if wanted; frames numbered in `dark` are there at night too."""
    writer = FrameDatasetWriter(folder, {"kind": "street of planes", "count": count})
    for index, pose in enumerate(drive(count)):
        image, depth = look(pose)
        known = pose if with_poses else None
        name = f"street/front/{index:03d}"
        day = Frame(name, "street", "front", index * 100_000_000, CAMERA, known, speed_mps, condition="day-clear")
        writer.add(day, encode_jpeg(image, 95), depth=depth if with_depth else None)
        if index in dark:
            night = dataclasses.replace(day, frame_id=f"{name}_night", condition="night")
            writer.add(night, encode_jpeg(image // 6, 95), depth=name if with_depth else None)
    return folder


@functools.cache
def _directions() -> npt.NDArray[np.float64]:
    return np.concatenate([CAMERA.rays(), np.ones((70, 112, 1))], axis=-1).reshape(-1, 3)
