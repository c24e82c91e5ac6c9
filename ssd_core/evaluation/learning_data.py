# SPDX-License-Identifier: Apache-2.0
"""What baselines learn from: the rendered world, of which no recording is a part, or another recording with lidar."""

from __future__ import annotations

import contextlib
import hashlib
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import ssd_core.road_world
from ssd_core.data.frame import Frame, FrameSource
from ssd_core.evaluation.baselines import DepthSamples
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.storage.atomic_write import atomic_write
from ssd_core.storage.cache_folder import default_cache_folder

RENDERED_SEEDS = range(700_000, 700_020)
"""Streets that serve baselines only: worlds to evaluate or train on use other seeds."""
_TIMES = (1.0, 5.0, 9.0)
_MOST_FRAMES = 400
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class LearningDataError(ValueError):
    """Nothing to learn baselines from; the message says why and what to do."""


def rendered_samples(
    surround: bool, seeds: Sequence[int] = RENDERED_SEEDS, cache_folder: Path | None = None, on_street: Callable[[], None] | None = None
) -> DepthSamples:
    """Lidar depth in rendered streets, as nuScenes' sensors are mounted: of the front camera, or with `surround` of all six.

    Kept in the cache under the renderer's code and the seeds. Raises LearningDataError where nothing can be rendered.
    """
    path = (cache_folder or default_cache_folder()) / "baselines" / f"{_digest(f'{list(seeds)} {_TIMES}')}.npz"
    try:
        with np.load(path) as stored:
            samples, is_front = DepthSamples(stored["rays"], stored["depth"]), stored["is_front"]
    except _UNREADABLE:
        samples, is_front = _render(seeds, on_street)
        with contextlib.suppress(OSError), atomic_write(path) as file:  # else rendered again next time
            np.savez(file, rays=samples.rays, depth=samples.depth, is_front=is_front)
    return samples if surround else DepthSamples(samples.rays[is_front], samples.depth[is_front])


def recorded_samples(source: FrameSource, frames: Sequence[Frame]) -> DepthSamples:
    """Lidar depth of a recording, of at most 400 frames spread evenly over it; raises LearningDataError if it has none."""
    step = max(1, math.ceil(len(frames) / _MOST_FRAMES))
    parts = []
    for frame in frames[::step]:
        truth = None if frame.camera is None else source.lidar_depth(frame)
        if truth is not None and frame.camera is not None:
            parts.append(samples_of(truth, frame.camera))
    if not parts:
        raise LearningDataError(f"none of {len(frames)} frames has lidar depth to learn baselines from")
    return DepthSamples.joined(parts)


def samples_of(truth: SparseDepth, camera: PinholeCamera) -> DepthSamples:
    """Known depths of one image with their rays."""
    rays = camera.unproject(np.stack([truth.u, truth.v], axis=-1)).astype(np.float32)
    return DepthSamples(rays, truth.z.astype(np.float32))


def _render(seeds: Sequence[int], on_street: Callable[[], None] | None) -> tuple[DepthSamples, npt.NDArray[np.bool_]]:
    """Samples of all six cameras, and which of them are the front camera's."""
    try:
        from ssd_core.road_world.graphics import GraphicsError
        from ssd_core.road_world.scene import Scene
        from ssd_core.road_world.sensors import LidarCaster, Rig
    except ImportError as error:
        raise LearningDataError(f"baselines learn from rendered streets, and the renderer's libraries are missing ({error})") from error
    rig = Rig.nuscenes(1600, 900)
    parts, is_front = [], []
    try:
        caster = LidarCaster(rig.lidar)
        for seed in seeds:
            scene = Scene.generate(seed)
            for time in _TIMES:
                points = caster.cast(scene, scene.world_from_base(time) @ rig.lidar.base_from_lidar, time)[:, :3]
                for mounted in rig.cameras:
                    seen = transform_points(invert_pose(mounted.base_from_camera) @ rig.lidar.base_from_lidar, points)
                    parts.append(samples_of(project_lidar(seen, mounted.camera), mounted.camera))
                    is_front.append(np.full(len(parts[-1].depth), mounted.name == "CAM_FRONT"))
            if on_street is not None:
                on_street()
    except GraphicsError as error:
        raise LearningDataError(f"baselines learn from rendered streets: {error}") from error
    return DepthSamples.joined(parts), np.concatenate(is_front)


def _digest(settings: str) -> str:
    digest = hashlib.sha256(settings.encode())
    for file in sorted(Path(ssd_core.road_world.__path__[0]).rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:24]
