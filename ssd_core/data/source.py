# SPDX-License-Identifier: Apache-2.0
"""One door to everything that has frames: what a path is decides how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.dgp import DgpFrames, is_dgp
from ssd_core.data.errors import DataError
from ssd_core.data.frame import FrameSource
from ssd_core.data.frame_dataset import FrameDataset, is_frame_dataset
from ssd_core.data.image_folder import IMAGE_SUFFIXES, ImageFolder
from ssd_core.data.intrinsics import CameraForSize
from ssd_core.data.kitti import KittiFrames, is_kitti
from ssd_core.data.kitti_odometry import is_kitti_odometry, open_kitti_odometry
from ssd_core.data.nuscenes import NuScenesFrames, is_nuscenes
from ssd_core.data.robotcar import is_robotcar, open_robotcar
from ssd_core.data.trajectory import TrajectoryFiles
from ssd_core.data.video import VIDEO_SUFFIXES, Video

BAG_SUFFIXES = (".mcap", ".db3", ".bag")


class SourceError(DataError):
    """A path that is none of the things frames can come from; the message says what is expected."""


def open_source(
    path: Path,
    cameras: Sequence[str] | None = None,
    intrinsics: CameraForSize | None = None,
    with_poses: bool = True,
    split: str | None = None,
    trajectory: TrajectoryFiles | None = None,
) -> FrameSource:
    """A bag (folder or file), a data set, a frame dataset, a folder of pictures, a picture or a video as a FrameSource.

    cameras: which of the cameras of a bag or data set, None for all. intrinsics: for what has none of its own.
    split: of a data set that has splits. trajectory: poses and stamps for a folder of pictures or a video.
    Raises SourceError, or another DataError or CameraError, each naming the path.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if is_nuscenes(path):
        return NuScenesFrames(path, split=split, cameras=cameras)
    if is_dgp(path):
        return DgpFrames(path, cameras, split or "all")
    if is_robotcar(path):
        return open_robotcar(path, split, cameras)
    if split is not None:
        raise SourceError(f"{path}: this kind of input has no splits, so {split!r} can't be chosen")
    if is_kitti(path):
        return KittiFrames(path, cameras)
    if is_kitti_odometry(path):
        return open_kitti_odometry(path, cameras)
    if is_frame_dataset(path):
        return FrameDataset(path, cameras)
    suffix = path.suffix.lower()
    is_bag = _is_bag_folder(path) if path.is_dir() else suffix in BAG_SUFFIXES
    if is_bag:
        return BagFrames(path, cameras, intrinsics, with_poses)
    if cameras:
        raise SourceError(f"{path}: cameras can be chosen in bags and data sets only")
    if path.is_dir() or suffix in IMAGE_SUFFIXES:
        return ImageFolder(path, intrinsics, trajectory)
    if suffix in VIDEO_SUFFIXES:
        return Video(path, intrinsics, trajectory)
    raise SourceError(
        f"{path}: unknown kind of input; a data set, a picture ({' '.join(IMAGE_SUFFIXES)}), a folder of pictures,"
        f" a video ({' '.join(VIDEO_SUFFIXES)}) or a bag (folder, {' '.join(BAG_SUFFIXES)}) is expected"
    )


def _is_bag_folder(path: Path) -> bool:
    return (path / "metadata.yaml").exists() or any(file.suffix in (".mcap", ".db3") for file in path.iterdir())
