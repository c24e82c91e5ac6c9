# SPDX-License-Identifier: Apache-2.0
"""The depth network that a recipe asks for: random, with a pretrained encoder, or an earlier checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssd_core.data.transforms import Sample
from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.model.config import ModelDescription, TrainingCamera
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.depth_model import DepthModel
from ssd_core.model.encoder_weights import load_encoder
from ssd_core.training.config import ModelConfig
from ssd_core.weights import BUNDLED, bundled_folder


def describe(
    config: ModelConfig, recipe: dict[str, Any], focal_length: float | None, camera: TrainingCamera | None = None
) -> ModelDescription:
    """What the trained network's `ssd.json` will say.

    focal_length: fx of the canonical camera as a share of the input's width; None: depth is metres of `camera`, the one trained with.
    """
    width, height = config.input_size
    if focal_length is not None:
        camera = TrainingCamera(width=width, height=height, fx=focal_length * width, fy=focal_length * width)
    return ModelDescription(
        parametrisation="sigmoid_disparity",
        input_size=(width, height),
        min_depth=config.min_depth,
        max_depth=config.max_depth,
        training_camera=camera,
        focal_normalisation=focal_length is not None,
        recipe=recipe,
    )


def make_model(config: ModelConfig, description: ModelDescription, seed: int) -> DepthModel:
    """The network to train. Raises ModelLoadError for a start or an encoder that can't be used."""
    if config.start != "random":
        model = open_checkpoint(bundled_folder() if config.start == BUNDLED else config.start).load_model()
        return type(model)(model.network, description)
    if config.size == "half" or config.size == "full":
        model = ConvolutionalDepthModel.create_convolutional(config.size, description, seed)
    else:
        model = DepthModel.create(config.size, description, seed)
    if config.encoder is not None:
        load_encoder(model, config.encoder)
    return model


def depth_parameter_groups(model: DepthModel, encoder_learning_rate: float, head_learning_rate: float) -> list[dict[str, Any]]:
    """Groups for AdamW: the encoder, and neck and head."""
    encoder = list(model.encoder.parameters())
    known = {id(parameter) for parameter in encoder}
    head = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [{"params": encoder, "lr": encoder_learning_rate}, {"params": head, "lr": head_learning_rate}]


def focal_scale(focal: Tensor, canonical: float | None, width: int) -> Tensor:
    """[B] factors that make the network's depth metres, for focal lengths [B] in pixels of a network's input of this width.

    canonical: the trained fx as a share of the width; None, where the network gives metres itself: ones.
    """
    return torch.ones_like(focal) if canonical is None else focal / (canonical * width)


def predict_metres(model: DepthModel, sample: Sample, canonical: float | None) -> npt.NDArray[np.float32]:
    """Depth of a picture of the network's input size, with its camera."""
    assert sample.camera is not None
    image = torch.from_numpy(np.ascontiguousarray(sample.image))[None].to(next(model.parameters()).device)
    scale = focal_scale(torch.tensor([sample.camera.fx]), canonical, sample.camera.width)
    return np.asarray(model(pixels(image))[0, 0].float().cpu().numpy() * scale.item(), dtype=np.float32)


def pixels(images: Tensor) -> Tensor:
    """(..., 3, H, W) float32 in 0..1 of uint8 (..., H, W, 3)."""
    return images.movedim(-1, -3).float().div(255)
