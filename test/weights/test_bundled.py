# SPDX-License-Identifier: Apache-2.0
"""What ships: small, honest about itself, and giving finite, varied depth in range."""

from pathlib import Path

import numpy as np

from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.model.untrained import create_untrained
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.weights import bundled_folder


def test_the_bundled_checkpoint_is_small_and_says_what_it_is() -> None:
    size = sum(path.stat().st_size for path in bundled_folder().iterdir())
    assert size < 16e6
    description = open_checkpoint(bundled_folder()).description
    assert (description.min_depth, description.max_depth) == (0.1, 80)
    assert description.parametrisation == "sigmoid_disparity"
    assert not description.git_revision.endswith("-dirty")
    if not description.trained:
        assert "random weights" in (bundled_folder().parent / "README.md").read_text()


def test_bundled_depth_is_finite_varied_and_in_range(tmp_path: Path) -> None:
    estimator = DepthEstimator.load("bundled", "torch", precision="fp32", cache_folder=tmp_path)
    coarse = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    depth = estimator([np.kron(coarse, np.ones((40, 40, 1), dtype=np.uint8))])[0].values
    assert depth.shape == (estimator.input_size[1], estimator.input_size[0])
    assert depth.min() >= 0.1
    assert depth.max() <= 80
    assert 3 < np.median(depth) < 40
    assert depth.std() > 1


def test_untrained_weights_follow_their_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        create_untrained(tmp_path / name, input_size=(112, 70), seed=7)
    one, two = (open_checkpoint(tmp_path / name) for name in ("one", "two"))
    assert one.weights_hash == two.weights_hash
    assert one.description.recipe == {"seed": 7}
    assert not one.description.trained
