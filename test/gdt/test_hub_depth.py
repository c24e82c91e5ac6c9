# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from ssd_core.gdt.depth_maps import load_network
from ssd_core.gdt.hub_depth import HubDepth
from ssd_core.gdt.tiled_depth import TiledDepth
from ssd_core.model.checkpoint import ModelLoadError

TINY = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32, "patch_size": 8}


def save_dpt(folder: Path) -> None:
    """As Intel/dpt-large: MiDaS."""
    torch.manual_seed(0)
    config: Any = transformers.DPTConfig
    network = transformers.DPTForDepthEstimation(
        config(**TINY, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8)
    )
    network.save_pretrained(folder)
    processor: Any = transformers.DPTImageProcessor
    processor(size={"height": 32, "width": 32}).save_pretrained(folder)


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_model_the_estimator_does_not_know(tmp_path: Path) -> None:
    save_dpt(tmp_path / "midas")
    source = load_network(f"transformers:{tmp_path / 'midas'}", [])
    assert isinstance(source, HubDepth)
    assert source.kind == "relative_inverse"
    assert source.model_id.startswith("midas@")
    small, sized = source([picture(90, 50), picture(90, 50)], output_sizes=[None, (90, 50)])
    assert small.values.shape == (64, 64)
    assert sized.values.shape == (50, 90)
    assert np.isfinite(small.values).all()
    assert small.values.std() > 0
    refined = TiledDepth(source)([picture(90, 50)])[0]
    assert refined.values.shape == (50, 90)
    assert refined.kind == "relative_inverse"


def test_public_checkpoints_lack_what_is_never_used(tmp_path: Path) -> None:
    save_dpt(tmp_path)
    whole = HubDepth.load(str(tmp_path))([picture(90, 50)])[0].values
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "fusion_stage.layers.0.residual_layer1." not in name}
    assert len(kept) < len(tensors)
    safetensors.torch.save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_array_equal(HubDepth.load(str(tmp_path))([picture(90, 50)])[0].values, whole)
    kept.pop(next(name for name in kept if "fusion_stage.layers.1.residual_layer1." in name))
    safetensors.torch.save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"1 missing \(neck.fusion_stage.layers.1"):
        HubDepth.load(str(tmp_path))


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    save_dpt(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ModelLoadError, match="model_type 'vit' isn't known; known: dpt, depth_anything"):
        HubDepth.load(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({**config, "fusion_hidden_size": 12}))
    with pytest.raises(ModelLoadError, match=r"tensors don't fit config.json: .*of a wrong shape|can't be built from it"):
        HubDepth.load(str(tmp_path))
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ModelLoadError, match=r"has no preprocessor_config.json"):
        HubDepth.load(str(tmp_path))
