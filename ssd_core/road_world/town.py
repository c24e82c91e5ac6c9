# SPDX-License-Identifier: Apache-2.0
"""Beside streets where people live: closed fronts, houses in gardens, parks."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world import buildings, furniture, plants
from ssd_core.road_world.block import BlockBuilder

_COLUMN = 2.8


def fill_town(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """House beside house along the pavement."""
    rng, s = block.rng, near
    setback = block.road.house_line + 0.1
    while far - s > 5.5:
        columns = int(rng.integers(2, 6))
        width = min(columns * _COLUMN, far - s)
        floors = int(np.clip(block.district.floors + rng.integers(-2, 3), 2, 8))
        house = block.shared(buildings.make_town_house, 3, round(width, 1) - 0.05, floors)
        block.beside(house, s + width / 2, side, setback + rng.choice([0.0, 0.0, 0.4, 1.0]))
        s += width + rng.choice([0.0, 0.0, 0.0, 0.0, 3.5])


def fill_suburb(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """Detached houses in gardens under trees."""
    rng, s, line = block.rng, near + block.rng.uniform(0, 3), block.road.house_line
    setback = rng.uniform(3.0, 15.0)
    while far - s > 9:
        width = float(rng.choice([8.5, 10.0, 11.5]))
        block.beside(block.shared(buildings.make_detached_house, 6, width), s + width / 2, side, line + setback + rng.uniform(0.0, 3.0))
        if rng.random() < 0.4:
            hedge = block.shared(plants.make_hedge, 2, 6.0, 1.2) if rng.random() < 0.6 else block.shared(furniture.make_fence, 4, 6.0)
            block.beside(hedge, s + 3.0, side, line + 0.5)
        if rng.random() < 0.35:
            block.park(block.vehicle(0.1), s + width + 1.5, side * (line + rng.uniform(3.2, 6.0)), side * np.pi / 2)
        for _ in range(int(rng.integers(1, 4))):
            distance = rng.choice([rng.uniform(1.6, 3.5), setback + rng.uniform(13, 19)])
            block.tree(s + rng.uniform(0, width + 4), side, line + distance, rng.uniform(6.0, 15.0))
        s += width + rng.uniform(4.0, 9.0)


def fill_park(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """Lawns with trees and bushes, maybe behind railings."""
    rng, line = block.rng, block.road.house_line
    for _ in range(int((far - near) / 6.0)):
        block.tree(rng.uniform(near, far), side, line + 1.8 + 24 * rng.random() ** 1.6, rng.uniform(7, 17))
    for _ in range(int((far - near) / 9)):
        block.beside(block.shared(plants.make_bush, 4, 2.5, 1.3), rng.uniform(near, far), side, line + rng.uniform(1.0, 16))
    if rng.random() < 0.5 and far - near > 8:
        fence = block.shared(furniture.make_fence, 1, 5.0)
        for s in np.arange(near + 2.5, far - 2.4, 5.0):
            block.beside(fence, float(s), side, line + 0.4)
    _wood_behind(block, side, near, far, rng.uniform(30, 44))


def _wood_behind(block: BlockBuilder, side: int, near: float, far: float, distance: float) -> None:
    if far - near > 10:
        block.beside(block.shared(plants.make_tree_line, 4, round(far - near), 13.0), (near + far) / 2, side, distance)
