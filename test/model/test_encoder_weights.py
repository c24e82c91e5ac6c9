# SPDX-License-Identifier: Apache-2.0
"""Meta's DINOv2 files: converted strictly, same features, and where the two codes' position tables differ."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional

from ssd_core.model.checkpoint import ModelLoadError
from ssd_core.model.config import ModelDescription, NetworkSize
from ssd_core.model.depth_model import DepthModel
from ssd_core.model.encoder_weights import convert_dinov2, load_encoder

WIDTH, LAYERS, GRID, HEADS = 128, 4, 37, 2
TINY = NetworkSize(WIDTH, LAYERS, HEADS, (0, 1, 2, 3), (8, 8, 8, 8), 8)


def meta_tensors() -> dict[str, Tensor]:
    """Names and shapes as in dinov2_vits14_pretrain.pth, small."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, GRID * GRID + 1, WIDTH),
        "mask_token": (1, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, 14, 14),
        "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
    }
    for block in range(LAYERS):
        for name, shape in {
            "norm1.weight": (WIDTH,),
            "norm1.bias": (WIDTH,),
            "attn.qkv.weight": (3 * WIDTH, WIDTH),
            "attn.qkv.bias": (3 * WIDTH,),
            "attn.proj.weight": (WIDTH, WIDTH),
            "attn.proj.bias": (WIDTH,),
            "ls1.gamma": (WIDTH,),
            "norm2.weight": (WIDTH,),
            "norm2.bias": (WIDTH,),
            "mlp.fc1.weight": (4 * WIDTH, WIDTH),
            "mlp.fc1.bias": (4 * WIDTH,),
            "mlp.fc2.weight": (WIDTH, 4 * WIDTH),
            "mlp.fc2.bias": (WIDTH,),
            "ls2.gamma": (WIDTH,),
        }.items():
            shapes[f"blocks.{block}.{name}"] = shape
    return {name: torch.randn(shape, generator=generator) / (shape[-1] ** 0.5 if len(shape) == 2 else 2) for name, shape in shapes.items()}


def meta_positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """Meta's resize of the position table: by scale factor, with an offset of 0.1 patches (dinov2, vision_transformer.py)."""
    if rows == columns == GRID:
        return table
    grid = table[:, 1:].reshape(1, GRID, GRID, WIDTH).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, scale_factor=((rows + 0.1) / GRID, (columns + 0.1) / GRID), mode="bicubic")
    assert grid.shape[-2:] == (rows, columns)
    return torch.cat([table[:, :1], grid.permute(0, 2, 3, 1).reshape(1, -1, WIDTH)], dim=1)


def sized_positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """The same by the wanted size, as transformers and this project do it."""
    grid = table[:, 1:].reshape(1, GRID, GRID, WIDTH).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], grid.permute(0, 2, 3, 1).reshape(1, -1, WIDTH)], dim=1)


def vision_transformer(weights: dict[str, Tensor], images: Tensor, positions: Any) -> Tensor:
    """Patch tokens [B, N, C] after the last norm, written down from the ViT paper with Meta's tensor names."""
    patches = functional.conv2d(images, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=14)
    rows, columns = patches.shape[-2:]
    x = torch.cat([weights["cls_token"].expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
    x = x + positions(weights["pos_embed"], rows, columns)
    for block in range(LAYERS):
        w = {name.removeprefix(f"blocks.{block}."): tensor for name, tensor in weights.items()}
        y = functional.layer_norm(x, (WIDTH,), w["norm1.weight"], w["norm1.bias"], 1e-6)
        qkv = functional.linear(y, w["attn.qkv.weight"], w["attn.qkv.bias"])
        q, k, v = qkv.reshape(*y.shape[:2], 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        y = ((q @ k.transpose(-1, -2)) * (WIDTH // HEADS) ** -0.5).softmax(-1) @ v
        y = functional.linear(y.transpose(1, 2).flatten(2), w["attn.proj.weight"], w["attn.proj.bias"])
        x = x + w["ls1.gamma"] * y
        y = functional.layer_norm(x, (WIDTH,), w["norm2.weight"], w["norm2.bias"], 1e-6)
        y = functional.gelu(functional.linear(y, w["mlp.fc1.weight"], w["mlp.fc1.bias"]))
        x = x + w["ls2.gamma"] * functional.linear(y, w["mlp.fc2.weight"], w["mlp.fc2.bias"])
    return functional.layer_norm(x, (WIDTH,), weights["norm.weight"], weights["norm.bias"], 1e-6)[:, 1:]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dinov2")
    torch.save(meta_tensors(), folder / "pretrain.pth")
    convert_dinov2(folder / "pretrain.pth", folder / "converted")
    return folder / "converted"


def features(folder: Path, images: Tensor) -> Tensor:
    with torch.inference_mode():
        tokens: Tensor = transformers.Dinov2Model.from_pretrained(folder).eval()(images).last_hidden_state[:, 1:]
    return tokens


def test_features_equal_at_518x518(converted: Path) -> None:
    images = torch.randn(1, 3, 14 * GRID, 14 * GRID, generator=torch.Generator().manual_seed(1))
    expected = vision_transformer(meta_tensors(), images, meta_positions)
    torch.testing.assert_close(features(converted, images), expected, rtol=1e-4, atol=1e-4)


def test_off_that_size_only_the_position_table_differs(converted: Path) -> None:
    images = torch.randn(1, 3, 14 * 18, 14 * 32, generator=torch.Generator().manual_seed(1))
    by_size = vision_transformer(meta_tensors(), images, sized_positions)
    by_scale = vision_transformer(meta_tensors(), images, meta_positions)
    torch.testing.assert_close(features(converted, images), by_size, rtol=1e-4, atol=1e-4)
    difference = (by_scale - by_size).norm() / by_size.norm()
    assert 1e-3 < difference < 0.2, "the two conventions differ, but by little"


def test_a_model_takes_the_converted_encoder(converted: Path) -> None:
    description = ModelDescription(parametrisation="sigmoid_disparity", input_size=(70, 70))
    model = DepthModel.create(TINY, description)
    load_encoder(model, converted)
    images = torch.rand(1, 3, 70, 70)
    with torch.inference_mode():
        pixels = (images - model.mean) / model.std
        torch.testing.assert_close(model.patch_tokens(images), features(converted, pixels), rtol=1e-4, atol=1e-4)


def test_an_encoder_that_never_saw_a_camera_ignores_it_at_first(converted: Path) -> None:
    description = ModelDescription(parametrisation="sigmoid_disparity", input_size=(70, 70), camera_input=True)
    model = DepthModel.create(TINY, description)
    load_encoder(model, converted)
    images, intrinsics = torch.rand(1, 3, 70, 70), torch.tensor([[[60.0, 0, 35], [0, 60, 30], [0, 0, 1]]])
    with torch.inference_mode():
        pixels = (images - model.mean) / model.std
        torch.testing.assert_close(model.patch_tokens(images, intrinsics), features(converted, pixels), rtol=1e-4, atol=1e-4)


def test_an_encoder_of_another_size_is_refused(converted: Path) -> None:
    other = NetworkSize(64, LAYERS, 1, (0, 1, 2, 3), (8, 8, 8, 8), 8)
    model = DepthModel.create(other, ModelDescription(parametrisation="sigmoid_disparity", input_size=(70, 70)))
    with pytest.raises(ModelLoadError, match="hidden_size is 128, the model's is 64"):
        load_encoder(model, converted)


WRONG = {
    "registers": ({"register_tokens": torch.zeros(1, 4, WIDTH)}, "register tokens isn't supported; take the file without '_reg4'"),
    "extra": ({"head.weight": torch.zeros(3)}, "unknown tensors head.weight"),
    "giant": ({"blocks.0.mlp.w12.weight": torch.zeros(3)}, "giant isn't supported"),
    "missing": ({"blocks.1.ls2.gamma": None}, r"1 missing \(encoder.layer.1.layer_scale2.lambda1"),
    "not square": ({"pos_embed": torch.zeros(1, 8, WIDTH)}, "8 positions are no DINOv2 encoder"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_plain_dinov2_is_refused(tmp_path: Path, case: str) -> None:
    change, message = WRONG[case]
    tensors = {name: tensor for name, tensor in (meta_tensors() | change).items() if tensor is not None}
    torch.save(tensors, tmp_path / "pretrain.pth")
    with pytest.raises(ModelLoadError, match=message):
        convert_dinov2(tmp_path / "pretrain.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"cls_token": Evil()}, protocol=2))
    with pytest.raises(ModelLoadError, match="not a readable file of tensors"):
        convert_dinov2(tmp_path / "evil.pth", tmp_path / "out")
    assert not (tmp_path / "touched").exists()
