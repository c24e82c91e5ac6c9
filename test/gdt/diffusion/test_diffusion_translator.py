# SPDX-License-Identifier: Apache-2.0
"""The whole way through Stable Diffusion in miniature: random weights, but real files, real code and every input that must count."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="diffusers isn't installed (extra [gdt])")

import diffusers
import huggingface_hub
import safetensors.torch
import transformers
from tiny_models import save_all

from ssd_core.gdt.diffusion import DiffusionConfig, build_translator
from ssd_core.gdt.diffusion.captioner import CaptionFile
from ssd_core.gdt.translator import TranslatedImage, TranslationRequest, Translator, UntranslatableError
from ssd_core.images.codec import write_image
from ssd_core.model.checkpoint import ModelLoadError
from ssd_core.storage.json_lines import append_json_line


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_all(folder)
    generator = np.random.default_rng(5)
    for night in ("nights", "other_nights"):
        for number in range(4):
            write_image(folder / night / f"{number}.png", generator.integers(0, 90, (40, 60, 3), dtype=np.uint8))
    for number in range(4):
        append_json_line(folder / "captions.jsonl", {"frame_id": f"front/{number}", "caption": f"{number} cars on a road"})
    append_json_line(folder / "captions.jsonl", {"frame_id": "front/9", "caption": "many cars and " * 6 + "a tree"})
    return folder


def configuration(models: Path, **changes: Any) -> DiffusionConfig:
    values: dict[str, Any] = {
        "stable_diffusion": {"name": str(models / "sd")},
        "controlnet": {"name": str(models / "controlnet")},
        "adapter": {"model": {"name": str(models / "adapter")}, "images": {"night": str(models / "nights")}},
        "captioner": {"kind": "file", "file": str(models / "captions.jsonl")},
        "steps": 3,
        "long_side": 64,
        "batch_size": 2,
        "night_brightness": None,
    }
    return DiffusionConfig.model_validate(values | changes)


@pytest.fixture(scope="module")
def translator(models: Path) -> Translator:
    return build_translator(configuration(models))


def request(number: int = 0, seed: int = 1, size: tuple[int, int] = (90, 50), **changes: Any) -> TranslationRequest:
    generator = np.random.default_rng(number)
    blocks = np.ones((10, 10), dtype=np.uint8)
    image = np.stack([np.kron(generator.integers(0, 256, (9, 9), dtype=np.uint8), blocks) for _ in range(3)], axis=-1)
    depth = np.kron(generator.uniform(3, 60, (9, 9)).astype(np.float32), blocks).astype(np.float32)
    values: dict[str, Any] = {
        "frame_id": f"front/{number}",
        "image": np.ascontiguousarray(image[: size[1], : size[0]]),
        "depth": depth[: size[1], : size[0]],
        "condition": "night",
        "seed": seed,
    }
    return TranslationRequest(**(values | changes))


def difference(one: TranslatedImage, two: TranslatedImage) -> float:
    return float(np.abs(one.image.astype(int) - two.image.astype(int)).mean())


def test_the_prompt_holds_the_caption_and_the_manifest_how_it_was_made(models: Path) -> None:
    blip = {"kind": "blip", "model": {"name": str(models / "blip")}, "max_new_tokens": 8}
    translator = build_translator(configuration(models, captioner=blip))
    (translated,) = translator.translate([request()])
    assert translator.name == "diffusion"
    assert translated.image.shape == (50, 90, 3)
    assert translated.image.dtype == np.uint8
    assert translated.image.std() > 5
    provenance = translated.provenance
    assert provenance["caption"]
    assert provenance["prompt"].startswith(f"At night, {provenance['caption']},")
    assert provenance["image_prompt"].startswith("nights/")
    assert provenance["size"] == [64, 40]
    expected = {"seed": 1, "steps": 3, "guidance": 7.5, "control_scale": 1.0, "adapter_scale": 0.5, "scheduler": "unipc", "start": "noise"}
    assert {name: provenance[name] for name in expected} == expected
    assert set(provenance["models"]) == {"stable_diffusion", "controlnet", "adapter", "captioner"}
    assert all(model["revision"].startswith("local-") for model in provenance["models"].values())


def test_depth_counts(translator: Translator) -> None:
    one = request()
    turned = request(depth=np.ascontiguousarray(one.depth[::-1]))
    plain, other = translator.translate([one])[0], translator.translate([turned])[0]
    assert difference(plain, other) > 0.1
    inverse = request(depth=(4 / one.depth + 1).astype(np.float32), depth_kind="relative_inverse")
    assert difference(plain, translator.translate([inverse])[0]) < 0.1 * difference(plain, other)


def test_the_image_prompt_counts(translator: Translator, models: Path) -> None:
    adapter = {"model": {"name": str(models / "adapter")}, "images": {"night": str(models / "other_nights")}}
    other = build_translator(configuration(models, adapter=adapter)).translate([request()])[0]
    assert other.provenance["image_prompt"].startswith("other_nights/")
    plain = translator.translate([request()])[0]
    assert difference(plain, other) > 0.1
    ignored = [
        build_translator(configuration(models, adapter={**adapter, "scale": 0.0, "images": {"night": str(models / night)}}))
        for night in ("nights", "other_nights")
    ]
    assert difference(*(each.translate([request()])[0] for each in ignored)) == 0


def test_one_seed_gives_the_same_bytes_and_another_does_not(translator: Translator) -> None:
    first, again, other = (translator.translate([request(seed=seed)])[0] for seed in (1, 1, 2))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.provenance == again.provenance
    assert difference(first, other) > 1


def test_a_batch_of_two_is_two_of_one(translator: Translator) -> None:
    # Seeds that draw different image prompts; a third picture of another size in between.
    requests = [request(0, 1), request(1, 2), request(2, 3, (50, 90)), request(3, 4)]
    together = translator.translate(requests)
    alone = [translator.translate([each])[0] for each in requests]
    assert len({each.provenance["image_prompt"] for each in together[:2]}) == 2
    for one, two in zip(together, alone, strict=True):
        assert np.abs(one.image.astype(int) - two.image.astype(int)).max() <= 1
        assert one.provenance == two.provenance
    assert together[2].image.shape == (90, 50, 3)


def test_networks_saved_again_paint_the_same(translator: Translator, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "again")
    networks = {
        "sd/unet": diffusers.UNet2DConditionModel,
        "sd/vae": diffusers.AutoencoderKL,
        "sd/text_encoder": transformers.CLIPTextModel,
        "sd/tokenizer": transformers.CLIPTokenizer,
        "sd/scheduler": diffusers.PNDMScheduler,
        "controlnet": diffusers.ControlNetModel,
        "adapter/models/image_encoder": transformers.CLIPVisionModelWithProjection,
    }
    for part, network in networks.items():
        loaded: Any = network.from_pretrained(models / part)
        loaded.save_pretrained(tmp_path / "again" / part)
    again = build_translator(configuration(tmp_path / "again")).translate([request()])[0]
    assert again.image.tobytes() == translator.translate([request()])[0].image.tobytes()


def test_attention_in_slices(translator: Translator, models: Path) -> None:
    plain = translator.translate([request()])[0]
    sliced = build_translator(configuration(models, attention_slicing=True, vae_slicing=True)).translate([request()])[0]
    assert np.abs(sliced.image.astype(int) - plain.image.astype(int)).max() <= 1


@pytest.mark.parametrize("scheduler", ["dpm++", "ddim", "euler"])
def test_other_schedulers_without_adapter_and_guidance(models: Path, scheduler: str) -> None:
    bare = build_translator(configuration(models, scheduler=scheduler, adapter=None, guidance=1.0))
    one, again = (bare.translate([request()])[0] for _ in range(2))
    assert one.image.std() > 5
    assert one.image.tobytes() == again.image.tobytes()
    assert one.provenance["image_prompt"] is None


def test_starting_from_the_source(models: Path) -> None:
    one = request()
    brighter = request(image=np.minimum(one.image.astype(int) + 60, 255).astype(np.uint8))
    weak, strong = (build_translator(configuration(models, start="source", strength=strength)) for strength in (0.4, 1.0))
    changes = [difference(each.translate([one])[0], each.translate([brighter])[0]) for each in (weak, strong)]
    assert changes[0] > 0.1
    together = weak.translate([one, request(1, 2)])
    assert difference(together[0], weak.translate([one])[0]) <= 1
    assert together[0].provenance["strength"] == 0.4


def test_nights_are_adjusted_and_only_nights(models: Path) -> None:
    adapter = {"model": {"name": str(models / "adapter")}, "images": dict.fromkeys(("night", "fog"), str(models / "nights"))}
    adjusting = build_translator(configuration(models, adapter=adapter, night_brightness={"low": 0.1, "high": 0.2}))
    night, fog = adjusting.translate([request(), request(condition="fog")])
    assert night.provenance["brightness"]["exponent"] > 1
    assert night.provenance["brightness"]["mean"] == pytest.approx(0.2, abs=0.01)
    assert fog.provenance["brightness"] is None
    assert fog.provenance["prompt"].startswith("In a foggy day, ")


def test_a_frame_is_described_once_for_all_its_conditions(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[str] = []
    caption = CaptionFile.caption
    monkeypatch.setattr(CaptionFile, "caption", lambda self, frame_id, image: described.append(frame_id) or caption(self, frame_id, image))
    bare = build_translator(configuration(models, adapter=None, steps=1))
    bare.translate([request(), request(condition="rain")])
    bare.translate([request(condition="snow"), request(1)])
    assert described == ["front/0", "front/1"]


def test_a_prompt_that_is_too_long_is_told_once(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    bare = build_translator(configuration(models, adapter=None, steps=1))
    for number in (0, 9, 9):
        bare.translate([request(number)])
    (warning,) = [record for record in caplog.records if record.name.startswith("ssd_core")]
    assert "of which the first 77 count: At night, many cars" in warning.getMessage()


def test_depth_that_is_unknown_names_the_frame(translator: Translator) -> None:
    with pytest.raises(UntranslatableError, match="front/0: depth is unknown everywhere"):
        translator.translate([request(depth=np.full((50, 90), np.nan, dtype=np.float32))])
    with pytest.raises(ValueError, match="front/0: a picture of 90x40 for a canvas of 90x50") as wrong:
        translator.translate([request(depth=np.ones((40, 90), dtype=np.float32))])
    assert not isinstance(wrong.value, UntranslatableError), "a depth of another size is the data set's fault"


def test_a_damaged_image_prompt_and_an_overflow_are_one_pictures_fault(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "nights" / "0.png", np.zeros((40, 60, 3), dtype=np.uint8))
    adapter = {"model": {"name": str(models / "adapter")}, "images": {"night": str(tmp_path / "nights")}}
    translator = build_translator(configuration(models, adapter=adapter, steps=1))
    pipeline: Any = translator._painter._pipeline  # type: ignore[attr-defined]
    decode = pipeline.vae.decode
    monkeypatch.setattr(pipeline.vae, "decode", lambda latents, **options: decode(latents * np.nan, **options))
    with pytest.raises(UntranslatableError, match=r"front/0, front/1: .*aren't finite; load it with precision bf16"):
        translator.translate([request(), request(1)])
    (tmp_path / "nights" / "0.png").write_bytes(b"no picture")
    with pytest.raises(UntranslatableError, match=r"front/0: its image prompt: .*0\.png"):
        translator.translate([request()])


def test_what_is_missing_is_named_with_its_folder(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "part")
    weights = tmp_path / "part" / "sd" / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    tensors.pop("conv_in.weight")
    safetensors.torch.save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"unet: tensors don't fit config.json: 1 missing \(conv_in.weight\)"):
        build_translator(configuration(tmp_path / "part"))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelLoadError, match=r"unet: has no diffusion_pytorch_model.safetensors, only pickled weights \(diffusion_pyt"):
        build_translator(configuration(tmp_path / "part"))
    with pytest.raises(ModelLoadError, match=r"no model folder '/absent'; give a Hub id or a folder with unet/config.json, unet/diff"):
        build_translator(configuration(models, stable_diffusion={"name": "/absent"}))
    (tmp_path / "part" / "controlnet" / "config.json").unlink()
    shutil.copytree(models / "sd", tmp_path / "part" / "sd", dirs_exist_ok=True)
    with pytest.raises(ModelLoadError, match=r"controlnet: has no config.json"):
        build_translator(configuration(tmp_path / "part"))
    with pytest.raises(ModelLoadError, match=r"adapter: has no models/plus.safetensors"):
        adapter = {"model": {"name": str(models / "adapter")}, "images": {}, "weights": "models/plus.safetensors"}
        build_translator(configuration(models, adapter=adapter))


def test_without_network_the_error_says_where_the_files_belong(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: Any, **options: Any) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(
        ModelLoadError, match=r"'some/control' \(revision v2\).*no connection.*cache \(.*models--some--control\).*config.js"
    ):
        build_translator(configuration(models, controlnet={"name": "some/control", "revision": "v2"}))


def test_a_model_of_the_hub_is_named_with_its_commit_and_half_files_are_preferred(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "snapshots" / "0123abcd"
    network = diffusers.ControlNetModel.from_pretrained(models / "controlnet")
    network.half().save_pretrained(snapshot, variant="fp16")
    asked: list[list[str]] = []

    def download(name: str, revision: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    config = configuration(models, controlnet={"name": "some/control", "half": True})
    translated = build_translator(config).translate([request()])[0]
    assert translated.provenance["models"]["controlnet"] == {"name": "some/control", "revision": "0123abcd"}
    assert len(asked) == 1
    assert "diffusion_pytorch_model.fp16.safetensors" in asked[0]
    assert "diffusion_pytorch_model.safetensors" not in asked[0]


def test_devices_and_precisions(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="auto, cpu, cuda or cuda:N"):
        build_translator(configuration(models), device="graphics")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ValueError, match="finds 0 GPUs"):
        build_translator(configuration(models), device="cuda:1")
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        build_translator(configuration(models, precision="fp16"))
    with pytest.raises(ValueError, match=r"offload: model .*choose none"):
        build_translator(configuration(models, offload="model"))
    half = build_translator(configuration(models, precision="bf16"), device="cpu").translate([request()])[0]
    assert half.image.std() > 5


def test_without_diffusers_the_error_says_what_to_install(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("diffusion_translator", "painter"):
        monkeypatch.delitem(sys.modules, f"ssd_core.gdt.diffusion.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModelLoadError, match=r'diffusers is not installed: pip install -e "\.\[gdt\]" in a clone'):
        build_translator(configuration(models))
