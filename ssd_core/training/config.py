# SPDX-License-Identifier: Apache-2.0
"""Everything a training run can be told, with a reason where the value isn't obvious; YAML files are deltas of these defaults."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pydantic

from ssd_core.model.config import ConvolutionalSize, EncoderSize, LiteSize, ResNetSize, check_input_size
from ssd_core.model.convolutional import FLAT_ROAD
from ssd_core.storage.configuration import StrictModel

_SIZES = {"vit": get_args(EncoderSize), "resnet": get_args(ResNetSize), "efficientnet": get_args(LiteSize)}


class LoopConfig(StrictModel):
    """The optimisation loop, the same for every task."""

    seed: int = 0
    steps: pydantic.PositiveInt = 10_000
    """Optimiser steps of the whole run; the learning rate reaches zero at the last one."""
    minutes: pydantic.PositiveFloat | None = None
    """Stop (resumably) after this much wall time of this sitting; the schedule still counts in steps."""
    batch_size: pydantic.PositiveInt = 4
    """Images a step and process; the paper's 4."""
    accumulation: pydantic.PositiveInt = 1
    """Batches a step: gradients are averaged over them."""
    workers: pydantic.NonNegativeInt = 2
    """Processes that load and decode; results don't depend on it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16: autocast, with float32 weights. auto: bf16 where the hardware multiplies it, since elsewhere it is many times slower."""
    encoder_learning_rate: pydantic.NonNegativeFloat = 5e-6
    head_learning_rate: pydantic.NonNegativeFloat = 5e-5
    pose_learning_rate: pydantic.NonNegativeFloat = 1e-4
    weight_decay: pydantic.NonNegativeFloat = 0.01
    schedule: Literal["linear", "cosine"] = "linear"
    """Decay to zero over `steps` after the warm-up; linear is the paper's."""
    warm_up_steps: pydantic.NonNegativeInt = 100
    clip_norm: pydantic.PositiveFloat = 1.0
    """Largest length of the gradient of all parameters together."""
    ema_decay: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Exponential moving average of the weights, validated and saved in place of the raw ones; 0: none."""
    validate_every: pydantic.PositiveInt = 1000
    save_every: pydantic.PositiveInt = 200
    pictures_every: pydantic.PositiveInt = 500
    patience: pydantic.PositiveInt | None = None
    """Stop after this many validations without a better one."""


class ModelConfig(StrictModel):
    """The depth network that is trained."""

    architecture: Literal["vit", "resnet", "efficientnet"] = "vit"
    """With `start: random`: DINOv2 with a DPT head; or with a U-Net decoder a ResNet-18, which learns from scratch much faster, or an
    EfficientNet-Lite."""
    start: str = "random"
    """`random`, or a checkpoint to go on from: `bundled`, a folder, a Hub id."""
    encoder: str | None = None
    """With `start: random`: pretrained weights for the encoder, a Hub id or a folder in that format (`facebook/dinov2-small`; for
    `architecture: resnet`, `size: full`: `microsoft/resnet-18`); for `architecture: efficientnet` `imagenet`, which comes with the
    package's [train] extra for size lite0."""
    size: EncoderSize | ConvolutionalSize = "s"
    """With `start: random`: ViT-Ti, S, B or L, B is the paper's; of a ResNet-18 all its channels or half; EfficientNet-Lite 0 to 2."""
    input_size: tuple[int, int] = (784, 518)
    """(width, height) of the network's input, multiples of 14; the paper's 784x518."""
    other_input_sizes: tuple[tuple[int, int], ...] = ()
    """Each batch is of `input_size` or of one of these: other aspects of about the same area, since at run time the input has the
    camera's aspect."""
    early_input_sizes: tuple[tuple[int, int], ...] = ()
    """Batches of the first `early_share` of the steps are of these sizes instead: most of what is to be learnt shows in small pictures,
    which cost a fraction of the time."""
    early_share: float = pydantic.Field(default=0.8, ge=0, le=1)
    camera_input: bool = False
    """The network also sees where each pixel lies from the principal point, for data of many cameras, crops and mountings."""
    camera_height: pydantic.PositiveFloat = FLAT_ROAD
    """Metres above the road, of the cameras learnt from; where a convolutional network that sees its camera begins with a flat road."""
    min_depth: pydantic.PositiveFloat = 0.1
    max_depth: pydantic.PositiveFloat = 80.0
    """Metres; the range to learn."""
    canonical_max_depth: pydantic.PositiveFloat | None = None
    """Where depth is learnt for a canonical camera: the farthest that the network can say, in that camera's metres. Wide lenses need more
    than max_depth times canonical over their own focal length. None: max_depth."""

    @pydantic.field_validator("input_size", "other_input_sizes", "early_input_sizes")
    @classmethod
    def _fits_the_patches(cls, value: Any) -> Any:
        for size in (value,) if value and isinstance(value[0], int) else value:
            check_input_size(size)
        return value

    @pydantic.model_validator(mode="after")
    def _has_a_size_of_its_architecture(self) -> ModelConfig:
        sizes = _SIZES[self.architecture]
        if self.start == "random" and self.size not in sizes:
            raise ValueError(f"size {self.size!r} isn't one of architecture {self.architecture!r}; choose {', '.join(sizes)}")
        return self


class TrainingConfig(StrictModel):
    """Base of the configurations of all tasks; `task` chooses which."""

    task: str
    loop: LoopConfig = LoopConfig()
    model: ModelConfig = ModelConfig()
