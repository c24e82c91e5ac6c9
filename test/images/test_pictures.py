# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest

from ssd_core.images.colour_map import colourise_depth, colourise_inverse_depth
from ssd_core.images.contact_sheet import contact_sheet, picture_wall


def test_near_is_red_far_is_blue_unknown_is_black() -> None:
    near, far, unknown, beyond, close = colourise_depth(np.float32([[3, 70, np.nan, np.inf, -np.inf]]))[0].astype(int)
    assert near[0] > near[2]
    assert far[2] > far[0]
    assert unknown.sum() == 0
    assert beyond.sum() > 0
    assert (close != beyond).any()


def test_inverse_depth_is_stretched_and_survives_all_nan() -> None:
    picture = colourise_inverse_depth(np.linspace(5, 9, 100, dtype=np.float32)[None])
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    assert colourise_inverse_depth(np.full((2, 2), np.nan, dtype=np.float32)).sum() == 0


def test_contact_sheet_places_pictures_of_any_size() -> None:
    red = np.zeros((50, 100, 3), dtype=np.uint8) + np.uint8([255, 0, 0])
    gray = np.full((30, 30), 77, dtype=np.uint8)
    sheet = contact_sheet([[red, gray], [gray]], cell_width=60, row_labels=["first", "second"], column_labels=["a", "b"])
    assert sheet.shape[1] == 124
    assert (sheet[22 + 22 + 10, 10] == (255, 0, 0)).all()
    assert (sheet[22 + 22 + 10, 64 + 10] == 77).all()
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


def test_a_wall_has_full_rows_of_pictures_in_order_whatever_their_aspects() -> None:
    shapes = [(30, 100), (60, 30), (40, 40), (20, 90), (50, 70), (90, 40)]
    pictures = [np.full((*shape, 3), 100 + 20 * number, dtype=np.uint8) for number, shape in enumerate(shapes)]
    wall = picture_wall(pictures, 400, 60, "six")
    assert wall.shape[1] == 400
    seen = [list(dict.fromkeys(int(value) for value in row if value >= 90)) for row in wall[22:, :, 0]]
    rows = [numbers for numbers, _ in itertools.groupby(seen) if numbers]
    assert list(itertools.chain(*rows)) == [100, 120, 140, 160, 180, 200]
    full = wall[22 + 5]
    assert (full[-1] > 90).all() and (full[:, 0] < 90).sum() <= 4 * 4
    with pytest.raises(ValueError, match="at least one picture"):
        picture_wall([], 400, 60)
