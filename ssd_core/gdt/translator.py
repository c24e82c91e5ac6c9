# SPDX-License-Identifier: Apache-2.0
"""What every translator takes and gives: a picture of a clear day and its depth in, the same view at night or in bad weather out."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import Image
from ssd_core.model.config import DepthKind
from ssd_core.runtime.estimator import DepthMap

TargetCondition = Literal["night", "rain", "snow", "fog"]
TARGET_CONDITIONS: tuple[TargetCondition, ...] = get_args(TargetCondition)
FRAME_CONDITIONS: dict[TargetCondition, str] = {"night": "night", "rain": "day-rain", "snow": "snow", "fog": "fog"}
"""What frames of these conditions are called in data sets and manifests."""


class UntranslatableError(ValueError):
    """One picture that can't be translated though all settings are right; the message names its frame.

    A job writes it down and goes on; every other error ends the job.
    """


@dataclass(frozen=True, eq=False, slots=True)
class TranslationRequest:
    """One picture to translate.

    image: uint8 (H, W, 3) RGB. depth: float32 (H, W), of the same pixels. Of kind "metric" it is metres along the optical axis Z,
    +Inf for the sky and what is beyond range, NaN where unknown; of kind "relative_inverse" it is inverse depth up to an unknown scale
    and shift, finite. camera: of this image, None where intrinsics are unknown. seed: of this frame and condition, from `request_seed`;
    all that is drawn for the picture is drawn from it. depth_model: what said the depth, for the record.
    """

    frame_id: str
    image: Image
    depth: npt.NDArray[np.float32]
    condition: TargetCondition
    seed: int
    camera: PinholeCamera | None = None
    depth_kind: DepthKind = "metric"
    depth_model: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class TranslatedImage:
    """A translation: uint8 (H, W, 3) RGB of the size of the source, pixel on pixel; and how it was made, JSON values.

    provenance: caption, prompt, steps, scales, model ids and revisions, parameters drawn, ... whatever makes it again.
    """

    image: Image
    provenance: dict[str, Any]


class Translator(Protocol):
    """Makes a night, or bad weather, of a clear day, without moving anything."""

    @property
    def name(self) -> str:
        """Of its folder under `translated/`."""
        ...

    @property
    def batch_size(self) -> int:
        """Requests that are best translated at once."""
        ...

    def translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage]:
        """Translations in order. What comes of a request depends on nothing else in the batch.

        Raises UntranslatableError where the fault is that of one picture (or of one of several), other errors, which name the frame,
        where settings or data set are wrong.
        """
        ...


class DepthSource(Protocol):
    """Depth of pictures: a `DepthEstimator`, or what refines its maps."""

    @property
    def model_id(self) -> str:
        """Name and hash of what decides the output."""
        ...

    def __call__(
        self,
        images: Sequence[Image],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        """Depth of each picture, in order (see `DepthEstimator`)."""
        ...


def request_seed(seed: int, frame_id: str, condition: str) -> int:
    """Seed of one frame in one condition, 0 to 2**32 - 1: of the job's seed and the frame, never of order or shard."""
    return int(np.random.SeedSequence([seed, zlib.crc32(frame_id.encode()), zlib.crc32(condition.encode())]).generate_state(1)[0])
