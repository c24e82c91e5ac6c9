# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ssd_core.geometry.pose import interpolate_pose, invert_pose, pose_from_quaternion, quaternion_from_pose, transform_points


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.lists(st.floats(-100, 100), min_size=3, max_size=3))
def test_inverse_and_quaternion_round_trip(rotation_vector: list[float], translation: list[float]) -> None:
    pose = pose_from_quaternion(translation, Rotation.from_rotvec(rotation_vector).as_quat())
    np.testing.assert_allclose(pose @ invert_pose(pose), np.eye(4), atol=1e-9)
    np.testing.assert_allclose(pose_from_quaternion(pose[:3, 3], quaternion_from_pose(pose)), pose, atol=1e-9)
    assert quaternion_from_pose(pose)[3] >= 0


def test_transform_points_turns_left() -> None:
    quarter_turn = pose_from_quaternion([1, 0, 0], [0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    np.testing.assert_allclose(transform_points(quarter_turn, [[1, 0, 0], [0, 2, 5]]), [[1, 1, 0], [-1, 0, 5]], atol=1e-12)


def test_interpolation_is_linear_in_angle_and_position() -> None:
    poses = np.stack(
        [pose_from_quaternion([x, 0, 0], Rotation.from_euler("z", angle).as_quat()) for x, angle in ((0, 0), (4, 1.2), (5, 1.3))]
    )
    stamps = [1_700_000_000_000_000_000 + step for step in (0, 100_000_000, 200_000_000)]
    quarter = interpolate_pose(stamps, poses, stamps[0] + 25_000_000)
    assert quarter is not None
    np.testing.assert_allclose(quarter[:3, 3], [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(Rotation.from_matrix(quarter[:3, :3]).as_rotvec(), [0, 0, 0.3], atol=1e-9)
    np.testing.assert_array_equal(interpolate_pose(stamps, poses, stamps[1]), poses[1])
    assert interpolate_pose(stamps, poses, stamps[0] - 1) is None
    assert interpolate_pose(stamps, poses, stamps[2] + 1) is None


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [np.nan, 0, 0, 1]])
def test_impossible_quaternions_are_refused(quaternion: list[float]) -> None:
    with pytest.raises(ValueError, match=r"(?i)norm|finite"):
        pose_from_quaternion([0, 0, 0], quaternion)
