# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole or not at all: written under a temporary name beside the target, then renamed."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` when the block ends without an error; after an error nothing is left behind.

    Parent folders are made. Raises OSError (naming the path) where the folder can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path, "part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # A full disk shows in write(2), which knows no name.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextlib.contextmanager
def atomic_directory(path: Path, own: Collection[str] | None = None) -> Iterator[Path]:
    """An empty temporary folder that becomes `path` when the block ends without an error.

    An existing folder at `path` is replaced only then. own: as in `check_replaceable`, for paths that people choose; None: whatever the
    folder holds is replaced, for those that only this program fills. One writer at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    restore_directory(path)
    check_replaceable(path, own)
    temporary = _beside(path, "part")
    temporary.mkdir()
    try:
        yield temporary
        replace_directory(temporary, path, own)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_replaceable(path: Path, own: Collection[str] | None = None) -> None:
    """Raise FileExistsError where a new folder at `path` would destroy what isn't its writer's.

    own: the names that a folder which is there may hold, none of them for one that must be empty; None: any.
    """
    if not path.is_dir():
        if os.path.lexists(path):
            raise FileExistsError(f"{path} is no folder; remove it or choose another name")
        return
    foreign = [] if own is None else sorted(entry.name for entry in path.iterdir() if entry.name not in own)
    if foreign:
        listed = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise FileExistsError(f"{path} holds {listed}, which would be lost; choose another name, such as {path / 'new'}")


def replace_directory(folder: Path, path: Path, own: Collection[str] | None = None) -> None:
    """Make `folder`, once all that is in it has reached the disk, `path`; a folder that is there goes last, and comes back on failure.

    Both are on one file system. own: as in `check_replaceable`; what others put into `path` meanwhile stays too.
    """
    for entry in (*folder.rglob("*"), folder):
        flush_to_disk(entry)
    check_replaceable(path, own)
    if not path.exists():
        folder.replace(path)
        flush_to_disk(path.parent)
        return
    old = _beside(path, "old")
    try:
        path.replace(old)
        folder.replace(path)
    except BaseException:
        restore_directory(path)
        raise
    flush_to_disk(path.parent)
    # Under its first name `restore_directory` would take what a kill leaves of it for a whole folder.
    old.replace(folder)
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def restore_directory(path: Path) -> None:
    """Bring back the folder that `replace_directory` had moved aside when it was killed, unless the new one is at `path` already."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}.old"):
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.replace(path)


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some network file systems can't for a folder, whose names they keep safe themselves.
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def atomic_write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def _beside(path: Path, purpose: str) -> Path:
    # tempfile would keep results from the group, and the mask that says what the group may do can only be read by setting it, which
    # writers in several threads mustn't.
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.{purpose}")
