# SPDX-License-Identifier: Apache-2.0
"""Raw image bytes in the encodings of sensor_msgs/Image to RGB arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.images.codec import Image, ImageDecodeError


@dataclasses.dataclass(frozen=True)
class _Packed:
    """Interleaved pixels: `channels` samples of `sample_bytes` each, then an OpenCV colour conversion (None: RGB already)."""

    channels: int
    conversion: int | None
    sample_bytes: int = 1
    even_width: bool = False


# OpenCV's names without the suffix RGGB... count from the second pixel of the second row; these aliases count from the first, as ROS does.
_BAYER = {
    "rggb": cv2.COLOR_BayerRGGB2RGB,
    "bggr": cv2.COLOR_BayerBGGR2RGB,
    "gbrg": cv2.COLOR_BayerGBRG2RGB,
    "grbg": cv2.COLOR_BayerGRBG2RGB,
}

_PACKED = {
    "rgb8": _Packed(3, None),
    "bgr8": _Packed(3, cv2.COLOR_BGR2RGB),
    "rgba8": _Packed(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Packed(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Packed(1, cv2.COLOR_GRAY2RGB),
    "8UC1": _Packed(1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Packed(3, cv2.COLOR_BGR2RGB),
    "8UC4": _Packed(4, cv2.COLOR_BGRA2RGB),
    "rgb16": _Packed(3, None, 2),
    "bgr16": _Packed(3, cv2.COLOR_BGR2RGB, 2),
    "rgba16": _Packed(4, cv2.COLOR_RGBA2RGB, 2),
    "bgra16": _Packed(4, cv2.COLOR_BGRA2RGB, 2),
    "mono16": _Packed(1, cv2.COLOR_GRAY2RGB, 2),
    "16UC1": _Packed(1, cv2.COLOR_GRAY2RGB, 2),
    "yuv422": _Packed(2, cv2.COLOR_YUV2RGB_UYVY, even_width=True),
    "uyvy": _Packed(2, cv2.COLOR_YUV2RGB_UYVY, even_width=True),
    "yuv422_yuy2": _Packed(2, cv2.COLOR_YUV2RGB_YUY2, even_width=True),
    "yuyv": _Packed(2, cv2.COLOR_YUV2RGB_YUY2, even_width=True),
    **{f"bayer_{pattern}8": _Packed(1, conversion) for pattern, conversion in _BAYER.items()},
    **{f"bayer_{pattern}16": _Packed(1, conversion, 2) for pattern, conversion in _BAYER.items()},
}

_SEMI_PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}

RAW_ENCODINGS: tuple[str, ...] = (*_PACKED, *_SEMI_PLANAR)


def decode_raw_image(data: Any, encoding: str, width: int, height: int, step: int, is_bigendian: bool = False) -> Image:
    """Bytes of a sensor_msgs/Image -> uint8 (height, width, 3) RGB, C-contiguous and writable.

    data is anything with a buffer (bytes, array.array, ndarray); rows start every `step` bytes, whatever follows the
    last row is ignored. 16-bit samples are scaled to 8 bits (65535 becomes 255); "8UC3" and "8UC4" hold blue first, as in OpenCV,
    "yuv422" is UYVY; nv12 and nv21 hold height * 3 / 2 rows. The result may share memory with `data`
    (only for rgb8 without padding).
    Raises ImageDecodeError for an unknown encoding, an empty size, a step shorter than a row, or too few bytes.
    """
    if width < 1 or height < 1:
        raise ImageDecodeError(f"image size {width}x{height} is empty", "empty_image")
    buffer = np.frombuffer(data, dtype=np.uint8) if len(data) else np.empty(0, dtype=np.uint8)
    if encoding in _SEMI_PLANAR:
        return _decode_semi_planar(buffer, encoding, width, height, step)
    if encoding not in _PACKED:
        raise ImageDecodeError(f"unknown encoding {encoding!r}; known: {', '.join(RAW_ENCODINGS)}", "unknown_encoding")
    layout = _PACKED[encoding]
    _check_size(buffer, encoding, width, height, step, width * layout.channels * layout.sample_bytes, height)
    if layout.even_width and width % 2:
        raise ImageDecodeError(f"{encoding} needs an even width, got {width}", "odd_size")
    if encoding.startswith("bayer_") and (width < 2 or height < 2):
        raise ImageDecodeError(f"{encoding} needs at least 2x2 pixels, got {width}x{height}", "odd_size")
    shape = (height, width) if layout.channels == 1 else (height, width, layout.channels)
    pixels = _samples(buffer, shape, step, layout.sample_bytes, is_bigendian)
    if layout.conversion is not None:
        pixels = np.asarray(cv2.cvtColor(pixels, layout.conversion), dtype=np.uint8)
    return np.require(pixels, dtype=np.uint8, requirements=["C", "W"])


def _samples(
    buffer: npt.NDArray[np.uint8], shape: tuple[int, ...], step: int, sample_bytes: int, is_bigendian: bool
) -> npt.NDArray[np.uint8]:
    channels = shape[2] if len(shape) == 3 else 1
    strides = (step, channels * sample_bytes, sample_bytes)[: len(shape)]
    if sample_bytes == 1:
        return np.ndarray(shape, dtype=np.uint8, buffer=buffer, strides=strides)
    samples: npt.NDArray[np.uint16] = np.ndarray(shape, dtype=">u2" if is_bigendian else "<u2", buffer=buffer, strides=strides)
    native = np.ascontiguousarray(samples, dtype=np.uint16)
    return np.asarray(cv2.convertScaleAbs(native, alpha=1 / 257), dtype=np.uint8).reshape(shape)


def _decode_semi_planar(buffer: npt.NDArray[np.uint8], encoding: str, width: int, height: int, step: int) -> Image:
    if width % 2 or height % 2:
        raise ImageDecodeError(f"{encoding} needs an even width and height, got {width}x{height}", "odd_size")
    rows = height * 3 // 2
    _check_size(buffer, encoding, width, height, step, width, rows)
    planes: npt.NDArray[np.uint8] = np.ndarray((rows, width), dtype=np.uint8, buffer=buffer, strides=(step, 1))
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(planes), _SEMI_PLANAR[encoding]), dtype=np.uint8)


def _check_size(buffer: npt.NDArray[np.uint8], encoding: str, width: int, height: int, step: int, row_bytes: int, rows: int) -> None:
    if step < row_bytes:
        raise ImageDecodeError(f"step {step} is smaller than a row: {width} pixels of {encoding} are {row_bytes} bytes", "step_too_small")
    if buffer.size < rows * step:
        raise ImageDecodeError(
            f"data is too short: {width}x{height} {encoding} with step {step} needs {rows * step} bytes, got {buffer.size}",
            "data_too_short",
        )
