# SPDX-License-Identifier: Apache-2.0
"""Clouds at a stride, from depth and colours of any size."""

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.point_cloud import CloudGrid
from ssd_core.images.resize import resize_depth

CAMERA = PinholeCamera(60, 40, 50, 52, 31, 18)
LENS = PinholeCamera(60, 40, 50, 52, 31, 18, "plumb_bob", (-0.2, 0.05, 0.001, -0.002, 0.0))
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (40, 60, 3), dtype=np.uint8)
DEPTH = RANDOM.uniform(1, 30, (40, 60)).astype(np.float32)


def filled(grid: CloudGrid, depth: np.ndarray, image: np.ndarray = IMAGE, minimum: float = 0.1, maximum: float = 80.0) -> np.ndarray:
    out = np.full((*grid.shape, 4), -1, np.float32)
    grid.fill(depth.astype(np.float32), image, out, minimum, maximum)
    return out


@pytest.mark.parametrize("camera", [CAMERA, LENS])
@pytest.mark.parametrize("stride", [1, 3, 4])
def test_equals_the_plain_cloud_at_the_size_of_the_image(camera: PinholeCamera, stride: int) -> None:
    grid = CloudGrid(camera, stride)
    points = np.concatenate([camera.rays(), np.ones((40, 60, 1))], axis=-1) * np.where(DEPTH <= 20, DEPTH, np.nan)[..., None]
    colours = IMAGE.astype(np.uint32) @ np.uint32([1 << 16, 1 << 8, 1])
    result = filled(grid, DEPTH, maximum=20.0)
    np.testing.assert_allclose(result[..., :3], points[::stride, ::stride], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(result.view(np.uint32)[..., 3], colours[::stride, ::stride])


@pytest.mark.parametrize("distortion", [(), (-0.2, 0.05, 0.001, -0.002, 0.0)])
def test_a_large_cloud_filled_by_two_threads_is_whole(distortion: tuple[float, ...]) -> None:
    camera = PinholeCamera(901, 601, 700, 700, 450, 300, "plumb_bob" if distortion else "none", distortion)
    depth, image = RANDOM.uniform(1, 30, (601, 901)).astype(np.float32), RANDOM.integers(0, 256, (601, 901, 3), dtype=np.uint8)
    result = filled(CloudGrid(camera, 1), depth, image)
    points = np.concatenate([camera.rays(), np.ones((601, 901, 1))], axis=-1) * depth[..., None]
    np.testing.assert_allclose(result[..., :3], points, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(result.view(np.uint32)[..., 3], image.astype(np.uint32) @ np.uint32([1 << 16, 1 << 8, 1]))


@pytest.mark.parametrize("size", [(30, 20), (84, 56), (61, 13)])
def test_depth_of_another_size_is_read_like_a_bilinear_resize(size: tuple[int, int]) -> None:
    depth = RANDOM.uniform(1, 30, (size[1], size[0])).astype(np.float32)
    expected = resize_depth(depth, (60, 40))
    np.testing.assert_allclose(filled(CloudGrid(CAMERA, 1), depth)[..., 2], expected, rtol=1e-4)
    np.testing.assert_allclose(filled(CloudGrid(CAMERA, 4), depth)[..., 2], expected[::4, ::4], rtol=1e-4)


def test_colours_of_a_reduced_image_come_from_the_pixel_that_covers_the_point() -> None:
    half = IMAGE[::2, ::2].copy()
    packed = filled(CloudGrid(CAMERA, 3), DEPTH, half).view(np.uint32)[..., 3]
    red = half[np.arange(0, 40, 3) // 2][:, np.arange(0, 60, 3) // 2, 0]
    np.testing.assert_array_equal(packed >> 16, red)


def test_what_is_out_of_range_or_unknown_is_nan_in_all_three_coordinates_and_nowhere_else() -> None:
    depth = DEPTH.copy()
    depth[0, :4] = np.nan, np.inf, -np.inf, 0.0
    depth[1, 0] = 50
    points = filled(CloudGrid(CAMERA, 1), depth, maximum=40.0)
    missing = np.zeros((40, 60), bool)
    missing[0, :4] = missing[1, 0] = True
    np.testing.assert_array_equal(np.isnan(points[..., :3]), np.repeat(missing[..., None], 3, axis=-1))


def test_pixels_without_a_ray_are_nan_in_all_three_coordinates() -> None:
    fisheye = PinholeCamera(200, 200, 40, 40, 99.5, 99.5, "equidistant", (0.0, 0.0, 0.0, 0.0))
    points = filled(CloudGrid(fisheye, 1), np.full((200, 200), 5.0), np.zeros((200, 200, 3), np.uint8))
    assert np.isnan(points[0, 0, :3]).all() and np.isfinite(points[100, 100, :3]).all()
    gaps = np.isnan(points[..., :3])
    assert (gaps.all(axis=-1) == gaps.any(axis=-1)).all()


def test_scale_and_a_change_of_sizes() -> None:
    grid = CloudGrid(CAMERA, 2)
    out = np.empty((*grid.shape, 4), np.float32)
    grid.fill(DEPTH, IMAGE, out, 0.1, 80, scale=2.0)
    np.testing.assert_allclose(out[..., 2], 2 * DEPTH[::2, ::2], rtol=1e-6)
    np.testing.assert_allclose(filled(grid, np.full((10, 12), 3.0), IMAGE[::2, ::2].copy())[..., 2], 3)
    np.testing.assert_allclose(filled(grid, DEPTH)[..., 2], DEPTH[::2, ::2], rtol=1e-6)


def test_stride_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="stride 0"):
        CloudGrid(CAMERA, 0)
