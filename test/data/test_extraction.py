# SPDX-License-Identifier: Apache-2.0
"""Bags become frame datasets: bytes kept, poses interpolated, killed runs resumed to the same files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import bag_factory as factory
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ssd_core.data.bag import BagError
from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.errors import DataError
from ssd_core.data.extraction import ExtractionConfiguration, _sequence_names, condition_by_rules, count_images, extract
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.images.codec import encode_png

SECOND = factory.SECOND
OPTICAL = Rotation.from_euler("ZYX", (-90, 0, -90), degrees=True).as_quat()
ROOT = Path(__file__).resolve().parents[2]

KILLED = """
import os, signal, sys
from pathlib import Path
from ssd_core.data import frame_dataset
from ssd_core.data.extraction import ExtractionConfiguration, extract
from ssd_core.storage import atomic_write
name, after = sys.argv[3], int(sys.argv[4])
module = {"fsync": os, "append_json_line": frame_dataset}[name]
original, calls = getattr(module, name), []
def dying(*arguments):
    calls.append(1)
    if len(calls) == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
setattr(module, name, dying)
extract(ExtractionConfiguration(bags=[sys.argv[1]]), Path(sys.argv[2]))
"""


def drive(count: int = 6, speed: float = 8.0) -> list[tuple[str, int, Any]]:
    """One camera and a lidar at the same place on a straight drive; images 0.1 s apart, TF 37 ms out of step with them."""
    static = [factory.transform(0, "base_link", "cam", (0, 0, 0), OPTICAL), factory.transform(0, "base_link", "lidar", (0, 0, 0))]
    messages: list[tuple[str, int, Any]] = [("/tf_static", 10 * SECOND - 1, factory.tf_message(*static))]
    wall = np.array([[30.0, y, z] for y in np.linspace(-5, 5, 20) for z in np.linspace(-2, 2, 8)])
    for index in range(-1, count + 1):
        stamp = 10 * SECOND + index * SECOND // 10 + 37_000_000
        x = speed * (stamp / SECOND - 10)
        messages.append(("/tf", stamp, factory.tf_message(factory.transform(stamp, "odom", "base_link", (x, 0, 0)))))
    for index in range(count):
        stamp = 10 * SECOND + index * SECOND // 10
        scan = stamp - 40_000_000
        points = wall - (speed * (scan / SECOND - 10), 0, 0)
        messages += [
            ("/cam/image_raw/compressed", stamp + 5, factory.compressed_image(stamp, "cam", factory.picture(index))),
            ("/cam/camera_info", stamp + 5, factory.camera_info(stamp, "cam")),
            ("/lidar", stamp + 5, factory.point_cloud(scan, "lidar", points)),
        ]
    return sorted(messages, key=lambda item: item[1])


def run(folder: Path, *bags: Path, **options: Any) -> FrameDataset:
    extract(ExtractionConfiguration(bags=tuple(map(str, bags)), **options), folder)
    return FrameDataset(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "ros1"])
def test_frames_of_every_kind_of_bag(tmp_path: Path, kind: str) -> None:
    messages = drive()
    if kind == "ros1":
        bag = factory.write_ros1_bag(tmp_path / "drive.bag", messages)
    else:
        bag = factory.write_bag(tmp_path / "drive", messages, kind, compression="message" if kind == "sqlite3" else "")
    configuration = ExtractionConfiguration(bags=(str(bag),))
    assert count_images(configuration) == 6
    steps: list[int] = []
    counts = extract(configuration, tmp_path / "set", lambda: steps.append(1))
    assert len(steps) == 6 and (counts[0].added, counts[0].with_lidar, counts[0].without_pose, counts[0].static) == (6, 6, 0, 0)
    dataset = FrameDataset(tmp_path / "set")
    sent = {m.header.stamp.nanosec: bytes(m.data) for topic, _, m in messages if topic.endswith("compressed")}
    for frame in dataset.frames():
        stored = next((tmp_path / "set" / "images" / "drive" / "cam").glob(f"{frame.stamp_ns}.jpg")).read_bytes()
        assert stored == sent[frame.stamp_ns % SECOND], "not one byte differs from what was recorded"
        x = 8 * (frame.stamp_ns / SECOND - 10)
        np.testing.assert_allclose(frame.world_from_camera[:3, 3], (x, 0, 0), atol=1e-6)
        depth = dataset.lidar_depth(frame)
        np.testing.assert_allclose(depth.z, 30 - x, atol=1e-4, err_msg="the wall as seen at the image's time, not the scan's")
        assert frame.speed_mps == pytest.approx(8) and not frame.is_static and frame.camera.fx == 60
    assert list(dataset.problems()) == []
    assert (dataset.frames()[1].previous_id, dataset.frames()[1].sequence) == (dataset.frames()[0].frame_id, "drive")


def test_slow_frames_are_marked_static(tmp_path: Path) -> None:
    dataset = run(tmp_path / "set", factory.write_bag(tmp_path / "bag", drive(3, speed=0.4)))
    assert all(frame.is_static and frame.speed_mps == pytest.approx(0.4) for frame in dataset.frames())


def test_raw_images_lossless_or_as_chosen_and_png_verbatim(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    bag = factory.write_bag(tmp_path / "raw", [("/cam/image_raw", 1, factory.raw_image(5, "cam", noise))])
    lossless = run(tmp_path / "png", bag)
    np.testing.assert_array_equal(lossless.image(lossless.frames()[0]), noise)
    assert (tmp_path / "png" / "images" / "raw" / "cam" / "5.png").exists()
    small = run(tmp_path / "jpeg", bag, jpeg_quality=60)
    assert (tmp_path / "jpeg" / "images" / "raw" / "cam" / "5.jpg").stat().st_size < 3000
    assert small.image(small.frames()[0]).shape == noise.shape
    message = factory.compressed_image(5, "cam", noise, "png")
    message.data = np.frombuffer(encode_png(noise), dtype=np.uint8)
    run(tmp_path / "set", factory.write_bag(tmp_path / "png_bag", [("/cam/image_raw/compressed", 1, message)]))
    assert (tmp_path / "set" / "images" / "png_bag" / "cam" / "5.png").read_bytes() == encode_png(noise)


def test_damaged_and_resized_images_are_left_out_with_a_warning(tmp_path: Path) -> None:
    messages = [item for item in drive(4) if item[0].startswith("/cam")]
    pictures = [message for topic, _, message in messages if topic.endswith("compressed")]
    pictures[1].data = pictures[1].data[:300]
    pictures[2].data = factory.compressed_image(0, "cam", factory.picture(2, 32, 24)).data
    bag = factory.write_bag(tmp_path / "bag", messages)
    warnings: list[str] = []
    counts = extract(ExtractionConfiguration(bags=(str(bag),)), tmp_path / "set", on_warning=warnings.append)
    assert (counts[0].added, counts[0].damaged, counts[0].without_pose) == (2, 2, 4)
    assert "cam/10100000000: damaged JPEG" in warnings[0] and "cam/10200000000: 32x24 pixels" in warnings[1]
    assert list(FrameDataset(tmp_path / "set").problems()) == []


@pytest.mark.parametrize(("function", "calls"), [("fsync", 10), ("append_json_line", 4)])
def test_kill_9_and_a_second_run_give_the_same_dataset(tmp_path: Path, function: str, calls: int) -> None:
    bag = factory.write_bag(tmp_path / "bag", drive())
    run(tmp_path / "whole", bag)
    command = [sys.executable, "-c", KILLED, str(bag), str(tmp_path / "killed"), function, str(calls)]
    assert subprocess.run(command, cwd=ROOT, timeout=120).returncode == -9
    half = contents(tmp_path / "killed")
    assert half["frames.jsonl"].count(b"\n") in (2, 3), "it must have died in the middle"
    if function == "fsync":
        assert any(name.endswith(".part") for name in half)
    run(tmp_path / "killed", bag)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_several_bags_and_conditions(tmp_path: Path) -> None:
    first = factory.write_bag(tmp_path / "a" / "drive.night", factory.six_frames(("cam",), 2))
    second = factory.write_bag(tmp_path / "b" / "drive.night", factory.six_frames(("cam",), 1))
    dataset = run(tmp_path / "set", first, second, condition=("*day*=day-clear", "*night*=night"))
    assert {(frame.sequence, frame.condition) for frame in dataset.frames()} == {("drive.night", "night"), ("drive.night-2", "night")}
    assert [frame.next_id is None for frame in dataset.frames()] == [False, True, True]
    with pytest.raises(DataError, match="begun from"):
        run(tmp_path / "set", first)


def test_rules_for_conditions() -> None:
    assert condition_by_rules(["*rain*=day-rain", "night"], "a_rain.mcap") == "day-rain"
    assert condition_by_rules(["*rain*=day-rain", "night"], "other.mcap") == "night"
    assert condition_by_rules(["*rain*=day-rain"], "other.mcap") is None


def test_cameras_are_chosen_and_wrong_bags_named(tmp_path: Path) -> None:
    bag = factory.write_bag(tmp_path / "bag", factory.six_frames())
    assert {frame.camera_name for frame in run(tmp_path / "set", bag, cameras=("CAM_BACK",)).frames()} == {"CAM_BACK"}
    with pytest.raises(BagError, match="no such file"):
        run(tmp_path / "other", tmp_path / "gone.mcap")
    assert not (tmp_path / "other").exists(), "nothing is begun for a bag that isn't there"
    with pytest.raises(BagError, match="no camera CAM_TOP"):
        run(tmp_path / "other", bag, cameras=("CAM_TOP",))


def test_extracted_frames_equal_those_of_the_bag(tmp_path: Path, sample_data: Path) -> None:
    dataset = run(tmp_path / "set", sample_data / "bag_ddad", cameras=("camera_05",))
    bag = BagFrames(sample_data / "bag_ddad", ["camera_05"])
    for stored, recorded in zip(dataset.frames(), bag.frames(), strict=True):
        np.testing.assert_array_equal(dataset.image(stored), bag.image(recorded))
        np.testing.assert_array_equal(dataset.lidar_depth(stored).z, bag.lidar_depth(recorded).z)
        np.testing.assert_array_equal(stored.world_from_camera, recorded.world_from_camera)


def test_a_bag_given_as_a_dot_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drive" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "drive" / "inner")
    assert _sequence_names([Path(), Path("..")]) == ["inner", "drive"]
