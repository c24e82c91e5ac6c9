# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from ssd_core.images.colour_map import colourise_depth
from ssd_core.images.overlay import draw_points, draw_sparse_depth

GRAY = np.full((40, 80, 3), 100, dtype=np.uint8)


def test_dots_lie_where_they_should_after_scaling() -> None:
    picture = draw_points(GRAY, np.int32([10, 79]), np.int32([5, 39]), np.uint8([[255, 0, 0], [0, 255, 0]]), 160)
    assert picture.shape == (80, 160, 3)
    np.testing.assert_array_equal(picture[11, 21], (255, 0, 0))
    np.testing.assert_array_equal(picture[79, 159], (0, 255, 0))
    np.testing.assert_array_equal(picture[40, 80], (45, 45, 45))


def test_the_nearest_depth_is_on_top() -> None:
    z = np.float32([4.0, 60.0])
    picture = draw_sparse_depth(GRAY, np.int32([20, 20]), np.int32([20, 20]), z, 80)
    np.testing.assert_array_equal(picture[20, 20], colourise_depth(z[:1, None])[0, 0])
    empty = np.empty(0, dtype=np.int32)
    assert (draw_sparse_depth(GRAY, empty, empty, np.empty(0, dtype=np.float32), 80) == 45).all()
