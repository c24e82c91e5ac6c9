# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from small_streets import Street, draw_street, make_request

from ssd_core.gdt.edges import edge_scores, outlines
from ssd_core.gdt.gate import GateConfig, GateScores, GateThresholds, GeometryGate, depth_errors, reasons_against
from ssd_core.gdt.physical.translator import PhysicalTranslator
from ssd_core.gdt.translator import TARGET_CONDITIONS, TargetCondition
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import Image
from ssd_core.model.change_detector import ChangeDetector, ChangeDetectorConfig
from ssd_core.runtime.estimator import DepthMap

SIZE = 480, 288
STAINS = 9.0
SEEDS = range(4)


class Oracle:
    """Stands in for a trained network: it knows the depth of pictures that it was shown, up to a scale, and misjudges it a little."""

    model_id = "oracle"

    def __init__(self) -> None:
        self._known: dict[bytes, npt.NDArray[np.float32]] = {}

    def learn(self, image: Image, depth: npt.NDArray[np.float32]) -> None:
        self._known[image.tobytes()] = depth

    def __call__(
        self,
        images: Sequence[Image],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        maps = []
        for number, image in enumerate(images):
            depth = np.minimum(self._known[image.tobytes()], 80.0)
            wrong = np.random.default_rng([number, 9]).normal(0, 0.15, (6, 10)).astype(np.float32)
            wrong = cv2.resize(wrong, depth.shape[::-1], interpolation=cv2.INTER_CUBIC)
            maps.append(DepthMap((1.3 * depth * np.exp(wrong)).astype(np.float32), "metric"))
        return maps


def translate(street: Street, condition: TargetCondition, seed: int) -> Street:
    made = PhysicalTranslator().translate([make_request(street, condition, seed=seed)])[0].image
    return Street(made, street.depth, street.camera)


def shifted(street: Street, share: float) -> Street:
    pixels = round(share * SIZE[0])
    return Street(np.roll(street.image, pixels, axis=1), np.roll(street.depth, pixels, axis=1), street.camera)


def mirrored(street: Street) -> Street:
    return Street(np.ascontiguousarray(street.image[:, ::-1]), np.ascontiguousarray(street.depth[:, ::-1]), street.camera)


def judge(made: Street, condition: TargetCondition, source: Street, with_depth: bool = True) -> tuple[str, ...]:
    """Reasons against a translation of `source` that shows what `made` shows."""
    oracle = Oracle()
    oracle.learn(source.image, source.depth)
    oracle.learn(made.image, made.depth)
    gate = GeometryGate(GateConfig(), oracle if with_depth else None)
    (verdict,) = gate.judge([make_request(source, condition)], [made.image])
    assert (verdict.scores.depth_error is None) == (not with_depth)
    assert verdict.accepted == (not verdict.reasons)
    return verdict.reasons


@pytest.mark.parametrize("condition", TARGET_CONDITIONS)
def test_true_translations_pass_and_others_dont(condition: TargetCondition) -> None:
    streets = [draw_street(seed, *SIZE, stains=STAINS) for seed in SEEDS]
    made = [translate(street, condition, seed) for seed, street in enumerate(streets)]
    for with_depth in (True, False):
        pairs = list(zip(streets, made, strict=True))
        assert np.mean([not judge(true, condition, street, with_depth) for street, true in pairs]) >= 0.75
        wrong = {
            "mirrored": [judge(mirrored(true), condition, street, with_depth) for street, true in pairs],
            "shifted": [judge(shifted(true, 0.03), condition, street, with_depth) for street, true in pairs],
            "another": [judge(made[seed - 1], condition, street, with_depth) for seed, street in enumerate(streets)],
        }
        for name, reasons in wrong.items():
            assert np.mean([bool(found) for found in reasons]) >= 0.75, (name, with_depth, reasons)


def test_a_vehicle_moved_or_gone_shows_in_depth() -> None:
    for seed in SEEDS[:2]:
        street = draw_street(seed, *SIZE)
        for other in (draw_street(seed, *SIZE, with_vehicle=False), draw_street(seed, *SIZE, vehicle_shift=-70)):
            assert "local_depth_error" in judge(translate(other, "night", seed), "night", street)


def test_a_copy_is_no_translation_and_darkness_no_night() -> None:
    street = draw_street(0, *SIZE)
    gate = GeometryGate(GateConfig(), None)
    assert gate.judge([make_request(street, "rain")], [street.image])[0].reasons == ("change",)
    black = np.full_like(street.image, 2)
    assert "brightness" in gate.judge([make_request(street)], [black])[0].reasons
    with pytest.raises(ValueError, match="240x144"):
        gate.judge([make_request(street)], [cv2.resize(street.image, (240, 144))])


def test_each_score_has_its_threshold() -> None:
    good = GateScores(0.05, 0.1, 0.8, 0.0, 0.1, 0.3, 0.2)
    limits = GateThresholds(brightness=(0.1, 0.5))
    assert reasons_against(good, limits) == ()
    bad = {"depth_error": 0.9, "local_depth_error": 2.0, "edge_agreement": 0.0, "displaced": 0.9, "changed": 0.9}
    bad |= {"brightness": 0.6, "change": 0.001}
    for name, value in bad.items():
        assert reasons_against(good._replace(**{name: value}), limits) == (name,)
    assert reasons_against(good._replace(depth_error=0.9), limits.model_copy(update={"max_depth_error": None})) == ()
    assert reasons_against(good._replace(depth_error=None, local_depth_error=None, changed=None), limits) == ()


@pytest.mark.parametrize(("certainty", "reasons"), [(-4.0, ()), (4.0, ("changed",))])
def test_the_change_detector_is_asked(certainty: float, reasons: tuple[str, ...]) -> None:
    street = draw_street(0, *SIZE, stains=STAINS)
    detector = ChangeDetector(ChangeDetectorConfig(width=8)).eval()
    torch.nn.init.zeros_(detector.head.weight)
    torch.nn.init.constant_(detector.head.bias, certainty)
    (verdict,) = GeometryGate(GateConfig(), None, detector).judge([make_request(street, "fog")], [translate(street, "fog", 0).image])
    assert verdict.reasons == reasons
    assert verdict.scores.changed == pytest.approx(1 / (1 + np.exp(-certainty)), abs=1e-4)


def test_a_threshold_that_is_said_leaves_the_others_of_its_condition() -> None:
    said = GateConfig.model_validate({"night": {"max_depth_error": 0.4}})
    assert said.night == GateConfig().night.model_copy(update={"max_depth_error": 0.4})
    assert said.fog == GateConfig().fog


def test_depth_errors_ignore_scale_and_find_what_is_local() -> None:
    depth = draw_street(0, *SIZE).depth
    before = DepthMap(np.minimum(depth, 80), "metric")
    assert depth_errors(before, DepthMap(np.minimum(depth, 80) * np.float32(1.7), "metric")) == pytest.approx((0, 0), abs=1e-4)
    changed = np.minimum(depth, 80).copy()
    changed[150:190, 100:150] *= 2
    mean, local = depth_errors(before, DepthMap(changed, "metric"))
    assert mean < 0.05
    assert local == pytest.approx(np.log(2), rel=0.1)
    inverse = np.asarray(1 / np.maximum(depth, 1), dtype=np.float32)
    relative = DepthMap(inverse, "relative_inverse"), DepthMap(3 - 2 * -inverse, "relative_inverse")
    assert depth_errors(*relative) == pytest.approx((0, 0), abs=1e-3)


def test_outlines_dont_care_for_brightness_or_sign() -> None:
    gray = cv2.cvtColor(draw_street(1, 320, 192).image, cv2.COLOR_RGB2GRAY)
    dark = (gray // 3).astype(np.uint8)
    assert np.corrcoef(outlines(gray).ravel(), outlines(dark).ravel())[0, 1] > 0.85
    assert edge_scores(gray, 255 - gray).agreement > 0.5
    assert edge_scores(gray, gray) == pytest.approx((1.0, 0.0), abs=1e-6)
    assert edge_scores(gray, np.full_like(gray, 90)).displaced == 1.0


@pytest.mark.parametrize(
    ("asked", "use_depth", "translators", "compared"),
    [
        (None, None, "bundled", None),
        ("bundled", None, "runs/best", None),
        (None, True, "bundled", "bundled"),
        (None, None, "runs/best", "runs/best"),
        ("runs/night", None, "bundled", "runs/night"),
        ("runs/night", False, "bundled", None),
    ],
)
def test_bundled_weights_dont_judge_unless_asked_to(
    asked: str | None, use_depth: bool | None, translators: str, compared: str | None
) -> None:
    assert GateConfig(model=asked, use_depth=use_depth).depth_model(translators) == compared
