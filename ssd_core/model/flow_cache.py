# SPDX-License-Identifier: Apache-2.0
"""Flow that was found once, kept on the disk: every epoch, every run and all students of a teacher ask for the same again."""

from __future__ import annotations

import atexit
import hashlib
import inspect
import logging
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.model import classical_flow
from ssd_core.model.classical_flow import Field, Grey, flow_over_road
from ssd_core.storage.cache_folder import FOLDER_VARIABLE, default_cache_folder

CellMatches: TypeAlias = npt.NDArray[np.float16]
"""(3, h, w) at every cell: flow (u, v) in pixels, and its weight."""

_SEARCH = inspect.getsource(classical_flow) + cv2.__version__
"""What finds flow: a change of it finds nothing that was kept before."""
_SIZE_LIMIT = 4 * 2**30
"""Bytes: 60,000 triplets of 280x154, each with its mirror image. What was stored first goes first."""

_logger = logging.getLogger(__name__)


class FlowCache:
    """`flow_over_road` at every `cell`-th pixel, found once for all processes. Nothing is opened before it is asked."""

    def __init__(self, cell: int, folder: Path | None = None) -> None:
        """folder: None is `flow` in `default_cache_folder()`; where that can't be used, a temporary one serves, with a warning."""
        self._cell, self._folder = cell, folder
        self._opened: Any = None

    def find(self, current: Grey, neighbour: Grey, matrix: Field) -> CellMatches:
        """Arguments as of `flow_over_road`."""
        if self._opened is None:
            self._opened = _open(self._folder or default_cache_folder() / "flow")
        key = self._key(current, neighbour, matrix)
        known = self._opened.get(key)
        if known is None:
            flow, weight = flow_over_road(current, neighbour, matrix)
            found = np.concatenate([flow, weight[None]])[:, :: self._cell, :: self._cell].astype(np.float16)
            self._opened.set(key, found.tobytes())
            return found
        height, width = (-(-size // self._cell) for size in current.shape)
        return np.frombuffer(known, dtype=np.float16).reshape(3, height, width)

    def _key(self, current: Grey, neighbour: Grey, matrix: Field) -> bytes:
        """Of everything that the flow depends on."""
        made_by = f"{_SEARCH} {self._cell} {current.shape}".encode()
        return hashlib.blake2b(b"".join([made_by, current.tobytes(), neighbour.tobytes(), matrix.tobytes()]), digest_size=16).digest()


def _open(folder: Path) -> Any:
    # Training alone asks for flow.
    import diskcache

    try:
        return diskcache.Cache(str(folder), size_limit=_SIZE_LIMIT)
    except (OSError, sqlite3.DatabaseError) as error:
        _logger.warning(
            "%s can't be used (%s): flow is searched for anew in every run. Fix: remove it, or set %s to a writable folder",
            folder,
            error,
            FOLDER_VARIABLE,
        )
        temporary = tempfile.mkdtemp(prefix="ssd_depth_flow_")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return diskcache.Cache(temporary, size_limit=_SIZE_LIMIT)
