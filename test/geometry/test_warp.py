# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import pose_from_quaternion, transform_points
from ssd_core.geometry.warp import backproject, project, warp_image

TARGET = PinholeCamera(48, 32, 40.0, 42.0, 22.3, 17.1)
SOURCE = PinholeCamera(60, 40, 45.0, 44.0, 31.0, 18.5)


def matrix(camera: PinholeCamera) -> torch.Tensor:
    return torch.from_numpy(camera.matrix)[None]


def plane_texture(points: np.ndarray) -> np.ndarray:
    return 0.5 + 0.25 * np.sin(0.9 * points[..., 0]) + 0.25 * np.cos(0.8 * points[..., 1])


def test_identity_motion_is_the_identity() -> None:
    image = torch.rand(1, 3, 32, 48, dtype=torch.float64)
    depth = torch.rand(1, 1, 32, 48, dtype=torch.float64) * 50 + 1
    warped = warp_image(image, depth, matrix(TARGET), matrix(TARGET), torch.eye(4, dtype=torch.float64)[None])
    torch.testing.assert_close(warped.image, image, atol=1e-9, rtol=0)
    assert warped.valid.all()


def test_agrees_with_the_camera_model() -> None:
    depth = torch.rand(1, 1, 32, 48, dtype=torch.float64) * 50 + 1
    points = backproject(depth, matrix(TARGET))
    rays = TARGET.rays().astype(np.float64)
    expected = np.concatenate([rays, np.ones((32, 48, 1))], axis=-1) * depth[0, 0].numpy()[..., None]
    np.testing.assert_allclose(points[0].permute(1, 2, 0).numpy(), expected, atol=1e-4)
    pixels = project(points, matrix(SOURCE))[0].permute(1, 2, 0).reshape(-1, 2).numpy()
    np.testing.assert_allclose(pixels, SOURCE.project(expected.reshape(-1, 3)), atol=1e-3)


def test_a_textured_plane_seen_by_two_cameras() -> None:
    # The plane z = 12 in the target frame, painted by a function of its points, drawn by each camera analytically.
    source_from_target = pose_from_quaternion([0.6, -0.2, 0.9], [0.01, -0.02, 0.015, 0.9996])
    depth = np.full((32, 48), 12.0)
    target_points = np.concatenate([TARGET.rays(), np.ones((32, 48, 1))], axis=-1) * 12.0
    rotation, shift = source_from_target[:3, :3], source_from_target[:3, 3]
    source_rays = np.concatenate([SOURCE.rays(), np.ones((40, 60, 1))], axis=-1)
    # Points of the source view on the plane: (R^T (s * ray - t)).z = 12.
    scale = (12.0 + (rotation.T @ shift)[2]) / (source_rays @ rotation)[..., 2]
    source_points = (source_rays * scale[..., None] - shift) @ rotation
    image = torch.from_numpy(plane_texture(source_points))[None, None]
    warped = warp_image(
        image, torch.from_numpy(depth)[None, None], matrix(TARGET), matrix(SOURCE), torch.from_numpy(source_from_target)[None]
    )
    error = np.abs(warped.image[0, 0].numpy() - plane_texture(target_points))[warped.valid[0, 0].numpy()]
    assert warped.valid.float().mean() > 0.8
    assert error.max() < 0.02
    moved = transform_points(source_from_target, target_points.reshape(-1, 3))
    assert np.abs(moved - target_points.reshape(-1, 3)).max() > 0.5


def test_gradients_flow_to_depth_and_motion() -> None:
    depth = (torch.rand(1, 1, 6, 8, dtype=torch.float64) * 5 + 4).requires_grad_()
    motion = torch.eye(4, dtype=torch.float64)[None].clone()
    # No sample may fall on a pixel centre, where bilinear interpolation has a kink.
    motion[0, :3, 3] = torch.tensor([0.13, 0.11, 0.07])
    motion.requires_grad_()
    image = torch.rand(1, 1, 6, 8, dtype=torch.float64)
    small = torch.tensor([[[7.0, 0, 3.6], [0, 7.0, 2.4], [0, 0, 1]]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d, m: warp_image(image, d, small, small, m).image, (depth, motion), eps=1e-7, atol=1e-3)


def test_points_behind_or_outside_the_source_are_invalid() -> None:
    depth = torch.full((1, 1, 32, 48), 5.0, dtype=torch.float64)
    back = torch.eye(4, dtype=torch.float64)[None].clone()
    back[0, 2, 3] = -10
    image = torch.rand(1, 3, 40, 60, dtype=torch.float64)
    warped = warp_image(image, depth, matrix(TARGET), matrix(SOURCE), back)
    assert not warped.valid.any()
    assert torch.isfinite(warped.image).all()
