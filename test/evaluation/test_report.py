# SPDX-License-Identifier: Apache-2.0
"""Reports, pictures, and when published figures may stand beside ours."""

import io
import json

import numpy as np
import pytest
from fake_source import FakeSource, Seer
from rich.console import Console

from ssd_core.data.nuscenes import NuScenesFrames
from ssd_core.data.robotcar import RobotCarFrames
from ssd_core.evaluation.baselines import DepthSamples, learn_baselines
from ssd_core.evaluation.evaluation import EvaluationConfiguration, FrameRecord, evaluate_frames
from ssd_core.evaluation.metrics import METRIC_NAMES
from ssd_core.evaluation.protocol import DepthRange
from ssd_core.evaluation.published import NUSCENES_VAL, NUSCENES_VAL_IMAGES, ROBOTCAR_TEST_IMAGES, Comparison, published_rows
from ssd_core.evaluation.report import MODEL, ORACLE, DataDescription, EvaluatedModel, make_report, print_report, write_report
from ssd_core.evaluation.sheet import best_median_worst, write_sheets
from ssd_core.images.codec import read_image

RANGE = DepthRange()
NOTHING_PUBLISHED = Comparison((), "")


def wrong(depth, number):
    return depth * np.float32(1 + 0.05 * number)


def priors():
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (5000, 2)).astype(np.float32)
    return learn_baselines(DepthSamples(rays, (5 + 10 * np.abs(rays[:, 1])).astype(np.float32)))


def report_of(source, model=None, trained=True, comparison=NOTHING_PUBLISHED, baselines=True, kind="metric", code=None):
    model = model or Seer(wrong)
    predictors = {MODEL: model, **({prior.name: prior for prior in priors()} if baselines else {})}
    records = list(evaluate_frames(source, source.frames(), predictors, RANGE))
    if code is not None:
        records = [record.model_copy(update={"git_revision": revision}) for record, revision in zip(records, code, strict=True)]
    configuration = EvaluationConfiguration(
        data="/somewhere/drive",
        frames=len(records),
        frames_hash="0",
        depth_range=RANGE,
        predictors={name: predictor.model_id for name, predictor in predictors.items()},
    )
    data = DataDescription(path="/somewhere/drive", kind="made up", split="test", cameras=["front"], selected=["only on Sundays"])
    described = EvaluatedModel(
        checkpoint=model.model_id, kind=kind, is_trained=trained, input_size=(56, 42), backend="none", precision="fp32"
    )
    return make_report(configuration, data, described, records, comparison, "made-up rays" if baselines else None, ["one warning"]), records


def text_of(report, width=200):
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console)
    return console.file.getvalue()


def test_report_json_has_the_figures_and_the_protocol(tmp_path):
    report, _ = report_of(FakeSource(12, sequences=6))
    write_report(report, tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    raw = stored["results"]["pooled"]["raw"]
    assert set(METRIC_NAMES) <= set(raw) and raw["abs_rel"] == pytest.approx(0.05 * 5.5, rel=1e-4)
    assert 0 <= raw["d1"] <= 1 and raw["images"] == 12 and raw["sequences"] == 6
    low, high = raw["interval_95"]["abs_rel"]
    assert low < raw["abs_rel"] < high
    assert set(stored["results"]["pooled"]) == {"raw", "flip", "median", "flip_median"}
    assert set(stored["results"]["conditions"]) == {"day-clear", "night"}
    assert {"split", "frames", "cap", "min_depth", "scaling", "flip", "input_size", "checkpoint"} <= set(stored["protocol"])
    assert stored["model"]["checkpoint"] == "seer@1" and stored["git_revision"]
    assert stored["depth_scale"][""]["factor"] == pytest.approx(np.median(1 / (1 + 0.05 * np.arange(12))), rel=1e-3)


def test_the_oracle_is_the_truth_s_median():
    source = FakeSource(4)
    report, _ = report_of(source)
    expected = []
    for frame in source.frames():
        z = source.lidar_depth(frame).z.astype(np.float64)
        z = z[z <= 80]
        expected.append(np.mean(np.abs(np.median(z) - z) / z))
    assert report.baselines[ORACLE].pooled["raw"].abs_rel == pytest.approx(np.mean(expected), rel=1e-6)
    assert set(report.baselines[ORACLE].pooled) == {"raw"}


def test_report_md_and_the_terminal_say_the_same(tmp_path):
    report, _ = report_of(FakeSource(12, sequences=6, cameras=("front", "rear", "rear")), trained=False)
    write_report(report, tmp_path, [tmp_path / "sheet.png"])
    text = (tmp_path / "report.md").read_text()
    wide, narrow = text_of(report), text_of(report, 80)
    for part in (
        "UNTRAINED",
        "set depth_scale: ",
        "flip + median",
        "row prior",
        "(oracle)",
        "one warning",
        "only on Sundays",
        "night",
        "rear",
    ):
        assert part in text and part in wide and part in narrow, part
    assert "![sheet](sheet.png)" in text and "[0." in text  # an interval
    assert "RMSElog" in text and "RMSElog" in wide and "RMSElog" not in narrow
    columns = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(columns) == {11}
    assert f"{100 * report.results.pooled['raw'].d1:.2f}" in text  # tables show percent


def test_frames_measured_with_other_code_are_told(monkeypatch):
    monkeypatch.setattr("ssd_core.evaluation.report.git_revision", lambda: "new")

    def warnings(*code):
        return report_of(FakeSource(6), baselines=False, code=code)[0].warnings

    assert warnings(*["new"] * 6) == ["one warning"]
    _, warning = warnings(*["old"] * 2, *["new"] * 4)
    assert "code new" in warning and "2 frames with old" in warning and "--overwrite measures all with one code" in warning
    _, warning = warnings(*["old"] * 5, "older")
    assert "5 frames with old, 1 frame with older" in warning


def test_few_sequences_have_no_interval():
    report, _ = report_of(FakeSource(6, sequences=2), baselines=False)
    assert report.results.pooled["raw"].interval_95 is None and "Baselines" not in text_of(report)


def test_skipped_frames_are_told():
    report, _ = report_of(FakeSource(6, damaged=(2,)))
    assert "Skipped: 1 frame: front/2: damaged." in text_of(report) and "5 of 6 frames measured" in text_of(report)


def test_a_relative_model_has_only_scaled_rows_and_no_scale():
    seer = Seer(lambda depth, number: 1 / depth)
    seer.kind = "relative_inverse"
    report, _ = report_of(FakeSource(3), seer, kind="relative_inverse")
    assert set(report.results.pooled) == {"median", "flip_median"} and not report.depth_scale
    assert "scale and shift of inverse depth" in text_of(report) and "set depth_scale" not in text_of(report)


def test_published_rows_are_shown_beside_ours():
    rows = tuple(row for row in NUSCENES_VAL if row.condition == "night")
    report, _ = report_of(FakeSource(4), comparison=Comparison(rows, "the same frames"))
    text = text_of(report)
    assert "SSD-S" in text and "0.1939" in text and "seer@1 (ours)" in text and "day-rain" not in text


def records_of(counts, cameras=("CAM_FRONT",)):
    return [
        FrameRecord(frame_id=f"{condition}{index}", sequence="s", camera=cameras[index % len(cameras)], condition=condition, points=1)
        for condition, count in counts.items()
        for index in range(count)
    ]


def robotcar(split):
    source = object.__new__(RobotCarFrames)
    source.split = split
    return source


def nuscenes(version="v1.0-trainval", split="val"):
    source = object.__new__(NuScenesFrames)
    source.version, source.split = version, split
    return source


@pytest.mark.parametrize(
    ("source", "records", "depth_range", "conditions"),
    [
        (nuscenes(), records_of(NUSCENES_VAL_IMAGES), RANGE, {"day-clear", "night", "day-rain"}),
        (nuscenes(), records_of({"night": 602, "day-clear": 4448}), RANGE, {"night"}),
        (nuscenes(), records_of({"night": 601}), RANGE, set()),
        (nuscenes(split="train"), records_of(NUSCENES_VAL_IMAGES), RANGE, set()),
        (nuscenes("v1.0-mini"), records_of(NUSCENES_VAL_IMAGES), RANGE, set()),
        (nuscenes(), records_of(NUSCENES_VAL_IMAGES, ("CAM_FRONT", "CAM_BACK")), RANGE, set()),
        (nuscenes(), records_of(NUSCENES_VAL_IMAGES), DepthRange(cap=60), set()),
        (FakeSource(), records_of(NUSCENES_VAL_IMAGES), RANGE, set()),
        (
            robotcar("lists day.txt, night.txt"),
            records_of(ROBOTCAR_TEST_IMAGES, ("stereo/left",)),
            DepthRange(cap=50),
            {"day-clear", "night"},
        ),
        (robotcar("test (own rule)"), records_of(ROBOTCAR_TEST_IMAGES, ("stereo/left",)), DepthRange(cap=50), set()),
        (robotcar("lists day.txt"), records_of(ROBOTCAR_TEST_IMAGES, ("stereo/left",)), RANGE, set()),
    ],
)
def test_published_figures_need_the_same_protocol(source, records, depth_range, conditions):
    comparison = published_rows(source, records, depth_range)
    assert {row.condition for row in comparison.rows} == conditions
    assert bool(comparison.note) != isinstance(source, FakeSource)


def test_best_median_and_worst_as_pictures(tmp_path):
    source = FakeSource(7)
    records = list(evaluate_frames(source, source.frames(), {MODEL: Seer(wrong)}, RANGE))
    assert [(word, record.frame_id) for word, record in best_median_worst(records, MODEL)] == [
        ("best", "front/0"),
        ("median", "front/3"),
        ("worst", "front/6"),
    ]
    assert len(best_median_worst(records[:1], MODEL)) == 1
    paths = write_sheets(source, source.frames(), records, Seer(wrong), MODEL, RANGE, tmp_path)
    assert [path.name for path in paths] == ["sheet.png", "sheet_day-clear.png", "sheet_night.png"]
    sheet = read_image(paths[0])
    assert sheet.shape[1] > 4 * 600
    # In the error column the perfect frame's dots are bluer than the worst one's.
    column = sheet[:, -640:].astype(int)
    third = len(column) // 3
    blue_minus_red = [np.sum(part[..., 2] - part[..., 0]) for part in (column[:third], column[-third:])]
    assert blue_minus_red[0] > 0 > blue_minus_red[1]
