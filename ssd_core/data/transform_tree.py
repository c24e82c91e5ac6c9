# SPDX-License-Identifier: Apache-2.0
"""The tree of coordinate frames of a recording: static and moving transforms, looked up at any time without ROS."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ssd_core.data.bag import BagReader, header_stamp
from ssd_core.geometry.pose import Matrix, interpolate_pose, invert_pose, pose_from_quaternion, quaternion_from_pose

_TF_TYPE = "tf2_msgs/msg/TFMessage"
_ODOMETRY_TYPE = "nav_msgs/msg/Odometry"
_TOLERANCE_NS, _MAX_GAP_NS = 100_000_000, 1_000_000_000
_WORLDS = ("odom", "map", "earth", "world")
"""A vehicle that stands still during the whole recording is known by the names of REP 105 and its forerunners alone."""


@dataclass
class _Edge:
    """parent_from_child over time; a static edge, or one that never moves, holds at all times."""

    is_static: bool
    stamps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))  # x y z, qx qy qz qw of each sample
    _never_moves: bool = False
    _sorted: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None = None

    def add(self, stamp_ns: int, translation: Sequence[float], quaternion_xyzw: Sequence[float]) -> None:
        numbers = [*map(float, translation), *map(float, quaternion_xyzw)]
        if not np.isfinite(numbers).all() or np.linalg.norm(numbers[3:]) < 1e-6:
            return
        self.stamps.append(stamp_ns)
        self.values.extend(numbers)
        self._sorted = None

    def forget_before(self, stamp_ns: int) -> None:
        """Keep the samples from this time on, and the newest in any case."""
        if not self.stamps:  # nothing that was said of it could be used
            return
        stamps = np.array(self.stamps)
        kept = np.nonzero(stamps >= min(stamp_ns, stamps.max()))[0]
        self.values = array("d", np.asarray(self.values).reshape(-1, 7)[kept].tobytes())
        self.stamps = array("q", stamps[kept].tobytes())
        self._sorted = None

    def at(self, stamp_ns: int) -> Matrix | None:
        stamps, poses = self._samples()
        if not len(stamps):
            return None
        if self.is_static or self._never_moves:
            return np.array(poses[-1])
        after = int(np.searchsorted(stamps, stamp_ns))
        if after in (0, len(stamps)):
            nearest = 0 if after == 0 else len(stamps) - 1
            return np.array(poses[nearest]) if abs(int(stamps[nearest]) - stamp_ns) <= _TOLERANCE_NS else None
        if stamps[after] != stamp_ns and stamps[after] - stamps[after - 1] > _MAX_GAP_NS:
            return None
        return interpolate_pose(stamps[after - 1 : after + 1], poses[after - 1 : after + 1], stamp_ns)

    @property
    def moves(self) -> bool:
        self._samples()
        return not (self.is_static or self._never_moves)

    def _samples(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        if self._sorted is None:
            stamps = np.frombuffer(self.stamps, dtype=np.int64) if len(self.stamps) else np.empty(0, dtype=np.int64)
            values = np.asarray(self.values, dtype=np.float64).reshape(-1, 7)
            order = np.arange(len(stamps)) if self.is_static else np.unique(stamps, return_index=True)[1]
            poses = np.tile(np.eye(4), (len(order), 1, 1))
            if len(order):
                poses[:, :3, :3] = Rotation.from_quat(values[order, 3:]).as_matrix()
                poses[:, :3, 3] = values[order, :3]
            # Many drivers repeat the mounting of a sensor on /tf.
            self._never_moves = len(order) > 1 and bool(np.abs(poses - poses[0]).max() < 1e-9)
            self._sorted = np.array(stamps[order]), poses
        return self._sorted


class TransformTree:
    """Frames connected by transforms. Names are compared without a leading slash.

    Moving transforms are interpolated (linear and SLERP). Outside their span the nearest sample within 0.1 s is taken, else there is no
    answer; nor is there one in a gap longer than 1 s.
    """

    def __init__(self) -> None:
        self._parents: dict[str, dict[str, _Edge]] = {}

    def add(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        translation: Sequence[float],
        quaternion_xyzw: Sequence[float],
        is_static: bool = False,
    ) -> None:
        """One sample of the motion parent_from_child, metres. Samples that aren't finite or have no rotation are ignored."""
        edges = self._parents.setdefault(_name(child), {})
        edge = edges.setdefault(_name(parent), _Edge(is_static))
        if edge.is_static and not is_static:
            edge = edges[_name(parent)] = _Edge(False)
        edge.add(stamp_ns, translation, quaternion_xyzw)

    def forget(self, parent: str, child: str, before_ns: int | None = None) -> None:
        """Drop samples of parent_from_child, in a tree that goes on growing: all, or those before a time but never the newest."""
        edges = self._parents.get(_name(child), {})
        if before_ns is None:
            edges.pop(_name(parent), None)
            if not edges:
                self._parents.pop(_name(child), None)
        elif _name(parent) in edges:
            edges[_name(parent)].forget_before(before_ns)

    def moves(self, frame: str) -> bool:
        """True if something between the frame and its root moves; mountings alone don't say where a body drives."""
        path = self._path(_name(frame))
        return any(self._parents[child][parent].moves for child, parent in itertools.pairwise(path))

    def is_above(self, upper: str, lower: str) -> bool:
        """True if transforms lead from `lower` up to `upper`, or both are the same."""
        return _name(upper) in self._path(_name(lower))

    def world(self, frame: str) -> str | None:
        """The topmost frame above this one if that is a world: one that the frame moves in, or one that REP 105 calls so.

        None where only mountings are known: the vehicle's own body isn't a place.
        """
        root = self.root(frame)
        return root if root != _name(frame) and (self.moves(frame) or root in _WORLDS) else None

    def root(self, frame: str) -> str:
        """The topmost frame above this one (itself if nothing is above it)."""
        return self._path(_name(frame))[-1]

    def lookup(self, target: str, source: str, stamp_ns: int) -> Matrix | None:
        """target_from_source (4, 4) at a time; None if the frames aren't connected or the time isn't covered."""
        return self.lookup_between(target, stamp_ns, source, stamp_ns)

    def lookup_between(self, target: str, target_stamp_ns: int, source: str, source_stamp_ns: int) -> Matrix | None:
        """target (at its time) from source (at its time), (4, 4), through what stands still between the two: the root of the tree.

        For equal times only the way up to the first common frame is needed, so a mounting is known even where odometry isn't.
        """
        target_path, source_path = self._path(_name(target)), self._path(_name(source))
        common = [frame for frame in source_path if frame in target_path]
        if not common:
            return None
        meeting = common[0] if target_stamp_ns == source_stamp_ns else common[-1]
        target_up = self._climb(target_path, meeting, target_stamp_ns)
        source_up = self._climb(source_path, meeting, source_stamp_ns)
        if target_up is None or source_up is None:
            return None
        return np.asarray(invert_pose(target_up) @ source_up)

    def _path(self, frame: str) -> list[str]:
        path = [frame]
        while (edges := self._parents.get(path[-1])) is not None:
            parent = max(edges, key=lambda name: len(edges[name].stamps))
            if parent in path:
                break  # a loop in broken recordings
            path.append(parent)
        return path

    def _climb(self, path: list[str], top: str, stamp_ns: int) -> Matrix | None:
        """top_from_path[0] at a time."""
        pose = np.eye(4)
        for child, parent in itertools.pairwise(path):
            if child == top:
                break
            edge = self._parents[child][parent].at(stamp_ns)
            if edge is None:
                return None
            pose = edge @ pose
        return pose


def read_transforms(bag: BagReader) -> TransformTree:
    """All transforms of a bag: /tf, /tf_static, and odometry where TF doesn't already say how its body moves."""
    tree = TransformTree()
    for raw, message in bag.deserialised(bag.topics_of_type(_TF_TYPE)):
        is_static = raw.topic.endswith("tf_static")
        for item in message.transforms:
            t, q = item.transform.translation, item.transform.rotation
            stamp = int(item.header.stamp.sec) * 1_000_000_000 + int(item.header.stamp.nanosec)
            tree.add(item.header.frame_id, item.child_frame_id, stamp, (t.x, t.y, t.z), (q.x, q.y, q.z, q.w), is_static)
    bodies: dict[tuple[str, str], _Body | None] = {}
    for raw, message in bag.deserialised(bag.topics_of_type(_ODOMETRY_TYPE)):
        child = message.child_frame_id or "base_link"
        if (raw.topic, child) not in bodies:
            bodies[raw.topic, child] = _body(tree, child, message)
        body = bodies[raw.topic, child]
        if body is not None:
            _add_odometry(tree, body, message)
    return tree


class _Body(NamedTuple):
    """What odometry moves: the topmost frame that its child is mounted on, since a frame that has a parent can't get a second one."""

    top: str
    child_from_top: Matrix


def _body(tree: TransformTree, child: str, message: Any) -> _Body | None:
    """None where TF says already how the child moves, or where the odometry's own frame is one the child is mounted on."""
    if tree.moves(child) or tree.is_above(message.header.frame_id, child):
        return None
    top = tree.root(child)
    child_from_top = tree.lookup(child, top, header_stamp(message))
    return None if child_from_top is None else _Body(top, child_from_top)


def _add_odometry(tree: TransformTree, body: _Body, message: Any) -> None:
    t, q = message.pose.pose.position, message.pose.pose.orientation
    try:
        pose = pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)) @ body.child_from_top
    except ValueError:
        return  # no pose yet, as many drivers say with zeros
    tree.add(message.header.frame_id, body.top, header_stamp(message), pose[:3, 3].tolist(), quaternion_from_pose(pose).tolist())


def _name(frame: str) -> str:
    return frame.lstrip("/")
