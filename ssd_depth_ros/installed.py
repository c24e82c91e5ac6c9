# SPDX-License-Identifier: Apache-2.0
"""Where configuration and sample recordings lie: in the checkout, or in share/ after an installation."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = "ssd_depth_ros"
_IN_CHECKOUT = {"config": "config", "sample": "resource/sample"}


def installed_folder(name: str) -> Path:
    """The folder `config` or `sample`. Raises FileNotFoundError naming all places looked at."""
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    candidates = [
        Path(__file__).parents[1] / _IN_CHECKOUT[name],
        # pip --prefix and --target: lib/pythonX.Y/site-packages/ssd_depth_ros/installed.py
        *(parent / "share" / _PACKAGE / name for parent in Path(__file__).parents[2:5]),
        *(Path(prefix) / "share" / _PACKAGE / name for prefix in prefixes),
    ]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no folder {name} of {_PACKAGE}; looked at {', '.join(map(str, candidates))}")
