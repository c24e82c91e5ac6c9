# SPDX-License-Identifier: Apache-2.0
"""Photometric error of optical flow, which teaches a matching pose network what belongs together before depth is any good."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ssd_core.losses.photometric import photometric_error
from ssd_core.losses.reduction import mean_over_images


def flow_loss(current: Tensor, neighbour: Tensor, flow: Tensor, stride: int) -> Tensor:
    """mean pe(current at p, neighbour at p + flow) over every `stride`-th pixel p; both blurred by a box of that size.

    Images (B, C, H, W) in 0..1; flow (B, 2, h, w) pixels (u, v), its first at the top left pixel. Scalar.
    """
    current, neighbour = _blurred(current, stride | 1)[..., ::stride, ::stride], _blurred(neighbour, stride | 1)
    height, width = flow.shape[-2:]
    rows, columns = torch.arange(height, device=flow.device) * stride, torch.arange(width, device=flow.device) * stride
    v, u = torch.meshgrid(rows.to(flow), columns.to(flow), indexing="ij")
    extent = torch.tensor([neighbour.shape[-1], neighbour.shape[-2]]).to(flow)[:, None, None]
    normalised = (2 * (torch.stack([u, v]) + flow) + 1) / extent - 1
    found = functional.grid_sample(neighbour, normalised.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    inside = (normalised.abs() <= 1).all(dim=1, keepdim=True)
    return mean_over_images(photometric_error(current, found), inside)


def _blurred(image: Tensor, size: int) -> Tensor:
    """By a box of size x size, of what lies inside the picture."""
    for window in ((1, size), (size, 1)):
        image = functional.avg_pool2d(image, window, stride=1, padding=(window[0] // 2, window[1] // 2), count_include_pad=False)
    return image
