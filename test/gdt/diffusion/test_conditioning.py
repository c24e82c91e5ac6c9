# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from ssd_core.gdt.diffusion.conditioning import control_picture


def test_near_is_white_sky_is_black_and_scale_does_not_matter() -> None:
    depth = np.geomspace(2, 200, 4000, dtype=np.float32).reshape(40, 100)
    depth[:4] = np.inf
    gray = control_picture(depth, "metric")
    assert gray.shape == (40, 100, 3)
    assert (gray[..., 0] == gray[..., 2]).all()
    assert gray[:4].max() == 0
    assert gray[4, 0, 0] > 240
    assert (np.diff(gray[4:, :, 0].ravel().astype(int)) <= 0).all()
    np.testing.assert_allclose(control_picture(7 * depth, "metric"), gray, atol=1)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(control_picture(5 / depth + 3, "relative_inverse"), gray, atol=1)


def test_unknown_depth_is_its_neighbours() -> None:
    depth = np.full((20, 40), 40.0, dtype=np.float32)
    depth[:, :20] = 4.0
    whole = control_picture(depth, "metric")
    depth[5:15, 2:8] = np.nan
    depth[5:15, 30:35] = 0
    np.testing.assert_array_equal(control_picture(depth, "metric"), whole)
    with pytest.raises(ValueError, match="unknown everywhere"):
        control_picture(np.full((2, 2), np.nan, dtype=np.float32), "metric")


def test_a_plane_in_front_of_the_camera_is_no_division_by_zero() -> None:
    assert np.ptp(control_picture(np.full((4, 4), 9.0, dtype=np.float32), "metric")) == 0
