# SPDX-License-Identifier: Apache-2.0
"""Semantic consistency (L_sem): features of the translated image stay those that a frozen encoder sees in the day image."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def semantic_loss(frozen_features: Tensor, student_features: Tensor) -> Tensor:
    """1 - mean cos( f_frozen(I_day), f_student(I_input) ): patch tokens (B, N, C) of the last block -> scalar.

    No gradient reaches the frozen features.
    """
    return 1 - functional.cosine_similarity(frozen_features.detach(), student_features, dim=-1, eps=1e-6).mean()
