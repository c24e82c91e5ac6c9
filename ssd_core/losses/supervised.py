# SPDX-License-Identifier: Apache-2.0
"""Losses against known depth (rendered or lidar): scale-invariant log, multi-scale log gradient, and a one-sided one for sky."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ssd_core.losses.reduction import mean_over_images

_SMALLEST = 1e-3


def scale_invariant_log_loss(predicted: Tensor, truth: Tensor, valid: Tensor, variance_focus: float = 0.5) -> Tensor:
    """sqrt( mean g^2 - variance_focus * (mean g)^2 ), g = log predicted - log truth (Eigen et al. 2014), per image, then the mean.

    Depths (B, 1, H, W) in metres, valid (B, 1, H, W) bool. variance_focus 0 is the log RMSE, 1 ignores scale.
    """
    difference = _log_difference(predicted, truth, valid).flatten(1)
    weights = valid.to(difference.dtype).flatten(1)
    count = weights.sum(dim=1)
    mean = difference.sum(dim=1) / count.clamp(min=1)
    mean_square = difference.square().sum(dim=1) / count.clamp(min=1)
    loss = (mean_square - variance_focus * mean.square()).clamp(min=1e-8).sqrt()
    return (loss * (count > 0)).sum() / (count > 0).sum().clamp(min=1)


def log_gradient_loss(predicted: Tensor, truth: Tensor, valid: Tensor, scales: int = 4) -> Tensor:
    """mean |d_x g| + |d_y g| over `scales` halvings of g = log predicted - log truth: sharp edges where the truth has them.

    Depths (B, 1, H, W) in metres; both neighbours must be valid.
    """
    difference = _log_difference(predicted, truth, valid)
    total = predicted.new_zeros(())
    for _ in range(scales):
        across = (difference[..., 1:] - difference[..., :-1]).abs()
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs()
        total = total + mean_over_images(across, valid[..., 1:] & valid[..., :-1])
        total = total + mean_over_images(down, valid[..., 1:, :] & valid[..., :-1, :])
        difference, valid = difference[..., ::2, ::2], valid[..., ::2, ::2]
    return total / scales


def sky_loss(predicted: Tensor, sky: Tensor, max_depth: float) -> Tensor:
    """mean relu(log max_depth - log predicted) over sky pixels: sky may be as far as the network can say, never nearer.

    predicted (B, 1, H, W) metres, sky (B, 1, H, W) bool.
    """
    missing = functional.relu(torch.log(predicted.new_tensor(max_depth)) - predicted.clamp(min=_SMALLEST).log())
    return mean_over_images(missing, sky)


def _log_difference(predicted: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """log predicted - log truth, 0 where not valid (truth there may be 0, infinite or NaN)."""
    safe_truth = torch.where(valid, truth, torch.ones_like(truth))
    difference = predicted.clamp(min=_SMALLEST).log() - safe_truth.clamp(min=_SMALLEST).log()
    return torch.where(valid, difference, torch.zeros_like(difference))
