# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of every kind, with a spread of depths, so that equality means something."""

from __future__ import annotations

import torch

from ssd_core.model.config import ModelDescription, NetworkSize
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.depth_model import DepthModel

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
