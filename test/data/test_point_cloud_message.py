# SPDX-License-Identifier: Apache-2.0
"""Points come out of PointCloud2 messages of any layout."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssd_core.data.point_cloud_message import PointCloudError, point_cloud_xyz

_CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def _message(xyz: np.ndarray, kinds: list[str], order: list[int], gaps: list[int], rows: int, row_padding: int, big: bool) -> Any:
    """A cloud with the fields x y z r in a shuffled order, `gaps` bytes before each and padding behind every row."""
    offset, fields = 0, {}
    for position, gap in zip(order, gaps, strict=True):
        offset += gap
        fields["xyzr"[position]] = (kinds[position], offset)
        offset += int(kinds[position][1])
    point_step = offset + 2
    columns = len(xyz) // rows
    row_step = columns * point_step + row_padding
    data = np.full(rows * row_step, 0xAB, dtype=np.uint8)
    for index, point in enumerate(xyz):
        start = index // columns * row_step + index % columns * point_step
        for axis, value in zip("xyzr", [*point, 7], strict=True):
            kind, at = fields[axis]
            raw = np.array(value).astype((">" if big else "<") + kind).tobytes()
            data[start + at : start + at + len(raw)] = np.frombuffer(raw, dtype=np.uint8)
    return SimpleNamespace(
        fields=[SimpleNamespace(name=name, offset=at, datatype=_CODES[kind], count=1) for name, (kind, at) in fields.items()],
        width=columns,
        height=rows,
        point_step=point_step,
        row_step=row_step,
        is_bigendian=big,
        data=data,
    )


@given(
    kinds=st.lists(st.sampled_from(["i2", "i4", "f4", "f8"]), min_size=4, max_size=4),
    order=st.permutations([0, 1, 2, 3]),
    gaps=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    rows=st.integers(1, 3),
    columns=st.integers(1, 5),
    row_padding=st.integers(0, 7),
    big=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_layout(
    kinds: list[str], order: list[int], gaps: list[int], rows: int, columns: int, row_padding: int, big: bool, seed: int
) -> None:
    xyz = np.random.default_rng(seed).integers(-1000, 1000, (rows * columns, 3))
    message = _message(xyz, kinds, order, gaps, rows, row_padding, big)
    points = point_cloud_xyz(message)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, xyz)


def _plain(xyz: np.ndarray) -> Any:
    return _message(xyz, ["f4"] * 4, [0, 1, 2, 3], [0] * 4, 1, 0, False)


def test_points_that_are_not_finite_are_left_out() -> None:
    xyz = np.array([[1, 2, 3], [np.nan, 0, 0], [0, np.inf, 0], [4, 5, 6]])
    np.testing.assert_array_equal(point_cloud_xyz(_plain(xyz)), [[1, 2, 3], [4, 5, 6]])
    double = _message(np.array([[1e300, 0, 0]]), ["f8"] * 4, [0, 1, 2, 3], [0] * 4, 1, 0, False)
    assert point_cloud_xyz(double).shape == (0, 3)


def test_bytes_and_empty_clouds() -> None:
    message = _plain(np.ones((4, 3)))
    message.data = message.data.tobytes()
    assert point_cloud_xyz(message).shape == (4, 3)
    message.width = 0
    assert point_cloud_xyz(message).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda m: setattr(m, "data", m.data[:-1]), "needs"),
        (lambda m: m.fields.pop(1), "without the fields y"),
        (lambda m: setattr(m.fields[0], "datatype", 99), "datatype 99"),
        (lambda m: setattr(m.fields[2], "offset", 90), "beyond the point"),
        (lambda m: setattr(m, "point_step", 0), "beyond the point"),
    ],
)
def test_contradictions_are_named(change: Any, part: str) -> None:
    message = _plain(np.ones((4, 3)))
    change(message)
    with pytest.raises(PointCloudError, match=part):
        point_cloud_xyz(message)
