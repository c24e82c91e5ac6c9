# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (rclpy may be missing: skipped before the imports that need it)
"""Broken images, cameras and models: the node keeps running, says once what is wrong, and counts it."""

import array
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy", reason="rclpy isn't installed (extra [ros], or a sourced ROS)")

from fake_estimator import FakeEstimator
from node_bench import CAMERA, PICTURE, NodeBench, depth_of, points_of, stamp_of
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros_peers import FakeCamera, wait_until

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg, encode_png
from ssd_core.weights import bundled_folder
from ssd_depth_ros.depth_node import load_estimator


@pytest.fixture
def bench(spinner: Any, monkeypatch: pytest.MonkeyPatch) -> NodeBench:
    monkeypatch.setattr("ssd_depth_ros.depth_node.LOOK_PERIOD", 0.05)
    return NodeBench(spinner)


def expect_complaint(bench: NodeBench, cause: str, text: str) -> None:
    wait_until(lambda: bench.health.errors[cause], f"an error counted as {cause}, there are {bench.health.errors}")
    assert any(text in line for line in bench.complaints), bench.complaints


def start_with_camera(bench: NodeBench, compressed: bool = False, **values: Any) -> tuple[FakeCamera, Any, Any]:
    bench.start(**values)
    camera = bench.camera(compressed=compressed)
    depth, cloud = bench.listen("/depth/image_raw", "/depth/points")
    return camera, depth, cloud


@pytest.mark.parametrize(
    ("changes", "cause", "text"),
    [
        ({"encoding": "hsv8"}, "unknown_encoding", "unknown encoding 'hsv8'; known: rgb8"),
        ({"encoding": ""}, "unknown_encoding", "unknown encoding ''"),
        ({"step": 100}, "step_too_small", "step 100 is smaller than a row: 64 pixels of rgb8 are 192 bytes"),
        ({"data": array.array("B", bytes(500))}, "data_too_short", "needs 9216 bytes, got 500"),
        ({"data": array.array("B")}, "data_too_short", "got 0"),
        ({"width": 0}, "empty_image", "image size 0x48 is empty"),
        ({"width": 0, "height": 0, "step": 0, "data": array.array("B")}, "empty_image", "image size 0x0 is empty"),
        ({"encoding": "yuv422", "width": 63}, "odd_size", "even width"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_broken_raw_image(bench: NodeBench, changes: dict[str, Any], cause: str, text: str) -> None:
    camera, depth, _ = start_with_camera(bench)
    camera.send_info(CAMERA)
    camera.send_image(PICTURE, stamp=1.0, **changes)
    expect_complaint(bench, cause, text)
    camera.send_image(PICTURE, stamp=2.0)
    assert stamp_of(depth.wait()[0]) == 2.0


JPEG = encode_jpeg(np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("data", "cause", "text"),
    [
        (JPEG[: len(JPEG) // 2], "damaged_image", "damaged JPEG"),
        (JPEG[:4], "damaged_image", "damaged JPEG of 4 bytes"),
        (b"this is no picture at all", "unknown_format", "no JPEG, PNG or other known image"),
        (encode_png(PICTURE)[:60], "unknown_format", "truncated"),
        (b"", "empty_image", "no data"),
    ],
    ids=["half a JPEG", "a JPEG's head", "text", "half a PNG", "nothing"],
)
def test_broken_compressed_image(bench: NodeBench, data: bytes, cause: str, text: str) -> None:
    camera, depth, _ = start_with_camera(bench, compressed=True)
    camera.send_info(CAMERA)
    camera.send_compressed(data)
    expect_complaint(bench, cause, text)
    camera.send_compressed(JPEG, stamp=2.0)
    assert stamp_of(depth.wait()[0]) == 2.0


def test_png_in_a_compressed_image(bench: NodeBench) -> None:
    camera, depth, cloud = start_with_camera(bench, compressed=True)
    camera.send_info(CAMERA)
    camera.send_compressed(encode_png(PICTURE), form="png")
    depth.wait()
    np.testing.assert_array_equal(bench.estimator.calls[0][0], PICTURE)
    assert points_of(cloud.wait()[0]).shape == (12, 16, 4)


def test_big_endian_mono16(bench: NodeBench) -> None:
    camera, depth, _ = start_with_camera(bench)
    gray = (PICTURE[..., 0].astype(np.uint16) * 257).astype(">u2")
    camera.send_info(CAMERA)
    data = array.array("B", gray.tobytes())
    camera.send_image(PICTURE, encoding="mono16", step=128, is_bigendian=1, data=data)
    depth.wait()
    np.testing.assert_array_equal(bench.estimator.calls[0][0], np.repeat(PICTURE[..., :1], 3, axis=-1))


def test_a_4k_image(bench: NodeBench) -> None:
    camera, depth, cloud = start_with_camera(bench)
    camera.send_info(PinholeCamera(3840, 2160, 3000, 3000, 1920, 1080))

    def answered() -> bool:
        camera.send_image(np.zeros((2160, 3840, 3), np.uint8))
        return bool(cloud.messages)

    wait_until(answered)
    assert (cloud.messages[0].width, cloud.messages[0].height) == (960, 540)
    assert depth_of(depth.wait()[0]).shape == (42, 56)


def test_size_changing_in_mid_stream(bench: NodeBench) -> None:
    camera, depth, cloud = start_with_camera(bench, depth_resolution="image")
    camera.send_info(CAMERA)
    for index, scale in enumerate((1, 2, 1)):
        camera.send_image(np.zeros((48 * scale, 64 * scale, 3), np.uint8), stamp=float(index))
        cloud.wait(index + 1)
    assert [depth_of(message).shape for message in depth.wait(3)] == [(48, 64), (96, 128), (48, 64)]
    # The same CameraInfo scaled to the image: the same rays, so corner points agree.
    corners = [points_of(message)[0, 0, :3] for message in cloud.messages]
    np.testing.assert_allclose(corners[0], corners[2])
    np.testing.assert_allclose(corners[0], corners[1], atol=0.06)


def test_camera_info_of_another_aspect(bench: NodeBench) -> None:
    camera, depth, cloud = start_with_camera(bench)
    camera.send_info(PinholeCamera(64, 64, 50, 50, 31.5, 31.5))
    camera.send_image(PICTURE)
    depth.wait()
    expect_complaint(bench, "camera_info", "intrinsics of 64x64 don't fit an image of 64x48")
    camera.send_info(CAMERA)
    wait_until(lambda: bench.node.cameras[0].stream.camera_for((64, 48)) is not None)
    camera.send_image(PICTURE, stamp=2.0)
    assert stamp_of(cloud.wait()[0]) == 2.0


def test_missing_camera_info(bench: NodeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssd_depth_ros.camera_stream.CAMERA_INFO_PATIENCE", 0.2)
    camera, depth, cloud = start_with_camera(bench)
    for index in range(3):
        camera.send_image(PICTURE, stamp=float(index))
        depth.wait(index + 1)
    expect_complaint(bench, "no_camera_info", "no CameraInfo on /camera_info: no point cloud; publish it")
    assert len(bench.complaints) == 1 and bench.health.errors["no_camera_info"] == 3
    assert not cloud.messages


def test_missing_camera_info_with_a_model_that_needs_it(bench: NodeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssd_depth_ros.camera_stream.CAMERA_INFO_PATIENCE", 0.0)
    bench.estimator.needs_camera = True
    camera, depth, _ = start_with_camera(bench)
    camera.send_image(PICTURE)
    expect_complaint(bench, "no_focal_length", "needs the focal length: no depth without a usable CameraInfo or the parameter fx")
    assert not bench.estimator.calls
    camera.send_info(CAMERA)
    wait_until(lambda: bench.node.cameras[0].stream.camera_for((64, 48)) is not None)
    camera.send_image(PICTURE, stamp=2.0)
    assert stamp_of(depth.wait()[0]) == 2.0


def test_image_ahead_of_its_camera_info_still_gets_a_cloud(bench: NodeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssd_depth_ros.camera_stream.CAMERA_INFO_PATIENCE", 60)
    camera, _, cloud = start_with_camera(bench)
    camera.send_image(PICTURE)
    wait_until(lambda: bench.health.received == 1)
    camera.send_info(CAMERA)
    cloud.wait()
    assert not bench.health.errors


@pytest.mark.parametrize("focal", [0.0, float("nan"), -5.0])
def test_unusable_focal_length(bench: NodeBench, focal: float) -> None:
    camera, depth, cloud = start_with_camera(bench)
    camera.send_info(CAMERA, k=np.array([focal, 0, 31.5, 0, 50, 23.5, 0, 0, 1]))
    camera.send_image(PICTURE)
    depth.wait()
    expect_complaint(bench, "camera_info", f"fx = {focal}: a focal length must be positive and finite")
    assert not cloud.messages


def test_unknown_distortion_is_treated_as_none(bench: NodeBench) -> None:
    camera, _, cloud = start_with_camera(bench)
    camera.send_info(CAMERA, distortion_model="wild", d=array.array("d", [0.3, 0.1]))
    camera.send_image(PICTURE)
    np.testing.assert_allclose(points_of(cloud.wait()[0])[0, 0, 0], 5 * (0 - 31.5) / 50, rtol=1e-5)
    expect_complaint(bench, "distortion", "unknown distortion model 'wild'; known: plumb_bob, rational_polynomial, equidistant")


def test_stamps_going_backwards_are_counted_and_no_error(bench: NodeBench) -> None:
    camera, depth, _ = start_with_camera(bench)
    camera.send_info(CAMERA)
    for index, stamp in enumerate((10.0, 11.0, 3.0, 4.0)):
        camera.send_image(PICTURE, stamp=stamp)
        depth.wait(index + 1)
    assert [stamp_of(message) for message in depth.messages] == [10, 11, 3, 4]
    assert bench.health.clock_jumps == 1 and not bench.health.errors


def test_a_failing_network_costs_that_image_only(bench: NodeBench) -> None:
    camera, depth, _ = start_with_camera(bench)
    camera.send_info(CAMERA)
    bench.estimator.failure = RuntimeError("out of memory")
    camera.send_image(PICTURE)
    expect_complaint(bench, "inference", "the network failed: RuntimeError: out of memory")
    bench.estimator.failure = None
    camera.send_image(PICTURE, stamp=2.0)
    depth.wait()


def test_one_camera_that_breaks_a_batch_does_not_cost_the_others(bench: NodeBench) -> None:
    def needs_camera(image: np.ndarray, camera: Any) -> np.ndarray:
        if camera is None:
            raise ValueError("it needs the camera of every image")
        return np.full((42, 56), 5.0)

    bench.start(FakeEstimator(needs_camera, max_batch=4), cameras=["a", "b"], image_topic="/{camera}/image")
    cameras = [bench.camera(f"/{name}/image", f"/{name}/camera_info") for name in "ab"]
    depths = bench.listen("/a/depth/image_raw", "/b/depth/image_raw")
    cameras[0].send_info(CAMERA)
    cameras[1].send_info(CAMERA, k=np.zeros(9))
    bench.estimator.gate.clear()
    cameras[0].send_image(PICTURE)
    wait_until(lambda: bench.estimator.calls)
    for camera in cameras:
        camera.send_image(PICTURE, stamp=2.0)
    wait_until(lambda: [one.health.received for one in bench.node.cameras] == [2, 1])
    bench.estimator.gate.set()
    assert stamp_of(depths[0].wait(2)[1]) == 2.0
    wait_until(lambda: bench.node.cameras[1].health.errors["inference"])
    assert any("b: the network failed: ValueError: it needs the camera" in line for line in bench.complaints)
    assert not depths[1].messages and not bench.node.cameras[0].health.errors


def test_the_same_trouble_is_logged_once_but_counted_each_time(bench: NodeBench) -> None:
    camera, _, _ = start_with_camera(bench)
    (diagnostics,) = bench.listen("/diagnostics")
    for count in range(1, 6):
        camera.send_image(PICTURE, encoding="hsv8")
        camera.send_info(CAMERA)
        wait_until(lambda count=count: bench.health.errors["unknown_encoding"] >= count)
    assert len(bench.complaints) == 1

    def told() -> bool:
        status = (
            next((one for one in diagnostics.messages[-1].status if one.name == "ssd_depth: camera"), None)
            if diagnostics.messages
            else None
        )
        values = {item.key: item.value for item in status.values} if status else {}
        return bool(values.get("errors: unknown_encoding") == "5" and status.level == b"\x02" and "hsv8" in status.message)

    wait_until(told)


@pytest.fixture
def damaged_model(tmp_path: Path) -> Path:
    folder = tmp_path / "damaged"
    shutil.copytree(bundled_folder(), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    return folder


@pytest.mark.parametrize("case", ["no folder", "empty folder", "damaged weights"])
def test_unreadable_model_fails_to_configure_and_can_be_corrected(bench: NodeBench, tmp_path: Path, damaged_model: Path, case: str) -> None:
    model = {"no folder": tmp_path / "none", "empty folder": tmp_path, "damaged weights": damaged_model}[case]

    def factory(settings: Any, size: Any) -> Any:
        return FakeEstimator() if settings.model == "good" else load_estimator(settings, size)

    node = bench.create(factory, model=str(model), backend="torch", autostart=False)
    (diagnostics,) = bench.listen("/diagnostics")
    assert bench.spinner.call(node.trigger_configure) == TransitionCallbackReturn.FAILURE
    assert node.state == "unconfigured"

    def told() -> bool:
        status = diagnostics.messages[-1].status[0] if diagnostics.messages else None
        return bool(status and status.level == b"\x02" and "can't configure" in status.message and str(model) in status.message)

    wait_until(told, f"diagnostics name {model}")
    assert bench.spinner.call(lambda: node.set_parameters([Parameter("model", value="good")]))[0].successful
    assert bench.spinner.call(node.trigger_configure) == TransitionCallbackReturn.SUCCESS
    assert bench.spinner.call(node.trigger_activate) == TransitionCallbackReturn.SUCCESS


@pytest.mark.parametrize("name", ["front camera", "1st", "a//b", "{x}"])
def test_camera_names_that_are_no_topics(bench: NodeBench, name: str) -> None:
    node = bench.create(lambda *_: FakeEstimator(), cameras=[name], autostart=False)
    assert bench.spinner.call(node.trigger_configure) == TransitionCallbackReturn.FAILURE


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ssd_core.model.checkpoint import save_checkpoint
    from ssd_core.model.config import ModelDescription, NetworkSize
    from ssd_core.model.depth_model import DepthModel

    path = tmp_path_factory.mktemp("model") / "tiny"
    size = NetworkSize(32, 4, 2, (0, 1, 2, 3), (8, 12, 16, 16), 16)
    description = ModelDescription(parametrisation="sigmoid_disparity", input_size=(84, 56), trained=False)
    save_checkpoint(path, DepthModel.create(size, description))
    return path


def test_a_real_network_works_without_a_writable_cache(bench: NodeBench, tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = str(tmp_path / "file" / "cache")
    node = bench.create(load_estimator, model=str(tiny_model), backend="openvino", cache_folder=cache)
    wait_until(lambda: node.state == "active", "the network is loaded", timeout=60)
    camera = bench.camera()
    (depth,) = bench.listen("/depth/image_raw")
    camera.send_info(CAMERA)
    camera.send_image(PICTURE)
    values = depth_of(depth.wait()[0])
    assert values.shape == (56, 84) and (values > 0).all()
    assert sum("UNTRAINED" in line for line in bench.complaints) == 1
