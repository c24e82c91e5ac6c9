# SPDX-License-Identifier: Apache-2.0
"""(previous, current, next) frames for self-supervised training: found by distance or time, drawn in an order that can be repeated.

A `TripletDataset` is a map-style dataset for torch's DataLoader, and `EpochOrder` its sampler; neither needs torch itself.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame, FrameSource
from ssd_core.data.transforms import ColourJitter, HorizontalFlip, Noise, Resize, Sample, Transform, apply, scale_sparse_depth
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import Matrix, invert_pose
from ssd_core.images.codec import Image, read_image
from ssd_core.images.resize import cover_size


@dataclasses.dataclass(frozen=True)
class TripletRule:
    """Which frames become the neighbours of a frame: the nearest in time that are far enough away on both counts.

    min_distance: metres between the camera's positions, by poses or else by speed; frames with neither then have no neighbours.
    min_gap_s: seconds. With both 0 they are the very next frames. max_gap_s: a neighbour farther away in time is none. drop_static: a frame
    known to stand still teaches no depth.
    """

    min_distance: float = 0.0
    min_gap_s: float = 0.0
    max_gap_s: float = 1.0
    drop_static: bool = True

    def __post_init__(self) -> None:
        if min(self.min_distance, self.min_gap_s) < 0 or self.max_gap_s <= self.min_gap_s:
            raise ValueError(f"{self}: distances and gaps can't be negative, and max_gap_s must exceed min_gap_s")


class Triplet(NamedTuple):
    """Three frames of one camera in order of time."""

    previous: Frame
    current: Frame
    next: Frame


class FoundTriplets(NamedTuple):
    """Triplets, and how many frames made none, by reason ("static", "no previous", "no next", "no camera")."""

    triplets: list[Triplet]
    dropped: Counter[str]


def find_triplets(frames: Iterable[Frame], rule: TripletRule | None = None, look_up: Callable[[str], Frame] | None = None) -> FoundTriplets:
    """The triplet of every frame that has one, in the order of `frames`, found along previous_id and next_id.

    look_up: finds frames that stand at the sides only, such as the sweeps between key frames (`NuScenesFrames.frame`). A frame counts
    once, under the first reason that drops it.
    """
    rule = rule or TripletRule()
    frames = list(frames)
    by_id = {frame.frame_id: frame for frame in frames}

    def find(frame_id: str) -> Frame | None:
        return by_id.get(frame_id) or (look_up(frame_id) if look_up is not None else None)

    triplets: list[Triplet] = []
    dropped: Counter[str] = Counter()
    for frame in frames:
        if rule.drop_static and frame.is_static:
            dropped["static"] += 1
        elif frame.camera is None:
            dropped["no camera"] += 1
        elif (previous := _neighbour(frame, find, rule, -1)) is None:
            dropped["no previous"] += 1
        elif (following := _neighbour(frame, find, rule, 1)) is None:
            dropped["no next"] += 1
        else:
            triplets.append(Triplet(previous, frame, following))
    return FoundTriplets(triplets, dropped)


class Draw(NamedTuple):
    """One item of one epoch, by its place in the dataset's list: what `EpochOrder` yields and data sets for training take."""

    epoch: int
    place: int
    batch: int = 0
    """Number of its batch in the run: what a whole batch has in common, such as a size, follows from it."""


class EpochOrder:
    """A sampler for torch's DataLoader: every triplet once an epoch, in an order that depends on seed and epoch alone.

    With `world_size` processes each takes every world_size-th draw of the same order, `rank` the first; the order is filled up from its
    beginning so that all have equally many. batch_size: draws of this process that share a batch; accumulation: batches that share a
    step, of which an epoch has whole ones only. Call `set_epoch` before each epoch (or set it once to resume).
    """

    def __init__(
        self, length: int, seed: int, shuffle: bool = True, rank: int = 0, world_size: int = 1, batch_size: int = 1, accumulation: int = 1
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size} processes")
        self._length, self._seed, self._shuffle = length, seed, shuffle
        self._rank, self._world_size, self._batch_size = rank, world_size, batch_size
        self._accumulation = accumulation
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Draws of this process in an epoch."""
        return (self._length + self._world_size - 1) // self._world_size

    def __iter__(self) -> Iterator[Draw]:
        """This process's draws of the epoch."""
        order = np.arange(self._length)
        if self._shuffle:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        filled = np.resize(order, len(self) * self._world_size)
        mine = filled[self._rank :: self._world_size]
        # An epoch's last draws, which fill no step of so many batches, are left out.
        earlier = self._epoch * (len(self) // (self._batch_size * self._accumulation)) * self._accumulation
        return iter([Draw(self._epoch, int(index), earlier + number // self._batch_size) for number, index in enumerate(mine)])


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How likely each change is (values of the protocol's authors); parameters are drawn once a triplet.

    The flip mirrors everything; colours and noise change only the depth network's input, never the images of the
    photometric loss.
    """

    flip: float = 0.5
    colours: float = 0.5
    noise: float = 0.5


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0)


class StandIn(NamedTuple):
    """What the depth network may be shown in a frame's place: the same view in another condition."""

    condition: str
    picture: Frame | Path
    """A frame of the same source, or a picture file of any size."""


class TripletDataset:
    """Triplets as dictionaries of arrays, ready for torch's default collation.

    open_source opens the recording; every process opens its own, so it must be picklable for workers that are spawned (a function of a
    module or functools.partial, no lambda). size, input_size: (width, height) of the photometric images and of the depth network's
    input; None takes `size` for both. stand_ins: by frame id of the current frame; with probability 1 - p_original one of them
    becomes "input". Item [Draw(epoch, place)], or [place] for epoch 0, depends on (seed, epoch,
    frame id of the current frame) and nothing else:

    - "images" uint8 (3, height, width, 3): previous, current, next; not augmented but for the flip
    - "intrinsics" float32 (3, 3, 3) of these images, each its own
    - "input", "original_input" uint8 (height, width, 3): the current frame at input_size, augmented and not; "input_intrinsics" (3, 3)
    - "neighbours_from_current" float32 (2, 4, 4): motion of the optical frame to previous and next, NaN where a pose is unknown
    - "depth" float32 (height, width) at `size`: lidar along the optical axis, 0 where unknown; only with_depth
    - "frame_id", "condition": strings; "input_condition": that of "input"; "flipped": bool

    Warps know pinholes only, so what a lens with distortion took is rectified first, stand-ins and lidar too; intrinsics stay, and what
    the lens didn't see is black, alike in all three frames. JPEGs are decoded at the smallest scale that covers the size they are
    needed in. Raises ImageDecodeError for a damaged picture and DataError for no triplets.
    """

    def __init__(
        self,
        open_source: Callable[[], FrameSource],
        triplets: Sequence[Triplet],
        size: tuple[int, int],
        input_size: tuple[int, int] | None = None,
        seed: int = 0,
        augmentation: Augmentation = NO_AUGMENTATION,
        with_depth: bool = False,
        stand_ins: Mapping[str, Sequence[StandIn]] | None = None,
        p_original: float = 1.0,
    ) -> None:
        if not triplets:
            raise DataError("no triplets to learn from: every frame was static or had no neighbour (see the counts of find_triplets)")
        self.triplets = list(triplets)
        self._open_source = open_source
        self._size, self._input_size = size, input_size or size
        self._seed, self._augmentation, self._with_depth = seed, augmentation, with_depth
        self._stand_ins, self._p_original = stand_ins or {}, p_original
        self._source: FrameSource | None = None
        self._process = -1

    def __len__(self) -> int:
        """Triplets in an epoch."""
        return len(self.triplets)

    def __getitem__(self, draw: Draw | int) -> dict[str, Any]:
        """The arrays of one triplet."""
        epoch, place = draw[:2] if isinstance(draw, tuple) else (0, draw)
        triplet = self.triplets[place]
        generator = np.random.default_rng([self._seed, epoch, _number(triplet.current.frame_id)])
        flip, appearance = _draw_transforms(self._augmentation, generator)
        pictures = [apply((Resize(*self._size), *flip), self._load(frame, self._size)) for frame in (triplet.previous, triplet.next)]
        whole = self._load(triplet.current, _larger(triplet.current, self._size, self._input_size))
        pictures.insert(1, apply((Resize(*self._size), *flip), whole))
        original = apply((Resize(*self._input_size), *flip), whole)
        shown = self._draw_stand_in(triplet.current, generator)
        seen = original if shown is None else apply((Resize(*self._input_size), *flip), self._load_stand_in(triplet.current, shown))
        item = {
            "images": np.stack([picture.image for picture in pictures]),
            "intrinsics": np.stack([_intrinsics(picture) for picture in pictures]),
            "input": apply(appearance, seen).image,
            "original_input": original.image,
            "input_intrinsics": _intrinsics(original),
            "neighbours_from_current": np.stack([_motion(pictures[1], pictures[0]), _motion(pictures[1], pictures[2])]),
            "frame_id": triplet.current.frame_id,
            "condition": triplet.current.condition,
            "input_condition": triplet.current.condition if shown is None else shown.condition,
            "flipped": bool(flip),
        }
        return item | {"depth": self._depth(triplet.current, flip, pictures[1])} if self._with_depth else item

    def close(self) -> None:
        """Close this process's source; it opens again when needed."""
        if self._source is not None and self._process == os.getpid():
            self._source.close()
        self._source = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the open source: files don't travel to other processes."""
        return self.__dict__ | {"_source": None, "_process": -1}

    def _draw_stand_in(self, frame: Frame, generator: np.random.Generator) -> StandIn | None:
        # Drawn for every frame and last, so that runs with and without stand-ins see the same frames change in the same way.
        chances, choices = generator.random(2), self._stand_ins.get(frame.frame_id, ())
        if not choices or chances[0] < self._p_original:
            return None
        return choices[int(chances[1] * len(choices))]

    def _load_stand_in(self, frame: Frame, stand_in: StandIn) -> Sample:
        if isinstance(stand_in.picture, Frame):
            return self._load(stand_in.picture, self._input_size)
        assert frame.camera is not None
        image = read_image(stand_in.picture, cover_size(frame.camera.size, self._input_size))
        return _rectified_sample(image, frame, stand_in.condition)

    def _load(self, frame: Frame, size: tuple[int, int]) -> Sample:
        assert frame.camera is not None
        image = self._opened().image(frame, cover_size(frame.camera.size, size))
        return _rectified_sample(image, frame, frame.condition)

    def _depth(self, frame: Frame, flip: tuple[Transform, ...], picture: Sample) -> np.ndarray[Any, Any]:
        assert frame.camera is not None
        sparse = self._opened().lidar_depth(frame)
        if sparse is None:
            return np.zeros((self._size[1], self._size[0]), dtype=np.float32)
        rectified = _rectified_depth(sparse, frame.camera)
        blank = Sample(picture.image, sparse_depth=scale_sparse_depth(rectified, frame.camera.size, self._size))
        turned = apply(flip, blank).sparse_depth
        assert turned is not None
        return turned.to_image(*self._size)

    def _opened(self) -> FrameSource:
        # A forked worker inherits the parent's source, whose file positions it would share.
        if self._source is None or self._process != os.getpid():
            self._source, self._process = self._open_source(), os.getpid()
        return self._source


def _neighbour(frame: Frame, find: Callable[[str], Frame | None], rule: TripletRule, direction: int) -> Frame | None:
    candidate, gap = frame, 0.0
    while frame_id := candidate.previous_id if direction < 0 else candidate.next_id:
        beside = find(frame_id)
        if beside is None or beside.camera is None:
            return None
        previous_gap, gap = gap, direction * (beside.stamp_ns - frame.stamp_ns) * 1e-9
        if gap <= previous_gap or gap > rule.max_gap_s:
            return None
        if gap >= rule.min_gap_s and _is_far_enough(frame, beside, rule.min_distance):
            return beside
        candidate = beside
    return None


def _is_far_enough(frame: Frame, other: Frame, min_distance: float) -> bool:
    if min_distance <= 0:
        return True
    if frame.world_from_camera is None or other.world_from_camera is None:
        distance = distance_by_speed(frame, other)
        return distance is not None and distance >= min_distance
    return bool(np.linalg.norm(other.world_from_camera[:3, 3] - frame.world_from_camera[:3, 3]) >= min_distance)


def distance_by_speed(frame: Frame, other: Frame) -> float | None:
    """Metres driven between two frames at the mean of their known speeds; None where neither is known."""
    speeds = [known.speed_mps for known in (frame, other) if known.speed_mps is not None]
    seconds = abs(other.stamp_ns - frame.stamp_ns) * 1e-9
    return float(np.mean(speeds)) * seconds if speeds else None


def _draw_transforms(augmentation: Augmentation, generator: np.random.Generator) -> tuple[tuple[Transform, ...], tuple[Transform, ...]]:
    """(flip, appearance). Every value is drawn whether used or not, so that one probability doesn't change the others' draws."""
    chances = generator.random(3)
    jitter, noise = ColourJitter.draw(generator), Noise.draw(generator)
    flip: tuple[Transform, ...] = (HorizontalFlip(),) if chances[0] < augmentation.flip else ()
    colours: tuple[Transform, ...] = (jitter,) if chances[1] < augmentation.colours else ()
    return flip, (*colours, noise) if chances[2] < augmentation.noise else colours


def _number(frame_id: str) -> int:
    # Python's own hash differs from process to process.
    return int.from_bytes(hashlib.blake2b(frame_id.encode(), digest_size=8).digest(), "little")


def _larger(frame: Frame, size: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    assert frame.camera is not None
    first, second = cover_size(frame.camera.size, size), cover_size(frame.camera.size, other)
    return max(first[0], second[0]), max(first[1], second[1])


def _rectified_sample(image: Image, frame: Frame, condition: str) -> Sample:
    """A picture of the frame, of any size, without the lens's distortion; the very same pixels where there is none."""
    assert frame.camera is not None
    camera = frame.camera.scaled(image.shape[1], image.shape[0])
    if camera.is_distorted:
        image = np.asarray(cv2.remap(image, *_rectification(camera), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), dtype=np.uint8)
        camera = camera.rectified()
    return Sample(image, camera, None, None, frame.world_from_camera, frame_id=frame.frame_id, stamp_ns=frame.stamp_ns, condition=condition)


def _rectified_depth(depth: SparseDepth, camera: PinholeCamera) -> SparseDepth:
    if not camera.is_distorted:
        return depth
    rays = camera.unproject(np.stack([depth.u, depth.v], axis=-1))
    return project_lidar(np.insert(rays, 2, 1.0, axis=1) * depth.z[:, None], camera.rectified(), min_depth=0.0)


@functools.lru_cache(maxsize=16)  # Six cameras at two sizes, with room; of 1600x900 a camera takes 9 MB.
def _rectification(camera: PinholeCamera) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Where each pixel without distortion lies in the camera's picture, as `cv2.remap` takes it; outside where the lens saw nothing."""
    rays = camera.rectified().rays().reshape(-1, 2).astype(np.float64)
    pixels = np.nan_to_num(camera.project(np.insert(rays, 2, 1.0, axis=1)), nan=-2.0).astype(np.float32)
    columns, rows = (np.ascontiguousarray(values.reshape(camera.height, camera.width)) for values in pixels.T)
    places, shares = cv2.convertMaps(columns, rows, cv2.CV_16SC2)
    return np.asarray(places, dtype=np.int16), np.asarray(shares, dtype=np.uint16)


def _intrinsics(sample: Sample) -> np.ndarray[Any, Any]:
    assert sample.camera is not None
    return sample.camera.matrix.astype(np.float32)


def _motion(current: Sample, neighbour: Sample) -> np.ndarray[Any, Any]:
    if current.world_from_camera is None or neighbour.world_from_camera is None:
        return np.full((4, 4), np.nan, dtype=np.float32)
    motion: Matrix = invert_pose(neighbour.world_from_camera) @ current.world_from_camera
    return motion.astype(np.float32)
