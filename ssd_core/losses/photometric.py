# SPDX-License-Identifier: Apache-2.0
"""Photometric error and minimum reprojection with auto-mask: the self-supervised signal of the teacher (L_ph)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssd_core.geometry.warp import WarpedImage
from ssd_core.losses.reduction import mean_over_images

SSIM_WEIGHT = 0.85
_C1, _C2 = 0.01**2, 0.03**2


def structural_dissimilarity(first: Tensor, second: Tensor) -> Tensor:
    """clamp((1 - SSIM) / 2, 0, 1) of images (B, C, H, W) in 0..1, per pixel and channel, on 3x3 windows with reflected borders."""
    first, second = (functional.pad(image, (1, 1, 1, 1), mode="reflect") for image in (first, second))

    def window_mean(image: Tensor) -> Tensor:
        # On processors several times faster than avg_pool2d.
        lines = image[..., :-2, :] + image[..., 1:-1, :] + image[..., 2:, :]
        return (lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:]) / 9

    mean_first, mean_second = window_mean(first), window_mean(second)
    variance_first = window_mean(first * first) - mean_first * mean_first
    variance_second = window_mean(second * second) - mean_second * mean_second
    covariance = window_mean(first * second) - mean_first * mean_second
    numerator = (2 * mean_first * mean_second + _C1) * (2 * covariance + _C2)
    denominator = (mean_first**2 + mean_second**2 + _C1) * (variance_first + variance_second + _C2)
    return ((1 - numerator / denominator) / 2).clamp(0, 1)


def photometric_error(first: Tensor, second: Tensor) -> Tensor:
    """pe(a, b) = 0.85 DSSIM + 0.15 |a - b|: images (B, C, H, W) in 0..1 -> (B, 1, H, W), mean over channels."""
    absolute = (first - second).abs()
    error = SSIM_WEIGHT * structural_dissimilarity(first, second) + (1 - SSIM_WEIGHT) * absolute
    return error.mean(dim=1, keepdim=True)


def reprojection_error(target: Tensor, warped: Sequence[WarpedImage]) -> Tensor:
    """min over t' of pe(I_t, I_t'->t), (B, 1, H, W): how well each pixel is explained; infinite where no source saw it."""
    nowhere = torch.full_like(target[:, :1], torch.inf)
    return torch.stack([torch.where(view.valid, photometric_error(target, view.image), nowhere) for view in warped]).amin(dim=0)


class PhotometricLoss(NamedTuple):
    """`loss` scalar; `kept` (B, 1, H, W) where a warped source was valid; `moving` (B, 1, H, W), the auto-mask: warping beat not moving."""

    loss: Tensor
    kept: Tensor
    moving: Tensor


def minimum_reprojection(
    target: Tensor, warped: Sequence[WarpedImage], sources: Sequence[Tensor], left_out: Tensor | None = None
) -> PhotometricLoss:
    """mean_p min over t' of pe(I_t, I_t'->t) and pe(I_t, I_t').

    target and sources (B, C, H, W) in 0..1, un-augmented; `warped`: each source drawn from the target view. Pixels that look
    alike without motion (a standing car, something that drives along) take the constant pe(I_t, I_t') and so give no gradient.
    left_out (B, 1, H, W) bool: pixels that count for nothing.
    """
    reprojection = reprojection_error(target, warped)
    identity = torch.stack([photometric_error(target, source) for source in sources]).amin(dim=0).detach()
    kept = torch.stack([view.valid for view in warped]).any(dim=0)
    if left_out is not None:
        kept = kept & ~left_out
    moving = kept & (reprojection < identity)
    return PhotometricLoss(mean_over_images(torch.where(moving, reprojection, identity), kept), kept, moving)
