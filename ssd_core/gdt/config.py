# SPDX-License-Identifier: Apache-2.0
"""Everything a translation of a recording can be told; YAML files are deltas of these defaults."""

from __future__ import annotations

from typing import Literal

import pydantic

from ssd_core.data.frame import UNKNOWN_CONDITION
from ssd_core.gdt.diffusion.config import DiffusionConfig
from ssd_core.gdt.gate import GateConfig
from ssd_core.gdt.physical.ranges import PhysicalConfig
from ssd_core.gdt.tiled_depth import TilingConfig
from ssd_core.storage.configuration import StrictModel


class DepthConfig(StrictModel):
    """Where the depth comes from that translators build on."""

    source: Literal["auto", "truth", "model"] = "auto"
    """truth: dense depth of a rendered frame dataset; model: a network; auto: truth where a frame has it, else the network."""
    model: str = "bundled"
    """bundled, a checkpoint folder or a Hub id; transformers:Intel/dpt-hybrid-midas for other depth-estimation models of transformers."""
    input_size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] | None = None
    """(width, height) of the network's input; none: the model's own area in the pictures' aspect."""
    tiles: TilingConfig | None = None
    """Refinement in tiles: finer outlines for ten times the work."""


class SynthesisConfig(StrictModel):
    """A job: which frames, what depth, which translator with what settings, and what its gate lets through."""

    seed: int = pydantic.Field(default=0, ge=0)
    """Each picture's own seed is made of this one, its frame and its condition."""
    source_conditions: tuple[str, ...] = ("day-clear", UNKNOWN_CONDITION)
    """Only frames of these are translated."""
    jpeg_quality: int = pydantic.Field(default=95, ge=1, le=100)
    depth: DepthConfig = DepthConfig()
    gate: GateConfig = GateConfig()
    physical: PhysicalConfig = PhysicalConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
