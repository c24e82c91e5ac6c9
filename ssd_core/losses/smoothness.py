# SPDX-License-Identifier: Apache-2.0
"""Edge-aware smoothness of disparity (L_smooth)."""

from __future__ import annotations

from torch import Tensor


def smoothness_loss(disparity: Tensor, image: Tensor) -> Tensor:
    """mean |d_x d*| exp(-|d_x I|) + |d_y d*| exp(-|d_y I|), d* = disparity divided by its mean over the image.

    disparity (B, 1, H, W), any scale; image (B, C, H, W) in 0..1. Returns a scalar. Normalising by the mean keeps the loss
    from being lowered by shrinking all disparity.
    """
    normalised = disparity / disparity.mean(dim=(2, 3), keepdim=True).clamp(min=1e-7)
    across = (normalised[..., 1:] - normalised[..., :-1]).abs()
    down = (normalised[..., 1:, :] - normalised[..., :-1, :]).abs()
    across = across * (-(image[..., 1:] - image[..., :-1]).abs().mean(dim=1, keepdim=True)).exp()
    down = down * (-(image[..., 1:, :] - image[..., :-1, :]).abs().mean(dim=1, keepdim=True)).exp()
    return across.mean() + down.mean()
