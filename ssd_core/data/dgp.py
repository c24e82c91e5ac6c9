# SPDX-License-Identifier: Apache-2.0
"""DGP scenes (DDAD and its kin) as a source of frames: a world pose for every picture and every scan."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.data.dgp_scene import Datum, Scene, read_scene
from ssd_core.data.ego_motion import Fix, is_static, speed_between
from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.data.frame import UNKNOWN_CONDITION, Frame, linked
from ssd_core.data.sensor_files import finite_points, read_frame_image
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import Matrix, invert_pose, transform_points
from ssd_core.images.codec import Image

_SPLITS = {"train": "0", "val": "1", "test": "2"}  # keys of scene_splits in a dataset JSON
_YEAR_OF_SCALED_STAMPS = 2100


class _Picture(NamedTuple):
    """One picture, its scene, and the scan of the same sample."""

    datum: Datum
    scan: Datum | None
    scene: Scene


class DgpFrames:
    """A FrameSource over DGP scenes: scene_*.json with calibration/, rgb/ and point_cloud/ beside it.

    path: a scene's folder or JSON, a folder of scenes, or a dataset JSON (ddad.json). split: train, val or test, as the dataset JSON lists
    them; "all" for every scene (of the list, or of the folder without one). cameras: names, None for all. condition: what DGP doesn't
    say. Frame ids are "scene folder/camera/name of the picture".

    time_scale: what stamps are multiplied by. DGP's test scenes carry stamps that run ten times too fast (0.1 s apart is written as 1 s,
    in the year 2464): by default such impossible stamps are scaled by 0.1, with a warning, and all others taken as they are.

    Raises DataError naming file and record for a missing or broken JSON, an unknown camera, calibration or datum, an unknown split
    and a split without pictures.
    """

    def __init__(
        self,
        path: Path,
        cameras: Sequence[str] | None = None,
        split: str = "all",
        time_scale: float | None = None,
        condition: str = UNKNOWN_CONDITION,
    ) -> None:
        self.warnings: list[str] = []
        self._once = OncePerCause(self.warnings)
        self._time_scale = time_scale
        self._condition = condition
        self._pictures: dict[str, _Picture] = {}
        self._points: tuple[Path, npt.NDArray[np.float64]] | None = None
        self._frames: list[Frame] = []
        scenes = [read_scene(file, self._once) for file in _find_scenes(path, split, self._once)]
        present = sorted({datum.sensor for scene in scenes for sample in scene.samples for datum in sample if datum.size is not None})
        unknown = [name for name in cameras or () if name not in present]
        if unknown:
            raise DataError(f"{path}: no camera {', '.join(unknown)}; it has {', '.join(present)}")
        for scene in scenes:
            self._frames += self._scene_frames(scene, frozenset(cameras or present))
        if not self._frames:
            raise DataError(f"{path}: {len(scenes)} scenes without a picture in split {split!r}")

    def frames(self) -> Sequence[Frame]:
        """All frames: scene by scene, sample by sample, so that the cameras of one sample share a lidar scan."""
        return self._frames

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels; raises ImageDecodeError naming file and frame."""
        picture = self._pictures[frame.frame_id]
        return read_frame_image(picture.scene.folder / picture.datum.filename, frame.frame_id, picture.datum.size, min_size)

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """The sample's scan in frame.camera through the poses of both, nearest point wins.

        None without scan or intrinsics. Where one of both has no pose the mounting alone is used, with a warning. Raises DataError for a
        scan whose file is gone or damaged.
        """
        picture = self._pictures[frame.frame_id]
        if picture.scan is None or frame.camera is None:
            return None
        motion = self._camera_from_scan(frame, picture, picture.scan)
        if motion is None:
            return None
        return project_lidar(transform_points(motion, self._read_points(picture, picture.scan, frame.frame_id)), frame.camera)

    def close(self) -> None:
        """Nothing is held open."""

    def _camera_from_scan(self, frame: Frame, picture: _Picture, scan: Datum) -> Matrix | None:
        if frame.world_from_camera is not None and scan.world_from_sensor is not None:
            return np.asarray(invert_pose(frame.world_from_camera) @ scan.world_from_sensor)
        camera, lidar = picture.datum.vehicle_from_sensor, scan.vehicle_from_sensor
        self._once.tell("lidar pose", f"{picture.scene.path}: {frame.frame_id} or its scan has no pose; motion between both is ignored")
        return None if camera is None or lidar is None else np.asarray(invert_pose(camera) @ lidar)

    def _read_points(self, picture: _Picture, scan: Datum, frame_id: str) -> npt.NDArray[np.float64]:
        path = picture.scene.folder / scan.filename
        if self._points is None or self._points[0] != path:
            self._points = path, _read_npz(path, scan.point_format, frame_id, self._once)
        return self._points[1]

    def _scene_frames(self, scene: Scene, cameras: frozenset[str]) -> list[Frame]:
        chains: dict[str, list[Datum]] = {name: [] for name in cameras}
        order: list[str] = []
        for sample in scene.samples:
            scan = next((datum for datum in sample if datum.size is None), None)
            for datum in sorted(sample, key=lambda datum: datum.sensor):
                if datum.size is not None and datum.sensor in cameras:
                    frame_id = _frame_id(scene, datum)
                    self._pictures[frame_id] = _Picture(datum, scan, scene)
                    chains[datum.sensor].append(datum)
                    order.append(frame_id)
        frames = {frame.frame_id: frame for chain in chains.values() for frame in self._chain_frames(scene, chain)}
        return [frames[frame_id] for frame_id in order]

    def _chain_frames(self, scene: Scene, chain: list[Datum]) -> list[Frame]:
        """The frames of one camera, linked in order of time."""
        stamped = sorted(((self._stamp_ns(datum, scene), datum) for datum in chain), key=lambda pair: pair[0])
        poses = [datum.world_from_sensor for _, datum in stamped]
        fixes = [Fix(stamp, None if pose is None else pose[:3, 3]) for (stamp, _), pose in zip(stamped, poses, strict=True)]
        ids = [_frame_id(scene, datum) for _, datum in stamped]
        frames = []
        for index, ((stamp, datum), (previous_id, next_id)) in enumerate(zip(stamped, linked(ids), strict=True)):
            if datum.world_from_sensor is None:
                self._once.tell("pose", f"{scene.path}: datum {datum.key} ({datum.sensor}) has no usable pose; such frames have none")
            speed = speed_between(fixes[max(0, index - 1) : index + 2])
            frame = Frame(
                ids[index], scene.name, datum.sensor, stamp, datum.camera, datum.world_from_sensor, speed, is_static(speed),
                self._condition, previous_id, next_id,
            )  # fmt: skip
            frames.append(frame)
        return frames

    def _stamp_ns(self, datum: Datum, scene: Scene) -> int:
        try:
            # Python 3.10 reads three or six digits behind the point only; protobuf writes nine too.
            text = re.sub(r"\.(\d+)", lambda digits: f".{digits[1][:6]:0<6}", datum.timestamp.replace("Z", "+00:00"))
            time = datetime.fromisoformat(text)
        except ValueError as error:
            raise DataError(f"{scene.path}: datum {datum.key}: {error}") from error
        if time.tzinfo is None:
            time = time.replace(tzinfo=timezone.utc)
        since = time - datetime(1970, 1, 1, tzinfo=timezone.utc)
        nanoseconds = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
        scale = self._time_scale
        if scale is None:
            scale = 0.1 if time.year >= _YEAR_OF_SCALED_STAMPS else 1.0
            if scale != 1:
                self._once.tell("stamps", f"{scene.path}: stamps in the year {time.year} run ten times too fast; they are scaled by 0.1")
        return nanoseconds * round(scale * 1_000_000_000) // 1_000_000_000  # in floats nanoseconds would be lost


def is_dgp(path: Path) -> bool:
    """True for a DGP scene (folder or JSON), a folder of scenes, or a dataset JSON."""
    if path.is_dir():
        return any(path.glob("scene_*.json")) or any(path.glob("*/scene_*.json"))
    return path.suffix == ".json" and path.is_file() and (path.name.startswith("scene_") or "scene_splits" in _read_dataset(path))


def _find_scenes(path: Path, split: str, once: OncePerCause) -> list[Path]:
    if split != "all" and split not in _SPLITS:
        raise DataError(f"{path}: no split {split!r} in DGP; choose {', '.join(_SPLITS)} or all")
    if path.is_dir():
        scenes = [file for file in sorted(path.glob("scene_*.json")) if "scene_splits" not in _read_dataset(file)]
        if not scenes and split != "all":
            lists = [file for file in sorted(path.glob("*.json")) if "scene_splits" in _read_dataset(file)]
            if len(lists) != 1:
                names = ", ".join(file.name for file in lists) or "none"
                raise DataError(f"{path}: split {split!r} needs one dataset JSON, here are {names}; give the path of one")
            return _listed_scenes(lists[0], split, once)
        scenes = scenes or sorted(path.glob("*/scene_*.json"))
    elif path.is_file() and "scene_splits" in _read_dataset(path):
        return _listed_scenes(path, split, once)
    else:
        scenes = [path]
    if not scenes:
        raise DataError(f"{path}: no DGP scene (scene_*.json) in it or in the folders below")
    return scenes


def _listed_scenes(path: Path, split: str, once: OncePerCause) -> list[Path]:
    """The scenes of a dataset JSON that are on disk; DGP sets are often downloaded in part."""
    splits: dict[str, Any] = _read_dataset(path)["scene_splits"]
    keys = splits if split == "all" else [_SPLITS[split]]
    names = dict.fromkeys(name for key in keys for name in splits.get(key, {}).get("filenames", []))
    scenes = [path.parent / name for name in names]
    missing = [scene for scene in scenes if not scene.is_file()]
    if len(missing) == len(scenes):
        raise DataError(f"{path}: none of the {len(scenes)} scenes of split {split!r} is there ({missing[0] if missing else 'empty list'})")
    if missing:
        once.tell("scenes", f"{path}: {len(missing)} of {len(scenes)} scenes are missing, the first is {missing[0]}")
    return [scene for scene in scenes if scene not in missing]


def _read_dataset(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no DGP JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def _frame_id(scene: Scene, datum: Datum) -> str:
    return f"{scene.name}/{datum.sensor}/{Path(datum.filename).stem}"


def _read_npz(path: Path, point_format: Sequence[str], frame_id: str, once: OncePerCause) -> npt.NDArray[np.float64]:
    """x, y, z of a scan, (N, 3) metres in the lidar's frame."""
    columns = [point_format.index(name) for name in ("X", "Y", "Z")]
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive["data"]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; {frame_id} needs this lidar scan") from error
    except Exception as error:  # zipfile, zlib, struct and numpy each raise their own on damage
        raise DataError(f"{path}: damaged scan of {frame_id} ({error!r})") from error
    if values.ndim != 2 or values.shape[1] < len(point_format):
        raise DataError(f"{path}: an array of {values.shape} isn't points of {', '.join(point_format)}, which the scan of {frame_id} has")
    return finite_points(values[:, columns].astype(np.float64), path, once)
