# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from ssd_core.storage.configuration import ConfigurationError
from ssd_core.training.changes import ChangesConfig
from ssd_core.training.run import load_recipe
from ssd_core.training.student import StudentConfig
from ssd_core.training.supervised import SupervisedConfig
from ssd_core.training.teacher import TeacherConfig

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"
KINDS = {
    "teacher": TeacherConfig,
    "student": StudentConfig,
    "supervised": SupervisedConfig,
    "baseline": TeacherConfig,
    "changes": ChangesConfig,
}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_ship_are_valid(path: Path) -> None:
    config = load_recipe(path)
    assert path.read_text().startswith("#")
    assert isinstance(config, KINDS.get(path.stem.split("_")[0], (SupervisedConfig, TeacherConfig)))


def test_deltas_keep_the_values_of_the_paper() -> None:
    for name in ("teacher", "teacher_robotcar", "teacher_bag"):
        config = load_recipe(RECIPES / f"{name}.yaml")
        assert isinstance(config, TeacherConfig)
        assert (config.loss.smoothness, config.loss.velocity, config.loop.batch_size, config.model.size) == (1e-3, 0.02, 4, "b")
    assert load_recipe(RECIPES / "student_bag.yaml").task == "student"


def test_wrong_keys_and_tasks_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"loss\.velocitty"):
        load_recipe(RECIPES / "teacher.yaml", ["loss.velocitty=1"])
    with pytest.raises(ConfigurationError, match=r"task: one of supervised, teacher, student"):
        load_recipe(RECIPES / "teacher.yaml", ["task=treat"])
    with pytest.raises(ConfigurationError, match=r"data\.validation"):
        load_recipe(RECIPES / "teacher.yaml", ["data.validation=[]"])
