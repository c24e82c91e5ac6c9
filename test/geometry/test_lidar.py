# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import project_lidar

CAMERA = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)


def test_nearest_point_of_a_pixel_wins_whatever_the_order() -> None:
    points = np.array([[0.0, 0.0, 20.0], [0.0, 0.0, 5.0], [0.0, 0.0, 9.0]])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        sparse = project_lidar(points[order], CAMERA)
        assert sparse.z.tolist() == [5.0]


def test_points_outside_image_range_or_not_finite_are_left_out() -> None:
    points = [[0, 0, -5], [0, 0, 0.05], [0, 0, 90], [100, 0, 5], [np.nan, 0, 5], [0, np.inf, 5], [0.1, 0.1, 5]]
    sparse = project_lidar(points, CAMERA, min_depth=0.1, max_depth=80)
    assert sparse.z.tolist() == [5.0]
    assert project_lidar(np.empty((0, 3)), CAMERA).z.size == 0


@given(st.integers(0, 2**32 - 1))
def test_back_projected_pixels_return_to_themselves(seed: int) -> None:
    points = np.random.default_rng(seed).uniform([-20, -10, 0.5], [20, 10, 60], (300, 3))
    sparse = project_lidar(points, CAMERA)
    rays = CAMERA.rays()[sparse.v, sparse.u]
    again = project_lidar(np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * sparse.z[:, None], CAMERA)
    np.testing.assert_array_equal(np.stack([again.u, again.v]), np.stack([sparse.u, sparse.v]))
    np.testing.assert_allclose(again.to_image(64, 48), sparse.to_image(64, 48), rtol=1e-6)


def test_a_distorted_lens_does_not_fold_far_points_into_the_image() -> None:
    camera = PinholeCamera(640, 360, 400.0, 400.0, 320.0, 180.0, "plumb_bob", (-0.35, 0.05, 0.0, 0.0, 0.0))
    outside = np.array([[x, 0.0, 1.0] for x in np.linspace(1.3, 1.9, 50)])
    by_formula, _ = cv2.projectPoints(outside, np.zeros(3), np.zeros(3), camera.matrix, np.array(camera.distortion))
    assert ((by_formula[:, 0, 0] > 0) & (by_formula[:, 0, 0] < 640)).all()
    assert np.isnan(camera.project(outside)).all() and project_lidar(outside, camera).z.size == 0


@pytest.mark.parametrize(
    ("model", "distortion"),
    [
        ("plumb_bob", (-0.3, 0.0, 0.0, 0.0)),  # folds at 46 degrees, well inside the picture
        ("plumb_bob", (-0.4, 0.15, 0.001, 0.002, 0.0)),
        ("plumb_bob", (-0.35, 0.15, 0.001, -0.001, -0.03)),
        ("rational_polynomial", (0.5, 0.1, 0.0, 0.0, 0.01, 0.9, 0.2, 0.02)),
        ("equidistant", (-0.05, -0.1, 0.05, -0.01)),
    ],
)
def test_points_of_a_wide_lens_lie_on_the_rays_of_their_pixels(model: str, distortion: tuple[float, ...]) -> None:
    camera = PinholeCamera(320, 180, 125.0, 125.0, 160.0, 90.0, model, distortion)
    generator = np.random.default_rng(0)
    points = generator.uniform((-60, -30, 1), (60, 30, 40), (20_000, 3))
    pixels = camera.project(points)
    inside = ((pixels > -0.5) & (pixels < (319.5, 179.5))).all(axis=1)
    assert inside.sum() > 4_000
    rays, expected = camera.unproject(pixels[inside]), points[inside, :2] / points[inside, 2:]
    # Near the fold a tenth of a pixel is many degrees.
    assert np.median(np.abs(rays - expected)) < 1e-6
    error = np.linalg.norm(rays - expected, axis=1) / (1 + np.linalg.norm(expected, axis=1))
    assert np.isfinite(error).all() and np.quantile(error, 0.99) < 0.01 and error.max() < 0.2


def test_the_corners_of_a_wide_lens_have_rays() -> None:
    """OpenCV's iteration diverges there, although the distortion grows without a fold."""
    camera = PinholeCamera(1280, 720, 500.0, 500.0, 640.0, 360.0, "plumb_bob", (-0.4, 0.15, 0.001, 0.002, 0.0))
    corners = np.array([[0, 0], [1279, 0], [0, 719], [1279, 719]])
    rays = camera.unproject(corners)
    np.testing.assert_allclose(camera.project(np.insert(rays, 2, 1.0, axis=1)), corners, atol=1e-6)
