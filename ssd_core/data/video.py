# SPDX-License-Identifier: Apache-2.0
"""A video file as a source of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame, linked
from ssd_core.data.intrinsics import CameraForSize
from ssd_core.data.trajectory import TrajectoryFiles
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image, ImageDecodeError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".gif")


class VideoError(DataError):
    """A file that can't be opened as a video; the message names it."""


class Video:
    """A FrameSource over a video. Frame ids are six-digit numbers from 000000; stamps are presentation times.

    Containers lie about their number of frames, so the file is run through once (without conversion) to count them. Reading in order is
    fast; going back reads from the start again, which is slow but exact where seeking isn't. `trajectory` gives poses, and stamps
    in place of the video's own. Raises VideoError, and DataError for a trajectory that doesn't fit.
    """

    def __init__(self, path: Path, intrinsics: CameraForSize | None = None, trajectory: TrajectoryFiles | None = None) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._capture = _open(path)
        self.size = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.frame_rate = float(self._capture.get(cv2.CAP_PROP_FPS)) or 25.0
        self._next = 0
        stamps = self._count()
        camera = None if intrinsics is None else intrinsics(self.size)
        ids = [f"{index:06d}" for index in range(len(stamps))]
        self._frames = [
            Frame(frame_id, path.stem, "camera", stamp, camera, previous_id=previous_id, next_id=next_id)
            for frame_id, stamp, (previous_id, next_id) in zip(ids, stamps, linked(ids), strict=True)
        ]
        if trajectory is not None:
            self._frames = trajectory.apply(self._frames, "video")

    def frames(self) -> Sequence[Frame]:
        """Every frame of the video."""
        return self._frames

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels in full size; raises ImageDecodeError naming the frame."""
        del min_size  # video decoders have no reduced sizes
        index = int(frame.frame_id)
        if index < self._next:
            self._rewind()
        while self._next < index:
            self._capture.grab()
            self._next += 1
        good, image = self._capture.read()
        self._next += 1
        if not good:
            raise ImageDecodeError(f"{self.path}: frame {index} can't be decoded")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """None: a video has no lidar."""
        del frame
        return None

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _count(self) -> list[int]:
        stamps: list[int] = []
        while self._capture.grab():
            stamp = round(float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) * 1e6)
            if stamps and stamp <= stamps[-1]:
                stamp = stamps[-1] + round(1e9 / self.frame_rate)
            stamps.append(stamp)
        if not stamps:
            raise VideoError(f"{self.path}: no frame of this video can be decoded")
        self._rewind()
        return stamps

    def _rewind(self) -> None:
        self._capture.release()
        self._capture = _open(self.path)
        self._next = 0


def _open(path: Path) -> cv2.VideoCapture:
    if not path.exists():
        raise VideoError(f"{path}: no such file")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise VideoError(f"{path}: no video that OpenCV can open (damaged, cut off, or an unknown codec)")
    return capture
