# SPDX-License-Identifier: Apache-2.0
"""Supervised training: known depth, rendered or from lidar, of many cameras at once by way of one canonical focal length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pydantic
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.rendered import RenderPlan
from ssd_core.data.transforms import ColourJitter, Crop, HorizontalFlip, Noise, RandomConvolution, Resize, Sample, Sharpness, apply
from ssd_core.data.triplets import Draw
from ssd_core.evaluation.metrics import depth_metrics
from ssd_core.images.colour_map import colourise_depth
from ssd_core.images.contact_sheet import contact_sheet
from ssd_core.losses.supervised import log_gradient_loss, scale_invariant_log_loss, sky_loss
from ssd_core.model.checkpoint import save_checkpoint
from ssd_core.storage.configuration import StrictModel
from ssd_core.training.config import TrainingConfig
from ssd_core.training.depth_network import describe, make_model, parameter_groups, pixels
from ssd_core.training.trainer import Picture


class SupervisedData(StrictModel):
    """Frame datasets with dense depth or lidar: folders, or plans of what to render."""

    train: tuple[RenderPlan | Path, ...]
    validation: tuple[RenderPlan | Path, ...]
    validation_frames: pydantic.PositiveInt = 120
    """As many as this, evenly spaced."""
    smallest_crop: float = pydantic.Field(default=0.6, gt=0, le=1)
    """Share of the largest crop of the network's aspect that a crop has at least: other fields of view and horizons."""
    colours: float = pydantic.Field(default=0.8, ge=0, le=1)
    """How often colours are changed."""
    noise: float = pydantic.Field(default=0.3, ge=0, le=1)
    sharpness: float = pydantic.Field(default=0.6, ge=0, le=1)
    """How often a picture is blurred or sharpened, at the network's size."""
    textures: float = pydantic.Field(default=0.5, ge=0, le=1)
    """How often a picture goes through a random convolution: rendered textures aren't those of any road."""


class SupervisedLoss(StrictModel):
    """Weights of the terms; ours."""

    variance_focus: float = 0.3
    """Share of the mean log error that is forgiven; low, since scale has to be learnt."""
    gradient: float = 0.5
    sky: float = 0.2


class SupervisedConfig(TrainingConfig):
    """Depth from known depth."""

    task: Literal["supervised"] = "supervised"
    data: SupervisedData
    loss: SupervisedLoss = SupervisedLoss()
    focal_length: pydantic.PositiveFloat = 1.1
    """The canonical camera's fx as a share of the width of `model.input_size`: depth is learnt as that camera would need it, and scaled at
    run time. As pixels at the network's input it is the same for every size of a batch: apparent size is what depth is told from."""


class _Item(NamedTuple):
    dataset: int
    frame: Frame


class SupervisedDataset(Dataset[dict[str, Any]]):
    """Pictures with depth for a canonical camera; item `Draw(epoch, place, batch)` depends on these, and on the seed, alone.

    "image" uint8 (H, W, 3) at input_size or, as the batch says, one of other_input_sizes or early_input_sizes; "depth" float32
    (1, H, W) metres as the canonical camera would need it, 0 where unknown, +Inf for sky; "focal_scale": what the network's depth must be
    multiplied by for this picture; "intrinsics" float32 (3, 3) of it.
    """

    def __init__(self, folders: Sequence[Path], config: SupervisedConfig, augment: bool) -> None:
        self._sources = [FrameDataset(folder) for folder in folders]
        self._config, self._augment = config, augment
        self.items = [_Item(index, frame) for index, source in enumerate(self._sources) for frame in source.frames() if frame.camera]
        if not self.items:
            raise DataError(f"no frame with a camera in {', '.join(map(str, folders))}")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: tuple[int, ...]) -> dict[str, Any]:
        epoch, place, batch = Draw(*draw)
        item = self.items[place]
        sample = self._sample(item)
        size = self._config.model.input_size
        if self._augment:
            # The place stands for the frame: the order of frames in a dataset never changes.
            generator = np.random.default_rng([self._config.loop.seed, epoch, place])
            size = self._size_of_batch(batch)
            sample = apply(self._transforms(sample, size, generator), sample)
        else:
            sample = Resize(*size)(sample)
        assert sample.camera is not None and sample.dense_depth is not None
        focal_scale = sample.camera.fx / (self._config.focal_length * self._config.model.input_size[0])
        return {
            "image": np.ascontiguousarray(sample.image),
            "depth": np.ascontiguousarray(sample.dense_depth)[None] / np.float32(focal_scale),
            "focal_scale": np.float32(focal_scale),
            "intrinsics": sample.camera.matrix.astype(np.float32),
            "condition": item.frame.condition,
        }

    def _sample(self, item: _Item) -> Sample:
        source, frame = self._sources[item.dataset], item.frame
        image, depth = source.image(frame), source.dense_depth(frame)
        if depth is None:
            sparse = source.lidar_depth(frame)
            if sparse is None:
                raise DataError(f"{source.folder}: frame {frame.frame_id} has neither dense nor lidar depth")
            depth = sparse.to_image(image.shape[1], image.shape[0])
        return Sample(image, frame.camera, dense_depth=depth, frame_id=frame.frame_id, stamp_ns=frame.stamp_ns, condition=frame.condition)

    def _size_of_batch(self, batch: int) -> tuple[int, int]:
        loop, model = self._config.loop, self._config.model
        sizes = (model.input_size, *model.other_input_sizes)
        if model.early_input_sizes and batch < model.early_share * loop.steps * loop.accumulation:
            sizes = model.early_input_sizes
        return sizes[np.random.default_rng([loop.seed, batch, 14]).integers(len(sizes))]

    def _transforms(self, sample: Sample, size: tuple[int, int], generator: np.random.Generator) -> list[Any]:
        data, (width, height) = self._config.data, sample.size
        # Of the network's aspect, give or take, so that things look as wide as real cameras show them after the resize.
        aspect = size[0] / size[1] * generator.uniform(0.87, 1.15)
        share = generator.uniform(data.smallest_crop, 1.0)
        crop_width = max(14, round(min(width, height * aspect) * share))
        crop_height = min(height, max(14, round(crop_width / aspect)))
        left, top = int(generator.integers(0, width - crop_width + 1)), int(generator.integers(0, height - crop_height + 1))
        chances = generator.random(5)
        jitter, noise = ColourJitter.draw(generator, strength=0.4, hue=0.08), Noise.draw(generator)
        transforms: list[Any] = [Crop(left, top, crop_width, crop_height)]
        if chances[0] < 0.5:
            transforms.append(HorizontalFlip())
        if chances[1] < data.colours:
            transforms.append(jitter)
        if chances[2] < data.noise:
            transforms.append(noise)
        transforms.append(Resize(*size))
        if chances[3] < data.sharpness:
            transforms.append(Sharpness.draw(generator))
        if chances[4] < data.textures:
            transforms.append(RandomConvolution.draw(generator))
        return transforms


class SupervisedTask:
    """Scale-invariant log loss, multi-scale log gradients, and a one-sided loss that keeps sky far."""

    higher_is_better = False

    def __init__(self, config: SupervisedConfig, train: Sequence[Path], validation: Sequence[Path]) -> None:
        """`train` and `validation`: folders of frame datasets."""
        self.config = config
        description = describe(config.model, config.model_dump(mode="json"), config.focal_length)
        self.model = make_model(config.model, description, config.loop.seed)
        self.module: nn.Module = self.model
        self.dataset = SupervisedDataset(train, config, augment=True)
        self._validation = SupervisedDataset(validation, config, augment=False)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Encoder, and neck and head."""
        return parameter_groups(self.model, self.model.encoder, self.config.loop.encoder_learning_rate, self.config.loop.head_learning_rate)

    def losses(self, module: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, Tensor]:  # noqa: ARG002
        """`loss` and its terms; the batch is of `SupervisedDataset`."""
        predicted = module(pixels(batch["image"]), batch["intrinsics"]).float()
        truth = batch["depth"]
        farthest = self.model.description.max_depth
        valid = torch.isfinite(truth) & (truth > self.config.model.min_depth) & (truth < farthest)
        weights = self.config.loss
        terms = {
            "log": scale_invariant_log_loss(predicted, truth, valid, weights.variance_focus),
            "gradient": log_gradient_loss(predicted, truth, valid),
            "sky": sky_loss(predicted, torch.isposinf(truth), farthest),
        }
        return {"loss": terms["log"] + weights.gradient * terms["gradient"] + weights.sky * terms["sky"], **terms}

    def validate(self) -> dict[str, float]:
        """abs_rel pooled (`score`) and by condition, in the pictures' own metres."""
        places = np.unique(np.linspace(0, len(self._validation) - 1, self.config.data.validation_frames).astype(int))
        by_condition: dict[str, list[float]] = {}
        for place in places:
            item = self._validation[0, int(place)]
            device = next(self.model.parameters()).device
            image, intrinsics = (torch.from_numpy(item[name])[None].to(device) for name in ("image", "intrinsics"))
            depth = self.model.predict_metres(pixels(image), intrinsics).depth[0, 0].cpu().numpy()
            metrics = depth_metrics(depth, item["depth"][0] * item["focal_scale"], self.config.model.max_depth)
            if metrics is not None:
                by_condition.setdefault(item["condition"], []).append(metrics["abs_rel"])
        figures = {condition: float(np.mean(values)) for condition, values in sorted(by_condition.items())}
        return {"score": float(np.mean([value for values in by_condition.values() for value in values])), **figures}

    def picture(self, batch: Mapping[str, Any]) -> Picture:
        """Input, prediction, truth of up to four items."""
        predicted = self.model(pixels(batch["image"]), batch["intrinsics"]).float().cpu().numpy()
        truth = batch["depth"].cpu().numpy()
        rows = [
            [batch["image"][index].cpu().numpy(), colourise_depth(predicted[index, 0]), colourise_depth(truth[index, 0])]
            for index in range(min(4, len(truth)))
        ]
        return contact_sheet(rows, 320, column_labels=("input", "prediction", "truth"))

    def save(self, folder: Path) -> None:
        """A checkpoint that the estimator loads."""
        save_checkpoint(folder, self.model, half=True)
