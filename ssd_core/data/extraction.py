# SPDX-License-Identifier: Apache-2.0
"""ROS bags into a frame dataset: pictures as they were recorded, poses at their stamps, lidar moved to the camera's time."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydantic

from ssd_core.data.bag import BagError, BagReader, named_path
from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.frame import UNKNOWN_CONDITION, Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.images.codec import ImageDecodeError, decode_image, encode_jpeg, encode_png, jpeg_size
from ssd_core.storage.configuration import StrictModel, save_configuration

CONFIGURATION_FILE = "extract.yaml"

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"


class ExtractionConfiguration(StrictModel):
    """What is taken out of which bags."""

    bags: tuple[str, ...] = pydantic.Field(min_length=1)
    cameras: tuple[str, ...] | None = None
    """Names as `BagReader.find_cameras` gives them; None: all of each bag."""
    condition: tuple[str, ...] = ()
    """"NAME" for all bags, or "PATTERN=NAME" for bags whose file name matches, as in "*night*=night"; the first that fits counts.
    A bag that none fits has the condition it notes itself, else "unknown"."""
    jpeg_quality: int | None = pydantic.Field(default=None, ge=1, le=100)
    """How raw images are stored; None: losslessly as PNG. Compressed images are kept byte for byte in any case."""
    max_lidar_age_ms: float = pydantic.Field(default=100.0, gt=0)
    """How far from an image's stamp a scan may be taken."""
    min_lidar_depth: float = pydantic.Field(default=1.0, gt=0)
    """Metres; nearer points count as the vehicle itself."""


@dataclasses.dataclass
class CameraCount:
    """What became of the frames of one camera in one bag."""

    sequence: str
    camera_name: str
    added: int = 0
    present: int = 0
    damaged: int = 0
    static: int = 0
    without_pose: int = 0
    with_lidar: int = 0
    lidar_points: int = 0


def count_images(configuration: ExtractionConfiguration) -> int:
    """How many images the bags hold of the cameras wanted; raises BagError."""
    total = 0
    for path in configuration.bags:
        with BagReader(path) as bag:
            cameras = [c for c in bag.find_cameras() if configuration.cameras is None or c.name in configuration.cameras]
            total += sum(found.count for camera in cameras if (found := bag.connection(camera.image_topic)) is not None)
    return total


def extract(
    configuration: ExtractionConfiguration,
    folder: Path,
    on_frame: Callable[[], None] = lambda: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> list[CameraCount]:
    """Write all frames of the bags to a frame dataset in `folder`; a run that was killed goes on where it stopped.

    Damaged images are left out with a warning. Frames without pose, intrinsics or lidar are kept without. Memory holds stamps and
    transforms of one bag, one image and a scan. Raises BagError for a bag that can't be read, DataError for a folder begun from
    something else, OSError where the folder can't be written.
    """
    sequences = _sequence_names([Path(bag) for bag in configuration.bags])
    counts: list[CameraCount] = []
    with FrameDatasetWriter(folder, _description(configuration)) as writer:
        save_configuration(folder / CONFIGURATION_FILE, configuration)
        for bag, sequence in zip(configuration.bags, sequences, strict=True):
            source = BagFrames(
                Path(bag),
                configuration.cameras,
                max_lidar_age_ns=round(configuration.max_lidar_age_ms * 1e6),
                min_lidar_depth=configuration.min_lidar_depth,
            )
            try:
                counts += _extract_bag(source, sequence, configuration, writer, on_frame, on_warning)
            finally:
                source.close()
    if not any(count.added or count.present for count in counts):
        raise BagError(f"{', '.join(configuration.bags)}: not one image of {len(counts)} cameras could be read")
    return counts


def _extract_bag(
    source: BagFrames,
    sequence: str,
    configuration: ExtractionConfiguration,
    writer: FrameDatasetWriter,
    on_frame: Callable[[], None],
    on_warning: Callable[[str], None],
) -> list[CameraCount]:
    counts = {camera.name: CameraCount(sequence, camera.name) for camera in source.cameras}
    given = condition_by_rules(configuration.condition, source.bag.path.name)
    told = 0
    for frame in source.frames():
        count = counts[frame.camera_name]
        count.static += frame.is_static
        count.without_pose += frame.world_from_camera is None
        named = dataclasses.replace(frame, frame_id=f"{sequence}/{frame.frame_id}", sequence=sequence, condition=given or frame.condition)
        if named.frame_id in writer:
            count.present += 1
        else:
            try:
                _add(source, frame, named, configuration.jpeg_quality, writer, count)
            except ImageDecodeError as error:
                count.damaged += 1
                on_warning(str(error))
        for sentence in source.warnings[told:]:
            on_warning(f"{source.bag.path}: {sentence}")
        told = len(source.warnings)
        on_frame()
    return list(counts.values())


def _add(source: BagFrames, frame: Frame, named: Frame, jpeg_quality: int | None, writer: FrameDatasetWriter, count: CameraCount) -> None:
    image, suffix = _stored_image(source, frame, jpeg_quality)
    depth = source.lidar_depth(frame)
    writer.add(named, image, suffix, depth)
    count.added += 1
    if depth is not None:
        count.with_lidar += 1
        count.lidar_points += len(depth.z)


def _stored_image(source: BagFrames, frame: Frame, jpeg_quality: int | None) -> tuple[bytes, str]:
    """The bytes to keep and their suffix; raises ImageDecodeError for a picture that is damaged or doesn't fit its camera."""
    recorded = source.encoded_image(frame)
    if recorded is None:
        pixels = source.image(frame)
        size = pixels.shape[1], pixels.shape[0]
        stored = (encode_png(pixels), ".png") if jpeg_quality is None else (encode_jpeg(pixels, jpeg_quality), ".jpg")
    else:
        try:
            # The smallest scale of a JPEG tells damage as surely as the full one.
            pixels = decode_image(recorded, min_size=(1, 1))
        except ImageDecodeError as error:
            raise ImageDecodeError(f"{source.bag.path}: {frame.frame_id}: {error}", error.cause) from error
        size = jpeg_size(recorded) or (pixels.shape[1], pixels.shape[0])
        if recorded.startswith(_JPEG):
            stored = recorded, ".jpg"
        elif recorded.startswith(_PNG):
            stored = recorded, ".png"
        else:
            stored = encode_png(pixels), ".png"
    if frame.camera is not None and frame.camera.size != size:
        raise ImageDecodeError(
            f"{source.bag.path}: {frame.frame_id}: {size[0]}x{size[1]} pixels,"
            f" but its camera has {frame.camera.width}x{frame.camera.height}",
            "image_size",
        )
    return stored


def condition_by_rules(rules: Sequence[str], name: str) -> str | None:
    """The condition of the first rule ("NAME" or "PATTERN=NAME") that fits a bag's file name; None if none does."""
    for rule in rules:
        pattern, separator, condition = rule.rpartition("=")
        if not separator or fnmatch.fnmatch(name, pattern):
            return condition or UNKNOWN_CONDITION
    return None


def _sequence_names(bags: Sequence[Path]) -> list[str]:
    """The bags' names without suffix, told apart by a number where two are equal."""
    names: list[str] = []
    for bag in map(named_path, bags):
        name = candidate = bag.name if bag.is_dir() else bag.stem
        copy = 1
        while candidate in names:
            copy += 1
            candidate = f"{name}-{copy}"
        names.append(candidate)
    return names


def _description(configuration: ExtractionConfiguration) -> dict[str, Any]:
    """What decides the dataset's content: names and sizes of the bags, so that a moved bag is still the same one."""
    values = configuration.model_dump(mode="json")
    bags = [{"name": path.name, "bytes": _size(path)} for path in map(named_path, map(Path, configuration.bags))]
    return {"kind": "bags", **values, "bags": bags}


def _size(path: Path) -> int:
    if not path.exists():
        raise BagError(f"{path}: no such file or folder")
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
