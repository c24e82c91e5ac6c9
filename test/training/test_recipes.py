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
from ssd_core.training.video import RecordedVideo

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


@pytest.mark.parametrize("ending", ["", "_robotcar"])
def test_students_learn_on_the_data_that_their_teacher_learnt_on(ending: str) -> None:
    teacher, student = (load_recipe(RECIPES / f"{task}{ending}.yaml") for task in ("teacher", "student"))
    assert isinstance(teacher, TeacherConfig) and isinstance(student, StudentConfig)
    assert student.data.train == teacher.data.train
    assert student.data.image_size == teacher.data.image_size
    assert all(isinstance(source, RecordedVideo) and source.split == "val" for source in student.data.validation)


def test_a_bag_without_odometry_is_a_few_overrides() -> None:
    without = ["data.train.0.min_distance=0", "data.validation.0.min_distance=0"]
    teacher = load_recipe(RECIPES / "teacher_bag.yaml", ["loss.velocity=0", *without])
    student = load_recipe(RECIPES / "student_bag.yaml", without)
    for config in (teacher, student):
        assert not any(source.min_distance for source in (*config.data.train, *config.data.validation))


def test_wrong_keys_and_tasks_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"loss\.velocitty"):
        load_recipe(RECIPES / "teacher.yaml", ["loss.velocitty=1"])
    with pytest.raises(ConfigurationError, match=r"task: one of supervised, teacher, student"):
        load_recipe(RECIPES / "teacher.yaml", ["task=treat"])
    with pytest.raises(ConfigurationError, match=r"data\.validation"):
        load_recipe(RECIPES / "teacher.yaml", ["data.validation=[]"])
