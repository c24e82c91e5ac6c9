# SPDX-License-Identifier: Apache-2.0
"""An honest stand-in for a trained checkpoint: random weights that are marked as such and give smooth, plausible distances."""

from __future__ import annotations

from pathlib import Path

import torch

from ssd_core.model.checkpoint import save_checkpoint
from ssd_core.model.config import EncoderSize, ModelDescription
from ssd_core.model.depth_model import DepthModel

_LOGIT_DEVIATION = 0.5


def create_untrained(folder: Path, size: EncoderSize = "ti", input_size: tuple[int, int] = (448, 252), seed: int = 0) -> None:
    """Write a checkpoint of random float16 weights, `"trained": false`, whose depth varies around FIRST_DEPTH metres.

    The last layer is scaled so that its output varies over a picture about as a trained one's does; otherwise every pixel would
    have the same depth and a broken pipeline would look like a working one.
    """
    description = ModelDescription(parametrisation="sigmoid_disparity", input_size=input_size, trained=False, recipe={"seed": seed})
    model = DepthModel.create(size, description, seed)
    last = model.network.head.conv3
    mean_logit = last.bias.item()
    with torch.no_grad():
        last.bias.zero_()
        logits = torch.logit(_raw_output(model, _test_picture(input_size, seed)).double())
        scale = _LOGIT_DEVIATION / logits.std()
        last.weight *= scale
        last.bias += mean_logit - logits.mean() * scale
    save_checkpoint(folder, model, half=True)


def _raw_output(model: DepthModel, images: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = model.network((images - model.mean) / model.std).predicted_depth
    return output


def _test_picture(size: tuple[int, int], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 9, 16, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size[1], size[0]), mode="bicubic").clamp(0, 1)
