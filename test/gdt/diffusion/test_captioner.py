# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="diffusers isn't installed (extra [gdt])")

import torch
from tiny_models import WORDS, save_blip, save_blip2

from ssd_core.data.errors import DataError
from ssd_core.gdt.diffusion.captioner import load_captioner
from ssd_core.gdt.diffusion.config import CaptionerConfig, ModelSource
from ssd_core.gdt.diffusion.model_files import ModelFolder
from ssd_core.model.checkpoint import ModelLoadError
from ssd_core.storage.json_lines import append_json_line

CPU = torch.device("cpu")


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((12, 12, 1), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["blip", "blip2"])
def test_captions_are_of_the_picture_and_always_the_same(kind: str, tmp_path: Path) -> None:
    {"blip": save_blip, "blip2": save_blip2}[kind](tmp_path / kind)
    config = CaptionerConfig.model_validate({"kind": kind, "model": {"name": str(tmp_path / kind)}, "max_new_tokens": 8, "beams": 2})
    captioner = load_captioner(config, CPU, torch.float32, offload=kind == "blip2")
    captions = [captioner.caption("a frame", picture(seed)) for seed in range(6)]
    assert all(captions)
    assert len(set(captions)) > 1
    assert captioner.caption("another frame", picture(0)) == captions[0]
    assert load_captioner(config, CPU, torch.float32, offload=False).caption("a frame", picture(0)) == captions[0]
    assert captioner.record["name"] == kind
    assert captioner.record["revision"].startswith("local-")
    if kind == "blip":
        assert set(captions[0].split()) <= set(WORDS)


@pytest.mark.parametrize(("kind", "name"), [("blip", "Salesforce/blip-image-captioning-large"), ("blip2", "Salesforce/blip2-opt-2.7b")])
def test_each_kind_has_its_own_published_weights(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    {"blip": save_blip, "blip2": save_blip2}[kind](tmp_path)
    asked = []

    def find(source: ModelSource, *_: object) -> ModelFolder:
        asked.append(source.name)
        return ModelFolder(tmp_path, source.name, "0123", False)

    monkeypatch.setattr("ssd_core.gdt.diffusion.captioner.find_model", find)
    config = CaptionerConfig.model_validate({"kind": kind})
    captioner = load_captioner(config, CPU, torch.float32, offload=False)
    assert asked == [name] and captioner.record == {"name": name, "revision": "0123"}
    assert config.model_dump()["model"]["name"] == name, "a translation's configuration.yaml says it too"


def test_captions_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    append_json_line(file, {"frame_id": "front/1", "caption": "a street"})
    captioner = load_captioner(CaptionerConfig(kind="file", file=file), CPU, torch.float32, offload=False)
    assert captioner.caption("front/1", picture(0)) == "a street"
    with pytest.raises(DataError, match=r"captions.jsonl: no caption of front/2"):
        captioner.caption("front/2", picture(0))
    append_json_line(file, {"frame": "front/2"})
    with pytest.raises(DataError, match=r"captions.jsonl: a line that isn't"):
        load_captioner(CaptionerConfig(kind="file", file=file), CPU, torch.float32, offload=False)
    with pytest.raises(FileNotFoundError, match="no such file of captions"):
        load_captioner(CaptionerConfig(kind="file", file=tmp_path / "absent"), CPU, torch.float32, offload=False)


def test_a_file_and_a_model_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give it with kind: file"):
        CaptionerConfig(kind="file")
    with pytest.raises(ValueError, match="give it with kind: file"):
        CaptionerConfig(file=tmp_path)


def test_a_folder_without_a_processor(tmp_path: Path) -> None:
    save_blip(tmp_path)
    (tmp_path / "processor_config.json").unlink()
    config = CaptionerConfig.model_validate({"kind": "blip", "model": {"name": str(tmp_path)}})
    with pytest.raises(ModelLoadError, match="no usable processor of blip"):
        load_captioner(config, CPU, torch.float32, offload=False)
