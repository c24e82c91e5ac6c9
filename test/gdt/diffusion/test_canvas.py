# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from ssd_core.gdt.diffusion.canvas import MULTIPLE, Canvas

SIZES = [(1600, 900), (1242, 375), (1280, 768), (576, 320), (90, 50), (50, 90), (333, 331)]


@pytest.mark.parametrize("source", SIZES)
def test_sides_are_multiples_and_the_aspect_is_the_sources(source: tuple[int, int]) -> None:
    canvas = Canvas.fit(source, 768)
    assert all(side % MULTIPLE == 0 for side in canvas.size)
    assert max(canvas.inner) == 768
    assert all(0 <= outer - inner < MULTIPLE for outer, inner in zip(canvas.size, canvas.inner, strict=True))
    # Half a pixel of rounding in the shorter side, which `restore` takes back.
    assert canvas.inner[0] / canvas.inner[1] == pytest.approx(source[0] / source[1], rel=0.6 / min(canvas.inner))


@pytest.mark.parametrize("source", SIZES)
def test_every_pixel_comes_back_where_it_was(source: tuple[int, int]) -> None:
    canvas = Canvas.fit(source, 768)
    columns, rows = np.meshgrid(np.arange(source[0]), np.arange(source[1]))
    ramps = np.stack([columns * 255 / (source[0] - 1), rows * 255 / (source[1] - 1), 0 * columns], axis=-1)
    picture = np.round(ramps).astype(np.uint8)
    back = canvas.restore(canvas.place(picture))
    assert back.shape == picture.shape
    # A shift of a pixel would be a difference of 255 / side everywhere.
    error = (back.astype(float) - ramps)[2:-2, 2:-2, :2].mean(axis=(0, 1))
    assert np.abs(error).max() < 0.05 * 255 / max(source)
    np.testing.assert_allclose(back.astype(float), ramps, atol=1.5 + 255 / min(source))


def test_a_dot_stays_in_its_place() -> None:
    picture = np.zeros((375, 1242, 3), dtype=np.uint8)
    cv2.circle(picture, (901, 77), 9, (255, 255, 255), -1)
    canvas = Canvas.fit((1242, 375), 768)
    moments = cv2.moments(canvas.restore(canvas.place(picture))[..., 0])
    assert moments["m10"] / moments["m00"] == pytest.approx(901, abs=0.1)
    assert moments["m01"] / moments["m00"] == pytest.approx(77, abs=0.1)


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="90x50 for a canvas of 160x90"):
        Canvas.fit((160, 90), 64).place(np.zeros((50, 90, 3), dtype=np.uint8))
