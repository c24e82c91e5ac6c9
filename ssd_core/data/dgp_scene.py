# SPDX-License-Identifier: Apache-2.0
"""One DGP scene JSON with its calibration files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.pose import Matrix, pose_from_quaternion

_DISTORTION_FIELDS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "xi")


class Datum(NamedTuple):
    """One picture (with `size`, width and height) or one scan (with `point_format`); file names are relative to the scene's folder.

    world_from_sensor: its own pose, None where the JSON has none; vehicle_from_sensor: its mounting, None where not calibrated.
    """

    key: str
    sensor: str
    timestamp: str
    filename: str
    size: tuple[int, int] | None
    point_format: tuple[str, ...]
    camera: PinholeCamera | None
    world_from_sensor: Matrix | None
    vehicle_from_sensor: Matrix | None


class Scene(NamedTuple):
    """A scene: its JSON, its folder's name, and its samples in order, each the data taken at about one instant."""

    path: Path
    name: str
    samples: list[list[Datum]]

    @property
    def folder(self) -> Path:
        """Where the scene's files are."""
        return self.path.parent


class _Calibration(NamedTuple):
    path: Path
    sensors: dict[str, tuple[dict[str, float], Matrix | None]]


def read_scene(path: Path, once: OncePerCause) -> Scene:
    """Read a scene JSON and its calibrations; kinds of data other than pictures and point clouds are skipped.

    Raises DataError naming the file and the sample or datum.
    """
    content = _read_json(path)
    calibrations: dict[str, _Calibration] = {}
    try:
        data = {row["key"]: row for row in content["data"]}
        samples = content["samples"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: no DGP scene ({error!r})") from error
    found: list[list[Datum]] = []
    for place, sample in enumerate(samples):
        try:
            calibration_key, keys = sample["calibration_key"], sample["datum_keys"]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: sample {place}: {error!r}") from error
        if calibration_key not in calibrations:
            calibrations[calibration_key] = _read_calibration(path.parent / "calibration" / f"{calibration_key}.json")
        missing = next((key for key in keys if key not in data), None)
        if missing is not None:
            raise DataError(f"{path}: sample {place} refers to datum {missing}, which isn't in data")
        read = (_read_datum(path, data[key], calibrations[calibration_key], once) for key in keys)
        found.append([datum for datum in read if datum is not None])
    return Scene(path, path.resolve().parent.name, found)


def _read_datum(path: Path, row: dict[str, Any], calibration: _Calibration, once: OncePerCause) -> Datum | None:
    try:
        kind, value = next(iter(row["datum"].items()))
        if kind not in ("image", "point_cloud"):
            once.tell(f"kind {kind}", f"{path}: data of kind {kind} (datum {row['key']}) are skipped")
            return None
        sensor, timestamp, filename = row["id"]["name"], row["id"]["timestamp"], value["filename"]
        size = (int(value["width"]), int(value["height"])) if kind == "image" else None
        point_format = tuple(value.get("point_format") or ("X", "Y", "Z"))
    except (KeyError, TypeError, ValueError, StopIteration, AttributeError) as error:
        raise DataError(f"{path}: datum {row.get('key')}: {error!r}") from error
    if size is None and not {"X", "Y", "Z"} <= set(point_format):
        raise DataError(f"{path}: datum {row['key']}: points of {', '.join(point_format)} have no X, Y and Z")
    if sensor not in calibration.sensors:
        raise DataError(f"{calibration.path}: no sensor {sensor}, to which datum {row['key']} of {path.name} refers")
    intrinsics, mounting = calibration.sensors[sensor]
    camera = None if size is None else _camera(intrinsics, size, f"{calibration.path}: {sensor}", once)
    return Datum(row["key"], sensor, timestamp, filename, size, point_format, camera, _pose(value.get("pose")), mounting)


def _camera(values: dict[str, float], size: tuple[int, int], place: str, once: OncePerCause) -> PinholeCamera | None:
    bent = [name for name in _DISTORTION_FIELDS if values.get(name)]
    if bent:
        once.tell(f"distortion {place}", f"{place}: the lens distortion ({', '.join(bent)}) is ignored; rectified pictures are expected")
    try:
        if values.get("skew"):
            raise CameraError(f"skew {values['skew']} isn't supported")
        return PinholeCamera(*size, values["fx"], values["fy"], values["cx"], values["cy"])
    except (KeyError, TypeError, CameraError) as error:
        once.tell(f"camera {place}", f"{place}: {error}; its pictures have no camera")
        return None


def _read_calibration(path: Path) -> _Calibration:
    content = _read_json(path)
    try:
        rows = zip(content["names"], content["intrinsics"], content["extrinsics"], strict=True)
        return _Calibration(path, {name: (dict(intrinsics), _pose(extrinsics)) for name, intrinsics, extrinsics in rows})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no DGP calibration (names, intrinsics, extrinsics: {error!r})") from error


def _pose(value: Any) -> Matrix | None:
    """A DGP pose; None where a part is missing, isn't finite, or the quaternion has no length (protobuf's way to say nothing)."""
    try:
        position, rotation = value["translation"], value["rotation"]
        return pose_from_quaternion([position[name] for name in "xyz"], [rotation[f"q{name}"] for name in "xyzw"])
    except (KeyError, TypeError, ValueError):
        return None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
