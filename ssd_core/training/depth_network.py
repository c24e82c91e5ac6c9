# SPDX-License-Identifier: Apache-2.0
"""The depth network that a recipe asks for: random, with a pretrained encoder, or an earlier checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ssd_core.data.transforms import Sample
from ssd_core.model.checkpoint import ModelLoadError, open_checkpoint
from ssd_core.model.config import ConvolutionalSize, EncoderSize, ModelDescription, Preprocessing, TrainingCamera
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.depth_model import DepthModel
from ssd_core.model.encoder_weights import load_encoder
from ssd_core.training.config import ModelConfig

_logger = logging.getLogger(__name__)

_SAME_LENS = 0.01
"""Relative difference of focal lengths, as shares of the width, that is none."""
_HALVES = (0.5, 0.5, 0.5)
"""What EfficientNet-Lite's ImageNet weights were trained with: pixels from -1 to 1."""


def describe(
    config: ModelConfig, recipe: dict[str, Any], focal_length: float | None, camera: TrainingCamera | None = None
) -> ModelDescription:
    """What the trained network's `ssd.json` will say.

    focal_length: fx of the canonical camera as a share of the width of `input_size`; None: depth is metres of `camera`, the trained one.
    """
    width, height = config.input_size
    if focal_length is not None:
        camera = TrainingCamera(width=width, height=height, fx=focal_length * width, fy=focal_length * width)
    return ModelDescription(
        parametrisation="sigmoid_disparity",
        input_size=(width, height),
        min_depth=config.min_depth,
        max_depth=config.canonical_max_depth or config.max_depth,
        trusted_depth=config.max_depth,
        preprocessing=Preprocessing(mean=_HALVES, std=_HALVES) if config.architecture == "efficientnet" else Preprocessing(),
        training_camera=camera,
        focal_normalisation=focal_length is not None,
        camera_input=config.camera_input,
        recipe=recipe,
    )


def make_model(config: ModelConfig, description: ModelDescription, seed: int) -> DepthModel:
    """The network to train. Raises ModelLoadError for a start or an encoder that can't be used."""
    if config.start != "random":
        checkpoint = open_checkpoint(config.start)
        _check_start(config.start, checkpoint.description, description)
        model = checkpoint.load_model()
        return type(model)(model.network, description.model_copy(update={"preprocessing": model.description.preprocessing}))
    if config.architecture == "vit":
        model = DepthModel.create(cast("EncoderSize", config.size), description, seed)
    else:
        model = ConvolutionalDepthModel.create_convolutional(
            cast("ConvolutionalSize", config.size), description, seed, config.camera_height
        )
    if config.encoder is not None:
        load_encoder(model, config.encoder)
    return model


def _check_start(start: str, found: ModelDescription, wanted: ModelDescription) -> None:
    """Raise ModelLoadError for a checkpoint whose output would be read as something else; warn of what it has to learn anew."""
    if found.parametrisation != wanted.parametrisation:
        raise ModelLoadError(
            f"model.start: the output of {start} is {found.parametrisation} and would be read as {wanted.parametrisation}, wrongly; start "
            "from bundled or a checkpoint that was trained here, or leave it random and take an encoder's weights alone, DINOv2's or "
            "another's (model.encoder=facebook/dinov2-small)"
        )
    if found.camera_input != wanted.camera_input:
        raise ModelLoadError(f"model.camera_input: set it to {str(found.camera_input).lower()}, as {start} has it")
    for difference in _differences(found, wanted):
        _logger.warning("model.start: %s %s: its depth is off until it has learnt that", start, difference)


def _differences(found: ModelDescription, wanted: ModelDescription) -> Iterator[str]:
    """What the same output means in metres, where that isn't the same."""
    ranges = [f"{description.min_depth:g} to {description.max_depth:g} m" for description in (found, wanted)]
    if ranges[0] != ranges[1]:
        yield f"says depth of {ranges[0]}, this recipe of {ranges[1]}"
    if found.focal_normalisation != wanted.focal_normalisation:
        yield f"was trained {'with' if found.focal_normalisation else 'without'} a canonical camera, unlike this recipe"
        return
    lenses = [camera.fx / camera.width for camera in (found.training_camera, wanted.training_camera) if camera is not None]
    if len(lenses) == 2 and abs(lenses[0] / lenses[1] - 1) > _SAME_LENS:
        yield f"says metres of a camera whose focal length is {lenses[0]:.2f} of the width, this recipe of {lenses[1]:.2f}"


def parameter_groups(model: nn.Module, encoder: nn.Module, encoder_learning_rate: float, rest_learning_rate: float) -> list[dict[str, Any]]:
    """Groups for AdamW: the encoder, which is a part of the model, and all else."""
    known = {id(parameter) for parameter in encoder.parameters()}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [{"params": list(encoder.parameters()), "lr": encoder_learning_rate}, {"params": rest, "lr": rest_learning_rate}]


@torch.no_grad()
def predict_metres(model: DepthModel, sample: Sample) -> npt.NDArray[np.float32]:
    """Depth (H, W), metres, of a picture of the network's input size, with its camera."""
    assert sample.camera is not None
    device = next(model.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(sample.image))[None].to(device)
    intrinsics = torch.from_numpy(sample.camera.matrix).float()[None].to(device)
    return np.asarray(model.predict_metres(pixels(image), intrinsics).depth[0, 0].cpu().numpy(), dtype=np.float32)


def pixels(images: Tensor) -> Tensor:
    """(..., 3, H, W) float32 in 0..1 of uint8 (..., H, W, 3)."""
    return images.movedim(-1, -3).float().div(255)
