# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures, videos, and the one door to all sources."""

from __future__ import annotations

from pathlib import Path

import bag_factory as factory
import cv2
import numpy as np
import pytest

from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.image_folder import OTHER_ASPECT, ImageFolder, ImageFolderError
from ssd_core.data.intrinsics import camera_from_focal_length, read_intrinsics
from ssd_core.data.source import SourceError, open_source
from ssd_core.data.video import Video, VideoError
from ssd_core.geometry.camera import CameraError
from ssd_core.images.codec import ImageDecodeError, write_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    for index in (1, 2, 10):
        write_image(path / f"frame{index}.png", factory.picture(index))
    (path / "notes.txt").write_text("no picture")
    return path


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "drive.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for index in range(9):
        writer.write(factory.picture(index)[..., ::-1].copy())
    writer.release()
    return path


def _green(image: np.ndarray) -> float:
    return float(image[..., 1].mean())


def test_pictures_come_in_natural_order(folder: Path) -> None:
    source = ImageFolder(folder)
    frames = source.frames()
    assert [frame.frame_id for frame in frames] == ["frame1", "frame2", "frame10"]
    assert [_green(source.image(frame)) for frame in frames] == [20, 40, 0]
    assert (frames[0].next_id, frames[2].previous_id) == ("frame2", "frame2")
    assert frames[0].camera is None and source.lidar_depth(frames[0]) is None


def test_equal_stems_keep_their_suffix(folder: Path) -> None:
    write_image(folder / "frame1.jpg", factory.picture(3))
    assert sorted(frame.frame_id for frame in ImageFolder(folder).frames()) == ["frame1.jpg", "frame1.png", "frame10", "frame2"]


def test_damaged_missing_and_odd_sized_pictures_are_named(folder: Path) -> None:
    (folder / "frame1.png").write_bytes(b"\x89PNG rubbish")
    write_image(folder / "frame2.png", factory.picture(0, 32, 32))
    source = ImageFolder(folder, camera_from_focal_length(50))
    (folder / "frame10.png").unlink()
    for name, part in (("frame1", "frame1.png"), ("frame10", "No such file")):
        frame = next(frame for frame in source.frames() if frame.frame_id == name)
        with pytest.raises(ImageDecodeError, match=part):
            source.image(frame)
    write_image(folder / "frame10.png", factory.picture(0))
    with pytest.raises(ImageDecodeError, match="64x48 pixels, the intrinsics belong to 32x32") as caught:
        source.image(source.frames()[2])
    assert caught.value.cause == OTHER_ASPECT


def test_a_resized_picture_belongs_to_the_same_intrinsics(folder: Path) -> None:
    write_image(folder / "frame2.png", factory.picture(0, 32, 24))
    source = ImageFolder(folder, camera_from_focal_length(50))
    assert source.image(source.frames()[1]).shape == (24, 32, 3)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError, match="no pictures"):
        ImageFolder(tmp_path)


def test_every_frame_of_a_video_in_any_order(movie: Path) -> None:
    source = Video(movie)
    frames = source.frames()
    assert len(frames) == 9 and source.size == (64, 48) and source.frame_rate == 10
    assert [frame.stamp_ns // 1_000_000 for frame in frames] == [100 * index for index in range(9)]
    for frame in [*frames, frames[3], frames[7], frames[7], frames[0]]:
        assert _green(source.image(frame)) == pytest.approx(int(frame.frame_id) * 20, abs=6)
    source.close()


def test_a_cut_off_video_is_an_error(movie: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(movie.read_bytes()[:500])
    with pytest.raises(VideoError, match=r"cut\.mp4"):
        Video(cut)


def test_one_door(folder: Path, movie: Path, tmp_path: Path) -> None:
    bag = factory.write_bag(tmp_path / "bag", factory.six_frames())
    kinds = {folder: ImageFolder, folder / "frame1.png": ImageFolder, movie: Video, bag: BagFrames, bag / "bag.mcap": BagFrames}
    for path, kind in kinds.items():
        source = open_source(path)
        assert isinstance(source, kind) and len(source.frames()) >= 1
        source.close()
    for path, part in ((tmp_path / "none", "no such"), (folder / "notes.txt", "unknown kind of input")):
        with pytest.raises(SourceError, match=part):
            open_source(path)
    with pytest.raises(SourceError, match=r"bags.* only"):
        open_source(folder, cameras=["front"])


def test_intrinsics_files(tmp_path: Path) -> None:
    numbers = {"four": "100 110 31 23", "nine": "100, 0, 31,\n0, 110, 23,\n0, 0, 1", "twelve": "100 0 31 0 0 110 23 0 0 0 1 0"}
    for name, text in numbers.items():
        (tmp_path / name).write_text(text)
        camera = read_intrinsics(tmp_path / name)((64, 48))
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (100, 110, 31, 23)
    calibration = """
image_width: 128
image_height: 96
camera_matrix: {rows: 3, cols: 3, data: [200, 0, 63.5, 0, 200, 47.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
"""
    file = tmp_path / "camera.yaml"
    file.write_text(calibration)
    camera = read_intrinsics(file)((64, 48))
    assert (camera.fx, camera.cx, camera.distortion[0]) == (100, 31.5, 0.1)
    with pytest.raises(CameraError, match="don't fit"):
        read_intrinsics(file)((64, 64))
    for text, part in (("1 2 3", "3 numbers"), ("hello: world", "no camera calibration"), (calibration.replace("200", "0"), "focal")):
        file.write_text(text)
        with pytest.raises(CameraError, match=part):
            read_intrinsics(file)
