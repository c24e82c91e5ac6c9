# SPDX-License-Identifier: Apache-2.0
"""Python functions as machine code, kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(fastmath: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function over numpy arrays at its first call, to run without the interpreter's lock.

    Where numba has nowhere to write (packages of root, no home folder, as for services and containers), that is done at every start.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(**options)(function)

    return decorate
