# SPDX-License-Identifier: Apache-2.0
"""Streets drawn by hand, with exact depth: ground, a wall, a vehicle, sky. No graphics needed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDataset, FrameDatasetWriter
from ssd_core.gdt.translator import TargetCondition, TranslationRequest, request_seed
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import Image, encode_png

CAMERA_HEIGHT = 1.5


class Street(NamedTuple):
    image: Image
    depth: npt.NDArray[np.float32]
    camera: PinholeCamera


def draw_street(
    seed: int = 0, width: int = 160, height: int = 96, vehicle_shift: int = 0, with_vehicle: bool = True, stains: float = 0.0
) -> Street:
    rng = np.random.default_rng([seed, 77])
    camera = PinholeCamera.from_field_of_view(width, height, 65.0)
    v, u = np.mgrid[:height, :width].astype(np.float32)
    ray_x, ray_y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    with np.errstate(divide="ignore"):
        depth = np.where(ray_y > 1e-3, CAMERA_HEIGHT / ray_y, np.inf).astype(np.float32)
    image = np.full((height, width, 3), (190, 205, 225), dtype=np.float32)
    ground = np.isfinite(depth)
    texture = rng.normal(0, 6, (height, width))
    image[ground] = (95 + texture[ground])[:, None] * np.array([1.0, 1.0, 0.98])
    line = ground & (np.abs(ray_x * np.where(ground, depth, 0) - 1.7) < 0.15) & (np.mod(np.where(ground, depth, 0), 8) < 4)
    image[line] = 225
    side = -1 if seed % 2 else 1
    wall_depth = np.where(side * ray_x > 0.05, 6.0 / np.maximum(side * ray_x, 1e-3), np.inf)
    is_wall = (wall_depth < depth) & (ray_y * wall_depth > -7.0) & (wall_depth < 60)
    depth = np.where(is_wall, wall_depth, depth).astype(np.float32)
    along = np.where(is_wall, depth, 0)
    image[is_wall] = np.array([150, 120, 105]) + 0.6 * texture[is_wall][:, None]
    up = CAMERA_HEIGHT - ray_y * along
    window = is_wall & (np.mod(along, 4.0) < 1.8) & (np.mod(up, 3.0) > 1.2) & (up > 0.6)
    image[window] = (38, 42, 48)
    if with_vehicle:
        near = 9.0 + seed % 5
        left = int(width * 0.42) + vehicle_shift
        right, bottom = left + int(1.8 * camera.fx / near), round(camera.cy + CAMERA_HEIGHT * camera.fy / near)
        top = round(bottom - 1.45 * camera.fy / near)
        depth[top:bottom, left:right] = near
        image[top:bottom, left:right] = (70, 80, 130)
        third = top + (bottom - top) // 3
        image[top + 2 : third, left + 3 : right - 3] = (30, 32, 35)
        lamp = max(2, (right - left) // 8)
        image[third + 2 : third + 2 + lamp, left + 1 : left + 1 + lamp] = (190, 18, 14)
        image[third + 2 : third + 2 + lamp, right - 1 - lamp : right - 1] = (190, 18, 14)
    # Clouds, patches of asphalt, stains: without any, there is little that an outline could be matched by.
    for rows in (10, 25) if stains else ():
        patches = rng.normal(0, stains, (rows, 2 * rows)).astype(np.float32)
        image += cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return Street(np.clip(image, 0, 255).astype(np.uint8), depth, camera)


def make_request(street: Street, condition: TargetCondition = "night", name: str = "front/000", seed: int = 0) -> TranslationRequest:
    return TranslationRequest(name, street.image, street.depth, condition, request_seed(seed, name, condition), street.camera)


def write_streets(folder: Path, count: int, width: int = 160, height: int = 96) -> FrameDataset:
    writer = FrameDatasetWriter(folder, {"kind": "drawn"})
    for number in range(count):
        street = draw_street(number, width, height)
        frame = Frame(f"front/{number:03d}", "drawn", "front", number * 100_000_000, street.camera, condition="day-clear")
        writer.add(frame, encode_png(street.image), ".png", depth=street.depth)
    return FrameDataset(folder)
