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


def _fit(picture: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return resize_image(picture, (width, height))


def _band(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)


def _write(band: npt.NDArray[np.uint8], text: str, left: int) -> None:
    cv2.putText(band, text, (left + 4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
