# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole or not at all: written under a temporary name beside the target, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
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
def atomic_directory(path: Path) -> Iterator[Path]:
    """An empty temporary folder that becomes `path` when the block ends without an error.

    An existing folder at `path` is replaced only then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path, "part")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            old = _beside(path, "old")
            path.replace(old)
            try:
                temporary.replace(path)
            except OSError:
                old.replace(path)
                raise
            shutil.rmtree(old)
        else:
            temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def atomic_write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def _beside(path: Path, purpose: str) -> Path:
    # tempfile would keep results from the group, and the mask that says what the group may do can only be read by setting it, which
    # writers in several threads mustn't.
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.{purpose}")
