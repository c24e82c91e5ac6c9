# SPDX-License-Identifier: Apache-2.0
"""Poses and stamps beside pictures and videos, and the folders of KITTI odometry."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.image_folder import ImageFolder
from ssd_core.data.source import open_source
from ssd_core.data.trajectory import TrajectoryFiles
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.images.codec import write_image


def pose(metres: float) -> np.ndarray:
    """Driving ahead on a bend."""
    angle = 0.02 * metres
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    matrix[:3, 3] = np.sin(angle / 2) * metres, 0, np.cos(angle / 2) * metres
    return matrix


def write_lines(path: Path, lines: list[list[float]]) -> Path:
    path.write_text("".join(" ".join(f"{value:.12e}" for value in line) + "\n" for line in lines))
    return path


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    folder = tmp_path / "00"
    for index in range(4):
        for camera in ("image_0", "image_1"):
            write_image(folder / camera / f"{index:06d}.png", np.full((20, 60, 3), 40 * index, dtype=np.uint8))
    left, right = [50.0, 0, 29.5, 0, 0, 50.0, 9.5, 0, 0, 0, 1, 0], [50.0, 0, 29.5, -27.0, 0, 50.0, 9.5, 0, 0, 0, 1, 0]
    (folder / "calib.txt").write_text("".join(f"P{n}: {' '.join(map(str, row))}\n" for n, row in enumerate((left, right))))
    write_lines(folder / "poses.txt", [pose(1.1 * index)[:3].ravel().tolist() for index in range(4)])
    write_lines(folder / "times.txt", [[0.1 * index] for index in range(4)])
    return folder


def test_a_sequence_of_kitti_odometry_has_intrinsics_poses_and_speeds(sequence: Path) -> None:
    frames = open_source(sequence).frames()
    assert [frame.stamp_ns for frame in frames] == [0, 100_000_000, 200_000_000, 300_000_000]
    assert frames[1].camera is not None and (frames[1].camera.fx, frames[1].camera.cy, frames[1].camera.size) == (50.0, 9.5, (60, 20))
    for index, frame in enumerate(frames):
        np.testing.assert_allclose(frame.world_from_camera, pose(1.1 * index), atol=1e-9)
        assert frame.speed_mps == pytest.approx(11, rel=1e-3)
        assert not frame.is_static
    assert (frames[0].camera_name, frames[0].sequence) == ("image_0", "00")


def test_the_right_camera_stands_a_baseline_to_the_right(sequence: Path) -> None:
    left, right = (open_source(sequence, cameras=[name]).frames() for name in ("image_0", "image_1"))
    for first, second in zip(left, right, strict=True):
        between = invert_pose(first.world_from_camera) @ second.world_from_camera
        np.testing.assert_allclose(between[:3, 3], [27 / 50, 0, 0], atol=1e-9)
    # A point ahead appears further left in the right picture, by fx * baseline / z.
    point = transform_points(left[2].world_from_camera, [[0.5, 0.1, 9.0]])
    u = [frames[2].camera.project(transform_points(invert_pose(frames[2].world_from_camera), point))[0, 0] for frames in (left, right)]
    assert u[0] - u[1] == pytest.approx(27 / 9.0)
    with pytest.raises(DataError, match="image_0, image_1"):
        open_source(sequence, cameras=["image_2"])


def test_any_folder_takes_poses_without_times(sequence: Path) -> None:
    frames = ImageFolder(sequence / "image_0", trajectory=TrajectoryFiles(sequence / "poses.txt")).frames()
    np.testing.assert_allclose(frames[3].world_from_camera, pose(3.3), atol=1e-9)
    assert frames[3].speed_mps is None  # a picture's number is no time


def test_a_video_takes_poses_and_keeps_its_own_times(tmp_path: Path) -> None:
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), dtype=np.uint8))
    writer.release()
    poses = write_lines(tmp_path / "poses.txt", [pose(0.02 * index)[:3].ravel().tolist() for index in range(3)])
    frames = open_source(path, trajectory=TrajectoryFiles(poses)).frames()
    assert frames[1].speed_mps == pytest.approx(0.2, rel=1e-3)
    assert frames[1].is_static


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("times.txt", "0\n0.1\n0.2\n", "3 lines for a folder of 4 pictures"),
        ("times.txt", "0\n0.1\n0.1\n0.3\n", "line 3"),
        ("times.txt", "0\nsoon\n0.2\n0.3\n", "one number of seconds"),
        ("poses.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n" * 5, "5 lines for a folder of 4"),
        ("poses.txt", "1 0 0 0\n" * 4, r"poses\.txt: line"),
        ("calib.txt", "P0: 1 2 3\n", r"calib\.txt: line 1"),
    ],
)
def test_files_that_do_not_fit_are_named(sequence: Path, name: str, text: str, message: str) -> None:
    (sequence / name).write_text(text)
    with pytest.raises(DataError, match=message):
        open_source(sequence)


def test_a_real_sequence(sample_data: Path) -> None:
    frames = open_source(sample_data / "kitti_odometry_gray" / "KITTI_sequence_1").frames()
    assert len(frames) == 51
    steps = [np.linalg.norm(b.world_from_camera[:3, 3] - a.world_from_camera[:3, 3]) for a, b in itertools.pairwise(frames)]
    assert 0.9 < np.median(steps) < 1.3
