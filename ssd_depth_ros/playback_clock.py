# SPDX-License-Identifier: Apache-2.0
"""The time of a recording while it plays: starts, runs at a rate, stands still while somebody waits."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable


class PlaybackClock:
    """Maps a steady clock (seconds) to the time of a recording (nanoseconds)."""

    def __init__(self, start: int, rate: float = 1.0, steady: Callable[[], float] = time.monotonic) -> None:
        """Start running at `start`; rate 2 plays twice as fast. Raises ValueError unless the rate is positive and finite."""
        if not 0 < rate < math.inf:
            raise ValueError(f"rate {rate}: it must be positive and finite")
        self._rate = rate
        self._steady = steady
        self._anchor = steady()
        self._recorded = start
        self._running = True

    def now(self) -> int:
        """The recording's time, nanoseconds."""
        if not self._running:
            return self._recorded
        return self._recorded + round((self._steady() - self._anchor) * self._rate * 1e9)

    def seconds_until(self, stamp: int) -> float:
        """Seconds of real time from now until the recording reaches `stamp`, if it keeps running; negative if that is past."""
        return (stamp - self.now()) / 1e9 / self._rate

    def pause(self) -> None:
        """Stand still: what waits for an answer mustn't find itself late afterwards."""
        self._recorded = self.now()
        self._running = False

    def resume(self) -> None:
        """Run again from where it stood."""
        if not self._running:
            self._anchor = self._steady()
            self._running = True


def parse_rate(text: str) -> float:
    """A rate from the command line. Raises argparse.ArgumentTypeError unless it is a positive, finite number."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: it must be positive and finite")
    return rate
