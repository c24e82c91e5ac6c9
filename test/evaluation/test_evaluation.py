# SPDX-License-Identifier: Apache-2.0
"""Whole recordings: continued after a kill, refused where the configuration changed, clear where there is nothing to measure."""

import json

import numpy as np
import pytest
from fake_source import CAMERA, FakeSource, Seer

from ssd_core.evaluation.evaluation import (
    RECORDS_FILE,
    EvaluationConfiguration,
    EvaluationError,
    choose_frames,
    evaluate_frames,
    evaluate_to_folder,
    frames_hash,
    to_json,
)
from ssd_core.evaluation.protocol import DepthRange
from ssd_core.evaluation.summary import depth_scales, skipped_reasons, summarise

RANGE = DepthRange()


def wrong(depth, number):
    return depth * np.float32(1 + 0.05 * number)


def configuration(source, **changes):
    frames = source.frames()
    values = {
        "data": "made up",
        "frames": len(frames),
        "frames_hash": frames_hash(frames),
        "depth_range": RANGE,
        "predictors": {"model": "seer@1"},
    }
    return EvaluationConfiguration(**{**values, **changes})


def run(source, predictor, folder, **options):
    return evaluate_to_folder(source, source.frames(), {"model": predictor}, configuration(source), folder, **options)


def test_groups_and_their_means(tmp_path):
    source = FakeSource(6, cameras=("front", "rear", "rear"))
    records = run(source, Seer(wrong), tmp_path)
    assert [record.frame_id for record in records] == [frame.frame_id for frame in source.frames()]
    summary = summarise(records, "model")
    assert summary.pooled["raw"].abs_rel == pytest.approx(0.05 * 2.5, rel=1e-4)
    assert summary.conditions["day-clear"]["raw"].abs_rel == pytest.approx(0.05 * 2, rel=1e-4)  # frames 0, 2, 4
    assert summary.conditions["night"]["raw"].abs_rel == pytest.approx(0.05 * 3, rel=1e-4)
    assert summary.cameras["front"]["raw"].abs_rel == pytest.approx(0.05 * 1.5, rel=1e-4)  # frames 0, 3
    assert summary.cameras["rear"]["raw"].images == 4
    assert summary.pooled["median"].abs_rel == pytest.approx(0, abs=1e-5)
    assert summary.pooled["raw"].sequences == 2 and summary.pooled["raw"].interval_95 is None
    scales = depth_scales(records, "model")
    assert scales[""].factor == pytest.approx(np.median([1 / (1 + 0.05 * number) for number in range(6)]), rel=1e-4)
    assert scales["front"].images == 2


def test_a_killed_run_continues_and_ends_the_same(tmp_path):
    whole = run(FakeSource(11), Seer(wrong), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(FakeSource(11), Seer(wrong, stop_after=4), tmp_path / "cut")
    path = tmp_path / "cut" / RECORDS_FILE
    before = len(path.read_bytes().splitlines())
    assert 1 < before < 12
    with path.open("ab") as file:
        file.write(b'{"frame_id": "front/9", "seq')  # killed in the middle of a line
    source = FakeSource(11)
    assert run(source, Seer(wrong), tmp_path / "cut") == whole
    assert len(source.opened) == 12 - before  # only what was missing is read
    assert [json.loads(line) for line in path.read_text().splitlines()[1:]] == [to_json(record) for record in whole]
    assert path.read_bytes() == (tmp_path / "whole" / RECORDS_FILE).read_bytes()


def test_another_configuration_is_refused_unless_overwritten(tmp_path):
    source = FakeSource()
    run(source, Seer(wrong), tmp_path)
    other = configuration(source, predictors={"model": "seer@2"})
    with pytest.raises(EvaluationError, match=r"predictors was .*seer@1.* and is .*seer@2.*--overwrite"):
        evaluate_to_folder(source, source.frames(), {"model": Seer()}, other, tmp_path)
    records = evaluate_to_folder(source, source.frames(), {"model": Seer()}, other, tmp_path, overwrite=True)
    assert summarise(records, "model").pooled["raw"].abs_rel == pytest.approx(0, abs=1e-6)


def test_records_know_the_code_that_measured_them(tmp_path, monkeypatch):
    def at(revision, source, predictor=None):
        monkeypatch.setattr("ssd_core.evaluation.evaluation.git_revision", lambda: revision)
        return [record.git_revision for record in run(source, predictor or Seer(), tmp_path)]

    with pytest.raises(KeyboardInterrupt):
        at("first", FakeSource(11), Seer(stop_after=4))
    path = tmp_path / RECORDS_FILE
    begun = len(path.read_bytes().splitlines()) - 1
    assert at("second", FakeSource(11, damaged=(10,))) == begun * ["first"] + (11 - begun) * ["second"]
    assert at("third", FakeSource(11))[-2:] == ["second", "third"], "a skipped frame is measured later"
    before = path.read_bytes()
    assert at("fourth", FakeSource(11)) == begun * ["first"] + (10 - begun) * ["second"] + ["third"]
    assert path.read_bytes() == before, "nothing was measured with it"


def test_a_foreign_file_is_named(tmp_path):
    (tmp_path / RECORDS_FILE).write_text('{"hello": 1}\n')
    with pytest.raises(EvaluationError, match="holds no configuration"):
        run(FakeSource(), Seer(), tmp_path)


def test_frames_that_cannot_be_measured_are_counted(tmp_path):
    records = run(FakeSource(5, damaged=(1,)), Seer(), tmp_path)
    assert skipped_reasons(records) == {"front/1: damaged": 1}
    assert summarise(records, "model").pooled["raw"].images == 4


def test_a_skipped_frame_is_tried_again(tmp_path):
    path = tmp_path / RECORDS_FILE
    run(FakeSource(5, damaged=(1, 3)), Seer(), tmp_path)
    before = path.read_bytes()
    run(FakeSource(5, damaged=(1, 3)), Seer(), tmp_path)
    assert path.read_bytes() == before, "nothing new to say"
    source, seen = FakeSource(5, damaged=(3,)), []
    records = run(source, Seer(), tmp_path, on_frame=lambda record: seen.append(record.frame_id))
    assert source.opened == ["front/1", "front/3"] and sorted(seen) == [f"front/{number}" for number in range(5)]
    assert skipped_reasons(records) == {"front/3: damaged": 1}
    assert run(FakeSource(5, damaged=(3,)), Seer(), tmp_path) == records


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (FakeSource(lidar=False), r"no lidar depth \(6x\)"),
        (FakeSource(damaged=range(6)), "damaged"),
    ],
)
def test_nothing_to_measure_is_an_error_that_says_why(source, reason, tmp_path):
    with pytest.raises(EvaluationError, match=f"made up: none of 6 frames can be measured: .*{reason}"):
        run(source, Seer(), tmp_path)


def test_without_lidar_no_picture_is_opened(tmp_path):
    source = FakeSource(lidar=False)
    with pytest.raises(EvaluationError):
        run(source, Seer(), tmp_path)
    assert source.opened == []


def test_truth_beyond_the_cap_is_no_truth():
    source = FakeSource(2)
    records = list(evaluate_frames(source, source.frames(), {"model": Seer()}, DepthRange(min_depth=0.1, cap=0.5)))
    assert [record.skipped for record in records] == ["no lidar depth between 0.1 and 0.5 m"] * 2


def test_a_camera_of_another_size_is_told():
    source = FakeSource(1)
    source.image = lambda frame, min_size=None: np.zeros((10, 10, 3), np.uint8)
    (record,) = evaluate_frames(source, source.frames(), {"model": Seer()}, RANGE)
    assert record.skipped == f"the image is 10x10, its camera {CAMERA.width}x{CAMERA.height}"


def test_choosing_frames():
    frames = FakeSource(12, cameras=("front", "rear", "side")).frames()
    assert [frame.stamp_ns for frame in choose_frames(frames, ["rear"], ["night"])] == [1, 7]
    assert [frame.stamp_ns for frame in choose_frames(frames, limit=3)] == [0, 6, 11]
    assert len(choose_frames(frames, limit=100)) == 12
    with pytest.raises(EvaluationError, match=r"no camera top among the frames; there is front, rear, side"):
        choose_frames(frames, ["top"])
    with pytest.raises(EvaluationError, match=r"no condition fog.*day-clear, night"):
        choose_frames(frames, conditions=["fog"])
    with pytest.raises(EvaluationError, match="no frames"):
        choose_frames([])
