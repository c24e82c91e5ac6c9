# SPDX-License-Identifier: Apache-2.0
"""Compressed image bytes to RGB arrays and back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from ssd_core.storage.atomic_write import atomic_write

Image = npt.NDArray[np.uint8]

_JPEG_MAGIC = b"\xff\xd8"


class ImageDecodeError(ValueError):
    """Bytes that aren't a whole image; the message says what they look like, `cause` is a short word to count them by."""

    def __init__(self, message: str, cause: str = "damaged_image") -> None:
        super().__init__(message)
        self.cause = cause


def decode_image(data: bytes | memoryview | npt.NDArray[np.uint8], min_size: tuple[int, int] | None = None) -> Image:
    """JPEG, PNG or any other format OpenCV reads -> uint8 (H, W, 3) RGB.

    min_size (width, height): a JPEG may come back reduced (by a factor of the DCT, which is antialiased and several
    times faster) as long as neither side falls below it. Gray becomes RGB, alpha is dropped, 16 bits become 8.
    Raises ImageDecodeError for empty, truncated or unknown bytes.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    if buffer.size == 0:
        raise ImageDecodeError("no data: the image message is empty", "empty_image")
    if buffer[:2].tobytes() == _JPEG_MAGIC:
        return _decode_jpeg(buffer, min_size)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ImageDecodeError(f"damaged image of {buffer.size} bytes: {error.err}") from error
    if image is None:
        head = buffer[:8].tobytes().hex(" ")
        raise ImageDecodeError(
            f"{buffer.size} bytes that are no JPEG, PNG or other known image (they start with {head}), or a truncated one",
            "unknown_format",
        )
    return np.asarray(image, dtype=np.uint8)


def jpeg_size(data: bytes | memoryview | npt.NDArray[np.uint8]) -> tuple[int, int] | None:
    """(width, height) from a JPEG's header, without decoding it; None for anything that is no JPEG or has no readable header."""
    buffer = np.frombuffer(data, dtype=np.uint8) if len(data) else np.empty(0, dtype=np.uint8)
    if buffer[:2].tobytes() != _JPEG_MAGIC:
        return None
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(buffer)
    except ValueError:
        return None
    return int(width), int(height)


def _decode_jpeg(buffer: npt.NDArray[np.uint8], min_size: tuple[int, int] | None) -> Image:
    width, height = min_size or (0, 0)
    try:
        image = simplejpeg.decode_jpeg(buffer, "RGB", min_width=width, min_height=height, strict=True)
    except ValueError as error:
        raise ImageDecodeError(f"damaged JPEG of {buffer.size} bytes: {error}") from error
    return np.asarray(image, dtype=np.uint8)


def encode_jpeg(image: Image, quality: int = 90) -> bytes:
    """uint8 (H, W, 3) RGB -> JPEG bytes (4:2:0)."""
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorspace="RGB", colorsubsampling="420")
    return encoded


def encode_png(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """uint8 RGB (H, W, 3), or gray uint8/uint16 (H, W), -> PNG bytes."""
    pixels = image[..., ::-1] if image.ndim == 3 else image
    good, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
    if not good:
        raise ValueError(f"OpenCV can't encode an image of shape {image.shape} {image.dtype} as PNG")
    return encoded.tobytes()


def read_image(path: Path, min_size: tuple[int, int] | None = None) -> Image:
    """Decode a file (see decode_image); errors name the file."""
    try:
        return decode_image(path.read_bytes(), min_size)
    except ImageDecodeError as error:
        raise ImageDecodeError(f"{path}: {error}") from error


def write_image(path: Path, image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    """Write a .png or .jpg atomically."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        data = encode_jpeg(np.asarray(image, dtype=np.uint8))
    elif path.suffix.lower() == ".png":
        data = encode_png(image)
    else:
        raise ValueError(f"{path}: write .png or .jpg")
    with atomic_write(path) as file:
        file.write(data)
