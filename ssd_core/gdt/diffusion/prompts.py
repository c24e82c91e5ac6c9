# SPDX-License-Identifier: Apache-2.0
"""Prompts: a template for each condition, filled with what is in the picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pydantic

from ssd_core.gdt.translator import TargetCondition
from ssd_core.storage.configuration import ConfigurationError, StrictModel, load_configuration

_PLACE = "{caption}"
_BUNDLED = Path(__file__).with_name("prompts.yaml")


class Prompt(NamedTuple):
    """What Stable Diffusion is told."""

    positive: str
    negative: str


class PromptTemplate(StrictModel):
    """Of one condition."""

    positive: str
    """Holds {caption} once."""
    negative: str = ""
    remove: tuple[str, ...] = ()
    """Phrases of a caption that contradict the condition; they are taken out of it."""

    @pydantic.field_validator("positive")
    @classmethod
    def _has_a_place(cls, positive: str) -> str:
        if positive.count(_PLACE) != 1:
            raise ValueError(f"{_PLACE} must stand in it once")
        return positive

    def fill(self, caption: str) -> Prompt:
        """The prompt of a picture of which `caption` is said."""
        return Prompt(self.positive.replace(_PLACE, _without(caption, self.remove)), self.negative)


class PromptTemplates(StrictModel):
    """A template for each condition that can be asked for."""

    night: PromptTemplate | None = None
    rain: PromptTemplate | None = None
    snow: PromptTemplate | None = None
    fog: PromptTemplate | None = None

    def fill(self, condition: TargetCondition, caption: str) -> Prompt:
        """See PromptTemplate. Raises ConfigurationError for a condition without one."""
        template: PromptTemplate | None = getattr(self, condition)
        if template is None:
            raise ConfigurationError(f"no prompt for {condition!r}: add it to the file of prompts")
        return template.fill(caption)


def load_prompts(path: Path | None = None) -> PromptTemplates:
    """Templates of a YAML file, or those of this package. Raises ConfigurationError, FileNotFoundError."""
    return load_configuration(PromptTemplates, path or _BUNDLED)


def _without(caption: str, phrases: tuple[str, ...]) -> str:
    caption = " ".join(caption.split()).rstrip(".")
    for phrase in phrases:
        caption = re.sub(rf"\b{re.escape(phrase)}\b", "", caption, flags=re.IGNORECASE)
    return re.sub(r"\s+([,.])", r"\1", " ".join(caption.split())).strip(" ,")
