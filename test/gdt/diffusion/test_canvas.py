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
def test_a_dot_comes_back_where_it_was(source: tuple[int, int]) -> None:
    canvas = Canvas.fit(source, 768)
    radius = min(source) // 12
    for u, v in ((0.2, 0.3), (0.8, 0.3), (0.3, 0.8), (0.7, 0.7)):
        centre = round(u * source[0]), round(v * source[1])
        picture = np.zeros((source[1], source[0], 3), dtype=np.uint8)
        cv2.circle(picture, centre, radius, (255, 255, 255), -1)
        back = canvas.restore(canvas.place(picture))
        assert back.shape == picture.shape
        moments = cv2.moments(back[..., 0])
        assert moments["m10"] / moments["m00"] == pytest.approx(centre[0], abs=0.05)
        assert moments["m01"] / moments["m00"] == pytest.approx(centre[1], abs=0.05)


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="90x50 for a canvas of 160x90"):
        Canvas.fit((160, 90), 64).place(np.zeros((50, 90, 3), dtype=np.uint8))
