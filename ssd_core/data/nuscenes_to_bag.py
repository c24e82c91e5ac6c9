# SPDX-License-Identifier: Apache-2.0
"""Scenes of nuScenes as ROS 2 bags that can be played: the pictures' own bytes, calibration, lidar, transforms and odometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ssd_core.data.bag import BagError, BagReader
from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.data.nuscenes import condition_of, find_nuscenes_version
from ssd_core.data.nuscenes_tables import LIDAR_CHANNEL, NuScenesTables, Record, Scene
from ssd_core.data.writers.bag import BagWriter, Durability, reliable_qos
from ssd_core.data.writers.messages import (
    camera_info_message,
    compressed_image_message,
    odometry_message,
    point_cloud_message,
    transforms_message,
)
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.storage.configuration import StrictModel, git_revision

_POINT_FIELDS = ("x", "y", "z", "intensity", "ring")
_MAP, _ODOM, _BASE = "map", "odom", "base_link"
_NOTES = "nuscenes_to_bag"


class NuScenesBagConfiguration(StrictModel):
    """Which part of which data set becomes bags."""

    root: str
    """nuScenes folder, or a version folder in it."""
    scene: str | None = None
    """One scene's name; None for all, a bag each."""
    cameras: tuple[str, ...] | None = None
    sweeps: bool = False
    """Also the pictures and scans between the key frames: about 12 and 20 Hz instead of 2."""


class _Drive(NamedTuple):
    """One scene in order of time: pictures and scans, and the vehicle's pose at the time of each."""

    scene: Scene
    records: list[Record]
    stamps_ns: list[int]
    poses: list[Matrix]


class NuScenesBags:
    """Writes bags of a nuScenes folder; `scenes` are those that were chosen. warnings: sentences about what is left out.

    Topics are those of the converters in use: /CAM_FRONT/image_rect_compressed (the JPEG as it is in the data set),
    /CAM_FRONT/camera_info (R identity, P = K: the pictures are rectified), /LIDAR_TOP (x y z intensity ring), /odom, /tf with the pose
    of the vehicle at the time of every record (map -> odom is the identity), /tf_static. Raises DataError naming file and record.
    """

    def __init__(self, configuration: NuScenesBagConfiguration) -> None:
        self.configuration = configuration
        self.warnings: list[str] = []
        self.root, self.version = find_nuscenes_version(Path(configuration.root), None)
        names = None if configuration.scene is None else {configuration.scene}
        cameras = None if configuration.cameras is None else frozenset(configuration.cameras)
        folder = self.root / self.version
        self._tables = NuScenesTables(folder, names, cameras, OncePerCause(self.warnings), with_lidar_sweeps=configuration.sweeps)
        if not self._tables.scenes:
            raise DataError(f"{folder / 'scene.json'}: no scene {configuration.scene or 'at all'}")
        self._records = self._by_scene()
        self.scenes = [scene for token, scene in self._tables.scenes.items() if self._records[token]]
        if not self.scenes:
            raise DataError(f"{folder}: {', '.join(scene.name for scene in self._tables.scenes.values())} without pictures or scans")

    def bag_paths(self, out: Path) -> dict[str, Path]:
        """Where each scene's bag goes: `out` itself for one scene, out/<scene>.mcap for several. Raises DataError."""
        if len(self.scenes) == 1:
            return {self.scenes[0].name: out}
        if out.suffix in (".mcap", ".db3"):
            raise DataError(
                f"{out}: {self.root} has {len(self.scenes)} scenes; choose one (--scene {self.scenes[0].name}), or give a folder"
            )
        return {scene.name: out / f"{scene.name}.mcap" for scene in self.scenes}

    def record_count(self) -> int:
        """Pictures and scans in all chosen scenes."""
        return sum(len(records) for records in self._records.values())

    def write(self, out: Path, on_record: Callable[[], None] = lambda: None) -> list[Path]:
        """Write the bags, each whole or not at all; those that an earlier run finished stay. Returns the paths."""
        paths = self.bag_paths(out)
        for token, scene in self._tables.scenes.items():
            if scene.name not in paths:
                continue
            notes = self._notes(scene)
            if _is_finished(paths[scene.name], notes):
                for _ in self._records[token]:
                    on_record()
                continue
            with BagWriter(paths[scene.name], {**notes, f"{_NOTES}.git_revision": git_revision()}) as bag:
                self._write_scene(bag, self._drive(scene, self._records[token]), on_record)
        return list(paths.values())

    def _by_scene(self) -> dict[str, list[Record]]:
        tables = self._tables
        found: dict[str, list[Record]] = {token: [] for token in tables.scenes}
        for record in (*tables.pictures.values(), *tables.scans.values(), *tables.sweeps):
            if record.is_key_frame or self.configuration.sweeps:
                found[tables.samples[record.sample_token].scene_token].append(record)
        return {
            token: sorted(records, key=lambda record: (record.stamp_us, tables.mountings[record.mounting_token].channel))
            for token, records in found.items()
        }

    def _notes(self, scene: Scene) -> dict[str, str]:
        values = {
            "scene": scene.name,
            "description": scene.description,
            "condition": condition_of(scene.description),
            "version": self.version,
            "cameras": " ".join(sorted(self._tables.cameras)),
            "sweeps": str(self.configuration.sweeps),
        }
        return {f"{_NOTES}.{key}": value for key, value in values.items()}

    def _drive(self, scene: Scene, records: list[Record]) -> _Drive:
        stamps: list[int] = []
        poses: list[Matrix] = []
        for record in records:
            stamp, pose = record.stamp_us * 1000, self._tables.ego_pose(record)
            if pose is not None and (not stamps or stamp > stamps[-1]):
                stamps.append(stamp)
                poses.append(pose)
        return _Drive(scene, records, stamps, poses)

    def _write_scene(self, bag: BagWriter, drive: _Drive, on_record: Callable[[], None]) -> None:
        bag.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", reliable_qos(1, Durability.LATCHED))
        bag.add_topic("/tf", "tf2_msgs/msg/TFMessage", reliable_qos(100))
        first_ns = drive.records[0].stamp_us * 1000
        bag.write("/tf_static", first_ns, transforms_message(self._static_transforms(drive.records), first_ns))
        written = 0
        for record in drive.records:
            stamp = record.stamp_us * 1000
            while written < len(drive.stamps_ns) and drive.stamps_ns[written] <= stamp:
                _write_pose(bag, drive, written)
                written += 1
            if self._tables.mountings[record.mounting_token].channel == LIDAR_CHANNEL:
                self._write_scan(bag, record, stamp)
            else:
                self._write_picture(bag, record, stamp)
            on_record()

    def _static_transforms(self, records: Sequence[Record]) -> list[tuple[str, str, Matrix]]:
        mountings = [self._tables.mountings[token] for token in dict.fromkeys(record.mounting_token for record in records)]
        by_channel = {mounting.channel: mounting.ego_from_sensor for mounting in mountings}
        return [(_MAP, _ODOM, np.eye(4)), *((_BASE, channel, pose) for channel, pose in sorted(by_channel.items()))]

    def _write_picture(self, bag: BagWriter, record: Record, stamp_ns: int) -> None:
        mounting = self._tables.mountings[record.mounting_token]
        channel = mounting.channel
        picture = compressed_image_message(self._read(record), "jpeg", stamp_ns, channel)
        bag.write(f"/{channel}/image_rect_compressed", stamp_ns, picture)
        try:
            if mounting.intrinsics is None:
                raise CameraError("no intrinsics")
            camera = PinholeCamera.from_matrix(mounting.intrinsics, record.width, record.height)
        except CameraError as error:
            sentence = f"{self.root / self.version / 'calibrated_sensor.json'}: record {record.mounting_token}: {error}; no camera_info"
            if sentence not in self.warnings:
                self.warnings.append(sentence)
            return
        bag.write(f"/{channel}/camera_info", stamp_ns, camera_info_message(camera, stamp_ns, channel))

    def _write_scan(self, bag: BagWriter, record: Record, stamp_ns: int) -> None:
        data = self._read(record)
        size = 4 * len(_POINT_FIELDS)
        if not data or len(data) % size:
            raise DataError(f"{self.root / record.filename}: {len(data)} bytes are no whole number of points of {size} bytes")
        points = np.frombuffer(data, dtype="<f4").reshape(-1, len(_POINT_FIELDS))
        bag.write(f"/{LIDAR_CHANNEL}", stamp_ns, point_cloud_message(points, _POINT_FIELDS, stamp_ns, LIDAR_CHANNEL))

    def _read(self, record: Record) -> bytes:
        path = self.root / record.filename
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: {error.strerror}; sample_data {record.token} needs it (sweeps are a download of their own)"
            ) from error
        if not data:
            raise DataError(f"{path}: the file is empty; sample_data {record.token} needs it")
        return data


def _write_pose(bag: BagWriter, drive: _Drive, index: int) -> None:
    stamp, pose = drive.stamps_ns[index], drive.poses[index]
    linear, angular = _velocity(drive, index)
    bag.write("/tf", stamp, transforms_message([(_ODOM, _BASE, pose)], stamp))
    bag.write("/odom", stamp, odometry_message(pose, linear, angular, stamp, _ODOM, _BASE))


def _velocity(drive: _Drive, index: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Linear (m/s) and angular (rad/s) velocity in the vehicle's axes, between the poses before and after; zero where there is one only."""
    before, after = max(0, index - 1), min(len(drive.poses) - 1, index + 1)
    seconds = (drive.stamps_ns[after] - drive.stamps_ns[before]) * 1e-9
    if seconds == 0:
        return np.zeros(3), np.zeros(3)
    first, last = drive.poses[before], drive.poses[after]
    linear = drive.poses[index][:3, :3].T @ (last[:3, 3] - first[:3, 3]) / seconds
    angular = Rotation.from_matrix(first[:3, :3].T @ last[:3, :3]).as_rotvec() / seconds
    return linear, angular


def _is_finished(path: Path, notes: dict[str, str]) -> bool:
    """True for a bag that was written with the same notes."""
    if not path.exists():
        return False
    try:
        with BagReader(path) as bag:
            found = bag.custom_data
    except BagError:
        return False
    return all(found.get(key) == value for key, value in notes.items())
