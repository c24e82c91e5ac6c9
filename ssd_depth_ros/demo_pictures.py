# SPDX-License-Identifier: Apache-2.0
"""Sheets and a video of a demo run: image, depth, and the cloud from above with lidar in another colour."""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.data.frame import Frame
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image, write_image
from ssd_core.images.colour_map import colourise_depth, colourise_inverse_depth
from ssd_core.images.contact_sheet import contact_sheet
from ssd_core.images.resize import resize_image

Floats = npt.NDArray[np.floating]

_ROWS = 6
_CELL_WIDTH = 480
_MOST_VIDEO_FRAMES = 900
_AHEAD = 50.0
"""Metres shown from above, from the camera to the upper edge."""
_GROUND_BELOW = 1.0
"""Points more than this below the camera, metres, are mostly road and drawn dim."""
_BACKGROUND = (20, 20, 26)
_GRID = (52, 52, 60)
_CLOUD = ((40, 84, 104), (110, 215, 255))
_LIDAR = ((150, 92, 30), (255, 160, 50))
_SPARSE = 6000
"""Fewer points than this are drawn two pixels wide."""


class Pictures:
    """Collects the pictures of one run and writes `<path>.png` and `<path>.mp4` at the end of its `with` block.

    The sheet shows up to six images: several cameras once each, or one camera at even distances. The video shows the front
    camera (the first, if none is called so).
    """

    def __init__(self, path: Path, frames: Sequence[Frame], is_metric: bool) -> None:
        self._path = path
        self._is_metric = is_metric
        self.files: list[Path] = []
        self.notes: list[str] = []
        by_camera: dict[str, list[Frame]] = defaultdict(list)
        for frame in frames:
            by_camera[frame.camera_name].append(frame)
        self._sheet_ids = _sheet_frames(by_camera)
        self._rows: dict[str, list[Image]] = {}
        filmed = next((name for name in by_camera if name.lower().endswith("front")), min(by_camera, default=""))
        film = by_camera[filmed][:_MOST_VIDEO_FRAMES] if filmed else []
        self._film_ids = {frame.frame_id for frame in film} if len(film) > 1 else set()
        self._video = _Video(path.with_name(path.name + ".mp4"), _frames_per_second(film))

    def wants(self, frame: Frame) -> bool:
        """Whether this frame is in a picture."""
        return frame.frame_id in self._sheet_ids or frame.frame_id in self._film_ids

    def add(self, frame: Frame, image: Image, depth: npt.NDArray[np.float32], cloud: Floats | None, lidar: SparseDepth | None) -> None:
        """depth (h, w) in metres, or relative inverse depth; cloud (N, 3) in the camera's frame; lidar in the image."""
        row = self._row(frame, image, depth, cloud, lidar)
        if frame.frame_id in self._sheet_ids:
            self._rows[frame.frame_id] = row
        if frame.frame_id in self._film_ids:
            self._video.add(np.concatenate(row, axis=1))

    def _row(
        self, frame: Frame, image: Image, depth: npt.NDArray[np.float32], cloud: Floats | None, lidar: SparseDepth | None
    ) -> list[Image]:
        size = _CELL_WIDTH, max(2, round(image.shape[0] * _CELL_WIDTH / image.shape[1]) // 2 * 2)
        colours = colourise_depth(depth) if self._is_metric else colourise_inverse_depth(depth)
        row = [resize_image(image, size), resize_image(colours, size)]
        if self._is_metric and frame.camera is not None:
            truth = None
            if lidar is not None:
                rays = frame.camera.unproject(np.stack([lidar.u, lidar.v], axis=-1).astype(np.float64))
                truth = np.concatenate([rays * lidar.z[:, None], lidar.z[:, None]], axis=1)
            row.append(view_from_above(size, cloud, truth))
        return row

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._video.abort()
            return
        if self._rows:
            order = sorted(self._rows)
            columns = ("image", "depth" if self._is_metric else "relative inverse depth", "from above: cloud blue, lidar orange, 10 m grid")
            sheet = contact_sheet([self._rows[key] for key in order], _CELL_WIDTH, order, columns[: len(self._rows[order[0]])])
            target = self._path.with_name(self._path.name + ".png")
            write_image(target, sheet)
            self.files.append(target)
        problem = self._video.finish()
        if problem:
            self.notes.append(problem)
        elif self._video.path.exists():
            self.files.append(self._video.path)


def view_from_above(size: tuple[int, int], cloud: Floats | None, lidar: Floats | None) -> Image:
    """A picture (height, width) for size = (width, height): camera below in the middle, looking up; points (N, 3) in its optical frame."""
    width, height = size
    picture = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    scale = height / _AHEAD
    for metres in range(10, int(_AHEAD) + 1, 10):
        cv2.line(picture, (0, round(height - metres * scale)), (width, round(height - metres * scale)), _GRID)
    for metres in range(0, int(width / 2 / scale) + 1, 10):
        for sign in (-1, 1):
            column = round(width / 2 + sign * metres * scale)
            cv2.line(picture, (column, 0), (column, height), _GRID)
    for points, colours in ((cloud, _CLOUD), (lidar, _LIDAR)):
        if points is not None:
            _draw(picture, np.asarray(points), scale, colours)
    cv2.drawMarker(picture, (width // 2, height - 4), (255, 255, 255), cv2.MARKER_TRIANGLE_UP, 10, 2)
    return picture


def _draw(picture: Image, points: Floats, scale: float, colours: Sequence[tuple[int, int, int]]) -> None:
    height, width = picture.shape[:2]
    columns = np.floor(width / 2 + points[:, 0] * scale).astype(np.int64)
    rows = np.floor(height - points[:, 2] * scale).astype(np.int64)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    raised = points[:, 1] < _GROUND_BELOW
    for chosen, colour in ((inside & ~raised, colours[0]), (inside & raised, colours[1])):
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)) if len(points) < _SPARSE else ((0, 0),):
            picture[np.maximum(rows[chosen] - row, 0), np.maximum(columns[chosen] - column, 0)] = colour


def _sheet_frames(by_camera: dict[str, list[Frame]]) -> set[str]:
    if len(by_camera) > 1:
        return {frames[len(frames) // 2].frame_id for frames in list(by_camera.values())[:_ROWS]}
    frames = next(iter(by_camera.values()), [])
    places = np.linspace(0, len(frames) - 1, min(_ROWS, len(frames))).round().astype(int).tolist()
    return {frames[place].frame_id for place in places}


def _frames_per_second(frames: Sequence[Frame]) -> float:
    stamps = sorted(frame.stamp_ns for frame in frames)
    seconds = (stamps[-1] - stamps[0]) / 1e9 if stamps else 0.0
    return min(60.0, max(1.0, (len(stamps) - 1) / seconds)) if seconds > 0 else 10.0


class _Video:
    """An MP4 that appears under its name when it is complete and can be read."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path = path
        self._rate = frames_per_second
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._part = path
        self._writer: Any = None
        self._size = (0, 0)
        self._count = 0

    def add(self, picture: Image) -> None:
        """Append a picture; all have the size of the first."""
        size = picture.shape[1], picture.shape[0]
        if self._writer is None:
            self._folder = tempfile.TemporaryDirectory(prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent)
            self._part = Path(self._folder.name) / self.path.name
            self._writer = cv2.VideoWriter(str(self._part), cv2.VideoWriter.fourcc(*"mp4v"), self._rate, size)
            self._size = size
        if size == self._size:
            self._writer.write(np.ascontiguousarray(picture[..., ::-1]))
            self._count += 1

    def abort(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.release()
        if self._folder is not None:
            self._folder.cleanup()

    def finish(self) -> str | None:
        """Close, read back and publish the file; a sentence if that fails."""
        if self._writer is None:
            return None
        self._writer.release()
        try:
            with contextlib.closing(_Reader(self._part)) as reader:
                if reader.count() < self._count:
                    return f"{self.path}: no video, OpenCV here can't write MP4"
            self._part.replace(self.path)
            return None
        finally:
            self.abort()


class _Reader:
    """Counts the pictures of a video file."""

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path))

    def count(self) -> int:
        """How many can be decoded."""
        number = 0
        while self._capture.isOpened() and self._capture.grab():
            number += 1
        return number

    def close(self) -> None:
        self._capture.release()
