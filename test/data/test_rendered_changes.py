# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic
import pytest

from ssd_core.data.rendered import render_frames
from ssd_core.data.rendered_changes import RenderedChanges

PLAN = RenderedChanges(first_scene=799000, scenes=1, moments=2, conditions=("night", "day-rain"), width=160, height=88)
CONTENTS = [
    "whole_day-clear", "gone_day-clear", "whole_night", "gone_night", "moved_night", "whole_day-rain", "gone_day-rain", "moved_day-rain"
]  # fmt: skip


@pytest.mark.render
def test_what_changes_shows_in_depth_alike_in_all_conditions(tmp_path: Path) -> None:
    dataset = render_frames(PLAN, tmp_path)
    frames = dataset.frames()
    assert [frame.frame_id for frame in frames] == PLAN.frame_ids(799000)
    assert [frame.frame_id.rpartition("/")[2] for frame in frames] == [f"{moment:02d}_{name}" for moment in range(2) for name in CONTENTS]
    changed = []
    for start in (0, 8):
        by_name = dict(zip(CONTENTS, frames[start : start + 8], strict=True))
        depths = {name: dataset.dense_depth(frame) for name, frame in by_name.items()}
        for content in ("whole", "gone", "moved"):
            np.testing.assert_array_equal(depths[f"{content}_night"], depths[f"{content}_day-rain"])
        np.testing.assert_array_equal(depths["whole_day-clear"], depths["whole_night"])
        np.testing.assert_array_equal(depths["gone_day-clear"], depths["gone_night"])
        assert len({frame.stamp_ns for frame in by_name.values()}) == 1
        assert len({np.asarray(frame.world_from_camera).tobytes() for frame in by_name.values()}) == 1
        changed.append([float(np.mean(depths["whole_night"] != depths[f"{content}_night"])) for content in ("gone", "moved")])
    # The first moment has a lorry beside; it is nearer than what it hides.
    assert max(shares[0] for shares in changed) > PLAN.smallest_object
    assert all(moved >= gone * 0.5 for gone, moved in changed)


def test_more_looks_than_conditions_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="looks"):
        RenderedChanges(conditions=("night",), looks=2)
