# SPDX-License-Identifier: Apache-2.0
"""Depth metrics against values worked out by hand."""

import math

import numpy as np
import pytest

from ssd_core.evaluation.metrics import METRIC_NAMES, depth_metrics, mean_metrics


def test_a_perfect_prediction():
    truth = np.array([[1.0, 10.0], [40.0, 80.0]], dtype=np.float32)
    metrics = depth_metrics(truth, truth, cap=80)
    assert metrics == {"abs_rel": 0, "sq_rel": 0, "rmse": 0, "rmse_log": 0, "d1": 1, "d2": 1, "d3": 1}


def test_values_worked_out_by_hand():
    # errors +1 (ratio 1.5), -2 (ratio 1.25, not below it), +10 (ratio 2), 0
    truth = np.array([2.0, 10.0, 10.0, 5.0])
    prediction = np.array([3.0, 8.0, 20.0, 5.0])
    metrics = depth_metrics(prediction, truth, cap=80)
    assert metrics["abs_rel"] == pytest.approx((0.5 + 0.2 + 1.0 + 0) / 4)
    assert metrics["sq_rel"] == pytest.approx((1 / 2 + 4 / 10 + 100 / 10) / 4)
    assert metrics["rmse"] == pytest.approx(math.sqrt((1 + 4 + 100) / 4))
    logs = [math.log(1.5), math.log(0.8), math.log(2), 0]
    assert metrics["rmse_log"] == pytest.approx(math.sqrt(sum(value**2 for value in logs) / 4))
    assert metrics["d1"] == pytest.approx(1 / 4)  # only the exact one: 1.25 isn't below 1.25
    assert metrics["d2"] == pytest.approx(3 / 4)  # 1.5 and 1.25 are below 1.5625, 2 isn't
    assert metrics["d3"] == pytest.approx(3 / 4)  # 2 is above 1.953


def test_truth_counts_only_where_it_is_known_and_within_the_cap():
    truth = np.array([0.0, np.nan, np.inf, 81.0, 80.0, 4.0])
    prediction = np.array([5.0, 5.0, 5.0, 5.0, 40.0, 4.0])
    metrics = depth_metrics(prediction, truth, cap=80)
    assert metrics["abs_rel"] == pytest.approx(0.25)  # (|40-80|/80 + 0) / 2


@pytest.mark.parametrize(("value", "clamped"), [(500.0, 80.0), (np.inf, 80.0), (np.nan, 80.0), (-np.inf, 1e-3), (0.0, 1e-3)])
def test_predictions_are_clamped_to_the_cap(value, clamped):
    truth = np.array([40.0])
    metrics = depth_metrics(np.array([value]), truth, cap=80)
    assert metrics["abs_rel"] == pytest.approx(abs(clamped - 40) / 40)
    assert all(math.isfinite(metrics[name]) for name in METRIC_NAMES)


def test_no_truth_is_no_metric():
    assert depth_metrics(np.ones((2, 2)), np.zeros((2, 2))) is None
    with pytest.raises(ValueError, match="one shape"):
        depth_metrics(np.ones(3), np.ones(4))


def test_every_image_counts_once():
    few = depth_metrics(np.array([2.0]), np.array([1.0]))
    many = depth_metrics(np.full(100, 1.0), np.full(100, 1.0))
    assert mean_metrics([few, None, many])["abs_rel"] == pytest.approx(0.5)
    assert mean_metrics([None]) is None
