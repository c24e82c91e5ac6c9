# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says about itself beside its weights: preprocessing, output, depth range, training camera (`ssd.json`)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import pydantic

from ssd_core.storage.configuration import StrictModel

PATCH_SIZE = 14
"""Side of a DINOv2 patch in pixels; input sizes are multiples of it."""

EncoderSize = Literal["ti", "s", "b", "l"]
ResNetSize = Literal["half", "full"]
LiteSize = Literal["lite0", "lite1", "lite2"]
ConvolutionalSize = Literal[ResNetSize, LiteSize]
Parametrisation = Literal["sigmoid_disparity", "metric", "relative_inverse"]
DepthKind = Literal["metric", "relative_inverse"]


class Preprocessing(StrictModel):
    """Normalisation of RGB scaled to 0..1: ``(rgb - mean) / std``. The defaults are ImageNet's, as DINOv2 was trained with."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[pydantic.PositiveFloat, pydantic.PositiveFloat, pydantic.PositiveFloat] = (0.229, 0.224, 0.225)


class TrainingCamera(StrictModel):
    """The pinhole camera of the training images, in pixels of an image of this width and height."""

    width: pydantic.PositiveInt
    height: pydantic.PositiveInt
    fx: pydantic.PositiveFloat
    fy: pydantic.PositiveFloat


class ModelDescription(StrictModel):
    """Contents of `ssd.json`. Files of public checkpoints lack it; then it is derived from their `config.json`."""

    format_version: Literal[1] = 1
    parametrisation: Parametrisation
    """sigmoid_disparity: 1/depth = 1/max + (1/min - 1/max) * sigmoid; metric: the network gives metres; relative_inverse: the
    network gives inverse depth up to an unknown scale and shift."""
    input_size: tuple[pydantic.PositiveInt, pydantic.PositiveInt]
    """(width, height) in pixels the network was trained at, and runs at by default."""
    min_depth: pydantic.PositiveFloat = 0.1
    """Metres; the nearest depth the network can or should give."""
    max_depth: pydantic.PositiveFloat = 80.0
    """Metres; the farthest, before focal normalisation is undone."""
    trusted_depth: pydantic.PositiveFloat | None = None
    """Metres; what is farther is sky or a guess. None: `max_depth`. With focal normalisation the network must be able to say more than
    that: a lens of half the canonical focal length halves what it says."""
    preprocessing: Preprocessing = Preprocessing()
    training_camera: TrainingCamera | None = None
    focal_normalisation: bool = False
    """Multiply depth by (fx at the network's input) / (training camera's fx at the training input)."""
    camera_input: bool = False
    """The network sees its camera: two more input channels say where each pixel lies from the principal point (`camera_channels`)."""
    trained: bool = True
    """False for random weights."""
    recipe: dict[str, Any] = pydantic.Field(default_factory=dict)
    """How it was trained: the resolved configuration, free in form."""
    git_revision: str = "unknown"

    @pydantic.model_validator(mode="after")
    def _is_consistent(self) -> ModelDescription:
        if self.min_depth >= self.max_depth:
            raise ValueError(f"min_depth {self.min_depth} must be below max_depth {self.max_depth}")
        if self.focal_normalisation and self.training_camera is None:
            raise ValueError("focal_normalisation needs training_camera")
        check_input_size(self.input_size)
        return self

    @property
    def farthest(self) -> float:
        """Metres; where the range ends that the model was made for."""
        return self.trusted_depth or self.max_depth

    @property
    def input_channels(self) -> int:
        """Of the network: RGB, and `camera_channels`."""
        return 5 if self.camera_input else 3

    @property
    def needs_camera(self) -> bool:
        """Whether depth can't be had without the picture's camera."""
        return self.focal_normalisation or self.camera_input

    @property
    def kind(self) -> DepthKind:
        """What the values are: metres along Z, or inverse depth up to scale and shift."""
        return "relative_inverse" if self.parametrisation == "relative_inverse" else "metric"

    def focal_scale(self, focal_length: float, image_width: int, input_width: int) -> float:
        """Factor that carries depth from the training camera to this one; 1 without focal normalisation.

        focal_length: fx in pixels of an image `image_width` wide that is resized to `input_width` for the network. Apparent
        size is focal length over distance, so twice the focal length (both at the network's input) means twice the depth.
        """
        trained = self.canonical_focal_length
        return 1.0 if trained is None else focal_length * input_width / image_width / trained

    def fitting_input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """The (width, height) to run at for images of this size: of their aspect and about the area of `input_size`.

        Wide images leave few rows, and distance is told from where things stand in the picture's height. A network that sees its camera
        knows how its input was squeezed: it does better half way between the images' aspect and its own (docs/results.md).
        """
        aspect, own = image_size[0] / image_size[1], self.input_size[0] / self.input_size[1]
        if self.camera_input and aspect > own:
            aspect = math.sqrt(aspect * own)
        return suggest_input_size(aspect, self.input_size)

    @property
    def canonical_focal_length(self) -> float | None:
        """fx in pixels at the network's input, whatever the input's size, for which its depth is metres as it comes; None: for any."""
        if not self.focal_normalisation or self.training_camera is None:
            return None
        return self.training_camera.fx * self.input_size[0] / self.training_camera.width


@dataclasses.dataclass(frozen=True)
class NetworkSize:
    """Widths and depths of one encoder size and of the DPT head that goes with it."""

    hidden_size: int
    layers: int
    heads: int
    taps: tuple[int, int, int, int]
    """Blocks (from 0) whose tokens the head reads."""
    neck: tuple[int, int, int, int]
    fusion: int


NETWORK_SIZES: dict[EncoderSize, NetworkSize] = {
    "ti": NetworkSize(192, 12, 3, (2, 5, 8, 11), (48, 96, 192, 192), 48),
    "s": NetworkSize(384, 12, 6, (2, 5, 8, 11), (48, 96, 192, 384), 64),
    "b": NetworkSize(768, 12, 12, (2, 5, 8, 11), (96, 192, 384, 768), 128),
    "l": NetworkSize(1024, 24, 16, (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
}
"""s, b and l are those of DINOv2 and Depth Anything V2; ti has the width of ViT-Ti and a head of its own."""


def check_input_size(size: tuple[int, int]) -> None:
    """Raise ValueError, naming the nearest right size, unless both sides are positive multiples of the patch size."""
    if all(side > 0 and side % PATCH_SIZE == 0 for side in size):
        return
    below, above = (tuple(max(1, side // PATCH_SIZE + step) * PATCH_SIZE for side in size) for step in (0, 1))
    raise ValueError(
        f"input size {size[0]}x{size[1]} (width x height): both sides must be multiples of {PATCH_SIZE}, "
        f"such as {below[0]}x{below[1]} or {above[0]}x{above[1]}"
    )


def suggest_input_size(aspect: float, like: tuple[int, int]) -> tuple[int, int]:
    """The (width, height), multiples of 14, with about this width over height and about the area of `like`."""
    area = like[0] * like[1]
    columns = max(1, round((area * aspect) ** 0.5 / PATCH_SIZE))
    candidates = [
        (width * PATCH_SIZE, max(1, rows) * PATCH_SIZE)
        for width in range(max(1, columns - 2), columns + 3)
        for rows in {int(width / aspect), int(width / aspect) + 1}
    ]

    def mismatch(size: tuple[int, int]) -> float:
        stretch = max(size[0] / size[1] / aspect, aspect * size[1] / size[0])
        growth = max(size[0] * size[1] / area, area / (size[0] * size[1]))
        return stretch**2 * growth

    return min(candidates, key=mismatch)
