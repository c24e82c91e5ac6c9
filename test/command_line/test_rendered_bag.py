# SPDX-License-Identifier: Apache-2.0
"""A rendered drive, as a bag and extracted: points reproject through the frames' poses as they do in the scene itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.data.frame import Frame
from ssd_core.data.source import open_source
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import Rig

SEED, SECONDS = 5, 0.7


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    folder = tmp_path_factory.mktemp("drive")
    bag, frames = folder / "drive.mcap", folder / "frames"
    size = ["--width", "128", "--height", "72", "--rate", "10", "--lidar-rate", "0"]
    for arguments in (
        ["render", "--out", str(bag), "--seed", str(SEED), "--seconds", str(SECONDS), *size],
        ["extract", str(bag), "--out", str(frames)],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    yield [bag, frames]


@pytest.mark.render
@pytest.mark.parametrize("which", [0, 1], ids=["bag", "extracted"])
def test_points_reproject_as_in_the_scene(recordings: list[Path], which: int) -> None:
    source = open_source(recordings[which])
    frames = {frame.frame_id: frame for frame in source.frames()}
    scene, mounted = Scene.generate(SEED, SECONDS + 1.0), Rig.nuscenes_front(128, 72).cameras[0]
    begin = min(frame.stamp_ns for frame in frames.values())
    points = np.random.default_rng(1).uniform([-6, -2, 8], [6, 1.5, 50], (200, 3))

    def true_pose(frame: Frame) -> np.ndarray:
        return scene.world_from_base((frame.stamp_ns - begin) * 1e-9) @ mounted.base_from_camera

    compared = 0
    for frame in frames.values():
        for neighbour_id in (frame.previous_id, frame.next_id):
            if neighbour_id is None:
                continue
            neighbour = frames[neighbour_id]
            assert frame.camera == mounted.camera and frame.world_from_camera is not None and neighbour.world_from_camera is not None
            seen = transform_points(invert_pose(neighbour.world_from_camera) @ frame.world_from_camera, points)
            true = transform_points(invert_pose(true_pose(neighbour)) @ true_pose(frame), points)
            assert np.linalg.norm(true - points, axis=1).min() > 0.3  # the vehicle drives
            np.testing.assert_allclose(mounted.camera.project(seen), mounted.camera.project(true), atol=0.1)
            compared += 1
    assert compared >= 10
    source.close()
