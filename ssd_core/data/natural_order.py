# SPDX-License-Identifier: Apache-2.0
"""File names with numbers in them, sorted as people do."""

from __future__ import annotations

import re
from pathlib import Path


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key of a file's name: frame2 before frame10."""
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", path.name)]
