# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ssd_core.geometry.motion import invert_motion, matrix_from_motion
from ssd_core.geometry.pose import invert_pose


def some_motion(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 3, generator=generator, dtype=torch.float64), torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)


def test_nothing_is_the_identity_and_has_a_gradient() -> None:
    axis_angle = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    matrix = matrix_from_motion(torch.zeros(1, 3, dtype=torch.float64), axis_angle)
    torch.testing.assert_close(matrix[0], torch.eye(4, dtype=torch.float64))
    matrix[0, 1, 0].backward()
    assert axis_angle.grad is not None
    assert axis_angle.grad.tolist() == [[0, 0, pytest.approx(1)]]


def test_agrees_with_scipy_and_with_the_inverse_of_arrays() -> None:
    translation, axis_angle = some_motion()
    matrix = matrix_from_motion(translation, axis_angle)
    rotations = Rotation.from_rotvec(axis_angle.reshape(-1, 3).numpy()).as_matrix()
    np.testing.assert_allclose(matrix[..., :3, :3].reshape(-1, 3, 3).numpy(), rotations, atol=1e-12)
    np.testing.assert_allclose(invert_motion(matrix)[1, 2].numpy(), invert_pose(matrix[1, 2].numpy()), atol=1e-12)


def test_gradients_equal_finite_differences() -> None:
    translation, axis_angle = some_motion(1)
    inputs = (translation.requires_grad_(), axis_angle.requires_grad_())
    assert torch.autograd.gradcheck(lambda t, r: invert_motion(matrix_from_motion(t, r)), inputs)
