# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.rendered import RenderPlan, render_frames
from ssd_core.road_world.graphics import GraphicsError

PLAN = RenderPlan(first_scene=77, scenes=1, moments=1, views=2, conditions=("day-clear", "night"), width=112, height=63)


@pytest.mark.render
def test_views_share_their_depth_over_conditions_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    whole = render_frames(PLAN, tmp_path / "whole")
    frames = whole.frames()
    assert [frame.condition for frame in frames] == ["day-clear", "night"] * 2
    for day, night in zip(frames[::2], frames[1::2], strict=True):
        np.testing.assert_array_equal(whole.dense_depth(day), whole.dense_depth(night))
        np.testing.assert_array_equal(day.world_from_camera, night.world_from_camera)
        assert whole.image(night).mean() < whole.image(day).mean()
        finite = whole.dense_depth(day)[np.isfinite(whole.dense_depth(day))]
        assert finite.size > 0.2 * 112 * 63
        assert 0.3 < finite.min() < 30
    assert frames[0].camera != frames[2].camera

    half = tmp_path / "half"
    render_frames(PLAN, half)
    lines = (half / "frames.jsonl").read_bytes().splitlines(keepends=True)
    (half / "frames.jsonl").write_bytes(b"".join(lines[:3]))
    render_frames(PLAN, half)
    files = [path.relative_to(half) for path in sorted(half.rglob("*")) if path.is_file()]
    assert all((half / path).read_bytes() == (tmp_path / "whole" / path).read_bytes() for path in files)


@pytest.mark.render
def test_two_processes_write_the_same_files_as_one(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"scenes": 3, "views": 1, "width": 64, "height": 36})
    steps: list[tuple[int, int]] = []
    for workers in (1, 2):
        render_frames(plan, tmp_path / str(workers), lambda done, total: steps.append((done, total)), workers)
    one, two = ({path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()} for root in
                (tmp_path / "1", tmp_path / "2"))  # fmt: skip
    assert one == two
    assert steps == [(2, 6), (4, 6), (6, 6)] * 2


@pytest.mark.render
def test_what_goes_wrong_in_a_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLAN.model_copy(update={"scenes": 2})
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", "/dev/null")
    with pytest.raises(GraphicsError, match="EGL"):
        render_frames(plan, tmp_path, workers=2)


@pytest.mark.render
def test_traffic_is_as_the_plan_says(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"scenes": 3, "views": 1, "conditions": ("day-clear",), "field_of_view": (60.0, 60.0)})
    ahead = {}
    for density in ("free", "jam"):
        dataset = render_frames(plan.model_copy(update={"traffic": (density,)}), tmp_path / density)
        depths = [dataset.dense_depth(frame) for frame in dataset.frames()]
        ahead[density] = np.median([np.median(depth[34:40, 48:64]) for depth in depths if depth is not None])
    assert ahead["jam"] < 0.6 * ahead["free"]


def test_a_worker_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssd_core.data.rendered._render_whole_scene", _die)
    with pytest.raises(DataError, match=r"died.*fewer workers"):
        render_frames(PLAN.model_copy(update={"scenes": 2}), tmp_path, workers=2)


def _die(_job: object) -> None:
    os._exit(9)


@pytest.mark.render
def test_a_folder_of_another_revision_of_the_world_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLAN.model_copy(update={"views": 1, "conditions": ("day-clear",), "width": 32, "height": 18})
    render_frames(plan, tmp_path)
    monkeypatch.setattr("ssd_core.data.rendered.REVISION", 999)
    with pytest.raises(DataError, match=r"begun with revision \d+ of the rendered world, this is revision 999; remove it"):
        render_frames(plan, tmp_path)


def test_conditions_are_drawn_by_weight_the_same_every_time() -> None:
    plan = RenderPlan(moments=40, views=5, looks=2, conditions=("day-clear", "night", "fog"), weights=(2.0, 2.0, 0.1))
    names = plan.frame_ids(4)
    assert names == plan.frame_ids(4) and len(names) == len(set(names)) == 400
    counts = {condition: sum(name.endswith(condition) for name in names) for condition in plan.conditions}
    assert counts["day-clear"] > 150 and counts["night"] > 150 and 0 < counts["fog"] < 40
    assert plan.frame_ids(5) != [name.replace("00004", "00005") for name in names]


@pytest.mark.parametrize(("change", "message"), [({"looks": 9}, "9 of 3"), ({"weights": (1.0, 2.0)}, "one for each of 3")])
def test_draws_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RenderPlan(**change)


@pytest.mark.render
def test_presets_have_their_aspects_and_depth_fits_the_pictures(tmp_path: Path) -> None:
    plan = RenderPlan(first_scene=78, scenes=1, moments=1, views=3, conditions=("night", "snow"), looks=1, width=96, height=54,
                      presets=("robotcar", "kitti", "mixed"), camera_variety=1.0)  # fmt: skip
    dataset = render_frames(plan, tmp_path)
    frames = dataset.frames()
    assert len(frames) == 3
    for frame in frames:
        depth = dataset.dense_depth(frame)
        assert frame.camera is not None and depth is not None
        assert dataset.image(frame).shape == (frame.camera.height, frame.camera.width, 3)
        assert depth.shape == (frame.camera.height, frame.camera.width)
        assert frame.camera.width * frame.camera.height == pytest.approx(96 * 54, rel=0.1)
        assert 0.03 < np.nanmin(depth) < 60  # the own roof is near
