# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from ssd_core.gdt.diffusion.brightness import adjust_brightness, mean_brightness
from ssd_core.gdt.diffusion.config import BrightnessConfig

RANGE = BrightnessConfig(low=0.1, high=0.25)


def picture(scale: float) -> np.ndarray:
    pixels = np.random.default_rng(0).uniform(0, scale, (40, 60, 3))
    pixels[:3, :3] = 255
    return pixels.astype(np.uint8)


def test_a_bright_night_is_darkened_and_its_lamps_stay() -> None:
    bright = picture(220)
    adjusted = adjust_brightness(bright, RANGE)
    assert adjusted.mean == pytest.approx(0.25, abs=0.01)
    assert adjusted.mean == mean_brightness(adjusted.image)
    assert adjusted.exponent > 1
    assert (adjusted.image[:3, :3] == 255).all()
    assert (adjusted.image <= bright).all()


def test_hues_stay() -> None:
    bright = np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8)
    dark = adjust_brightness(bright, RANGE).image[0, 0].astype(float)
    np.testing.assert_allclose(dark / dark.sum(), np.array([200, 100, 50]) / 350, atol=0.02)


def test_too_dark_is_brightened_in_range_is_left_alone() -> None:
    adjusted = adjust_brightness(picture(25), RANGE)
    assert adjusted.exponent < 1
    assert adjusted.mean == pytest.approx(0.1, abs=0.02)
    night = picture(80)
    assert adjust_brightness(night, RANGE).image is night
    assert adjust_brightness(night, RANGE).exponent == 1


def test_no_more_than_the_strongest() -> None:
    adjusted = adjust_brightness(np.full((8, 8, 3), 250, dtype=np.uint8), BrightnessConfig(low=0.01, high=0.02, strongest=3))
    assert adjusted.exponent == pytest.approx(3, rel=1e-3)
    assert adjust_brightness(np.zeros((8, 8, 3), dtype=np.uint8), RANGE).image.max() == 0


def test_a_range_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="must be below"):
        BrightnessConfig(low=0.5, high=0.2)
