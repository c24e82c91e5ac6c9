# SPDX-License-Identifier: Apache-2.0
"""Beside roads where goods are made, stored and shipped, and large car parks."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world import buildings, furniture
from ssd_core.road_world.block import BlockBuilder
from ssd_core.road_world.structures import make_container_stack, make_tank

_BAY = 2.5


def fill_works(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """A hall with vehicles in front of it."""
    rng, line = block.rng, block.road.house_line
    if far - near > 12:
        width = float(round(min(far - near - 2, rng.uniform(18, 34))))
        block.beside(block.shared(buildings.make_hall, 3, width), (near + far) / 2, side, line + rng.uniform(9, 13))
    for s in np.arange(near + 2, far - 2, 3.2):
        if rng.random() < 0.35:
            block.park(block.vehicle(0.1), float(s), side * (line + 4.0), side * np.pi / 2 + rng.choice([0, np.pi]))
    if far - near > 16 and rng.random() < 0.3:
        block.park(block.vehicle(1.0), (near + far) / 2, side * (line + 8.0), rng.choice([0, np.pi]))
    if rng.random() < 0.3:
        block.beside(block.shared(furniture.make_skip, 2), rng.uniform(near, far), side, line + 7.0, is_detail=True)
    block.tree(rng.uniform(near, far), side, line + 1.8)


def fill_harbour(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """Stacks of containers, tanks and lorries."""
    rng, line = block.rng, block.road.house_line
    s = near + rng.uniform(1, 6)
    while far - s > 13.0:
        if rng.random() < 0.25:
            block.beside(block.shared(make_tank, 3), s + 6.0, side, line + rng.uniform(10, 18))
        else:
            for row in range(int(rng.integers(1, 4))):
                block.beside(block.shared(make_container_stack, 8), s + 6.3, side, line + 5.0 + row * 2.9)
        s += 12.6 + rng.choice([0.6, 0.6, 5.0])
    if rng.random() < 0.4 and far - near > 16:
        block.park(block.vehicle(1.0), rng.uniform(near + 8, far - 8), side * (line + 2.4), rng.choice([0, np.pi]))


def fill_car_park(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """Rows of parked cars, two by two, with aisles between."""
    rng, line = block.rng, block.road.house_line
    share = block.district.parking_share
    for row, distance in enumerate((line + 3.0, line + 14.5, line + 20.0)):
        for s in np.arange(near + 1.6, far - 1.4, _BAY):
            if rng.random() < share * 0.8:
                yaw = side * np.pi / 2 + (np.pi if rng.random() < 0.3 + 0.4 * (row % 2) else 0.0)
                place = float(s) + rng.normal(0, 0.08), side * (distance + rng.normal(0, 0.2)), yaw + rng.normal(0, 0.02)
                block.park(block.vehicle(0.03), *place, is_far=row > 0 or block.road.kind == "yard")
    if rng.random() < 0.5:
        block.tree(rng.uniform(near, far), side, line + 0.9 if line > block.road.half_width + 4 else line + 8.0, rng.uniform(6, 9))
