# SPDX-License-Identifier: Apache-2.0
"""Training the geometry gate's change detector: rendered views in which an object is there, gone or elsewhere, in any light."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pydantic
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.rendered_changes import DAY, GONE, MOVED, WHOLE, RenderedChanges
from ssd_core.data.transforms import ColourJitter, Crop, HorizontalFlip, Noise, Resize, Sample, Sharpness, apply
from ssd_core.data.triplets import Draw
from ssd_core.gdt.physical.translator import PhysicalTranslator
from ssd_core.gdt.translator import TARGET_CONDITIONS, TranslationRequest
from ssd_core.images.codec import Image
from ssd_core.images.contact_sheet import contact_sheet
from ssd_core.images.resize import resize_image
from ssd_core.model.change_detector import CELL, ChangeDetector, ChangeDetectorConfig, change_logits
from ssd_core.model.checkpoint import save_network
from ssd_core.model.encoder_weights import load_first_stages
from ssd_core.storage.configuration import StrictModel
from ssd_core.training.config import LoopConfig
from ssd_core.training.depth_network import parameter_groups, pixels
from ssd_core.training.trainer import Picture

Depth = npt.NDArray[np.float32]

_SAME_DEPTH = 0.03
"""Difference of log depth up to which the same thing stands there: depth is stored to a thousandth."""
_CHANGED_CELL, _UNCHANGED_CELL = 0.3, 0.0
"""Share of a cell's pixels that differ: cells between don't count."""
_CHANGED_CELLS = 2
"""A picture is changed if so many cells are."""
_SHIFTS = 0.02, 0.08
_VALIDATION_PAIRS = 6
"""Of each moment."""
_KINDS = ("same", "object", "physical", "elsewhere")


class ChangesData(StrictModel):
    """Frame datasets of `RenderedChanges`: folders, or plans of what to render."""

    train: tuple[RenderedChanges | Path, ...]
    validation: tuple[RenderedChanges | Path, ...]
    shares: tuple[float, float, float, float] = (0.33, 0.33, 0.24, 0.1)
    """Of pairs: the same view in another condition; one object more, less or elsewhere; the physical translator's, of the same view or
    of one with an object more or less; shifted, mirrored, or of another scene."""
    smallest_crop: float = pydantic.Field(default=0.75, gt=0, le=1)
    """Share of the largest crop that a crop has at least."""
    colours: float = pydantic.Field(default=0.5, ge=0, le=1)
    """How often colours are changed, in each picture of a pair for itself."""
    noise: float = pydantic.Field(default=0.2, ge=0, le=1)
    sharpness: float = pydantic.Field(default=0.4, ge=0, le=1)


class ChangesConfig(StrictModel):
    """A change detector from pairs of which depth says what differs; all of it is ours."""

    task: Literal["changes"] = "changes"
    loop: LoopConfig = LoopConfig()
    data: ChangesData
    encoder: Literal["imagenet"] | None = "imagenet"
    """What the encoder begins with: ImageNet's weights, which come with the [train] extra, or random ones."""
    width: pydantic.PositiveInt = 48
    """Channels of all but the encoder."""
    input_size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] = (320, 176)
    """(width, height) of pictures."""
    picture_weight: pydantic.NonNegativeFloat = 1.0
    """Of the loss for "anything changed at all", beside that of each cell."""


class _Moment(NamedTuple):
    source: FrameDataset
    frames: dict[tuple[str, str], Frame]
    """By content and condition."""

    @property
    def conditions(self) -> list[str]:
        """Those besides the day."""
        return sorted({condition for _, condition in self.frames} - {DAY})

    def sample(self, content: str, condition: str) -> Sample:
        """Picture and depth."""
        frame = self.frames[content, condition]
        return Sample(self.source.image(frame), frame.camera, dense_depth=self.source.dense_depth(frame), frame_id=frame.frame_id)


class ChangesDataset(Dataset[dict[str, Any]]):
    """Pairs of pictures; item `Draw(epoch, place, batch)` depends on epoch, place and seed alone.

    "source" and "translated" uint8 (H, W, 3); "changed" float32 (1, h, w), the share of each cell's pixels where something else stands;
    "kind": a place in "same, object, physical, elsewhere"; "condition".
    """

    def __init__(self, folders: Sequence[Path], config: ChangesConfig, augment: bool) -> None:
        self._config, self._augment = config, augment
        self.moments = [moment for folder in folders for moment in _moments(FrameDataset(folder))]
        if not self.moments:
            raise DataError(f"no moment of rendered changes in {', '.join(map(str, folders))}")
        self._translator = PhysicalTranslator()

    def __len__(self) -> int:
        return len(self.moments)

    def __getitem__(self, draw: tuple[int, ...]) -> dict[str, Any]:
        epoch, place, _ = Draw(*draw)
        generator = np.random.default_rng([self._config.loop.seed, epoch, place, 21])
        kind = str(generator.choice(_KINDS, p=np.array(self._config.data.shares) / sum(self._config.data.shares)))
        first, second, condition = self._pair(self.moments[place], kind, generator)
        geometric: list[Any] = [Resize(*self._config.input_size)]
        if self._augment:
            geometric = [*self._crop_and_flip(first, generator), *geometric]
        first, second = apply(geometric, first), apply(geometric, second)
        if self._augment:
            first, second = (apply(self._looks(generator), sample) for sample in (first, second))
        if kind == "elsewhere":
            second = self._elsewhere(second, place, condition, generator)
        return {
            "source": np.ascontiguousarray(first.image),
            "translated": np.ascontiguousarray(second.image),
            "changed": changed_cells(first, second) if kind != "elsewhere" else np.ones(self._map_size, dtype=np.float32),
            "kind": _KINDS.index(kind),
            "condition": condition,
        }

    @property
    def _map_size(self) -> tuple[int, int, int]:
        width, height = self._config.input_size
        return 1, -(-height // CELL), -(-width // CELL)

    def _pair(self, moment: _Moment, kind: str, generator: np.random.Generator) -> tuple[Sample, Sample, str]:
        before = str(generator.choice((WHOLE, GONE)))
        first = moment.sample(before, DAY)
        if kind == "physical":
            after = str(generator.choice((WHOLE, GONE)))
            condition = str(generator.choice(TARGET_CONDITIONS))
            return first, self._physical(moment.sample(after, DAY), condition, generator), f"physical {condition}"
        condition = str(generator.choice(moment.conditions))
        after = before
        if kind == "object":
            after = str(generator.choice([content for content in (WHOLE, GONE, MOVED) if content != before]))
        return first, moment.sample(after, condition), condition

    def _physical(self, sample: Sample, condition: Any, generator: np.random.Generator) -> Sample:
        assert sample.dense_depth is not None
        seed = int(generator.integers(2**32))
        request = TranslationRequest(sample.frame_id, sample.image, sample.dense_depth, condition, seed, sample.camera)
        return dataclasses.replace(sample, image=self._translator.translate([request])[0].image)

    def _elsewhere(self, sample: Sample, place: int, condition: str, generator: np.random.Generator) -> Sample:
        how = int(generator.integers(3))
        if how == 0:
            image = np.ascontiguousarray(sample.image[:, ::-1])
        elif how == 1:
            image = shifted(sample.image, float(generator.uniform(*_SHIFTS)) * int(generator.choice((-1, 1))))
        else:
            other = self.moments[(place + int(generator.integers(1, len(self.moments)))) % len(self.moments)]
            frame = other.frames.get((WHOLE, condition)) or other.frames[WHOLE, other.conditions[0]]
            image = resize_image(other.source.image(frame), self._config.input_size)
        return dataclasses.replace(sample, image=image)

    def _crop_and_flip(self, sample: Sample, generator: np.random.Generator) -> list[Any]:
        width, height = sample.size
        aspect = self._config.input_size[0] / self._config.input_size[1] * generator.uniform(0.87, 1.15)
        crop_width = round(min(width, height * aspect) * generator.uniform(self._config.data.smallest_crop, 1.0))
        crop_height = min(height, round(crop_width / aspect))
        left, top = int(generator.integers(0, width - crop_width + 1)), int(generator.integers(0, height - crop_height + 1))
        return [Crop(left, top, crop_width, crop_height), *([HorizontalFlip()] if generator.random() < 0.5 else [])]

    def _looks(self, generator: np.random.Generator) -> list[Any]:
        data, chances = self._config.data, generator.random(3)
        drawn = ColourJitter.draw(generator, strength=0.3, hue=0.05), Noise.draw(generator), Sharpness.draw(generator)
        shares = data.colours, data.noise, data.sharpness
        return [change for change, chance, share in zip(drawn, chances, shares, strict=True) if chance < share]


def shifted(image: Image, share: float) -> Image:
    """The picture moved to the right by a share of its width (to the left where it is negative), its edge repeated."""
    width = image.shape[1]
    columns = np.clip(np.arange(width) - round(share * width), 0, width - 1)
    return np.ascontiguousarray(image[:, columns])


def changed_cells(first: Sample, second: Sample) -> npt.NDArray[np.float32]:
    """(1, h, w): share of the pixels of each cell where depth isn't the same. Of two samples of one size with dense depth."""
    assert first.dense_depth is not None and second.dense_depth is not None
    before, after = (np.log(np.minimum(sample.dense_depth, 1e4)) for sample in (first, second))  # type: ignore[arg-type]
    changed = (np.abs(before - after) > _SAME_DEPTH).astype(np.float32)
    height, width = changed.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    padded = cv2.copyMakeBorder(changed, 0, rows * CELL - height, 0, columns * CELL - width, cv2.BORDER_REPLICATE)
    return np.asarray(padded.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3)), dtype=np.float32)[None]


def _moments(source: FrameDataset) -> list[_Moment]:
    found: dict[str, dict[tuple[str, str], Frame]] = {}
    for frame in source.frames():
        place, _, name = frame.frame_id.rpartition("/")
        moment, _, rest = name.partition("_")
        content, _, condition = rest.partition("_")
        found.setdefault(f"{place}/{moment}", {})[content, condition] = frame
    whole = [frames for frames in found.values() if {(WHOLE, DAY), (GONE, DAY)} <= frames.keys() and len(frames) > 2]
    return [_Moment(source, frames) for frames in whole]


class ChangesTask:
    """Cross entropy of each cell, and of the picture as a whole."""

    higher_is_better = True

    def __init__(self, config: ChangesConfig, train: Sequence[Path], validation: Sequence[Path]) -> None:
        """`train` and `validation`: folders of frame datasets."""
        self.config = config
        recipe = config.model_dump(mode="json")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.loop.seed)
            self.model = ChangeDetector(ChangeDetectorConfig(width=config.width, input_width=config.input_size[0], recipe=recipe))
        if config.encoder is not None:
            load_first_stages(self.model.backbone)
        self.module: nn.Module = self.model
        self.dataset = ChangesDataset(train, config, augment=True)
        self._validation = ChangesDataset(validation, config, augment=False)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Encoder, and all else."""
        loop = self.config.loop
        return parameter_groups(self.model, self.model.backbone, loop.encoder_learning_rate, loop.head_learning_rate)

    def losses(self, module: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, Tensor]:  # noqa: ARG002
        """`loss` and its terms; the batch is of `ChangesDataset`."""
        logits = module(pixels(batch["source"]), pixels(batch["translated"])).float()
        changed = batch["changed"]
        positive = changed >= _CHANGED_CELL
        counts = positive | (changed <= _UNCHANGED_CELL)
        entropy = nn.functional.binary_cross_entropy_with_logits
        # Few cells of few pictures are changed ones: both kinds weigh half.
        cells = entropy(logits, positive.float(), reduction="none")
        cell = 0.5 * (_mean(cells, positive) + _mean(cells, counts & ~positive))
        is_changed, is_same = positive.flatten(1).sum(1) >= _CHANGED_CELLS, (changed <= _UNCHANGED_CELL).flatten(1).all(1)
        picture = _mean(entropy(change_logits(logits), is_changed.float(), reduction="none"), is_changed | is_same)
        return {"loss": cell + self.config.picture_weight * picture, "cell": cell, "picture": picture}

    def validate(self) -> dict[str, float]:
        """`score`: share of changed objects that are found where a twentieth of what is the same is called changed, rendered and physical;
        that of each, the area under the curve, and the logit where it is so."""
        device = next(self.model.parameters()).device
        found: dict[bool, dict[bool, list[float]]] = {}
        for epoch in range(_VALIDATION_PAIRS):
            for place in range(len(self._validation)):
                item = self._validation[Draw(epoch, place, 0)]
                kind = _KINDS[item["kind"]]
                cells = int((item["changed"] >= _CHANGED_CELL).sum())
                if kind == "elsewhere" or (cells < _CHANGED_CELLS and item["changed"].any()):
                    continue
                pair = (pixels(torch.from_numpy(item[name])[None].to(device)) for name in ("source", "translated"))
                logit = float(change_logits(self.model(*pair).float())[0])
                found.setdefault(kind == "physical", {}).setdefault(cells > 0, []).append(logit)
        figures: dict[str, float] = {}
        for physical, logits in found.items():
            same, changed = (np.array(logits.get(key, [])) for key in (False, True))
            if not same.size or not changed.size:
                continue
            limit = float(np.percentile(same, 95))
            name = "physical" if physical else "rendered"
            figures[f"{name}/found"] = float((changed > limit).mean())
            figures[f"{name}/area"] = float((changed[:, None] > same[None]).mean())
            figures[f"{name}/limit"] = limit
        shares = [value for name, value in figures.items() if name.endswith("/found")]
        return {"score": float(np.mean(shares)) if shares else 0.0, **figures}

    def picture(self, batch: Mapping[str, Any]) -> Picture:
        """Source, translation, where it is said to have changed, where it has."""
        said = self.model(pixels(batch["source"]), pixels(batch["translated"])).float().sigmoid().cpu().numpy()
        rows = [
            [
                batch["source"][index].cpu().numpy(),
                batch["translated"][index].cpu().numpy(),
                _gray(said[index, 0]),
                _gray(batch["changed"][index, 0].cpu().numpy()),
            ]
            for index in range(min(6, len(said)))
        ]
        return contact_sheet(rows, 320, column_labels=("source", "translated", "said to be changed", "changed"))

    def save(self, folder: Path) -> None:
        """A folder that `load_change_detector` reads."""
        save_network(folder, self.model, half=True)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def _gray(shares: npt.NDArray[np.float32]) -> Image:
    enlarged = np.kron(np.clip(shares, 0, 1), np.ones((CELL, CELL), dtype=np.float32))
    return np.repeat((255 * enlarged).astype(np.uint8)[..., None], 3, axis=2)
