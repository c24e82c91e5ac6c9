# SPDX-License-Identifier: Apache-2.0
"""What the node tells about itself: counts, rates and latencies of each camera, and complaints that don't flood the log."""

from __future__ import annotations

import collections
import dataclasses
import enum
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

RATE_WINDOW = 5.0
"""Seconds over which rates, recent errors and drops are counted."""
STALE_AFTER = 3.0
"""Seconds without an image after which a camera counts as silent."""
COMPLAINT_PERIOD = 10.0
"""Seconds between two log lines about the same cause."""
_LATENCIES = 200


class Level(enum.IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclasses.dataclass(frozen=True)
class Status:
    """One line of /diagnostics."""

    name: str
    level: Level
    message: str
    values: dict[str, Any]


class CameraHealth:
    """Counts of one camera. Safe to use from the executor's and the worker's thread.

    `log` receives (text) at most once per cause and COMPLAINT_PERIOD; `clock` is monotonic seconds.
    """

    def __init__(self, name: str, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._last_input = clock()
        self._inputs: collections.deque[float] = collections.deque()
        self._outputs: collections.deque[float] = collections.deque()
        self._recent_drops: collections.deque[float] = collections.deque()
        self._recent_errors: collections.deque[tuple[float, str]] = collections.deque()
        self._latencies: collections.deque[float] = collections.deque(maxlen=_LATENCIES)
        self._last_age = float("nan")
        self._last_complaint: dict[str, tuple[float, str]] = {}
        self.received = 0
        self.published = 0
        self.dropped = 0
        self.clock_jumps = 0
        self.errors: collections.Counter[str] = collections.Counter()

    def image_received(self) -> None:
        """Count an image that arrived."""
        with self._lock:
            self.received += 1
            self._last_input = self._clock()
            self._remember(self._inputs, self._last_input)

    def image_dropped(self) -> None:
        """Count an image that a newer one replaced before its turn came."""
        with self._lock:
            self.dropped += 1
            self._remember(self._recent_drops, self._clock())

    def image_published(self, latency: float, age: float) -> None:
        """Count a finished image: seconds from its arrival, and seconds from its stamp, to its publication."""
        with self._lock:
            self.published += 1
            self._latencies.append(latency)
            self._last_age = age
            self._remember(self._outputs, self._clock())

    def clock_jumped(self) -> None:
        """Count stamps that went backwards (a recording that starts again)."""
        with self._lock:
            self.clock_jumps += 1

    def complain(self, cause: str, text: str) -> None:
        """Count a problem under a short name and log it, unless the same cause was logged a moment ago."""
        now = self._clock()
        with self._lock:
            self.errors[cause] += 1
            self._recent_errors.append((now, text))
            while self._recent_errors and now - self._recent_errors[0][0] > RATE_WINDOW:
                self._recent_errors.popleft()
            last = self._last_complaint.get(cause)
            if last is not None and now - last[0] < COMPLAINT_PERIOD:
                return
            self._last_complaint[cause] = (now, text)
            count = self.errors[cause]
        prefix = f"{self.name}: " if self.name else ""
        self._log(f"{prefix}{text}" + (f" ({count} times so far)" if count > 1 else ""))

    def status(self, prefix: str, topic: str | None, wanted_topic: str) -> Status:
        """The camera's line of /diagnostics; topic is the one it listens to, None while nobody publishes on the wanted one."""
        now = self._clock()
        with self._lock:
            silent = now - self._last_input
            for times in (self._inputs, self._outputs, self._recent_drops):
                self._forget(times, now)
            recent = [text for moment, text in self._recent_errors if now - moment <= RATE_WINDOW]
            level, message = self._judge(silent, topic, wanted_topic, recent)
            percentiles = np.percentile(self._latencies, (50, 95)) * 1000 if self._latencies else (float("nan"),) * 2
            values: dict[str, Any] = {
                "topic": topic or f"{wanted_topic}: not found",
                "input rate (Hz)": f"{self._rate(self._inputs):.1f}",
                "output rate (Hz)": f"{self._rate(self._outputs):.1f}",
                "received": self.received,
                "published": self.published,
                "dropped": self.dropped,
                "latency p50 (ms)": f"{percentiles[0]:.1f}",
                "latency p95 (ms)": f"{percentiles[1]:.1f}",
                "age of the last depth (s)": f"{self._last_age:.3f}",
                "stamps gone backwards": self.clock_jumps,
                **{f"errors: {cause}": count for cause, count in sorted(self.errors.items())},
            }
        return Status(f"{prefix}: {self.name or 'camera'}", level, message, values)

    def _judge(self, silent: float, topic: str | None, wanted_topic: str, recent: list[str]) -> tuple[Level, str]:
        if not self.received:
            if topic is None:
                return Level.STALE, f"nobody publishes images on {wanted_topic}"
            return Level.STALE, "no image has arrived yet"
        if silent > STALE_AFTER:
            return Level.STALE, f"no image for {silent:.0f} s"
        if recent:
            return (Level.WARN if self._outputs else Level.ERROR), recent[-1]
        if self._recent_drops:
            return Level.OK, f"dropped {len(self._recent_drops)} of {len(self._inputs)} images: they come faster than the network runs"
        return Level.OK, "running"

    def _remember(self, times: collections.deque[float], now: float) -> None:
        times.append(now)
        self._forget(times, now)

    @staticmethod
    def _forget(times: collections.deque[float], now: float) -> None:
        while times and now - times[0] > RATE_WINDOW:
            times.popleft()

    @staticmethod
    def _rate(times: collections.deque[float]) -> float:
        if len(times) < 2 or times[-1] == times[0]:
            return 0.0
        return (len(times) - 1) / (times[-1] - times[0])
