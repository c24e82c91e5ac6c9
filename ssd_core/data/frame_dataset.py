# SPDX-License-Identifier: Apache-2.0
"""The project's own frames on disk: pictures as files, everything else a line of JSON; written resumably, checked line by line.

dataset.json      format version, what the frames were made from
frames.jsonl      a record a frame: id, sequence, camera, stamp, pose, speed, condition, and the paths below
images/           JPEG or PNG, bytes of the source where it had some
lidar_depth/      .npz with u, v (int32 pixels) and z (float32 metres along the optical axis)
depth/            .npz with depth (float16 metres along the optical axis, +Inf for sky), where depth is known everywhere
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError
from ssd_core.data.frame import UNKNOWN_CONDITION, Frame, linked
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image, ImageDecodeError, read_image
from ssd_core.storage.atomic_write import atomic_write, atomic_write_text
from ssd_core.storage.json_lines import append_json_line, read_json_lines
from ssd_core.storage.locks import take_lock

FORMAT_VERSION = 1
DESCRIPTION_FILE = "dataset.json"
FRAMES_FILE = "frames.jsonl"
_LOCK_FILE = f".{FRAMES_FILE}.lock"
_HALF_WRITTEN = (
    *(f"{folder}/**/.*.part" for folder in ("images", "lidar_depth", "depth")),
    *(f".{file}.*.part" for file in (DESCRIPTION_FILE, "extract.yaml")),  # the latter is extraction's
)


def is_frame_dataset(path: Path) -> bool:
    """True for a folder with this format's dataset.json."""
    return (path / DESCRIPTION_FILE).is_file() and (path / FRAMES_FILE).exists()


class FrameDatasetWriter:
    """Adds frames to a folder; a run that was killed goes on where it stopped and ends with the same files.

    source: what the frames are made from, JSON values; a folder begun from something else is refused (DataError), and so is one
    that another writer has open. It is open until `close`, the end of a `with` block, or until nothing refers to it any more.
    """

    def __init__(self, folder: Path, source: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        refusal = DataError(f"{folder}: another run writes frames into it. Fix: wait until it ends or stop it, or give another folder")
        self._lock = take_lock(folder / _LOCK_FILE, refusal)
        try:
            self._known = self._begin(source)
        except BaseException:
            self.close()
            raise

    def _begin(self, source: dict[str, Any]) -> set[str]:
        """Describe a new folder or check and tidy one that was begun; ids of the frames in it."""
        description = {"format_version": FORMAT_VERSION, "source": json.loads(json.dumps(source))}
        path = self.folder / DESCRIPTION_FILE
        if path.exists():
            found = _read_description(self.folder)
            if found != description:
                raise DataError(
                    f"{self.folder} was begun from {found['source']}, not from {source}; give another folder or remove this one"
                )
            _remove_half_written(self.folder)
        else:
            atomic_write_text(path, json.dumps(description, indent=2) + "\n")
            (self.folder / FRAMES_FILE).touch()
        return {record["frame_id"] for record in read_json_lines(self.folder / FRAMES_FILE)}

    def __enter__(self) -> FrameDatasetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other runs write into the folder; nothing may be added afterwards."""
        self._lock.release()

    def __contains__(self, frame_id: str) -> bool:
        """True if the frame was written whole."""
        return frame_id in self._known

    def add(
        self,
        frame: Frame,
        image: bytes,
        suffix: str = ".jpg",
        lidar_depth: SparseDepth | None = None,
        depth: npt.NDArray[np.float32] | bytes | str | None = None,
    ) -> None:
        """Write one frame; `image` is a JPEG's or PNG's bytes, kept as they are. Does nothing for a frame that is there already.

        depth: dense (H, W) metres, or what encode_depth made of them, or the frame_id of a frame that was added with the same depth.
        """
        if frame.frame_id in self._known:
            return
        record = _record_of(frame)
        record["image"] = f"images/{frame.frame_id}{suffix}"
        with atomic_write(self.folder / record["image"]) as file:
            file.write(image)
        if lidar_depth is not None:
            record["lidar_depth"] = f"lidar_depth/{frame.frame_id}.npz"
            self._save(record["lidar_depth"], _encode(u=lidar_depth.u, v=lidar_depth.v, z=lidar_depth.z))
        if isinstance(depth, str):
            record["depth"] = f"depth/{depth}.npz"
        elif depth is not None:
            record["depth"] = f"depth/{frame.frame_id}.npz"
            self._save(record["depth"], depth if isinstance(depth, bytes) else encode_depth(depth))
        # The record comes last: a frame with a record is whole.
        append_json_line(self.folder / FRAMES_FILE, record)
        self._known.add(frame.frame_id)

    def _save(self, relative: str, content: bytes) -> None:
        with atomic_write(self.folder / relative) as file:
            file.write(content)


def encode_depth(depth: npt.NDArray[np.float32]) -> bytes:
    """Dense (H, W) metres as a file of depth/ holds them, for FrameDatasetWriter.add."""
    return _encode(depth=depth.astype(np.float16))


def _encode(**arrays: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


class FrameDataset:
    """Reads a folder of FrameDatasetWriter; a FrameSource. cameras: names, None for all. Raises DataError naming file and line."""

    def __init__(self, folder: Path, cameras: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self.source: dict[str, Any] = _read_description(folder)["source"]
        try:
            self._records = {record["frame_id"]: record for record in read_json_lines(folder / FRAMES_FILE)}
        except (KeyError, ValueError) as error:
            raise DataError(f"{folder / FRAMES_FILE}: a record that can't be read: {error}") from error
        if not self._records:
            raise DataError(f"{folder}: no frames in {FRAMES_FILE}")
        chosen = _of_cameras(self._records.values(), cameras, folder)
        self._frames = _link([_frame_of(record, folder) for record in chosen])

    def frames(self) -> Sequence[Frame]:
        """All frames, in the order they were written."""
        return self._frames

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels, uint8 (H, W, 3) RGB (see FrameSource.image)."""
        path = self.folder / self._records[frame.frame_id]["image"]
        try:
            return read_image(path, min_size)
        except OSError as error:
            raise ImageDecodeError(
                f"{path}: {error.strerror}; `ssd-depth dataset check` lists all that is missing", "missing_image"
            ) from error

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """Lidar depth in the frame's image; None where there is none."""
        arrays = self._arrays(frame, "lidar_depth", ("u", "v", "z"))
        return None if arrays is None else SparseDepth(*arrays)

    def dense_depth(self, frame: Frame) -> npt.NDArray[np.float32] | None:
        """(H, W) metres along the optical axis, +Inf for sky; None for frames without known depth everywhere."""
        arrays = self._arrays(frame, "depth", ("depth",))
        return None if arrays is None else arrays[0].astype(np.float32)

    def has_dense_depth(self, frame: Frame) -> bool:
        """Whether depth is known everywhere in the frame; reads nothing."""
        return "depth" in self._records[frame.frame_id]

    def close(self) -> None:
        """Nothing is held open."""

    def problems(self, on_frame: Callable[[], None] = lambda: None) -> Iterator[str]:
        """Every missing or damaged file, a sentence each; reads and decodes everything. on_frame is called after each frame."""
        for frame in self._frames:
            for check in (self._check_image, self._check_lidar_depth, self._check_dense_depth):
                try:
                    check(frame)
                except (DataError, ImageDecodeError) as error:
                    yield str(error)
            on_frame()

    def _check_image(self, frame: Frame) -> None:
        height, width = self.image(frame).shape[:2]
        if frame.camera and (width, height) != frame.camera.size:
            path = self.folder / self._records[frame.frame_id]["image"]
            raise DataError(f"{path}: the image is {width}x{height}, its camera {frame.camera.width}x{frame.camera.height}")

    def _check_lidar_depth(self, frame: Frame) -> None:
        sparse = self.lidar_depth(frame)
        if sparse is None:
            return
        path = self.folder / self._records[frame.frame_id]["lidar_depth"]
        if not sparse.u.shape == sparse.v.shape == sparse.z.shape:
            raise DataError(f"{path}: {sparse.u.shape} columns, {sparse.v.shape} rows and {sparse.z.shape} depths don't belong together")
        if frame.camera and sparse.u.size:
            width, height = frame.camera.size
            if sparse.u.max() >= width or sparse.v.max() >= height or min(sparse.u.min(), sparse.v.min()) < 0:
                raise DataError(f"{path}: lidar depth outside its image of {width}x{height}")
        if not (np.isfinite(sparse.z).all() and (sparse.z > 0).all()):
            raise DataError(f"{path}: lidar depth that isn't finite and positive")

    def _check_dense_depth(self, frame: Frame) -> None:
        dense = self.dense_depth(frame)
        if dense is not None and frame.camera and dense.shape[::-1] != frame.camera.size:
            path = self.folder / self._records[frame.frame_id]["depth"]
            raise DataError(f"{path}: depth of {dense.shape[::-1]} for an image of {frame.camera.width}x{frame.camera.height}")

    def _arrays(self, frame: Frame, kind: str, names: Sequence[str]) -> list[npt.NDArray[Any]] | None:
        relative = self._records[frame.frame_id].get(kind)
        if relative is None:
            return None
        path = self.folder / relative
        try:
            with np.load(path, allow_pickle=False) as archive:
                return [archive[name] for name in names]
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or 'damaged'}; it is the {kind} of {frame.frame_id}") from error
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path}: damaged ({error}); it is the {kind} of {frame.frame_id}") from error


def _record_of(frame: Frame) -> dict[str, Any]:
    record: dict[str, Any] = {
        "frame_id": frame.frame_id,
        "sequence": frame.sequence,
        "camera_name": frame.camera_name,
        "stamp_ns": frame.stamp_ns,
        "condition": frame.condition,
        "is_static": frame.is_static,
        "speed_mps": frame.speed_mps,
        "camera": dataclasses.asdict(frame.camera) if frame.camera else None,
        "world_from_camera": frame.world_from_camera.tolist() if frame.world_from_camera is not None else None,
    }
    return record


def _frame_of(record: dict[str, Any], folder: Path) -> Frame:
    try:
        camera, pose = record.get("camera"), record.get("world_from_camera")
        return Frame(
            frame_id=record["frame_id"],
            sequence=record["sequence"],
            camera_name=record["camera_name"],
            stamp_ns=record["stamp_ns"],
            camera=PinholeCamera(**{**camera, "distortion": tuple(camera["distortion"])}) if camera else None,
            world_from_camera=np.array(pose, dtype=np.float64).reshape(4, 4) if pose is not None else None,
            speed_mps=record.get("speed_mps"),
            is_static=record.get("is_static", False),
            condition=record.get("condition", UNKNOWN_CONDITION),
        )
    except (KeyError, TypeError, ValueError, CameraError) as error:
        raise DataError(f"{folder / FRAMES_FILE}: frame {record.get('frame_id')}: {error!r}") from error


def _link(frames: list[Frame]) -> list[Frame]:
    """Neighbours are the frames of the same sequence, camera and condition before and after in time."""
    tracks: dict[tuple[str, str, str], list[Frame]] = defaultdict(list)
    for frame in frames:
        tracks[frame.sequence, frame.camera_name, frame.condition].append(frame)
    neighbours: dict[str, tuple[str | None, str | None]] = {}
    for track in tracks.values():
        ids = [frame.frame_id for frame in sorted(track, key=lambda frame: frame.stamp_ns)]
        neighbours.update(zip(ids, linked(ids), strict=True))
    return [
        dataclasses.replace(frame, previous_id=neighbours[frame.frame_id][0], next_id=neighbours[frame.frame_id][1]) for frame in frames
    ]


def _of_cameras(records: Iterable[dict[str, Any]], cameras: Sequence[str] | None, folder: Path) -> list[dict[str, Any]]:
    records = list(records)
    known = {record.get("camera_name") for record in records}
    unknown = [name for name in cameras or () if name not in known]
    if unknown:
        raise DataError(f"{folder}: no camera {', '.join(unknown)}; it has {', '.join(sorted(map(str, known)))}")
    return records if cameras is None else [record for record in records if record.get("camera_name") in cameras]


def _remove_half_written(folder: Path) -> None:
    """A killed run can't remove its temporary files; those below translated/ belong to runs that may still write."""
    for pattern in _HALF_WRITTEN:
        for path in folder.glob(pattern):
            if path.is_file():
                path.unlink(missing_ok=True)


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION_FILE
    try:
        description = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(f"{folder} is no frame dataset: it has no {DESCRIPTION_FILE}") from error
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error})") from error
    if not isinstance(description, dict) or description.get("format_version") != FORMAT_VERSION:
        raise DataError(f"{path}: format version {FORMAT_VERSION} is expected")
    return description
