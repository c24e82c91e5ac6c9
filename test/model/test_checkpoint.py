# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders: a round trip is exact, and whatever is wrong with one is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import torch
import transformers

from ssd_core.model.checkpoint import ModelLoadError, open_checkpoint, save_checkpoint
from ssd_core.model.config import ModelDescription, NetworkSize
from ssd_core.model.depth_model import DepthModel

TINY = NetworkSize(16, 4, 2, (0, 1, 2, 3), (8, 8, 8, 8), 8)
DESCRIPTION = ModelDescription(parametrisation="sigmoid_disparity", input_size=(70, 42), trained=False, recipe={"steps": 3})


@pytest.fixture(scope="module")
def model() -> DepthModel:
    return DepthModel.create(TINY, DESCRIPTION)


@pytest.fixture(scope="module")
def saved(model: DepthModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_checkpoint(folder, model)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def test_round_trip_is_exact(model: DepthModel, saved: Path) -> None:
    checkpoint = open_checkpoint(saved)
    images = torch.rand(1, 3, 42, 70)
    with torch.inference_mode():
        assert torch.equal(checkpoint.load_model()(images), model(images))
    assert checkpoint.description.recipe == {"steps": 3}
    assert checkpoint.description.git_revision != ""
    assert checkpoint.model_id == f"tiny@{checkpoint.weights_hash[:8]}"
    assert not checkpoint.description.trained


def test_names_on_disk_are_those_of_the_hub_and_transformers_reads_them(saved: Path) -> None:
    names = safetensors.torch.load_file(saved / "model.safetensors").keys()
    assert "backbone.encoder.layer.0.attention.attention.query.weight" in names
    _, report = transformers.DepthAnythingForDepthEstimation.from_pretrained(saved, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_half_weights_load_as_float32(model: DepthModel, saved: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "half", model, half=True)
    assert (tmp_path / "half/model.safetensors").stat().st_size < 0.6 * (saved / "model.safetensors").stat().st_size
    loaded = open_checkpoint(tmp_path / "half").load_model()
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    images = torch.rand(1, 3, 42, 70)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), model(images), rtol=2e-2, atol=0)


def test_saving_over_a_checkpoint_replaces_it_and_leaves_nothing_else(model: DepthModel, folder: Path) -> None:
    save_checkpoint(folder, model)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "ssd.json"}
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_the_hash_follows_weights_and_description(folder: Path) -> None:
    before = open_checkpoint(folder).weights_hash
    assert open_checkpoint(folder).weights_hash == before
    text = (folder / "ssd.json").read_text()
    (folder / "ssd.json").write_text(text.replace('"max_depth": 80.0', '"max_depth": 60.0'))
    described = open_checkpoint(folder).weights_hash
    edit_tensors(folder, lambda tensors: tensors["head.conv3.bias"].add_(1))
    assert len({before, described, open_checkpoint(folder).weights_hash}) == 3


def edit_tensors(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    edit(tensors)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_public_checkpoints_lack_what_is_never_used(model: DepthModel, folder: Path) -> None:
    names = safetensors.torch.load_file(folder / "model.safetensors")
    unused = [name for name in names if "fusion_stage.layers.0.residual_layer1." in name]
    assert unused
    edit_tensors(folder, lambda tensors: [tensors.pop(name) for name in unused])
    images = torch.rand(1, 3, 42, 70)
    with torch.inference_mode():
        torch.testing.assert_close(open_checkpoint(folder).load_model()(images), model(images))


BAD_TENSORS = {
    "missing": (lambda tensors: tensors.pop("head.conv3.bias"), r"1 missing \(head\.conv3\.bias\)"),
    "extra": (lambda tensors: tensors.update(pose=torch.zeros(1)), r"1 unknown \(pose\)"),
    "wrong shape": (lambda tensors: tensors.update({"head.conv3.bias": torch.zeros(2)}), r"1 of a wrong shape \(head\.conv3\.bias"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_tensors_that_do_not_fit_are_named(folder: Path, case: str) -> None:
    edit, message = BAD_TENSORS[case]
    edit_tensors(folder, edit)
    with pytest.raises(ModelLoadError, match=message):
        open_checkpoint(folder).load_model()


@pytest.mark.parametrize("keep", [0, 100, 20000])
def test_half_written_weights(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelLoadError, match=r"model\.safetensors: half-written or damaged.*again"):
        open_checkpoint(folder).load_model()


@pytest.mark.parametrize("name", ["config.json", "ssd.json"])
def test_half_written_json(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ModelLoadError, match=f"{name}: half-written or damaged"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelLoadError, match=f"has no {name}"):
        open_checkpoint(folder)


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match=r"pickled.*save_pretrained"):
        open_checkpoint(folder)


def test_unknown_keys_of_the_description_are_named(folder: Path) -> None:
    values = json.loads((folder / "ssd.json").read_text()) | {"maximum": 3}
    (folder / "ssd.json").write_text(json.dumps(values))
    with pytest.raises(ModelLoadError, match=r"ssd\.json: maximum: "):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "change", [{"model_type": "vit"}, {"model_type": "dpt", "backbone_config": None}, {"backbone_config": {"model_type": "swin"}}]
)
def test_other_architectures_are_refused(folder: Path, change: dict[str, Any]) -> None:
    values = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelLoadError, match="isn't supported; Depth Anything and DPT"):
        open_checkpoint(folder)


def test_paths_that_are_no_folder(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(ModelLoadError, match="is a file; a model is a folder"):
        open_checkpoint(tmp_path / "weights.pth")
    with pytest.raises(ModelLoadError, match=r"no model folder .*Hub id such as"):
        open_checkpoint(tmp_path / "absent")
    with pytest.raises(ModelLoadError, match="no model folder 'tinny'"):
        open_checkpoint("tinny")


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # file modes don't stop the superuser, who runs many a test
    with pytest.raises(ModelLoadError, match=r"Permission denied; check the path and its permissions"):
        open_checkpoint(folder)


def test_without_network_the_error_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelLoadError, match=r"couldn't be had from the Hugging Face Hub.*give the folder's path"):
        open_checkpoint("depth-anything/Depth-Anything-V2-Small-hf")


def test_a_hub_model_is_downloaded_without_pickles_and_keeps_its_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def download(name: str, allow_patterns: list[str]) -> str:
        asked[name] = allow_patterns
        return str(saved)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    checkpoint = open_checkpoint("somebody/some-model")
    assert checkpoint.name == "somebody/some-model"
    assert asked == {"somebody/some-model": ["config.json", "model.safetensors", "ssd.json", "preprocessor_config.json"]}


def test_a_folder_that_may_not_be_entered_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> Path:
        raise PermissionError(13, "Permission denied", "/secret/model")

    monkeypatch.setattr("ssd_core.model.checkpoint.find_folder", refuse)
    with pytest.raises(ModelLoadError, match=r"secret/model.*Permission denied; check the path"):
        open_checkpoint("/secret/model")
