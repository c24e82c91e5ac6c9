# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a data set: an error that names file and record, and warnings of which each cause is told once."""

from __future__ import annotations


class DataError(ValueError):
    """A data set, or one record of it, that can't be used; the message names the file and the record."""


class OncePerCause:
    """Adds a sentence to a list of warnings the first time its cause comes up: ten thousand frames may share one fault."""

    def __init__(self, sentences: list[str]) -> None:
        self._sentences = sentences
        self._told: set[str] = set()

    def tell(self, cause: str, sentence: str) -> None:
        """Append `sentence` unless one of the same `cause` has been told."""
        if cause not in self._told:
            self._told.add(cause)
            self._sentences.append(sentence)
