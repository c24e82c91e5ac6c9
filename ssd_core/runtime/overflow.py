# SPDX-License-Identifier: Apache-2.0
"""Networks in less than float32, and which layers must stay float32 since they would leave float16's range."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssd_core.model.depth_model import DepthModel
from ssd_core.runtime.backends import Precision
from ssd_core.runtime.export import FixedSizeNetwork, layers
from ssd_core.runtime.sample_pictures import sample_cameras, sample_pictures

_logger = logging.getLogger(__name__)

TYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

LARGEST = torch.finfo(torch.float16).max / 16
"""Largest absolute value that a layer may take or give in float16: a sixteenth of the format's, as other pictures may give larger ones."""


def network_in(precision: Precision, model: DepthModel, input_size: tuple[int, int], device: torch.device) -> FixedSizeNetwork:
    """The network in a precision on a device; in fp16 with the layers in float32 that would overflow."""
    if precision != "fp16":
        return FixedSizeNetwork(model, input_size, TYPES[precision]).to(device)
    names = overflowing_layers(FixedSizeNetwork(model, input_size).to(device))
    if names:
        _logger.info("%d layers stay in float32, as float16 can't hold their values: %s", len(names), ", ".join(names))
    return FixedSizeNetwork(model, input_size, torch.float16, names).to(device)


def overflowing_layers(network: FixedSizeNetwork) -> tuple[str, ...]:
    """Names of the layers that took or gave a value beyond `LARGEST` for any of the sample pictures.

    network: in float32, on any device. Of an attention all layers count as one: query, key and value must have one type.
    """
    largest: dict[str, float] = {}
    handles = [layer.register_forward_hook(_measure(name, largest)) for name, layer in layers(network.model.network)]
    try:
        _run_on_samples(network)
    finally:
        for handle in handles:
            handle.remove()
    modules = dict(network.model.network.named_modules())
    found = {_attention_of(name, modules) or name for name, value in largest.items() if not value <= LARGEST}
    return tuple(name for name in largest if any(name == other or name.startswith(f"{other}.") for other in found))


def _run_on_samples(network: FixedSizeNetwork) -> None:
    pictures = sample_pictures(network.input_size)
    matrices = np.stack([camera.matrix for camera in sample_cameras(network.input_size, len(pictures))]).astype(np.float32)
    device = network.model.mean.device
    takes_camera = network.model.description.camera_input
    with torch.inference_mode():
        for picture, matrix in zip(torch.from_numpy(pictures), torch.from_numpy(matrices), strict=True):
            network(*(value[None].to(device) for value in ((picture, matrix) if takes_camera else (picture,))))


def _measure(name: str, largest: dict[str, float]) -> Any:
    def hook(_layer: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        for value in (*arguments, output):
            if isinstance(value, Tensor):
                # max of Python would drop a NaN that comes second.
                largest[name] = float(np.maximum(largest.get(name, 0.0), value.abs().max().item()))

    return hook


def _attention_of(name: str, modules: dict[str, nn.Module]) -> str | None:
    """The outermost attention that a layer is part of."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        if "Attention" in type(modules[".".join(parts[:count])]).__name__:
            return ".".join(parts[:count])
    return None
