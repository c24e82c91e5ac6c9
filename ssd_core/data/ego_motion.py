# SPDX-License-Identifier: Apache-2.0
"""How fast the vehicle drives at a frame, from where it was at the frame's neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

STATIC_SPEED_MPS = 0.5
"""Below this a frame counts as static (nuScenes' practice of the protocol's authors: such frames teach no depth)."""


class Fix(NamedTuple):
    """Where something was: time in nanoseconds, position (3,) in metres in the world; None where it is unknown."""

    stamp_ns: int
    position: npt.NDArray[np.float64] | None


def speed_between(fixes: list[Fix]) -> float | None:
    """Metres a second along the chord from the earliest to the latest known of up to three neighbouring fixes.

    None with fewer than two known positions, or no time between them.
    """
    known = sorted((fix for fix in fixes if fix.position is not None), key=lambda fix: fix.stamp_ns)
    if len(known) < 2 or known[0].stamp_ns == known[-1].stamp_ns:
        return None
    first, last = known[0], known[-1]
    assert first.position is not None and last.position is not None
    return float(np.linalg.norm(last.position - first.position) / ((last.stamp_ns - first.stamp_ns) * 1e-9))


def is_static(speed_mps: float | None) -> bool:
    """True if the speed is known and below STATIC_SPEED_MPS."""
    return speed_mps is not None and speed_mps < STATIC_SPEED_MPS
