# SPDX-License-Identifier: Apache-2.0
"""One door to everything that has frames: what a path is decides how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.errors import DataError
from ssd_core.data.frame import FrameSource
from ssd_core.data.image_folder import IMAGE_SUFFIXES, ImageFolder
from ssd_core.data.intrinsics import CameraForSize
from ssd_core.data.video import VIDEO_SUFFIXES, Video

BAG_SUFFIXES = (".mcap", ".db3", ".bag")


class SourceError(DataError):
    """A path that is none of the things frames can come from; the message says what is expected."""


def open_source(
    path: Path, cameras: Sequence[str] | None = None, intrinsics: CameraForSize | None = None, with_poses: bool = True
) -> FrameSource:
    """A bag (folder or file), a folder of pictures, a picture or a video as a FrameSource.

    cameras: which of a bag's cameras. intrinsics: for what has none of its own. Raises SourceError, BagError, ImageFolderError,
    VideoError or CameraError, each naming the path.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    is_bag = _is_bag_folder(path) if path.is_dir() else suffix in BAG_SUFFIXES
    if is_bag:
        return BagFrames(path, cameras, intrinsics, with_poses)
    if cameras:
        raise SourceError(f"{path}: cameras can be chosen in bags only")
    if path.is_dir() or suffix in IMAGE_SUFFIXES:
        return ImageFolder(path, intrinsics)
    if suffix in VIDEO_SUFFIXES:
        return Video(path, intrinsics)
    raise SourceError(
        f"{path}: unknown kind of input; a picture ({' '.join(IMAGE_SUFFIXES)}), a folder of pictures,"
        f" a video ({' '.join(VIDEO_SUFFIXES)}) or a bag (folder, {' '.join(BAG_SUFFIXES)}) is expected"
    )


def _is_bag_folder(path: Path) -> bool:
    return (path / "metadata.yaml").exists() or any(file.suffix in (".mcap", ".db3") for file in path.iterdir())
