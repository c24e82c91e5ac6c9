# SPDX-License-Identifier: Apache-2.0
"""View synthesis: what another camera saw, drawn from this camera's pixels through depth and motion (differentiable)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class WarpedImage(NamedTuple):
    """`image` (B, C, H, W) as the target view would see it, and `valid` (B, 1, H, W) bool: the sample lay inside the source image."""

    image: Tensor
    valid: Tensor


def backproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Depth (B, 1, H, W), metres along Z, and intrinsics (B, 3, 3) -> points (B, 3, H, W) in the camera's optical frame."""
    height, width = depth.shape[-2:]
    v, u = torch.meshgrid(
        torch.arange(height, device=depth.device, dtype=depth.dtype),
        torch.arange(width, device=depth.device, dtype=depth.dtype),
        indexing="ij",
    )
    focal_x, focal_y, centre_x, centre_y = (intrinsics[:, i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    rays = torch.stack([(u - centre_x) / focal_x, (v - centre_y) / focal_y, torch.ones_like(u).expand(depth.shape[0], -1, -1)], dim=1)
    return rays * depth


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Points (B, 3, H, W) -> pixels (B, 2, H, W); u, v are NaN-free, but meaningless where z < 1 mm."""
    z = points[:, 2:].clamp(min=1e-3)
    focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=1)[..., None, None]
    centre = intrinsics[:, :2, 2][..., None, None]
    return points[:, :2] / z * focal + centre


def transform(points: Tensor, target_from_source: Tensor) -> Tensor:
    """Points (B, 3, H, W) moved by motions (B, 4, 4)."""
    moved = target_from_source[:, :3, :3] @ points.flatten(2) + target_from_source[:, :3, 3:]
    return moved.view_as(points)


def warp_image(
    source: Tensor,
    target_depth: Tensor,
    target_intrinsics: Tensor,
    source_intrinsics: Tensor,
    source_from_target: Tensor,
) -> WarpedImage:
    """Draw the target view from the source image (the I_t'->t of the photometric loss).

    source (B, C, Hs, Ws); target_depth (B, 1, H, W) metres along Z; intrinsics (B, 3, 3) in pixels of the respective
    image (pixel centres at integers, as PinholeCamera); source_from_target (B, 4, 4). Bilinear, borders repeated.
    """
    points = transform(backproject(target_depth, target_intrinsics), source_from_target)
    pixels = project(points, source_intrinsics)
    size = torch.tensor([source.shape[-1], source.shape[-2]], device=source.device, dtype=pixels.dtype)[:, None, None]
    # Pixel centres at integers are align_corners=False: the image's edges (-0.5, W-0.5) are -1 and 1.
    normalised = (2 * pixels + 1) / size - 1
    grid = normalised.permute(0, 2, 3, 1).to(source.dtype)
    image = functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (normalised.abs() <= 1).all(dim=1, keepdim=True)
    return WarpedImage(image, inside & (points[:, 2:] > 1e-3))
