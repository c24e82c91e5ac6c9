# SPDX-License-Identifier: Apache-2.0
"""Night, rain, snow and fog by the physics of light, from a picture and its depth; no weights, no surprises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ssd_core.gdt.physical.bad_weather import fog, rain, snow
from ssd_core.gdt.physical.night import night
from ssd_core.gdt.physical.ranges import PhysicalConfig, Ranges
from ssd_core.gdt.physical.view import View, make_view
from ssd_core.gdt.translator import TargetCondition, TranslatedImage, TranslationRequest
from ssd_core.images.codec import Image

_EFFECTS: dict[TargetCondition, Callable[[View, Mapping[str, float], int], Image]] = {
    "night": night,
    "rain": rain,
    "snow": snow,
    "fog": fog,
}


class PhysicalTranslator:
    """A Translator. Every picture draws its own values from the ranges, by its request's seed."""

    name = "physical"
    batch_size = 1

    def __init__(self, config: PhysicalConfig | None = None) -> None:
        self.config = config or PhysicalConfig()

    def translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage]:
        """See Translator. Needs metric depth; raises ValueError without, UntranslatableError if it is unknown everywhere."""
        return [self._translate(request) for request in requests]

    def _translate(self, request: TranslationRequest) -> TranslatedImage:
        ranges: Ranges = getattr(self.config, request.condition)
        values = ranges.draw(request.seed)
        image = _EFFECTS[request.condition](make_view(request), values, request.seed)
        provenance = {"values": {name: float(f"{value:.4g}") for name, value in values.items()}, "camera_known": request.camera is not None}
        return TranslatedImage(image, provenance)
