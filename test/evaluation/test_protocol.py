# SPDX-License-Identifier: Apache-2.0
"""The four modes on one batch, against an independent numpy implementation and against values known beforehand."""

import math

import numpy as np
import pytest
from fake_source import CAMERA, FakeSource, Seer, true_depth

from ssd_core.evaluation.metrics import METRIC_NAMES, align_inverse_depth, at_truth, depth_metrics, median_scale, sparse_depth_metrics
from ssd_core.evaluation.protocol import MODES, DepthRange, Sample, score_batch
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.runtime.estimator import DepthMap

RANGE = DepthRange()


def independent_metrics(prediction, truth, low, high):
    """Pixel by pixel, from the definitions."""
    pairs = [
        (min(max(p, low), high), t) for p, t in zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True) if low < t <= high
    ]
    n = len(pairs)
    ratios = [max(p / t, t / p) for p, t in pairs]
    return {
        "abs_rel": sum(abs(p - t) / t for p, t in pairs) / n,
        "sq_rel": sum((p - t) ** 2 / t for p, t in pairs) / n,
        "rmse": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / n),
        "rmse_log": math.sqrt(sum((math.log(p) - math.log(t)) ** 2 for p, t in pairs) / n),
        **{f"d{k}": sum(ratio < 1.25**k for ratio in ratios) / n for k in (1, 2, 3)},
    }


def samples(count=3):
    source = FakeSource(count)
    return [Sample(source.image(frame), frame.camera, source.lidar_depth(frame)) for frame in source.frames()]


@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_an_independent_implementation(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.uniform(0.05, 100, (40, 30)), rng.uniform(0.01, 120, (40, 30))
    ours = depth_metrics(prediction, truth, cap=80, min_depth=0.1)
    for name, value in independent_metrics(prediction, truth, 0.1, 80).items():
        assert ours[name] == pytest.approx(value, rel=1e-6), name


def test_modes_equal_an_independent_implementation():
    rng = np.random.default_rng(1)
    noise = {number: rng.uniform(0.5, 2.5, (CAMERA.height, CAMERA.width)).astype(np.float32) for number in range(3)}
    for sample, scores in zip(samples(), score_batch(Seer(lambda depth, number: depth * noise[number]), samples(), RANGE), strict=True):
        u, v, z = sample.truth
        number = int(sample.image[0, 0, 0])
        plain = true_depth(number) * noise[number]
        flipped = (true_depth(number)[:, ::-1] * noise[number])[:, ::-1]
        for mode in MODES:
            dense = (plain + flipped) / 2 if "flip" in mode else plain
            values = np.array([dense[row, column] for row, column in zip(v, u, strict=True)], dtype=np.float64)
            counts = [low < 80 and low > 0.1 for low in z]
            if "median" in mode:
                values = values * (np.median(z[counts]) / np.median(values[counts]))
            expected = independent_metrics(values, z, 0.1, 80)
            for name in METRIC_NAMES:
                assert scores.metrics[mode][name] == pytest.approx(expected[name], rel=1e-6, abs=1e-9), (mode, name)


def test_a_perfect_prediction_is_perfect_in_every_mode():
    for scores in score_batch(Seer(), samples(), RANGE):
        for mode in MODES:
            assert scores.metrics[mode] == pytest.approx(
                {"abs_rel": 0, "sq_rel": 0, "rmse": 0, "rmse_log": 0, "d1": 1, "d2": 1, "d3": 1}, abs=1e-6
            )
        assert scores.scale == pytest.approx(1)


@pytest.mark.parametrize("factor", [0.01, 0.5, 3.0, 100.0])
def test_median_scaled_modes_do_not_know_scale(factor):
    """Also where the unscaled prediction would be clamped."""
    one = score_batch(Seer(lambda depth, number: depth**0.9), samples(), RANGE)
    other = score_batch(Seer(lambda depth, number: depth**0.9 * np.float32(factor)), samples(), RANGE)
    for a, b in zip(one, other, strict=True):
        for mode in ("median", "flip_median"):
            assert b.metrics[mode] == pytest.approx(a.metrics[mode], rel=1e-4)
        assert b.scale == pytest.approx(a.scale / factor, rel=1e-5)
        assert b.metrics["raw"] != pytest.approx(a.metrics["raw"], rel=1e-2)


def test_flip_averages_what_differs_between_left_and_right():
    """A predictor 20 % too far on its left and 20 % too near on its right is right on average."""
    tilt = np.linspace(1.2, 0.8, CAMERA.width, dtype=np.float32)[None]
    for scores in score_batch(Seer(lambda depth, number: depth * tilt), samples(), RANGE):
        assert scores.metrics["raw"]["abs_rel"] > 0.05
        assert scores.metrics["flip"]["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_flip_changes_nothing_for_a_predictor_that_treats_both_sides_alike():
    for scores in score_batch(Seer(lambda depth, number: depth * 1.1), samples(), RANGE):
        assert scores.metrics["flip"] == pytest.approx(scores.metrics["raw"], rel=1e-5)


def test_a_relative_model_is_aligned_and_has_no_metres():
    seer = Seer(lambda depth, number: (3 / depth + 0.5).astype(np.float32))
    seer.kind = "relative_inverse"
    for scores in score_batch(seer, samples(), RANGE):
        assert set(scores.metrics) == {"median", "flip_median"} and scores.scale is None
        assert scores.metrics["median"]["abs_rel"] == pytest.approx(0, abs=1e-4)


def test_alignment_needs_something_to_align():
    assert align_inverse_depth(np.ones(5), np.full(5, 3.0)) is None
    assert align_inverse_depth(np.arange(3.0), np.array([0.0, 0.0, 2.0])) is None
    found = align_inverse_depth(np.array([1.0, 0.5, -9.0]), np.array([1.0, 2.0, 0.0]))
    assert found == pytest.approx([1, 2, 80])  # below 1/cap: as far as the cap


def test_median_scale_without_truth_or_with_a_worthless_prediction():
    assert median_scale(np.ones(3), np.zeros(3)) is None
    assert median_scale(np.zeros(3), np.ones(3)) is None
    assert median_scale(np.full(3, np.nan), np.ones(3)) is None
    assert median_scale(np.array([1.0, 2.0, 50.0]), np.array([2.0, 4.0, 90.0])) == pytest.approx(3 / 1.5)  # 90 m is beyond the cap


def test_sparse_truth_is_read_at_its_pixels():
    truth = SparseDepth(np.array([0, 2], np.int32), np.array([1, 0], np.int32), np.array([4.0, 10.0], np.float32))
    dense = np.array([[0, 0, 8.0], [5.0, 0, 0]], dtype=np.float32)
    assert sparse_depth_metrics(dense, truth)["abs_rel"] == pytest.approx((0.25 + 0.2) / 2)
    with pytest.raises(ValueError, match="columns 0 to 2"):
        at_truth(np.ones((2, 2), np.float32), truth)


def test_a_map_of_another_size_is_refused():
    class Small(Seer):
        def __call__(self, images, cameras=None, output_sizes=None):
            return [DepthMap(np.ones((4, 4), np.float32), "metric") for _ in images]

    with pytest.raises(ValueError, match="doesn't fit"):
        score_batch(Small(), samples(), RANGE)
