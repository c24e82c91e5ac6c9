# SPDX-License-Identifier: Apache-2.0
"""Which layers of a network would leave float16's range, and so must stay float32 where the rest runs in float16."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssd_core.runtime.export import FixedSizeNetwork, layers
from ssd_core.runtime.sample_pictures import sample_cameras, sample_pictures

LARGEST = torch.finfo(torch.float16).max / 16
"""Largest absolute value that a layer may take or give in float16: a sixteenth of the format's, as other pictures may give larger ones."""


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
