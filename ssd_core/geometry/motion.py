# SPDX-License-Identifier: Apache-2.0
"""Small rigid motions as six numbers, and their matrices, in torch: what pose networks predict and warps take (differentiable)."""

from __future__ import annotations

import torch
from torch import Tensor


def matrix_from_motion(translation: Tensor, axis_angle: Tensor) -> Tensor:
    """Translations (..., 3) in metres and rotations (..., 3), axis times angle in radians -> matrices (..., 4, 4), p -> R p + t."""
    rotation = torch.linalg.matrix_exp(_cross_matrix(axis_angle))
    upper = torch.cat([rotation, translation[..., None]], dim=-1)
    last = torch.zeros_like(upper[..., :1, :])
    last[..., 3] = 1
    return torch.cat([upper, last], dim=-2)


def invert_motion(matrix: Tensor) -> Tensor:
    """The inverses of rigid motions (..., 4, 4)."""
    rotation = matrix[..., :3, :3].transpose(-1, -2)
    upper = torch.cat([rotation, -rotation @ matrix[..., :3, 3:]], dim=-1)
    return torch.cat([upper, matrix[..., 3:, :]], dim=-2)


def _cross_matrix(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(dim=-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vector.shape[:-1], 3, 3)
