# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ssd_core.images.codec import ImageDecodeError, decode_image, encode_jpeg, encode_png, jpeg_size, read_image, write_image


@pytest.fixture
def picture() -> np.ndarray:
    image = np.zeros((90, 160, 3), dtype=np.uint8)
    image[..., 0] = np.linspace(0, 255, 160)
    image[..., 1] = np.linspace(0, 255, 90)[:, None]
    image[20:40, 30:60] = (200, 30, 10)
    return image


def test_png_round_trip_is_exact_and_jpeg_close(picture: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_image(encode_png(picture)), picture)
    assert np.abs(decode_image(encode_jpeg(picture, 95)).astype(int) - picture).mean() < 3


def test_a_jpeg_is_reduced_but_never_below_the_wanted_size(picture: np.ndarray) -> None:
    data = encode_jpeg(picture)
    assert decode_image(data).shape == (90, 160, 3)
    reduced = decode_image(data, min_size=(75, 40))
    assert reduced.shape == (45, 80, 3)
    assert decode_image(data, min_size=(160, 10)).shape == (90, 160, 3)
    assert decode_image(data, min_size=(500, 500)).shape == (90, 160, 3)


def test_gray_alpha_and_sixteen_bit_pictures_become_rgb(picture: np.ndarray) -> None:
    gray = picture[..., 0]
    np.testing.assert_array_equal(decode_image(encode_png(gray)), np.repeat(gray[..., None], 3, axis=-1))
    alpha = cv2.imencode(".png", np.dstack([picture[..., ::-1], gray]))[1].tobytes()
    np.testing.assert_array_equal(decode_image(alpha), picture)
    deep = encode_png(gray.astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode_image(deep), np.repeat(gray[..., None], 3, axis=-1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "empty"),
        (lambda data: data[: len(data) // 2], "damaged JPEG"),
        (lambda data: b"hello, world" * 9, "68 65 6c 6c 6f"),
    ],
)
def test_damaged_bytes_are_named(picture: np.ndarray, damage, message: str) -> None:
    with pytest.raises(ImageDecodeError, match=message):
        decode_image(damage(encode_jpeg(picture)))


def test_truncated_png_is_refused(picture: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 255, picture.shape, dtype=np.uint8)
    with pytest.raises(ImageDecodeError):
        decode_image(encode_png(noise)[:200])


def test_files_name_themselves_in_errors(tmp_path: Path, picture: np.ndarray) -> None:
    write_image(tmp_path / "a" / "p.png", picture)
    np.testing.assert_array_equal(read_image(tmp_path / "a" / "p.png"), picture)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageDecodeError, match=r"bad\.jpg"):
        read_image(tmp_path / "bad.jpg")
    with pytest.raises(ValueError, match=r"write \.png or \.jpg"):
        write_image(tmp_path / "p.gif", picture)


def test_size_of_a_jpeg_is_read_from_its_header() -> None:
    data = encode_jpeg(np.zeros((30, 50, 3), np.uint8))
    assert jpeg_size(data) == (50, 30)
    assert jpeg_size(data[:10]) is None
    assert jpeg_size(encode_png(np.zeros((3, 5), np.uint8))) is None
    assert jpeg_size(b"") is None
