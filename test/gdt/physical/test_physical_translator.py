# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pydantic
import pytest
from small_streets import draw_street, make_request

from ssd_core.gdt.physical.ranges import NightRanges, PhysicalConfig, Ranges
from ssd_core.gdt.physical.translator import PhysicalTranslator
from ssd_core.gdt.translator import TARGET_CONDITIONS, TargetCondition
from ssd_core.images.codec import Image

SEEDS = range(8)


def luma(image: Image) -> float:
    return float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean())


def saturation(image: Image) -> float:
    return float((image.max(axis=-1).astype(float) - image.min(axis=-1)).mean())


def noise(image: Image) -> float:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.median(np.abs(cv2.Laplacian(gray, cv2.CV_32F)[:30, :100])))


def translations(condition: TargetCondition) -> list[tuple[Image, Image]]:
    requests = [make_request(draw_street(seed, 320, 192), condition, seed=seed) for seed in SEEDS]
    made = PhysicalTranslator().translate(requests)
    return [(request.image, translated.image) for request, translated in zip(requests, made, strict=True)]


@pytest.mark.parametrize("condition", TARGET_CONDITIONS)
def test_a_request_alone_decides(condition: TargetCondition) -> None:
    requests = [make_request(draw_street(seed), condition, f"front/{seed:03d}") for seed in range(3)]
    translator = PhysicalTranslator()
    together = translator.translate(requests)
    for request, made in zip(reversed(requests), reversed(together), strict=True):
        (alone,) = PhysicalTranslator().translate([request])
        assert np.array_equal(alone.image, made.image)
        assert alone.provenance == made.provenance
        assert made.image.shape == request.image.shape
        assert made.image.dtype == np.uint8
    (other,) = translator.translate([make_request(draw_street(0), condition, "front/000", seed=1)])
    assert not np.array_equal(other.image, together[0].image)
    assert other.provenance["values"] != together[0].provenance["values"]


def test_nights_are_dark_and_noisy() -> None:
    pairs = translations("night")
    for day, night in pairs:
        assert 4 < luma(night) < 0.75 * luma(day)
        assert luma(night[:40]) < 0.35 * luma(day[:40])
    assert np.median([luma(night) for _, night in pairs]) < 0.45 * np.median([luma(day) for day, _ in pairs])
    # In the sky, which is drawn without any; every other street has it on the left.
    assert np.median([noise(night) for _, night in pairs[::2]]) >= 1 > np.median([noise(day) for day, _ in pairs[::2]])


@pytest.mark.parametrize("condition", ["rain", "snow", "fog"])
def test_bad_weather_is_pale(condition: TargetCondition) -> None:
    pairs = translations(condition)
    assert np.median([saturation(made) for _, made in pairs]) < 0.8 * np.median([saturation(day) for day, _ in pairs])
    if condition == "snow":
        assert np.median([luma(made[-40:]) for _, made in pairs]) > 1.1 * np.median([luma(day[-40:]) for day, _ in pairs])


def test_fog_takes_contrast_where_it_is_far() -> None:
    street = draw_street(0, 320, 192)
    (made,) = PhysicalTranslator().translate([make_request(street, "fog")])
    kept = []
    for near, far in ((7, 11), (30, 58)):
        there = (street.depth > near) & (street.depth < far) & np.isfinite(street.depth)
        kept.append(made.image[there].std() / street.image[there].std())
    assert kept[1] < 0.7 * kept[0]


def test_values_are_drawn_by_name_within_their_ranges() -> None:
    class Fewer(Ranges):
        ambient: tuple[float, float] = (0.002, 0.02)

    class More(Fewer):
        another: tuple[float, float] = (1.0, 2.0)

    assert More().draw(5)["ambient"] == Fewer().draw(5)["ambient"]
    drawn = [NightRanges().draw(seed) for seed in range(300)]
    for name in NightRanges.model_fields:
        low, high = getattr(NightRanges(), name)
        values = [values[name] for values in drawn]
        assert low <= min(values) <= max(values) <= high
        assert high == low or max(values) - min(values) > 0.9 * (high - low)
    # Evenly in stops.
    low, high = NightRanges().lamps
    assert np.median([values["lamps"] for values in drawn]) == pytest.approx(np.sqrt(low * high), rel=0.3)


def test_wrong_ranges_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="lower end"):
        PhysicalConfig.model_validate({"night": {"speed": [3, 1]}})
    with pytest.raises(pydantic.ValidationError, match="greater than 0"):
        PhysicalConfig.model_validate({"night": {"lamps": [0, 1]}})
    with pytest.raises(pydantic.ValidationError, match="less than or equal to 1"):
        PhysicalConfig.model_validate({"rain": {"wetness": [0.5, 1.5]}})
