# SPDX-License-Identifier: Apache-2.0
"""Transforms are found along the tree, at any covered time, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bag_factory as factory
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ssd_core.data.bag import BagReader
from ssd_core.data.transform_tree import TransformTree, read_transforms
from ssd_core.geometry.pose import Matrix, invert_pose, pose_from_quaternion

SECOND = factory.SECOND
MOUNT = pose_from_quaternion((1.5, 0.2, 1.6), Rotation.from_euler("ZYX", (-90, 0, -90), degrees=True).as_quat())
IDENTITY = (0.0, 0.0, 0.0, 1.0)


def _odometry(time: float) -> Matrix:
    """A bend: 10 m/s, turning 0.3 rad/s, and a bit of roll."""
    return pose_from_quaternion(
        (10 * np.sin(0.3 * time) / 0.3, 10 * (1 - np.cos(0.3 * time)) / 0.3, 0),
        Rotation.from_euler("zx", (0.3 * time, 0.02 * time)).as_quat(),
    )


def _quaternion(pose: Matrix) -> list[float]:
    return Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()


@pytest.fixture(scope="module")
def driving() -> TransformTree:
    tree = TransformTree()
    tree.add("base_link", "camera", 0, MOUNT[:3, 3], _quaternion(MOUNT), is_static=True)
    tree.add("/base_link", "lidar", 0, (0, 0, 2), IDENTITY, is_static=True)
    order = np.random.default_rng(1).permutation(101)
    for index in order:
        pose = _odometry(index * 0.05)
        tree.add("odom", "base_link", int(index * 0.05 * SECOND), pose[:3, 3], _quaternion(pose))
    return tree


@given(st.integers(0, 5 * SECOND))
def test_moving_edges_follow_the_motion(driving: TransformTree, stamp: int) -> None:
    found = driving.lookup("odom", "camera", stamp)
    assert found is not None
    truth = _odometry(stamp / SECOND) @ MOUNT
    np.testing.assert_allclose(found[:3, 3], truth[:3, 3], atol=5e-3)
    np.testing.assert_allclose(found[:3, :3], truth[:3, :3], atol=1e-3)


@given(st.integers(0, 5 * SECOND), st.integers(0, 5 * SECOND))
def test_motion_compensation_goes_through_the_world(driving: TransformTree, camera_time: int, lidar_time: int) -> None:
    found = driving.lookup_between("camera", camera_time, "lidar", lidar_time)
    assert found is not None
    up = pose_from_quaternion((0, 0, 2), IDENTITY)
    truth = invert_pose(_odometry(camera_time / SECOND) @ MOUNT) @ _odometry(lidar_time / SECOND) @ up
    np.testing.assert_allclose(found, truth, atol=2e-2)
    back = driving.lookup_between("lidar", lidar_time, "camera", camera_time)
    np.testing.assert_allclose(back @ found, np.eye(4), atol=1e-9)


def test_a_mounting_holds_at_all_times_and_odometry_within_its_span(driving: TransformTree) -> None:
    assert driving.lookup("camera", "lidar", 10**18) is not None
    last = _odometry(5.0)
    for offset, known in ((90_000_000, True), (110_000_000, False)):
        found = driving.lookup("odom", "base_link", 5 * SECOND + offset)
        assert (found is not None) == known
        if found is not None:
            np.testing.assert_allclose(found, last, atol=1e-9)
        assert (driving.lookup("odom", "base_link", -offset) is not None) == known
    assert driving.root("camera") == "odom" and driving.root("unheard_of") == "unheard_of"
    assert driving.lookup("odom", "unheard_of", 0) is None


def test_long_gaps_are_not_bridged() -> None:
    tree = TransformTree()
    for stamp, x in ((0, 0), (1, 1), (5, 5)):
        tree.add("odom", "base_link", stamp * SECOND, (x, 0, 0), IDENTITY)
    assert tree.lookup("odom", "base_link", SECOND // 2)[0, 3] == pytest.approx(0.5)
    assert tree.lookup("odom", "base_link", 3 * SECOND) is None
    assert tree.lookup("odom", "base_link", 5 * SECOND)[0, 3] == 5


def test_a_mounting_repeated_on_tf_holds_at_all_times() -> None:
    tree = TransformTree()
    for stamp in range(3):
        tree.add("base_link", "camera", stamp, (1, 2, 3), IDENTITY)
    assert tree.lookup("base_link", "camera", 99 * SECOND)[2, 3] == 3
    tree.add("base_link", "camera", 3, (1, 2, 4), IDENTITY)  # it moves after all
    assert tree.lookup("base_link", "camera", 99 * SECOND) is None


def test_loops_and_rubbish_are_survived() -> None:
    tree = TransformTree()
    for parent, child in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")):
        tree.add(parent, child, 0, (1, 0, 0), IDENTITY, is_static=True)
    assert abs(tree.lookup("a", "c", 0)[0, 3]) in (1, 2)  # both ways around the loop are told
    assert tree.lookup("a", "d", 0) is None
    tree.add("x", "y", 0, (np.nan, 0, 0), IDENTITY, is_static=True)
    tree.add("x", "z", 0, (0, 0, 0), (0, 0, 0, 0), is_static=True)
    assert tree.lookup("x", "y", 0) is None and tree.lookup("x", "z", 0) is None


def _odometry_messages(topic: str, child: str, step: float, quaternion: tuple[float, float, float, float] = (0, 0, 0, 1)) -> list[Any]:
    """Three messages 0.1 s and `step` metres apart."""
    make = factory.TYPES
    messages = []
    for index in range(3):
        stamp = index * SECOND // 10
        pose = make["geometry_msgs/msg/Pose"](
            position=make["geometry_msgs/msg/Point"](index * step, 0.0, 0.0),
            orientation=make["geometry_msgs/msg/Quaternion"](*map(float, quaternion)),
        )
        zero = make["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0)
        twist = make["geometry_msgs/msg/TwistWithCovariance"](make["geometry_msgs/msg/Twist"](zero, zero), np.zeros(36))
        pose = make["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36))
        messages.append((topic, stamp, make["nav_msgs/msg/Odometry"](factory.header(stamp, "odom"), child, pose, twist)))
    return messages


def test_transforms_of_a_bag(tmp_path: Path) -> None:
    messages = [("/tf_static", 0, factory.tf_message(factory.transform(0, "base_link", "camera", (1, 0, 0))))]
    messages += _odometry_messages("/odom", "base_link", 1.0)
    with BagReader(factory.write_bag(tmp_path / "odometry", messages)) as bag:
        assert read_transforms(bag).lookup("odom", "camera", SECOND // 20)[0, 3] == pytest.approx(1.5)
    moving = [("/tf", i, factory.tf_message(factory.transform(i * SECOND, "map", "base_link", (0, i, 0)))) for i in range(3)]
    with BagReader(factory.write_bag(tmp_path / "both", messages + moving)) as bag:
        tree = read_transforms(bag)
        assert tree.root("camera") == "map", "TF says how the body moves, odometry only where TF doesn't"


def test_odometry_of_a_body_that_is_itself_mounted(tmp_path: Path) -> None:
    """base_link sits on base_footprint, as on most robots, and the odometry speaks of base_link: sensors on both must follow it."""
    quarter = (0, 0, 0.5**0.5, 0.5**0.5)
    mountings = (("base_footprint", "base_link", (2, 0, 0)), ("base_link", "camera", (1, 0, 0)), ("base_footprint", "lidar", (0, 3, 0)))
    messages = [("/tf_static", 0, factory.tf_message(*(factory.transform(0, *mounting) for mounting in mountings)))]
    messages += _odometry_messages("/odom", "base_link", 1.0, quarter) + _odometry_messages("/other", "base_footprint", 7.0)
    with BagReader(factory.write_bag(tmp_path / "bag", messages)) as bag:
        tree = read_transforms(bag)
    half = SECOND // 20
    np.testing.assert_allclose(tree.lookup("odom", "base_link", half)[:3, 3], (0.5, 0, 0), atol=1e-12)
    np.testing.assert_allclose(tree.lookup("odom", "camera", half)[:3, 3], (0.5, 1, 0), atol=1e-12)
    np.testing.assert_allclose(tree.lookup("camera", "lidar", half)[:3, 3], (-3, 3, 0), atol=1e-12)
    moved = tree.lookup_between("camera", half, "lidar", 0)
    np.testing.assert_allclose(moved[:3, 3], (-3, 3.5, 0), atol=1e-12)


def test_odometry_against_a_frame_that_is_mounted_below_it_is_ignored(tmp_path: Path) -> None:
    messages = [("/tf_static", 0, factory.tf_message(factory.transform(0, "odom", "base_link", (0, 0, 0))))]
    with BagReader(factory.write_bag(tmp_path / "bag", messages + _odometry_messages("/odom", "base_link", 1.0))) as bag:
        assert read_transforms(bag).lookup("odom", "base_link", 0)[0, 3] == 0


def test_odometry_that_first_stands_still(tmp_path: Path) -> None:
    still = _odometry_messages("/odom", "base_link", 0.0)
    moving = [(topic, SECOND + stamp, message) for topic, stamp, message in _odometry_messages("/odom", "base_link", 1.0)]
    for _, stamp, message in moving:
        message.header = factory.header(stamp, "odom")
    with BagReader(factory.write_bag(tmp_path / "bag", still + moving)) as bag:
        assert read_transforms(bag).lookup("odom", "base_link", SECOND + SECOND // 10)[0, 3] == 1


def test_a_growing_tree_forgets_what_is_old_but_never_the_newest() -> None:
    tree = TransformTree()
    tree.add("odom", "base", 0, (0, 0, 0), (0, 0, 0, 0))  # a driver that doesn't know where it is: no rotation
    tree.forget("odom", "base", SECOND)
    for second in range(10):
        tree.add("odom", "base", second * SECOND, (float(second), 0, 0), IDENTITY)
    tree.forget("odom", "base", 5 * SECOND)
    assert tree.lookup("odom", "base", 4 * SECOND) is None
    assert tree.lookup("odom", "base", round(5.5 * SECOND))[0, 3] == pytest.approx(5.5)  # type: ignore[index]
    tree.forget("odom", "base", 50 * SECOND)
    assert tree.lookup("odom", "base", 9 * SECOND)[0, 3] == 9  # type: ignore[index]
    tree.forget("odom", "base")
    assert tree.lookup("odom", "base", 9 * SECOND) is None
    tree.forget("map", "odom", 3)
