# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssd_core.evaluation.ablation import ConditionErrors, JobResult, draw_table, make_table, read_results, scene_errors
from ssd_core.images.codec import read_image
from ssd_core.storage.configuration import ConfigurationError

SCENES = [f"scene-{number:05d}" for number in range(8)]
SAYS = {"teacher": "the teacher", "student": "the student", "missing": "never run"}


def result(row: str, seed: int, day: float, night: float, world: int = 4) -> JobResult:
    spread = np.linspace(-0.05, 0.05, len(SCENES))
    scenes = {
        name: {
            condition: ConditionErrors(frames=4, abs_rel=level + more, abs_rel_median=level, d1=0.5)
            for condition, level in (("day-clear", day), ("night", night))
        }
        for name, more in zip(SCENES, spread, strict=True)
    }
    return JobResult(row=row, seed=seed, world=world, git_revision="abc", test={"scenes": 8}, recipe={}, scenes=scenes)


def write(folder: Path, *results: JobResult) -> Path:
    for one in results:
        (folder / f"{one.row}_{one.seed}.json").write_text(one.model_dump_json())
    return folder


def test_means_over_seeds_and_differences_with_intervals(tmp_path: Path) -> None:
    found = read_results(write(tmp_path, result("teacher", 1, 0.2, 0.4), result("teacher", 2, 0.22, 0.44), result("student", 1, 0.2, 0.3)))
    assert [one.seed for one in found["teacher"]] == [1, 2]
    assert scene_errors(found["teacher"], "night").mean() == pytest.approx(0.42)
    table = make_table(found, SAYS, {"student": ("teacher",)})
    assert "| row | seeds | day-clear | night |" in table
    assert "| the teacher | 2 | 0.210 ± 0.014 (0.50) | 0.420 ± 0.028 (0.50) |" in table
    # Of the seed that both have.
    assert "| the student | the teacher | +0.000 [+0.000, +0.000], +0% | -0.100 [-0.100, -0.100], -25% |" in table
    assert "never run" not in table
    picture = tmp_path / "table.png"
    draw_table(picture, found, SAYS)
    assert read_image(picture).std() > 10


def test_only_the_same_scenes_are_compared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no results"):
        make_table({}, SAYS, {})
    write(tmp_path, result("teacher", 1, 0.2, 0.4), result("student", 1, 0.2, 0.3, world=3))
    with pytest.raises(ValueError, match=r"student_1\.json and teacher_1\.json were judged on different scenes"):
        read_results(tmp_path)
    (tmp_path / "student_1.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"student_1\.json.*scenes"):
        read_results(tmp_path)
