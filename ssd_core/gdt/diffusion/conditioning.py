# SPDX-License-Identifier: Apache-2.0
"""Depth as ControlNet's depth model learnt to see it: inverse depth as gray, near is white."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ssd_core.images.codec import Image
from ssd_core.model.config import DepthKind

_TAILS = (0.5, 99.5)
"""Percentiles that become black and white: one pixel of the bonnet shall not darken all the rest."""


def control_picture(depth: npt.NDArray[np.float32], kind: DepthKind) -> Image:
    """Depth (H, W) -> uint8 (H, W, 3) of three equal channels.

    ControlNet 1.1 depth was trained on inverse depth of MiDaS and others, each picture stretched to its own range. Metric depth (metres
    along Z) is inverted; +Inf is black. NaN (unknown) takes the nearest known depth. Scale and shift don't matter.
    Raises ValueError if nothing is known.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(depth > 0, 1 / depth, np.nan) if kind == "metric" else depth.astype(np.float32)
    inverse = _filled(inverse)
    low, high = np.percentile(inverse, _TAILS)
    levels = np.clip((inverse - low) / max(float(high - low), 1e-9), 0, 1) * 255
    return np.repeat(np.round(levels).astype(np.uint8)[..., None], 3, axis=2)


def _filled(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    unknown = ~np.isfinite(values)
    if not unknown.any():
        return values
    if unknown.all():
        raise ValueError("depth is unknown everywhere")
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])
