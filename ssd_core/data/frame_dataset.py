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
from collections import defaultdict
from collections.abc import Iterator, Sequence
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

FORMAT_VERSION = 1
DESCRIPTION_FILE = "dataset.json"
FRAMES_FILE = "frames.jsonl"


def is_frame_dataset(path: Path) -> bool:
    """True for a folder with this format's dataset.json."""
    return (path / DESCRIPTION_FILE).is_file() and (path / FRAMES_FILE).exists()


class FrameDatasetWriter:
    """Adds frames to a folder; a run that was killed goes on where it stopped and ends with the same files.

    source: what the frames are made from, JSON values; a folder begun from something else is refused (DataError).
    """

    def __init__(self, folder: Path, source: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        description = {"format_version": FORMAT_VERSION, "source": json.loads(json.dumps(source))}
        path = folder / DESCRIPTION_FILE
        if path.exists():
            found = _read_description(folder)
            if found != description:
                raise DataError(f"{folder} was begun from {found['source']}, not from {source}; give another folder or remove this one")
        else:
            atomic_write_text(path, json.dumps(description, indent=2) + "\n")
            (folder / FRAMES_FILE).touch()
        self._known = {record["frame_id"] for record in read_json_lines(folder / FRAMES_FILE)}

    def __contains__(self, frame_id: str) -> bool:
        """True if the frame was written whole."""
        return frame_id in self._known

    def add(
        self,
        frame: Frame,
        image: bytes,
        suffix: str = ".jpg",
        lidar_depth: SparseDepth | None = None,
        depth: npt.NDArray[np.float32] | str | None = None,
    ) -> None:
        """Write one frame; `image` is a JPEG's or PNG's bytes, kept as they are. Does nothing for a frame that is there already.

        depth: dense (H, W) metres, or the frame_id of a frame that was added with the same depth.
        """
        if frame.frame_id in self._known:
            return
        record = _record_of(frame)
        record["image"] = f"images/{frame.frame_id}{suffix}"
        with atomic_write(self.folder / record["image"]) as file:
            file.write(image)
        if lidar_depth is not None:
            record["lidar_depth"] = f"lidar_depth/{frame.frame_id}.npz"
            self._save(record["lidar_depth"], u=lidar_depth.u, v=lidar_depth.v, z=lidar_depth.z)
        if isinstance(depth, str):
            record["depth"] = f"depth/{depth}.npz"
        elif depth is not None:
            record["depth"] = f"depth/{frame.frame_id}.npz"
            self._save(record["depth"], depth=depth.astype(np.float16))
        # The record comes last: a frame with a record is whole.
        append_json_line(self.folder / FRAMES_FILE, record)
        self._known.add(frame.frame_id)

    def _save(self, relative: str, **arrays: npt.NDArray[Any]) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        with atomic_write(self.folder / relative) as file:
            file.write(buffer.getvalue())


class FrameDataset:
    """Reads a folder of FrameDatasetWriter; a FrameSource. Raises DataError naming file and line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source: dict[str, Any] = _read_description(folder)["source"]
        try:
            self._records = {record["frame_id"]: record for record in read_json_lines(folder / FRAMES_FILE)}
        except (KeyError, ValueError) as error:
            raise DataError(f"{folder / FRAMES_FILE}: a record that can't be read: {error}") from error
        if not self._records:
            raise DataError(f"{folder}: no frames in {FRAMES_FILE}")
        self._frames = _link([_frame_of(record, folder) for record in self._records.values()])

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
        arrays = self._arrays(frame, "lidar_depth")
        return None if arrays is None else SparseDepth(arrays["u"], arrays["v"], arrays["z"])

    def dense_depth(self, frame: Frame) -> npt.NDArray[np.float32] | None:
        """(H, W) metres along the optical axis, +Inf for sky; None for frames without known depth everywhere."""
        arrays = self._arrays(frame, "depth")
        return None if arrays is None else arrays["depth"].astype(np.float32)

    def warnings(self) -> Sequence[str]:
        """Nothing: what is wrong with a dataset is an error."""
        return ()

    def close(self) -> None:
        """Nothing is held open."""

    def problems(self) -> Iterator[str]:
        """Every missing or damaged file, a sentence each; reads and decodes everything."""
        for frame in self._frames:
            try:
                image = self.image(frame)
                height, width = image.shape[:2]
                if frame.camera and (width, height) != frame.camera.size:
                    yield f"{frame.frame_id}: the image is {width}x{height}, its camera {frame.camera.width}x{frame.camera.height}"
                self._check_depths(frame, (height, width))
            except (DataError, ImageDecodeError) as error:
                yield str(error)

    def _check_depths(self, frame: Frame, shape: tuple[int, ...]) -> None:
        sparse = self.lidar_depth(frame)
        if (
            sparse is not None
            and sparse.u.size
            and (sparse.u.max() >= shape[1] or sparse.v.max() >= shape[0] or min(sparse.u.min(), sparse.v.min()) < 0)
        ):
            raise DataError(f"{frame.frame_id}: lidar depth outside its image of {shape[1]}x{shape[0]}")
        dense = self.dense_depth(frame)
        if dense is not None and dense.shape != shape:
            raise DataError(f"{frame.frame_id}: depth of {dense.shape[1]}x{dense.shape[0]} for an image of {shape[1]}x{shape[0]}")

    def _arrays(self, frame: Frame, kind: str) -> dict[str, npt.NDArray[Any]] | None:
        relative = self._records[frame.frame_id].get(kind)
        if relative is None:
            return None
        path = self.folder / relative
        try:
            with np.load(path, allow_pickle=False) as archive:
                return dict(archive)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: missing or damaged ({error})") from error


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
