# SPDX-License-Identifier: Apache-2.0
"""A network that tells where the shape of a scene differs between two pictures of one view, whatever the light in either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from ssd_core.model.checkpoint import CONFIG_FILE, ModelLoadError, hash_files, load_network, read_json
from ssd_core.model.convolutional import initialise_for_relu
from ssd_core.model.efficientnet_lite import STEM_CHANNELS, EfficientNetLite, Stage, lite_stages
from ssd_core.weights import BUNDLED, change_detector_folder

CELL = 8
"""Side of a cell of the detector's map, pixels."""
_STAGES = 5
"""Of EfficientNet-Lite0, those down to a sixteenth of the picture: what is deeper is too coarse for an object."""
_LARGEST_CELLS = 6
"""An object of a hundredth of a picture 320 pixels wide covers so many cells."""
_FIRST_WEIGHT, _FIRST_LOGIT = 0.01, -2.0
"""Deviation of the last layer's weights, and its bias, at the start: nothing has changed."""


class ChangeDetectorConfig(transformers.PretrainedConfig):  # type: ignore[no-untyped-call]
    """`config.json`: the encoder's stages, the width of all else, the width of pictures that it was trained with, and how."""

    model_type = "ssd_change_detector"

    def __init__(self, stages: Any = (), width: int = 48, input_width: int = 320, recipe: Any = None, **arguments: Any) -> None:
        self.stages = [list(stage) for stage in stages or lite_stages("lite0")[:_STAGES]]
        self.width, self.input_width, self.recipe = width, input_width, recipe
        super().__init__(**arguments)


class ChangeDetector(transformers.PreTrainedModel):  # type: ignore[no-untyped-call]
    """Two pictures [B, 3, H, W], RGB 0..1, to logits [B, 1, ceil(H / 8), ceil(W / 8)] of "something else stands here".

    One encoder sees both; at a quarter, an eighth and a sixteenth of the size their features are compared, and what the coarser sizes
    say is joined with the finer ones.
    """

    config_class = ChangeDetectorConfig
    config: ChangeDetectorConfig

    def __init__(self, config: ChangeDetectorConfig) -> None:
        super().__init__(config)
        self.model_id = "untrained"
        """Name and short hash, for records."""
        self.backbone = EfficientNetLite(3, STEM_CHANNELS, [Stage(*stage) for stage in config.stages])
        width = config.width
        # The finest size has four times the places of the next: it gets half the width.
        widths = width // 2, width, width
        self.comparisons = nn.ModuleList(map(_Comparison, self.backbone.widths[1:4], widths))
        self.context = nn.Sequential(_convolution(width, width), _convolution(width, width, dilation=2))
        self.join = nn.Sequential(_convolution(sum(widths), width), _convolution(width, width))
        self.head = nn.Conv2d(width, 1, kernel_size=1)
        self.post_init()  # type: ignore[no-untyped-call]
        nn.init.normal_(self.head.weight, std=_FIRST_WEIGHT)
        if self.head.bias is not None:
            nn.init.constant_(self.head.bias, _FIRST_LOGIT)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-arg]

    def _init_weights(self, module: nn.Module) -> None:
        initialise_for_relu(module)

    def forward(self, source: Tensor, translated: Tensor) -> Tensor:
        """See the class."""
        features = self.backbone(2 * torch.cat([source, translated]) - 1)
        fine, middle, coarse = (comparison(*found.chunk(2)) for comparison, found in zip(self.comparisons, features[1:4], strict=True))
        size = middle.shape[-2:]
        above = nn.functional.interpolate(self.context(coarse), size, mode="bilinear", align_corners=False)
        below = nn.functional.adaptive_avg_pool2d(fine, size)
        logits: Tensor = self.head(self.join(torch.cat([above, middle, below], dim=1)))
        return logits


def change_logits(logits: Tensor) -> Tensor:
    """[B] from a detector's map [B, 1, h, w]: the mean of as many cells as a small object covers, those that say so loudest."""
    flat = logits.flatten(1)
    return flat.topk(min(_LARGEST_CELLS, flat.shape[1]), dim=1).values.mean(dim=1)


def load_change_detector(name_or_path: str | Path) -> ChangeDetector:
    """The one that ships ("bundled"), or a folder's: float32, evaluation mode. Raises ModelLoadError."""
    folder = change_detector_folder() if str(name_or_path) == BUNDLED else Path(name_or_path).expanduser()
    kind = read_json(folder / CONFIG_FILE).get("model_type")
    if kind != ChangeDetectorConfig.model_type:
        raise ModelLoadError(f"{folder}: a change detector is expected, not a {kind!r} model")
    detector: ChangeDetector = load_network(folder, ChangeDetector)
    detector.model_id = f"{name_or_path if str(name_or_path) == BUNDLED else folder.resolve().name}@{hash_files(folder)[:8]}"
    return detector


class _Comparison(nn.Module):
    """Both pictures' features [B, C, h, w] and their difference, to [B, width, h, w]."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.project = _convolution(channels, width, kernel=1)
        self.merge = _convolution(3 * width, width)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        first, second = self.project(first), self.project(second)
        merged: Tensor = self.merge(torch.cat([first, second, (first - second).abs()], dim=1))
        return merged


def _convolution(channels: int, width: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=kernel // 2 * dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
