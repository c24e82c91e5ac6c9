# SPDX-License-Identifier: Apache-2.0
"""Rows of labelled pictures on one sheet, for people who would rather look than read."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.images.resize import resize_image

_LABEL_HEIGHT = 22
_GAP = 4
_BACKGROUND = 24


def contact_sheet(
    rows: Sequence[Sequence[npt.NDArray[np.uint8]]],
    cell_width: int = 480,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> npt.NDArray[np.uint8]:
    """RGB pictures of any sizes -> one RGB sheet; every picture is scaled to cell_width, a row is as high as its highest.

    Column labels stand above the sheet, each row's label above that row.
    Raises ValueError if there is no picture.
    """
    if not any(len(row) for row in rows):
        raise ValueError("a contact sheet needs at least one picture")
    columns = max(len(row) for row in rows)
    width = columns * cell_width + (columns - 1) * _GAP
    bands = []
    if column_labels:
        band = _band(_LABEL_HEIGHT, width)
        for index, label in enumerate(column_labels):
            _write(band, label, index * (cell_width + _GAP))
        bands.append(band)
    for index, row in enumerate(rows):
        if index < len(row_labels):
            band = _band(_LABEL_HEIGHT, width)
            _write(band, row_labels[index], 0)
            bands.append(band)
        cells = [_fit(picture, cell_width) for picture in row]
        band = _band(max(cell.shape[0] for cell in cells) + _GAP, width)
        for column, cell in enumerate(cells):
            left = column * (cell_width + _GAP)
            band[: cell.shape[0], left : left + cell_width] = cell
        bands.append(band)
    return np.concatenate(bands)


def picture_wall(pictures: Sequence[npt.NDArray[np.uint8]], width: int, row_height: int, label: str = "") -> npt.NDArray[np.uint8]:
    """RGB pictures of any aspects, in order -> one RGB wall (H, width, 3) without holes, under a label.

    A row takes as many as fill the width at row_height, and is then scaled to fill it exactly; the last one may stay short.
    Raises ValueError if there is no picture.
    """
    if not pictures:
        raise ValueError("a wall needs at least one picture")
    bands = []
    if label:
        bands.append(_band(_LABEL_HEIGHT, width))
        _write(bands[0], label, 0)
    row: list[npt.NDArray[np.uint8]] = []
    for number, picture in enumerate(pictures, start=1):
        row.append(picture)
        aspects = [each.shape[1] / each.shape[0] for each in row]
        height = (width - (len(row) - 1) * _GAP) / sum(aspects)
        if height <= row_height or number == len(pictures):
            bands.append(_row_of_wall(row, width, round(max(1, min(height, row_height)))))
            row = []
    return np.concatenate(bands)


def _row_of_wall(pictures: Sequence[npt.NDArray[np.uint8]], width: int, height: int) -> npt.NDArray[np.uint8]:
    """A band of pictures of this height, whose widths give way by a pixel so that a full row ends at the band's."""
    band, left = _band(height + _GAP, width), 0.0
    for picture in pictures:
        right = left + picture.shape[1] * height / picture.shape[0]
        begin, end = round(left), min(width, max(round(left) + 1, round(right)))
        band[:height, begin:end] = resize_image(picture, (end - begin, height))
        left = right + _GAP
    return band


def _fit(picture: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return resize_image(picture, (width, height))


def _band(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)


def _write(band: npt.NDArray[np.uint8], text: str, left: int) -> None:
    cv2.putText(band, text, (left + 4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
