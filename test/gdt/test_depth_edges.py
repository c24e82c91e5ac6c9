# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from ssd_core.gdt.depth_edges import edge_quality


def box() -> np.ndarray:
    depth = np.full((60, 80), 40.0, dtype=np.float32)
    depth[20:40, 30:50] = 10.0
    return depth


def test_the_truth_itself_is_perfectly_sharp() -> None:
    quality = edge_quality(box(), box())
    assert quality.sharpness == 1
    assert quality.abs_rel == 0
    assert 0.05 < quality.share < 0.2


def test_blur_and_shift_are_seen_scale_is_not() -> None:
    truth = box()
    blurred = [edge_quality(np.exp(cv2.GaussianBlur(np.log(truth), (0, 0), sigma)), truth) for sigma in (1.0, 3.0, 9.0)]
    assert blurred[0].sharpness > 0.9
    assert blurred[0].sharpness > blurred[1].sharpness > blurred[2].sharpness
    assert blurred[0].abs_rel < blurred[1].abs_rel
    assert edge_quality(np.roll(truth, 6, axis=1), truth).sharpness < 0.6
    assert edge_quality(2 * truth, truth, cap=200.0).sharpness == pytest.approx(1)
    assert edge_quality(np.full_like(truth, 20.0), truth).sharpness == 0


def test_sky_is_the_cap_and_unknown_is_no_step() -> None:
    truth = box()
    truth[truth == 40] = np.inf
    assert edge_quality(np.minimum(truth, 80).astype(np.float32), truth).abs_rel == 0
    truth[np.isinf(truth)] = np.nan
    assert edge_quality(box(), truth) is None
    assert edge_quality(box(), np.full_like(truth, 5.0)) is None
    with pytest.raises(ValueError, match="one shape"):
        edge_quality(box(), truth[1:])
