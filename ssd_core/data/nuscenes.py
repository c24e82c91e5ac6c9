# SPDX-License-Identifier: Apache-2.0
"""nuScenes as a source of frames: tables read directly, sweeps as neighbours, lidar with each sensor's own ego pose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssd_core.data.ego_motion import Fix, is_static, speed_between
from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.data.frame import Frame
from ssd_core.data.nuscenes_splits import SPLITS, scenes_of_split
from ssd_core.data.nuscenes_tables import NuScenesTables, Record
from ssd_core.data.sensor_files import read_float32_points, read_frame_image
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.images.codec import Image

_POINT_COLUMNS = 5  # x y z intensity ring
_MIN_DEPTH = 1.0  # metres, as nuscenes-devkit: what the scan shows nearer to a camera is the vehicle itself
_LEARNT_FROM = {"v1.0-trainval": "train", "v1.0-mini": "mini_train"}


class NuScenesFrames:
    """A FrameSource over a nuScenes folder (samples/, sweeps/ and v1.0-.../).

    root: the folder, or a version folder in it. version: None for the only one there is. split: train, val, mini_train, mini_val or all;
    None means val for v1.0-trainval and all for any other version. cameras: channels ("CAM_FRONT"), None for all present.
    Frames are the key frames, with keyframes_only=False the ~12 Hz sweeps too; the neighbours of a frame are the same camera's pictures
    just before and after it, sweeps or not, which `frame` looks up. A frame id is "channel/sample_data token", the sequence is
    the scene's name, the world nuScenes' map frame, the speed that of the vehicle. No picture or scan is opened to build it;
    reading the tables of v1.0-trainval takes a minute, so that worker processes had better share one source: it holds no open file.

    Raises DataError naming file and record (see NuScenesTables), also for an unknown version, split or camera, and for a split without
    pictures.
    """

    def __init__(
        self,
        root: Path,
        version: str | None = None,
        split: str | None = None,
        cameras: Sequence[str] | None = None,
        keyframes_only: bool = True,
    ) -> None:
        self.warnings: list[str] = []
        self._once = OncePerCause(self.warnings)
        self.root, self.version = find_nuscenes_version(root, version)
        self.split = split or ("val" if self.version == "v1.0-trainval" else "all")
        if self.split not in SPLITS:
            raise DataError(f"{root}: no split {self.split!r} in nuScenes; choose {', '.join(SPLITS)}")
        names = None if self.split == "all" else scenes_of_split(self.split)
        self._tables = NuScenesTables(self.root / self.version, names, None if cameras is None else frozenset(cameras), self._once)
        if not self._tables.pictures:
            wanted = ", ".join(sorted(self._tables.cameras))
            raise DataError(
                f"{self.root / self.version}: split {self.split!r} has {len(self._tables.scenes)} scenes and no picture of"
                f" {wanted or 'any camera'}; choose another split ({', '.join(SPLITS)}) or version"
            )
        self.cameras = tuple(cameras) if cameras is not None else tuple(sorted(self._tables.cameras))
        self._has_sweeps = (self.root / "sweeps").is_dir()
        self._cameras: dict[tuple[str, int, int], PinholeCamera | None] = {}
        self._scan: tuple[str, npt.NDArray[np.float64]] | None = None
        chosen = (record for record in self._tables.pictures.values() if record.is_key_frame or not keyframes_only)
        self._frames = [self._frame(record) for record in sorted(chosen, key=self._place)]

    def frames(self) -> Sequence[Frame]:
        """All frames: scene by scene, in each sample by sample, so that the cameras of one sample share a lidar scan."""
        return self._frames

    def frame(self, frame_id: str) -> Frame:
        """Any picture of the split, sweeps included, by its id; raises DataError for an unknown one."""
        return self._frame(self._record(frame_id))

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels; raises ImageDecodeError naming file and frame."""
        record = self._record(frame.frame_id)
        return read_frame_image(self.root / record.filename, frame.frame_id, (record.width, record.height), min_size)

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """The sample's LIDAR_TOP scan in frame.camera: lidar -> ego (lidar time) -> world -> ego (camera time) -> camera, nearest wins.

        Depths from 1 m on, as nuscenes-devkit projects them. None for sweeps, and without intrinsics, pose or scan in the tables.
        Raises DataError if the scan's file is gone or damaged.
        """
        record = self._record(frame.frame_id)
        scan = self._tables.scans.get(record.sample_token) if record.is_key_frame else None
        if scan is None or frame.camera is None or frame.world_from_camera is None:
            return None
        points = self._world_points(scan, frame.frame_id)
        if points is None:
            return None
        return project_lidar(transform_points(invert_pose(frame.world_from_camera), points), frame.camera, _MIN_DEPTH)

    def close(self) -> None:
        """Nothing is held open."""

    def _record(self, frame_id: str) -> Record:
        record = self._tables.pictures.get(frame_id.rpartition("/")[2])
        if record is None:
            raise DataError(f"{self.root / self.version / 'sample_data.json'}: no picture {frame_id} in split {self.split!r}")
        return record

    def _place(self, record: Record) -> tuple[int, int, int, int]:
        sample = self._tables.samples[record.sample_token]
        channel = self._tables.mountings[record.mounting_token].channel
        return self._tables.scenes[sample.scene_token].place, sample.stamp_us, self.cameras.index(channel), record.stamp_us

    def _frame(self, record: Record) -> Frame:
        mounting = self._tables.mountings[record.mounting_token]
        scene = self._tables.scenes[self._tables.samples[record.sample_token].scene_token]
        previous, following = self._neighbour(record, record.previous), self._neighbour(record, record.next)
        ego = self._tables.ego_pose(record)
        speed = speed_between([self._fix(near) for near in (previous, record, following) if near is not None])
        return Frame(
            frame_id=f"{mounting.channel}/{record.token}",
            sequence=scene.name,
            camera_name=mounting.channel,
            stamp_ns=record.stamp_us * 1000,
            camera=self._camera(record),
            world_from_camera=None if ego is None else ego @ mounting.ego_from_sensor,
            speed_mps=speed,
            is_static=is_static(speed),
            condition=condition_of(scene.description),
            previous_id=None if previous is None else f"{mounting.channel}/{previous.token}",
            next_id=None if following is None else f"{mounting.channel}/{following.token}",
        )

    def _neighbour(self, record: Record, token: str) -> Record | None:
        if not token:
            return None
        neighbour = self._tables.pictures.get(token)
        if neighbour is None:
            self._once.tell(
                "neighbour",
                f"{self.root / self.version / 'sample_data.json'}: record {record.token} has a neighbour {token} that isn't there;"
                " such frames count as the ends of their sequences",
            )
        elif not self._has_sweeps and neighbour.filename.startswith("sweeps/"):
            self._once.tell("sweeps", f"{self.root}: no folder sweeps; key frames have no neighbours (download the sweeps to train)")
            return None
        return neighbour

    def _fix(self, record: Record) -> Fix:
        return Fix(record.stamp_us * 1000, self._tables.ego_position(record))

    def _camera(self, record: Record) -> PinholeCamera | None:
        key = record.mounting_token, record.width, record.height
        if key not in self._cameras:
            matrix = self._tables.mountings[record.mounting_token].intrinsics
            try:
                self._cameras[key] = None if matrix is None else PinholeCamera.from_matrix(matrix, record.width, record.height)
                fault = "no intrinsics" if matrix is None else ""
            except CameraError as error:
                self._cameras[key], fault = None, str(error)
            if fault:
                table = self.root / self.version / "calibrated_sensor.json"
                self._once.tell(f"camera {key}", f"{table}: record {record.mounting_token}: {fault}; its pictures have no camera")
        return self._cameras[key]

    def _world_points(self, scan: Record, frame_id: str) -> npt.NDArray[np.float64] | None:
        if self._scan is None or self._scan[0] != scan.token:
            ego = self._tables.ego_pose(scan)
            if ego is None:
                return None
            path = self.root / scan.filename
            points = read_float32_points(path, _POINT_COLUMNS, f"frame {frame_id}", self._once)
            world_from_lidar = ego @ self._tables.mountings[scan.mounting_token].ego_from_sensor
            self._scan = scan.token, transform_points(world_from_lidar, points)
        return self._scan[1]


def condition_of(description: str) -> str:
    """ "night" (rain at night too), "day-rain" or "day-clear", from a scene's description; rendered scenes also say overcast, dusk, ..."""
    text = description.lower()
    rendered = re.search(r"rendered street, (overcast|dusk|fog|snow)", text)
    if rendered:
        return rendered[1]
    if re.search(r"\bnight", text):
        return "night"
    return "day-rain" if re.search(r"\brain", text) else "day-clear"


def is_nuscenes(path: Path) -> bool:
    """True for a nuScenes folder or a version folder of one."""
    return _is_version(path) or (path.is_dir() and bool(_versions(path)))


def _is_version(folder: Path) -> bool:
    return (folder / "sample_data.json").is_file() and (folder / "calibrated_sensor.json").is_file()


def _versions(root: Path) -> list[str]:
    return sorted(table.parent.name for table in root.glob("*/sample_data.json") if _is_version(table.parent))


def find_nuscenes_version(root: Path, version: str | None) -> tuple[Path, str]:
    """The data folder and the version in it, for a data folder or a version folder; version None: the only one. Raises DataError."""
    if version is None and _is_version(root):
        return root.resolve().parent, root.resolve().name
    found = _versions(root) if root.is_dir() else []
    if version is not None:
        if not (root / version).is_dir():
            raise DataError(f"{root}: no version {version}; it has {', '.join(found) or 'none'}")
        return root, version
    if len(found) != 1:
        what = "no nuScenes version folder (such as v1.0-mini)" if not found else f"several versions ({', '.join(found)})"
        raise DataError(f"{root}: {what}; give the version, or the path of its folder")
    return root, found[0]


def training_split(path: Path) -> str | None:
    """The split to learn from where none was asked for; None for everything but the published nuScenes, which is taken as it is.

    Left to itself `open_source` gives nuScenes' val split, for evaluation, and the whole of v1.0-mini. Raises DataError for a folder
    with several versions.
    """
    return _LEARNT_FROM.get(find_nuscenes_version(path, None)[1]) if is_nuscenes(path) else None
