# SPDX-License-Identifier: Apache-2.0
"""Image prompts: real frames of the wanted condition, one drawn for each translation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssd_core.data.errors import DataError
from ssd_core.data.frame import UNKNOWN_CONDITION, Frame
from ssd_core.data.nuscenes import training_split
from ssd_core.data.source import open_source
from ssd_core.gdt.translator import TargetCondition
from ssd_core.images.codec import Image

_CONDITIONS: dict[TargetCondition, tuple[str, ...]] = {
    "night": ("night",),
    "rain": ("day-rain", "rain"),
    "snow": ("snow", "day-snow"),
    "fog": ("fog", "day-fog"),
}
"""Conditions of frames that show what is wanted; a rainy night is neither a night nor a day in rain."""
_SMALLEST = 448
"""A picture prompt is seen at 224 pixels or little more; larger JPEGs are decoded reduced."""


class ImagePrompt(NamedTuple):
    """name: of the source and the frame in it."""

    name: str
    image: Image


class ImagePrompts:
    """Real frames for each condition, of a split or, with None, of what may be learnt from.

    Raises DataError where a source has none of its condition, SourceError where it isn't there or has no splits.
    """

    def __init__(self, places: Mapping[TargetCondition, Path], split: str | None = None) -> None:
        self._sources = {
            path: open_source(path, with_poses=False, split=split or training_split(path)) for path in dict.fromkeys(places.values())
        }
        self._frames = {condition: _frames_of(self._sources[path].frames(), condition, path) for condition, path in places.items()}
        self._places = dict(places)

    def draw(self, condition: TargetCondition, seed: int) -> ImagePrompt:
        """The frame that a seed draws. Raises DataError for a condition without frames, ImageDecodeError for a damaged one."""
        if condition not in self._places:
            raise DataError(f"no image prompts for {condition!r}: give a folder or data set with such frames as adapter.images.{condition}")
        path, frames = self._places[condition], self._frames[condition]
        frame = frames[int(np.random.default_rng([seed, 71]).integers(len(frames)))]
        return ImagePrompt(f"{path.name}/{frame.frame_id}", self._sources[path].image(frame, (_SMALLEST, _SMALLEST)))

    def close(self) -> None:
        """Release files."""
        for source in self._sources.values():
            source.close()


def _frames_of(frames: Sequence[Frame], condition: TargetCondition, path: Path) -> list[Frame]:
    """Of what knows conditions those of this one; of plain pictures all."""
    known = {frame.condition for frame in frames}
    chosen = list(frames) if known == {UNKNOWN_CONDITION} else [frame for frame in frames if frame.condition in _CONDITIONS[condition]]
    if not chosen:
        raise DataError(f"{path}: no frames of {condition} ({' or '.join(_CONDITIONS[condition])}), only of {', '.join(sorted(known))}")
    return chosen
