# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDataset, FrameDatasetWriter, is_frame_dataset
from ssd_core.data.source import open_source
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import ImageDecodeError, encode_png

CAMERA = PinholeCamera(40, 30, 35.0, 35.0, 19.5, 14.5, "plumb_bob", (0.01, 0.0, 0.0, 0.0, 0.0))
SPARSE = SparseDepth(np.int32([3, 39]), np.int32([4, 29]), np.float32([7.5, 61.25]))


def frame(number: int, condition: str = "day-clear") -> Frame:
    pose = np.eye(4)
    pose[0, 3] = number
    return Frame(f"scene/CAM/{condition}/{number:04d}", "scene", "CAM", 1_000_000 * number, CAMERA, pose, 4.5, False, condition)


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def dense() -> np.ndarray:
    depth = np.linspace(1, 70, 1200, dtype=np.float32).reshape(30, 40)
    depth[0] = np.inf
    return depth


def fill(folder: Path, numbers: range) -> None:
    writer = FrameDatasetWriter(folder, {"kind": "test", "seed": 3})
    for number in numbers:
        writer.add(frame(number), encode_png(picture(number)), ".png", SPARSE, dense())
        writer.add(frame(number, "night"), encode_png(picture(number + 50)), ".png", depth=frame(number).frame_id)


def test_frames_come_back_as_they_were_written(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    assert is_frame_dataset(tmp_path)
    source = FrameDataset(tmp_path)
    assert source.source == {"kind": "test", "seed": 3}
    day = [found for found in source.frames() if found.condition == "day-clear"]
    middle = day[1]
    assert (middle.previous_id, middle.next_id) == (day[0].frame_id, day[2].frame_id)
    assert day[0].previous_id is None
    assert middle.camera == CAMERA
    np.testing.assert_array_equal(middle.world_from_camera, frame(1).world_from_camera)
    np.testing.assert_array_equal(source.image(middle), picture(1))
    for found, written in zip(source.lidar_depth(middle), SPARSE, strict=True):
        np.testing.assert_array_equal(found, written)
    np.testing.assert_allclose(source.dense_depth(middle), dense(), rtol=1e-3)
    night = next(found for found in source.frames() if found.condition == "night")
    np.testing.assert_array_equal(source.dense_depth(night), source.dense_depth(day[0]))
    assert source.lidar_depth(night) is None
    assert list(source.problems()) == []


def test_the_one_door_opens_it_and_chooses_cameras(tmp_path: Path) -> None:
    fill(tmp_path, range(2))
    source = open_source(tmp_path, cameras=["CAM"])
    assert isinstance(source, FrameDataset) and len(source.frames()) == 4 and source.warnings == []
    with pytest.raises(DataError, match="no camera REAR; it has CAM"):
        open_source(tmp_path, cameras=["REAR"])


def test_a_killed_run_ends_with_the_same_files(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fill(whole, range(4))
    fill(broken, range(2))
    with (broken / "frames.jsonl").open("ab") as file:
        file.write(b'{"frame_id": "scene/CAM/day-clear/0002", "im')
    (broken / "images" / "scene" / "CAM" / "day-clear" / "0002.png").write_bytes(b"half")
    (broken / "images" / "scene" / "CAM" / "day-clear" / ".0003.png.abc.part").write_bytes(b"half")
    fill(broken, range(4))
    files = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
    assert files == [path.relative_to(broken) for path in sorted(broken.rglob("*")) if path.is_file()]
    for path in files:
        assert (whole / path).read_bytes() == (broken / path).read_bytes(), path


def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    first = FrameDatasetWriter(tmp_path, {"kind": "test"})
    with pytest.raises(DataError, match=r"another run writes frames.*wait until it ends"):
        FrameDatasetWriter(tmp_path, {"kind": "test"})
    first.add(frame(0), encode_png(picture(0)), ".png")
    assert len(FrameDataset(tmp_path).frames()) == 1, "readers need no lock"
    first.close()
    with FrameDatasetWriter(tmp_path, {"kind": "test"}) as second:
        assert frame(0).frame_id in second
    with pytest.raises(DataError, match="begun from") as kept:
        FrameDatasetWriter(tmp_path, {"kind": "other"})
    writer = FrameDatasetWriter(tmp_path, {"kind": "test"})
    assert frame(0).frame_id in writer, f"a refused writer ({kept.value}) holds nothing"
    del writer
    FrameDatasetWriter(tmp_path, {"kind": "test"}).close()


def test_a_writer_removes_its_own_half_written_files_only(tmp_path: Path) -> None:
    fill(tmp_path, range(1))
    mine = [tmp_path / name for name in ("images/a/.1.png.0f.part", "depth/.1.npz.0f.part", "lidar_depth/.1.npz.0f.part")]
    mine += [tmp_path / name for name in (".dataset.json.0f.part", ".extract.yaml.0f.part")]
    others = [tmp_path / "translated/physical/night/.1.jpg.0f.part", tmp_path / ".preview.jpg.0f.part"]
    folder = tmp_path / "images" / ".folder.part"
    for path in (*mine, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    folder.mkdir()
    fill(tmp_path, range(2))
    assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in (*others, folder))


def test_every_missing_or_damaged_file_is_listed(tmp_path: Path) -> None:
    fill(tmp_path, range(4))
    images = tmp_path / "images" / "scene" / "CAM" / "day-clear"
    (images / "0000.png").unlink()
    (images / "0001.png").write_bytes((images / "0001.png").read_bytes()[:90])
    (images / "0002.png").write_bytes(encode_png(np.zeros((10, 10, 3), dtype=np.uint8)))
    (tmp_path / "lidar_depth" / "scene" / "CAM" / "day-clear" / "0003.npz").write_bytes(b"PK\x03\x04 not any more")
    (tmp_path / "lidar_depth" / "scene" / "CAM" / "day-clear" / "0000.npz").unlink()
    (tmp_path / "depth" / "scene" / "CAM" / "day-clear" / "0002.npz").unlink()
    outside = io.BytesIO()
    np.savez(outside, u=np.int32([40]), v=np.int32([0]), z=np.float32([3]))
    (tmp_path / "lidar_depth" / "scene" / "CAM" / "day-clear" / "0001.npz").write_bytes(outside.getvalue())
    source = FrameDataset(tmp_path)
    problems = "\n".join(source.problems())
    for name in ("0000.png", "0001.png", "0002.png", "lidar_depth/scene/CAM/day-clear/0003.npz", "day-clear/0000.npz"):
        assert name in problems
    assert problems.count("/depth/scene/CAM/day-clear/0002.npz") == 2, "day and night share it"
    assert "0001.npz: lidar depth outside" in problems
    assert len(problems.splitlines()) == 8
    with pytest.raises(ImageDecodeError, match=r"0000\.png.*dataset check"):
        source.image(source.frames()[0])


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    fill(tmp_path, range(1))
    with pytest.raises(DataError, match="begun from"):
        FrameDatasetWriter(tmp_path, {"kind": "other"})
    with pytest.raises(DataError, match="no frame dataset"):
        FrameDataset(tmp_path / "images")
    FrameDatasetWriter(tmp_path / "empty", {})
    with pytest.raises(DataError, match="no frames"):
        FrameDataset(tmp_path / "empty")
    record = json.loads((tmp_path / "frames.jsonl").read_text().splitlines()[0])
    record["camera"]["fx"] = 0
    (tmp_path / "frames.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(DataError, match=r"frame scene/CAM/day-clear/0000.*fx"):
        FrameDataset(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format_version": 99}')
    with pytest.raises(DataError, match="version 1"):
        FrameDataset(tmp_path)
