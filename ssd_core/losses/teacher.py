# SPDX-License-Identifier: Apache-2.0
"""Distillation from the frozen teacher (L_distil) and the reliability mask M that says where the teacher is to be believed."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssd_core.losses.reduction import mean_over_images

ReliabilityMask = Literal["teacher_better", "printed", "none"]


class DistillationLoss(NamedTuple):
    """`loss` scalar and `kept` (B, 1, H, W) bool, the pixels that counted."""

    loss: Tensor
    kept: Tensor


def reliability_mask(teacher_error: Tensor, student_error: Tensor, variant: ReliabilityMask = "teacher_better", window: int = 1) -> Tensor:
    """Where the teacher's depth explains the video at least as well as the student's: (B, 1, H, W) bool.

    Both errors are photometric errors (B, 1, H, W) of the ORIGINAL day frame, warped with the TEACHER's pose.
    `teacher_better`: pe_T <= pe_S. `printed`: pe_T > pe_S, as the paper prints it, against its own prose. `none`: everywhere.
    window > 1 (odd) compares errors averaged over window x window pixels, since single pixels say little inside objects.
    Raises ValueError for an even window or an unknown variant.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"the window of the reliability mask must be odd and positive, not {window}")
    if variant == "none":
        return torch.ones_like(teacher_error, dtype=torch.bool)
    if window > 1:
        # What only one of the two saw compares nothing, and an infinite error would decide its whole window.
        seen = teacher_error.isfinite() & student_error.isfinite()
        averaged = [_window_mean(error, seen, window) for error in (teacher_error, student_error)]
        teacher_error, student_error = (
            torch.where(seen, mean, error) for mean, error in zip(averaged, (teacher_error, student_error), strict=True)
        )
    if variant == "teacher_better":
        return teacher_error <= student_error
    if variant == "printed":
        return teacher_error > student_error
    raise ValueError(f"unknown reliability mask {variant!r}: teacher_better, printed or none")


def _window_mean(values: Tensor, counted: Tensor, window: int) -> Tensor:
    """Mean over each window of those that count; zero where none does."""

    def pooled(image: Tensor) -> Tensor:
        return functional.avg_pool2d(image, window, stride=1, padding=window // 2)

    return pooled(torch.where(counted, values, 0)) / pooled(counted.to(values)).clamp(min=1e-6)


def distillation_loss(student_depth: Tensor, teacher_depth: Tensor, reliable: Tensor) -> DistillationLoss:
    """|D_s - D_t| / D_t over reliable pixels; depths (B, 1, H, W) in metres, `reliable` bool. The teacher gets no gradient."""
    teacher_depth = teacher_depth.detach()
    error = (student_depth - teacher_depth).abs() / teacher_depth.clamp(min=1e-6)
    return DistillationLoss(mean_over_images(error, reliable), reliable)
