# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of every kind, with a spread of depths, so that equality means something."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from ssd_core.model.checkpoint import Checkpoint
from ssd_core.model.config import ModelDescription, NetworkSize
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.depth_model import DepthModel
from ssd_core.model.efficientnet_lite import Stage

TINY = NetworkSize(32, 4, 2, (0, 1, 2, 3), (8, 12, 16, 16), 16)
SIZE = (98, 70)
CONVOLUTIONAL_SIZE = (112, 70)


def description(camera_input: bool = False, input_size: tuple[int, int] = SIZE) -> ModelDescription:
    return ModelDescription(parametrisation="sigmoid_disparity", input_size=input_size, camera_input=camera_input)


def tiny_transformer(camera_input: bool = False) -> DepthModel:
    model = DepthModel.create(TINY, description(camera_input))
    with torch.no_grad():
        model.network.head.conv3.weight *= 40
    return model


def tiny_convolutional() -> DepthModel:
    model = ConvolutionalDepthModel.create_convolutional((8, 8, 8, 16), description(input_size=CONVOLUTIONAL_SIZE))
    with torch.no_grad():
        model.network.head.weight *= 40
    return model


def tiny_efficientnet() -> DepthModel:
    stages = (Stage(1, 8, 1, 1, 3), Stage(2, 8, 2, 2, 5), Stage(2, 8, 1, 2, 3), Stage(2, 16, 1, 2, 5), Stage(2, 16, 1, 2, 3))
    model = ConvolutionalDepthModel.create_convolutional(stages, description(input_size=CONVOLUTIONAL_SIZE))
    with torch.no_grad():
        model.network.head.weight *= 40
    return model


class OneLayer(nn.Module):
    """The least that can be called a network: one convolution, of pixels to logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, 1, kernel_size=3, padding=1)


class OneLayerModel(DepthModel):
    """Quick to export, for tests of what is done with an exported network."""

    def _encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (pixels,)

    def _decode(self, features: tuple[Tensor, ...], height: int, width: int) -> Tensor:
        return 5 + self.network.head(features[0].to(self.network.head.weight.dtype)).sigmoid()

    @property
    def encoder(self) -> nn.Module:
        return self.network


@dataclasses.dataclass(frozen=True)
class OneLayerCheckpoint(Checkpoint):
    """A checkpoint without files."""

    def load_model(self) -> DepthModel:
        torch.manual_seed(0)
        return OneLayerModel(OneLayer(self.description.input_channels), self.description).eval()


def one_layer_checkpoint(camera_input: bool = False, weights_hash: str = "0123456789abcdef") -> Checkpoint:
    return OneLayerCheckpoint(Path("nowhere"), "one-layer", description(camera_input), weights_hash)
