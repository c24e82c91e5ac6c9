# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (rclpy may be missing: skipped before the imports that need it)
"""The depth node at rclpy level: a fake camera publishes, the node answers, a subscriber looks."""

import logging
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy", reason="rclpy isn't installed (extra [ros], or a sourced ROS)")

import rclpy
from fake_estimator import FakeEstimator
from node_bench import CAMERA, PICTURE, NodeBench, depth_of, points_of, stamp_of
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_peers import FakeCamera, wait_until
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg
from ssd_core.runtime.backends import BackendError
from ssd_depth_ros.accuracy_node import main as accuracy_main
from ssd_depth_ros.depth_node import DepthNode, _model_status, _RosLogHandler
from ssd_depth_ros.depth_node import main as depth_main
from ssd_depth_ros.health import Level
from ssd_depth_ros.messages import camera_info_message


@pytest.fixture
def bench(spinner: Any, monkeypatch: pytest.MonkeyPatch) -> NodeBench:
    monkeypatch.setattr("ssd_depth_ros.depth_node.LOOK_PERIOD", 0.05)
    return NodeBench(spinner)


def test_one_raw_camera_gives_depth_info_cloud_and_previews(bench: NodeBench) -> None:
    bench.start(FakeEstimator(5.0))
    camera = bench.camera()
    outputs = bench.listen("/depth/image_raw", "/depth/camera_info", "/depth/points", "/depth/preview", "/depth/preview/compressed")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE, stamp=12.5)
    depth, info, cloud, preview, jpeg = (output.wait()[0] for output in outputs)
    for message in (depth, info, cloud, preview, jpeg):
        assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (12, 500_000_000, "camera_optical")
    assert depth.encoding == "32FC1" and depth_of(depth).shape == (42, 56)
    np.testing.assert_array_equal(depth_of(depth), np.float32(5))
    assert (info.width, info.height) == (56, 42) and info.k[0] == pytest.approx(50 * 56 / 64)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.row_step, cloud.is_dense) == (16, 12, 16, 256, False)
    points = points_of(cloud)
    np.testing.assert_allclose(points[..., 2], 5)
    np.testing.assert_allclose(points[2, 3, :2], [5 * (12 - 31.5) / 50, 5 * (8 - 23.5) / 50], rtol=1e-6)
    packed = points.view(np.uint32)[2, 3, 3]
    np.testing.assert_array_equal([packed >> 16, packed >> 8 & 255, packed & 255], PICTURE[8, 12])
    assert preview.encoding == "rgb8" and jpeg.format == "jpeg" and bytes(jpeg.data[:2]) == b"\xff\xd8"


def test_every_image_is_answered_once_when_there_is_time(bench: NodeBench) -> None:
    bench.start()
    camera = bench.camera()
    depth, cloud = bench.listen("/depth/image_raw", "/depth/points")
    camera.send_info(CAMERA)
    for index in range(5):
        camera.send_image(PICTURE, stamp=index + 0.25)
        cloud.wait(index + 1)
    assert [stamp_of(message) for message in depth.wait(5)] == [stamp_of(message) for message in cloud.messages]
    assert [stamp_of(message) for message in cloud.messages] == [0.25, 1.25, 2.25, 3.25, 4.25]
    assert (bench.health.received, bench.health.published, bench.health.dropped) == (5, 5, 0)


def test_compressed_sibling_is_found_and_a_rectified_name_tells_the_output(bench: NodeBench) -> None:
    bench.start(image_topic="/front/image_rect", camera_info_topic="/front/camera_info")
    camera = bench.camera("/front/image_rect/compressed", "/front/camera_info", compressed=True)
    (depth,) = bench.listen("/depth/image_rect")
    camera.send_info(CAMERA)
    camera.send_compressed(encode_jpeg(PICTURE), form="rgb8; jpeg compressed bgr8")
    depth.wait()
    assert bench.node.cameras[0].stream.topic == "/front/image_rect/compressed"


def test_compressed_topic_without_a_telling_suffix(bench: NodeBench) -> None:
    bench.start(image_topic="/CAM/image_rect_compressed")
    camera = bench.camera("/CAM/image_rect_compressed", "/CAM/camera_info", compressed=True)
    (depth,) = bench.listen("/depth/image_rect")
    camera.send_info(CAMERA)
    camera.send_compressed(encode_jpeg(PICTURE))
    depth.wait()


def test_a_topic_that_comes_back_with_another_type_is_heard(bench: NodeBench) -> None:
    bench.start()
    camera = bench.camera(compressed=True)
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    camera.send_compressed(encode_jpeg(PICTURE))
    depth.wait()
    bench.peer.destroy_publisher(camera.images)
    # Fast DDS knows one type for each topic and participant, so the new camera needs a context of its own.
    other = rclpy.Context()
    other.init()
    with other:
        peer = Node("other", context=other)
        camera = FakeCamera(peer)
        camera.wait_for_node()
        camera.send_image(PICTURE, stamp=2.0)
        assert stamp_of(depth.wait(2)[1]) == 2.0
        peer.destroy_node()


@pytest.mark.parametrize(("topic", "output"), [("/direct/image_raw", "image_raw"), ("/left/image_rectified", "image_rect")])
def test_the_word_rect_tells_rectified_topics(bench: NodeBench, topic: str, output: str) -> None:
    node = bench.start(image_topic=topic)
    assert f"/depth/{output}" in {publisher.topic_name for publisher in node.publishers}


def test_best_effort_publishers_are_heard(bench: NodeBench) -> None:
    bench.start()
    camera = FakeCamera(bench.peer, reliable=False)
    camera.wait_for_node()
    (cloud,) = bench.listen("/depth/points")

    def answered() -> bool:
        camera.send_info(CAMERA)
        camera.send_image(PICTURE)
        return bool(cloud.messages)

    wait_until(answered, "a cloud from a best-effort camera")


def test_a_camera_info_that_was_published_once_is_heard_later(bench: NodeBench) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    infos = bench.peer.create_publisher(CameraInfo, "/camera_info", latched)
    infos.publish(camera_info_message(Header(frame_id="camera_optical"), CAMERA))
    stream = bench.start().cameras[0].stream
    wait_until(lambda: stream.camera_for(CAMERA.size) is not None, "the CameraInfo from before")
    assert stream.camera_for(CAMERA.size).size == CAMERA.size


def test_a_reliable_camera_after_a_best_effort_one_is_heard_reliably(bench: NodeBench) -> None:
    node = bench.start()
    first = FakeCamera(bench.peer, reliable=False)
    first.wait_for_node()
    stream = node.cameras[0].stream
    wait_until(lambda: stream._images is not None and stream._images.is_best_effort)
    bench.peer.destroy_publisher(first.images)
    wait_until(lambda: stream._images is None, "the best-effort subscription goes with its publisher")
    second = bench.camera()
    assert second.images.get_subscription_count() and stream._images is not None and not stream._images.is_best_effort


def test_diagnostics_name_the_topic_that_nobody_publishes(bench: NodeBench) -> None:
    node = bench.start(image_topic="/camera/imgae", transport="compressed")
    stream = node.cameras[0].stream
    status = bench.health.status("node", stream.topic, stream.wanted_topic)
    assert status.message == "nobody publishes images on /camera/imgae (CompressedImage)"


def test_large_jpegs_are_decoded_reduced_but_cover_network_and_cloud(bench: NodeBench) -> None:
    node = bench.start(FakeEstimator(5.0, input_size=(56, 42)), image_topic="/image_rect")
    camera = bench.camera("/image_rect", compressed=True)
    (cloud,) = bench.listen("/depth/points")
    big = PinholeCamera(640, 480, 500, 500, 320, 240)
    camera.send_info(big)
    camera.send_compressed(encode_jpeg(np.full((480, 640, 3), 90, np.uint8)))
    (message,) = cloud.wait()
    assert (message.width, message.height) == (160, 120)
    assert bench.estimator.calls[0][0].shape == (120, 160, 3)
    assert bench.estimator.cameras[0][0].size == (160, 120)
    set_parameter(bench, "cloud_stride", 1)
    camera.send_compressed(encode_jpeg(np.full((480, 640, 3), 90, np.uint8)), stamp=2.0)
    assert cloud.wait(2)[1].width == 640
    assert bench.estimator.calls[1][0].shape == (480, 640, 3)
    assert node.settings.cloud_stride == 1


def test_several_cameras_go_through_a_batching_network_together(bench: NodeBench) -> None:
    names = ["CAM_FRONT", "CAM_BACK", "CAM_LEFT"]
    bench.start(FakeEstimator(5.0, max_batch=8), cameras=names)
    cameras = [bench.camera(f"/{name}/image_rect_compressed", f"/{name}/camera_info", compressed=True) for name in names]
    outputs = bench.listen(*(f"/{name}/depth/points" for name in names))
    for camera in cameras:
        camera.send_info(CAMERA)
    bench.estimator.gate.clear()
    cameras[0].send_compressed(encode_jpeg(PICTURE), stamp=1.0)
    wait_until(lambda: len(bench.estimator.calls) == 1)
    for index, camera in enumerate(cameras):
        camera.send_compressed(encode_jpeg(PICTURE), stamp=2.0 + index)
    wait_until(lambda: [one.health.received for one in bench.node.cameras] == [2, 1, 1])
    bench.estimator.gate.set()
    assert [stamp_of(output.wait(count)[-1]) for output, count in zip(outputs, (2, 1, 1), strict=True)] == [2.0, 3.0, 4.0]
    assert [len(call) for call in bench.estimator.calls] == [1, 3]


def test_no_camera_starves_on_a_slow_network(bench: NodeBench) -> None:
    names = ["a", "b", "c"]
    bench.start(cameras=names, image_topic="/{camera}/image")
    cameras = [bench.camera(f"/{name}/image", f"/{name}/camera_info") for name in names]
    bench.listen(*(f"/{name}/depth/image_raw" for name in names))
    for camera in cameras:
        camera.send_info(CAMERA)
    bench.estimator.gate.clear()
    cameras[0].send_image(PICTURE * 0)
    wait_until(lambda: len(bench.estimator.calls) == 1)
    # Camera a always has something new; b and c must get their turn before it.
    for count, index in enumerate((0, 1, 2, 0), start=2):
        cameras[index].send_image(PICTURE * 0 + index, stamp=5.0)
        wait_until(lambda count=count: sum(one.health.received for one in bench.node.cameras) == count)
    bench.estimator.gate.set()
    wait_until(lambda: len(bench.estimator.calls) == 4)
    assert [call[0][0, 0, 0] for call in bench.estimator.calls] == [0, 1, 2, 0]


def test_under_overload_the_newest_image_wins_and_old_ones_are_counted(bench: NodeBench) -> None:
    bench.start()
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    bench.estimator.gate.clear()
    camera.send_image(PICTURE, stamp=0.0)
    wait_until(lambda: len(bench.estimator.calls) == 1)
    for index in range(1, 10):
        camera.send_image(PICTURE, stamp=float(index))
        wait_until(lambda count=index + 1: bench.health.received == count)
    bench.estimator.gate.set()
    assert [stamp_of(message) for message in depth.wait(2)] == [0.0, 9.0]
    assert (bench.health.received, bench.health.dropped) == (10, 8)


def stamps(listener: Any) -> list[float]:
    return [stamp_of(message) for message in listener.messages]


def test_nothing_runs_while_nobody_listens(bench: NodeBench) -> None:
    bench.start()
    camera = bench.camera()
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    wait_until(lambda: bench.health.received == 1)
    # On a busy machine the worker may come to the first picture only now: its info is then wanted too.
    (info,) = bench.listen("/depth/camera_info")
    camera.send_image(PICTURE, stamp=2.0)
    wait_until(lambda: 2.0 in stamps(info))
    assert info.messages[0].width == 56
    assert bench.estimator.calls == []
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_image(PICTURE, stamp=3.0)
    depth.wait()
    assert len(bench.estimator.calls) == 1
    bench.peer.destroy_subscription(depth.subscription)
    wait_until(lambda: not bench.node.cameras[0].outputs.wanted(0, 0.0).network)
    camera.send_image(PICTURE, stamp=4.0)
    wait_until(lambda: 4.0 in stamps(info))
    assert len(bench.estimator.calls) == 1


def depth_ramp(image: np.ndarray, camera: Any) -> np.ndarray:
    values = np.full((42, 56), 7.0)
    values[0, :4] = 90.0, 80.0, 0.05, np.nan
    values[1, 0] = 66.0
    return values


def test_values_follow_the_range_policy(bench: NodeBench) -> None:
    bench.start(FakeEstimator(depth_ramp))
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    np.testing.assert_array_equal(depth_of(depth.wait()[0])[0, :5], [np.inf, np.inf, -np.inf, np.nan, 7])
    assert set_parameter(bench, "max_depth", 70.0).successful and set_parameter(bench, "min_depth", 10).successful
    camera.send_image(PICTURE, stamp=2.0)
    np.testing.assert_array_equal(depth_of(depth.wait(2)[1])[:2, 0], [np.inf, 66])
    assert depth_of(depth.messages[1])[2, 0] == -np.inf
    # Above the model's own limit, which stands for a max_depth of 0: said, since nothing is left.
    assert set_parameter(bench, "max_depth", 0.0).successful and set_parameter(bench, "min_depth", 100.0).successful
    camera.send_image(PICTURE, stamp=3.0)
    assert not np.isfinite(depth_of(depth.wait(3)[2])).any()
    assert "min_depth 100 m isn't below max_depth 80 m" in bench.complaints[-1]


def test_millimetres(bench: NodeBench) -> None:
    bench.start(FakeEstimator(depth_ramp), depth_encoding="16UC1")
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    values = depth_of(depth.wait()[0])
    np.testing.assert_array_equal(values[:2, :5], [[0, 0, 0, 0, 7000], [0, 7000, 7000, 7000, 7000]])


def test_depth_of_the_size_of_the_image_and_scaled(bench: NodeBench) -> None:
    bench.start(depth_resolution="image", depth_scale=1.5)
    camera = bench.camera()
    depth, info, cloud = bench.listen("/depth/image_raw", "/depth/camera_info", "/depth/points")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    values = depth_of(depth.wait()[0])
    assert values.shape == (48, 64) and values[0, 0] == 7.5
    assert tuple(info.wait()[0].k[:6]) == (50, 0, 31.5, 0, 50, 23.5)
    assert points_of(cloud.wait()[0])[0, 0, 2] == 7.5


def test_cloud_has_rate_stride_and_range_of_its_own(bench: NodeBench) -> None:
    def slope(image: np.ndarray, camera: Any) -> np.ndarray:
        return np.broadcast_to(np.linspace(1, 20, 56), (42, 56))

    bench.start(FakeEstimator(slope), cloud_rate=10.0, cloud_max_range=10.0, cloud_stride=2)
    camera = bench.camera()
    depth, cloud = bench.listen("/depth/image_raw", "/depth/points")
    camera.send_info(CAMERA)
    for index in range(25):  # 12.5 Hz
        camera.send_image(PICTURE, stamp=100 + index * 0.08)
        depth.wait(index + 1)
    assert 19 <= len(cloud.wait(19)) <= 21
    points = points_of(cloud.messages[0])
    assert points.shape == (24, 32, 4)
    assert np.nanmax(points[..., 2]) <= 10 and np.isnan(points[:, 20:, :3]).all() and np.isfinite(points[:, :10, :3]).all()
    # The recording starts again: the next cloud must not wait for the old time.
    camera.send_image(PICTURE, stamp=5.0)
    wait_until(lambda: stamp_of(cloud.messages[-1]) == 5.0)
    assert bench.health.clock_jumps == 1 and not bench.health.errors


def test_the_network_runs_for_clouds_that_are_due_only(bench: NodeBench) -> None:
    bench.start(FakeEstimator(5.0), cloud_rate=1.0)
    camera = bench.camera()
    (cloud,) = bench.listen("/depth/points")
    camera.send_info(CAMERA)
    for stamp in (1.0, 1.4, 1.8, 2.2):
        received = bench.health.received
        camera.send_image(PICTURE, stamp=stamp)
        wait_until(lambda before=received: bench.health.received > before and not bench.node.cameras[0].stream.is_waiting)
    wait_until(lambda: len(cloud.messages) == 2)
    assert stamps(cloud) == [1.0, 2.2]
    assert len(bench.estimator.calls) == bench.health.published == 2
    # A rate that is raised counts from the next image on.
    assert set_parameter(bench, "cloud_rate", 10.0).successful
    for count, stamp in enumerate((2.32, 2.44), start=3):
        camera.send_image(PICTURE, stamp=stamp)
        cloud.wait(count)
    # A driver that never stamps its images still gets clouds.
    for count in (5, 6):
        camera.send_image(PICTURE, stamp=0.0)
        wait_until(lambda wanted=count: len(cloud.messages) == wanted)


def test_without_a_lens_no_network_runs_for_a_cloud(bench: NodeBench) -> None:
    bench.start(FakeEstimator(5.0))
    camera = bench.camera()
    bench.listen("/depth/points")
    camera.send_image(PICTURE)
    wait_until(lambda: bench.health.errors["no_camera_info"])
    assert bench.estimator.calls == [] and bench.health.published == 0


def test_relative_models_publish_inverse_depth_and_no_cloud(bench: NodeBench) -> None:
    bench.start(FakeEstimator(depth_ramp, kind="relative_inverse"), depth_scale=3.0, depth_encoding="16UC1")
    camera = bench.camera()
    inverse, info, preview = bench.listen("/inverse_depth/image", "/inverse_depth/camera_info", "/depth/preview")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    message = inverse.wait()[0]
    assert message.encoding == "32FC1" and depth_of(message)[0, 0] == 90 and depth_of(message)[5, 5] == 7
    assert info.wait() and preview.wait()
    names = {publisher.topic_name for publisher in bench.node.publishers}
    assert not names & {"/depth/points", "/depth/image_raw"}
    assert [line for line in bench.complaints if "depth_scale, depth_encoding: of no use" in line]


def test_a_relative_model_misses_no_lens(bench: NodeBench) -> None:
    bench.start(FakeEstimator(depth_ramp, kind="relative_inverse"))
    camera = bench.camera()
    (inverse,) = bench.listen("/inverse_depth/image")
    camera.send_image(PICTURE)
    inverse.wait()
    assert not bench.health.errors


def test_parameters_change_together_or_not_at_all(bench: NodeBench) -> None:
    node = bench.start()
    changes = [Parameter("depth_scale", value=2.0), Parameter("cloud_stride", value=2)]
    assert bench.spinner.call(lambda: node.set_parameters_atomically(changes)).successful
    assert (node.settings.depth_scale, node.settings.cloud_stride) == (2.0, 2)
    contradictory = [Parameter("depth_scale", value=3.0), Parameter("preview_min_depth", value=100.0)]
    result = bench.spinner.call(lambda: node.set_parameters_atomically(contradictory))
    assert not result.successful and "preview_max_depth: 80.0 isn't above preview_min_depth 100.0" in result.reason
    assert node.settings.depth_scale == 2.0 and node.get_parameter("depth_scale").value == 2.0
    result = set_parameter(bench, "model", "other")
    assert not result.successful and "while the node is unconfigured (now active)" in result.reason
    assert not set_parameter(bench, "cloud_stride", 1000).successful


def test_lifecycle(bench: NodeBench) -> None:
    node = bench.start()
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    depth.wait()
    assert bench.spinner.call(node.trigger_deactivate) == TransitionCallbackReturn.SUCCESS
    wait_until(lambda: not camera.images.get_subscription_count(), "the node has unsubscribed")
    assert bench.spinner.call(node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    camera.wait_for_node()
    camera.send_image(PICTURE, stamp=2.0)
    depth.wait(2)
    bench.spinner.call(node.trigger_deactivate)
    assert not bench.estimator.closed
    assert bench.spinner.call(node.trigger_cleanup) == TransitionCallbackReturn.SUCCESS
    assert bench.estimator.closed and node.estimator is None and not node.cameras
    bench.estimator = FakeEstimator(6.0)
    assert set_parameter(bench, "depth_scale", 2.0).successful
    assert bench.spinner.call(node.trigger_configure) == TransitionCallbackReturn.SUCCESS
    assert bench.spinner.call(node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    camera.wait_for_node()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE, stamp=3.0)
    assert depth_of(depth.wait()[0])[0, 0] == 12
    assert bench.spinner.call(node.trigger_shutdown) == TransitionCallbackReturn.SUCCESS
    assert bench.estimator.closed


def test_a_failing_activation_is_named_and_can_be_tried_again(bench: NodeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    node = bench.create(lambda *_: bench.estimator, autostart=False)
    (diagnostics,) = bench.listen("/diagnostics")
    bench.spinner.call(node.trigger_configure)
    with monkeypatch.context() as broken:
        broken.setattr("ssd_depth_ros.camera_stream.CameraStream.subscribe", lambda _: 1 / 0)
        assert bench.spinner.call(node.trigger_activate) == TransitionCallbackReturn.FAILURE
    assert node.state == "inactive"

    def told() -> bool:
        status = diagnostics.messages[-1].status[0] if diagnostics.messages else None
        return bool(status and status.level == b"\x02" and status.message == "can't activate: division by zero")

    wait_until(told, "diagnostics name the cause")
    assert bench.spinner.call(node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    bench.camera()


def test_diagnostics_of_two_robots_have_different_names(bench: NodeBench) -> None:
    bench.node = bench.spinner.add(DepthNode(lambda *_: FakeEstimator(), namespace="robot"))
    (diagnostics,) = bench.listen("/diagnostics")
    expected = ["robot/ssd_depth: model", "robot/ssd_depth: camera"]
    wait_until(lambda: any([status.name for status in message.status] == expected for message in diagnostics.messages))


def test_the_core_may_speak_of_a_model_called_untrained() -> None:
    said: list[str] = []
    logger = SimpleNamespace(warning=said.append)
    handler = _RosLogHandler(SimpleNamespace(get_logger=lambda: SimpleNamespace(get_child=lambda _: logger)))
    for text in ("model %s has random weights (untrained)", "can't write the cache of %s"):
        handler.emit(logging.LogRecord("ssd_core", logging.WARNING, "", 0, text, ("untrained_b",), None))
    assert said == ["can't write the cache of untrained_b"]


def test_too_little_gpu_memory_leaves_a_node_that_can_be_configured_again(bench: NodeBench) -> None:
    class Large(FakeEstimator):
        def warm_up(self, batch: int = 1) -> None:
            raise BackendError("too little GPU memory for 6 images at once")

    estimators = [Large(), FakeEstimator()]
    left = list(estimators)
    node = bench.create(lambda *_: left.pop(0), autostart=False)
    (diagnostics,) = bench.listen("/diagnostics")
    assert bench.spinner.call(node.trigger_configure) == TransitionCallbackReturn.FAILURE
    assert node.state == "unconfigured" and estimators[0].closed
    wait_until(lambda: any("can't configure: too little GPU memory" in message.status[0].message for message in diagnostics.messages))
    assert bench.spinner.call(node.trigger_configure) == TransitionCallbackReturn.SUCCESS


def test_without_autostart_the_node_waits_to_be_told(bench: NodeBench) -> None:
    node = bench.create(lambda *_: FakeEstimator(), autostart=False)
    (diagnostics,) = bench.listen("/diagnostics")
    diagnostics.wait()
    assert node.state == "unconfigured"
    assert bench.spinner.call(node.trigger_configure) == TransitionCallbackReturn.SUCCESS
    assert node.state == "inactive"


def test_sim_time_that_stands_still_stops_nothing(bench: NodeBench) -> None:
    bench.start(use_sim_time=True)
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    depth.wait()


def test_changed_camera_info_is_used_from_the_next_image_on(bench: NodeBench) -> None:
    bench.start()
    camera = bench.camera()
    (info,) = bench.listen("/depth/camera_info")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    assert info.wait()[0].k[0] == pytest.approx(50 * 56 / 64)
    camera.send_info(PinholeCamera(64, 48, 80, 80, 31.5, 23.5))

    def refreshed() -> bool:
        camera.send_image(PICTURE, stamp=2.0)
        return bool(info.messages[-1].k[0] == pytest.approx(80 * 56 / 64))

    wait_until(refreshed)


def test_intrinsics_by_parameter(bench: NodeBench) -> None:
    bench.start(fx=100.0, cx=64.0, width=128, height=96)
    camera = bench.camera()
    info, cloud = bench.listen("/depth/camera_info", "/depth/points")
    camera.send_image(PICTURE)
    assert info.wait()[0].k[0] == pytest.approx(50 * 56 / 64)
    np.testing.assert_allclose(points_of(cloud.wait()[0])[0, 0, 0], 5 * (0 - (64.5 / 2 - 0.5)) / 50, rtol=1e-6)
    assert not bench.health.errors


@pytest.mark.parametrize(
    ("remap", "values", "expected"),
    [
        ((), {}, "/camera_info"),
        (("image:=/cam/image_rect",), {}, "/cam/camera_info"),
        (("image:=/cam/image_rect", "camera_info:=/other/info"), {}, "/other/info"),
        (("image:=/cam/image_rect",), {"camera_info_topic": "mine"}, "/mine"),
        (("/left/image:=/cam/image_rect/compressed",), {"image_topic": "/left/image"}, "/cam/camera_info"),
    ],
)
def test_camera_info_follows_a_remapped_image(bench: NodeBench, remap: Any, values: Any, expected: str) -> None:
    node = bench.start(remap=remap, **values)
    assert node.cameras[0].stream._info_topic == expected


def test_help_prints_the_parameters_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    depth_main(["depth_node", "--help"])
    accuracy_main(["accuracy_node", "-h", "--ros-args", "-p", "cap:=50.0"])
    said = capsys.readouterr().out
    assert "-p NAME:=VALUE" in said and "\n    cloud_stride: 4\n" in said and "lidar_topic: PointCloud2 to compare with" in said


def test_intrinsics_by_parameter_stand_in_for_an_unusable_camera_info(bench: NodeBench) -> None:
    bench.start(fx=50.0)
    camera = bench.camera()
    (cloud,) = bench.listen("/depth/points")
    camera.send_info(CAMERA, k=np.zeros(9))
    wait_until(lambda: bench.node.cameras[0].stream._info)
    camera.send_image(PICTURE)
    np.testing.assert_allclose(points_of(cloud.wait()[0])[0, 0, 0], 5 * (0 - 31.5) / 50, rtol=1e-6)
    (complaint,) = bench.complaints
    assert "a focal length must be positive" in complaint and complaint.endswith("the parameters fx, fy, cx, cy are used instead")


def test_parameters_of_another_aspect_are_named_with_every_image(bench: NodeBench) -> None:
    bench.start(fx=50.0, width=64, height=64)
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    for index in range(2):
        camera.send_image(PICTURE, stamp=float(index))
        depth.wait(index + 1)
    assert dict(bench.health.errors) == {"camera_parameters": 2}
    assert "intrinsics of 64x64 don't fit an image of 64x48" in bench.complaints[0]


def test_network_is_rebuilt_once_for_the_aspect_of_the_images(bench: NodeBench) -> None:
    sizes: list[Any] = []
    built: list[FakeEstimator] = []

    def factory(settings: Any, size: Any) -> FakeEstimator:
        sizes.append(size)
        built.append(FakeEstimator(input_size=size or (56, 42), backend="torch"))
        return built[-1]

    bench.create(factory)
    camera = bench.camera()
    depth, info = bench.listen("/depth/image_raw", "/depth/camera_info")
    wide = np.zeros((45, 160, 3), np.uint8)
    camera.send_info(PinholeCamera(160, 45, 100, 100, 79.5, 22))
    for index in range(2):
        camera.send_image(wide, stamp=float(index))
        depth.wait(index + 1)
    assert sizes[0] is None and len(sizes) == 2
    width, height = sizes[1]
    assert width % 14 == height % 14 == 0 and width / height == pytest.approx(160 / 45, rel=0.35)
    assert (depth.messages[0].width, depth.messages[0].height) == (info.messages[0].width, info.messages[0].height) == (width, height)
    assert built[0].closed and not built[1].closed


def test_no_engine_is_built_while_images_come(bench: NodeBench) -> None:
    """Without an engine for the images' aspect the one that is there goes on, and the complaint names the size to set."""
    allowed: list[tuple[str, bool]] = []

    def factory(settings: Any, size: Any) -> FakeEstimator:
        allowed.append((settings.backend, settings.allow_engine_build))
        if size is not None:
            raise ValueError("there is no TensorRT engine")
        return FakeEstimator(backend="tensorrt")

    bench.create(factory)
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(PinholeCamera(160, 45, 100, 100, 79.5, 22))
    camera.send_image(np.zeros((45, 160, 3), np.uint8))
    depth.wait()
    assert allowed == [("auto", True), ("tensorrt", False)]
    assert "can't be built for" in bench.complaints[0] and "there is no TensorRT engine" in bench.complaints[0]


def test_a_fallback_is_a_warning_of_diagnostics() -> None:
    estimator = FakeEstimator(backend="torch")
    assert _model_status("model", estimator, "active", "").level is Level.OK
    estimator.fallback = "there is no engine"
    status = _model_status("model", estimator, "active", "")
    assert status.level is Level.WARN and status.message == "torch runs in TensorRT's place, slower: there is no engine"


def test_a_size_chosen_by_the_user_is_kept(bench: NodeBench) -> None:
    sizes: list[Any] = []

    def factory(settings: Any, size: Any) -> FakeEstimator:
        sizes.append(size)
        return FakeEstimator(input_size=size, backend="torch")

    bench.create(factory, input_size=[56, 42])
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(PinholeCamera(160, 45, 100, 100, 79.5, 22))
    camera.send_image(np.zeros((45, 160, 3), np.uint8))
    depth.wait()
    assert sizes == [(56, 42)]


def test_diagnostics_tell_rates_latency_and_the_model(bench: NodeBench) -> None:
    bench.start()
    camera = bench.camera()
    depth, diagnostics = bench.listen("/depth/image_raw", "/diagnostics")
    camera.send_info(CAMERA)
    for index in range(3):
        camera.send_image(PICTURE, stamp=float(index))
        depth.wait(index + 1)

    def latest() -> Any:
        statuses = {status.name: status for status in diagnostics.messages[-1].status} if diagnostics.messages else {}
        found = statuses.get("ssd_depth: camera")
        values = {item.key: item.value for item in found.values} if found else {}
        return (statuses, values) if values.get("published") == "3" else None

    statuses, values = wait_until(latest)
    assert statuses["ssd_depth: camera"].level == b"\x00"
    assert statuses["ssd_depth: camera"].hardware_id == "fake-12345678"
    assert values["received"] == "3" and values["dropped"] == "0" and values["topic"] == "/image"
    for name in ("latency p50 (ms)", "latency p95 (ms)", "age of the last depth (s)", "input rate (Hz)", "output rate (Hz)"):
        assert re.fullmatch(r"-?[0-9.]+", values[name]), (name, values[name])
    model = {item.key: item.value for item in statuses["ssd_depth: model"].values}
    assert model == {
        "state": "active",
        "model": "fake-12345678",
        "kind": "metric",
        "trained": "True",
        "backend": "fake",
        "precision": "fp32",
        "input size": "56x42",
    }


def test_quality_of_service_can_be_overridden(bench: NodeBench) -> None:
    overrides = {"/depth/points.publisher.reliability": "best_effort", "/depth/points.publisher.depth": 2, "/image.subscription.depth": 3}
    bench.start(**{f"qos_overrides.{name}": value for name, value in overrides.items()})
    bench.camera()
    (cloud,) = wait_until(lambda: [publisher for publisher in bench.node.publishers if publisher.topic_name == "/depth/points"])
    (images,) = wait_until(lambda: [subscription for subscription in bench.node.subscriptions if subscription.topic_name == "/image"])
    assert (cloud.qos_profile.reliability, cloud.qos_profile.depth) == (ReliabilityPolicy.BEST_EFFORT, 2)
    assert images.qos_profile.depth == 3


def test_untrained_weights_are_said_loudly_once(bench: NodeBench) -> None:
    estimator = FakeEstimator()
    estimator.is_trained = False
    bench.start(estimator)
    assert sum("UNTRAINED" in line for line in bench.complaints) == 1


PLANE_NORMAL, PLANE_DISTANCE = np.array([0.1, -0.3, 1.0]), 6.0


@pytest.mark.parametrize(
    "lens",
    [
        PinholeCamera(128, 96, 90, 95, 60, 50),
        PinholeCamera(128, 96, 90, 95, 60, 50, "plumb_bob", (-0.25, 0.08, 0.002, -0.001, 0.01)),
        PinholeCamera(128, 96, 60, 62, 60, 50, "equidistant", (0.02, -0.01, 0.003, -0.001)),
    ],
    ids=lambda lens: lens.distortion_model,
)
@pytest.mark.parametrize("resolution", ["image", "network"])
def test_cloud_points_lie_where_the_world_is(bench: NodeBench, lens: PinholeCamera, resolution: str) -> None:
    """A plane n.X = d seen through the lens: its depth along each pixel's ray is d / (n . ray)."""

    def plane_depth(rays: np.ndarray) -> np.ndarray:
        return PLANE_DISTANCE / (np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1) @ PLANE_NORMAL)

    def seen(image: np.ndarray, camera: Any) -> np.ndarray:
        return plane_depth(camera.rays().astype(np.float64))

    lens = lens.scaled(512, 384)
    bench.start(FakeEstimator(seen, input_size=(448, 336)), depth_resolution=resolution, cloud_stride=12)
    camera = bench.camera()
    (cloud,) = bench.listen("/depth/points")
    camera.send_info(lens)
    camera.send_image(np.zeros((384, 512, 3), np.uint8))
    points = points_of(cloud.wait()[0])[..., :3].astype(np.float64)
    assert points.shape == (32, 43, 3)
    u, v = np.meshgrid(np.arange(0, 512, 12), np.arange(0, 384, 12))
    rays = lens.unproject(np.stack([u, v], axis=-1).reshape(-1, 2)).reshape(32, 43, 2)
    expected = np.concatenate([rays, np.ones((32, 43, 1))], axis=-1) * plane_depth(rays)[..., None]
    errors = np.linalg.norm(points - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert np.isfinite(errors).mean() > 0.95
    # A network smaller than the image has no values outside its outermost pixel centres.
    assert np.nanmax(errors[1:-1, 1:-1]) < 1e-3
    assert resolution == "network" or np.nanmax(errors) < 1e-3
    pixels = lens.project(points.reshape(-1, 3)).reshape(32, 43, 2)
    assert np.nanmax(np.abs(pixels - np.stack([u, v], axis=-1))) < 0.1


def set_parameter(bench: NodeBench, name: str, value: Any) -> Any:
    return bench.spinner.call(lambda: bench.node.set_parameters([Parameter(name, value=value)]))[0]
