# SPDX-License-Identifier: Apache-2.0
"""The change detector that ships: small, and right about rendered streets that it never saw."""

from pathlib import Path

import numpy as np
import pytest

from ssd_core.data.rendered import render_frames
from ssd_core.data.rendered_changes import RenderedChanges
from ssd_core.gdt.changes import chance_of_change
from ssd_core.model.change_detector import load_change_detector
from ssd_core.training.run import load_recipe
from ssd_core.weights import BUNDLED, change_detector_folder

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


def test_it_is_small_and_of_the_recipe_that_is_here() -> None:
    assert sum(path.stat().st_size for path in change_detector_folder().iterdir()) < 3e6
    recipe = load_recipe(RECIPES / "changes_rendered.yaml").model_dump(mode="json")
    assert load_change_detector(BUNDLED).config.recipe == recipe


@pytest.mark.render
def test_it_tells_rain_and_fog_from_a_vehicle_that_is_gone(tmp_path: Path) -> None:
    """Not nights: those of the world's fifth revision, in which a vehicle may not be seen, are none that it has learnt from."""
    plan = RenderedChanges(first_scene=810000, scenes=2, moments=2, conditions=("fog", "day-rain"), smallest_object=0.015)
    dataset, detector = render_frames(plan, tmp_path), load_change_detector(BUNDLED)
    frames = {frame.frame_id: frame for frame in dataset.frames()}
    same, changed = [], []
    for name in (name for name in frames if "_whole_day-clear" in name):
        day = frames[name]
        for condition in plan.conditions:
            whole, gone = (frames[name.replace("whole_day-clear", f"{content}_{condition}")] for content in ("whole", "gone"))
            same.append(chance_of_change(detector, dataset.image(day), dataset.image(whole)))
            if np.any(dataset.dense_depth(gone) != dataset.dense_depth(day)):
                changed.append(chance_of_change(detector, dataset.image(day), dataset.image(gone)))
    assert changed and np.mean(changed) > 0.6 > 0.4 > np.mean(same)
