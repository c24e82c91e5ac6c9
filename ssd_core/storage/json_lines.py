# SPDX-License-Identifier: Apache-2.0
"""One JSON object a line: logs and manifests that survive a kill in the middle of a line."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any


def append_json_line(path: Path, record: dict[str, Any]) -> None:
    """Append one record durably; a half-written last line left by a killed run is cut off first. Raises OSError naming the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    try:
        with path.open("ab+", buffering=0) as file:
            _cut_half_line(file)
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All whole records; [] if there is no file. Raises ValueError naming file and line for anything that is no JSON object."""
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break  # killed in the middle of this line
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path}:{number}: a JSON object is expected, not {type(record).__name__}")
        records.append(record)
    return records


def _cut_half_line(file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    position = size
    while position > 0:
        start = max(0, position - 4096)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            if start + newline + 1 < size:
                file.truncate(start + newline + 1)
            break
        position = start
    else:
        file.truncate(0)
    file.seek(0, os.SEEK_END)
