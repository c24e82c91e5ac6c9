# SPDX-License-Identifier: Apache-2.0
"""Networks that tell the camera's motion between the frames of a triplet: needed for training only.

Convention: motions are (4, 4) matrices `neighbour_from_current` between optical frames (x right, y down, z forward) in metres, so
that driving forward the next frame's matrix has a negative z translation and the previous frame's a positive one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
import pydantic
import safetensors.torch
import torch
import transformers
from torch import Tensor, nn

from ssd_core.geometry.motion import invert_motion, matrix_from_motion
from ssd_core.model.checkpoint import CONFIG_FILE, WEIGHTS_FILE, ModelLoadError, find_folder, load_network
from ssd_core.model.classical_flow import FARTHEST, ROAD_BELOW, Grey
from ssd_core.model.config import Preprocessing
from ssd_core.model.flow_cache import FlowCache
from ssd_core.model.flow_motion import cell_rays, motion_from_flow
from ssd_core.storage.atomic_write import atomic_directory, atomic_write_text
from ssd_core.storage.configuration import ConfigurationError, StrictModel, validate_configuration

CELL = 4
"""Pixels between two cells of the correlation network's features."""

_FLOW_TOLERANCES = (16.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.5)
"""Pixels, one a step of the least squares: classical flow is right to a fraction of one."""
_UNIT_WEIGHT = 0.1
"""Of flow that leads home, against the damping of the least squares."""


class PoseNetConfig(StrictModel):
    """Which network, and its shape."""

    architecture: Literal["resnet", "correlation", "flow"] = "resnet"
    """`resnet`: ResNet-18 on pairs of images, the paper's, for pretrained encoders. `correlation`: matches image patches, and learns
    from random weights. `flow`: classical optical flow and a depth, nothing to learn."""
    depth: Literal["network", "road"] = "network"
    """Of `flow`: the depth network's own, for those whose first guess is a road (`model.camera_input`), which then learn from how far the
    camera drove; or always a flat road's, with which the motion is half as true."""
    normalisation: Literal["group", "frozen_batch"] = "group"
    """Of `resnet`: frozen_batch keeps pretrained statistics, group needs none; with either, gradients don't depend on the batch."""
    translation_scale: pydantic.PositiveFloat = 0.01
    """Of `resnet`: metres of translation for an output of 1. From random weights 0.1 does better: a metre would need an output of 100."""
    search: tuple[pydantic.PositiveInt, pydantic.PositiveInt] = (5, 6)
    """Of `correlation`: rows and columns of 4 pixels that a patch may move either way."""


class PosePrediction(NamedTuple):
    """What a pose network makes of triplets."""

    neighbours_from_current: Tensor
    """[B, 2, 4, 4] motions to the previous and the next frame, metres."""
    flow: Tensor | None
    """[B, 2, 2, h, w] pixels (u, v) of movement from the current frame to both, at every fourth pixel; None from `resnet`."""
    confidence: Tensor | None = None
    """[B, 2, h, w] from 0 to 1, of flow that is known and not learnt: from `flow` only."""


class ResNetPoseNet(nn.Module):
    """ResNet-18 on the six channels of two images, and a small head: axis-angle and translation of the camera (the paper's)."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        resnet: Any = transformers.ResNetConfig
        shape = {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"}
        self.encoder: Any = transformers.ResNetBackbone(resnet(num_channels=6, out_features=["stage4"], **shape))
        _replace_batch_norms(self.encoder, config.normalisation)
        self.head = nn.Sequential(
            nn.Conv2d(512, 256, 1), nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 6, 1),
        )  # fmt: skip
        _register_normalisation(self)

    def forward(self, images: Tensor, intrinsics: Tensor, depth: Tensor) -> PosePrediction:  # noqa: ARG002
        """images [B, 3, 3, H, W] in 0..1: previous, current, next frame. Intrinsics and depth aren't looked at."""
        # Always in order of time, so that the network needs to know one direction of driving only.
        pixels = (images - self.mean) / self.std
        pairs = torch.cat([torch.cat([pixels[:, 0], pixels[:, 1]], dim=1), torch.cat([pixels[:, 1], pixels[:, 2]], dim=1)])
        output = self.head(self.encoder(pairs).feature_maps[-1]).mean(dim=(2, 3)).float()
        with torch.autocast(images.device.type, enabled=False):
            motions = matrix_from_motion(self.config.translation_scale * output[:, :3], 0.01 * output[:, 3:])
            current_from_previous, next_from_current = motions.chunk(2)
            previous_from_current = invert_motion(current_from_previous)
        return PosePrediction(torch.stack([previous_from_current, next_from_current], dim=1), None)


class CorrelationPoseNet(nn.Module):
    """Learnt patches are matched between the frames (soft-argmax of their correlation), and weighted least squares finds the motion that
    explains the matches best: nothing is pooled before it is known where it moved.

    Least squares needs depth. It is the network's own, coarse, and starts as a flat road: with it true matches give a translation a
    quarter as wrong as a constant speed's, with one depth everywhere ten times as wrong. The depth network's, at first one depth
    everywhere, would therefore lead astray.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 24, 5, stride=2, padding=2), nn.GroupNorm(4, 24), nn.ReLU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1), nn.GroupNorm(6, 48), nn.ReLU(),
            nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, 32, 3, padding=1),
        )  # fmt: skip
        self.log_sharpness = nn.Parameter(torch.tensor(3.4))
        self.confidence = nn.Conv2d(32 + 2, 1, kernel_size=1)
        nn.init.zeros_(self.confidence.weight)
        nn.init.zeros_(self.confidence.bias)  # type: ignore[arg-type]
        self.nearness = nn.Sequential(nn.Conv2d(32 + 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, kernel_size=1))
        for parameter in self.nearness[-1].parameters():
            nn.init.zeros_(parameter)
        _register_normalisation(self)

    def forward(self, images: Tensor, intrinsics: Tensor, depth: Tensor) -> PosePrediction:  # noqa: ARG002
        """images [B, 3, 3, H, W] in 0..1: previous, current, next frame; intrinsics [B, 3, 3, 3] of each, pixels. Depth isn't looked at."""
        batch = images.shape[0]
        features = self.encoder(((images - self.mean) / self.std).flatten(0, 1)).float()
        features = features.unflatten(0, (batch, 3))
        current = torch.cat([features[:, 1], features[:, 1]])
        neighbour = torch.cat([features[:, 0], features[:, 2]])
        with torch.autocast(images.device.type, enabled=False):
            flow, weight = self._match(current, neighbour)
            motions = motion_from_flow(
                CELL * flow,
                weight,
                self._depth(features[:, 1], intrinsics[:, 1]).repeat(2, 1, 1),
                intrinsics[:, 1].repeat(2, 1, 1),
                torch.cat([intrinsics[:, 0], intrinsics[:, 2]]),
                CELL,
            )
        return PosePrediction(torch.stack(motions.chunk(2), dim=1), torch.stack((CELL * flow).chunk(2), dim=1))

    def _depth(self, features: Tensor, intrinsics: Tensor) -> Tensor:
        """[B, h, w] metres of the current frame, coarse."""
        height, width = features.shape[-2:]
        x, y = cell_rays(intrinsics, (height, width), CELL).unbind(dim=1)
        road = _road_nearness(intrinsics, x)
        change: Tensor = self.nearness(torch.cat([features, torch.stack([x, y], dim=1)], dim=1))[:, 0]
        nearness: Tensor = road * change.clamp(-3, 3).exp()
        return 1 / nearness

    def _match(self, current: Tensor, neighbour: Tensor) -> tuple[Tensor, Tensor]:
        """Flow [B, 2, h, w] in cells (u, v), and its weight [B, h, w]."""
        first, second = (nn.functional.normalize(features, dim=1) for features in (current, neighbour))
        rows, columns = self.config.search
        correlation = correlate(first, second, rows, columns)
        share = (correlation * self.log_sharpness.exp()).softmax(dim=1)
        v, u = (offsets.to(share).flatten() for offsets in _offsets(rows, columns))
        # Means over the shifts of u, v and their squares, all at once.
        means = torch.einsum("ks,bshw->bkhw", torch.stack([u, v, u * u + v * v]), share)
        flow = means[:, :2]
        spread = (means[:, 2:] - flow.square().sum(dim=1, keepdim=True)).clamp(min=0)
        known = torch.cat([current, correlation.amax(dim=1, keepdim=True), spread], dim=1)
        return flow, (self.confidence(known).sigmoid() / (0.05 + spread))[:, 0]


class FlowPoseNet(nn.Module):
    """Dense inverse search flow (OpenCV), weighted by how well forward and backward flow agree, and the motion that explains it best with
    the depth network's depth. Nothing is learnt; depth learns from the motion's length, by gradients through the least squares.

    With flow to a fraction of a pixel, what moves by itself stands out, so that residuals of half a pixel count for little in the end.
    """

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        self._flow = FlowCache(CELL)

    def forward(self, images: Tensor, intrinsics: Tensor, depth: Tensor) -> PosePrediction:
        """images [B, 3, 3, H, W] in 0..1: previous, current, next frame; intrinsics [B, 3, 3, 3] of each, pixels; depth [B, 1, H, W]
        metres of the current frame.
        """
        pairs = zip(_grey_pairs(images), itertools.cycle(intrinsics[:, 1].float().cpu().numpy()), strict=False)
        matches = torch.from_numpy(np.stack([self._flow.find(*pair, matrix) for pair, matrix in pairs])).to(depth.device).float()
        flow, weight = matches[:, :2], matches[:, 2]
        cells = depth.float()[:, 0, ::CELL, ::CELL]
        if self.config.depth == "road":
            cells = 1 / _road_nearness(intrinsics[:, 1], cells)
        with torch.autocast(images.device.type, enabled=False):
            motions = motion_from_flow(
                flow,
                weight / _UNIT_WEIGHT,
                cells.repeat(2, 1, 1),
                intrinsics[:, 1].repeat(2, 1, 1),
                torch.cat([intrinsics[:, 0], intrinsics[:, 2]]),
                CELL,
                _FLOW_TOLERANCES,
            )
        return PosePrediction(*(torch.stack(both.chunk(2), dim=1) for both in (motions, flow, weight)))


def _road_nearness(intrinsics: Tensor, like: Tensor) -> Tensor:
    """[B, h, w] inverse metres, at cells, of a first idea of the world."""
    y = cell_rays(intrinsics, (like.shape[-2], like.shape[-1]), CELL)[:, 1]
    return y.clamp(min=ROAD_BELOW / FARTHEST) / ROAD_BELOW


PoseNet: TypeAlias = ResNetPoseNet | CorrelationPoseNet | FlowPoseNet


def _grey_pairs(images: Tensor) -> Iterator[tuple[Grey, Grey]]:
    """The current and the previous frame of each triplet, then the current and the next one of each."""
    pixels = (images.detach().clamp(0, 1) * 255).round().byte().permute(0, 1, 3, 4, 2).cpu().numpy()
    grey = [[cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in triplet] for triplet in pixels]
    for neighbour in (0, 2):
        yield from ((triplet[1], triplet[neighbour]) for triplet in grey)


def correlate(first: Tensor, second: Tensor, rows: int, columns: int) -> Tensor:
    """Products of features [B, C, H, W], summed over channels, with those up to `rows` and `columns` away: [B, shifts, H, W].

    Shifts row by row from the top left; cells outside count zero.
    """
    batch, _, height, width = first.shape
    padded = nn.functional.pad(second, (columns, columns, rows, rows))
    lines = first.permute(0, 2, 3, 1).flatten(0, 1)
    bands = []
    for row in range(2 * rows + 1):
        # A line of cells with one of the other image, all with all; of these the band about the diagonal is wanted. Several times as much
        # is multiplied as needed, and it is three times faster than shift by shift.
        others = padded[:, :, row : row + height].permute(0, 2, 1, 3).flatten(0, 1)
        products = torch.bmm(lines, others).flatten(1)
        band = nn.functional.pad(products, (0, width)).reshape(len(lines), width, width + 2 * columns + 1)
        bands.append(band[..., : 2 * columns + 1])
    whole = torch.stack(bands, dim=1).reshape(batch, height, 2 * rows + 1, width, 2 * columns + 1)
    return whole.permute(0, 2, 4, 1, 3).flatten(1, 2)


def create_pose_net(config: PoseNetConfig, seed: int = 0, encoder: str | Path | None = None) -> PoseNet:
    """Random weights from a seed; encoder: ImageNet weights of a ResNet-18 for `resnet`, a Hub id (`microsoft/resnet-18`) or a folder.

    Raises ModelLoadError if they can't be read or don't fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _make(config)
    if encoder is not None:
        if not isinstance(net, ResNetPoseNet):
            raise ModelLoadError(f"pretrained weights are for the pose network 'resnet', not for {config.architecture!r}")
        _load_encoder(net, find_folder(encoder))
    return net


def save_pose_net(folder: Path, net: PoseNet) -> None:
    """Write config.json and model.safetensors, atomically."""
    with atomic_directory(folder) as temporary:
        atomic_write_text(temporary / CONFIG_FILE, net.config.model_dump_json(indent=2) + "\n")
        tensors = {name: value.contiguous() for name, value in net.state_dict().items()}
        safetensors.torch.save_file(tensors, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        (temporary / WEIGHTS_FILE).chmod((temporary / CONFIG_FILE).stat().st_mode)


def load_pose_net(folder: Path) -> PoseNet:
    """Read what `save_pose_net` wrote, in evaluation mode. Raises ModelLoadError naming the file."""
    try:
        values = json.loads((folder / CONFIG_FILE).read_text())
        net = _make(validate_configuration(PoseNetConfig, values, str(folder / CONFIG_FILE)))
        net.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS_FILE), strict=True)
    except FileNotFoundError as error:
        raise ModelLoadError(
            f"{folder}: no pose network here ({error}); it is written beside the depth network by `task: teacher`"
        ) from error
    except (ConfigurationError, OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelLoadError(f"{folder}: the pose network can't be read: {error}") from error
    return net.eval()


def _make(config: PoseNetConfig) -> PoseNet:
    networks: dict[str, type[PoseNet]] = {"resnet": ResNetPoseNet, "correlation": CorrelationPoseNet, "flow": FlowPoseNet}
    return networks[config.architecture](config)


def _load_encoder(net: ResNetPoseNet, folder: Path) -> None:
    tensors = load_network(folder, "ResNetBackbone", unused="classifier.").state_dict()
    stem = "embedder.embedder.convolution.weight"
    # Both images of the pair through the same filters, half of each.
    tensors[stem] = tensors[stem].repeat(1, 2, 1, 1) / 2
    if net.config.normalisation == "group":
        raise ModelLoadError(f"{folder}: pretrained weights need normalisation 'frozen_batch'; their statistics would be lost with 'group'")
    try:
        net.encoder.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelLoadError(f"{folder}: not the weights of a ResNet-18: {error}") from error


class _FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by stored statistics, also while training: outputs and gradients don't depend on the rest of the batch."""

    def train(self, mode: bool = True) -> _FrozenBatchNorm:  # noqa: ARG002
        super().train(False)
        return self


def _replace_batch_norms(module: nn.Module, kind: Literal["group", "frozen_batch"]) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            channels = child.num_features
            setattr(module, name, nn.GroupNorm(channels // 16, channels) if kind == "group" else _FrozenBatchNorm(channels).eval())
        else:
            _replace_batch_norms(child, kind)


def _register_normalisation(net: nn.Module) -> None:
    preprocessing = Preprocessing()
    for name in ("mean", "std"):
        net.register_buffer(name, torch.tensor(getattr(preprocessing, name)).reshape(3, 1, 1), persistent=False)


def _offsets(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    v, u = torch.meshgrid(torch.arange(-rows, rows + 1), torch.arange(-columns, columns + 1), indexing="ij")
    return v, u
