# SPDX-License-Identifier: Apache-2.0
"""The cameras of a ROS bag as a source of frames, with lidar depth and poses where the bag has them."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.data.bag import BagError, BagMessage, BagReader, raw_header_stamp
from ssd_core.data.bag_topics import IMAGE_TYPE, CameraTopics
from ssd_core.data.ego_motion import Fix, is_static, speed_between
from ssd_core.data.errors import OncePerCause
from ssd_core.data.frame import UNKNOWN_CONDITION, Frame, linked
from ssd_core.data.intrinsics import CameraForSize
from ssd_core.data.point_cloud_message import PointCloudError, point_cloud_xyz
from ssd_core.data.transform_tree import TransformTree, read_transforms
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.camera_info import DistortionError, camera_from_info
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import Matrix, transform_points
from ssd_core.images.codec import Image, ImageDecodeError, decode_image
from ssd_core.images.encodings import decode_raw_image

_CONDITION_KEYS = ("ssd_depth_render.condition", "nuscenes_to_bag.condition")
"""`ssd-depth render` and `nuscenes-to-bag` note the condition in their bags."""


class _Entry(NamedTuple):
    """Where an image message lies: `rank` counts the messages before it that have the same bag time."""

    topic: str
    bag_time_ns: int
    rank: int


class _Place(NamedTuple):
    """A picture of one camera in time."""

    stamp_ns: int
    frame_id: str


class _Calibration(NamedTuple):
    """What a camera's intrinsics are from a time on."""

    stamp_ns: int
    camera: PinholeCamera | None


class _Scan(NamedTuple):
    """One lidar message: header stamp, bag time."""

    stamp_ns: int
    bag_time_ns: int


class BagFrames:
    """A FrameSource over a bag of any kind that BagReader opens.

    cameras: names to use, None for all that `BagReader.find_cameras` finds. intrinsics: for cameras without (usable) CameraInfo.
    with_poses: also read all transforms. max_lidar_age_ns: how far from the image's stamp a scan may be taken. min_lidar_depth: metres;
    what a scan shows nearer to a camera is, on road vehicles, the vehicle itself (nuscenes-devkit has the same limit).
    Frames come in the order of the recording; stamps are those of the headers (bag time only where a driver left them zero). Where a
    CameraInfo changes in mid-recording, each frame has the one of its time.
    Raises BagError for a bag without images and for an unknown camera name.
    """

    def __init__(
        self,
        path: Path,
        cameras: Sequence[str] | None = None,
        intrinsics: CameraForSize | None = None,
        with_poses: bool = True,
        max_lidar_age_ns: int = 100_000_000,
        min_lidar_depth: float = 1.0,
    ) -> None:
        self._bag = BagReader(path)
        self.warnings = self._bag.warnings
        self._once = OncePerCause(self.warnings)
        self._intrinsics = intrinsics
        self._max_lidar_age_ns = max_lidar_age_ns
        self._min_lidar_depth = min_lidar_depth
        try:
            self.cameras = _choose_cameras(self._bag, cameras)
            self._tree = read_transforms(self._bag) if with_poses else TransformTree()
            self._entries: dict[str, _Entry] = {}
            self._frames = self._read_frames()
        except BaseException:
            self._bag.close()
            raise
        self._images = _ImageCursor(self._bag, {camera.image_topic for camera in self.cameras})
        self._lidar_topic = self._bag.find_lidar()
        self._scans: list[_Scan] | None = None
        self._newest_scan: tuple[_Scan, str, npt.NDArray[np.float32]] | None = None

    @property
    def bag(self) -> BagReader:
        """The bag underneath."""
        return self._bag

    def frames(self) -> Sequence[Frame]:
        """All frames of the chosen cameras in the order of the recording."""
        return self._frames

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels; fastest in the order of `frames`. Raises ImageDecodeError naming the frame."""
        message = self._images.read(self._entries[frame.frame_id])
        content = None if message is None else self._bag.deserialise(message)
        if message is None or content is None:
            raise ImageDecodeError(f"{self._bag.path}: {frame.frame_id}: the message can't be read")
        try:
            return _decode(message.message_type, content, min_size)
        except ImageDecodeError as error:
            raise ImageDecodeError(f"{self._bag.path}: {frame.frame_id} ({message.topic}): {error}") from error

    def encoded_image(self, frame: Frame) -> bytes | None:
        """The bytes of a CompressedImage as they were recorded, whatever they are; None for a camera that sent raw images.

        Raises ImageDecodeError if the message can't be read.
        """
        entry = self._entries[frame.frame_id]
        if next(camera for camera in self.cameras if camera.image_topic == entry.topic).image_type == IMAGE_TYPE:
            return None
        message = self._images.read(entry)
        content = None if message is None else self._bag.deserialise(message)
        if content is None:
            raise ImageDecodeError(f"{self._bag.path}: {frame.frame_id}: the message can't be read")
        return bytes(content.data)

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """The scan nearest in time, moved to where the camera was when the image was taken.

        None without lidar, intrinsics, transform between both sensors, or a scan within max_lidar_age_ns. Where odometry doesn't cover
        both times the mounting alone is used.
        """
        if self._lidar_topic is None or frame.camera is None:
            return None
        nearest = self._nearest_scan(frame.stamp_ns)
        if nearest is None:
            return None
        scan, lidar_frame, points = nearest
        optical_frame = next(camera.frame_id for camera in self.cameras if camera.name == frame.camera_name)
        motion = self._tree.lookup_between(optical_frame, frame.stamp_ns, lidar_frame, scan.stamp_ns)
        if motion is None:
            motion = self._tree.lookup(optical_frame, lidar_frame, frame.stamp_ns)
            if motion is None:
                self._once.tell(
                    f"mounting {optical_frame}",
                    f"no transform from {lidar_frame} to {optical_frame}; {frame.camera_name} has no lidar depth",
                )
            else:
                self._once.tell(
                    "motion",
                    f"{frame.frame_id}: no odometry at the time of image or scan; the motion between both is ignored in such frames",
                )
        return None if motion is None else project_lidar(transform_points(motion, points), frame.camera, self._min_lidar_depth)

    def close(self) -> None:
        """Close the bag."""
        self._bag.close()

    def _camera_model(self, camera: CameraTopics, info: Any | None, size: tuple[int, int] | None) -> PinholeCamera | None:
        """The intrinsics that a CameraInfo (None: there is none) gives to images of a size (None: unknown, the CameraInfo's stands)."""
        try:
            model = None if info is None else self._from_info(info, camera, size)
            if model is None and self._intrinsics is not None and size is not None:
                model = self._intrinsics(size)
            return model if model is None or size is None else model.fitted(*size)
        except CameraError as error:
            self.warnings.append(f"{camera.name}: {error}; its intrinsics are unknown")
            return None

    def _first_size(self, camera: CameraTopics) -> tuple[int, int] | None:
        """Width and height of a camera's first image; None if that is damaged."""
        first = next(self._bag.messages([camera.image_topic]), None)
        content = None if first is None else self._bag.deserialise(first)
        try:
            return None if content is None or first is None else _image_size(first.message_type, content)
        except ImageDecodeError:
            return None

    def _calibrations(self, camera: CameraTopics, infos: list[BagMessage]) -> list[_Calibration]:
        """At least one, in order of time; infos: the camera's CameraInfo messages, each unlike the one before."""
        size = self._first_size(camera)
        models: dict[bytes, PinholeCamera | None] = {}
        for info in infos:
            if _calibration_bytes(info) not in models:
                models[_calibration_bytes(info)] = self._camera_model(camera, self._bag.deserialise(info), size)
        found = [_Calibration(_stamp(info), models[_calibration_bytes(info)]) for info in infos]
        return sorted(found, key=lambda one: one.stamp_ns) or [_Calibration(0, self._camera_model(camera, None, size))]

    def _from_info(self, info: Any, camera: CameraTopics, size: tuple[int, int] | None) -> PinholeCamera | None:
        # As in the node, the image's size stands in where the driver left it empty.
        width, height = size if size and not (info.width or info.height) else (info.width, info.height)
        roi = info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height
        fields: dict[str, Any] = {"width": width, "height": height, "k": info.k, "d": info.d, "r": info.r, "p": info.p}
        fields |= {"binning_x": info.binning_x, "binning_y": info.binning_y, "roi": roi, "distortion_model": info.distortion_model}
        try:
            return camera_from_info(**fields, rectified=camera.is_rectified)
        except DistortionError as error:
            self.warnings.append(f"{camera.name}: {error}; the lens distortion is ignored")
            return camera_from_info(**{**fields, "d": [], "distortion_model": "plumb_bob"}, rectified=False)
        except CameraError as error:
            if self._intrinsics is None:
                raise
            self.warnings.append(f"{camera.name}: {error}; the given intrinsics are used")
            return None

    def _read_frames(self) -> list[Frame]:
        by_topic = {camera.image_topic: camera for camera in self.cameras}
        noted = self._bag.custom_data
        condition = next((noted[key] for key in _CONDITION_KEYS if key in noted), UNKNOWN_CONDITION)
        places: dict[str, list[_Place]] = {camera.name: [] for camera in self.cameras}
        infos: dict[str, list[BagMessage]] = {camera.camera_info_topic: [] for camera in self.cameras if camera.camera_info_topic}
        rank, previous_time = 0, -1
        for message in self._bag.messages([*by_topic, *infos]):
            if message.topic in infos:
                of_topic = infos[message.topic]
                if not of_topic or _calibration_bytes(of_topic[-1]) != _calibration_bytes(message):
                    of_topic.append(message)
                continue
            camera = by_topic[message.topic]
            rank = rank + 1 if message.bag_time_ns == previous_time else 0
            previous_time = message.bag_time_ns
            stamp = _stamp(message)
            frame_id = _unique(f"{camera.name}/{stamp}", self._entries)
            self._entries[frame_id] = _Entry(message.topic, message.bag_time_ns, rank)
            places[camera.name].append(_Place(stamp, frame_id))
        frames: dict[str, Frame] = {}
        for camera in self.cameras:
            calibrations = self._calibrations(camera, infos.pop(camera.camera_info_topic or "", []))
            frames |= {frame.frame_id: frame for frame in self._track(camera, places.pop(camera.name), calibrations, condition)}
        return [frames[frame_id] for frame_id in self._entries]

    def _track(self, camera: CameraTopics, places: list[_Place], calibrations: list[_Calibration], condition: str) -> Iterator[Frame]:
        """One camera's frames in order of their stamps, linked, with speeds from neighbouring positions."""
        places.sort(key=lambda place: place.stamp_ns)
        poses = [self._world_from_camera(camera, place.stamp_ns) for place in places]
        links = linked([place.frame_id for place in places])
        sequence = self._bag.path.stem
        valid_from = [calibration.stamp_ns for calibration in calibrations]
        for index, (place, pose, (previous_id, next_id)) in enumerate(zip(places, poses, links, strict=True)):
            around = slice(max(0, index - 1), index + 2)
            speed = speed_between([_fix(*neighbour) for neighbour in zip(places[around], poses[around], strict=True)])
            yield Frame(
                frame_id=place.frame_id,
                sequence=sequence,
                camera_name=camera.name,
                stamp_ns=place.stamp_ns,
                camera=calibrations[max(0, bisect.bisect_right(valid_from, place.stamp_ns) - 1)].camera,
                world_from_camera=pose,
                speed_mps=speed,
                is_static=is_static(speed),
                condition=condition,
                previous_id=previous_id,
                next_id=next_id,
            )

    def _world_from_camera(self, camera: CameraTopics, stamp_ns: int) -> Matrix | None:
        world = self._tree.world(camera.frame_id)
        return None if world is None else self._tree.lookup(world, camera.frame_id, stamp_ns)

    def _nearest_scan(self, stamp_ns: int) -> tuple[_Scan, str, npt.NDArray[np.float32]] | None:
        assert self._lidar_topic is not None
        if self._scans is None:
            self._scans = sorted(_Scan(_stamp(message), message.bag_time_ns) for message in self._bag.messages([self._lidar_topic]))
        after = bisect.bisect_left(self._scans, _Scan(stamp_ns, 0))
        around = self._scans[max(0, after - 1) : after + 1]
        nearest = min(around, key=lambda scan: abs(scan.stamp_ns - stamp_ns), default=None)
        if nearest is None or abs(nearest.stamp_ns - stamp_ns) > self._max_lidar_age_ns:
            return None
        if self._newest_scan is None or self._newest_scan[0] != nearest:
            content = None
            for message in self._bag.messages([self._lidar_topic], nearest.bag_time_ns, nearest.bag_time_ns + 1):
                if _stamp(message) == nearest.stamp_ns:
                    content = self._bag.deserialise(message)
            try:
                points = None if content is None else point_cloud_xyz(content)
            except PointCloudError as error:
                self._once.tell("scan", f"{self._lidar_topic}: {error}; such scans are left out")
                points = None
            if content is None or points is None:
                return None
            self._newest_scan = nearest, content.header.frame_id, points
        return self._newest_scan


class _ImageCursor:
    """Image messages by place; the next one in the order of the recording costs no seek."""

    def __init__(self, bag: BagReader, topics: set[str]) -> None:
        self._bag = bag
        self._topics = topics
        self._stream: Iterator[BagMessage] = iter(())
        self._time_ns = -1
        self._rank = -1

    def read(self, entry: _Entry) -> BagMessage | None:
        message = self._step()
        if message is None or (message.bag_time_ns, self._rank) != (entry.bag_time_ns, entry.rank):
            self._stream = self._bag.messages(self._topics, entry.bag_time_ns)
            self._time_ns = -1
            for _ in range(entry.rank + 1):
                message = self._step()
        return message if message is not None and message.topic == entry.topic else None

    def _step(self) -> BagMessage | None:
        message = next(self._stream, None)
        if message is not None:
            self._rank = self._rank + 1 if message.bag_time_ns == self._time_ns else 0
            self._time_ns = message.bag_time_ns
        return message


def _choose_cameras(bag: BagReader, names: Sequence[str] | None) -> list[CameraTopics]:
    cameras = bag.find_cameras()
    if not cameras:
        topics = ", ".join(f"{c.topic} ({c.message_type})" for c in bag.connections) or "nothing"
        raise BagError(f"{bag.path}: no camera images (sensor_msgs Image or CompressedImage) in it; it has {topics}")
    if names is None:
        return cameras
    known = {camera.name: camera for camera in cameras}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BagError(f"{bag.path}: no camera {', '.join(unknown)}; it has {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _stamp(message: BagMessage) -> int:
    try:
        return raw_header_stamp(message) or message.bag_time_ns
    except BagError:
        return message.bag_time_ns  # too short for a header; whoever reads it is told that it is damaged


def _calibration_bytes(info: BagMessage) -> bytes:
    """All of a CameraInfo but its stamp."""
    return bytes(info.data[12:])


def _unique(frame_id: str, taken: dict[str, _Entry]) -> str:
    candidate, copy = frame_id, 1
    while candidate in taken:
        candidate, copy = f"{frame_id}-{copy}", copy + 1
    return candidate


def _decode(message_type: str, content: Any, min_size: tuple[int, int] | None) -> Image:
    if message_type == IMAGE_TYPE:
        return decode_raw_image(
            content.data, content.encoding, content.width, content.height, content.step, is_bigendian=bool(content.is_bigendian)
        )
    return decode_image(content.data, min_size)


def _image_size(message_type: str, content: Any) -> tuple[int, int]:
    if message_type == IMAGE_TYPE:
        return int(content.width), int(content.height)
    height, width = decode_image(content.data).shape[:2]
    return width, height


def _fix(place: _Place, pose: Matrix | None) -> Fix:
    return Fix(place.stamp_ns, None if pose is None else pose[:3, 3])
