# SPDX-License-Identifier: Apache-2.0
"""ROS messages to arrays and back: behind this module there are only numpy arrays and dataclasses."""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.camera_info import camera_from_info
from ssd_core.images.codec import ImageDecodeError, decode_image, encode_jpeg, jpeg_size
from ssd_core.images.encodings import RAW_ENCODINGS, decode_raw_image
from ssd_depth_ros.health import Status

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]

MILLIMETRES_PER_METRE = 1000.0


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """RGB pixels of an image message, perhaps reduced, and the (width, height) the camera made."""

    pixels: Pixels
    full_size: Size


def stamp_ns(header: Header) -> int:
    """The header's stamp in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def image_size(message: Image | CompressedImage) -> Size | None:
    """(width, height) if the message tells without being decoded (raw and JPEG), else None."""
    if isinstance(message, CompressedImage):
        return jpeg_size(message.data)
    return (message.width, message.height) if message.width and message.height else None


def decode_image_message(message: Image | CompressedImage, needed: Callable[[Size], Size]) -> DecodedImage:
    """Decode to RGB; a JPEG comes back at the smallest scale that covers ``needed(full size)``, (width, height).

    Encodings outside the built-in list go through cv_bridge where that is installed. Raises ImageDecodeError.
    """
    if isinstance(message, CompressedImage):
        full_size = jpeg_size(message.data)
        pixels = decode_image(message.data, None if full_size is None else needed(full_size))
        return DecodedImage(pixels, full_size or (pixels.shape[1], pixels.shape[0]))
    if message.encoding in RAW_ENCODINGS:
        pixels = decode_raw_image(message.data, message.encoding, message.width, message.height, message.step, bool(message.is_bigendian))
    else:
        pixels = _decode_with_cv_bridge(message)
    return DecodedImage(pixels, (pixels.shape[1], pixels.shape[0]))


def _decode_with_cv_bridge(message: Image) -> Pixels:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        # Raises, and names what is known.
        return decode_raw_image(message.data, message.encoding, message.width, message.height, message.step)
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), dtype=np.uint8)
    except (CvBridgeError, KeyError, ValueError, TypeError) as error:
        known = ", ".join(RAW_ENCODINGS)
        raise ImageDecodeError(
            f"unknown encoding {message.encoding!r}, cv_bridge: {error}; known without it: {known}", "unknown_encoding"
        ) from error


def camera_info_key(info: CameraInfo) -> Hashable:
    """Everything in a CameraInfo that describes the camera; equal keys mean nothing changed."""
    roi = info.roi
    region = (roi.x_offset, roi.y_offset, roi.width, roi.height)
    matrices = tuple(np.asarray(values, dtype=np.float64).tobytes() for values in (info.k, info.d, info.r, info.p))
    return info.width, info.height, info.distortion_model, matrices, info.binning_x, info.binning_y, region


def camera_from_message(info: CameraInfo, rectified: bool, image_size: Size, ignore_distortion: bool = False) -> PinholeCamera:
    """The camera of the image that this CameraInfo belongs to; image_size stands in where the driver left the size empty.

    Raises CameraError, DistortionError (see camera_from_info).
    """
    width, height = (info.width, info.height) if info.width or info.height else image_size
    return camera_from_info(
        width=width,
        height=height,
        k=info.k,
        d=[] if ignore_distortion else info.d,
        r=info.r,
        p=info.p,
        distortion_model="" if ignore_distortion else info.distortion_model,
        binning_x=info.binning_x,
        binning_y=info.binning_y,
        roi=(info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height),
        rectified=rectified,
    )


def camera_info_message(header: Header, camera: PinholeCamera) -> CameraInfo:
    """CameraInfo of a depth image: K, D and P of this camera, no rotation, no binning or region."""
    k, p = camera.matrix, np.zeros((3, 4))
    p[:, :3] = k
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob" if camera.distortion_model == "none" else camera.distortion_model,
        d=list(camera.distortion or (0.0,) * 5),
        k=k.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=p.ravel().tolist(),
    )


def apply_range_policy(depth: npt.NDArray[np.float32], minimum: float, maximum: float, out: npt.NDArray[np.float32]) -> None:
    """REP 117 and 118: depth from `maximum` on becomes +Inf, below `minimum` -Inf; NaN and infinities stay."""
    np.copyto(out, depth)
    out[depth >= maximum] = np.inf
    out[depth < minimum] = -np.inf


class ImageMessage:
    """One Image message that is filled again and again, so that no frame allocates its pixels."""

    def __init__(self, width: int, height: int, encoding: str, dtype: Any, channels: int = 1) -> None:
        itemsize = np.dtype(dtype).itemsize * channels
        self.message = Image(width=width, height=height, encoding=encoding, step=width * itemsize, is_bigendian=0)
        self.message.data = array.array("B", bytes(width * height * itemsize))
        shape = (height, width) if channels == 1 else (height, width, channels)
        # A view of the message's own bytes: writing to it changes what the next publish sends.
        self.pixels: npt.NDArray[Any] = np.frombuffer(self.message.data, dtype=dtype).reshape(shape)

    @property
    def size(self) -> Size:
        """(width, height) in pixels."""
        return self.message.width, self.message.height


class DepthMessage:
    """A depth image in 32FC1 (metres) or 16UC1 (millimetres, 0 invalid)."""

    def __init__(self, width: int, height: int, encoding: str) -> None:
        self.encoding = encoding
        self._image = ImageMessage(width, height, encoding, "<f4" if encoding == "32FC1" else "<u2")

    @property
    def size(self) -> Size:
        """(width, height) in pixels."""
        return self._image.size

    def fill(self, header: Header, depth: npt.NDArray[np.float32], minimum: float, maximum: float) -> Image:
        """The message of a depth image (H, W) in metres under the range policy; valid until the next fill."""
        pixels = self._image.pixels
        if self.encoding == "32FC1":
            apply_range_policy(depth, minimum, maximum, pixels)
        else:
            with np.errstate(invalid="ignore"):
                millimetres = np.rint(depth * np.float32(MILLIMETRES_PER_METRE))
                valid = (depth >= minimum) & (depth < maximum) & (millimetres <= np.iinfo(np.uint16).max)
                pixels[...] = np.where(valid, millimetres, 0).astype(np.uint16)
        self._image.message.header = header
        return self._image.message

    def fill_unchanged(self, header: Header, values: npt.NDArray[np.float32]) -> Image:
        """The message of values that are no metric depth (32FC1 only)."""
        self._image.pixels[...] = values
        self._image.message.header = header
        return self._image.message


class CloudMessage:
    """One organised PointCloud2 (x y z FLOAT32, rgb packed in a FLOAT32) that is filled again and again."""

    def __init__(self, rows: int, columns: int) -> None:
        names = ("x", "y", "z", "rgb")
        self.message = PointCloud2(
            height=rows,
            width=columns,
            fields=[PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1) for index, name in enumerate(names)],
            is_bigendian=False,
            point_step=16,
            row_step=16 * columns,
            is_dense=False,
        )
        self.message.data = array.array("B", bytes(16 * rows * columns))
        self.points: npt.NDArray[np.float32] = np.frombuffer(self.message.data, dtype="<f4").reshape(rows, columns, 4)


def depth_values(message: Image) -> npt.NDArray[np.float32]:
    """Metres (H, W) of a 32FC1 or 16UC1 (millimetres, 0 unknown becomes NaN) depth image, also as rosbags reads it.

    Raises ValueError for anything else.
    """
    kinds = {"32FC1": "f4", "16UC1": "u2"}
    if message.encoding not in kinds:
        raise ValueError(f"depth of encoding {message.encoding!r}; 32FC1 or 16UC1 is expected")
    kind = np.dtype((">" if message.is_bigendian else "<") + kinds[message.encoding])
    row = message.width * kind.itemsize
    data = np.frombuffer(message.data, dtype=np.uint8)
    if message.step < row or len(data) < message.height * message.step:
        raise ValueError(
            f"a depth image of {message.width}x{message.height} with rows of {message.step} and {len(data)} bytes in all is too short"
        )
    rows = np.ascontiguousarray(data[: message.height * message.step].reshape(message.height, message.step)[:, :row])
    values = rows.view(kind).astype(np.float32)
    if message.encoding == "16UC1":
        values = np.where(values == 0, np.nan, values / MILLIMETRES_PER_METRE).astype(np.float32)
    return values


def rgb_message(header: Header, pixels: Pixels) -> Image:
    """An rgb8 Image of pixels (H, W, 3)."""
    image = ImageMessage(pixels.shape[1], pixels.shape[0], "rgb8", np.uint8, channels=3)
    image.pixels[...] = pixels
    image.message.header = header
    return image.message


def jpeg_message(header: Header, pixels: Pixels, quality: int) -> CompressedImage:
    """A CompressedImage ("jpeg") of RGB pixels (H, W, 3)."""
    return CompressedImage(header=header, format="jpeg", data=array.array("B", encode_jpeg(pixels, quality)))


def diagnostic_message(stamp: Any, statuses: Sequence[Status], hardware_id: str) -> DiagnosticArray:
    """A DiagnosticArray of the node's statuses; stamp is a builtin_interfaces Time."""
    return DiagnosticArray(
        header=Header(stamp=stamp),
        status=[
            DiagnosticStatus(
                level=bytes([status.level]),
                name=status.name,
                message=status.message,
                hardware_id=hardware_id,
                values=[KeyValue(key=key, value=str(value)) for key, value in status.values.items()],
            )
            for status in statuses
        ],
    )
