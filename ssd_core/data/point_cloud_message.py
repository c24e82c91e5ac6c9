# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 of any layout to an array of points."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError

_DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


class PointCloudError(DataError):
    """A PointCloud2 whose fields and sizes contradict each other; the message says which."""


def point_cloud_xyz(message: Any) -> npt.NDArray[np.float32]:
    """The finite points (N, 3) of a PointCloud2, metres in the message's frame.

    Fields may come in any order, with padding between them and behind rows, as any number type and byte order. NaN and
    infinite points are left out. Raises PointCloudError.
    """
    count, point_step = message.width * message.height, message.point_step
    if count == 0:
        return np.empty((0, 3), dtype=np.float32)
    kind = _point_type(message)
    data = np.frombuffer(message.data, dtype=np.uint8)
    row_bytes = message.width * point_step
    row_step = message.row_step if message.height > 1 and message.row_step else row_bytes
    needed = (message.height - 1) * row_step + row_bytes
    if row_step < row_bytes or len(data) < needed:
        raise PointCloudError(
            f"a cloud of {message.width}x{message.height} points of {point_step} bytes needs {needed} bytes, it has {len(data)}"
        )
    if row_step != row_bytes:
        rows = np.lib.stride_tricks.as_strided(data, (message.height, row_bytes), (row_step, 1))
        data = np.ascontiguousarray(rows).reshape(-1)
    points = data[: count * point_step].view(kind)
    with np.errstate(over="ignore"):
        xyz = np.stack([points[axis] for axis in "xyz"], axis=-1).astype(np.float32)
    return np.ascontiguousarray(xyz[np.isfinite(xyz).all(axis=1)])


def _point_type(message: Any) -> np.dtype[Any]:
    fields = {field.name: field for field in message.fields}
    missing = [axis for axis in "xyz" if axis not in fields]
    if missing:
        raise PointCloudError(f"a cloud without the fields {', '.join(missing)} (it has {', '.join(fields) or 'none'})")
    formats, offsets = [], []
    for axis in "xyz":
        field = fields[axis]
        if field.datatype not in _DATATYPES:
            raise PointCloudError(f"field {axis} has the unknown datatype {field.datatype}")
        formats.append((">" if message.is_bigendian else "<") + _DATATYPES[field.datatype])
        offsets.append(field.offset)
        if field.offset + np.dtype(formats[-1]).itemsize > message.point_step:
            raise PointCloudError(f"field {axis} at byte {field.offset} reaches beyond the point of {message.point_step} bytes")
    return np.dtype({"names": list("xyz"), "formats": formats, "offsets": offsets, "itemsize": message.point_step})
