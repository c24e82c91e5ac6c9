# SPDX-License-Identifier: Apache-2.0
"""Bags of every kind, whole and broken, are read the same way."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import bag_factory as factory
import numpy as np
import pytest

from ssd_core.data.bag import BagError, BagReader, header_stamp, raw_header_stamp

FRAMES = factory.six_frames()


def _single_file(folder: Path) -> Path:
    (file,) = [path for path in folder.iterdir() if path.suffix != ".yaml"]
    (folder / "metadata.yaml").unlink()
    return file


@pytest.fixture(params=["mcap", "mcap-zstd", "sqlite3", "sqlite3-message", "mcap-file", "no-metadata", "bare-mcap", "bare-db3", "ros1"])
def any_bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind: str = request.param
    path = tmp_path / "bag"
    if kind == "ros1":
        return factory.write_ros1_bag(tmp_path / "old.bag", FRAMES)
    if kind == "no-metadata":
        _single_file(factory.write_bag(path, FRAMES))
        return path
    if kind.startswith("bare"):
        return _single_file(factory.write_bag(path, FRAMES, "mcap" if kind == "bare-mcap" else "sqlite3"))
    storage, _, compression = kind.partition("-")
    return factory.write_bag(path, FRAMES, storage, {"zstd": "storage"}.get(compression, compression))


def test_every_kind_gives_the_same_messages_in_order_of_time(any_bag: Path) -> None:
    with BagReader(any_bag) as bag:
        assert bag.message_count == 12
        assert {(c.topic, c.message_type, c.count) for c in bag.connections} >= {
            ("/CAM_FRONT/image_rect_compressed", "sensor_msgs/msg/CompressedImage", 3),
            ("/CAM_BACK/camera_info", "sensor_msgs/msg/CameraInfo", 3),
        }
        messages = list(bag.deserialised())
        times = [raw.bag_time_ns for raw, _ in messages]
        assert len(messages) == 12 and times == sorted(times)
        for raw, content in messages:
            assert raw_header_stamp(raw) == header_stamp(content)
            assert header_stamp(content) == (raw.bag_time_ns - factory.SECOND // 20) // 10 * 10
        info = bag.first_message("/CAM_FRONT/camera_info")
        assert info.k[0] == 60.0 and info.width == 64
        assert bag.warnings == []


def test_topic_and_time_filters(any_bag: Path) -> None:
    with BagReader(any_bag) as bag:
        times = [m.bag_time_ns for m in bag.messages(["/CAM_FRONT/camera_info"])]
        assert len(times) == 3
        assert [m.bag_time_ns for m in bag.messages(["/CAM_FRONT/camera_info"], times[1], times[2])] == [times[1]]
        assert list(bag.messages(["/no/such/topic"])) == []


def test_cameras_are_found(any_bag: Path) -> None:
    with BagReader(any_bag) as bag:
        cameras = bag.find_cameras()
        assert [(c.name, c.camera_info_topic, c.is_rectified, c.frame_id) for c in cameras] == [
            ("CAM_BACK", "/CAM_BACK/camera_info", True, "CAM_BACK"),
            ("CAM_FRONT", "/CAM_FRONT/camera_info", True, "CAM_FRONT"),
        ]
        assert bag.find_lidar() is None


@pytest.mark.parametrize("compression", ["", "storage"])
def test_cut_off_mcap_gives_its_whole_chunks(tmp_path: Path, compression: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    messages = [("/camera/image_raw", 100 + i, factory.raw_image(i, "camera", noise)) for i in range(8)]
    file = _single_file(factory.write_bag(tmp_path / "bag", messages, compression=compression))
    data = file.read_bytes()
    counts = []
    for share in (0.05, 0.3, 0.6, 0.95):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(data[: int(len(data) * share)])
        with BagReader(cut) as bag:
            stamps = [header_stamp(content) for _, content in bag.deserialised()]
            assert stamps == list(range(len(stamps))) and bag.message_count == len(stamps)
            assert "cut off" in bag.warnings[0] and "cut.mcap" in bag.warnings[0] and "mcap recover" in bag.warnings[0]
            counts.append(len(stamps))
    assert counts[0] == 0 and counts == sorted(counts) and counts[-1] >= 6


def test_cut_off_file_in_a_folder_with_metadata(tmp_path: Path) -> None:
    path = factory.write_bag(tmp_path / "bag", FRAMES)
    file = path / "bag.mcap"
    file.write_bytes(file.read_bytes()[:-2000])
    with BagReader(path) as bag:
        assert any("cut off" in warning for warning in bag.warnings)


def test_split_bag_without_metadata_is_merged_by_time(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for index, part in enumerate((FRAMES[6:], FRAMES[:6])):
        shutil.copy(factory.write_bag(tmp_path / f"part{index}", part) / f"part{index}.mcap", folder / f"split_{index}.mcap")
    with BagReader(folder) as bag:
        times = [message.bag_time_ns for message in bag.messages()]
        assert len(times) == 12 and times == sorted(times)
        assert bag.connection("/CAM_FRONT/camera_info").count == 3


def test_a_folder_of_several_recordings_is_no_bag(tmp_path: Path) -> None:
    whole = factory.write_bag(tmp_path / "bag", FRAMES) / "bag.mcap"
    folder = tmp_path / "drives"
    folder.mkdir()
    for name in ("scene-0061.mcap", "scene-0103.mcap"):
        shutil.copy(whole, folder / name)
    with pytest.raises(BagError, match=r"several recordings in one folder \(scene-0061.mcap, scene-0103.mcap\)"):
        BagReader(folder)


def test_errors_name_the_file_and_the_fix(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mcap"
    empty.touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    text = tmp_path / "notes.txt"
    text.write_text("this is no bag at all")
    sqlite = tmp_path / "half.db3"
    sqlite.write_bytes(b"SQLite format 3\0" + b"\0" * 200)
    old = tmp_path / "half.bag"
    old.write_bytes(factory.write_ros1_bag(tmp_path / "old.bag", FRAMES).read_bytes()[:5000])
    for path, part in (
        (empty, "is empty"),
        (folder, "no bag"),
        (text, "no bag"),
        (tmp_path / "missing", "no such file"),
        (sqlite, "ros2 bag reindex"),
        (old, "rosbag reindex"),
    ):
        with pytest.raises(BagError, match=part) as error:
            BagReader(path)
        assert str(path) in str(error.value)


def test_damage_in_the_middle_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = factory.write_bag(tmp_path / "bag", FRAMES, compression="storage")
    file = path / "bag.mcap"
    data = bytearray(file.read_bytes())
    start = data.index(b"\x28\xb5\x2f\xfd")
    data[start : start + 40] = bytes(40)
    file.write_bytes(data)
    with BagReader(path) as bag, pytest.raises(BagError, match="bag"):
        list(bag.messages())


def test_cut_off_sqlite_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    messages = [("/camera/image_raw", 100 + i, factory.raw_image(i, "camera", factory.picture(i, 300, 200))) for i in range(8)]
    file = factory.write_bag(tmp_path / "bag", messages, "sqlite3") / "bag.db3"
    file.write_bytes(file.read_bytes()[:600_000])
    with pytest.raises(BagError, match=r"bag\.db3"), BagReader(file) as bag:
        list(bag.messages())


def test_empty_bag_and_bag_without_images(tmp_path: Path) -> None:
    for name, messages in (("empty", []), ("tf", [("/tf", 1, factory.tf_message(factory.transform(1, "a", "b", (1, 2, 3))))])):
        with BagReader(factory.write_bag(tmp_path / name, messages)) as bag:
            assert bag.message_count == len(messages) == len(list(bag.messages()))
            assert bag.find_cameras() == [] and bag.find_lidar() is None


def test_unknown_type_is_reported_once_and_left_out(tmp_path: Path) -> None:
    path = factory.write_bag(tmp_path / "bag", FRAMES, "sqlite3")
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute("UPDATE topics SET type = 'my_robot/msg/Secret' WHERE name = '/CAM_BACK/camera_info'")
        database.execute("DELETE FROM message_definitions")
    (path / "metadata.yaml").unlink()
    with BagReader(path) as bag:
        assert len(list(bag.messages())) == 12
        assert len(list(bag.deserialised())) == 9
        assert len(bag.warnings) == 1 and "my_robot/msg/Secret" in bag.warnings[0]


def test_damaged_message_is_left_out(tmp_path: Path) -> None:
    path = factory.write_bag(tmp_path / "bag", FRAMES, "sqlite3")
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute("UPDATE messages SET data = x'00010000ff' WHERE id = 4")
    with BagReader(path) as bag:
        assert len(list(bag.deserialised())) == 11
        assert "can't be deserialised" in bag.warnings[0]
