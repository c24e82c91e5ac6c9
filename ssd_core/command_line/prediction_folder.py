# SPDX-License-Identifier: Apache-2.0
"""What `ssd-depth predict` leaves on disk: one depth file and one picture a frame, a video a camera, and how to read them."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from ssd_core.data.bag import BagMessage, BagReader
from ssd_core.data.bag_topics import CAMERA_INFO_TYPE, IMAGE_TYPE
from ssd_core.data.frame import Frame
from ssd_core.data.intrinsics import CameraForSize
from ssd_core.data.writers.bag import BagWriter, Durability, reliable_qos
from ssd_core.data.writers.messages import camera_info_message, image_message
from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.images.codec import Image, encode_png, read_image, write_image
from ssd_core.images.colour_map import colourise_depth, colourise_inverse_depth
from ssd_core.images.resize import resize_image
from ssd_core.storage.atomic_write import atomic_write, atomic_write_text
from ssd_core.storage.configuration import StrictModel, save_configuration

Format = Literal["png", "npz", "bag"]

KITTI_SCALE = 256
"""Depth PNGs hold round(metres * 256), the convention of KITTI's depth benchmark: 4 mm steps up to 255.99 m."""

_CONFIGURATION = "configuration.yaml"
_FREE_TO_CHANGE = ("git_revision", "backend", "precision")
_RESULT_FOLDERS = ("depth", "inverse_depth", "colour", "video")
_VIDEO_WIDTH = 1920

_HOW_TO_READ = {
    ("metric", "png"): "depth/*.png: 16-bit, metres along the optical axis Z times 256 (as in KITTI); 0 is unknown.\n"
    "    depth = cv2.imread(path, cv2.IMREAD_UNCHANGED) / 256.0\n",
    ("metric", "npz"): "depth/*.npz: float32 'depth', metres along the optical axis Z; +inf is beyond --max-depth.\n"
    "    depth = numpy.load(path)['depth']\n",
    ("metric", "bag"): "depth.mcap: a ROS 2 bag with depth images (32FC1, metres along the optical axis Z; +inf is beyond --max-depth)\n"
    "and their CameraInfo where intrinsics are known, given or assumed.\n",
    (
        "relative_inverse",
        "png",
    ): "inverse_depth/*.png: 16-bit INVERSE depth (large is near), stretched from 1 to 65535 in every picture on its own:\n"
    "the model knows it only up to an unknown scale and shift, so these are no metres.\n",
    (
        "relative_inverse",
        "npz",
    ): "inverse_depth/*.npz: float32 'inverse_depth' (large is near), known only up to a scale and shift: no metres.\n"
    "    inverse_depth = numpy.load(path)['inverse_depth']\n",
    (
        "relative_inverse",
        "bag",
    ): "inverse_depth.mcap: a ROS 2 bag with 32FC1 INVERSE depth (large is near), known only up to a scale and shift: no metres.\n",
}


class PredictionError(ValueError):
    """Results that can't be added to a folder; the message says why and what to do."""


class PredictConfiguration(StrictModel):
    """What the results depend on, resolved; written beside them."""

    source: str
    """Absolute path of the input."""
    model: str
    """Name and hash of the weights."""
    trained: bool
    kind: str
    """"metric" or "relative_inverse"."""
    backend: str
    precision: str
    input_size: tuple[int, int]
    """(width, height) of the network's input."""
    format: Format
    cameras: list[str] | None
    focal: float | None
    intrinsics: str | None
    max_depth: float | None
    """Metres; farther depth is written as unknown (png) or +inf."""


class PredictionFolder:
    """The output folder of one run; a later run with the same configuration goes on where it ended."""

    def __init__(
        self,
        folder: Path,
        file_format: Format,
        kind: str,
        max_model_depth: float,
        max_depth: float | None,
        assumed_lens: CameraForSize | None = None,
    ) -> None:
        """assumed_lens: the camera of frames that have none; None: they stay without."""
        self.folder = folder
        self._format = file_format
        self._kind = kind
        self._max_model_depth = max_model_depth
        self._max_depth = np.inf if max_depth is None else max_depth
        self._assumed_lens = assumed_lens

    @property
    def quantity(self) -> str:
        """ "depth" or "inverse_depth": the name of folders, arrays and the bag."""
        return "depth" if self._kind == "metric" else "inverse_depth"

    @property
    def bag_path(self) -> Path:
        """Where format "bag" puts its bag."""
        return self.folder / f"{self.quantity}.mcap"

    def check(self, configuration: PredictConfiguration, overwrite: bool) -> None:
        """Refuse to mix results of different configurations, or to write over the input; with `overwrite` remove the earlier ones.

        Raises PredictionError naming what differs.
        """
        source = Path(configuration.source)
        for name in _RESULT_FOLDERS:
            if (self.folder / name).resolve() in (source, *source.parents):
                raise PredictionError(f"{source} lies where results would go ({self.folder / name}); choose another --out")
        path = self.folder / _CONFIGURATION
        bag_path = self.bag_path.resolve()
        # Without a configuration beside it, a bag in the input's folder isn't ours but the recording itself.
        if bag_path == source or (bag_path.parent == source and bag_path.exists() and not path.exists()):
            raise PredictionError(f"{source} is where a bag of results would go ({self.bag_path}); choose another --out")
        if not path.exists():
            return
        if overwrite:
            path.unlink()
            self.bag_path.unlink(missing_ok=True)
            for name in _RESULT_FOLDERS:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            return
        before = yaml.safe_load(path.read_text())
        now = configuration.model_dump(mode="json")
        if not isinstance(before, dict):
            raise PredictionError(f"{path} is damaged; choose another --out or add --overwrite")
        # Single files of further cameras can be added, a finished bag can't grow.
        free = _FREE_TO_CHANGE if self._format == "bag" else (*_FREE_TO_CHANGE, "cameras")
        changed = [f"{key}: {before.get(key)} -> {value}" for key, value in now.items() if key not in free and before.get(key) != value]
        if changed:
            raise PredictionError(
                f"{self.folder} holds results of another configuration ({'; '.join(changed)}); choose another --out or add --overwrite"
            )

    def describe(self, configuration: PredictConfiguration) -> None:
        """Write configuration.yaml and README.txt."""
        text = "Made by ssd-depth predict; configuration.yaml says how.\n\n"
        text += _HOW_TO_READ[self._kind, self._format] if self._kind == "metric" else _HOW_TO_READ["relative_inverse", self._format]
        text += f"colour/*.jpg: the image above its {self.quantity.replace('_', ' ')} (red is near, blue is far, black is unknown).\n"
        if not configuration.trained:
            text += "\nThe model had RANDOM weights (untrained): its depth means nothing.\n"
        atomic_write_text(self.folder / "README.txt", text)
        save_configuration(self.folder / _CONFIGURATION, configuration)

    def is_finished(self, frame: Frame) -> bool:
        """True if an earlier run wrote this frame; files are written atomically, so a file that exists is whole."""
        return (self.bag_path.exists() or self._depth_path(frame).exists()) and self._picture_path(frame).exists()

    def camera_of(self, frame: Frame, size: tuple[int, int]) -> PinholeCamera | None:
        """The camera of a frame's picture of this size (width, height): its own, scaled if the picture was resized, or the assumed one.

        None where nobody knows it, or where the frame's is of another aspect.
        """
        if frame.camera is None:
            return self._assumed_lens(size) if self._assumed_lens is not None else None
        try:
            return frame.camera.fitted(*size)
        except CameraError:
            return None

    def limited(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Metric depth with +inf beyond the maximum; relative values as they are."""
        if self._kind != "metric" or not np.isfinite(self._max_depth):
            return values
        return np.where(values > self._max_depth, np.float32(np.inf), values)

    def write(self, frame: Frame, image: Image, values: npt.NDArray[np.float32]) -> None:
        """Write one frame's picture, then its depth file; values (H, W) of the image's size."""
        values = self.limited(values)
        if self._kind == "metric":
            colours = colourise_depth(values, self._max_model_depth / 40, self._max_model_depth)
        else:
            colours = colourise_inverse_depth(values)
        write_image(self._picture_path(frame), np.concatenate([image, colours]))
        with atomic_write(self._depth_path(frame)) as file:
            if self._format != "png":
                arrays: dict[str, Any] = {self.quantity: values}
                np.savez(file, **arrays)
            else:
                file.write(encode_png(depth_to_png(values) if self._kind == "metric" else inverse_depth_to_png(values)))

    def write_videos(self, frames: Sequence[Frame]) -> list[Path]:
        """One MP4 a camera, image | depth, at the rate of the recording; from the pictures, so also of earlier runs' frames."""
        videos = []
        for name in dict.fromkeys(frame.camera_name for frame in frames):
            ordered = sorted((frame for frame in frames if frame.camera_name == name), key=lambda frame: frame.stamp_ns)
            pictures = [self._picture_path(frame) for frame in ordered if self._picture_path(frame).exists()]
            if len(pictures) < 2:
                continue
            path = self.folder / "video" / f"{name}.mp4"
            _write_video(path, (read_image(picture) for picture in pictures), _frame_rate(ordered))
            videos.append(path)
        return videos

    def write_bag(self, frames: Sequence[Frame], optical_frames: Mapping[str, str], copies: Iterable[BagMessage]) -> None:
        """Turn the depth files of format "bag" into one MCAP and remove them; depth that an earlier run put into it stays in it.

        Topics /CAMERA/depth/image_rect (image_raw where the lens distorts) and /CAMERA/depth/camera_info, or /CAMERA/inverse_depth/image.
        optical_frames: header.frame_id by camera name. copies: messages to take over as they are (transforms).
        """
        written = [frame for frame in frames if self._depth_path(frame).exists()]
        if self._format != "bag" or not written:
            return
        with contextlib.ExitStack() as stack:
            writer = stack.enter_context(BagWriter(self.bag_path))
            copied: set[str] = set()
            for message in itertools.chain(copies, self._earlier_depth(stack, written)):
                if message.topic not in copied:
                    durability = Durability.LATCHED if message.topic.endswith("tf_static") else Durability.VOLATILE
                    writer.add_topic(message.topic, message.message_type, reliable_qos(durability=durability))
                    copied.add(message.topic)
                writer.write_raw(message.topic, message.bag_time_ns, message.data)
            for frame in written:
                with np.load(self._depth_path(frame)) as arrays:
                    values = arrays[self.quantity]
                optical = optical_frames.get(frame.camera_name, frame.camera_name)
                writer.write(self._topic(frame), frame.stamp_ns, image_message(values, "32FC1", frame.stamp_ns, optical))
                camera = self.camera_of(frame, (values.shape[1], values.shape[0]))
                if camera is not None:
                    writer.write(self._info_topic(frame), frame.stamp_ns, camera_info_message(camera, frame.stamp_ns, optical))
        shutil.rmtree(self.folder / self.quantity)

    def _earlier_depth(self, stack: contextlib.ExitStack, written: Sequence[Frame]) -> Iterator[BagMessage]:
        """Depth and camera information in the bag of an earlier run, of all but the frames that are written anew."""
        if not self.bag_path.exists():
            return
        bag = stack.enter_context(BagReader(self.bag_path))
        again = {(topic, frame.stamp_ns) for frame in written for topic in (self._topic(frame), self._info_topic(frame))}
        for message in bag.messages(bag.topics_of_type(IMAGE_TYPE, CAMERA_INFO_TYPE)):
            if (message.topic, message.bag_time_ns) not in again:
                yield message

    def _info_topic(self, frame: Frame) -> str:
        return f"/{frame.camera_name}/{self.quantity}/camera_info"

    def _topic(self, frame: Frame) -> str:
        if self._kind != "metric":
            return f"/{frame.camera_name}/inverse_depth/image"
        distorted = frame.camera is not None and frame.camera.is_distorted
        return f"/{frame.camera_name}/depth/image_{'raw' if distorted else 'rect'}"

    def _depth_path(self, frame: Frame) -> Path:
        suffix = "png" if self._format == "png" else "npz"
        return self.folder / self.quantity / f"{frame.frame_id}.{suffix}"

    def _picture_path(self, frame: Frame) -> Path:
        return self.folder / "colour" / f"{frame.frame_id}.jpg"


def depth_to_png(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Metres -> uint16 metres * 256; what isn't finite and positive becomes 0, too far a value the largest."""
    with np.errstate(invalid="ignore"):
        scaled = np.clip(np.round(depth * KITTI_SCALE), 1, 65535)
    return np.where(np.isfinite(depth) & (depth > 0), scaled, 0).astype(np.uint16)


def inverse_depth_to_png(inverse_depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Any values -> uint16, the smallest 1 and the largest 65535; what isn't finite becomes 0."""
    known = np.isfinite(inverse_depth)
    if not known.any():
        return np.zeros(inverse_depth.shape, dtype=np.uint16)
    low, high = float(inverse_depth[known].min()), float(inverse_depth[known].max())
    levels = (np.where(known, inverse_depth, low) - low) / max(high - low, 1e-12)
    return np.where(known, 1 + np.round(levels * 65534), 0).astype(np.uint16)


def _frame_rate(frames: Sequence[Frame]) -> float:
    gaps = np.diff([frame.stamp_ns for frame in frames])
    gaps = gaps[gaps > 0]
    return float(np.clip(1e9 / np.median(gaps), 1, 120)) if len(gaps) else 10.0


def _write_video(path: Path, pictures: Iterator[Image], rate: float) -> None:
    """MPEG-4, which OpenCV can write everywhere; appears under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.part.mp4")
    writer: cv2.VideoWriter | None = None
    size = (0, 0)
    for picture in pictures:
        half = picture.shape[0] // 2
        pair = np.concatenate([picture[:half], picture[half : 2 * half]], axis=1)
        if writer is None:
            scale = min(1.0, _VIDEO_WIDTH / pair.shape[1])
            size = round(pair.shape[1] * scale / 2) * 2, round(pair.shape[0] * scale / 2) * 2
            writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
            if not writer.isOpened():
                raise PredictionError(f"{path}: this OpenCV can't write MPEG-4 videos")
        writer.write(np.ascontiguousarray(resize_image(pair, size)[..., ::-1]))
    if writer is not None:
        writer.release()
        partial.replace(path)
