# SPDX-License-Identifier: Apache-2.0
"""Compiled networks kept on disk, so that only the first start on a machine is slow."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import filelock

from ssd_core.storage.atomic_write import atomic_directory, atomic_write_text
from ssd_core.storage.cache_folder import FOLDER_VARIABLE, default_cache_folder

_logger = logging.getLogger(__name__)

_MANIFEST = "engine.json"

Engine = TypeVar("Engine")


class EngineMissingError(LookupError):
    """No usable entry of a key, where none may be built."""


@dataclasses.dataclass(frozen=True)
class EngineKey:
    """Everything that a compiled network depends on; any difference means another entry."""

    weights_hash: str
    input_size: tuple[int, int]
    batch: int
    precision: str
    backend: str
    versions: dict[str, str]
    """Libraries (and, where compiled code is stored, the device) by name."""

    @property
    def digest(self) -> str:
        """Short name of the entry's folder."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:24]


class EngineCache:
    """A folder of entries, each a folder that appears whole or not at all, safe for several processes."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_cache_folder()

    def entry(self, key: EngineKey) -> Path:
        """The folder of a key's files, whether it is there or not."""
        return self.folder / "engines" / key.digest

    def get(self, key: EngineKey, build: Callable[[Path], None] | None, load: Callable[[Path], Engine]) -> Engine:
        """Load the entry of `key`, building it first where there is none; a damaged entry is rebuilt with a warning.

        build: fills an empty folder with files; None: never build. load: reads them; whatever it raises from an entry counts as damage,
        but what it raises right after a build is passed on. Where the cache folder can't be written, an entry that is there is used all
        the same; without one it builds in a temporary folder, with a warning.
        Raises EngineMissingError where there is no usable entry and `build` is None.
        """
        entry = self.entry(key)
        if build is None:
            found = _load_entry(entry, key, load)
            if found is None:
                raise EngineMissingError(f"no compiled network in {entry}")
            return found
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(entry.with_suffix(".lock"))
            lock.acquire(timeout=0)
        except filelock.Timeout:
            _logger.info("waiting for another process that compiles the same network")
            lock.acquire()
        except OSError as error:
            found = _load_entry(entry, key, load)
            if found is not None:
                return found
            _logger.warning(
                "the cache folder %s can't be written (%s): the network is compiled at every start. Set %s to a writable folder",
                self.folder,
                error.strerror or error,
                FOLDER_VARIABLE,
            )
            return _build_without_cache(build, load)
        try:
            return self._get_locked(entry, key, build, load)
        finally:
            lock.release()

    def _get_locked(self, entry: Path, key: EngineKey, build: Callable[[Path], None], load: Callable[[Path], Engine]) -> Engine:
        found = _load_entry(entry, key, load)
        if found is not None:
            return found
        try:
            _remove_leftovers(entry)
            with atomic_directory(entry) as temporary:
                build(temporary)
                _write_manifest(temporary, key)
        except OSError as error:
            _logger.warning("the compiled network can't be kept in %s (%s)", self.folder, error.strerror or error)
            return _build_without_cache(build, load)
        return load(entry)


def _load_entry(entry: Path, key: EngineKey, load: Callable[[Path], Engine]) -> Engine | None:
    """None where there is no entry or, with a warning, a damaged one. Raises what `load` does for want of memory."""
    if not os.path.exists(entry):  # noqa: PTH110  (Path.exists raises where the folder above can't be entered)
        return None
    try:
        _check_manifest(entry, key)
        return load(entry)
    except Exception as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            raise  # to build it anew would take more
        _logger.warning("the cached network %s is damaged or stale (%s) and isn't used", entry, error)
        return None


def _remove_leftovers(entry: Path) -> None:
    """Half-built folders of this entry, as big as the weights, from runs that were killed; whoever holds the lock may remove them."""
    for folder in entry.parent.glob(f".{entry.name}.*"):
        shutil.rmtree(folder, ignore_errors=True)


def _build_without_cache(build: Callable[[Path], None], load: Callable[[Path], Engine]) -> Engine:
    temporary = Path(tempfile.mkdtemp(prefix="ssd_depth_engine."))
    try:
        build(temporary)
        return load(temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_manifest(folder: Path, key: EngineKey) -> None:
    files = {path.name: _fingerprint(path) for path in sorted(folder.iterdir())}
    atomic_write_text(folder / _MANIFEST, json.dumps({"key": dataclasses.asdict(key), "files": files}, indent=1) + "\n")


def _check_manifest(folder: Path, key: EngineKey) -> None:
    manifest = json.loads((folder / _MANIFEST).read_text())
    if manifest["key"] != json.loads(json.dumps(dataclasses.asdict(key))):
        raise ValueError("it was made for something else")
    for name, fingerprint in manifest["files"].items():
        if _fingerprint(folder / name) != fingerprint:
            raise ValueError(f"{name} has changed since it was written")


def _fingerprint(path: Path) -> list[int]:
    """Size and CRC-32: against broken disks and half copies, not against malice, and much faster than SHA-256."""
    crc, size = 0, 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return [size, crc]
