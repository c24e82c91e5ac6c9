# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures, or one picture, as a source of frames."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame, linked
from ssd_core.data.intrinsics import CameraForSize
from ssd_core.data.natural_order import natural_key
from ssd_core.data.trajectory import TrajectoryFiles
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image, ImageDecodeError, decode_image, read_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
OTHER_ASPECT = "other_aspect"
"""Cause of the ImageDecodeError of a whole picture that the folder's intrinsics can't belong to."""


class ImageFolderError(DataError):
    """A folder without pictures; the message names it."""


class ImageFolder:
    """A FrameSource over the pictures of one folder in natural order (frame2 before frame10), or over one picture.

    The pictures count as one camera's; intrinsics, if given, are asked for the first picture's size, and every frame has that camera:
    a picture of another size and the same aspect is one that was resized (`PinholeCamera.fitted`). `trajectory` gives poses and stamps,
    of a camera `right_of_pose` metres to the left of this one. Frame ids are file names without suffix, with it where two files would share
    an id. Raises ImageFolderError, and DataError for a trajectory that doesn't fit.
    """

    def __init__(
        self,
        path: Path,
        intrinsics: CameraForSize | None = None,
        trajectory: TrajectoryFiles | None = None,
        camera_name: str = "camera",
        sequence: str | None = None,
        right_of_pose: float = 0.0,
    ) -> None:
        self.warnings: list[str] = []
        files = [path] if path.is_file() else sorted(_pictures(path), key=natural_key)
        if not files:
            raise ImageFolderError(f"{path}: no pictures in this folder ({', '.join(IMAGE_SUFFIXES)}); folders below it aren't searched")
        stems = Counter(file.stem for file in files)
        ids = [file.name if stems[file.stem] > 1 else file.stem for file in files]
        self._files = dict(zip(ids, files, strict=True))
        camera = None
        if intrinsics is not None:
            height, width = _first_whole(files).shape[:2]
            camera = intrinsics((width, height))
        sequence = sequence or (path.stem if path.is_file() else path.name)
        links = linked(ids)
        self._frames = [
            Frame(frame_id, sequence, camera_name, index, camera, previous_id=previous_id, next_id=next_id)
            for index, (frame_id, (previous_id, next_id)) in enumerate(zip(ids, links, strict=True))
        ]
        if trajectory is not None:
            self._frames = [_moved_right(frame, right_of_pose) for frame in trajectory.apply(self._frames, "folder")]

    def frames(self) -> Sequence[Frame]:
        """One frame a file."""
        return self._frames

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels. Raises ImageDecodeError naming the file, also if it is gone, or if it isn't of the camera's aspect (OTHER_ASPECT)."""
        path = self._files[frame.frame_id]
        try:
            image = read_image(path, min_size)
        except OSError as error:
            raise ImageDecodeError(f"{path}: {error.strerror}") from error
        if frame.camera is not None and min_size is None:
            _check_aspect(path, (image.shape[1], image.shape[0]), frame.camera)
        return image

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """None: pictures alone have no lidar."""
        del frame
        return None

    def close(self) -> None:
        """Nothing is held open."""


def _check_aspect(path: Path, size: tuple[int, int], camera: PinholeCamera) -> None:
    try:
        camera.fitted(*size)
    except CameraError as error:
        raise ImageDecodeError(
            f"{path} has {size[0]}x{size[1]} pixels, the intrinsics belong to {camera.width}x{camera.height} (the first picture's size)"
            " and fit only pictures of the same aspect",
            OTHER_ASPECT,
        ) from error


def _moved_right(frame: Frame, metres: float) -> Frame:
    if frame.world_from_camera is None or metres == 0:
        return frame
    pose = frame.world_from_camera.copy()
    pose[:3, 3] += pose[:3, 0] * metres
    return dataclasses.replace(frame, world_from_camera=pose)


def _pictures(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file() and file.name[0] != "."]


def _first_whole(files: Sequence[Path]) -> Image:
    for file in files:
        try:
            return decode_image(file.read_bytes())
        except (ImageDecodeError, OSError):
            continue  # each damaged picture is named when it is its turn
    raise ImageFolderError(f"{files[0].parent}: none of the {len(files)} pictures can be decoded")
