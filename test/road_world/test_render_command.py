# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth render` end to end: topics, stamps, frames, QoS, and the true depth."""

import numpy as np
import pytest
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.data.writers.messages import TYPESTORE
from ssd_core.images.codec import decode_image
from ssd_core.road_world.graphics import Graphics
from ssd_core.road_world.scene import Scene


def render(*arguments):
    return CliRunner().invoke(app, ["render", *map(str, arguments)])


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("render") / "drive.mcap"
    result = render("--out", path, "--condition", "night", "--seconds", 0.4, "--seed", 3, "--width", 64, "--height", 36, "--rate", 10,
                    "--lidar-rate", 5, "--beams", 8, "--columns", 90, "--cameras", 6, "--depth")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert list(path.parent.iterdir()) == [path]
    messages, connections = {}, {}
    with Reader(path) as reader:
        for connection in reader.connections:
            connections[connection.topic] = connection
        for connection, stamp, data in reader.messages():
            messages.setdefault(connection.topic, []).append((stamp, TYPESTORE.deserialize_cdr(data, connection.msgtype)))
    return connections, messages


@pytest.mark.render
def test_topics_types_and_counts(bag):
    connections, messages = bag
    assert connections["/CAM_FRONT/image_rect_compressed"].msgtype == "sensor_msgs/msg/CompressedImage"
    assert {"/LIDAR_TOP", "/tf", "/tf_static", "/odom", "/CAM_BACK/camera_info"} <= set(connections)
    assert sum(topic.endswith("/image_rect_compressed") for topic in connections) == 6
    assert [
        len(messages[topic]) for topic in ("/CAM_FRONT/image_rect_compressed", "/CAM_FRONT/camera_info", "/LIDAR_TOP", "/tf_static")
    ] == [4, 4, 2, 1]
    assert connections["/tf_static"].ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL
    assert connections["/tf"].ext.offered_qos_profiles[0].durability == QosDurability.VOLATILE


@pytest.mark.render
def test_stamps_frames_and_pictures(bag):
    _, messages = bag
    for topic in ("/CAM_FRONT/image_rect_compressed", "/CAM_BACK/camera_info", "/LIDAR_TOP", "/odom"):
        stamps = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for _, message in messages[topic]]
        assert stamps == [stamp for stamp, _ in messages[topic]] == sorted(stamps)
    (_, image), (_, info) = messages["/CAM_FRONT/image_rect_compressed"][0], messages["/CAM_FRONT/camera_info"][0]
    assert image.format == "jpeg" and image.header.frame_id == info.header.frame_id == "CAM_FRONT"
    assert decode_image(image.data).shape == (36, 64, 3)
    np.testing.assert_allclose(info.r.reshape(3, 3), np.eye(3))
    np.testing.assert_allclose(info.p.reshape(3, 4)[:, :3], info.k.reshape(3, 3))
    children = {transform.child_frame_id for transform in messages["/tf_static"][0][1].transforms}
    assert {"CAM_FRONT", "CAM_BACK_LEFT", "LIDAR_TOP"} <= children
    first, last = messages["/tf"][0][0], messages["/tf"][-1][0]
    assert (
        first <= messages["/CAM_FRONT_LEFT/image_rect_compressed"][0][0]
        and last >= messages["/CAM_FRONT_LEFT/image_rect_compressed"][-1][0]
    )
    speed = Scene.generate(3, 1.4).speed(0.0)
    assert messages["/odom"][0][1].twist.twist.linear.x == pytest.approx(speed, rel=1e-3)


@pytest.mark.render
def test_depth_truth_is_metric_float(bag):
    _, messages = bag
    _, message = messages["/CAM_FRONT/depth_truth"][1]
    assert message.encoding == "32FC1" and message.step == 64 * 4
    depth = message.data.view(np.float32).reshape(36, 64)
    assert 1.0 < np.nanmin(depth) < 12.0 and np.isposinf(depth).any()


@pytest.mark.render
def test_same_options_write_the_same_messages(tmp_path):
    contents = []
    for name in ("a.mcap", "b.db3"):
        result = render("--out", tmp_path / name, "--seconds", 0.15, "--width", 48, "--height", 32, "--lidar-rate", 0)
        assert result.exit_code == 0, result.output
        with Reader(tmp_path / name) as reader:
            contents.append([(connection.topic, stamp, bytes(data)) for connection, stamp, data in reader.messages()])
    assert sorted(contents[0]) == sorted(contents[1])
    assert not any(topic == "/LIDAR_TOP" for topic, _, _ in contents[0])


@pytest.mark.render
@pytest.mark.parametrize(
    ("preset", "name", "height", "condition"),
    [("kitti", "image_02", 29, "fog"), ("robotcar", "stereo_left", 72, "snow"), ("ddad", "CAMERA_01", 60, "dusk")],
)
def test_rigs_of_other_recordings(tmp_path, preset, name, height, condition):
    path = tmp_path / "drive.mcap"
    arguments = ("--preset", preset, "--condition", condition, "--width", 96, "--seconds", 0.1, "--rate", 5, "--lidar-rate", 0)
    result = render("--out", path, *arguments)
    assert result.exit_code == 0, result.output
    with Reader(path) as reader:
        messages = {connection.topic: TYPESTORE.deserialize_cdr(data, connection.msgtype) for connection, _, data in reader.messages()}
    assert decode_image(messages[f"/{name}/image_rect_compressed"].data).shape == (height, 96, 3)
    # Rectified, whatever the lens is.
    assert not messages[f"/{name}/camera_info"].d.any()


def test_wrong_options_are_named(tmp_path):
    result = render("--out", tmp_path / "x.mcap", "--preset", "kitti", "--cameras", 6)
    assert result.exit_code != 0 and "kitti has 1" in result.output
    result = render("--out", tmp_path / "x.mcap", "--preset", "mixed")
    assert result.exit_code != 0 and "mixed" in result.output
    result = render("--out", tmp_path / "x.mcap", "--cameras", 3)
    assert result.exit_code != 0 and "3 cameras" in result.output
    result = render("--out", tmp_path / "x.zip")
    assert isinstance(result.exception, ValueError) and "X.mcap" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_opengl_is_told_what_to_install(tmp_path, monkeypatch):
    import moderngl

    from ssd_core.road_world import renderer

    def refuse(**_):
        raise Exception("libEGL.so not loaded")  # the class moderngl raises

    monkeypatch.setattr(moderngl, "create_context", refuse)
    # Not the shared ones: what others have loaded into them would be freed in the next.
    monkeypatch.setattr(renderer, "shared_graphics", Graphics)
    result = render("--out", tmp_path / "x.mcap", "--seconds", 0.1)
    assert isinstance(result.exception, OSError) and "apt-get install libegl1 libgl1 libgl1-mesa-dri" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
