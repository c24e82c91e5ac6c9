# SPDX-License-Identifier: Apache-2.0
"""Writes a folder in the schema of nuScenes (13 tables, samples/, sweeps/) from plain pictures, poses and lidar points."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, quaternion_from_pose
from ssd_core.images.codec import encode_png
from ssd_core.storage.atomic_write import atomic_directory

LIDAR_CHANNEL = "LIDAR_TOP"
TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample", "sample_annotation", "sample_data",
    "scene", "sensor", "visibility",
)  # fmt: skip
"""The tables of the schema; those of objects stay empty."""

_Row = dict[str, Any]


@contextlib.contextmanager
def nuscenes_writer(root: Path, version: str = "v1.0-rendered") -> Iterator[NuScenesWriter]:
    """A writer of the folder `root`, which appears (in place of an older one) when the block ends without an error.

    Raises FileExistsError, before the block, if `root` holds anything but a data set of this version.
    """
    # Pictures without our tables are somebody else's.
    own = (version, "samples", "sweeps", "maps") if (root / version).is_dir() else ()
    with atomic_directory(root, own) as folder:
        writer = NuScenesWriter(folder, version)
        yield writer
        writer.write_tables()


class NuScenesWriter:
    """Adds scenes, and to the newest scene its pictures and scans; made by `nuscenes_writer`.

    Tokens are digests of names and times, so the same calls write the same folder. Times are kept in microseconds.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self._folder, self._version = folder, version
        self._tables: dict[str, list[_Row]] = {name: [] for name in TABLES}
        self._known: set[tuple[str, str]] = set()
        self._records: list[_Row] = []

    def add_scene(self, name: str, description: str, log: str, location: str = "rendered") -> None:
        """Begin a scene ("scene-0001"). The description tells the weather, as in nuScenes: "Night", "Rain"; log names the drive."""
        self._finish_scene()
        token = _token("scene", name)
        if ("scene", token) in self._known:
            raise DataError(f"{self._folder}: two scenes are named {name}")
        log_token = _token("log", log)
        captured = datetime.date(1970, 1, 1).isoformat()  # replaced by the first record's day
        self._add("log", log_token, logfile=log, vehicle=log.partition("-")[0], date_captured=captured, location=location)
        self._add("scene", token, log_token=log_token, nbr_samples=0, name=name, description=description)
        self._scene_log = log

    def add_picture(
        self,
        channel: str,
        stamp_ns: int,
        jpeg: bytes,
        camera: PinholeCamera,
        ego_from_camera: Matrix,
        world_from_ego: Matrix,
        is_key_frame: bool = True,
    ) -> None:
        """One JPEG, written as it is. The n-th key frames of all channels of a scene make its n-th sample.

        Raises DataError for a distorted camera, which the schema has no field for.
        """
        if camera.is_distorted:
            raise DataError(f"{self._folder}: {channel}: nuScenes pictures have no distortion; rectify them first")
        mounting = self._mounting(channel, "camera", ego_from_camera, camera.matrix.tolist())
        self._add_record(channel, stamp_ns, jpeg, "jpg", mounting, world_from_ego, is_key_frame, camera.size)

    def add_scan(
        self, stamp_ns: int, points: npt.ArrayLike, ego_from_lidar: Matrix, world_from_ego: Matrix, is_key_frame: bool = True
    ) -> None:
        """One LIDAR_TOP scan: points (N, 3 to 5), x y z [intensity [ring]] in the lidar's frame, metres; absent columns are 0."""
        given = np.asarray(points, dtype=np.float32)
        if given.ndim != 2 or not 3 <= given.shape[1] <= 5:
            raise DataError(f"{self._folder}: {LIDAR_CHANNEL} at {stamp_ns} ns: points of shape {given.shape}, (N, 3 to 5) is expected")
        rows = np.zeros((len(given), 5), dtype="<f4")
        rows[:, : given.shape[1]] = given
        mounting = self._mounting(LIDAR_CHANNEL, "lidar", ego_from_lidar, [])
        self._add_record(LIDAR_CHANNEL, stamp_ns, rows.tobytes(), "pcd.bin", mounting, world_from_ego, is_key_frame, (0, 0))

    def write_tables(self) -> None:
        """Finish the last scene and write all tables."""
        self._finish_scene()
        if not self._tables["scene"]:
            raise DataError(f"{self._folder}: no scene was added")
        logs = [row["token"] for row in self._tables["log"]]
        name = f"maps/{_token('map', self._version)}.png"
        (self._folder / "maps").mkdir()
        (self._folder / name).write_bytes(encode_png(np.zeros((1, 1), dtype=np.uint8)))
        self._add("map", _token("map", self._version), log_tokens=logs, category="semantic_prior", filename=name)
        folder = self._folder / self._version
        folder.mkdir()
        for table, rows in self._tables.items():
            (folder / f"{table}.json").write_text(json.dumps(rows, indent=0, allow_nan=False))

    def _mounting(self, channel: str, modality: str, ego_from_sensor: Matrix, intrinsics: list[list[float]]) -> str:
        sensor = _token("sensor", channel)
        self._add("sensor", sensor, channel=channel, modality=modality)
        translation, rotation = _pose_fields(ego_from_sensor)
        token = _token("calibrated_sensor", channel, translation, rotation, intrinsics)
        self._add("calibrated_sensor", token, sensor_token=sensor, translation=translation, rotation=rotation, camera_intrinsic=intrinsics)
        return token

    def _add_record(
        self,
        channel: str,
        stamp_ns: int,
        data: bytes,
        suffix: str,
        mounting: str,
        world_from_ego: Matrix,
        is_key_frame: bool,
        size: tuple[int, int],
    ) -> None:
        if not self._tables["scene"]:
            raise DataError(f"{self._folder}: add a scene before its first record ({channel} at {stamp_ns} ns)")
        stamp = round(stamp_ns / 1000)
        name = f"{'samples' if is_key_frame else 'sweeps'}/{channel}/{self._scene_log}__{channel}__{stamp}.{suffix}"
        token = _token("sample_data", self._scene_log, channel, stamp)
        if ("sample_data", token) in self._known:
            raise DataError(f"{self._folder}: two records of {channel} at {stamp} us in {self._scene_log}")
        self._known.add(("sample_data", token))
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        translation, rotation = _pose_fields(world_from_ego)
        pose = _token("ego_pose", token)
        self._add("ego_pose", pose, timestamp=stamp, translation=translation, rotation=rotation)
        self._records.append(
            {
                "token": token,
                "sample_token": "",
                "ego_pose_token": pose,
                "calibrated_sensor_token": mounting,
                "timestamp": stamp,
                "fileformat": suffix.partition(".")[0],
                "is_key_frame": is_key_frame,
                "height": size[1],
                "width": size[0],
                "filename": name,
                "prev": "",
                "next": "",
                "channel": channel,
            }
        )

    def _finish_scene(self) -> None:
        """Link the newest scene's records and make its samples."""
        if not self._tables["scene"]:
            return
        scene = self._tables["scene"][-1]
        channels: dict[str, list[_Row]] = {}
        for record in sorted(self._records, key=lambda row: int(row["timestamp"])):
            channels.setdefault(record.pop("channel"), []).append(record)
        keys = {channel: [record for record in records if record["is_key_frame"]] for channel, records in channels.items()}
        counts = {channel: len(records) for channel, records in keys.items()}
        if not counts or len(set(counts.values())) > 1 or 0 in counts.values():
            raise DataError(
                f"{self._folder}: {scene['name']}: every channel needs as many key frames as the others, at least one: {counts}"
            )
        stamps = [record["timestamp"] for record in keys.get(LIDAR_CHANNEL) or next(iter(keys.values()))]
        samples = [_token("sample", scene["name"], index) for index in range(len(stamps))]
        for token, stamp, before, after in zip(samples, stamps, ["", *samples[:-1]], [*samples[1:], ""], strict=True):
            self._add("sample", token, timestamp=stamp, prev=before, next=after, scene_token=scene["token"])
        for records in channels.values():
            _link(records, samples)
            self._tables["sample_data"] += records
        scene.update(nbr_samples=len(samples), first_sample_token=samples[0], last_sample_token=samples[-1])
        day = datetime.datetime.fromtimestamp(stamps[0] / 1e6, datetime.timezone.utc).date()
        next(row for row in self._tables["log"] if row["token"] == scene["log_token"])["date_captured"] = day.isoformat()
        self._records = []

    def _add(self, table: str, token: str, **fields: Any) -> None:
        if (table, token) not in self._known:
            self._known.add((table, token))
            self._tables[table].append({"token": token, **fields})


def _link(records: list[_Row], samples: list[str]) -> None:
    """prev and next within one channel; a sweep belongs to the key frame that follows it, at the end to the last."""
    for record, following in itertools.pairwise(records):
        record["next"], following["prev"] = following["token"], record["token"]
    place = 0
    for record in records:
        record["sample_token"] = samples[min(place, len(samples) - 1)]
        place += bool(record["is_key_frame"])


def _pose_fields(pose: Matrix) -> tuple[list[float], list[float]]:
    """Translation, and rotation in the schema's order w x y z."""
    x, y, z, w = quaternion_from_pose(pose).tolist()
    return [float(value) for value in pose[:3, 3]], [w, x, y, z]


def _token(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
