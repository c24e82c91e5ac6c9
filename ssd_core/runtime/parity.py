# SPDX-License-Identifier: Apache-2.0
"""How far a compiled network's depth is from the network's own."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ssd_core.runtime.backends import Precision

LARGEST_MEAN: dict[Precision, float] = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 2e-2}
"""Mean relative difference from float32 up to which a compiled network counts as the same network."""

_SMALLEST_SHARE = 1e-3
"""Differences of values below this share of the largest count relative to it: relative inverse depth reaches zero."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """Relative differences over all pixels of all pictures; NaN or infinite where the depth was."""

    mean: float
    p99: float
    maximum: float

    def __str__(self) -> str:
        return f"mean {self.mean:.2g}, p99 {self.p99:.2g}, max {self.maximum:.2g}"

    def is_within(self, precision: Precision) -> bool:
        """Whether the mean is what this precision may cost; never for depth that isn't finite."""
        return self.mean <= LARGEST_MEAN[precision]


def compare_depth(compiled: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Parity:
    """Compare depth (or relative inverse depth) of one shape, any number of pictures. Raises ValueError for different shapes."""
    if compiled.shape != reference.shape:
        raise ValueError(f"depth of shape {compiled.shape} against {reference.shape}")
    true = reference.astype(np.float64)
    if not np.isfinite(compiled).all():
        return Parity(np.inf, np.inf, np.inf)
    errors = np.abs(compiled - true) / np.maximum(np.abs(true), _SMALLEST_SHARE * np.abs(true).max())
    return Parity(float(errors.mean()), float(np.percentile(errors, 99)), float(errors.max()))
