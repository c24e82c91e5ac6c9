# SPDX-License-Identifier: Apache-2.0
"""The network as one graph of one fixed size: raw pixels (and the camera, where the network sees it) in, depth out."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ssd_core.model.config import PATCH_SIZE, ModelDescription, check_input_size
from ssd_core.model.depth_model import DepthModel


class FixedSizeNetwork(nn.Module):
    """uint8 RGB [B, H, W, 3] of one fixed H, W -> float32 [B, H, W] depth (or relative inverse depth).

    A network with `camera_input` takes float32 intrinsics [B, 3, 3], in pixels of these images, beside them.

    Normalisation, and the step from the sigmoid to depth, are part of the graph. The position table is resized once, here:
    exporters either trace the resize at every call or bake a wrong size in. The last layer and all that follows stay float32
    whatever `dtype` is: bfloat16 has 8 bits, and one step of a logit near -6 would be 3 % of depth. So do `float32_layers`, names of
    layers of `model.network` (see `ssd_core.runtime.overflow`); what comes out of them stays float32 up to the next layer.
    """

    def __init__(
        self,
        model: DepthModel,
        input_size: tuple[int, int],
        dtype: torch.dtype = torch.float32,
        float32_layers: Collection[str] = (),
    ) -> None:
        super().__init__()
        check_input_size(input_size)
        self.input_size = input_size
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        if hasattr(self.model.encoder, "embeddings"):
            _fix_position_table(self.model.encoder.embeddings, input_size)
        self.model.network.to(dtype)
        self.dtype = dtype
        if dtype != torch.float32:
            _last_layer(self.model).float()
            for name, layer in layers(self.model.network):
                if name in float32_layers:
                    layer.float()
                layer.register_forward_pre_hook(_cast_to_own_type)

    def forward(self, images: Tensor, intrinsics: Tensor | None = None) -> Tensor:
        """See the class. Raises ValueError for images of another size."""
        width, height = self.input_size
        # A size with as many patches (448x252 and 252x448) would pass through all layers and give a wrong depth.
        if images.shape[1:] != (height, width, 3):
            raise ValueError(
                f"images of shape {tuple(images.shape)}: this network is built for {width}x{height}, (B, {height}, {width}, 3)"
            )
        # To float first: TensorRT can do nothing with an image of bytes but convert it.
        pixels = images.float().permute(0, 3, 1, 2) / 255
        depth: Tensor = self.model(pixels, intrinsics)
        return depth[:, 0].float()

    def example_inputs(self, batch: int = 1) -> tuple[Tensor, ...]:
        """See the function."""
        return example_inputs(self.model.description, self.input_size, batch, self.model.mean.device)


def example_inputs(
    description: ModelDescription, input_size: tuple[int, int], batch: int = 1, device: torch.device | None = None
) -> tuple[Tensor, ...]:
    """What a fixed-size network's `forward` takes: black images, and where the camera is an input intrinsics of a plain lens."""
    width, height = input_size
    images = torch.zeros(batch, height, width, 3, dtype=torch.uint8, device=device)
    if not description.camera_input:
        return (images,)
    lens = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=torch.float32, device=device)
    return images, lens.repeat(batch, 1, 1)


def export_program(network: FixedSizeNetwork, batch: int = 1) -> torch.export.ExportedProgram:
    """The network as torch.export's graph of this one size and batch; for any other its guards raise, naming the right one."""
    with torch.no_grad():
        return torch.export.export(network, network.example_inputs(batch), strict=False)


def layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(name, module) of everything that has weights and no modules within."""
    for name, module in network.named_modules():
        if next(module.children(), None) is None and next(module.parameters(), None) is not None:
            yield name, module


def _cast_to_own_type(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    dtype = next(layer.parameters()).dtype
    return tuple(value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value for value in arguments)


def _fix_position_table(embeddings: Any, input_size: tuple[int, int]) -> None:
    width, height = input_size
    rows, columns = height // PATCH_SIZE, width // PATCH_SIZE
    with torch.no_grad():
        tokens = embeddings.position_embeddings.new_zeros(1, rows * columns + 1, embeddings.position_embeddings.shape[-1])
        table = embeddings.interpolate_pos_encoding(tokens, height, width).clone()
    embeddings.position_embeddings = nn.Parameter(table, requires_grad=False)
    embeddings.interpolate_pos_encoding = lambda tokens, height, width: embeddings.position_embeddings  # noqa: ARG005


def _last_layer(model: DepthModel) -> nn.Module:
    layers: list[nn.Module] = [module for module in model.network.head.modules() if isinstance(module, nn.Conv2d)]
    return layers[-1]
