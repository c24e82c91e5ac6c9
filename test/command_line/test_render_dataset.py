# SPDX-License-Identifier: Apache-2.0
"""Rendered folders read back by the loaders, against the renderer's own poses and exact depth."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.command_line.render import Weather
from ssd_core.command_line.render_dataset import robotcar_camera, write_nuscenes, write_robotcar
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.nuscenes import NuScenesFrames
from ssd_core.data.robotcar import RobotCarFrames
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.geometry.pose import Matrix, invert_pose, transform_points

if TYPE_CHECKING:
    from ssd_core.road_world.scene import Scene

pytestmark = pytest.mark.render

SEED = 5


@functools.cache
def scene() -> Scene:
    from ssd_core.road_world.scene import Scene

    return Scene.generate(SEED, 2.0)


def true_pose(frame: Frame, base_from_camera: Matrix) -> tuple[float, Matrix]:
    time = (frame.stamp_ns - 1_700_000_000_000_000_000) % 600_000_000_000 * 1e-9
    return time, scene().world_from_base(time) @ base_from_camera


def exact_depth(frame: Frame, base_from_camera: Matrix) -> np.ndarray:
    from ssd_core.road_world.renderer import Renderer

    assert frame.camera is not None
    time, pose = true_pose(frame, base_from_camera)
    return Renderer(frame.camera).render_depth(scene(), pose, time)


def relative_errors(sparse: SparseDepth, depth: np.ndarray) -> np.ndarray:
    """Against the closest of the nine pixels around, since a beam seldom hits a pixel's centre."""
    padded = np.pad(depth, 1, mode="edge")
    around = np.stack([padded[sparse.v + row, sparse.u + column] for row in range(3) for column in range(3)])
    return np.abs(around / sparse.z - 1).min(axis=0)


def largest_pixel_error(current: Frame, other: Frame, base_from_camera: Matrix, depth: np.ndarray) -> float:
    """Points of the current picture's exact depth, seen from the other frame: through the loader's poses and through the truth."""
    assert current.camera is not None and other.camera is not None
    assert current.world_from_camera is not None and other.world_from_camera is not None
    rows, columns = (axis[::7] for axis in np.nonzero(np.isfinite(depth) & (depth < 60)))
    rays = np.column_stack([current.camera.rays()[rows, columns], np.ones(len(rows))])
    points = rays * depth[rows, columns, None]
    read = invert_pose(other.world_from_camera) @ current.world_from_camera
    true = invert_pose(true_pose(other, base_from_camera)[1]) @ true_pose(current, base_from_camera)[1]
    # What the other camera has driven past, or is about to, projects to anywhere.
    points = points[transform_points(true, points)[:, 2] > 1]
    difference = other.camera.project(transform_points(read, points)) - other.camera.project(transform_points(true, points))
    return float(np.abs(difference).max())


def test_nuscenes_folder_agrees_with_the_renderer(tmp_path: Path) -> None:
    from ssd_core.road_world.sensors import Rig

    write_nuscenes(tmp_path / "set", [(SEED, Weather.NIGHT)], 3, 10.0, 3, 1, 160, lambda: None)
    mount = Rig.nuscenes_front().cameras[0].base_from_camera
    source = NuScenesFrames(tmp_path / "set")
    (key,) = source.frames()
    assert key.condition == "night" and source.image(key).shape == (90, 160, 3) and source.warnings == []
    sparse = source.lidar_depth(key)
    assert sparse is not None and len(sparse.z) > 400
    assert np.mean(relative_errors(sparse, exact_depth(key, mount)) < 0.03) > 0.85  # the lidar, higher up, sees over things
    sweep = source.frame(key.next_id or "")
    depth = exact_depth(sweep, mount)
    for frame_id in (sweep.previous_id, sweep.next_id):
        assert frame_id is not None and largest_pixel_error(sweep, source.frame(frame_id), mount, depth) < 0.1


def test_robotcar_folder_agrees_with_the_renderer(tmp_path: Path) -> None:
    from ssd_core.road_world.meshes import yaw_pose
    from ssd_core.road_world.sensors import BODY_FROM_OPTICAL

    write_robotcar(tmp_path, [(SEED, Weather.NIGHT)], 4, 2.0, 12, 8.0, 160, lambda: None)
    mount = yaw_pose(1.5, 0.0, 1.55, 0.0) @ BODY_FROM_OPTICAL
    source = RobotCarFrames(tmp_path)
    frames = source.frames()
    assert len(frames) == 4 and frames[0].condition == "night" and source.warnings == []
    frame = frames[1]
    assert frame.camera == robotcar_camera(160).rectified().cropped(0, 0, 160, 96)
    assert source.image(frame).shape == (96, 160, 3)
    depth = exact_depth(frame, mount)
    sparse = source.lidar_depth(frame)
    assert sparse is not None and len(sparse.z) > 100
    assert np.mean(relative_errors(sparse, depth) < 0.05) > 0.8  # vehicles move while the scans gather
    for other in (frames[0], frames[2]):
        assert largest_pixel_error(frame, other, mount, depth) < 0.1


def test_frames_have_dense_depth_and_cameras_of_the_presets(tmp_path: Path) -> None:
    arguments = ["--out", tmp_path / "set", "--format", "frames", "--preset", "kitti", "--condition", "snow", "--condition", "dusk",
                 "--looks", 1, "--drives", 1, "--seconds", 2, "--rate", 1, "--seed", SEED, "--width", 64]  # fmt: skip
    result = CliRunner().invoke(app, ["render-dataset", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    source = FrameDataset(tmp_path / "set")
    frames = source.frames()
    assert len(frames) == 2 and {frame.condition for frame in frames} <= {"snow", "dusk"}
    for frame in frames:
        depth = source.dense_depth(frame)
        assert frame.camera is not None and depth is not None
        assert frame.camera.width / frame.camera.height == pytest.approx(3.3, rel=0.1)
        assert depth.shape == source.image(frame).shape[:2]
