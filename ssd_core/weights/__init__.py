# SPDX-License-Identifier: Apache-2.0
"""What ships with the package: the depth network's checkpoint, and the geometry gate's change detector."""

from pathlib import Path

BUNDLED = "bundled"
"""Name under which what ships is asked for."""


def bundled_folder() -> Path:
    """The shipped checkpoint's folder."""
    return Path(__file__).parent / BUNDLED


def change_detector_folder() -> Path:
    """The shipped change detector's folder."""
    return Path(__file__).parent / "change_detector"
