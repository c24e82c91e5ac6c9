# SPDX-License-Identifier: Apache-2.0
"""Figures of other people's papers, shown beside ours only where the protocol is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ssd_core.data.frame import FrameSource
from ssd_core.data.nuscenes import NuScenesFrames
from ssd_core.data.robotcar import RobotCarFrames
from ssd_core.evaluation.evaluation import FrameRecord
from ssd_core.evaluation.protocol import DepthRange

NUSCENES_VAL_IMAGES = {"day-clear": 4449, "night": 602, "day-rain": 968}
"""Key frames of CAM_FRONT in nuScenes' official validation split."""
ROBOTCAR_TEST_IMAGES = {"day-clear": 702, "night": 709}
"""Pictures in md4all's test lists of the traverses 2014-12-09-13-21-02 and 2014-12-16-18-44-24."""


class PublishedRow(NamedTuple):
    """One method on one condition, unscaled; None where the paper gives no figure. d1 is a fraction."""

    method: str
    condition: str
    abs_rel: float
    sq_rel: float | None
    rmse: float | None
    d1: float | None


NUSCENES_VAL = (
    PublishedRow("md4all-DD", "day-clear", 0.1366, None, 6.452, 0.8461),
    PublishedRow("md4all-DD", "night", 0.1921, None, 8.507, 0.7107),
    PublishedRow("md4all-DD", "day-rain", 0.1414, None, 7.228, 0.8098),
    PublishedRow("SSD-T", "day-clear", 0.1223, None, 6.132, 0.8739),
    PublishedRow("SSD-T", "night", 0.2103, None, 8.024, 0.6770),
    PublishedRow("SSD-T", "day-rain", 0.1718, None, 6.988, 0.7887),
    PublishedRow("SSD-S", "day-clear", 0.1217, None, 5.982, 0.8713),
    PublishedRow("SSD-S", "night", 0.1939, None, 8.038, 0.7231),
    PublishedRow("SSD-S", "day-rain", 0.1410, None, 6.474, 0.8287),
    PublishedRow("RoSAMDepth", "night", 0.1742, None, None, 0.7252),
    PublishedRow("RoSAMDepth", "day-rain", 0.1298, None, 6.801, None),
)
"""md4all: Gasperini et al., ICCV 2023; SSD-T and SSD-S: Mao et al., arXiv 2403.05056."""

ROBOTCAR_TEST = (
    PublishedRow("md4all-DD", "day-clear", 0.1128, 0.648, 3.206, 0.8713),
    PublishedRow("md4all-DD", "night", 0.1219, 0.784, 3.604, 0.8486),
    PublishedRow("SSD-T", "day-clear", 0.1069, 0.762, 3.241, 0.8938),
    PublishedRow("SSD-T", "night", 0.1137, 0.685, 3.460, 0.8614),
    PublishedRow("SSD-S", "day-clear", 0.1058, 0.718, 3.203, 0.8909),
    PublishedRow("SSD-S", "night", 0.1143, 0.823, 3.646, 0.8736),
)


class Comparison(NamedTuple):
    """Rows that may stand beside ours, and a sentence about what they are or why there are none."""

    rows: tuple[PublishedRow, ...]
    note: str


class _Protocol(NamedTuple):
    """What must be equal for figures to be comparable."""

    name: str
    images: dict[str, int]
    rows: tuple[PublishedRow, ...]
    depth_range: DepthRange
    camera: str


_NUSCENES = _Protocol("nuScenes val", NUSCENES_VAL_IMAGES, NUSCENES_VAL, DepthRange(min_depth=0.1, cap=80.0), "CAM_FRONT")
_ROBOTCAR = _Protocol("RobotCar test", ROBOTCAR_TEST_IMAGES, ROBOTCAR_TEST, DepthRange(min_depth=0.1, cap=50.0), "stereo/left")


def published_rows(source: FrameSource, records: Sequence[FrameRecord], depth_range: DepthRange) -> Comparison:
    """The rows whose protocol these records follow: split, camera, depth range, and every image of a condition."""
    if isinstance(source, NuScenesFrames):
        official = source.version == "v1.0-trainval" and source.split == "val"
        return _compare(_NUSCENES, "" if official else f"this is {source.version}, split {source.split}", records, depth_range)
    if isinstance(source, RobotCarFrames):
        listed = source.split.startswith("lists ")
        return _compare(_ROBOTCAR, "" if listed else f"the split is {source.split}, not md4all's test lists", records, depth_range)
    return Comparison((), "")


def _compare(protocol: _Protocol, obstacle: str, records: Sequence[FrameRecord], depth_range: DepthRange) -> Comparison:
    obstacles = [obstacle] if obstacle else []
    if {record.camera for record in records} != {protocol.camera}:
        obstacles.append(f"cameras other than {protocol.camera} are in it")
    if depth_range != protocol.depth_range:
        obstacles.append(f"depths of {depth_range.min_depth:g}-{depth_range.cap:g} m count")
    counts = Counter(record.condition for record in records if record.skipped is None)
    same = [condition for condition, count in protocol.images.items() if counts[condition] == count]
    if not same:
        obstacles.append("no condition has all its images")
    span = f"{protocol.depth_range.min_depth:g}-{protocol.depth_range.cap:g} m"
    if obstacles:
        why = "; ".join(obstacles)
        return Comparison((), f"No published figures beside these: {why}. They are of {protocol.name}, {protocol.camera}, {span}.")
    rows = tuple(row for row in protocol.rows if row.condition in same)
    return Comparison(rows, f"Published figures are of the same images ({', '.join(same)}), unscaled; compare them with the raw rows.")
