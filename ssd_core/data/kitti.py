# SPDX-License-Identifier: Apache-2.0
"""KITTI raw as a source of frames: rectified cameras, Velodyne depth, poses from oxts or from a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ssd_core.data.ego_motion import Fix, is_static, speed_between
from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.data.frame import Frame, linked
from ssd_core.data.kitti_calibration import KittiCamera, read_cameras, read_motion
from ssd_core.data.kitti_poses import read_kitti_poses, read_oxts_poses
from ssd_core.data.sensor_files import read_float32_points, read_frame_image
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import Matrix, invert_pose, transform_points
from ssd_core.images.codec import Image

PosedSensor = Literal["velodyne", "camera_0", "imu"]

_CAMERA_FOLDER = re.compile(r"image_0[0-3]")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?")
_POINT_COLUMNS = 4  # x y z reflectance
_POSE_FILES = "poses_velo*.txt"


class _Picture(NamedTuple):
    """A picture file, its drive's folder, and the frame number in its name."""

    path: Path
    drive: Path
    number: int
    camera: KittiCamera


class KittiFrames:
    """A FrameSource over KITTI raw's synced and rectified drives (date/date_drive_NNNN_sync/image_02/data/NNNNNNNNNN.png ...).

    path: a drive, a date folder, or the folder of all dates; the calibration files lie in the date folder. cameras: "image_00" to
    "image_03", None for the colour cameras 02 and 03, or the gray ones where a drive has no others. poses: a file with one
    3x4 matrix (12 numbers) a line, line n for frame NUMBER n, of `posed_sensor` in a world of its own ("camera_0": the rectified left gray
    camera, as in KITTI odometry's files); for one drive only.
    Without it poses come from oxts, else from a drive's own poses_velo*.txt (Velodyne poses) where there is exactly one.

    Frame ids are "drive/camera/number"; the world of a drive with oxts starts at its first packet (x east, y north, z up). All of KITTI
    was taken by day in dry weather: the condition is "day-clear". Scans aren't compensated for the motion during their turn: as in
    the benchmark. Raises DataError naming the file for missing or broken calibration and poses, an unknown camera and a tree
    without pictures.
    """

    def __init__(
        self,
        path: Path,
        cameras: Sequence[str] | None = None,
        poses: Path | None = None,
        posed_sensor: PosedSensor = "velodyne",
    ) -> None:
        self.warnings: list[str] = []
        self._once = OncePerCause(self.warnings)
        drives = _find_drives(path)
        if not drives:
            raise DataError(f"{path}: no KITTI drive (a folder with image_02/data or image_03/data) in it")
        if poses is not None and len(drives) > 1:
            raise DataError(f"{poses}: one file of poses can't serve the {len(drives)} drives in {path}; open one drive")
        self._pictures: dict[str, _Picture] = {}
        self._frames: list[Frame] = []
        for drive in drives:
            self._frames += self._drive_frames(drive, cameras, poses, posed_sensor)
        if not self._frames:
            raise DataError(f"{path}: no picture of {', '.join(cameras or ['any camera'])} in {', '.join(drive.name for drive in drives)}")

    def frames(self) -> Sequence[Frame]:
        """All frames: drive by drive, number by number."""
        return self._frames

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels, gray ones as RGB; raises ImageDecodeError naming file and frame."""
        picture = self._pictures[frame.frame_id]
        return read_frame_image(picture.path, frame.frame_id, picture.camera.camera.size, min_size)

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """The scan of the same number in frame.camera, nearest point wins; None, with a warning, where KITTI has no scan.

        Raises DataError if the scan's file is damaged.
        """
        picture = self._pictures[frame.frame_id]
        if frame.camera is None or picture.camera.camera_from_velodyne is None:
            return None
        path = picture.drive / "velodyne_points" / "data" / f"{picture.path.stem}.bin"
        if not path.exists():
            self._once.tell("scan", f"{path}: no such scan; {frame.frame_id} and perhaps others have no lidar depth")
            return None
        points = read_float32_points(path, _POINT_COLUMNS, f"frame {frame.frame_id}", self._once)
        return project_lidar(transform_points(picture.camera.camera_from_velodyne, points), frame.camera)

    def close(self) -> None:
        """Nothing is held open."""

    def _drive_frames(self, drive: Path, cameras: Sequence[str] | None, poses: Path | None, posed_sensor: PosedSensor) -> list[Frame]:
        names = _choose_cameras(drive, cameras)
        models = read_cameras(drive.parent, names, self._once)
        world_from_sensor, sensor = self._poses(drive, poses, posed_sensor)
        found: list[Frame] = []
        for name in names:
            files = _numbered(drive / name / "data")
            stamps = self._stamps(drive / name / "timestamps.txt", sorted(files))
            mounting = self._sensor_from_camera(drive.parent, models[name], sensor) if world_from_sensor else None
            located = {n: pose @ mounting for n, pose in world_from_sensor.items() if n in files} if mounting is not None else {}
            found += self._camera_frames(drive, name, files, stamps, models[name], located)
        return sorted(found, key=lambda frame: (self._pictures[frame.frame_id].number, frame.camera_name))

    def _camera_frames(
        self, drive: Path, name: str, files: dict[int, Path], stamps: dict[int, int], model: KittiCamera, located: dict[int, Matrix]
    ) -> list[Frame]:
        numbers = sorted(files)
        without = [number for number in numbers if number not in located]
        if located and without:
            self._once.tell(
                f"pose {drive}", f"{drive}: {len(without)} of {len(numbers)} frames of {name} have no pose, the first is {without[0]}"
            )
        fixes = [Fix(stamps[number], located[number][:3, 3] if number in located else None) for number in numbers]
        ids = [f"{drive.name}/{name}/{files[number].stem}" for number in numbers]
        found = []
        for index, (number, frame_id, (previous_id, next_id)) in enumerate(zip(numbers, ids, linked(ids), strict=True)):
            self._pictures[frame_id] = _Picture(files[number], drive, number, model)
            speed = speed_between(fixes[max(0, index - 1) : index + 2])
            frame = Frame(
                frame_id, drive.name, name, stamps[number], model.camera, located.get(number), speed, is_static(speed),
                "day-clear", previous_id, next_id,
            )  # fmt: skip
            found.append(frame)
        return found

    def _poses(self, drive: Path, poses: Path | None, posed_sensor: PosedSensor) -> tuple[dict[int, Matrix], PosedSensor]:
        if poses is not None:
            return dict(enumerate(read_kitti_poses(poses))), posed_sensor
        oxts = read_oxts_poses(drive / "oxts" / "data")
        if oxts:
            return oxts, "imu"
        beside = sorted(drive.glob(_POSE_FILES))
        if len(beside) == 1:
            return dict(enumerate(read_kitti_poses(beside[0]))), "velodyne"
        self._once.tell(f"pose {drive}", f"{drive}: no oxts and no file of poses; its frames have no pose")
        return {}, "imu"

    def _sensor_from_camera(self, date: Path, model: KittiCamera, sensor: PosedSensor) -> Matrix | None:
        """What turns poses of the posed sensor into poses of the camera."""
        if sensor == "camera_0":
            return invert_pose(model.camera_from_camera_0)
        if model.camera_from_velodyne is None:
            return None
        velodyne_from_camera = np.linalg.inv(model.camera_from_velodyne)
        if sensor == "velodyne":
            return np.asarray(velodyne_from_camera)
        velodyne_from_imu = read_motion(date / "calib_imu_to_velo.txt")
        if velodyne_from_imu is None:
            self._once.tell("imu", f"{date / 'calib_imu_to_velo.txt'}: no such file; poses from oxts can't be used")
            return None
        return np.asarray(np.linalg.inv(velodyne_from_imu) @ velodyne_from_camera)

    def _stamps(self, path: Path, numbers: list[int]) -> dict[int, int]:
        """Nanoseconds of each frame number; files from which frames were taken out may have kept all lines of timestamps.txt."""
        try:
            lines = [line for line in path.read_text().splitlines() if line.strip()]
        except OSError:
            self._once.tell("timestamps", f"{path}: no such file; frames are taken to be 0.1 s apart")
            return {number: number * 100_000_000 for number in numbers}
        if len(lines) == len(numbers):
            chosen = dict(zip(numbers, lines, strict=True))
        elif numbers and numbers[-1] < len(lines):
            chosen = {number: lines[number] for number in numbers}
        else:
            raise DataError(f"{path}: {len(lines)} lines for {len(numbers)} pictures, the last of which has number {numbers[-1]}")
        return {number: _nanoseconds(line, path) for number, line in chosen.items()}


def is_kitti(path: Path) -> bool:
    """True for a KITTI raw drive, a date folder or a folder of dates."""
    return path.is_dir() and bool(_find_drives(path))


def _find_drives(path: Path) -> list[Path]:
    for pattern in ("", "*", "*/*"):
        folders = sorted(path.glob(pattern)) if pattern else [path.resolve()]
        drives = [f for f in folders if f.is_dir() and any((f / f"image_0{index}" / "data").is_dir() for index in range(4))]
        if drives:
            return drives
    return []


def _choose_cameras(drive: Path, cameras: Sequence[str] | None) -> list[str]:
    present = sorted(folder.name for folder in drive.iterdir() if _CAMERA_FOLDER.fullmatch(folder.name) and (folder / "data").is_dir())
    if cameras is None:
        return [name for name in present if name in ("image_02", "image_03")] or present
    unknown = [name for name in cameras if name not in present]
    if unknown:
        raise DataError(f"{drive}: no camera {', '.join(unknown)}; it has {', '.join(present)}")
    return list(dict.fromkeys(cameras))


def _numbered(folder: Path) -> dict[int, Path]:
    return {int(file.stem): file for file in folder.iterdir() if file.suffix.lower() in (".png", ".jpg") and file.stem.isdigit()}


def _nanoseconds(line: str, path: Path) -> int:
    """Of "2011-09-26 13:02:25.964389445", taken as UTC: datetime holds only six of the nine digits."""
    try:
        if not _STAMP.fullmatch(line.strip()):
            raise ValueError("expected YYYY-MM-DD hh:mm:ss.nnnnnnnnn")
        return int(np.datetime64(line.strip().replace(" ", "T"), "ns").astype(np.int64))
    except ValueError as error:
        raise DataError(f"{path}: {line.strip()!r} is no time ({error})") from error
