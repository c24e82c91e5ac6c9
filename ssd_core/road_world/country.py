# SPDX-License-Identifier: Apache-2.0
"""Beside roads out of town: woods and fields."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world import plants
from ssd_core.road_world.block import BlockBuilder


def fill_woods(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """The edge of a wood, some metres of grass with single trees before it."""
    rng, line, road = block.rng, block.road.house_line, block.road
    # Neighbouring blocks agree on where the wood begins.
    style = np.random.default_rng([block.district.seed, 17, side + 1])
    bank = road.bank(side)
    setback = style.uniform(3.0, 16.0) if bank.is_flat else bank.start + bank.width + style.uniform(0.5, 7.0)
    height = float(style.choice([11.0, 14.0, 18.0]))
    pieces = max(1, round((far - near) / 20.0))
    length = (far - near) / pieces
    for piece in range(pieces):
        wood = block.shared(plants.make_wood, 4, float(np.ceil(length)) + 1.0, height)
        block.beside(wood, near + (piece + 0.5) * length, side, line + setback + rng.uniform(-1.0, 1.0))
    old = block.district.has_old_trees
    for _ in range(int(rng.integers(2, 6) if old else rng.integers(0, 4))):
        # Of different depth, old ones right at the verge.
        tall = rng.uniform(12, 23) if old else rng.uniform(7, height + 3)
        block.tree(rng.uniform(near, far), side, line + max(rng.uniform(0.1 if old else 0.35, 1.0) * setback, 0.8), tall)
    if rng.random() < 0.5:
        block.beside(block.shared(plants.make_bush, 4, 2.5, 1.3), rng.uniform(near, far), side, line + rng.uniform(0.6, 0.95) * setback)


def fill_fields(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """Open land: a tree here and there, now and then a hedge along the road, woods far behind."""
    rng, line = block.rng, block.road.house_line
    if rng.random() < 0.3:
        block.tree(rng.uniform(near, far), side, line + rng.uniform(2.0, 20.0), rng.uniform(7, 14))
    if rng.random() < 0.4:
        block.beside(block.shared(plants.make_bush, 4, 3.0, 1.6), rng.uniform(near, far), side, line + rng.uniform(1.5, 8.0))
    if np.random.default_rng([block.district.seed, 18, (block.index + 1000) // 4, side + 1]).random() < 0.6 and far - near > 10:
        block.beside(block.shared(plants.make_tree_line, 4, round(far - near), 12.0), (near + far) / 2, side, 47.0)
