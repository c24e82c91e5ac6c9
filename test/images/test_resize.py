# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from ssd_core.images.resize import cover_size, resize_depth, resize_image


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.zeros((64, 600, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    small = resize_image(stripes, (173, 20))
    assert small.shape == (20, 173, 3)
    assert abs(small.mean() - 100) < 1
    assert small.std() < 20  # bilinear sampling would keep full-contrast beats


@pytest.mark.parametrize("size", [(100, 10), (30, 90)])
def test_an_axis_that_shrinks_is_averaged_even_if_the_other_grows(size: tuple[int, int]) -> None:
    image = np.zeros((40, 60), dtype=np.uint8)
    image[:, ::2], image[::2] = 200, 200
    resized = resize_image(image, size)
    assert resized.shape == (size[1], size[0])
    assert abs(resized.mean() - image.mean()) < 2


def test_pixel_edges_map_to_pixel_edges() -> None:
    ramp = np.tile(np.arange(100, dtype=np.float32)[None], (10, 1))
    wide = resize_depth(ramp, (400, 10))
    centres = (np.arange(400) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(wide[0, 2:-2], centres[2:-2], atol=0.02)


def test_same_size_is_returned_as_it_is() -> None:
    image = np.ones((4, 6, 3), dtype=np.uint8)
    assert resize_image(image, (6, 4)) is image


def test_cover_size_keeps_the_aspect_and_covers() -> None:
    assert cover_size((1600, 900), (574, 322)) == (574, 323)
    width, height = cover_size((1242, 375), (448, 252))
    assert width >= 448 and height >= 252


def test_large_images_are_averaged_as_evenly_as_small_ones() -> None:
    """The whole-factor step in front is exact for whole ratios and never aliases or shifts for others."""
    image = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    quarters = image.reshape(90, 4, 160, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize_image(image, (160, 90)), quarters, atol=1)
    ramp = np.broadcast_to(np.linspace(0, 255, 640).astype(np.uint8)[None, :, None], (360, 640, 3)).copy()
    expected = (np.arange(238) + 0.5) * 640 / 238 - 0.5
    np.testing.assert_allclose(resize_image(ramp, (238, 126))[5, :, 0], expected * 255 / 639, atol=1.5)
    stripes = np.zeros((360, 640, 3), np.uint8)
    stripes[:, ::2] = 254
    assert np.ptp(resize_image(stripes, (238, 126)).astype(int)) <= 4
