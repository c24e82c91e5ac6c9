# SPDX-License-Identifier: Apache-2.0
"""What a camera of known height over the road can know: nothing is farther than the road that is seen in the same direction.

Vehicles that drive along hardly move in the picture, as if they were far away; video alone can't tell. But all that is seen below the
horizon stands on the road or before it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ssd_core.losses.reduction import mean_over_images
from ssd_core.model.flow_motion import cell_rays

_FALL = 0.03
"""Metres a metre that the road ahead may fall, against the one the vehicle stands on, before it is taken for what isn't there."""
_FARTHEST = 40.0
"""Metres; nearer to the horizon a hill, or a degree of pitch, decides."""
_TOO_FAR = 1.4
"""Times as far as that road, so that the road itself doesn't seem to drive along where it isn't quite as flat."""


def farthest_road(intrinsics: Tensor, camera_height: float, size: tuple[int, int], stride: int = 1) -> Tensor:
    """Metres [B, 1, h, w] along Z to a road that falls away, seen by a level camera `camera_height` metres above the road under it.

    intrinsics [B, 3, 3]; size (h, w): of every `stride`-th pixel. +Inf above the horizon, and where it would be farther than 40 m.
    """
    below = cell_rays(intrinsics, size, stride)[:, 1:] - _FALL
    far = camera_height / below.clamp(min=1e-6)
    return torch.where(far < _FARTHEST, far, torch.inf)


def ground_loss(depth: Tensor, farthest: Tensor) -> Tensor:
    """mean relu(log depth - log farthest) where `farthest` (see `farthest_road`) is finite; both [B, 1, h, w] metres. Scalar."""
    known = torch.isfinite(farthest)
    too_far = functional.relu(depth.log() - torch.where(known, farthest, 1.0).log())
    return mean_over_images(too_far, known)


def drives_along(triangulated: Tensor, farthest: Tensor) -> Tensor:
    """Bool [B, 1, h, w]: what is seen would be deep below the road if it stood still; both in metres (see `triangulate`)."""
    return triangulated > _TOO_FAR * farthest
