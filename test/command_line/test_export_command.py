# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth export`: files that give the network's depth, none that don't, and errors that name the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from ssd_core.command_line.main import app
from ssd_core.data.writers.bag import BagWriter
from ssd_core.data.writers.messages import camera_info_message, compressed_image_message, point_cloud_message, transforms_message
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg
from ssd_core.model.checkpoint import Checkpoint, open_checkpoint, save_checkpoint
from ssd_core.model.config import ModelDescription
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.runtime.backends import BackendError, openvino
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.runtime.graph_files import GraphFile
from ssd_core.runtime.sample_pictures import sample_cameras, sample_pictures

SIZE = (84, 56)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolutional network that sees its camera."""
    description = ModelDescription(parametrisation="sigmoid_disparity", input_size=SIZE, camera_input=True)
    network = ConvolutionalDepthModel.create_convolutional((8, 8, 8, 16), description)
    with torch.no_grad():
        network.network.head.weight *= 40
    folder = tmp_path_factory.mktemp("model") / "small"
    save_checkpoint(folder, network)
    return folder


@pytest.fixture
def run(model: Path) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(app, ["export", "--model", str(model), *map(str, arguments)])


def write_bag(path: Path) -> Path:
    """Two pictures of a wall ten metres ahead, with a lidar at the camera's place."""
    camera, second = PinholeCamera(84, 56, 60, 60, 41.5, 27.5), 1_000_000_000
    optical = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=float)
    y, z = np.meshgrid(np.linspace(-4, 4, 50), np.linspace(-3, 3, 40))
    wall = np.stack([np.full(y.size, 10.0), y.ravel(), z.ravel()], axis=1).astype(np.float32)
    with BagWriter(path) as writer:
        for topic, kind in (
            ("/front/image/compressed", "CompressedImage"),
            ("/front/camera_info", "CameraInfo"),
            ("/lidar", "PointCloud2"),
        ):
            writer.add_topic(topic, f"sensor_msgs/msg/{kind}")
        writer.add_topic("/tf_static", "tf2_msgs/msg/TFMessage")
        writer.write("/tf_static", second, transforms_message([("base", "optical", optical), ("base", "lidar", np.eye(4))], second))
        for index, picture in enumerate(sample_pictures(SIZE)[4:]):
            stamp = (index + 1) * second
            writer.write("/front/image/compressed", stamp, compressed_image_message(encode_jpeg(picture), "jpeg", stamp, "optical"))
            writer.write("/front/camera_info", stamp, camera_info_message(camera, stamp, "optical"))
            writer.write("/lidar", stamp, point_cloud_message(wall, ("x", "y", "z"), stamp, "lidar"))
    return path


def test_an_openvino_graph_gives_the_networks_depth(run: Callable[..., Result], model: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "graph.xml"
    bag = write_bag(tmp_path / "wall.mcap")
    result = run("--backend", "openvino", "--precision", "fp32", "--out", out, "--verify", bag)
    assert result.exit_code == 0, result.output
    assert "openvino fp32 (OpenVINO) against PyTorch fp32, 2 pictures" in result.output
    assert "eager: torch fp32" in result.output and "compiled: openvino fp32" in result.output
    assert sorted(path.name for path in out.parent.iterdir()) == ["graph.bin", "graph.xml", "graph.yaml"]
    record = yaml.safe_load(out.with_suffix(".yaml").read_text())
    assert record["inputs"] == {"images": "uint8 (1, 56, 84, 3) RGB", "intrinsics": "float32 (1, 3, 3) in pixels of these images"}
    assert record["mean_difference"] < 1e-4 and record["accuracy"]["frames"] == 2
    accuracy = record["accuracy"]
    assert accuracy["compiled"]["raw"] == pytest.approx(accuracy["eager"]["raw"], rel=1e-3) and accuracy["eager"]["raw"] > 0
    picture, camera = sample_pictures(SIZE)[4], sample_cameras(SIZE, 1)[0]
    depth = GraphFile(out, "fp32", 1).infer(picture[None], camera.matrix[None].astype(np.float32))[0]
    expected = DepthEstimator.load(model, "torch", precision="fp32")([picture], [camera])[0].values
    np.testing.assert_allclose(depth, expected, rtol=1e-3)
    again = run("--backend", "openvino", "--out", out)
    assert again.exit_code == 1 and "is there already" in str(again.exception)


def test_a_graph_of_another_depth_is_not_written(run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(checkpoint: Checkpoint, size: tuple[int, int], path: Path) -> None:
        path.write_text("a graph")

    class Wrong:
        precision, max_batch, runtime = "fp32", 1, "a fake"

        def __init__(self, *_: Any) -> None:
            pass

        def infer(self, images: npt.NDArray[np.uint8], _matrices: Any) -> npt.NDArray[np.float32]:
            return np.full(images.shape[:3], 3.0, np.float32)

        def close(self) -> None:
            pass

    monkeypatch.setattr(openvino, "convert", convert)
    monkeypatch.setattr("ssd_core.runtime.graph_files.GraphFile", Wrong)
    out = tmp_path / "graph.xml"
    result = run("--backend", "openvino", "--out", out)
    assert result.exit_code == 1 and "nothing was written" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
    assert run("--backend", "openvino", "--out", out, "--force").exit_code == 0
    assert out.read_text() == "a graph"


def test_an_engine_is_copied_from_the_cache(
    run: Callable[..., Result], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Engine:
        """As the TensorRT backend, with torch inside."""

        precision, max_batch = "fp16", 6

        def __init__(self, checkpoint: Checkpoint, size: tuple[int, int], precision: str, cache: Any, batch: int) -> None:
            asked.append((size, precision, batch))
            self.engine_files = {batch: cache.folder / "engine.pt2"}
            cache.folder.mkdir()
            self.engine_files[batch].write_text("engine")
            self._network = checkpoint.load_model()

        def infer(self, images: npt.NDArray[np.uint8], matrices: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                depth = self._network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(matrices))
            return np.asarray(depth[:, 0].numpy())

        def close(self) -> None:
            pass

    monkeypatch.setattr("ssd_core.runtime.graph_files.backend_class", lambda _: Engine)
    arguments = ("--backend", "tensorrt", "--batch", 6, "--input-size", "112x56")
    assert run(*arguments, "--cache", tmp_path / "cache").exit_code == 0
    result = run(*arguments, "--cache", tmp_path / "second", "--out", tmp_path / "engine.pt2")
    assert result.exit_code == 0, result.output
    assert asked == [((112, 56), "auto", 6)] * 2
    assert (tmp_path / "engine.pt2").read_text() == (tmp_path / "second" / "engine.pt2").read_text() == "engine"
    assert yaml.safe_load((tmp_path / "engine.yaml").read_text())["inputs"]["images"] == "uint8 (6, 56, 112, 3) RGB"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backend", "onnx"), "--backend onnx needs --out FILE.onnx"),
        (("--backend", "onnx", "--out", "a.xml"), "must end in .onnx"),
        (("--backend", "openvino", "--out", "{}/a.xml", "--batch", "2"), "written for one image"),
        (("--backend", "openvino", "--out", "{}/a.xml", "--input-size", "60x30"), "such as 56x28 or 70x42"),
        (("--backend", "onnx", "--out", "{}/a.onnx", "--precision", "fp16"), "ONNX files are written in fp32"),
    ],
)
def test_what_cannot_be_asked_for(run: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run(*(argument.format(tmp_path) for argument in arguments))
    assert result.exit_code == 1 and words in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_onnx_without_its_libraries_names_them(run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    installed = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name.startswith("onnx") else installed(name, *rest))
    result = run("--backend", "onnx", "--out", tmp_path / "graph.onnx")
    assert isinstance(result.exception, BackendError) and "onnx and onnxscript: pip install" in str(result.exception)


def test_an_onnx_file_gives_the_networks_depth(run: Callable[..., Result], model: Path, tmp_path: Path) -> None:
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason="needs the extra [onnx]")
    out = tmp_path / "graph.onnx"
    result = run("--backend", "onnx", "--out", out, "--batch", 2)
    assert result.exit_code == 0, result.output
    pictures, matrices = sample_pictures(SIZE)[2:4], np.stack([camera.matrix for camera in sample_cameras(SIZE, 2)]).astype(np.float32)
    network = open_checkpoint(model).load_model()
    with torch.inference_mode():
        expected = network(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(matrices))[:, 0]
    np.testing.assert_allclose(GraphFile(out, "fp32", 2).infer(pictures, matrices), expected.numpy(), rtol=1e-3)
