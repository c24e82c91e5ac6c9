# SPDX-License-Identifier: Apache-2.0
"""The rigid motion that best explains how points of known depth moved in the image (weighted least squares, differentiable), and depth
from a known one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ssd_core.geometry.motion import matrix_from_motion

_TOLERANCES = (16.0, 8.0, 4.0, 4.0, 4.0)
"""Pixels, one a step: residuals well beyond count for little. Wide at first, since near things move far; narrow last, for what moves
by itself and for wrong matches."""
_DAMPING = (1e-4, 1e-2)
"""Added to the normal equations for translation (1/m^2) and rotation, so that they can be solved even where nothing is known."""
_NEAREST, _FARTHEST = 0.5, 200.0
"""Metres: nearer points are taken for this near when they are projected; depth from flow is within both."""
_FLOW_ERROR = 0.3
"""Pixels that classical flow is usually wrong by."""
_HALF_TRUSTED = 0.1
"""Relative error of depth that is half believed."""
_CONTRADICTION = 1.0
"""Pixels off the line on which a camera's motion may move a point, or of difference between neighbours, that is half believed."""


def motion_from_flow(
    flow: Tensor,
    weight: Tensor,
    depth: Tensor,
    intrinsics: Tensor,
    other_intrinsics: Tensor,
    stride: int,
    tolerances: Sequence[float] = _TOLERANCES,
) -> Tensor:
    """Gauss-Newton from standing still, of sum weight * |projection of the moved point - where it was found|^2, robustly.

    flow [B, 2, h, w] pixels (u, v), weight [B, h, w] >= 0, depth [B, h, w] metres, at every `stride`-th pixel from the top left one;
    intrinsics [B, 3, 3] of the image the flow starts in, and of the other; tolerances: pixels, a step each.
    Returns [B, 4, 4] other_from_this.
    """
    height, width = depth.shape[-2:]
    rays = cell_rays(intrinsics, (height, width), stride)
    points = (torch.cat([rays, torch.ones_like(rays[:, :1])], dim=1) * depth[:, None]).flatten(2)
    u, v = _cells((height, width), stride, flow)
    found = _rays(u + flow[:, 0], v + flow[:, 1], other_intrinsics).flatten(2)
    focal = other_intrinsics[:, 0, 0, None]
    damping = torch.diag(torch.tensor([_DAMPING[0]] * 3 + [_DAMPING[1]] * 3).to(flow))
    motion = torch.eye(4).to(flow).expand(len(flow), 4, 4)
    for tolerance in tolerances:
        moved = motion[:, :3, :3] @ points + motion[:, :3, 3:]
        depths = moved[:, 2].clamp(min=_NEAREST)
        x, y = moved[:, 0] / depths, moved[:, 1] / depths
        residual = found - torch.stack([x, y], dim=1)
        distance = residual.detach().square().sum(dim=1) * (focal / tolerance) ** 2
        jacobian = _jacobian(x, y, depths)
        weighted = jacobian * (weight.flatten(1) / (1 + distance))[:, None, :, None]
        normal = torch.einsum("bkni,bknj->bij", weighted, jacobian) + damping
        step = torch.linalg.solve(normal, torch.einsum("bkni,bkn->bi", weighted, residual))
        motion = matrix_from_motion(step[:, :3], step[:, 3:]) @ motion
    return motion


class Triangulated(NamedTuple):
    """What a camera's motion and optical flow say of the points it saw."""

    depth: Tensor
    """[B, 1, h, w] metres along Z, from 0.5 to 200."""
    trust: Tensor
    """[B, 1, h, w] from 0 to 1: half where depth is known to a tenth; 0 where flow contradicts a motion of the camera alone."""


def triangulate(flow: Tensor, weight: Tensor, motions: Tensor, intrinsics: Tensor, stride: int) -> Triangulated:
    """Depth from flow to several neighbours at once: the inverse depth of least square errors in pixels.

    flow [B, N, 2, h, w] pixels (u, v) and weight [B, N, h, w] in 0..1 at every `stride`-th pixel from the top left one; motions
    [B, N, 4, 4] neighbours_from_current; intrinsics [B, 1 + N, 3, 3] of the current image and the neighbours'.
    """
    height, width = flow.shape[-2:]
    rays = cell_rays(intrinsics[:, 0], (height, width), stride)
    rays = torch.cat([rays, torch.ones_like(rays[:, :1])], dim=1).flatten(2)
    u, v = _cells((height, width), stride, flow)
    slopes, errors = [], []
    for neighbour in range(flow.shape[1]):
        moves, matrix = flow[:, neighbour], intrinsics[:, 1 + neighbour]
        found = _rays(u + moves[:, 0], v + moves[:, 1], matrix).flatten(2)
        turned = motions[:, neighbour, :3, :3] @ rays
        shift = motions[:, neighbour, :3, 3:]
        # A point at ray / rho is seen at (turned + rho * shift), of which both image coordinates are linear in rho.
        ahead = turned[:, 2:].clamp(min=0.1)
        share = weight[:, neighbour].flatten(1)[:, None].sqrt() * matrix[:, 0, 0, None, None]
        slopes.append(share * (shift[:, :2] - found * shift[:, 2:]) / ahead)
        errors.append(share * (found - turned[:, :2] / ahead))
    slope, error = torch.cat(slopes, dim=1), torch.cat(errors, dim=1)
    information = slope.square().sum(dim=1, keepdim=True)
    nearness = (slope * error).sum(dim=1, keepdim=True) / information.clamp(min=1e-9)
    contradiction = (error - nearness * slope).square().sum(dim=1, keepdim=True)
    # A flow error of _FLOW_ERROR pixels is so large a share of the nearness.
    uncertain = _FLOW_ERROR**2 / (information * nearness.square()).clamp(min=1e-9)
    trust = 1 / (1 + uncertain / _HALF_TRUSTED**2) / (1 + contradiction / _CONTRADICTION**2)
    trust = torch.where((nearness > 1 / _FARTHEST) & (nearness < 1 / _NEAREST), trust, 0.0)
    shape = (len(flow), 1, height, width)
    return Triangulated(1 / nearness.clamp(1 / _FARTHEST, 1 / _NEAREST).reshape(shape), trust.reshape(shape))


def cell_rays(intrinsics: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """[B, 2, h, w]: x/z and y/z of every `stride`-th pixel from the top left one, for intrinsics [B, 3, 3] and size (h, w)."""
    return _rays(*_cells(size, stride, intrinsics), intrinsics)


def _cells(size: tuple[int, int], stride: int, like: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (torch.arange(side, device=like.device).to(like.dtype) * stride for side in size)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    return u, v


def _rays(u: Tensor, v: Tensor, intrinsics: Tensor) -> Tensor:
    """[B, 2, h, w]: x/z and y/z of pixels."""
    focal_x, focal_y, centre_x, centre_y = (intrinsics[:, i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return torch.stack([(u - centre_x) / focal_x, (v - centre_y) / focal_y], dim=1)


def _jacobian(x: Tensor, y: Tensor, depth: Tensor) -> Tensor:
    """[B, 2, N, 6]: how x/z and y/z of points change with a small translation and rotation of the points."""
    zero, near = torch.zeros_like(x), 1 / depth
    across = torch.stack([near, zero, -x * near, -x * y, 1 + x * x, -y], dim=-1)
    down = torch.stack([zero, near, -y * near, -(1 + y * y), x * y, x], dim=-1)
    return torch.stack([across, down], dim=1)
