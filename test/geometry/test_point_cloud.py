# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.point_cloud import cloud_shape, fill_xyzrgb

CAMERA = PinholeCamera(37, 21, 30.0, 31.0, 17.2, 9.9)


def cloud_of(depth: np.ndarray, image: np.ndarray, stride: int = 1, max_depth: float = 80.0) -> np.ndarray:
    out = np.empty(cloud_shape(*depth.shape, stride), dtype=np.float32)
    fill_xyzrgb(depth, CAMERA.rays(), image, stride, 0.1, max_depth, out)
    return out


@pytest.mark.parametrize("stride", [1, 2, 4, 5])
def test_points_lie_on_the_rays_of_their_pixels(stride: int) -> None:
    random = np.random.default_rng(1)
    depth = random.uniform(1, 70, (21, 37)).astype(np.float32)
    cloud = cloud_of(depth, random.integers(0, 255, (21, 37, 3), dtype=np.uint8), stride)
    pixels = CAMERA.project(cloud[..., :3].reshape(-1, 3)).reshape(*cloud.shape[:2], 2)
    rows, columns = np.mgrid[0:21:stride, 0:37:stride]
    np.testing.assert_allclose(pixels, np.stack([columns, rows], axis=-1), atol=1e-3)
    np.testing.assert_array_equal(cloud[..., 2], depth[::stride, ::stride])


def test_colours_are_packed_as_pcl_expects_and_taken_from_the_nearest_pixel() -> None:
    image = np.zeros((42, 74, 3), dtype=np.uint8)
    image[2 * 5 + 1, 2 * 7 + 1] = (10, 20, 30)
    cloud = cloud_of(np.full((21, 37), 5, dtype=np.float32), image)
    assert cloud[5, 7, 3].view(np.uint32) == (10 << 16 | 20 << 8 | 30)
    assert np.count_nonzero(cloud[..., 3].view(np.uint32)) == 1


def test_unusable_depth_is_nan_in_all_three_coordinates() -> None:
    depth = np.full((21, 37), 5, dtype=np.float32)
    depth[0, :5] = (np.nan, np.inf, -np.inf, 0.05, 90)
    cloud = cloud_of(depth, np.zeros((21, 37, 3), dtype=np.uint8))
    assert np.isnan(cloud[0, :5, :3]).all()
    assert np.isfinite(cloud[1:, :, :3]).all()
    assert np.isfinite(cloud[0, 5:, :3]).all()
