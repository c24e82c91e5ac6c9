# SPDX-License-Identifier: Apache-2.0
"""The TensorRT backend around a stand-in for Torch-TensorRT: what is built, kept, checked, refused, and what "auto" does then."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_torch_tensorrt import FakeTorchTensorRt
from tiny_networks import SIZE, one_layer_checkpoint, tiny_transformer

from ssd_core.model.checkpoint import Checkpoint, open_checkpoint, save_checkpoint
from ssd_core.runtime.backends import BackendError
from ssd_core.runtime.backends import tensorrt as backend_module
from ssd_core.runtime.backends.tensorrt import ENGINE_FILE, TensorRtBackend, engine_versions, left_to_torch, load_library, signs_of_life
from ssd_core.runtime.engine_cache import EngineCache, EngineKey
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.runtime.sample_pictures import sample_cameras, sample_pictures


def load(
    cache: Path, precision: str = "fp32", batch: int = 1, allow_build: bool = True, checkpoint: Checkpoint | None = None
) -> TensorRtBackend:
    return TensorRtBackend(checkpoint or one_layer_checkpoint(), SIZE, precision, EngineCache(cache), batch, allow_build)


def entries(cache: Path) -> list[Path]:
    return sorted(path.parent for path in cache.glob("engines/*/engine.json"))


@pytest.mark.parametrize("camera_input", [False, True])
def test_engines_for_one_image_and_for_all_cameras(tmp_path: Path, fake_tensorrt: FakeTorchTensorRt, camera_input: bool) -> None:
    checkpoint = one_layer_checkpoint(camera_input)
    backend = load(tmp_path, batch=3, checkpoint=checkpoint)
    assert [build["shapes"][0] for build in fake_tensorrt.builds] == [(1, 70, 98, 3), (3, 70, 98, 3)]
    assert {len(build["shapes"]) for build in fake_tensorrt.builds} == {1 + camera_input}
    assert (backend.precision, backend.max_batch) == ("fp32", 3)
    images = sample_pictures(SIZE)[2:5]
    matrices = np.stack([camera.matrix for camera in sample_cameras(SIZE, 3)]).astype(np.float32) if camera_input else None
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        reference = checkpoint.load_model()(pixels, torch.from_numpy(matrices) if matrices is not None else None)[:, 0].numpy()
    for count in (3, 1, 2):
        depth = backend.infer(images[:count], None if matrices is None else matrices[:count])
        np.testing.assert_allclose(depth, reference[:count], rtol=1e-5)
    with pytest.raises(ValueError, match=r"takes \(1 to 3, 70, 98, 3\)"):
        backend.infer(np.zeros((3, 98, 70, 3), np.uint8), matrices)
    backend.close()
    with pytest.raises(RuntimeError, match="closed"):
        backend.infer(images[:1])


def test_a_whole_network_in_fp16(tmp_path: Path, fake_tensorrt: FakeTorchTensorRt) -> None:
    save_checkpoint(tmp_path / "model", tiny_transformer())
    checkpoint = open_checkpoint(tmp_path / "model")
    backend = load(tmp_path, "auto", checkpoint=checkpoint)
    assert backend.precision == "fp16"
    images = sample_pictures(SIZE)[3:4]
    with torch.inference_mode():
        reference = checkpoint.load_model()(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)[:, 0].numpy()
    assert 1e-5 < np.abs(backend.infer(images) / reference - 1).mean() < 0.02
    (entry,) = entries(tmp_path)
    report = json.loads((entry / "report.json").read_text())
    assert report["float32_layers"] == ["head.conv3"] and 0 < report["mean_difference"] < 0.02


def test_the_second_start_builds_nothing(tmp_path: Path, fake_tensorrt: FakeTorchTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(tmp_path)
    image = sample_pictures(SIZE)[3:4]
    monkeypatch.setattr(type(one_layer_checkpoint()), "load_model", lambda self: pytest.fail("built the network again"))
    second = load(tmp_path, allow_build=False)
    np.testing.assert_array_equal(second.infer(image), first.infer(image))
    assert len(fake_tensorrt.builds) == 1


@pytest.mark.usefixtures("fake_tensorrt")
def test_every_part_of_the_key_makes_another_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []

    def get(_cache: EngineCache, key: EngineKey, *_: Any) -> Any:
        keys.append(key.digest)
        return lambda images: images.float().mean(-1)

    monkeypatch.setattr(EngineCache, "get", get)

    def key_of(precision: str = "fp32", size: tuple[int, int] = SIZE, weights_hash: str = "0") -> str:
        TensorRtBackend(one_layer_checkpoint(weights_hash=weights_hash), size, precision, EngineCache(tmp_path))
        return keys[-1]

    seen = [key_of()]
    assert key_of() == seen[0]
    seen += [key_of(precision="fp16"), key_of(size=(70, 98)), key_of(weights_hash="1")]
    for change in (
        lambda: monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA Other"),
        lambda: monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0)),
        lambda: monkeypatch.setattr(torch, "__version__", "2.99.0"),
        lambda: monkeypatch.setattr(sys.modules["torch_tensorrt"], "__version__", "2.14.1", raising=False),
        lambda: monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "11.2.0"),
        lambda: monkeypatch.setattr(backend_module, "graph_version", lambda *_: "0123"),
    ):
        change()
        seen.append(key_of())
    load(tmp_path, batch=4, checkpoint=one_layer_checkpoint(weights_hash="0"))
    assert keys[-2] == seen[-1], "the engine for one image is the same"
    seen.append(keys[-1])
    assert len(set(seen)) == len(seen) == 11


@pytest.mark.usefixtures("fake_tensorrt")
def test_a_damaged_engine_is_built_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(tmp_path)
    (entry,) = entries(tmp_path)
    (entry / ENGINE_FILE).write_bytes((entry / ENGINE_FILE).read_bytes()[:500])
    with pytest.raises(BackendError, match="there is no TensorRT engine"):
        load(tmp_path, allow_build=False)
    with caplog.at_level(logging.INFO, "ssd_core"):
        load(tmp_path)
    assert f"{ENGINE_FILE} has changed" in caplog.text and "building a TensorRT engine" in caplog.text


def test_options_of_the_build(tmp_path: Path, fake_tensorrt: FakeTorchTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be seen in the result here: whole graphs, no TensorFloat-32 where float32 is asked for, timing kept for the next."""
    load(tmp_path)
    load(tmp_path, "fp16")
    exact, half = fake_tensorrt.builds
    assert exact["disable_tf32"] and not half["disable_tf32"]
    assert exact["min_block_size"] == 1 and not {"enabled_precisions", "use_explicit_typing"} & exact.keys()
    (timing,) = (tmp_path / "tensorrt_timing").iterdir()
    assert timing.read_text() == "timing 2"
    assert not list(tmp_path.glob("engines/*/timing_cache.bin"))
    monkeypatch.setattr(fake_tensorrt, "__version__", "2.8.0", raising=False)
    load(tmp_path)
    assert fake_tensorrt.builds[-1]["use_explicit_typing"] is True


def test_a_wrong_engine_is_refused_and_not_kept(tmp_path: Path, fake_tensorrt: FakeTorchTensorRt) -> None:
    fake_tensorrt.factor = 1.25
    with pytest.raises(BackendError, match=r"gives another depth than the network: mean 0\.25"):
        load(tmp_path, "fp16")
    assert entries(tmp_path) == []


def test_a_failed_build_says_what_failed_and_leaves_nothing(tmp_path: Path, fake_tensorrt: FakeTorchTensorRt) -> None:
    fake_tensorrt.error = RuntimeError("no converter for aten.strange")
    with pytest.raises(BackendError, match=r"an engine for one-layer@\w+ at 98x70, batch 1, fp32: RuntimeError: no converter"):
        load(tmp_path)
    fake_tensorrt.error = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")
    with pytest.raises(BackendError, match=r"too little GPU memory for model .*Tried to allocate 2.00 GiB\).*smaller input_size"):
        load(tmp_path)
    assert entries(tmp_path) == []


@pytest.mark.usefixtures("fake_tensorrt")
def test_auto_falls_back_to_torch_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("ssd_core.runtime.estimator.open_checkpoint", lambda _: one_layer_checkpoint())
    monkeypatch.setattr("ssd_core.runtime.estimator.choose_backend", lambda: "tensorrt")
    monkeypatch.setattr(backend_module, "check_gpu", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # torch itself then runs on the CPU
    estimator = DepthEstimator.load("any", cache_folder=tmp_path, allow_engine_build=False)
    assert (
        estimator.backend == "torch"
        and "allow_engine_build" in estimator.fallback
        and "torch runs the network in TensorRT's place" in caplog.text
    )
    with pytest.raises(BackendError, match="building one isn't allowed here: build it beforehand"):
        DepthEstimator.load("any", "tensorrt", cache_folder=tmp_path, allow_engine_build=False)
    built = DepthEstimator.load("any", cache_folder=tmp_path, batch=2)
    assert (built.backend, built.fallback, built.precision, built.max_batch) == ("tensorrt", "", "fp16", 2)
    built.warm_up(2)
    assert built([sample_pictures(SIZE)[3]] * 3)[2].values.shape == (70, 98)
    assert DepthEstimator.load("any", cache_folder=tmp_path, allow_engine_build=False).backend == "tensorrt"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(BackendError, match=r"Torch-TensorRT can't be imported.*docs/tensorrt.md"):
        load(tmp_path)
    library = FakeTorchTensorRt()
    monkeypatch.setitem(sys.modules, "torch_tensorrt", library)
    monkeypatch.setattr(library, "__version__", "2.7.1+cu128", raising=False)
    with pytest.raises(BackendError, match=r"2\.7\.1\+cu128 is too old, 2.8 is needed"):
        load_library()
    monkeypatch.setattr(library, "__version__", "2.14.0", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="needs an NVIDIA GPU that torch can use"):
        load(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 0))
    with pytest.raises(BackendError, match=r"compute capability 7.5, this one has 7.0"):
        load(tmp_path)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    with pytest.raises(BackendError, match="no bfloat16 arithmetic"):
        load(tmp_path, "bf16")
    with pytest.raises(BackendError, match=r"'int3'.*choose auto, fp32"):
        load(tmp_path, "int3")


def test_versions_name_the_pairing(fake_tensorrt: FakeTorchTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is installed here, or nothing.
    for installed, name in (({}, "torch-tensorrt"), ({"torch_tensorrt": ["torch_tensorrt_rtx"]}, "torch-tensorrt-rtx")):
        monkeypatch.setattr(backend_module.metadata, "packages_distributions", lambda installed=installed: installed)
        versions = engine_versions(fake_tensorrt)
        assert versions[name] == "2.14.0" and versions["tensorrt"] == "11.1.0" and versions["gpu"] == "NVIDIA Fake"


def test_operators_left_to_torch_are_listed() -> None:
    class Part(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(x + 1, 0) + 1

    whole = torch.nn.Module()
    whole.add_module("_run_on_acc_0", torch.fx.symbolic_trace(Part()))
    assert left_to_torch(whole) == []
    whole.add_module("_run_on_gpu_1", torch.fx.symbolic_trace(Part()))
    left = left_to_torch(whole)
    assert sorted(line[:3] for line in left) == ["1x ", "2x "] and any("cumsum" in line for line in left)


@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("torch_tensorrt") is None, reason="needs an NVIDIA GPU and Torch-TensorRT"
)
@pytest.mark.timeout(900)
def test_a_real_engine(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model", tiny_transformer(camera_input=True))
    checkpoint = open_checkpoint(tmp_path / "model")
    backend = load(tmp_path, "auto", batch=2, checkpoint=checkpoint)
    images = sample_pictures(SIZE)[3:5]
    matrices = np.stack([camera.matrix for camera in sample_cameras(SIZE, 2)]).astype(np.float32)
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        reference = checkpoint.load_model()(pixels, torch.from_numpy(matrices))[:, 0].numpy()
    depth = backend.infer(images, matrices)
    assert np.abs(depth / reference - 1).mean() < 0.02
    assert np.abs(backend.infer(images[:1], matrices[:1]) / reference[:1] - 1).mean() < 0.02
    (left, _) = (json.loads((entry / "report.json").read_text())["left_to_torch"] for entry in entries(tmp_path))
    assert left == []
    np.testing.assert_array_equal(load(tmp_path, "auto", 2, allow_build=False, checkpoint=checkpoint).infer(images, matrices), depth)


def test_signs_of_life(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), signs_of_life("building", period=0.01):
        while "building" not in caplog.text:
            pass
    assert "s so far" in caplog.text
