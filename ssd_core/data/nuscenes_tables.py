# SPDX-License-Identifier: Apache-2.0
"""The JSON tables of nuScenes, read as a stream: of 2.6 million records only those that frames need are kept."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.geometry.pose import Matrix, pose_from_quaternion

LIDAR_CHANNEL = "LIDAR_TOP"
NEEDED_TABLES = ("sensor", "calibrated_sensor", "scene", "sample", "sample_data", "ego_pose")

_CHUNK = 1 << 20
_LONGEST_RECORD = 1 << 24
_GAP = re.compile(r"[\s,]*")


class Mounting(NamedTuple):
    """One calibrated_sensor: channel ("CAM_FRONT"), modality, where it sits, and its (3, 3) intrinsics, None for a lidar."""

    channel: str
    modality: str
    ego_from_sensor: Matrix
    intrinsics: npt.NDArray[np.float64] | None


class Scene(NamedTuple):
    """One scene: its place in scene.json, name ("scene-0061"), description ("Night, rain, parked cars")."""

    place: int
    name: str
    description: str


class Sample(NamedTuple):
    """One key instant of a scene."""

    scene_token: str
    stamp_us: int


class Record(NamedTuple):
    """One sample_data: a picture or a lidar scan. previous, next: tokens of the same sensor's records in time, "" at the ends."""

    token: str
    sample_token: str
    ego_pose_token: str
    mounting_token: str
    stamp_us: int
    is_key_frame: bool
    filename: str
    previous: str
    next: str
    width: int
    height: int


class NuScenesTables:
    """What frames need of the tables in a version folder (root/v1.0-mini), for the scenes named.

    scene_names: None for all. pictures: token -> Record of every camera picture, key frames and sweeps; scans: sample token -> Record of
    its LIDAR_TOP key frame; sweeps: the LIDAR_TOP scans between those, read with_lidar_sweeps only. Raises DataError, naming file and
    record, for a missing or broken table, a record without a field, and a reference to nothing. Poses are the exception: a frame
    without one can still be looked at (see `ego_pose`).
    """

    def __init__(
        self,
        folder: Path,
        scene_names: Set[str] | None,
        cameras: Set[str] | None,
        warnings: OncePerCause,
        with_lidar_sweeps: bool = False,
    ) -> None:
        missing = [f"{name}.json" for name in NEEDED_TABLES if not (folder / f"{name}.json").is_file()]
        if missing:
            raise DataError(f"{folder}: table {', '.join(missing)} missing; this is no whole nuScenes version folder")
        self.folder = folder
        self._warnings = warnings
        self.mountings = self._read_mountings()
        known_cameras = {mounting.channel for mounting in self.mountings.values() if mounting.modality == "camera"}
        unknown = sorted((cameras or set()) - known_cameras)
        if unknown:
            raise DataError(f"{folder / 'sensor.json'}: no camera {', '.join(unknown)}; it has {', '.join(sorted(known_cameras))}")
        self.cameras = known_cameras if cameras is None else cameras
        self.scenes, all_scenes = self._read_scenes(scene_names)
        self.samples, all_samples = self._read_samples(all_scenes)
        self.sweeps: list[Record] = []
        self.pictures, self.scans = self._read_sample_data(all_samples, with_lidar_sweeps)
        self._pose_rows, self._poses = self._read_ego_poses()

    def ego_position(self, record: Record) -> npt.NDArray[np.float64] | None:
        """Where the vehicle was at the record's own time, (3,) metres in the world; None where that is unknown."""
        row = self._pose_rows.get(record.ego_pose_token)
        position = None if row is None else self._poses[row, :3]
        return position if position is not None and np.isfinite(position).all() else None

    def ego_pose(self, record: Record) -> Matrix | None:
        """World from ego at the record's own time, (4, 4); None, with a warning, where there is none or one that isn't finite."""
        row = self._pose_rows.get(record.ego_pose_token)
        if row is None:
            cause = f"{self.folder / 'ego_pose.json'}: no record {record.ego_pose_token}, to which sample_data {record.token} refers"
        else:
            x, y, z, qw, qx, qy, qz = self._poses[row]
            try:
                return pose_from_quaternion((x, y, z), (qx, qy, qz, qw))
            except ValueError:
                cause = f"{self.folder / 'ego_pose.json'}: record {record.ego_pose_token} is no pose ({self._poses[row].tolist()})"
        self._warnings.tell("ego_pose", f"{cause}; such frames have no pose")
        return None

    def _read_mountings(self) -> dict[str, Mounting]:
        sensors = {
            _field(self.folder, "sensor", row, "token"): (
                _field(self.folder, "sensor", row, "channel"),
                _field(self.folder, "sensor", row, "modality"),
            )
            for row in read_table(self.folder, "sensor")
        }
        mountings: dict[str, Mounting] = {}
        for row in read_table(self.folder, "calibrated_sensor"):
            token, sensor, rotation, translation, matrix = (
                _field(self.folder, "calibrated_sensor", row, name)
                for name in ("token", "sensor_token", "rotation", "translation", "camera_intrinsic")
            )
            if sensor not in sensors:
                raise DataError(_unknown(self.folder, "calibrated_sensor", token, "sensor", sensor))
            try:
                qw, qx, qy, qz = rotation
                pose = pose_from_quaternion(translation, (qx, qy, qz, qw))
                intrinsics = np.asarray(matrix, dtype=np.float64).reshape(3, 3) if matrix else None
            except (ValueError, TypeError) as error:
                raise DataError(f"{self.folder / 'calibrated_sensor.json'}: record {token}: {error}") from error
            mountings[token] = Mounting(*sensors[sensor], pose, intrinsics)
        return mountings

    def _read_scenes(self, names: Set[str] | None) -> tuple[dict[str, Scene], set[str]]:
        chosen: dict[str, Scene] = {}
        known: set[str] = set()
        for index, row in enumerate(read_table(self.folder, "scene")):
            token, name = (_field(self.folder, "scene", row, key) for key in ("token", "name"))
            known.add(token)
            if names is None or name in names:
                chosen[token] = Scene(index, name, str(row.get("description", "")))
        return chosen, known

    def _read_samples(self, known_scenes: Set[str]) -> tuple[dict[str, Sample], set[str]]:
        chosen: dict[str, Sample] = {}
        known: set[str] = set()
        for row in read_table(self.folder, "sample"):
            token, scene, stamp = (_field(self.folder, "sample", row, key) for key in ("token", "scene_token", "timestamp"))
            if scene not in known_scenes:
                raise DataError(_unknown(self.folder, "sample", token, "scene", scene))
            known.add(token)
            if scene in self.scenes:
                chosen[token] = Sample(scene, int(stamp))
        return chosen, known

    def _read_sample_data(self, known_samples: Set[str], with_sweeps: bool) -> tuple[dict[str, Record], dict[str, Record]]:
        pictures: dict[str, Record] = {}
        scans: dict[str, Record] = {}
        same = _Same()
        for row in read_table(self.folder, "sample_data"):
            try:
                sample, sensor, token = row["sample_token"], row["calibrated_sensor_token"], row["token"]
                if sample not in known_samples:
                    raise DataError(_unknown(self.folder, "sample_data", token, "sample", sample))
                mounting = self.mountings.get(sensor)
                if mounting is None:
                    raise DataError(_unknown(self.folder, "sample_data", token, "calibrated_sensor", sensor))
                is_scan = mounting.channel == LIDAR_CHANNEL and row["is_key_frame"]
                if sample in self.samples and (is_scan or mounting.channel in self.cameras):
                    (scans if is_scan else pictures)[sample if is_scan else token] = _record(row, same)
                elif with_sweeps and sample in self.samples and mounting.channel == LIDAR_CHANNEL:
                    self.sweeps.append(_record(row, same))
            except (KeyError, TypeError, ValueError) as error:
                if isinstance(error, DataError):
                    raise
                raise DataError(f"{self.folder / 'sample_data.json'}: record {row.get('token')}: {error!r}") from error
        return pictures, scans

    def _read_ego_poses(self) -> tuple[dict[str, int], npt.NDArray[np.float64]]:
        wanted = {record.ego_pose_token for record in (*self.pictures.values(), *self.scans.values(), *self.sweeps)}
        rows: dict[str, int] = {}
        values = array("d")
        for row in read_table(self.folder, "ego_pose"):
            token = _field(self.folder, "ego_pose", row, "token")
            if token not in wanted:
                continue
            translation, rotation = (_field(self.folder, "ego_pose", row, key) for key in ("translation", "rotation"))
            try:
                x, y, z = translation
                qw, qx, qy, qz = rotation
                values.extend((x, y, z, qw, qx, qy, qz))
            except (ValueError, TypeError) as error:
                raise DataError(f"{self.folder / 'ego_pose.json'}: record {token}: {error}") from error
            rows[token] = len(rows)
        return rows, np.frombuffer(values, dtype=np.float64).reshape(-1, 7) if rows else np.empty((0, 7))


def read_table(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The records of folder/name.json one by one; raises DataError naming the file and the place where it breaks off."""
    path = folder / f"{name}.json"
    decode = json.JSONDecoder().raw_decode
    count, is_open = 0, False
    try:
        with path.open(encoding="utf-8") as file:
            buffer, position = "", 0
            while True:
                position = _skip_gap(buffer, position)
                character = buffer[position : position + 1]
                try:
                    if is_open and character == "]":
                        return
                    if is_open and character == "{":
                        record, position = decode(buffer, position)
                        count += 1
                        yield record
                        continue
                    if not is_open and character == "[":
                        is_open, position = True, position + 1
                        continue
                    broken = bool(character)
                except json.JSONDecodeError:
                    broken = len(buffer) - position > _LONGEST_RECORD
                more = "" if broken else file.read(_CHUNK)
                if not more:
                    raise DataError(f"{path}: broken off or no list of JSON records; {count} whole records before the damage")
                buffer, position = buffer[position:] + more, 0
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error


def _skip_gap(buffer: str, position: int) -> int:
    gap = _GAP.match(buffer, position)
    return position if gap is None else gap.end()


class _Same:
    """One object for equal strings: a token stands in up to four records."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        return self._known.setdefault(text, text)


def _record(row: dict[str, Any], same: _Same) -> Record:
    return Record(
        same(row["token"]),
        same(row["sample_token"]),
        same(row["ego_pose_token"]),
        same(row["calibrated_sensor_token"]),
        int(row["timestamp"]),
        bool(row["is_key_frame"]),
        str(row["filename"]),
        same(row["prev"]),
        same(row["next"]),
        int(row["width"]),
        int(row["height"]),
    )


def _field(folder: Path, table: str, row: dict[str, Any], name: str) -> Any:
    try:
        return row[name]
    except KeyError:
        raise DataError(f"{folder / f'{table}.json'}: record {row.get('token', row)} has no field {name!r}") from None


def _unknown(folder: Path, table: str, token: str, kind: str, reference: str) -> str:
    return f"{folder / f'{table}.json'}: record {token} refers to {kind} {reference}, which isn't in {kind}.json"
