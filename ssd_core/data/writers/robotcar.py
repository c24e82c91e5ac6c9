# SPDX-License-Identifier: Apache-2.0
"""Writes a traverse in the layout of Oxford RobotCar from plain pictures, poses and scans, as RobotCarFrames reads it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError
from ssd_core.data.robotcar import CAMERA_NAME, LASERS, MODEL_NAME
from ssd_core.data.robotcar_files import ODOMETRY_HEADER, VEHICLE_FROM_OPTICAL, components_from_pose
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, invert_pose
from ssd_core.images.codec import Image, encode_png
from ssd_core.storage.atomic_write import atomic_directory, atomic_write, atomic_write_text


@contextlib.contextmanager
def robotcar_writer(
    root: Path, traverse: str, camera: PinholeCamera, vehicle_from_laser: Matrix, laser: str = "lms_front"
) -> Iterator[RobotCarWriter]:
    """A writer of root/traverse, which appears when the block ends without an error; root/models and root/extrinsics at once.

    camera: the lens the pictures are taken with, distorted or not; the undistorted camera has the same intrinsics. The
    vehicle's frame is the stereo camera's (x forward, y right, z down). Raises DataError if root holds another camera model or
    extrinsics: all its traverses share one. Raises FileExistsError if root/traverse holds anything that this doesn't write.
    """
    if laser not in LASERS:
        raise DataError(f"{root}: unknown laser {laser!r}; choose {', '.join(LASERS)}")
    own = (CAMERA_NAME.partition("/")[0], "stereo.timestamps", "vo", *LASERS, *(f"{name}.timestamps" for name in LASERS))
    with atomic_directory(root / traverse, own) as folder:
        writer = RobotCarWriter(folder, camera.size, laser)
        _write_calibration(root, camera, vehicle_from_laser, laser)
        yield writer
        writer.write_lists()


class RobotCarWriter:
    """Adds pictures and scans in order of time; made by `robotcar_writer`."""

    def __init__(self, folder: Path, size: tuple[int, int], laser: str) -> None:
        self._folder, self._size, self._laser = folder, size, laser
        self._stamps: list[int] = []
        self._poses: list[Matrix] = []
        (folder / CAMERA_NAME).mkdir(parents=True)
        (folder / laser).mkdir()
        (folder / "vo").mkdir()

    def add_picture(self, stamp_ns: int, image: Image, world_from_camera: Matrix) -> None:
        """A raw (distorted) RGB picture and the pose of its optical frame; kept as one colour a pixel, as the sensor does."""
        stamp = stamp_ns // 1000
        if self._stamps and stamp <= self._stamps[-1]:
            raise DataError(f"{self._folder}: picture at {stamp} us comes after one at {self._stamps[-1]} us; add them in order of time")
        if image.shape != (self._size[1], self._size[0], 3):
            raise DataError(f"{self._folder}: picture at {stamp} us of shape {image.shape}, the camera is {self._size[0]}x{self._size[1]}")
        (self._folder / CAMERA_NAME / f"{stamp}.png").write_bytes(encode_png(mosaic(image)))
        self._stamps.append(stamp)
        self._poses.append(world_from_camera)

    def add_scan(self, stamp_ns: int, points: npt.ArrayLike) -> None:
        """Points (N, 3) in the laser's frame, metres; a planar laser's must lie in z = 0."""
        xyz = np.asarray(points, dtype="<f8").reshape(-1, 3).copy()
        if self._laser != "ldmrs":
            if np.abs(xyz[:, 2]).max(initial=0.0) > 1e-3:
                raise DataError(f"{self._folder}: the scan at {stamp_ns // 1000} us isn't planar; write it as laser 'ldmrs'")
            xyz[:, 2] = 0.0  # here the format keeps the reflectance, which nobody measured
        (self._folder / self._laser / f"{stamp_ns // 1000}.bin").write_bytes(xyz.tobytes())

    def write_lists(self) -> None:
        """The lists of stamps and the odometry; raises DataError with fewer than two pictures, which have no motion."""
        if len(self._stamps) < 2:
            raise DataError(f"{self._folder}: {len(self._stamps)} pictures; a traverse needs at least two")
        (self._folder / "stereo.timestamps").write_text("".join(f"{stamp} 1\n" for stamp in self._stamps))
        scans = sorted(int(file.stem) for file in (self._folder / self._laser).iterdir())
        (self._folder / f"{self._laser}.timestamps").write_text("".join(f"{stamp} 1\n" for stamp in scans))
        rows = [ODOMETRY_HEADER]
        for place in range(1, len(self._stamps)):
            motion = VEHICLE_FROM_OPTICAL @ invert_pose(self._poses[place - 1]) @ self._poses[place] @ invert_pose(VEHICLE_FROM_OPTICAL)
            values = ",".join(f"{value:.9f}" for value in components_from_pose(motion))
            rows.append(f"{self._stamps[place]},{self._stamps[place - 1]},{values}")
        (self._folder / "vo" / "vo.csv").write_text("\n".join(rows) + "\n")


def mosaic(image: Image) -> npt.NDArray[np.uint8]:
    """RGB (H, W, 3) -> what a GBRG sensor sees (H, W): green blue in even rows, red green in odd ones."""
    raw = np.array(image[..., 1])
    raw[0::2, 1::2] = image[0::2, 1::2, 2]
    raw[1::2, 0::2] = image[1::2, 0::2, 0]
    return raw


def distortion_table(camera: PinholeCamera) -> npt.NDArray[np.float64]:
    """(2, H, W): column and row in the picture of `camera` of each pixel of the undistorted one; -1 where it can't be seen."""
    rays = camera.rectified().rays().reshape(-1, 2).astype(np.float64)
    pixels = camera.project(np.column_stack([rays, np.ones(len(rays))]))
    returned = camera.unproject(pixels)
    # A distortion polynomial folds far rays back into the picture.
    pixels[~(np.abs(returned - rays).max(axis=1) < 1e-3)] = -1
    return np.ascontiguousarray(pixels.T).reshape(2, camera.height, camera.width)


def _write_calibration(root: Path, camera: PinholeCamera, vehicle_from_laser: Matrix, laser: str) -> None:
    model = [f"{camera.fx:.9f} {camera.fy:.9f} {camera.cx:.9f} {camera.cy:.9f}"]
    model += [" ".join(f"{value:.6f}" for value in row) for row in VEHICLE_FROM_OPTICAL]
    texts = {
        root / "models" / f"{MODEL_NAME}.txt": "\n".join(model) + "\n",
        root / "extrinsics" / "stereo.txt": "0 0 0 0 0 0\n",
        root / "extrinsics" / f"{laser}.txt": " ".join(f"{value:.9f}" for value in components_from_pose(vehicle_from_laser)) + "\n",
    }
    for path, text in texts.items():
        if path.exists() and path.read_text() != text:
            raise DataError(f"{path}: another calibration is there; give these traverses a root of their own")
        atomic_write_text(path, text)
    table = root / "models" / f"{MODEL_NAME}_distortion_lut.bin"
    with atomic_write(table) as file:
        file.write(distortion_table(camera).astype("<f8").tobytes())
