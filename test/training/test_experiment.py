# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from small_video import write_video
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.evaluation.ablation import JobResult, read_results
from ssd_core.storage.configuration import ConfigurationError, load_configuration, save_configuration
from ssd_core.training.experiment import ROW_PRIOR, ExperimentConfig, Job, Places, all_jobs, describe_origin, hash_weights, resolve_recipe
from ssd_core.training.experiment_checks import check_results, check_runs
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
    assert student.teacher == hash_weights(tmp_path / "runs" / "teacher_3" / "last")
    assert results["teacher"][0].teacher is None and results[ROW_PRIOR][0].teacher is None
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


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


class Judged:
    """An experiment whose jobs are said to be done, without any training."""

    def __init__(self, folder: Path) -> None:
        self.config_file = write_recipes(folder, folder / "video")
        self.config = load_configuration(ExperimentConfig, self.config_file)
        self.places = Places(folder, folder / "runs", folder / "results")
        self.places.results.mkdir()
        for run in ("teacher_3", "student_3", "control_3"):
            self.judge(run)

    def job(self, run: str) -> Job:
        return next(job for job in all_jobs(self.config) if job.run == run)

    def judge(self, run: str, teacher: str | None = None) -> Path:
        """The file of its result."""
        job = self.job(run)
        origin = describe_origin(self.config, resolve_recipe(job, self.places))
        result = JobResult(row=job.name, seed=job.seed, git_revision="of then", scenes={}, teacher=teacher, **origin)
        self.places.result(run).write_text(result.model_dump_json())
        return self.places.result(run)

    def train(self, run: str, weights: bytes = b"weights") -> Path:
        """The folder of its run, with weights that only have a hash."""
        last = self.places.weights(run)
        last.mkdir(parents=True, exist_ok=True)
        (last / "model.safetensors").write_bytes(weights)
        save_configuration(last.parent / "configuration.yaml", resolve_recipe(self.job(run), self.places))
        return last.parent

    def check(self) -> None:
        check_results(self.config, self.places)
        jobs = [job for job in all_jobs(self.config) if not self.places.result(job.run).exists()]
        check_runs(jobs, self.config, self.places)


def test_results_of_another_recipe_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    judged.check()
    recipe = tmp_path / "student.yaml"
    text = recipe.read_text()
    recipe.write_text(text.replace("steps: 2", "steps: 5").replace("batch_size: 2", "batch_size: 3"))
    judged.places.result("control_3").unlink()
    options = ("--config", judged.config_file, "--out", judged.places.runs, "--results", judged.places.results)
    changes = r"recipe\.loop\.steps: 2 -> 5, recipe\.loop\.batch_size: 2 -> 3"
    with pytest.raises(ConfigurationError, match=rf"student_3\.json: .*{changes}.*Fix: move"):
        call(*options)
    assert not judged.places.runs.exists()
    recipe.write_text(text)
    judged.judge("control_3")
    judged.check()
    # A key that the file doesn't know is a difference too, and so are other scenes; other code isn't.
    values = json.loads(judged.places.result("student_3").read_text())["recipe"]
    change(judged.places.result("student_3"), recipe={key: value for key, value in values.items() if key != "start_from"}, git_revision="x")
    with pytest.raises(ConfigurationError, match=r'recipe\.start_from: nothing -> "teacher"\. Fix'):
        judged.check()
    for file in judged.places.results.iterdir():
        change(file, recipe=values, world=0)
    with pytest.raises(ConfigurationError, match=r"\(as .*world: 0 -> \d"):
        judged.check()


def test_a_run_of_another_recipe_is_not_gone_on_with(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    judged.places.result("teacher_3").unlink()
    folder = judged.train("teacher_3")
    judged.check()
    (folder / "configuration.yaml").write_text((folder / "configuration.yaml").read_text().replace("steps: 2", "steps: 5"))
    with pytest.raises(ConfigurationError, match=r"runs/teacher_3: was trained by another recipe.*: loop\.steps: 5 -> 2\. Fix: move"):
        judged.check()


def test_a_student_needs_its_teachers_weights_at_once(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    # A fresh clone: everything is judged, and no run is there.
    judged.check()
    judged.places.result("control_3").unlink()
    missing = r"runs/teacher_3/last: missing.*control_3 learns from it.*Fix: bring it .* or move teacher_3\.json, student_3\.json away"
    with pytest.raises(ConfigurationError, match=missing):
        judged.check()
    options = ("--config", judged.config_file, "--out", judged.places.runs, "--results", judged.places.results)
    with pytest.raises(ConfigurationError, match=missing):
        call(*options)
    judged.train("teacher_3")
    judged.check()


def test_students_of_different_teachers_are_not_compared(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    judged.train("teacher_3", b"one")
    one = hash_weights(judged.places.weights("teacher_3"))
    judged.judge("student_3", one)
    judged.judge("control_3", "another")
    with pytest.raises(ConfigurationError, match=r"student_3\.json, control_3\.json are of students of different teachers"):
        judged.check()
    judged.places.result("control_3").unlink()
    judged.check()
    judged.train("teacher_3", b"another")
    with pytest.raises(ConfigurationError, match=r"teacher_3/last: not the teacher that student_3 learnt from, with which control_3"):
        judged.check()
    # An older file doesn't know its teacher; a run that was begun does.
    judged.judge("student_3")
    judged.check()
    (judged.train("control_3") / "teacher.sha256").write_text(one)
    with pytest.raises(ConfigurationError, match=r"runs/control_3: was begun with another teacher"):
        judged.check()


def test_the_experiment_that_ships_has_valid_jobs() -> None:
    config = load_configuration(ExperimentConfig, SHIPPED)
    jobs = all_jobs(config)
    assert len(jobs) == len(config.seeds) * len(config.rows)
    assert all_jobs(config, ["student"], [2]) == [job for job in jobs if job.run in ("teacher_2", "student_2")]
    for job in jobs:
        learning = load_recipe(SHIPPED.parent / job.row.recipe, job.row.changes)
        # The blind scenes are nobody else's.
        plans = [*learning.data.train, *learning.data.validation]  # type: ignore[list-item]
        for plan in plans:
            assert plan.first_scene + plan.scenes <= config.test.first_scene or config.test.first_scene + 30 <= plan.first_scene  # type: ignore[union-attr]


def test_wrong_rows_and_seeds_are_named(tmp_path: Path) -> None:
    path = write_recipes(tmp_path, tmp_path)
    with pytest.raises(ConfigurationError, match="no row pupil; there is teacher, student, control"):
        all_jobs(load_configuration(ExperimentConfig, path), ["pupil"])
    with pytest.raises(ConfigurationError, match="no seed 4; there is 3"):
        all_jobs(load_configuration(ExperimentConfig, path), seeds=[4])
    with pytest.raises(ConfigurationError, match=r"rows\.control\.teacher: 'nobody'"):
        load_configuration(ExperimentConfig, path, ["rows.control.teacher=nobody"])
    with pytest.raises(ConfigurationError, match=r"rows\.control\.against: there is no row pupil"):
        load_configuration(ExperimentConfig, path, ["rows.control.against=[pupil]"])
