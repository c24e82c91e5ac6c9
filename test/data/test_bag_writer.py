# SPDX-License-Identifier: Apache-2.0
"""Bags that appear whole or not at all, and read back as they were written."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader, Writer

from ssd_core.data.writers.bag import BagWriter, Durability, endangered_source, reliable_qos
from ssd_core.data.writers.messages import (
    TYPESTORE,
    camera_info_message,
    compressed_image_message,
    image_message,
    odometry_message,
    point_cloud_message,
    transforms_message,
)
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import pose_from_quaternion

STAMP = 1_700_000_000_123_456_789


def read(path):
    with Reader(path) as reader:
        return [
            (connection.topic, stamp, TYPESTORE.deserialize_cdr(data, connection.msgtype)) for connection, stamp, data in reader.messages()
        ]


@pytest.mark.parametrize("name", ["drive.mcap", "drive.db3", "drive"])
def test_round_trip_in_every_form(tmp_path, name):
    path = tmp_path / "deep" / name
    depth = np.arange(12, dtype=np.float32).reshape(3, 4)
    with BagWriter(path, {"made.by": "a test"}) as bag:
        bag.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", reliable_qos(1, Durability.LATCHED))
        bag.write("/tf_static", STAMP, transforms_message([("base_link", "CAM_FRONT", np.eye(4))], STAMP))
        bag.write("/depth", STAMP + 1, image_message(depth, "32FC1", STAMP, "CAM_FRONT"))
    assert [entry.name for entry in path.parent.iterdir()] == [name]
    assert path.is_dir() == (name == "drive")
    (_, _, static), (topic, stamp, image) = read(path)
    assert (topic, stamp, image.encoding, image.step) == ("/depth", STAMP + 1, "32FC1", 16)
    np.testing.assert_array_equal(image.data.view(np.float32).reshape(3, 4), depth)
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == divmod(STAMP, 10**9)
    assert static.transforms[0].child_frame_id == "CAM_FRONT"
    with Reader(path) as reader:
        profiles = {connection.topic: connection.ext.offered_qos_profiles[0] for connection in reader.connections}
    assert profiles["/tf_static"].durability == QosDurability.TRANSIENT_LOCAL
    assert profiles["/depth"].reliability == QosReliability.RELIABLE


def test_an_error_leaves_nothing_and_keeps_the_old_bag(tmp_path):
    path = tmp_path / "drive.mcap"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), BagWriter(path) as bag:
        bag.write("/tf", STAMP, transforms_message([], STAMP))
        raise RuntimeError("stop")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_an_old_folder_is_replaced(tmp_path):
    for count in (1, 2):
        with BagWriter(tmp_path / "drive") as bag:
            for index in range(count):
                bag.write("/tf", STAMP + index, transforms_message([], STAMP))
    assert len(read(tmp_path / "drive")) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["drive"]


def write_bag(path):
    with BagWriter(path) as bag:
        bag.write("/tf", STAMP, transforms_message([], STAMP))


def test_a_folder_that_is_no_bag_or_holds_more_is_refused_before_the_work(tmp_path):
    bags, drive = tmp_path / "bags", tmp_path / "drive"
    bags.mkdir()
    write_bag(bags / "scene-0061.mcap")
    (bags / "notes.txt").write_text("x")
    with pytest.raises(FileExistsError, match=r"bags holds notes\.txt, scene-0061\.mcap, which would be lost"), BagWriter(bags):
        pytest.fail("the block isn't entered")
    write_bag(drive)
    (drive / "scene.mcap").write_text("x")
    with pytest.raises(FileExistsError, match=r"drive holds scene\.mcap, which"):
        write_bag(drive)
    (drive / "metadata.yaml").write_text("- no bag")
    with pytest.raises(FileExistsError, match=r"metadata\.yaml.*which would be lost"):
        write_bag(drive)
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError, match="file is no folder"):
        write_bag(tmp_path / "file")
    with pytest.raises(IsADirectoryError, match="drive2"):
        (tmp_path / "drive2.mcap").mkdir()
        with BagWriter(tmp_path / "drive2.mcap"):
            pytest.fail("the block isn't entered")
    assert sorted(entry.name for entry in bags.iterdir()) == ["notes.txt", "scene-0061.mcap"]
    assert not list(tmp_path.glob(".*")) and len(list(drive.iterdir())) == 3


def test_a_recording_that_the_bag_is_made_from_is_never_its_target(tmp_path):
    write_bag(tmp_path / "drive")
    part = tmp_path / "drive" / "drive.mcap"
    before = part.read_bytes()
    (tmp_path / "link").symlink_to("drive")
    for target, source in [
        (part, part),
        (tmp_path / "link" / "drive.mcap", part),
        (part, tmp_path / "drive"),
        (tmp_path / "drive" / "more.mcap", tmp_path / "link"),
        (tmp_path / "drive", part),
    ]:
        with pytest.raises(FileExistsError, match="would take the place of its own source"), BagWriter(target, sources=[source]):
            pytest.fail("the block isn't entered")
    assert part.read_bytes() == before and len(list(part.parent.iterdir())) == 2
    assert endangered_source(tmp_path / "drive" / "demo" / "drive.mcap", [tmp_path / "drive"]) is None
    assert endangered_source(tmp_path / "drive.mcap", [tmp_path / "drive", tmp_path / "drive.db3"]) is None


def test_a_bag_that_cannot_be_opened_leaves_nothing(tmp_path, monkeypatch):
    def fail(writer):
        raise OSError("no space")

    monkeypatch.setattr(Writer, "open", fail)
    with pytest.raises(OSError, match="no space"):
        write_bag(tmp_path / "drive.mcap")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_becomes_the_bag(tmp_path):
    (tmp_path / "drive").mkdir()
    write_bag(tmp_path / "drive")
    assert len(read(tmp_path / "drive")) == 1


def test_a_bag_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    write_bag(tmp_path / "drive")
    rename = Path.replace

    def fail_for_the_new_one(source, destination):
        if source.parent.suffix == ".part":
            raise OSError("no")
        return rename(source, destination)

    monkeypatch.setattr(Path, "replace", fail_for_the_new_one)
    with pytest.raises(OSError, match="no"):
        write_bag(tmp_path / "drive")
    assert len(read(tmp_path / "drive")) == 1 and len(list(tmp_path.iterdir())) == 1


def test_misuse_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"X\.mcap"):
        BagWriter(tmp_path / "drive.bag")
    with pytest.raises(ValueError, match="without messages"), BagWriter(tmp_path / "empty.mcap"):
        pass
    with BagWriter(tmp_path / "drive.mcap") as bag:
        with pytest.raises(ValueError, match="add_topic"):
            bag.write_raw("/raw", STAMP, b"")
        bag.write("/tf", STAMP, transforms_message([], STAMP))
        with pytest.raises(ValueError, match="before"):
            bag.add_topic("/tf", "tf2_msgs/msg/TFMessage")


def test_raw_bytes_pass_through(tmp_path):
    data = TYPESTORE.serialize_cdr(compressed_image_message(b"\xff\xd8abc", "jpeg", STAMP, "cam"), "sensor_msgs/msg/CompressedImage")
    with BagWriter(tmp_path / "raw.mcap") as bag:
        bag.add_topic("/image", "sensor_msgs/msg/CompressedImage")
        bag.write_raw("/image", STAMP, data)
    ((_, _, message),) = read(tmp_path / "raw.mcap")
    assert message.format == "jpeg" and bytes(message.data) == b"\xff\xd8abc"


def test_messages_survive_serialisation():
    camera = PinholeCamera(64, 48, 50.0, 51.0, 31.0, 23.0, "plumb_bob", (0.1, 0.0, 0.001, 0.0, 0.0))
    info = camera_info_message(camera, STAMP, "cam")
    back = TYPESTORE.deserialize_cdr(TYPESTORE.serialize_cdr(info, info.__msgtype__), info.__msgtype__)
    np.testing.assert_array_equal(back.k.reshape(3, 3), camera.matrix)
    np.testing.assert_array_equal(back.d, camera.distortion)
    pose = pose_from_quaternion((1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8))
    odometry = odometry_message(pose, (5.0, 0.0, 0.0), (0.0, 0.0, 0.1), STAMP)
    assert (odometry.pose.pose.position.y, odometry.pose.pose.orientation.z) == (2.0, pytest.approx(0.6))
    cloud = point_cloud_message(np.full((2, 3, 4), np.nan, dtype=np.float32), ("x", "y", "z", "rgb"), STAMP, "cam")
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step, cloud.is_dense) == (2, 3, 16, 48, False)
    with pytest.raises(ValueError, match="4 values"):
        point_cloud_message(np.zeros((2, 4), dtype=np.float32), ("x", "y", "z"), STAMP, "cam")
