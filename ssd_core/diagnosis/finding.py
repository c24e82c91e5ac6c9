# SPDX-License-Identifier: Apache-2.0
"""One line of what `ssd-depth doctor` says."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """How well something is. WARN: it works, but slower or less than it could; FAIL: it doesn't work."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """What was found out about one thing, and what to do about it if it isn't well."""

    subject: str
    level: Level
    fact: str
    fix: str = ""


def well(subject: str, fact: str) -> Finding:
    """Something that is as it should be."""
    return Finding(subject, Level.OK, fact)


def warning(subject: str, fact: str, fix: str) -> Finding:
    """Something that costs speed or some of the functions."""
    return Finding(subject, Level.WARN, fact, fix)


def failure(subject: str, fact: str, fix: str) -> Finding:
    """Something that doesn't work."""
    return Finding(subject, Level.FAIL, fact, fix)
