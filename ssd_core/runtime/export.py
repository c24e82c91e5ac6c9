# SPDX-License-Identifier: Apache-2.0
"""The network as one graph of one fixed size: raw pixels (and the camera, where the network sees it) in, depth out."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ssd_core.model.config import PATCH_SIZE, check_input_size
from ssd_core.model.depth_model import DepthModel


class FixedSizeNetwork(nn.Module):
    """uint8 RGB [B, H, W, 3] of one fixed H, W -> float32 [B, H, W] depth (or relative inverse depth).

    A network with `camera_input` takes float32 intrinsics [B, 3, 3], in pixels of these images, beside them.

    Normalisation, and the step from the sigmoid to depth, are part of the graph. The position table is resized once, here:
    exporters either trace the resize at every call or bake a wrong size in. The last layer and all that follows stay float32
    whatever `dtype` is: bfloat16 has 8 bits, and one step of a logit near -6 would be 3 % of depth.
    """

    def __init__(self, model: DepthModel, input_size: tuple[int, int], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        check_input_size(input_size)
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        if hasattr(self.model.encoder, "embeddings"):
            _fix_position_table(self.model.encoder.embeddings, input_size)
        self.model.network.to(dtype)
        self.dtype = dtype
        if dtype != torch.float32:
            last = _last_layer(self.model)
            last.float().register_forward_pre_hook(lambda _module, arguments: (arguments[0].float(),))

    def forward(self, images: Tensor, intrinsics: Tensor | None = None) -> Tensor:
        """See the class."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        depth: Tensor = self.model(pixels, intrinsics)
        return depth[:, 0].float()


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
