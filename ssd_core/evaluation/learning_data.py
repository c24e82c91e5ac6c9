# SPDX-License-Identifier: Apache-2.0
"""What baselines learn from: the rendered world, of which no recording is a part, or another recording with lidar."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import ssd_core.road_world
from ssd_core.data.frame import Frame, FrameSource
from ssd_core.evaluation.baselines import DepthSamples
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.runtime.engine_cache import default_cache_folder
from ssd_core.storage.atomic_write import atomic_write

RENDERED_SEEDS = range(700_000, 700_060)
"""Streets that serve baselines only: worlds to evaluate or train on use other seeds."""
_TIMES = (1.0, 5.0)
_MOST_FRAMES = 400


class LearningDataError(ValueError):
    """Nothing to learn baselines from; the message says why and what to do."""


def rendered_samples(
    surround: bool, seeds: Sequence[int] = RENDERED_SEEDS, cache_folder: Path | None = None, on_street: Callable[[], None] | None = None
) -> DepthSamples:
    """Lidar depth in rendered streets, as nuScenes' sensors are mounted: of the front camera, or with `surround` of all six.

    Kept in the cache under the renderer's code and the seeds. Raises LearningDataError where nothing can be rendered.
    """
    name = _digest(f"{surround} {list(seeds)} {_TIMES}")
    path = (cache_folder or default_cache_folder()) / "baselines" / f"{name}.npz"
    try:
        with np.load(path) as stored:
            return DepthSamples(stored["rays"], stored["depth"])
    except (OSError, ValueError, KeyError, EOFError):
        samples = _render(surround, seeds, on_street)
    try:
        with atomic_write(path) as file:
            np.savez(file, rays=samples.rays, depth=samples.depth)
    except OSError:
        pass  # rendered again next time
    return samples


def recorded_samples(source: FrameSource, frames: Sequence[Frame]) -> DepthSamples:
    """Lidar depth of a recording, of at most 400 frames spread evenly over it; raises LearningDataError if it has none."""
    step = max(1, len(frames) // _MOST_FRAMES)
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


def _render(surround: bool, seeds: Sequence[int], on_street: Callable[[], None] | None) -> DepthSamples:
    try:
        from ssd_core.road_world.graphics import GraphicsError
        from ssd_core.road_world.scene import Scene
        from ssd_core.road_world.sensors import LidarCaster, Rig
    except ImportError as error:
        raise LearningDataError(f"baselines learn from rendered streets, and the renderer's libraries are missing ({error})") from error
    rig = Rig.nuscenes(1600, 900) if surround else Rig.nuscenes_front(1600, 900)
    parts = []
    try:
        caster = LidarCaster(rig.lidar)
        for seed in seeds:
            scene = Scene.generate(seed)
            for time in _TIMES:
                points = caster.cast(scene, scene.world_from_base(time) @ rig.lidar.base_from_lidar, time)[:, :3]
                for mounted in rig.cameras:
                    seen = transform_points(invert_pose(mounted.base_from_camera) @ rig.lidar.base_from_lidar, points)
                    parts.append(samples_of(project_lidar(seen, mounted.camera), mounted.camera))
            if on_street is not None:
                on_street()
    except GraphicsError as error:
        raise LearningDataError(f"baselines learn from rendered streets: {error}") from error
    return DepthSamples.joined(parts)


def _digest(settings: str) -> str:
    digest = hashlib.sha256(settings.encode())
    for file in sorted(Path(ssd_core.road_world.__path__[0]).rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:24]
