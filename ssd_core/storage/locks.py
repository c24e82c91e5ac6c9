# SPDX-License-Identifier: Apache-2.0
"""Files that say that somebody is at work in a folder; a process that dies lets go of them."""

from __future__ import annotations

from pathlib import Path

import filelock


def take_lock(path: Path, refusal: Exception) -> filelock.BaseFileLock:
    """The lock, held until it is released or nothing refers to it any more. Raises `refusal` at once where somebody else holds it."""
    # Not of one thread: whichever drops it last lets go.
    lock = filelock.FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise refusal from error
    return lock
