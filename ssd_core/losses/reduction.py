# SPDX-License-Identifier: Apache-2.0
"""The one average of all losses: over each image's kept pixels first, then over the images that have any."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_over_images(values: Tensor, keep: Tensor) -> Tensor:
    """Scalar mean of values (B, ...) where keep (B, ...) bool; an image without kept pixels counts for nothing.

    Averaging per image first keeps an image with many valid pixels from outvoting one with few. Zero (with gradient) if nothing is kept.
    """
    weights = keep.to(values.dtype).flatten(1)
    counts = weights.sum(dim=1)
    # `where`, not a product: a discarded NaN or infinity times zero would still be NaN.
    sums = torch.where(keep, values, torch.zeros_like(values)).flatten(1).sum(dim=1)
    return (sums / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)
