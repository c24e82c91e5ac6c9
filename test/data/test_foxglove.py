# SPDX-License-Identifier: Apache-2.0
"""Protobuf recordings of nuScenes read like ROS bags: same frames as from the tables themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import foxglove_factory as foxglove
import numpy as np
import nuscenes_tree
import pytest
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.data.bag import BagError, BagReader, header_stamp
from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.foxglove_to_bag import FoxgloveToBag
from ssd_core.data.nuscenes import NuScenesFrames


def nuscenes2mcap(root: Path, path: Path, in_chunk: bool = False) -> Path:
    """What nuscenes2mcap makes of a folder of nuscenes_tree."""
    tables = {
        name: json.loads((root / "v1.0-mini" / f"{name}.json").read_text()) for name in ("sample_data", "calibrated_sensor", "ego_pose")
    }
    mounts = {row["token"]: row for row in tables["calibrated_sensor"]}
    poses = {row["token"]: row for row in tables["ego_pose"]}
    messages: list[tuple[str, int, Any]] = [("/markers", 0, foxglove.make("SceneUpdate", frame_id="map"))]
    for row in sorted(tables["sample_data"], key=lambda row: row["timestamp"]):
        stamp, mount, pose = row["timestamp"] * 1000, mounts[row["calibrated_sensor_token"]], poses[row["ego_pose_token"]]
        channel = mount["sensor_token"].removeprefix("sensor-")
        messages.append(("/tf", stamp, foxglove.transform(stamp, "map", "base_link", pose["translation"], np.roll(pose["rotation"], -1))))
        messages.append(
            ("/tf", stamp, foxglove.transform(stamp, "base_link", channel, mount["translation"], np.roll(mount["rotation"], -1)))
        )
        data = (root / row["filename"]).read_bytes()
        if not mount["camera_intrinsic"]:
            points = np.frombuffer(data, dtype="<f4").reshape(-1, 5)
            messages.append(("/LIDAR_TOP", stamp, foxglove.point_cloud(stamp, channel, points)))
            continue
        k = np.ravel(mount["camera_intrinsic"]).tolist()
        p = [*k[:3], 0, *k[3:6], 0, *k[6:], 0]
        # Some versions of the converter write a matrix that is no rotation.
        size = {"width": row["width"], "height": row["height"]}
        calibration = foxglove.make("CameraCalibration", stamp, frame_id=channel, K=k, R=[1.0] + 8 * [0.0], P=p, **size)
        picture = foxglove.make("CompressedImage", stamp, data=data, format="jpeg", frame_id=channel)
        messages += [(f"/{channel}/image_rect_compressed", stamp, picture), (f"/{channel}/camera_info", stamp, calibration)]
    return foxglove.write_mcap(path, messages, in_chunk=in_chunk)


@pytest.mark.parametrize("in_chunk", [False, True])
def test_frames_equal_those_of_the_tables(tmp_path: Path, in_chunk: bool) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu")
    source = BagFrames(nuscenes2mcap(root, tmp_path / "scene.mcap", in_chunk))
    direct = NuScenesFrames(root, keyframes_only=False)
    by_place = {(frame.camera_name, frame.stamp_ns): frame for frame in direct.frames()}
    assert len(source.frames()) == len(by_place) == 14
    compared = 0
    for frame in source.frames():
        other = by_place[frame.camera_name, frame.stamp_ns]
        assert frame.camera == other.camera
        np.testing.assert_allclose(frame.world_from_camera, other.world_from_camera, atol=1e-7)
        np.testing.assert_array_equal(source.image(frame), direct.image(other))
        truth = direct.lidar_depth(other)
        if truth is not None:
            assert abs(len(source.lidar_depth(frame).z) - len(truth.z)) <= 2
            compared += 1
    assert compared == 4
    assert source.warnings == []


def test_messages_come_as_ros_types(tmp_path: Path) -> None:
    path = nuscenes2mcap(nuscenes_tree.write_nuscenes(tmp_path / "nu"), tmp_path / "scene.mcap")
    with BagReader(path) as bag:
        types = {connection.topic: (connection.message_type, connection.serialization) for connection in bag.connections}
        assert types["/CAM_FRONT/image_rect_compressed"] == ("sensor_msgs/msg/CompressedImage", "cdr")
        assert types["/CAM_FRONT/camera_info"] == ("sensor_msgs/msg/CameraInfo", "cdr")
        assert types["/LIDAR_TOP"] == ("sensor_msgs/msg/PointCloud2", "cdr")
        assert types["/tf"] == ("tf2_msgs/msg/TFMessage", "cdr")
        assert types["/markers"] == ("foxglove.SceneUpdate", "protobuf")
        info = bag.first_message("/CAM_FRONT/camera_info")
        np.testing.assert_array_equal(info.r, np.eye(3).reshape(-1))
        assert info.distortion_model == "plumb_bob" and not info.d.any()
        assert header_stamp(info) == header_stamp(bag.first_message("/CAM_FRONT/image_rect_compressed"))


def test_a_cloud_with_a_pose_of_its_own_is_moved(tmp_path: Path) -> None:
    pose = foxglove.make("Pose", position=foxglove.make("Vector3", x=10.0), orientation=foxglove.make("Quaternion", w=1.0))
    cloud = foxglove.point_cloud(5, "lidar", np.array([[1.0, 2, 3, 0, 0]]), pose=pose)
    with BagReader(foxglove.write_mcap(tmp_path / "x.mcap", [("/lidar", 5, cloud)])) as bag:
        moved = bag.first_message("/lidar")
        np.testing.assert_array_equal(np.frombuffer(moved.data, dtype="<f4"), (11, 2, 3))


@pytest.mark.parametrize("stride", [0, 7])
def test_damaged_messages_and_descriptors_are_named(tmp_path: Path, stride: int) -> None:
    cloud = foxglove.point_cloud(5, "lidar", np.zeros((2, 5)))
    cloud.point_stride = stride
    with BagReader(foxglove.write_mcap(tmp_path / "x.mcap", [("/lidar", 5, cloud)])) as bag:
        assert list(bag.messages(["/lidar"])) == []
        assert "/lidar: a foxglove.PointCloud that can't be read" in bag.warnings[0]
    with BagReader(foxglove.write_mcap(tmp_path / "y.mcap", [("/lidar", 5, cloud)], descriptors=b"\xff\xff nothing")) as bag:
        assert "/lidar: foxglove.PointCloud: its descriptor" in bag.warnings[0]


def test_as_a_bag_that_can_be_played(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu")
    recording = nuscenes2mcap(root, tmp_path / "scene.mcap")
    result = CliRunner().invoke(app, ["nuscenes-to-bag", str(recording), "--out", str(tmp_path / "bag.mcap"), "--cameras", "CAM_FRONT"])
    assert result.exit_code == 0, result.output
    assert "/markers" in result.output
    with BagReader(tmp_path / "bag.mcap") as bag:
        assert {connection.serialization for connection in bag.connections} == {"cdr"}
        topics = {connection.topic for connection in bag.connections}
        assert topics == {"/CAM_FRONT/image_rect_compressed", "/CAM_FRONT/camera_info", "/LIDAR_TOP", "/odom", "/tf"}
        speeds = [message.twist.twist.linear.x for _, message in bag.deserialised(["/odom"])]
        np.testing.assert_allclose(speeds[1:], 8.0, rtol=0.05)
        scans = [header_stamp(message) for _, message in bag.deserialised(["/LIDAR_TOP"])]
    played, direct = BagFrames(tmp_path / "bag.mcap"), BagFrames(recording, ["CAM_FRONT"])
    near_scans = {f.stamp_ns for f in played.frames() if min(abs(scan - f.stamp_ns) for scan in scans) <= 100_000_000}
    assert 2 <= len(near_scans) < len(played.frames())
    for frame, other in zip(played.frames(), direct.frames(), strict=True):
        np.testing.assert_array_equal(frame.world_from_camera, other.world_from_camera)
        mine, theirs = played.lidar_depth(frame), direct.lidar_depth(other)
        assert (mine is None) == (theirs is None) == (frame.stamp_ns not in near_scans)
        if mine is not None and theirs is not None:
            np.testing.assert_array_equal(mine.z, theirs.z)
    before = recording.read_bytes()
    result = CliRunner().invoke(app, ["nuscenes-to-bag", str(recording), "--out", str(recording)])
    assert "would take the place of its own source" in str(result.exception) and recording.read_bytes() == before
    with pytest.raises(BagError, match="no camera CAM_UP"):
        FoxgloveToBag(recording, ("CAM_UP",))
