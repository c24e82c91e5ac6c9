# SPDX-License-Identifier: Apache-2.0
"""Intervals that respect that images of a drive belong together."""

import numpy as np
import pytest

from ssd_core.evaluation.statistics import MIN_SEQUENCES, sequence_bootstrap


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        drives = rng.normal(0.3, 0.1, 40)
        values = np.repeat(drives, 10) + rng.normal(0, 0.02, 400)
        low, high = sequence_bootstrap(values, [f"drive{index // 10}" for index in range(400)], resamples=400, seed=trial)
        covered += low <= 0.3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_images_of_a_drive_are_no_independent_witnesses():
    values = np.repeat(np.random.default_rng(1).normal(0.3, 0.1, 10), 100)
    by_drive = sequence_bootstrap(values, [str(index // 100) for index in range(1000)])
    as_if_independent = sequence_bootstrap(values, [str(index) for index in range(1000)])
    assert np.diff(by_drive)[0] > 5 * np.diff(as_if_independent)[0]


def test_columns_few_sequences_and_wrong_lengths():
    values = np.random.default_rng(2).uniform(size=(30, 7))
    names = [str(index % 6) for index in range(30)]
    both = sequence_bootstrap(values, names)
    assert both.shape == (2, 7) and (both[0] < values.mean(0)).all() and (values.mean(0) < both[1]).all()
    assert both[:, 3] == pytest.approx(sequence_bootstrap(values[:, 3], names))
    assert sequence_bootstrap(values, [str(index % (MIN_SEQUENCES - 1)) for index in range(30)]) is None
    with pytest.raises(ValueError, match="30 values with 29"):
        sequence_bootstrap(values, names[:29])
