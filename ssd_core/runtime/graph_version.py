# SPDX-License-Identifier: Apache-2.0
"""A version of our own code in compiled networks: normalisation and depth range are part of what is stored."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

_SOURCES = (
    "ssd_core.runtime.export",
    "ssd_core.model.depth_model",
    "ssd_core.model.convolutional",
    "ssd_core.model.efficientnet_lite",
    "ssd_core.model.checkpoint",
    "ssd_core.model.config",
)


def graph_version(*modules: str) -> str:
    """Hash of the source of every module that decides a stored graph, `modules` among them; nothing is imported."""
    digest = hashlib.sha256()
    for module in (*modules, *_SOURCES):
        specification = importlib.util.find_spec(module)
        digest.update(Path(str(specification and specification.origin)).read_bytes())
    return digest.hexdigest()[:16]
