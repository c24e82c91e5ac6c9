# SPDX-License-Identifier: Apache-2.0
"""What ssd.json may say, input sizes, focal normalisation."""

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssd_core.model.config import ModelDescription, TrainingCamera, check_input_size, suggest_input_size

DESCRIPTION = {"parametrisation": "sigmoid_disparity", "input_size": (448, 252)}


def test_unknown_keys_wrong_sizes_and_ranges_are_refused() -> None:
    ModelDescription.model_validate(DESCRIPTION)
    for wrong in ({"mean_depth": 3}, {"input_size": (450, 252)}, {"min_depth": 90}, {"focal_normalisation": True}, {"format_version": 2}):
        with pytest.raises(pydantic.ValidationError):
            ModelDescription.model_validate(DESCRIPTION | wrong)


def test_a_wrong_input_size_names_the_nearest_right_ones() -> None:
    check_input_size((448, 252))
    with pytest.raises(ValueError, match=r"450x250.*448x238 or 462x252"):
        check_input_size((450, 250))
    with pytest.raises(ValueError, match="multiples of 14"):
        check_input_size((0, 14))


@given(st.integers(64, 8000), st.integers(64, 8000), st.sampled_from([(448, 252), (518, 518), (924, 518)]))
def test_suggested_sizes_fit_aspect_and_area(width: int, height: int, like: tuple[int, int]) -> None:
    size = suggest_input_size(width / height, like)
    check_input_size(size)
    if 1 / 3 < width / height < 3:
        assert size[0] / size[1] == pytest.approx(width / height, rel=0.1)
        assert size[0] * size[1] == pytest.approx(like[0] * like[1], rel=0.2)


def test_suggested_sizes_of_known_cameras() -> None:
    assert suggest_input_size(1600 / 900, (448, 252)) == (448, 252)
    assert suggest_input_size(640 / 360, (448, 252)) == (448, 252)
    assert suggest_input_size(1, (518, 518)) == (518, 518)


def test_wide_pictures_are_squeezed_for_a_network_that_sees_its_camera() -> None:
    blind = ModelDescription.model_validate(DESCRIPTION | {"input_size": (308, 168)})
    seeing = blind.model_copy(update={"camera_input": True})
    cameras = (1242, 375), (1600, 900), (1280, 960)
    assert [blind.fitting_input_size(size) for size in cameras] == [(420, 126), (308, 168), (266, 196)]
    # Half way from 11:6 to KITTI's 3.3:1; what is narrower keeps its aspect.
    assert [seeing.fitting_input_size(size) for size in cameras] == [(350, 140), (308, 168), (266, 196)]


def test_twice_the_focal_length_is_twice_the_depth() -> None:
    camera = TrainingCamera(width=1600, height=900, fx=1200, fy=1200)
    description = ModelDescription.model_validate(DESCRIPTION | {"training_camera": camera, "focal_normalisation": True})
    assert description.focal_scale(1200, 1600, 448) == pytest.approx(1)
    assert description.focal_scale(2400, 1600, 448) == pytest.approx(2)
    # The same lens on an image of half the width, and the same image shown to the network at twice the width.
    assert description.focal_scale(600, 800, 448) == pytest.approx(1)
    assert description.focal_scale(1200, 1600, 896) == pytest.approx(2)
    assert ModelDescription.model_validate(DESCRIPTION).focal_scale(2400, 1600, 448) == 1
