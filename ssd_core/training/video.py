# SPDX-License-Identifier: Apache-2.0
"""Video to learn from without known depth: triplets of recordings of any kind and of rendered clips, as one data set."""

from __future__ import annotations

import bisect
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pydantic
from torch.utils.data import Dataset

from ssd_core.data.errors import DataError
from ssd_core.data.frame import UNKNOWN_CONDITION, Frame, FrameSource
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.nuscenes import training_split
from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.data.source import open_source
from ssd_core.data.translations import read_translations
from ssd_core.data.triplets import (
    NO_AUGMENTATION,
    Augmentation,
    Draw,
    StandIn,
    Triplet,
    TripletDataset,
    TripletRule,
    distance_by_speed,
    find_triplets,
)
from ssd_core.geometry.pose import Matrix, invert_pose
from ssd_core.model.config import TrainingCamera
from ssd_core.storage.configuration import StrictModel


class RecordedVideo(StrictModel):
    """A recording: a frame dataset, a bag, nuScenes, RobotCar, a folder of pictures with poses, ... (see `open_source`)."""

    path: Path
    cameras: tuple[str, ...] | None = None
    """None: all."""
    split: str | None = None
    """Of a data set that has splits; nuScenes must have one, of v1.0-mini mini_train or mini_val."""
    conditions: tuple[str, ...] = ("day-clear", UNKNOWN_CONDITION)
    """Only frames of these are learnt on; the teacher learns by clear day."""
    min_distance: pydantic.NonNegativeFloat = 0.0
    """Metres that neighbours are at least apart, by poses or speeds; 0 with min_gap_s 0 takes the very next frames."""
    min_gap_s: pydantic.NonNegativeFloat = 0.0
    max_gap_s: pydantic.PositiveFloat = 1.0
    translations: Path | None = None
    """Folder in which translated/ lies (`ssd-depth synthesize --out`), where that isn't `path`."""


class Video(NamedTuple):
    """A source ready to be opened by every process, its triplets, and its frames of all conditions."""

    open: Callable[[], FrameSource]
    triplets: list[Triplet]
    frames: Sequence[Frame]
    dropped: Counter[str]


def open_video(source: RecordedVideo | RenderedSequences, folder: Path) -> Video:
    """Find the triplets. `folder`: where the recording is, or where the plan was rendered.

    Raises DataError naming the folder if there are no triplets, and saying why, and for nuScenes where nobody chose between train and val.
    """
    if isinstance(source, RenderedSequences):
        opened: Callable[[], FrameSource] = functools.partial(FrameDataset, folder)
        conditions: tuple[str, ...] = (source.condition,)
        rule = TripletRule(max_gap_s=1.5 * source.interval_s)
    else:
        _check_split(source, folder)
        opened = functools.partial(open_source, folder, source.cameras, split=source.split)
        conditions = source.conditions
        rule = TripletRule(source.min_distance, source.min_gap_s, source.max_gap_s)
    reader = opened()
    try:
        frames = reader.frames()
        by_id = {frame.frame_id: frame for frame in frames}
        # Sources with a `frame` of their own find pictures that stand at the sides only, such as the sweeps between key frames.
        look_up = getattr(reader, "frame", by_id.__getitem__)
        chosen = [frame for frame in frames if frame.condition in conditions]
        found = find_triplets(chosen, rule, look_up)
    finally:
        reader.close()
    if not found.triplets:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(found.dropped.items())) or "none of them is of that condition"
        reasons += _without_distance(chosen, rule)
        raise DataError(f"{folder}: no triplets of {' or '.join(conditions)} among {len(frames)} frames ({reasons})")
    return Video(opened, found.triplets, frames, found.dropped)


def _check_split(source: RecordedVideo, folder: Path) -> None:
    """Without one nuScenes is what there is to judge by, of v1.0-mini all of it."""
    wanted = training_split(folder)
    if source.split is None and wanted is not None:
        raise DataError(
            f"{folder}: no split of nuScenes is chosen. Fix: in the recipe give the recording `split: {wanted}` under data.train, "
            f"`split: {wanted.replace('train', 'val')}` under data.validation"
        )


def _without_distance(frames: Sequence[Frame], rule: TripletRule) -> str:
    """What to do, if frames have no neighbours at a distance because nothing says how far it is."""
    lacking = sum(frame.world_from_camera is None and frame.speed_mps is None for frame in frames)
    if not lacking or not rule.min_distance:
        return ""
    return (
        f"; {lacking} of {len(frames)} have neither pose nor speed, by which min_distance={rule.min_distance:g} is measured. Fix: "
        "min_distance=0 and perhaps min_gap_s, seconds, for each recording without odometry in data.train and data.validation; its teacher "
        "needs loss.velocity=0 too"
    )


StandIns = Mapping[str, Sequence[StandIn]]
"""By frame id: the same view in other conditions."""


class VideoDataset(Dataset[dict[str, Any]]):
    """Triplets of several videos; item `Draw(epoch, place)` is that of `TripletDataset`, and "distances" float32 (2,).

    distances: metres driven to the previous and the next frame, by poses or else by speed, NaN where neither is known.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        size: tuple[int, int],
        input_size: tuple[int, int],
        seed: int = 0,
        augmentation: Augmentation = NO_AUGMENTATION,
        stand_ins: Sequence[StandIns] = (),
        p_original: float = 1.0,
    ) -> None:
        """stand_ins: of each video, or none; the other arguments as of `TripletDataset`."""
        self.parts = [
            TripletDataset(video.open, video.triplets, size, input_size, seed, augmentation, stand_ins=others, p_original=p_original)
            for video, others in zip(videos, stand_ins or [{}] * len(videos), strict=True)
        ]
        self._ends = list(itertools.accumulate(len(part) for part in self.parts))

    def __len__(self) -> int:
        """Triplets of all videos."""
        return self._ends[-1]

    @property
    def triplets(self) -> list[Triplet]:
        """Of all videos, by place."""
        return [triplet for part in self.parts for triplet in part.triplets]

    def training_camera(self, input_size: tuple[int, int]) -> TrainingCamera | None:
        """The camera at the network's size, if all triplets have the same one."""
        width, height = input_size
        current = (triplet.current.camera for triplet in self.triplets)
        cameras = {camera.scaled(width, height).rectified() for camera in current if camera is not None}
        if len(cameras) != 1:
            return None
        camera = cameras.pop()
        return TrainingCamera(width=width, height=height, fx=camera.fx, fy=camera.fy)

    def __getitem__(self, draw: Draw | int) -> dict[str, Any]:
        """See the class."""
        epoch, place = draw[:2] if isinstance(draw, tuple) else (0, draw)
        number = bisect.bisect_right(self._ends, place)
        part = self.parts[number]
        inner = place - (self._ends[number] - len(part))
        return part[Draw(epoch, inner)] | {"distances": driven_distances(part.triplets[inner])}


def aligned_stand_ins(video: Video, conditions: Sequence[str]) -> StandIns:
    """By frame id of the triplets' current frames: the recording's own frames of the same camera at the same time in these conditions."""
    beside: dict[tuple[str, str, int], list[StandIn]] = {}
    for frame in video.frames:
        if frame.condition in conditions:
            beside.setdefault((frame.sequence, frame.camera_name, frame.stamp_ns), []).append(StandIn(frame.condition, frame))
    found = {}
    for triplet in video.triplets:
        current = triplet.current
        others = beside.get((current.sequence, current.camera_name, current.stamp_ns), [])
        found[current.frame_id] = [other for other in others if other.condition != current.condition]
    return found


def translated_stand_ins(video: Video, folder: Path, translator: str, conditions: Sequence[str]) -> StandIns:
    """By frame id: what a translator made of them (see `read_translations`). Raises DataError."""
    found: dict[str, list[StandIn]] = {triplet.current.frame_id: [] for triplet in video.triplets}
    for translation in read_translations(folder, translator):
        if translation.frame_id in found and translation.condition in conditions:
            found[translation.frame_id].append(StandIn(translation.condition, translation.path))
    return found


def motions(triplet: Triplet) -> tuple[Matrix, Matrix] | None:
    """True motions of the optical frame from the current to the previous and the next frame; None without all poses."""
    poses = [frame.world_from_camera for frame in triplet]
    if any(pose is None for pose in poses):
        return None
    previous, current, following = (pose for pose in poses if pose is not None)
    return invert_pose(previous) @ current, invert_pose(following) @ current


def driven_distances(triplet: Triplet) -> npt.NDArray[np.float32]:
    """(2,) metres between the current frame's camera and its neighbours', NaN where neither poses nor speeds are known."""
    known = motions(triplet)
    if known is not None:
        return np.array([np.linalg.norm(motion[:3, 3]) for motion in known], dtype=np.float32)
    by_speed = [distance_by_speed(triplet.current, neighbour) for neighbour in (triplet.previous, triplet.next)]
    return np.array([np.nan if distance is None else distance for distance in by_speed], dtype=np.float32)


def check_scale_is_known(videos: Sequence[Video]) -> None:
    """Raise DataError unless at least half of every video's triplets tell how far the camera drove."""
    for video in videos:
        known = sum(bool(np.isfinite(driven_distances(triplet)).all()) for triplet in video.triplets)
        if 2 * known < len(video.triplets):
            name = video.triplets[0].current.frame_id
            raise DataError(
                f"the recording of {name}: {known} of {len(video.triplets)} triplets have poses or speeds, so metres can't be learnt; "
                "give a recording with odometry, or train without scale: loss.velocity=0"
            )
