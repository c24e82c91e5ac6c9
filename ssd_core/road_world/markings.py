# SPDX-License-Identifier: Apache-2.0
"""What is painted on a road: each strip of ground carries a number that tells the shader its lines, surface and symbol."""

from __future__ import annotations

import dataclasses
import enum


class Line(enum.IntEnum):
    """Along one edge of a lane. A yellow line is YELLOW + the white one's number."""

    NONE = 0
    SOLID = 1
    DASHED = 2
    SHORT_DASHES = 3
    DOUBLE = 4
    INSET = 5
    DOUBLE_INSET = 6
    ZIGZAG = 7


YELLOW = 8


class Surface(enum.IntEnum):
    """What the strip is made of."""

    ASPHALT = 0
    CONCRETE = 1
    COBBLES = 2
    BUS_LANE = 3
    CYCLE_LANE = 4
    HATCHED = 5
    GRAVEL = 6
    FRESH_ASPHALT = 7


class Symbol(enum.IntEnum):
    """On the strip: once in a piece of SYMBOL_LENGTH metres, or bays all along it."""

    NONE = 0
    AHEAD = 1
    RIGHT = 2
    LEFT = 3
    AHEAD_OR_RIGHT = 4
    WORD = 5
    BICYCLE = 6
    BAYS_ACROSS = 7
    BAYS_ALONG = 8
    BOX = 9


SYMBOL_LENGTH = 6.0


@dataclasses.dataclass(frozen=True)
class Paint:
    """The habits of a country and the state of a road: line numbers of the centre, between lanes, along the edge and the kerb."""

    surface: Surface = Surface.ASPHALT
    centre: int = Line.DASHED
    between: int = Line.DASHED
    edge: int = Line.INSET
    outer_surface: Surface | None = None
    symbol_share: float = 0.2


def code_of(right: int, left: int, surface: Surface, symbol: Symbol = Symbol.NONE, has_drains: bool = False) -> float:
    """The number: lines along the right and the left edge, surface, symbol, and whether covers and gullies lie in it."""
    return float(right + 16 * left + 256 * surface + 2048 * symbol + 32768 * has_drains)
