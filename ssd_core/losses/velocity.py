# SPDX-License-Identifier: Apache-2.0
"""Weak velocity supervision (L_vel): the length of the predicted motion is what odometry measured, which makes depth metric."""

from __future__ import annotations

from torch import Tensor


def velocity_loss(predicted_translation: Tensor, driven_distance: Tensor) -> Tensor:
    """mean | ||t_pred|| - ||t_odometry|| |: predicted_translation (B, 3) and driven_distance (B,), both metres -> scalar."""
    length = predicted_translation.square().sum(dim=1).add(1e-12).sqrt()  # the square root has no gradient at zero
    return (length - driven_distance).abs().mean()
