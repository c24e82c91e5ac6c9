# SPDX-License-Identifier: Apache-2.0
"""Where things lie that can be made again: compiled networks, rendered frames, flow."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "SSD_DEPTH_CACHE"


def default_cache_folder() -> Path:
    """$SSD_DEPTH_CACHE, or ssd_depth_ros in $XDG_CACHE_HOME, or in ~/.cache."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "ssd_depth_ros"
