# SPDX-License-Identifier: Apache-2.0
"""Oxford RobotCar as a source of frames: the left stereo camera undistorted, laser scans accumulated along visual odometry."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.data.ego_motion import Fix, is_static, speed_between
from ssd_core.data.errors import DataError, OncePerCause
from ssd_core.data.frame import UNKNOWN_CONDITION, Frame
from ssd_core.data.robotcar_files import (
    VisualOdometry,
    read_camera_model,
    read_distortion_table,
    read_extrinsics,
    read_scan,
)
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import Matrix, invert_pose, transform_points
from ssd_core.images.codec import Image, ImageDecodeError
from ssd_core.images.encodings import decode_raw_image
from ssd_core.images.resize import resize_image
from ssd_core.road_world.weather import CONDITIONS as RENDERED_CONDITIONS

CAMERA_NAME = "stereo/left"
MODEL_NAME = "stereo_wide_left"
LASERS = ("lms_front", "ldmrs")
SPLITS = ("all", "train", "val", "test")
CONDITIONS = {"2014-12-09-13-21-02": "day-clear", "2014-12-16-18-44-24": "night"}
"""Conditions of the two traverses of the usual protocol, by name."""
# Longer words first: night is also in night-rain.
_CONDITION_WORDS = sorted(RENDERED_CONDITIONS, key=len, reverse=True)

_KEPT_SHARE = 0.8  # 768 of 960 rows: below them is the vehicle's own bonnet
_MIN_DEPTH = 0.1
_CACHED_SCANS = 1024

_BLOCK_US, _BLOCKS, _MARGIN_US, _STEP_US = 60_000_000, 10, 5_000_000, 1_000_000
OWN_SPLIT_RULE = (
    "own rule: each traverse in blocks of 60 s from its first picture; of every ten blocks eight are train, the ninth val,"
    " the tenth test; val and test leave out 5 s at both ends of a block and take the first picture of each second;"
    " frames known to stand still are left out"
)


class RobotCarFrames:
    """A FrameSource over traverses of Oxford RobotCar, left stereo camera.

    root: a folder of traverses (2014-12-09-13-21-02/stereo/left/<microseconds>.png, stereo.timestamps, lms_front/, vo/vo.csv, ...) or one
    traverse. `models` and `extrinsics` are in root or beside the traverse.
    Gray PNGs are raw Bayer (GBRG) pictures, which are demosaiced and undistorted by the table of the camera model; colour PNGs
    count as undistorted already.

    split_files: lists with `prev cur next` or `cur` stamps a line; frames are then the `cur` ones, with those neighbours. Without
    a list, split is all, train, val or test by OWN_SPLIT_RULE. The attribute `split` says which it was, in words for a report.
    condition: None takes it from the traverse's name, see `condition_of`.

    kept_rows: rows kept from the top, None for 80 % (768 of 960), as the protocol wants; size (width, height): resized to
    that, exactly with its intrinsics; None keeps the pixels. Depth is that of all scans of `laser` within accumulate_s of the picture,
    moved along the odometry, nearest point of a pixel, up to max_depth metres.

    Frame ids are "<traverse>/stereo/left/<microseconds>", the sequence is the traverse. `frame` finds any picture, also outside the split.
    No pixel is opened to build it. Raises DataError naming file and record.
    """

    def __init__(
        self,
        root: Path,
        traverses: Sequence[str] | None = None,
        split: str = "all",
        split_files: Sequence[Path] = (),
        condition: str | None = None,
        laser: str = "lms_front",
        kept_rows: int | None = None,
        size: tuple[int, int] | None = None,
        max_depth: float = 50.0,
        accumulate_s: float = 4.0,
    ) -> None:
        if split not in SPLITS:
            raise DataError(f"{root}: no split {split!r} in RobotCar; choose {', '.join(SPLITS)}, or give split lists")
        if laser not in LASERS:
            raise DataError(f"{root}: unknown laser {laser!r}; choose {', '.join(LASERS)}")
        self.root = root
        self.warnings: list[str] = []
        once = OncePerCause(self.warnings)
        folders = _find_traverses(root, traverses)
        models = _find_beside(root, "models")
        extrinsics = _find_beside(root, "extrinsics")
        view = _View(models, folders[0], kept_rows, size)
        lasers = _LaserOptions(laser, round(accumulate_s * 1e6), max_depth)
        self._traverses = {folder.name: _Traverse(folder, view, extrinsics, lasers, condition, once) for folder in folders}
        if split_files:
            self.split = f"lists {', '.join(file.name for file in split_files)}"
            self._frames = [frame for file in split_files for frame in self._listed(file)]
        else:
            self.split = "all" if split == "all" else f"{split} ({OWN_SPLIT_RULE})"
            self._frames = [frame for traverse in self._traverses.values() for frame in _choose(traverse.frames(), split)]
        if not self._frames:
            raise DataError(f"{root}: no picture in split {self.split}; traverses: {', '.join(self._traverses)}")

    def frames(self) -> Sequence[Frame]:
        """The frames of the split, traverse by traverse in order of time (or of the list)."""
        return self._frames

    def frame(self, frame_id: str) -> Frame:
        """Any picture by its id, in the split or not; raises DataError for an unknown one."""
        traverse, stamp = self._find(frame_id)
        return traverse.frame(stamp)

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The undistorted pixels, top rows only, in the size asked for at construction; raises ImageDecodeError naming the file."""
        del min_size  # PNG has no reduced sizes
        traverse, stamp = self._find(frame.frame_id)
        return traverse.image(stamp)

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """Accumulated laser depth in frame.camera; None without a pose or any scan. Raises DataError for a damaged scan."""
        traverse, stamp = self._find(frame.frame_id)
        return traverse.depth(frame, stamp)

    def close(self) -> None:
        """Forget the scans kept in memory."""
        for traverse in self._traverses.values():
            traverse.forget_scans()

    def _find(self, frame_id: str) -> tuple[_Traverse, int]:
        name, _, rest = frame_id.partition("/")
        traverse = self._traverses.get(name)
        camera, _, stamp = rest.rpartition("/")
        if traverse is None or camera != CAMERA_NAME or not stamp.isdigit() or int(stamp) not in traverse.places:
            raise DataError(f"{self.root}: no picture {frame_id}")
        return traverse, int(stamp)

    def _listed(self, file: Path) -> list[Frame]:
        by_stamp = {stamp: traverse for traverse in self._traverses.values() for stamp in traverse.places}
        frames: list[Frame] = []
        absent: list[int] = []
        lines = _read_split(file)
        for previous, current, following in lines:
            gone = [stamp for stamp in (previous, current, following) if stamp is not None and stamp not in by_stamp]
            absent += gone[:1]
            if not gone:
                frames.append(by_stamp[current].frame(current, previous, following))
        if absent:
            self.warnings.append(
                f"{file}: {len(absent)} of {len(lines)} lines name pictures that aren't in {self.root}, the first {absent[0]}"
            )
        return frames


class _View:
    """What becomes of a raw picture: undistorted, cut to its top rows, resized; and the camera of the result."""

    def __init__(self, models: Path, traverse: Path, kept_rows: int | None, size: tuple[int, int] | None) -> None:
        self.raw_size = _first_picture_size(traverse / CAMERA_NAME)
        full, self.camera_from_optical = read_camera_model(models / f"{MODEL_NAME}.txt", self.raw_size)
        self.rows = round(_KEPT_SHARE * full.height) if kept_rows is None else kept_rows
        if not 1 <= self.rows <= full.height:
            raise DataError(f"{traverse}: {self.rows} rows can't be kept of pictures of {full.width}x{full.height}")
        cropped = full.cropped(0, 0, full.width, self.rows)
        self.camera = cropped if size is None else cropped.scaled(*size)
        self._table_file = models / f"{MODEL_NAME}_distortion_lut.bin"
        self._maps: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = None

    def undistort(self, raw: Image) -> Image:
        """Raw colours of the full picture -> the view's picture."""
        columns, rows = self._read_maps()
        picture = cv2.remap(raw, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return resize_image(np.asarray(picture, dtype=np.uint8), self.camera.size)

    def cut(self, undistorted: Image) -> Image:
        """An undistorted full picture -> the view's picture."""
        return resize_image(undistorted[: self.rows], self.camera.size)

    def _read_maps(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        if self._maps is None:
            table = read_distortion_table(self._table_file, self.raw_size)[: self.rows]
            self._maps = np.ascontiguousarray(table[..., 0]), np.ascontiguousarray(table[..., 1])
        return self._maps


class _LaserOptions:
    """Which laser, how far from the picture in time, and up to which depth."""

    def __init__(self, name: str, reach_us: int, max_depth: float) -> None:
        self.name, self.reach_us, self.max_depth = name, reach_us, max_depth


class _Traverse:
    """One drive: its pictures, where each was taken, and its scans."""

    def __init__(
        self, folder: Path, view: _View, extrinsics: Path, lasers: _LaserOptions, condition: str | None, once: OncePerCause
    ) -> None:
        self.folder, self._view, self._lasers, self._once = folder, view, lasers, once
        self._condition = condition or condition_of(folder.name)
        self.stamps = _stamps_in(folder / CAMERA_NAME, ".png")
        self._check_timestamps()
        self.places = {int(stamp): place for place, stamp in enumerate(self.stamps)}
        self._odometry = self._read_odometry()
        vehicle_from_camera = invert_pose(read_extrinsics(extrinsics / "stereo.txt"))
        self._vehicle_from_optical = vehicle_from_camera @ view.camera_from_optical
        self._laser_file = extrinsics / f"{lasers.name}.txt"
        self._vehicle_from_laser: Matrix | None = None
        poses, self._stretches = self._vehicle_poses(self.stamps)
        self._poses = poses @ self._vehicle_from_optical
        self._scan_stamps: npt.NDArray[np.int64] | None = None
        self._scans: OrderedDict[int, npt.NDArray[np.float64]] = OrderedDict()

    def frames(self) -> list[Frame]:
        """Every picture of the drive in order of time."""
        return [self.frame(int(stamp)) for stamp in self.stamps]

    def frame(self, stamp_us: int, previous_us: int | None = None, next_us: int | None = None) -> Frame:
        """The frame of a picture; its neighbours are the pictures just before and after, or those given."""
        place = self.places[stamp_us]
        beside = [self._linked(place, -1), self._linked(place, 1)]
        fixes = [Fix(int(self.stamps[near]) * 1000, self._position(near)) for near in (place, *beside) if near is not None]
        speed = speed_between(fixes)
        before, after = (None if near is None else int(self.stamps[near]) for near in beside)
        return Frame(
            frame_id=self._frame_id(stamp_us) or "",
            sequence=self.folder.name,
            camera_name=CAMERA_NAME,
            stamp_ns=stamp_us * 1000,
            camera=self._view.camera,
            world_from_camera=None if self._stretches[place] < 0 else self._poses[place],
            speed_mps=speed,
            is_static=is_static(speed),
            condition=self._condition,
            previous_id=self._frame_id(before if previous_us is None else previous_us),
            next_id=self._frame_id(after if next_us is None else next_us),
        )

    def image(self, stamp_us: int) -> Image:
        """The view of a picture; raises ImageDecodeError naming the file."""
        path = self.folder / CAMERA_NAME / f"{stamp_us}.png"
        try:
            data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        except OSError as error:
            raise ImageDecodeError(f"{path}: {error.strerror}", "missing_image") from error
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if pixels is None or pixels.dtype != np.uint8:
            raise ImageDecodeError(f"{path}: {data.size} bytes that are no whole 8-bit PNG")
        height, width = pixels.shape[:2]
        if (width, height) != self._view.raw_size:
            expected = "x".join(map(str, self._view.raw_size))
            raise ImageDecodeError(f"{path}: {width}x{height} pixels, the camera model is read for {expected}", "image_size")
        if pixels.ndim == 3:
            colours = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
            return self._view.cut(np.asarray(colours, dtype=np.uint8))
        return self._view.undistort(decode_raw_image(pixels.reshape(-1), "bayer_gbrg8", width, height, width))

    def depth(self, frame: Frame, stamp_us: int) -> SparseDepth | None:
        """All scans within reach, moved to where the camera was."""
        stretch = self._stretches[self.places[stamp_us]]
        if frame.world_from_camera is None or frame.camera is None or stretch < 0:
            return None
        stamps = self._scans_within(stamp_us - self._lasers.reach_us, stamp_us + self._lasers.reach_us)
        poses, stretches = self._vehicle_poses(stamps)
        camera_from_world = invert_pose(frame.world_from_camera)
        clouds = [
            transform_points(camera_from_world @ pose @ self._laser_mounting(), self._scan(int(stamp)))
            for stamp, pose, of_scan in zip(stamps, poses, stretches, strict=True)
            if of_scan == stretch
        ]
        if not clouds:
            return None
        return project_lidar(np.concatenate(clouds), frame.camera, _MIN_DEPTH, self._lasers.max_depth)

    def forget_scans(self) -> None:
        """Empty the cache of scans."""
        self._scans.clear()

    def _frame_id(self, stamp_us: int | None) -> str | None:
        return None if stamp_us is None else f"{self.folder.name}/{CAMERA_NAME}/{stamp_us}"

    def _linked(self, place: int, step: int) -> int | None:
        near = place + step
        # Poses of two stretches of odometry have nothing to do with each other.
        return near if 0 <= near < len(self.stamps) and self._stretches[near] == self._stretches[place] else None

    def _position(self, place: int) -> npt.NDArray[np.float64] | None:
        return None if self._stretches[place] < 0 else np.asarray(self._poses[place, :3, 3])

    def _check_timestamps(self) -> None:
        file = self.folder / "stereo.timestamps"
        if not file.is_file():
            return
        try:
            listed = {int(line.split()[0]) for line in file.read_text().splitlines() if line.strip()}
        except ValueError as error:
            raise DataError(f"{file}: no list of `microseconds chunk` lines ({error})") from error
        absent = listed - set(self.stamps.tolist())
        if absent:
            self._once.tell(str(file), f"{file}: {len(absent)} of {len(listed)} pictures aren't there, the first {min(absent)}.png")

    def _read_odometry(self) -> VisualOdometry | None:
        file = self.folder / "vo" / "vo.csv"
        if not file.exists():
            self._once.tell(str(file), f"{file}: no such file; the pictures of this traverse have no poses and no laser depth")
            return None
        odometry = VisualOdometry(file)
        if odometry.stretch_count > 1:
            self._once.tell(str(file), f"{file}: the odometry breaks off {odometry.stretch_count - 1} times; poses start anew each time")
        return odometry

    def _vehicle_poses(self, stamps: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        if self._odometry is None:
            return np.tile(np.eye(4), (len(stamps), 1, 1)), np.full(len(stamps), -1, dtype=np.int64)
        return self._odometry.at(stamps)

    def _laser_mounting(self) -> Matrix:
        if self._vehicle_from_laser is None:
            self._vehicle_from_laser = read_extrinsics(self._laser_file)
        return self._vehicle_from_laser

    def _scans_within(self, start_us: int, end_us: int) -> npt.NDArray[np.int64]:
        if self._scan_stamps is None:
            folder = self.folder / self._lasers.name
            self._scan_stamps = _stamps_in(folder, ".bin") if folder.is_dir() else np.empty(0, dtype=np.int64)
            if not len(self._scan_stamps):
                self._once.tell(str(folder), f"{folder}: no laser scans; the pictures of this traverse have no depth")
        first, last = np.searchsorted(self._scan_stamps, [start_us, end_us + 1])
        return self._scan_stamps[first:last]

    def _scan(self, stamp_us: int) -> npt.NDArray[np.float64]:
        """Neighbouring pictures need nearly the same 400 scans."""
        if stamp_us in self._scans:
            self._scans.move_to_end(stamp_us)
        else:
            self._scans[stamp_us] = read_scan(self.folder / self._lasers.name / f"{stamp_us}.bin", self._lasers.name)
            if len(self._scans) > _CACHED_SCANS:
                self._scans.popitem(last=False)
        return self._scans[stamp_us]


def condition_of(traverse: str) -> str:
    """The condition of a traverse: from CONDITIONS, or from its name if that holds the word ("rendered-night-0003"), else "unknown"."""
    words = (word for word in _CONDITION_WORDS if word in traverse)
    return CONDITIONS.get(traverse) or next(words, UNKNOWN_CONDITION)


def open_robotcar(root: Path, split: str | None = None, cameras: Sequence[str] | None = None) -> RobotCarFrames:
    """RobotCar with a split by name (see SPLITS), or by the paths of split lists, separated by commas; None for all pictures.

    Raises DataError for another camera than the one that is read.
    """
    unknown = [name for name in cameras or () if name != CAMERA_NAME]
    if unknown:
        raise DataError(f"{root}: no camera {', '.join(unknown)}; of RobotCar {CAMERA_NAME} is read")
    if split is None or split in SPLITS:
        return RobotCarFrames(root, split=split or "all")
    files = [Path(word) for word in split.split(",")]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        raise DataError(f"{root}: split {', '.join(absent)} is neither a file nor one of {', '.join(SPLITS)}")
    return RobotCarFrames(root, split_files=files)


def is_robotcar(path: Path) -> bool:
    """True for a traverse of RobotCar or a folder of traverses."""
    return path.is_dir() and ((path / CAMERA_NAME).is_dir() or any(path.glob(f"*/{CAMERA_NAME}")))


def _find_traverses(root: Path, names: Sequence[str] | None) -> list[Path]:
    if (root / CAMERA_NAME).is_dir():
        folders = [root.resolve()]
    else:
        folders = sorted(folder.parent.parent for folder in root.glob(f"*/{CAMERA_NAME}")) if root.is_dir() else []
    if not folders:
        raise DataError(f"{root}: no traverse of RobotCar in it (<traverse>/{CAMERA_NAME}/*.png)")
    known = {folder.name: folder for folder in folders}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise DataError(f"{root}: no traverse {', '.join(unknown)}; it has {', '.join(known)}")
    return folders if names is None else [known[name] for name in names]


def _find_beside(root: Path, name: str) -> Path:
    for folder in (root / name, root.resolve().parent / name):
        if folder.is_dir():
            return folder
    raise DataError(f"{root}: no folder {name} in it or beside it; it comes with the RobotCar SDK, give its path")


def _stamps_in(folder: Path, suffix: str) -> npt.NDArray[np.int64]:
    with os.scandir(folder) as entries:
        stems = [entry.name.removesuffix(suffix) for entry in entries if entry.name.endswith(suffix)]
    return np.array(sorted(int(stem) for stem in stems if stem.isdigit()), dtype=np.int64)


def _first_picture_size(folder: Path) -> tuple[int, int]:
    """From the header of the first PNG that has one."""
    for stamp in _stamps_in(folder, ".png"):
        with (folder / f"{stamp}.png").open("rb") as file:
            head = file.read(24)
        if len(head) == 24 and head[12:16] == b"IHDR":
            return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    raise DataError(f"{folder}: no picture <microseconds>.png with a readable header")


def _read_split(file: Path) -> list[tuple[int | None, int, int | None]]:
    """(previous, current, next) stamps of every line."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: no split list ({error})") from error
    rows: list[tuple[int | None, int, int | None]] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) not in (1, 3) or not all(re.fullmatch(r"\d+", word) for word in words):
            raise DataError(f"{file}: line {number}: {line!r} is neither `prev cur next` nor `cur` in microseconds")
        stamps = [int(word) for word in words]
        rows.append((stamps[0], stamps[1], stamps[2]) if len(stamps) == 3 else (None, stamps[0], None))
    if not rows:
        raise DataError(f"{file}: the split list is empty")
    return rows


def _choose(frames: Sequence[Frame], split: str) -> Iterable[Frame]:
    """The frames of one traverse that OWN_SPLIT_RULE puts into a split."""
    if split == "all" or not frames:
        return frames
    chosen: list[Frame] = []
    taken: set[int] = set()
    for frame in frames:
        since_us = (frame.stamp_ns - frames[0].stamp_ns) // 1000
        place, within = (since_us // _BLOCK_US) % _BLOCKS, since_us % _BLOCK_US
        name = "train" if place < _BLOCKS - 2 else "val" if place == _BLOCKS - 2 else "test"
        if name != split or frame.is_static:
            continue
        if name != "train":
            second = since_us // _STEP_US
            if not _MARGIN_US <= within < _BLOCK_US - _MARGIN_US or second in taken:
                continue
            taken.add(second)
        chosen.append(frame)
    return chosen
