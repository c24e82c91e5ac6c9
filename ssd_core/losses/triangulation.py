# SPDX-License-Identifier: Apache-2.0
"""Depth against what the camera's motion and optical flow give: pulls where a photometric error shows no way."""

from __future__ import annotations

from torch import Tensor

_SMALLEST = 1e-6


def triangulation_loss(depth: Tensor, triangulated: Tensor, trust: Tensor) -> Tensor:
    """mean of |log depth - log triangulated|, by trust; metres and 0..1, all (B, 1, h, w). Scalar.

    Each image counts by its own mean trust: one that taught little must not be pulled by what little it says.
    """
    difference = (depth.clamp(min=_SMALLEST).log() - triangulated.log()).abs()
    return (trust * difference).mean()
