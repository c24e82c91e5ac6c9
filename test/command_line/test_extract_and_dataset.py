# SPDX-License-Identifier: Apache-2.0
"""`extract`, `dataset check` and `dataset show` as people call them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ssd_core.command_line.main import app
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.writers.bag import BagWriter
from ssd_core.data.writers.messages import camera_info_message, compressed_image_message, point_cloud_message, transforms_message
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg, read_image

CAMERA = PinholeCamera(64, 36, 60.0, 60.0, 31.5, 17.5)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    picture = np.full((36, 64, 3), 90, dtype=np.uint8)
    points = np.float32([[x, y, 12.0] for x in np.linspace(-3, 3, 9) for y in np.linspace(-2, 2, 5)])
    with BagWriter(tmp_path / "drive.mcap") as writer:
        writer.write("/tf_static", 1, transforms_message([("base", name, np.eye(4)) for name in ("front", "rear", "lidar")], 1))
        for stamp in (10, 100_000_010):
            for name in ("front", "rear"):
                writer.write(f"/{name}/image_raw/compressed", stamp, compressed_image_message(encode_jpeg(picture), "jpeg", stamp, name))
                writer.write(f"/{name}/camera_info", stamp, camera_info_message(CAMERA, stamp, name))
            writer.write("/lidar", stamp, point_cloud_message(points, "xyz", stamp, "lidar"))
    return tmp_path / "drive.mcap"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_extract_check_and_show(bag: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    result = call("extract", bag, "--out", folder, "--cameras", "front,rear", "--condition", "night")
    assert result.exit_code == 0, result.output
    assert "4/4" in result.output and "drive/front" in result.output
    assert {frame.condition for frame in FrameDataset(folder).frames()} == {"night"}
    assert "git_revision" in (folder / "extract.yaml").read_text()
    assert "0 problems" in call("dataset", "check", folder).output
    result = call("dataset", "show", folder, "--out", tmp_path / "sheet.png", "--limit", "1")
    assert result.exit_code == 0, result.output
    sheet = read_image(tmp_path / "sheet_front.png")
    assert (tmp_path / "sheet_rear.png").exists()
    left, right = sheet[22:, :640].astype(int), sheet[22:, 644:].astype(int)
    assert np.ptp(left[:300].max(axis=2)) < 10, "the picture as it is"
    coloured = np.ptp(right[:300], axis=2) > 60
    assert 45 * 3 < coloured.sum() < 45 * 40, "45 dots beside it"


def test_check_lists_what_is_wrong_and_fails(bag: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    call("extract", bag, "--out", folder)
    (folder / "images" / "drive" / "front" / "10.jpg").unlink()
    (folder / "lidar_depth" / "drive" / "rear" / "10.npz").write_bytes(b"")
    result = call("dataset", "check", folder)
    assert result.exit_code == 1
    assert "front/10.jpg" in result.output and "rear/10.npz" in result.output and "2 problems" in result.output
    result = call("dataset", "show", folder, "--out", tmp_path / "sheet.png")
    assert result.exit_code == 0, "a damaged file doesn't keep the others from being seen"


def test_damaged_images_make_extract_fail_in_the_end(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bad.mcap") as writer:
        for stamp, data in ((1, encode_jpeg(np.zeros((8, 8, 3), dtype=np.uint8))), (2, b"\xff\xd8 no jpeg")):
            writer.write("/cam/image_raw/compressed", stamp, compressed_image_message(data, "jpeg", stamp, "cam"))
    result = call("extract", tmp_path / "bad.mcap", "--out", tmp_path / "set")
    assert result.exit_code == 1 and "cam/2" in result.output
    assert len(FrameDataset(tmp_path / "set").frames()) == 1
