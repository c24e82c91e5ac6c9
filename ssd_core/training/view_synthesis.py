# SPDX-License-Identifier: Apache-2.0
"""Neighbouring frames drawn from the current frame's view, at one resolution: what the photometric losses compare."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssd_core.geometry.warp import WarpedImage, warp_image


class Views(NamedTuple):
    """All [B, C, h, w] at one resolution: the current frame, its neighbours, these drawn from its view, and its disparity."""

    target: Tensor
    sources: tuple[Tensor, Tensor]
    warped: tuple[WarpedImage, WarpedImage]
    disparity: Tensor


def synthesise(images: Tensor, intrinsics: Tensor, depth: Tensor, motions: Tensor, divisor: int = 1) -> Views:
    """images [B, 3, 3, H, W] in 0..1: previous, current, next frame; intrinsics [B, 3, 3, 3] of each; depth [B, 1, h, w] metres of the
    current frame at any resolution; motions [B, 2, 4, 4] neighbours_from_current. divisor: of the images' sides.
    """
    height, width = images.shape[-2] // divisor, images.shape[-1] // divisor
    previous, target, following = (_shrunk(images[:, place], (height, width)) for place in range(3))
    scaled = scale_intrinsics(intrinsics, width / images.shape[-1], height / images.shape[-2])
    depth = resize_by_inverse_depth(depth, (height, width))
    warped = [
        warp_image(source, depth, scaled[:, 1], scaled[:, place], motions[:, direction])
        for direction, (place, source) in enumerate(((0, previous), (2, following)))
    ]
    return Views(target, (previous, following), (warped[0], warped[1]), 1 / depth)


def scale_intrinsics(intrinsics: Tensor, across: float, down: float) -> Tensor:
    """Matrices (..., 3, 3) of the image resized by these factors; pixel centres lie at integers."""
    offset = torch.zeros_like(intrinsics)
    offset[..., 0, 2] = offset[..., 1, 2] = 0.5
    factors = torch.tensor([across, down, 1.0]).to(intrinsics)[:, None]
    return (intrinsics + offset) * factors - offset


def resize_by_inverse_depth(depth: Tensor, size: tuple[int, int]) -> Tensor:
    """Depth [B, 1, h, w] at another (height, width); bilinear in inverse depth, in which flat surfaces are linear."""
    if tuple(depth.shape[-2:]) == size:
        return depth
    return 1 / functional.interpolate(1 / depth, size, mode="bilinear", align_corners=False)


def _shrunk(image: Tensor, size: tuple[int, int]) -> Tensor:
    return image if tuple(image.shape[-2:]) == size else functional.interpolate(image, size, mode="area")
