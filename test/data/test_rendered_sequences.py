# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch

from ssd_core.data.rendered import render_frames
from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.data.triplets import TripletRule, find_triplets
from ssd_core.geometry.pose import invert_pose
from ssd_core.geometry.warp import warp_image

PLAN = RenderedSequences(first_scene=78, scenes=1, clips=2, frames=3, aligned=("night",), width=160, height=88)


@pytest.mark.render
def test_clips_are_triplets_with_true_motion_and_aligned_conditions(tmp_path: Path) -> None:
    dataset = render_frames(PLAN, tmp_path)
    frames = dataset.frames()
    assert [frame.frame_id for frame in frames] == PLAN.frame_ids(78)
    assert [frame.condition for frame in frames] == ["day-clear", "day-clear", "night", "day-clear"] * 2
    triplets = find_triplets(frames, TripletRule(max_gap_s=0.15)).triplets
    assert [triplet.current.frame_id for triplet in triplets] == [f"scene-00078/front/{clip:02d}_001_day-clear" for clip in (0, 1)]
    for triplet, night in zip(triplets, frames[2::4], strict=True):
        current = triplet.current
        assert night.stamp_ns == current.stamp_ns
        np.testing.assert_array_equal(night.world_from_camera, current.world_from_camera)
        np.testing.assert_array_equal(dataset.dense_depth(night), dataset.dense_depth(current))
        assert dataset.dense_depth(triplet.next) is None
        assert current.camera is not None and current.world_from_camera is not None and triplet.next.world_from_camera is not None
        motion = invert_pose(triplet.next.world_from_camera) @ current.world_from_camera
        # Driving forward, what is ahead comes nearer: in the next camera's frame points are less far along z.
        assert motion[2, 3] == pytest.approx(-0.1 * (current.speed_mps or 0), abs=0.05)
        images = [torch.from_numpy(dataset.image(frame)).permute(2, 0, 1)[None].float() for frame in (current, triplet.next)]
        depth = dataset.dense_depth(current)
        assert depth is not None
        matrix = torch.from_numpy(current.camera.matrix)[None].float()
        warped = warp_image(
            images[1], torch.from_numpy(np.minimum(depth, 1e4))[None, None], matrix, matrix, torch.from_numpy(motion)[None].float()
        )
        kept = warped.valid.expand_as(warped.image)
        assert (warped.image - images[0]).abs()[kept].mean() < 0.75 * (images[1] - images[0]).abs()[kept].mean()


def test_a_condition_is_not_aligned_with_itself() -> None:
    with pytest.raises(pydantic.ValidationError, match="aligned"):
        RenderedSequences(aligned=("day-clear",))
