# SPDX-License-Identifier: Apache-2.0
"""Raw encodings of sensor_msgs/Image."""

import array

import cv2
import numpy as np
import pytest

from ssd_core.images.codec import ImageDecodeError
from ssd_core.images.encodings import RAW_ENCODINGS, decode_raw_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GRAY = np.random.default_rng(1).integers(0, 256, (6, 8), dtype=np.uint8)


def packed(pixels: np.ndarray, padding: int = 0) -> tuple[bytes, int]:
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return padded.tobytes(), padded.shape[1]


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], 9, np.uint8)])


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", with_alpha(RGB)),
        ("bgra8", with_alpha(RGB[..., ::-1])),
        ("8UC4", with_alpha(RGB[..., ::-1])),
        ("rgb16", RGB.astype("<u2") * 257),
        ("bgr16", RGB[..., ::-1].astype("<u2") * 257),
    ],
)
def test_colours_and_row_padding(encoding: str, pixels: np.ndarray, padding: int) -> None:
    data, step = packed(pixels, padding)
    image = decode_raw_image(data, encoding, 8, 6, step)
    np.testing.assert_array_equal(image, RGB)
    assert image.flags.c_contiguous and image.flags.writeable and image.dtype == np.uint8


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_gray_becomes_three_equal_channels(encoding: str) -> None:
    data, step = packed(GRAY, 3)
    np.testing.assert_array_equal(decode_raw_image(data, encoding, 8, 6, step), np.repeat(GRAY[..., None], 3, axis=-1))


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
@pytest.mark.parametrize("big", [False, True])
def test_sixteen_bits_in_both_byte_orders_and_with_an_odd_step(encoding: str, big: bool) -> None:
    data, step = packed((GRAY.astype(np.uint16) * 257).astype(">u2" if big else "<u2"), padding=3)
    image = decode_raw_image(data, encoding, 8, 6, step, is_bigendian=big)
    np.testing.assert_array_equal(image[..., 1], GRAY)


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")])
def test_yuv_422(encoding: str, order: str) -> None:
    luminance, u, v = 81, 90, 240  # BT.601 red
    values = {"u": u, "v": v, "y": luminance}
    pixels = np.tile(np.array([values[letter] for letter in order], np.uint8), (4, 3))
    data, step = packed(pixels, 2)
    image = decode_raw_image(data, encoding, 6, 4, step)
    np.testing.assert_allclose(image.reshape(-1, 3), np.tile([255, 0, 0], (24, 1)), atol=3)


@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", (90, 240)), ("nv21", (240, 90))])
def test_semi_planar_with_padding(encoding: str, chroma: tuple[int, int]) -> None:
    planes = np.empty((6, 8), np.uint8)
    planes[:4], planes[4:, 0::2], planes[4:, 1::2] = 81, *chroma
    data, step = packed(planes, 4)
    image = decode_raw_image(data, encoding, 8, 4, step)
    assert image.shape == (4, 8, 3)
    np.testing.assert_allclose(image.reshape(-1, 3), np.tile([255, 0, 0], (32, 1)), atol=3)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_pattern_starts_at_the_first_pixel(pattern: str, bits: int) -> None:
    colour = {"r": 200, "g": 100, "b": 50}
    mosaic = np.tile(np.array([colour[letter] for letter in pattern], np.uint8).reshape(2, 2), (4, 5))
    pixels = mosaic if bits == 8 else mosaic.astype("<u2") * 257
    data, step = packed(pixels, 2)
    image = decode_raw_image(data, f"bayer_{pattern}{bits}", 10, 8, step)
    np.testing.assert_array_equal(image[2:-2, 2:-2].reshape(-1, 3), np.tile([200, 100, 50], (24, 1)))


def test_longer_data_than_needed_is_fine_and_any_buffer_is_taken() -> None:
    data, step = packed(RGB)
    for form in (data + b"tail", bytearray(data), memoryview(data), array.array("B", data), np.frombuffer(data, np.uint8)):
        np.testing.assert_array_equal(decode_raw_image(form, "rgb8", 8, 6, step), RGB)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hsv8", 8, 6, 24), "unknown encoding 'hsv8'; known: rgb8, bgr8"),
        (("rgb8", 8, 6, 23), "step 23 is smaller than a row: 8 pixels of rgb8 are 24 bytes"),
        (("rgb8", 8, 7, 24), "needs 168 bytes, got 144"),
        (("rgb8", 0, 6, 24), "image size 0x6 is empty"),
        (("rgb8", 8, 0, 24), "image size 8x0 is empty"),
        (("nv12", 8, 14, 8), "needs 168 bytes, got 144"),
        (("nv12", 8, 5, 8), "even width and height"),
        (("yuyv", 7, 6, 24), "even width"),
        (("bayer_rggb8", 1, 6, 24), "at least 2x2"),
        (("mono8", 2**31, 2**31, 2**31), "got 144"),
    ],
)
def test_what_is_wrong_is_named(arguments: tuple[str, int, int, int], message: str) -> None:
    with pytest.raises(ImageDecodeError, match=message):
        decode_raw_image(RGB.tobytes(), *arguments)


def test_no_data_at_all() -> None:
    with pytest.raises(ImageDecodeError, match="got 0"):
        decode_raw_image(b"", "rgb8", 8, 6, 24)


@pytest.mark.parametrize("encoding", RAW_ENCODINGS)
@pytest.mark.parametrize("size", [(2, 2), (4, 2), (64, 48)])
def test_every_encoding_takes_small_sizes(encoding: str, size: tuple[int, int]) -> None:
    width, height = size
    assert decode_raw_image(bytes(width * height * 8), encoding, width, height, width * 8 if encoding[:2] != "nv" else width).shape == (
        height,
        width,
        3,
    )


def test_built_in_path_equals_cv_bridge() -> None:
    cv_bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is only there where ROS is installed")
    image_type = pytest.importorskip("sensor_msgs.msg").Image
    bridge = cv_bridge.CvBridge()
    for encoding, channels in [("rgb8", 3), ("bgr8", 3), ("rgba8", 4), ("bgra8", 4), ("mono8", 1), ("yuv422", 2), ("bayer_rggb8", 1)]:
        pixels = np.random.default_rng(3).integers(0, 256, (6, 8, channels), dtype=np.uint8)
        message = image_type(width=8, height=6, step=8 * channels, encoding=encoding, data=pixels.tobytes())
        expected = cv2.cvtColor(bridge.imgmsg_to_cv2(message, "bgr8"), cv2.COLOR_BGR2RGB)
        np.testing.assert_allclose(decode_raw_image(message.data, encoding, 8, 6, message.step).astype(int), expected.astype(int), atol=1)
