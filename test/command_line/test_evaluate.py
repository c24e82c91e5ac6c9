# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth evaluate` on bags of a made-up street, with a stand-in for the network whose error is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from ssd_core.command_line.evaluate import evaluate
from ssd_core.data.writers.bag import BagWriter
from ssd_core.data.writers.messages import camera_info_message, compressed_image_message, point_cloud_message, transforms_message
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg, read_image
from ssd_core.runtime.estimator import DepthEstimator, DepthMap

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=float)
SECOND = 1_000_000_000


def write_bag(path: Path, count: int = 5, lidar: bool = True, distance: float = 10.0) -> Path:
    """A camera that looks at a wall `distance` metres ahead, which a lidar at the same place sees too."""
    y, z = np.meshgrid(np.linspace(-4, 4, 50), np.linspace(-3, 3, 40))
    wall = np.stack([np.full(y.size, distance), y.ravel(), z.ravel()], axis=1).astype(np.float32)
    with BagWriter(path) as writer:
        for topic, kind in (
            ("/front/image/compressed", "CompressedImage"),
            ("/front/camera_info", "CameraInfo"),
            *((("/lidar", "PointCloud2"),) if lidar else ()),
        ):
            writer.add_topic(topic, f"sensor_msgs/msg/{kind}")
        writer.add_topic("/tf_static", "tf2_msgs/msg/TFMessage")
        writer.write("/tf_static", SECOND, transforms_message([("base", "optical", OPTICAL), ("base", "lidar", np.eye(4))], SECOND))
        for index in range(count):
            stamp = (index + 1) * SECOND
            image = encode_jpeg(np.full((48, 64, 3), 20 * index, np.uint8))
            writer.write("/front/image/compressed", stamp, compressed_image_message(image, "jpeg", stamp, "optical"))
            writer.write("/front/camera_info", stamp, camera_info_message(CAMERA, stamp, "optical"))
            if lidar:
                writer.write("/lidar", stamp, point_cloud_message(wall, ("x", "y", "z"), stamp, "lidar"))
    return path


class StandIn:
    """Sees every wall 8 m away; stops after some calls if told to."""

    backend, precision, max_batch, is_trained, kind, model_id = "none", "fp32", 1, True, "metric", "stand-in@1"
    stop_after: int | None = None

    def __init__(self, input_size: tuple[int, int]) -> None:
        self.input_size = input_size
        self.calls = 0

    def __call__(self, images: Any, cameras: Any = None, output_sizes: Any = None) -> list[DepthMap]:
        self.calls += 1
        if self.stop_after is not None and self.calls > self.stop_after:
            raise KeyboardInterrupt
        return [DepthMap(np.full((height, width), 8.0, np.float32), "metric") for width, height in output_sizes]

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    made: list[StandIn] = []

    def load(name: Any, backend: str = "auto", input_size: Any = None, precision: str = "auto") -> StandIn:
        made.append(StandIn(input_size))
        return made[-1]

    monkeypatch.setattr(DepthEstimator, "load", load)
    return made


def run(*arguments: Any) -> Result:
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_bag_gives_figures_a_scale_and_pictures(tmp_path: Path, loaded: list[StandIn]) -> None:
    bag, other = write_bag(tmp_path / "drive.mcap"), write_bag(tmp_path / "other.mcap", distance=12.0)
    out = tmp_path / "out"
    result = run("--data", bag, "--out", out, "--baseline-data", other)
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    assert report["results"]["pooled"]["raw"]["abs_rel"] == pytest.approx(0.2, rel=1e-4)
    assert report["results"]["pooled"]["raw"]["rmse"] == pytest.approx(2, rel=1e-4)
    assert report["results"]["pooled"]["flip_median"]["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert report["baselines"]["constant"]["pooled"]["raw"]["abs_rel"] == pytest.approx(0.2, rel=1e-4)  # 12 m learnt, 10 m true
    assert report["depth_scale"][""]["factor"] == pytest.approx(1.25, rel=1e-4)
    assert "set depth_scale: 1.25" in result.output and str(other) in report["baselines_learnt_from"]
    assert loaded[0].input_size[0] / loaded[0].input_size[1] == pytest.approx(64 / 48, rel=0.1)
    assert read_image(out / "sheet.png").shape[1] > 2000 and "sheet.png" in (out / "report.md").read_text()


def test_a_killed_run_continues(tmp_path: Path, loaded: list[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    bag = write_bag(tmp_path / "drive.mcap")
    assert run("--data", bag, "--out", tmp_path / "whole", "--no-baselines").exit_code == 0
    monkeypatch.setattr(StandIn, "stop_after", 5)
    assert run("--data", bag, "--out", tmp_path / "cut", "--no-baselines").exit_code != 0
    assert not (tmp_path / "cut" / "report.json").exists()
    monkeypatch.setattr(StandIn, "stop_after", None)
    assert run("--data", bag, "--out", tmp_path / "cut", "--no-baselines").exit_code == 0
    assert loaded[2].calls < loaded[0].calls
    one, other = (json.loads((tmp_path / folder / "report.json").read_text()) for folder in ("whole", "cut"))
    assert one == other
    refused = run("--data", bag, "--out", tmp_path / "cut", "--no-baselines", "--cap", "50")
    assert refused.exit_code == 1 and "belongs to another evaluation" in str(refused.exception)
    assert run("--data", bag, "--out", tmp_path / "cut", "--no-baselines", "--cap", "50", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cap", "0.05"), None),
        (("--min-depth", "90"), "must be below cap"),
        (("--cameras", "rear"), "rear"),
        (("--condition", "fog"), "no condition fog"),
        (("--condition", "fog,snow", "--condition", "dusk"), "no condition dusk, fog, snow"),
        (("--split", "val"), "no splits"),
        (("--baseline-data", "SAME"), "other data than they are measured on"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[str, ...], message: str | None, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "drive.mcap", count=1)
    result = run("--data", bag, "--out", tmp_path / "out", *(str(bag) if word == "SAME" else word for word in arguments))
    assert result.exit_code != 0
    assert message is None or message in str(result.exception)
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_recording_without_lidar_is_refused_in_words(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "blind.mcap", lidar=False)
    result = run("--data", bag, "--out", tmp_path / "out", "--no-baselines")
    assert result.exit_code == 1
    assert "none of 5 frames can be measured: no lidar depth (5x)" in str(result.exception)
