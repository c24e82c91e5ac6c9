# SPDX-License-Identifier: Apache-2.0
"""The checkpoint that ships with the package."""

from pathlib import Path

BUNDLED = "bundled"
"""Name under which the shipped checkpoint is asked for."""


def bundled_folder() -> Path:
    """The shipped checkpoint's folder."""
    return Path(__file__).parent / BUNDLED
