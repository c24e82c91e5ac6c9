# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from small_video import write_video
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.evaluation.ablation import read_results
from ssd_core.storage.configuration import ConfigurationError, load_configuration
from ssd_core.training.experiment import ExperimentConfig, all_jobs
from ssd_core.training.run import load_recipe

SHIPPED = Path(__file__).resolve().parents[2] / "training" / "experiment.yaml"


def write_recipes(folder: Path, video: Path) -> Path:
    """An experiment of a teacher and two students, in miniature."""
    loop = {"steps": 2, "batch_size": 2, "workers": 0, "precision": "fp32", "validate_every": 2, "save_every": 2, "warm_up_steps": 1}
    data = {"train": [{"path": str(video)}], "validation": [{"path": str(video)}], "image_size": [56, 34], "validation_frames": 2}
    model = {"architecture": "resnet", "size": "half", "input_size": [112, 70]}
    teacher = {"task": "teacher", "model": model, "pose": {"architecture": "correlation", "search": [2, 2]}, "data": data, "loop": loop}
    student = {"task": "student", "teacher": "set by the experiment", "data": data, "loop": loop}
    for name, values in (("teacher", teacher), ("student", student)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
    rows = {
        "teacher": {"says": "the teacher", "recipe": "teacher.yaml", "against": ["row_prior"]},
        "student": {"says": "the student", "recipe": "student.yaml", "teacher": "teacher", "against": ["teacher"]},
        "control": {"says": "the control", "recipe": "student.yaml", "teacher": "teacher", "changes": ["data.p_original=1"]},
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump({"seeds": [3], "test": {"path": str(video)}, "rows": rows}, sort_keys=False))
    return path


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["experiment", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_jobs_are_done_once_and_the_table_is_made_of_their_files(tmp_path: Path) -> None:
    path = write_recipes(tmp_path, write_video(tmp_path / "video", 7, dark=(1, 2, 3, 4, 5)))
    options = ("--config", path, "--out", tmp_path / "runs", "--results", tmp_path / "results")
    assert "jobs left" not in call(*options, "--row", "student", "--minutes", 1e9)
    done = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "results").glob("*.json")}
    assert set(done) == {"teacher_3.json", "student_3.json", "row_prior.json"}
    results = read_results(tmp_path / "results")
    student = results["student"][0]
    assert student.recipe["loop"]["seed"] == 3 and student.scenes.keys() == {"street"}
    assert set(student.scenes["street"]) == {"day-clear", "night"}
    configured = yaml.safe_load((tmp_path / "runs" / "student_3" / "configuration.yaml").read_text())
    assert configured["teacher"] == str(tmp_path / "runs" / "teacher_3" / "last")
    # What is there is done; a lost result is judged again from its finished run.
    (tmp_path / "results" / "student_3.json").unlink()
    weights = tmp_path / "runs" / "student_3" / "last" / "model.safetensors"
    trained = weights.read_bytes()
    output = call(*options, "--row", "student")
    assert "| the student | the teacher |" in output and "| the control |" not in output
    assert weights.read_bytes() == trained
    assert read_results(tmp_path / "results")["student"][0] == student
    again = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "results").glob("*.json")}
    assert {name for name in done if again[name] != done[name]} == {"student_3.json"}
    assert "jobs left: 1" in call(*options, "--minutes", 0)
    assert (tmp_path / "results" / "table.png").exists()


def test_the_experiment_that_ships_has_valid_jobs() -> None:
    config = load_configuration(ExperimentConfig, SHIPPED)
    jobs = all_jobs(config)
    assert len(jobs) == len(config.seeds) * len(config.rows)
    for job in jobs:
        learning = load_recipe(SHIPPED.parent / job.row.recipe, job.row.changes)
        # The blind scenes are nobody else's.
        plans = [*learning.data.train, *learning.data.validation]  # type: ignore[list-item]
        for plan in plans:
            assert plan.first_scene + plan.scenes <= config.test.first_scene or config.test.first_scene + 30 <= plan.first_scene  # type: ignore[union-attr]


def test_wrong_rows_are_named(tmp_path: Path) -> None:
    path = write_recipes(tmp_path, tmp_path)
    with pytest.raises(ConfigurationError, match="no row pupil; there is teacher, student, control"):
        all_jobs(load_configuration(ExperimentConfig, path), ["pupil"])
    with pytest.raises(ConfigurationError, match=r"rows\.control\.teacher: 'nobody'"):
        load_configuration(ExperimentConfig, path, ["rows.control.teacher=nobody"])
    with pytest.raises(ConfigurationError, match=r"rows\.control\.against: there is no row pupil"):
        load_configuration(ExperimentConfig, path, ["rows.control.against=[pupil]"])
