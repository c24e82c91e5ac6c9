# SPDX-License-Identifier: Apache-2.0
"""nuScenes scenes as bags: what a bag's frames say must be what the tables say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import nuscenes_tree
import pytest
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.data.bag import BagReader, header_stamp
from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.errors import DataError
from ssd_core.data.extraction import ExtractionConfiguration, extract
from ssd_core.data.frame import FrameSource
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.nuscenes import NuScenesFrames
from ssd_core.data.nuscenes_to_bag import NuScenesBagConfiguration, NuScenesBags


def convert(root: Path, out: Path, **options: Any) -> list[Path]:
    return NuScenesBags(NuScenesBagConfiguration(root=str(root), **options)).write(out)


def assert_equal_frames(first: FrameSource, second: FrameSource, points: bool = True) -> None:
    """The same pictures, cameras, poses relative to each other, and depth."""
    by_place = {(frame.camera_name, frame.stamp_ns): frame for frame in second.frames()}
    assert len(first.frames()) == len(by_place) == len(second.frames())
    for frame in first.frames():
        other = by_place[frame.camera_name, frame.stamp_ns]
        assert frame.camera == other.camera and frame.condition == other.condition
        np.testing.assert_allclose(frame.world_from_camera, other.world_from_camera, atol=1e-7)
        np.testing.assert_array_equal(first.image(frame), second.image(other))
        if points:
            mine, theirs = first.lidar_depth(frame), second.lidar_depth(other)
            assert mine is not None and theirs is not None
            # A point on the border of two pixels may fall into either after quaternions have been rounded.
            assert abs(len(mine.z) - len(theirs.z)) <= 2
            np.testing.assert_allclose(mine.z.min(), theirs.z.min(), atol=1e-3)
            size = frame.camera.size
            np.testing.assert_allclose(mine.to_image(*size).mean(), theirs.to_image(*size).mean(), rtol=2e-3)


def test_directly_as_a_bag_and_extracted_the_frames_are_the_same(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu", scenes=nuscenes_tree.SCENES[1:2])
    (bag,) = convert(root, tmp_path / "scene.mcap")
    direct, replayed = NuScenesFrames(root), BagFrames(bag)
    assert_equal_frames(replayed, direct)
    assert replayed.frames()[0].condition == "night"
    extract(ExtractionConfiguration(bags=(str(bag),)), tmp_path / "set")
    assert_equal_frames(FrameDataset(tmp_path / "set"), direct)


def test_the_real_key_frame(tmp_path: Path, sample_data: Path) -> None:
    root = sample_data / "nuscenes_tiny_v1.0-mini"
    (bag,) = convert(root, tmp_path / "tiny")
    assert (tmp_path / "tiny" / "metadata.yaml").exists()
    assert_equal_frames(BagFrames(bag), NuScenesFrames(root))


def test_topics_are_those_of_the_converters_in_use(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu")
    (path,) = convert(root, tmp_path / "scene.mcap", cameras=("CAM_FRONT",))
    with BagReader(path) as bag:
        types = {connection.topic: connection.message_type for connection in bag.connections}
        assert types == {
            "/CAM_FRONT/image_rect_compressed": "sensor_msgs/msg/CompressedImage",
            "/CAM_FRONT/camera_info": "sensor_msgs/msg/CameraInfo",
            "/LIDAR_TOP": "sensor_msgs/msg/PointCloud2",
            "/odom": "nav_msgs/msg/Odometry",
            "/tf": "tf2_msgs/msg/TFMessage",
            "/tf_static": "tf2_msgs/msg/TFMessage",
        }
        assert bag.connection("/tf_static").offered_qos[0].durability == "transient_local"
        info = bag.first_message("/CAM_FRONT/camera_info")
        np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))
        np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], info.k.reshape(3, 3))
        cloud = bag.first_message("/LIDAR_TOP")
        assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity", "ring"]
        picture = bag.first_message("/CAM_FRONT/image_rect_compressed")
        record = NuScenesFrames(root, cameras=["CAM_FRONT"]).frames()[0]
        assert (picture.header.frame_id, header_stamp(picture)) == ("CAM_FRONT", record.stamp_ns)
        odometry = [message for _, message in bag.deserialised(["/odom"])]
        speeds = [np.hypot(message.twist.twist.linear.x, message.twist.twist.linear.y) for message in odometry]
        np.testing.assert_allclose(speeds, 8.0, rtol=0.02)
        times = [message.bag_time_ns for message in bag.messages()]
        assert times == sorted(times)


def test_sweeps_fill_the_time_between_key_frames(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu")
    (few,) = convert(root, tmp_path / "few.mcap")
    (many,) = convert(root, tmp_path / "many.mcap", sweeps=True)
    assert len(BagFrames(few).frames()) == 4
    assert_equal_frames(BagFrames(many), NuScenesFrames(root, keyframes_only=False), points=False)


def test_several_scenes_give_a_bag_each_and_finished_ones_stay(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu", scenes=nuscenes_tree.SCENES[:2])
    with pytest.raises(DataError, match=r"2 scenes; choose one \(--scene scene-0061\)"):
        convert(root, tmp_path / "all.mcap")
    paths = convert(root, tmp_path / "all")
    assert [path.name for path in paths] == ["scene-0061.mcap", "scene-0103.mcap"]
    written = [path.stat().st_ino for path in paths]
    paths[0].write_bytes(paths[0].read_bytes()[:1000])
    assert convert(root, tmp_path / "all") == paths
    assert paths[0].stat().st_ino != written[0] and paths[1].stat().st_ino == written[1], "only the damaged one is written again"
    assert convert(root, tmp_path / "one.mcap", scene="scene-0103") == [tmp_path / "one.mcap"]


def test_one_scene_does_not_replace_the_folder_of_all(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu", scenes=nuscenes_tree.SCENES[:2])
    paths = convert(root, tmp_path / "bags")
    with pytest.raises(FileExistsError, match=r"bags holds scene-0061\.mcap, scene-0103\.mcap, which would be lost; choose another name"):
        convert(root, tmp_path / "bags", scene="scene-0061")
    assert sorted((tmp_path / "bags").iterdir()) == paths


def test_bad_input_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu")
    with pytest.raises(DataError, match="no scene scene-9"):
        convert(root, tmp_path / "x.mcap", scene="scene-9")
    with pytest.raises(DataError, match="no camera CAM_UP"):
        convert(root, tmp_path / "x.mcap", cameras=("CAM_UP",))
    scan = next((root / "samples" / "LIDAR_TOP").iterdir())
    whole = scan.read_bytes()
    scan.write_bytes(whole[:-3])
    with pytest.raises(DataError, match=rf"{scan.name}.*no whole number of points"):
        convert(root, tmp_path / "x.mcap")
    scan.unlink()
    with pytest.raises(DataError, match=rf"{scan.name}.*sample_data"):
        convert(root, tmp_path / "x.mcap")
    assert [path.name for path in tmp_path.iterdir()] == ["nu"]


def test_the_command(tmp_path: Path) -> None:
    root = nuscenes_tree.write_nuscenes(tmp_path / "nu", scenes=nuscenes_tree.SCENES[:2])
    command = ["nuscenes-to-bag", str(root), "--out", str(tmp_path / "bag"), "--cameras", "CAM_FRONT", "--sweeps"]
    result = CliRunner().invoke(app, [*command, "--scene", "scene-0103"])
    assert result.exit_code == 0, result.output
    assert "9/9" in result.output and "scene-0103 (Night, rain, many peds)" in result.output
    with BagReader(tmp_path / "bag") as bag:
        assert bag.custom_data["nuscenes_to_bag.scene"] == "scene-0103"
        assert bag.connection("/CAM_FRONT/camera_info").count == 7
