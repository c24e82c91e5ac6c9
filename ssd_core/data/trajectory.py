# SPDX-License-Identifier: Apache-2.0
"""Poses and times given by hand for a folder of pictures or a video: a line for each picture."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

from ssd_core.data.ego_motion import Fix, is_static, speed_between
from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.kitti_poses import read_kitti_poses


@dataclasses.dataclass(frozen=True)
class TrajectoryFiles:
    """Text files with a line for every picture, in the pictures' order; either may be missing.

    poses: 12 numbers a line, the 3x4 pose of the camera's optical frame in the world (KITTI odometry's poses.txt). stamps: seconds, one
    number a line (KITTI odometry's times.txt).
    """

    poses: Path | None = None
    stamps: Path | None = None

    def apply(self, frames: Sequence[Frame], what: str) -> list[Frame]:
        """Frames with these poses and stamps, and the speeds that follow; raises DataError naming the file that doesn't fit."""
        changed = list(frames)
        if self.stamps is not None:
            seconds = _read_seconds(self.stamps)
            _check_count(self.stamps, len(seconds), len(changed), what)
            changed = [dataclasses.replace(frame, stamp_ns=round(time * 1e9)) for frame, time in zip(changed, seconds, strict=True)]
        if self.poses is None:
            return changed
        poses = read_kitti_poses(self.poses)
        _check_count(self.poses, len(poses), len(changed), what)
        fixes = [Fix(frame.stamp_ns, pose[:3, 3]) for frame, pose in zip(changed, poses, strict=True)]
        # The numbers of pictures in a folder are no times, so distances between them are no speeds.
        timed = self.stamps is not None or what == "video"
        speeds = [speed_between(fixes[max(0, index - 1) : index + 2]) if timed else None for index in range(len(fixes))]
        return [
            dataclasses.replace(frame, world_from_camera=pose, speed_mps=speed, is_static=is_static(speed))
            for frame, pose, speed in zip(changed, poses, speeds, strict=True)
        ]


def _read_seconds(path: Path) -> list[float]:
    try:
        seconds = [float(line) for line in path.read_text().split()]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; a file of stamps is expected") from error
    except ValueError as error:
        raise DataError(f"{path}: one number of seconds a line is expected ({error})") from error
    for line, (before, after) in enumerate(itertools.pairwise(seconds), start=2):
        if not after > before:
            raise DataError(f"{path}: line {line}: {after} s isn't after {before} s")
    return seconds


def _check_count(path: Path, lines: int, frames: int, what: str) -> None:
    if lines != frames:
        raise DataError(f"{path}: {lines} lines for a {what} of {frames} pictures; a line for each is expected")
