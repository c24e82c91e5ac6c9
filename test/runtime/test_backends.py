# SPDX-License-Identifier: Apache-2.0
"""Real backends on a tiny random model: equal depth, precision, cache, errors."""

import importlib.util
import logging
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import pytest
import torch

from ssd_core.images.resize import resize_image
from ssd_core.model.checkpoint import Checkpoint, open_checkpoint, save_checkpoint
from ssd_core.model.config import ModelDescription, NetworkSize
from ssd_core.model.depth_model import DepthModel
from ssd_core.runtime import backends
from ssd_core.runtime.estimator import BackendError, DepthEstimator, ModelLoadError
from ssd_core.runtime.export import FixedSizeNetwork

TINY = NetworkSize(32, 4, 2, (0, 1, 2, 3), (8, 12, 16, 16), 16)
SIZE = (98, 70)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    model = DepthModel.create(TINY, ModelDescription(parametrisation="sigmoid_disparity", input_size=SIZE))
    with torch.no_grad():
        model.network.head.conv3.weight *= 40  # a spread of depths, so that equality means something
    save_checkpoint(path, model)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def image() -> npt.NDArray[np.uint8]:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((20, 20, 1), dtype=np.uint8))


@pytest.fixture(scope="module")
def reference(folder: Path, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The model's own forward pass: position table resized on the fly, pixels scaled here."""
    pixels = torch.from_numpy(resize_image(image, SIZE)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        depth = open_checkpoint(folder).load_model()(pixels)[0, 0].numpy()
    assert depth.max() > 1.5 * depth.min()
    return np.asarray(depth)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_float32_equals_the_model(
    folder: Path, cache: Path, image: npt.NDArray[np.uint8], reference: npt.NDArray[np.float32], backend: str
) -> None:
    estimator = DepthEstimator.load(folder, backend, precision="fp32", cache_folder=cache)
    estimator.warm_up()
    first = estimator([image])[0].values
    estimator([255 - image])
    np.testing.assert_allclose(first, reference, rtol=1e-3)
    assert np.median(np.abs(first / reference - 1)) < 1e-5
    assert (estimator.backend, estimator.precision, estimator.kind) == (backend, "fp32", "metric")
    estimator.close()
    with pytest.raises(RuntimeError, match="closed"):
        estimator([image])


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bfloat16_is_close(
    folder: Path, cache: Path, image: npt.NDArray[np.uint8], reference: npt.NDArray[np.float32], backend: str
) -> None:
    if backend == "openvino" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(BackendError, match=r"no bfloat16 arithmetic.*choose auto or fp32"):
            DepthEstimator.load(folder, backend, precision="bf16", cache_folder=cache)
        return
    estimator = DepthEstimator.load(folder, backend, precision="bf16", cache_folder=cache)
    depth = estimator([image])[0].values
    assert estimator.precision == "bf16"
    assert 1e-5 < np.median(np.abs(depth / reference - 1)) < 0.02
    np.testing.assert_allclose(depth, reference, rtol=0.15)


def test_bfloat16_depth_has_no_steps(folder: Path) -> None:
    """A logit in bfloat16 would have steps of 1/32 near -6, so of 3 % of depth; the last layer runs in float32."""
    network = FixedSizeNetwork(open_checkpoint(folder).load_model(), SIZE, torch.bfloat16)
    pixels = torch.randint(0, 256, (1, SIZE[1], SIZE[0], 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        depth = network(pixels)
    assert depth.dtype == torch.float32
    assert len(depth.unique()) > depth.numel() / 2


def test_export_leaves_the_model_alone(folder: Path) -> None:
    model = open_checkpoint(folder).load_model()
    FixedSizeNetwork(model, SIZE, torch.bfloat16)
    pixels = torch.rand(1, 3, 42, 42)
    with torch.inference_mode():
        assert torch.equal(model(pixels), open_checkpoint(folder).load_model()(pixels))


def test_a_warm_start_reads_the_cache_and_builds_no_network(
    folder: Path, cache: Path, image: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DepthEstimator.load(folder, "openvino", cache_folder=cache)([image])[0].values
    monkeypatch.setattr("ssd_core.model.checkpoint.Checkpoint.load_model", lambda self: pytest.fail("built the network again"))
    np.testing.assert_array_equal(DepthEstimator.load(folder, "openvino", cache_folder=cache)([image])[0].values, first)


@pytest.fixture
def quick_conversion(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions copy the graph that the shared cache already holds."""
    DepthEstimator.load(folder, "openvino", cache_folder=cache).close()
    graph = next(cache.glob("engines/*/network.xml"))

    def copy(_checkpoint: Checkpoint, _size: tuple[int, int], path: Path) -> None:
        for suffix in (".xml", ".bin"):
            shutil.copy(graph.with_suffix(suffix), path.with_suffix(suffix))

    monkeypatch.setattr("ssd_core.runtime.backends.openvino.convert", copy)


@pytest.mark.usefixtures("quick_conversion")
def test_a_damaged_cache_is_rebuilt(folder: Path, tmp_path: Path, image: npt.NDArray[np.uint8], caplog: pytest.LogCaptureFixture) -> None:
    first = DepthEstimator.load(folder, "openvino", cache_folder=tmp_path)([image])[0].values
    (weights,) = tmp_path.glob("engines/*/network.bin")
    weights.write_bytes(weights.read_bytes()[:1000])
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(DepthEstimator.load(folder, "openvino", cache_folder=tmp_path)([image])[0].values, first)
    assert "damaged or stale" in caplog.text
    assert "takes about 10 s" in caplog.text


@pytest.mark.usefixtures("quick_conversion")
def test_an_unwritable_cache_is_no_error(
    folder: Path, tmp_path: Path, image: npt.NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    estimator = DepthEstimator.load(folder, "openvino", cache_folder=tmp_path / "file")
    assert np.isfinite(estimator([image])[0].values).all()
    assert "can't be written" in caplog.text


def test_input_sizes(folder: Path, cache: Path, image: npt.NDArray[np.uint8]) -> None:
    estimator = DepthEstimator.load(folder, "torch", input_size=(56, 28), cache_folder=cache)
    assert estimator([image])[0].values.shape == (28, 56)
    assert estimator([image], output_sizes=[(320, 180)])[0].values.shape == (180, 320)
    with pytest.raises(ValueError, match="such as 56x28 or 70x42"):
        DepthEstimator.load(folder, "torch", input_size=(60, 30))


def test_unknown_backends_and_precisions_name_the_known(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="unknown backend 'onnx'; known: auto, tensorrt, openvino, torch"):
        DepthEstimator.load(folder, "onnx")
    for backend in ("openvino", "torch"):
        with pytest.raises(BackendError, match=r"'int3'.*choose auto, fp32"):
            DepthEstimator.load(folder, backend, precision="int3", cache_folder=cache)
    monkeypatch.setitem(backends.BACKENDS, "openvino", "not_installed_anywhere:Backend")
    with pytest.raises(BackendError, match="install its library or choose another backend"):
        DepthEstimator.load(folder, "openvino")


def test_auto_is_the_gpu_where_there_is_one_else_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_has_cuda", lambda: True)
    installed = importlib.util.find_spec
    for library in (True, False):
        found = {"torch_tensorrt": installed("torch") if library else None}
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, found=found: found.get(name, installed(name)))
        assert backends.choose_backend() == ("tensorrt" if library else "torch")
    monkeypatch.setattr(backends, "_has_cuda", lambda: False)
    assert backends.choose_backend() == "openvino"


def test_an_untrained_model_is_announced_loudly(cache: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    untrained = DepthModel.create(TINY, ModelDescription(parametrisation="metric", input_size=SIZE, trained=False))
    save_checkpoint(tmp_path / "model", untrained)
    assert not DepthEstimator.load(tmp_path / "model", "torch").is_trained
    assert [record for record in caplog.records if record.levelno == logging.WARNING and "untrained" in record.getMessage()]


def test_a_model_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="no model folder"):
        DepthEstimator.load(tmp_path / "absent")
