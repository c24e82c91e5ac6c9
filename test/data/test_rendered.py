# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssd_core.data.rendered import RenderPlan, render_frames

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
