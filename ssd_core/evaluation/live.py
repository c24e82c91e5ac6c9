# SPDX-License-Identifier: Apache-2.0
"""Accuracy while it runs: depth images and lidar scans as they arrive, matched by stamp, without ROS."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.evaluation.metrics import DepthMetrics, mean_metrics, sparse_depth_metrics
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import project_lidar
from ssd_core.geometry.pose import Matrix, transform_points

MotionLookup = Callable[[str, int, str, int], Matrix | None]
"""(camera frame, image stamp, lidar frame, scan stamp) -> camera_from_lidar (4, 4) with the motion between both times, None if unknown."""

_MOST_PENDING = 64
_MOST_SCANS = 40


class LiveDepth(NamedTuple):
    """A published depth image: values (H, W) float32, metres, by REP 117; the camera has their size."""

    camera_name: str
    frame: str
    stamp_ns: int
    values: npt.NDArray[np.float32]
    camera: PinholeCamera


class LiveScan(NamedTuple):
    """A lidar scan: points (N, 3) in its frame, metres."""

    frame: str
    stamp_ns: int
    points: npt.NDArray[np.float32]


class LiveAccuracy:
    """Compares each depth image with the lidar scan nearest in time; mean figures over the newest `window` images of each camera.

    A depth image waits until a scan at or after its stamp has come, so that the nearest one is known. Scans are projected into the depth
    image itself (its size, not the input image's; the nearest point of a pixel wins), so figures differ a little from `ssd-depth evaluate`.
    Pixels published as NaN (unusable) count as the cap. Bounded memory; not for several threads at once.
    """

    def __init__(
        self, motion: MotionLookup, cap: float = 80.0, min_depth: float = 1.0, max_gap_ns: int = 100_000_000, window: int = 200
    ) -> None:
        """max_gap_ns: how far apart image and scan may be."""
        self._motion, self._cap, self._min_depth, self._max_gap_ns, self._window = motion, cap, min_depth, max_gap_ns, window
        self._pending: collections.deque[LiveDepth] = collections.deque(maxlen=_MOST_PENDING)
        self._scans: collections.deque[LiveScan] = collections.deque(maxlen=_MOST_SCANS)
        self._metrics: dict[str, collections.deque[DepthMetrics]] = {}
        self.measured: collections.Counter[str] = collections.Counter()
        """Images measured so far, by camera."""
        self.unmatched: collections.Counter[str] = collections.Counter()
        """Reasons why images couldn't be measured."""

    def add_depth(self, depth: LiveDepth) -> None:
        """A new depth image. Raises ValueError if its camera has another size."""
        if depth.values.shape != (depth.camera.height, depth.camera.width):
            raise ValueError(
                f"depth of {depth.values.shape[1]}x{depth.values.shape[0]} with a camera of {depth.camera.width}x{depth.camera.height}"
            )
        if len(self._pending) == _MOST_PENDING:
            self._give_up("no lidar scan came")
        self._pending.append(depth)
        self._match()

    def add_scan(self, scan: LiveScan) -> None:
        """A new lidar scan."""
        self._scans.append(scan)
        self._match()

    def clock_jumped(self) -> None:
        """Forget what waits for a match, because time began anew (a bag loops)."""
        self._pending.clear()
        self._scans.clear()

    def figures(self, camera_name: str | None = None) -> DepthMetrics | None:
        """Means over the newest images, of one camera or of all; None before the first."""
        cameras = self._metrics.values() if camera_name is None else [self._metrics.get(camera_name, collections.deque())]
        return mean_metrics([metrics for camera in cameras for metrics in camera])

    @property
    def cameras(self) -> list[str]:
        """Cameras measured so far."""
        return sorted(self._metrics)

    def _match(self) -> None:
        newest = max((scan.stamp_ns for scan in self._scans), default=None)
        waiting = [depth for depth in self._pending if newest is None or depth.stamp_ns > newest]
        due = [depth for depth in self._pending if newest is not None and depth.stamp_ns <= newest]
        self._pending = collections.deque(waiting, maxlen=_MOST_PENDING)
        for depth in due:
            self._measure(depth)

    def _measure(self, depth: LiveDepth) -> None:
        scan = min(self._scans, key=lambda candidate: abs(candidate.stamp_ns - depth.stamp_ns))
        if abs(scan.stamp_ns - depth.stamp_ns) > self._max_gap_ns:
            self.unmatched["no lidar scan near its stamp"] += 1
            return
        camera_from_lidar = self._motion(depth.frame, depth.stamp_ns, scan.frame, scan.stamp_ns)
        if camera_from_lidar is None:
            self.unmatched[f"no transform from {scan.frame} to {depth.frame}"] += 1
            return
        truth = project_lidar(transform_points(camera_from_lidar, scan.points), depth.camera)
        metrics = sparse_depth_metrics(depth.values, truth, self._cap, self._min_depth)
        if metrics is None:
            self.unmatched["no lidar point in the image"] += 1
            return
        self._metrics.setdefault(depth.camera_name, collections.deque(maxlen=self._window)).append(metrics)
        self.measured[depth.camera_name] += 1

    def _give_up(self, reason: str) -> None:
        self._pending.popleft()
        self.unmatched[reason] += 1
