# SPDX-License-Identifier: Apache-2.0
"""Side streets: long enough to look along them, with houses or trees, and traffic lights."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world import buildings, furniture, plants
from ssd_core.road_world.block import BlockBuilder
from ssd_core.road_world.district import LandUse
from ssd_core.road_world.ground import Ground, SideStreet
from ssd_core.road_world.meshes import Mesh

_PAVEMENT = 2.2


def build_side_streets(block: BlockBuilder, uses: dict[int, LandUse], ground: Ground) -> None:
    """Lay the block's side streets and put something beside and behind them."""
    assert block.junction is not None
    for side in block.junction.sides:
        street = SideStreet(block.road, block.junction, side)
        street.lay(block.builder, ground, block.district.seed % 97 / 97, block.origin)
        _line_with(block, street, uses[side])
        _close_off(block, street)


def _put(block: BlockBuilder, mesh: Mesh, street: SideStreet, s: float, t: float, yaw: float = 0.0, is_detail: bool = False) -> None:
    pose = street.pose(s, t, block.road.kerb_height, yaw)
    pose[:3, 3] -= block.origin
    (block.detail if is_detail else block.builder).add(mesh, pose)


def _line_with(block: BlockBuilder, street: SideStreet, use: LandUse) -> None:
    line = street.half_width + _PAVEMENT + 0.2
    for hand in (-1, 1):
        # The main street's own houses stand before this.
        s, facing = 15.0, 0.0 if hand > 0 else np.pi
        while s < street.end - 14.0:
            if use in ("town", "works", "harbour"):
                width = 11.2
                house = block.shared(buildings.make_town_house, 3, width - 0.05, int(np.clip(block.district.floors - 1, 2, 6)))
                _put(block, house, street, s + width / 2, hand * line, facing)
            elif use == "suburb":
                width = 16.0
                _put(block, block.shared(buildings.make_detached_house, 6, 10.0), street, s + width / 2, hand * (line + 4.0), facing)
            else:
                width = 20.0
                _put(block, block.shared(plants.make_tree_line, 4, 20, 10.0), street, s + width / 2, hand * (line + 4.0), facing)
            s += width


def _close_off(block: BlockBuilder, street: SideStreet) -> None:
    """Something at its far end, or it would end in the open."""
    if block.rng.random() < 0.5:
        _put(block, block.shared(buildings.make_town_house, 3, 22.35, 4), street, street.end + 2.0, 0.0, -np.pi / 2)
    else:
        _put(block, block.shared(plants.make_tree_line, 4, 40, 12.0), street, street.end + 3.0, 0.0, -np.pi / 2)


def dress_junction(block: BlockBuilder) -> None:
    """Traffic lights at some junctions."""
    junction, rng, road = block.junction, block.rng, block.road
    assert junction is not None
    if rng.random() > 0.55 or road.kerb_height == 0:
        return
    for side in (-1, 1):
        # Right side (-1): seen by the ego vehicle before the junction's far edge; left side: by oncoming traffic.
        s = junction.s - side * (junction.half_width + 1.0)
        block.beside(furniture.make_traffic_light(rng, min(3.2, road.half_width * 0.8)), s, side, road.half_width + 0.5)
