# SPDX-License-Identifier: Apache-2.0
"""Bags of every kind, whole and broken, are read the same way."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from pathlib import Path

import bag_factory as factory
import numpy as np
import pytest

from ssd_core.data.bag import BagError, BagReader, header_stamp, raw_header_stamp
from ssd_core.data.mcap_recovery import MAGIC, zstd

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


def _mcap_record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _mcap_text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode()


def _mcap_chunk(stamps: tuple[int, ...], compression: str, damage: str) -> bytes:
    records = b"".join(_mcap_record(5, struct.pack("<HIQQ", 1, 0, stamp, stamp) + bytes(8)) for stamp in stamps)
    if damage == "length":
        records = records[:-20]  # the last record says that it is longer than what is left
    body = zstd.compress(records) if compression else records
    if damage == "body":
        body = body[:8] + bytes(len(body) - 8)
    head = struct.pack("<QQQI", min(stamps), max(stamps), len(records), 0) + _mcap_text(compression)
    return _mcap_record(6, b"short" if damage == "head" else head + struct.pack("<Q", len(body)) + body)


def _damaged_mcap(path: Path, damage: str, compression: str = "zstd") -> Path:
    """Three chunks of two messages without an index, of which the middle one is damaged."""
    schema = struct.pack("<H", 1) + _mcap_text("std_msgs/msg/Header") + _mcap_text("") + _mcap_text("")
    channel = struct.pack("<HH", 1, 1) + _mcap_text("/ticks") + _mcap_text("cdr") + _mcap_text("")
    chunks = [_mcap_chunk((10 * i, 10 * i + 1), compression, damage if i == 1 else "") for i in range(3)]
    end = _mcap_record(0x0F, bytes(4)) + _mcap_record(2, bytes(20)) + MAGIC
    start = MAGIC + _mcap_record(1, _mcap_text("") + _mcap_text("test"))
    path.write_bytes(start + _mcap_record(3, schema) + _mcap_record(4, channel) + b"".join(chunks) + end)
    return path


@pytest.mark.parametrize(("damage", "compression"), [("body", "zstd"), ("length", "zstd"), ("length", ""), ("head", "")])
def test_a_damaged_chunk_is_told_and_not_counted(tmp_path: Path, damage: str, compression: str) -> None:
    with BagReader(_damaged_mcap(tmp_path / "ticks.mcap", damage, compression)) as bag:
        assert [message.bag_time_ns for message in bag.messages()] == [0, 1, 20, 21]
        assert bag.message_count == 4
        (warning,) = bag.warnings
        assert "ticks.mcap: damaged; 4 whole messages are read" in warning and "mcap recover" in warning
        assert "cut off" not in warning


def test_bytes_lost_in_a_chunk_and_at_the_end_add_up(tmp_path: Path) -> None:
    whole = _damaged_mcap(tmp_path / "ticks.mcap", "body")
    (inside,) = BagReader(whole).warnings
    lost = int(inside.partition(" bytes")[0].rpartition(" ")[2])
    end = len(_mcap_record(0x0F, bytes(4)) + _mcap_record(2, bytes(20)) + MAGIC)
    whole.write_bytes(whole.read_bytes()[: 7 - end])
    (both,) = BagReader(whole).warnings
    assert "cut off" in both and f" {lost + 7} bytes" in both


def test_one_empty_or_damaged_part_leaves_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    part = factory.write_bag(tmp_path / "part", FRAMES) / "part.mcap"
    (folder / "drive_0.mcap").touch()
    shutil.copy(part, folder / "drive_1.mcap")
    (folder / "drive_2.mcap").write_bytes(b"nothing of a bag")
    with BagReader(folder) as bag:
        assert len(list(bag.messages())) == 12
        empty, foreign = bag.warnings
        assert "drive_0.mcap: the file is empty" in empty and "drive_2.mcap: no bag" in foreign
    (folder / "drive_1.mcap").unlink()
    with pytest.raises(BagError, match=r"drive_0\.mcap: the file is empty"):
        BagReader(folder)


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
