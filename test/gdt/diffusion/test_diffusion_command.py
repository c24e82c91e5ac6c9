# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth synthesize --translator diffusion` over a recording, with networks in miniature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="diffusers isn't installed (extra [gdt])")

from tiny_models import save_all
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.data.translations import read_translations
from ssd_core.images.codec import encode_png
from ssd_core.storage.json_lines import read_json_lines

FRAMES = 3


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clear days with depth, and a night to show the network."""
    folder = tmp_path_factory.mktemp("command")
    save_all(folder / "models")
    writer = FrameDatasetWriter(folder / "data", {"kind": "test"})
    generator = np.random.default_rng(0)
    blocks = np.ones((10, 10), dtype=np.uint8)
    for number, condition in enumerate(["day-clear"] * FRAMES + ["night"]):
        image = np.stack([np.kron(generator.integers(0, 256, (5, 9), dtype=np.uint8), blocks) for _ in range(3)], axis=-1)
        depth = np.kron(generator.uniform(3, 60, (5, 9)), blocks).astype(np.float32)
        frame = Frame(f"front/{number}", "drive", "front", number, condition=condition)
        writer.add(frame, encode_png(image), ".png", depth=depth)
    return folder


def arguments(folder: Path) -> list[str]:
    models = folder / "models"
    settings = {
        "gate.use_depth": "false",
        "gate.night": "{min_edge_agreement: null, max_displaced: null}",
        "diffusion.stable_diffusion.name": models / "sd",
        "diffusion.controlnet.name": models / "controlnet",
        "diffusion.adapter": f"{{model: {{name: {models / 'adapter'}}}, images: {{night: {folder / 'data'}}}}}",
        "diffusion.captioner": f"{{kind: blip, model: {{name: {models / 'blip'}}}, max_new_tokens: 6}}",
        "diffusion.steps": 2,
        "diffusion.long_side": 64,
        "diffusion.batch_size": 2,
    }
    command = ["synthesize", "--data", str(folder / "data"), "--translator", "diffusion", "--condition", "night"]
    return command + [f"{key}={value}" for key, value in settings.items()]


def test_a_recording_is_translated_and_a_stopped_run_ends_with_the_same_files(recording: Path) -> None:
    run = CliRunner().invoke(app, arguments(recording), catch_exceptions=False)
    assert run.exit_code == 0
    root = recording / "data" / "translated" / "diffusion"
    records = read_json_lines(root / "manifest.jsonl")
    assert [record["frame_id"] for record in records] == ["front/0", "front/1", "front/2"]
    for record in records:
        assert record["caption"] in record["prompt"]
        assert record["image_prompt"] == "data/front/3"
        assert record["models"]["controlnet"]["name"] == "controlnet"
        assert record["depth_model"] == "truth"
        assert "scores" in record
    translations = read_translations(recording / "data", "diffusion")
    assert [translation.condition for translation in translations] == ["night"] * sum(record["accepted"] for record in records)

    before = {record["image"]: (recording / "data" / record["image"]).read_bytes() for record in records}
    lines = (root / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (root / "manifest.jsonl").write_bytes(lines[0] + lines[1][:40])
    assert CliRunner().invoke(app, arguments(recording), catch_exceptions=False).exit_code == 0
    assert (root / "manifest.jsonl").read_bytes() == b"".join(lines)
    assert {image: (recording / "data" / image).read_bytes() for image in before} == before
