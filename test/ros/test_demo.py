# SPDX-License-Identifier: Apache-2.0
"""The demo as people run it, and its parts: planning, pictures, tables."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy isn't installed")

from small_bags import ROOT, SIZE, write_bag

from ssd_core.data.bag import BagError, BagReader, header_stamp
from ssd_core.data.frame import Frame
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import read_image
from ssd_core.model.untrained import create_untrained
from ssd_depth_ros.demo import sample_bags
from ssd_depth_ros.demo_pictures import Pictures, view_from_above
from ssd_depth_ros.demo_plan import plan_run, run_names
from ssd_depth_ros.demo_report import DEPTH_CAP, RunReport, latency_percentiles, lidar_metrics, markdown

pytestmark = pytest.mark.ros


def run_demo(*arguments, timeout=170):
    command = [sys.executable, "-m", "ssd_depth_ros.demo", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)


def check_run(out, name, cameras, source):
    """As many depth images and clouds as input images, each with its input's stamp and frame_id; transforms copied over."""
    report = next(entry for entry in json.loads((out / "report.json").read_text()) if entry["name"] == name)
    with BagReader(source) as played, BagReader(out / f"{name}.mcap") as recorded:
        total = 0
        for camera in played.find_cameras():
            images = [(header_stamp(message), message.header.frame_id) for _, message in played.deserialised([camera.image_topic])]
            kind = "image_rect" if camera.is_rectified else "image_raw"
            for topic in (f"/{camera.name}/depth/{kind}", f"/{camera.name}/depth/points", f"/{camera.name}/depth/camera_info"):
                answers = [(header_stamp(message), message.header.frame_id) for _, message in recorded.deserialised([topic])]
                assert sorted(answers) == sorted(images), topic
            total += len(images)
        for topic in [*played.topics_of_type("tf2_msgs/msg/TFMessage"), *([played.find_lidar()] if played.find_lidar() else [])]:
            assert [m.data for m in recorded.messages([topic])] == [m.data for m in played.messages([topic])], topic
    assert report["cameras"] == cameras
    assert (report["images_in"], report["depth_out"], report["clouds_out"], report["dropped"]) == (total, total, total, 0)
    assert report["latency_p50"] <= report["latency_p95"]
    return report


def test_a_small_bag_from_end_to_end(tmp_path):
    source = write_bag(tmp_path / "source", cameras=("left", "right"), count=3, storage="sqlite3")
    out = tmp_path / "out"
    create_untrained(tmp_path / "random", input_size=(56, 42))
    result = run_demo("--bag", source, "--out", out, "--model", tmp_path / "random", "--input-size", "56x42", "--rate", 3)
    assert result.returncode == 0, result.stdout + result.stderr
    report = check_run(out, "source", 2, source)
    assert report["metrics"] is None and "absRel" not in (out / "report.md").read_text()
    assert not report["is_trained"]
    assert "UNTRAINED WEIGHTS (random" in result.stdout and "UNTRAINED" in (out / "report.md").read_text()
    sheet = read_image(out / "source.png")
    assert sheet.shape[1] > 3 * 400 and sheet.std() > 10
    video = cv2.VideoCapture(str(out / "source.mp4"))
    assert [video.read()[0] for _ in range(4)] == [True, True, True, False]
    assert not list(out.glob(".*"))  # nothing half-written


@pytest.mark.timeout(600)
def test_six_cameras_of_a_real_recording(sample_data, tmp_path):
    source = sample_data / "bag_ddad"
    result = run_demo("--bag", source, "--out", tmp_path, "--input-size", "126x84", timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    report = check_run(tmp_path, "bag_ddad", 6, source)
    assert report["images_with_lidar"] == 18
    assert set(report["metrics"]) == {"abs_rel", "sq_rel", "rmse", "rmse_log", "d1", "d2", "d3"}
    assert "absRel" in result.stdout


@pytest.mark.timeout(600)
def test_the_sample_that_ships(tmp_path):
    bags = sample_bags()
    assert [bag.stem for bag in bags] == ["day", "night", "rain"]
    result = run_demo("--bag", bags[1], "--out", tmp_path, "--input-size", "126x70", "--rate", 2, timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    report = check_run(tmp_path, "night", 1, bags[1])
    assert report["images_with_lidar"] > 0 and report["metrics"]["abs_rel"] > 0


def test_a_bag_without_images_is_named(tmp_path):
    from ssd_core.data.writers.bag import BagWriter
    from ssd_core.data.writers.messages import TYPESTORE

    with BagWriter(tmp_path / "dull.mcap") as writer:
        time = TYPESTORE.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
        writer.write("/clock", 1, TYPESTORE.types["rosgraph_msgs/msg/Clock"](clock=time))
    result = run_demo("--bag", tmp_path / "dull.mcap", "--out", tmp_path / "out")
    assert result.returncode == 1
    said = " ".join(result.stdout.split())
    assert "no camera images" in said and "/clock" in said and "Traceback" not in result.stdout + result.stderr


def test_half_a_bag_is_played_as_far_as_it_goes(tmp_path):
    source = write_bag(tmp_path / "source", count=1500)  # two chunks of a megabyte and more
    whole = (source / "source.mcap").read_bytes()
    (tmp_path / "half.mcap").write_bytes(whole[: len(whole) * 3 // 4])
    plan = plan_run(tmp_path / "half.mcap", "half")
    assert [camera.name for camera in plan.cameras] == ["CAM_FRONT"]
    assert any("cut off" in note for note in plan.notes)
    (tmp_path / "stub.mcap").write_bytes(whole[:40])
    with pytest.raises(BagError, match="stub"):
        plan_run(tmp_path / "stub.mcap", "stub")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    source = write_bag(tmp_path / "source", count=1)
    (tmp_path / "file").touch()
    result = run_demo("--bag", source, "--out", tmp_path / "file")
    assert result.returncode == 1
    assert "can't write results there" in " ".join(result.stdout.split()) and "Traceback" not in result.stderr


def test_a_recording_that_a_run_would_replace_is_named(tmp_path):
    source = write_bag(tmp_path / "source", count=1) / "source.mcap"
    before = source.read_bytes()
    for bag in (source, source.parent):
        result = run_demo("--bag", bag, "--out", source.parent)
        assert result.returncode == 1
        said = " ".join(result.stdout.split())
        assert f"would take the place of the recording {bag}; choose another folder with --out" in said and "Traceback" not in result.stderr
    assert source.read_bytes() == before and not (source.parent / "log").exists()


def test_a_model_that_cannot_be_loaded_is_named(tmp_path):
    source = write_bag(tmp_path / "source", count=1)
    result = run_demo("--bag", source, "--out", tmp_path / "out", "--model", tmp_path / "nowhere")
    assert result.returncode == 1
    said = " ".join(result.stdout.split())
    assert "can't configure" in said and "nowhere" in said and "Traceback" not in result.stderr


def test_a_bag_without_camera_info_needs_a_focal_length_or_a_model_that_does_not(tmp_path):
    source = write_bag(tmp_path / "source", count=3, info=False)
    result = run_demo("--bag", source, "--out", tmp_path / "out")
    assert result.returncode == 1
    said = " ".join(result.stdout.split())
    assert "CAM_FRONT: no CameraInfo in the bag, and model bundled@" in said and "needs the focal length; give --fx PIXELS" in said
    create_untrained(tmp_path / "random", input_size=(56, 42))
    result = run_demo("--bag", source, "--out", tmp_path / "out", "--model", tmp_path / "random", "--rate", 3, "--fx", 50)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "its focal length is taken to be 50 pixels" in " ".join(result.stdout.split())
    assert json.loads((tmp_path / "out" / "report.json").read_text())[0]["clouds_out"] == 3


def test_recorded_names_become_templates(tmp_path):
    plan = plan_run(write_bag(tmp_path / "bag", cameras=("CAM_FRONT", "CAM_BACK")), "x")
    assert (plan.image_template, plan.info_template) == ("/{camera}/image_rect_compressed", "/{camera}/camera_info")
    assert plan.remapped == [] and plan.is_rectified and plan.is_compressed
    parameters = plan.node_parameters("bundled", "auto")
    assert parameters["cameras"] == ["CAM_BACK", "CAM_FRONT"]
    from ssd_depth_ros.parameters import validate

    validate({name: value for name, value in parameters.items() if name != "use_sim_time"})


def test_names_without_a_pattern_are_remapped(tmp_path):
    plan = plan_run(write_bag(tmp_path / "bag", cameras=("car/left", "trailer/rear/right")), "x")
    assert [camera.name for camera in plan.cameras] == ["left", "right"]
    assert plan.image_template == "/{camera}/image"
    assert "/trailer/rear/right/image_rect_compressed:=/right/image" in plan.remapped
    assert "/car/left/camera_info:=/left/camera_info" in plan.remapped


def test_names_that_ros_2_refuses_become_others(tmp_path):
    plan = plan_run(write_bag(tmp_path / "bag", cameras=("camera-1", "camera_1", "2")), "x")
    assert sorted((camera.name_recorded, camera.name) for camera in plan.cameras) == [
        ("2", "camera_2"), ("camera-1", "camera_1"), ("camera_1", "camera_1_2")
    ]  # fmt: skip
    assert "/camera-1/image_rect_compressed:=/camera_1/image" in plan.remapped


def test_an_earlier_runs_report_does_not_pass_for_this_ones(tmp_path):
    source = write_bag(tmp_path / "source", count=1)
    create_untrained(tmp_path / "random", input_size=(56, 42))
    arguments = ("--bag", source, "--out", tmp_path / "out", "--model", tmp_path / "random", "--input-size", "56x42")
    assert run_demo(*arguments).returncode == 0
    report = tmp_path / "out" / "log" / "source-player.json"
    assert report.exists()
    result = run_demo(*arguments, "--rate", "0")  # which the player refuses
    assert result.returncode == 1 and not report.exists(), result.stdout


def test_each_bag_has_a_name_of_its_own():
    assert run_names([Path("a/day.mcap"), Path("b/day"), Path("c/day.db3"), Path("night.mcap")]) == ["day", "day_2", "day_3", "night"]


def test_latencies_leave_out_each_cameras_first_image():
    assert latency_percentiles([[9000.0, 10.0, 20.0], [5000.0, 30.0]]) == (20.0, 29.0)
    assert latency_percentiles([[40.0]]) == (40.0, 40.0)
    assert latency_percentiles([[]]) == (None, None)


def test_depth_is_compared_where_lidar_fell():
    camera = PinholeCamera(40, 20, 30, 30, 19.5, 9.5)
    frame = Frame("CAM/1", "s", "CAM", 1, camera)
    depth = np.full((10, 20), 10.0, dtype=np.float32)
    depth[:, 10:] = np.inf
    lidar = SparseDepth(np.array([3, 35], np.int32), np.array([5, 5], np.int32), np.array([8.0, 40.0], np.float32))
    metrics = lidar_metrics(depth, lidar, frame)
    assert metrics["abs_rel"] == pytest.approx((2 / 8 + (DEPTH_CAP - 40) / 40) / 2)


def test_points_are_drawn_where_they_are():
    # 2 pixels a metre, the camera at the middle of the lower edge; points are two pixels wide where there are few
    picture = view_from_above((200, 100), np.array([[0.0, 0.0, 25.0]]), np.array([[20.0, -1.0, 10.0]]))
    ys, xs = np.nonzero((picture == (110, 215, 255)).all(axis=-1))
    assert {*zip(ys.tolist(), xs.tolist(), strict=True)} == {(49, 99), (49, 100), (50, 99), (50, 100)}
    ys, xs = np.nonzero((picture == (255, 160, 50)).all(axis=-1))
    assert {*zip(ys.tolist(), xs.tolist(), strict=True)} == {(79, 139), (79, 140), (80, 139), (80, 140)}


def test_pictures_of_one_camera_are_spread_over_the_run(tmp_path):
    width, height = SIZE
    frames = [Frame(f"CAM_FRONT/{i:02d}", "s", "CAM_FRONT", i * 10**8, PinholeCamera(width, height, 60, 60, 32, 24)) for i in range(21)]
    with Pictures(tmp_path / "run", frames, is_metric=True) as pictures:
        for frame in frames:
            assert pictures.wants(frame)
            depth = np.full((8, 12), 10.0, dtype=np.float32)
            pictures.add(frame, np.zeros((height, width, 3), np.uint8), depth, np.array([[0.0, 0.0, 10.0]]), None)
    assert [path.name for path in pictures.files] == ["run.png", "run.mp4"]
    video = cv2.VideoCapture(str(tmp_path / "run.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10, rel=0.01)


def test_the_report_shows_truth_only_where_there_is_any():
    values = {"cameras": 1, "images_in": 3, "depth_out": 3, "clouds_out": 3, "dropped": 0, "latency_p50": 10.0, "latency_p95": None}
    values |= {
        "images_with_lidar": 0,
        "model": "m",
        "backend": "torch",
        "kind": "metric",
        "is_trained": True,
        "files": (),
        "notes": ("hm",),
    }
    plain = RunReport(name="a", metrics=None, **values)
    assert "absRel" not in markdown([plain]) and "UNTRAINED" not in markdown([plain]) and "hm" in markdown([plain])
    truth = {"abs_rel": 0.1234, "sq_rel": 1.0, "rmse": 5.678, "rmse_log": 0.2, "d1": 0.9, "d2": 1.0, "d3": 1.0}
    measured = RunReport(name="b", metrics=truth, **values)
    text = markdown([plain, measured])
    assert "| a | 1 | 3 | 3 | 3 | 0 | 10 | - | - | - | - |" in text
    assert "| b | 1 | 3 | 3 | 3 | 0 | 10 | - | 0.123 | 5.68 | 0.900 |" in text
