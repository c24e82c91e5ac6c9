# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
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
    outside = np.array([[x, 0.0, 1.0] for x in np.linspace(2.0, 6.0, 50)])
    assert np.isfinite(camera.project(outside)).all()
    assert project_lidar(outside, camera).z.size == 0
