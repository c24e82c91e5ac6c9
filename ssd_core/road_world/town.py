# SPDX-License-Identifier: Apache-2.0
"""Beside streets where people live: closed fronts, houses in gardens, parks."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world import buildings, furniture, plants
from ssd_core.road_world.block import BlockBuilder
from ssd_core.road_world.ground import ASPHALT_WALK, PLATES, SLABS, lay_driveway
from ssd_core.road_world.meshes import Mesh
from ssd_core.road_world.structures import make_mail_box

_COLUMN = 2.8


def fill_town(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """House beside house along the pavement, here and there something larger, a scaffold or tables outside."""
    rng, s = block.rng, near
    line, pavement = block.road.house_line, block.road.house_line - block.road.half_width
    while far - s > 5.5:
        house, width = _town_building(block, far - s)
        distance = line + 0.1 + rng.choice([0.0, 0.0, 0.4, 1.0])
        block.beside(house, s + width / 2, side, distance)
        extra = rng.random()
        if extra < 0.05 and pavement > 2.4:
            block.beside(block.shared(buildings.make_scaffold, 2, 8.0, 9.0), s + width / 2, side, distance)
        elif extra < 0.15 and pavement > 2.6:
            block.beside(block.shared(furniture.make_cafe, 3), s + width / 2, side, line - 0.9, is_detail=True)
        s += width + rng.choice([0.0, 0.0, 0.0, 0.0, 3.5])
    if side > 0 and line < 7.5 and far - near > 8 and rng.random() < 0.4:
        block.beside(block.shared(furniture.make_span_wire, 1, round(2 * line, 1)), rng.uniform(near + 2, far - 2), side, line)


def _town_building(block: BlockBuilder, room: float) -> tuple[Mesh, float]:
    """A building that fits into `room` metres of street front, and its width."""
    rng, floors = block.rng, int(np.clip(block.district.floors + block.rng.integers(-2, 3), 2, 8))
    luck = rng.random()
    if room > 26 and luck < (0.12 if floors > 3 else 0.3):
        return block.shared(buildings.make_terrace, 3, 26.0), 26.1
    if room > 21 and luck < 0.38:
        maker = buildings.make_office if rng.random() < 0.55 else buildings.make_flats
        return block.shared(maker, 3, 20.0, floors + int(rng.integers(0, 3))), 20.1
    if room > 20 and luck > 0.94:
        open_makers = (buildings.make_petrol_station, buildings.make_church)
        return block.shared(open_makers[int(rng.integers(2))], 2), 19.0
    if room > 25 and luck > 0.91:
        maker = buildings.make_car_park if rng.random() < 0.5 else buildings.make_building_site
        return block.shared(maker, 2, 24.0), 24.4
    width = min(int(rng.integers(2, 6)) * _COLUMN, room)
    return block.shared(buildings.make_town_house, 3, round(width, 1) - 0.05, floors), width


def fill_suburb(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """Detached houses in gardens under trees, young or old ones, with ways to their garages."""
    rng, s, line = block.rng, near + block.rng.uniform(0, 3), block.road.house_line
    old = block.district.has_old_trees
    setback = rng.uniform(5.0, 20.0) if old else rng.uniform(3.0, 15.0)
    while far - s > 9:
        width = float(rng.choice([8.5, 10.0, 11.5]))
        distance = line + setback + rng.uniform(0.0, 3.0)
        block.beside(block.shared(buildings.make_detached_house, 6, width), s + width / 2, side, distance)
        if rng.random() < 0.12:
            block.beside(block.shared(plants.make_ivy, 2, 4.0, 4.5), s + rng.uniform(2.2, width - 2.2), side, distance)
        _garden(block, side, s, width)
        _way_to_house(block, side, s + width + 1.5, far, setback)
        for _ in range(int(rng.integers(1, 4))):
            # Before the houses, or behind them.
            distance = rng.choice([rng.uniform(0.8, 4.0) if old else rng.uniform(1.6, 3.5), setback + rng.uniform(13, 19)])
            block.tree(s + rng.uniform(0, width + 4), side, line + distance, rng.uniform(11.0, 24.0) if old else rng.uniform(6.0, 15.0))
        s += width + rng.uniform(4.0, 9.0)
    if old and far - near > 10:
        wood = block.shared(plants.make_wood, 4, float(np.ceil(far - near)) + 1.0, 18.0)
        block.beside(wood, (near + far) / 2, side, line + setback + 20.0)


def _garden(block: BlockBuilder, side: int, s: float, width: float) -> None:
    """What stands along the pavement before a house."""
    rng, line = block.rng, block.road.house_line
    if rng.random() < 0.25:
        block.beside(block.shared(plants.make_flower_bed, 3), s + rng.uniform(1.5, width), side, line + 0.9, is_detail=True)
    if rng.random() < (0.15 if block.district.has_old_trees else 0.4):
        hedge = block.shared(plants.make_hedge, 2, 6.0, 1.2) if rng.random() < 0.6 else block.shared(furniture.make_fence, 4, 6.0)
        block.beside(hedge, s + 3.0, side, line + 0.5)


def _way_to_house(block: BlockBuilder, side: int, s: float, far: float, setback: float) -> None:
    """A driveway about s, maybe a vehicle on it, and a letter box at the kerb."""
    rng, road = block.rng, block.road
    has_vehicle, has_box, half = rng.random() < 0.45, rng.random() < 0.4, rng.uniform(1.35, 2.4)
    if rng.random() < 0.2 or s + half > far:
        return
    walk = float(rng.choice([ASPHALT_WALK, PLATES, SLABS]))
    lay_driveway(block.builder, road, side, (s - half, s + half), setback, walk, block.rise, block.origin)
    if has_vehicle:
        back = max(setback - 3.0, 3.2)
        block.park(
            block.vehicle(0.08), s, side * (road.house_line + rng.uniform(3.2, back + 0.1)), side * np.pi / 2 + rng.choice([0, np.pi])
        )
    if has_box and s + half + 0.4 < far:
        block.beside(block.shared(make_mail_box, 4), s + half + 0.4, side, road.half_width + 0.5, is_detail=True)


def fill_park(block: BlockBuilder, side: int, near: float, far: float) -> None:
    """Lawns with trees and bushes, maybe behind railings."""
    rng, line = block.rng, block.road.house_line
    for _ in range(int((far - near) / 6.0)):
        block.tree(rng.uniform(near, far), side, line + 1.8 + 24 * rng.random() ** 1.6, rng.uniform(7, 17))
    for _ in range(int((far - near) / 9)):
        block.beside(block.shared(plants.make_bush, 4, 2.5, 1.3), rng.uniform(near, far), side, line + rng.uniform(1.0, 16))
    if rng.random() < 0.3:
        block.beside(
            block.shared(plants.make_tall_grass, 2, 6.0), rng.uniform(near, far), side, line + rng.uniform(0.8, 5.0), is_detail=True
        )
    for _ in range(int(rng.integers(0, 3))):
        maker = furniture.make_lantern if rng.random() < 0.5 else plants.make_young_tree
        block.beside(block.shared(maker, 3), rng.uniform(near, far), side, line + rng.uniform(1.5, 6.0), is_detail=True)
    if rng.random() < 0.5 and far - near > 8:
        fence = block.shared(furniture.make_fence, 1, 5.0)
        for s in np.arange(near + 2.5, far - 2.4, 5.0):
            block.beside(fence, float(s), side, line + 0.4)
    _wood_behind(block, side, near, far, rng.uniform(30, 44))


def _wood_behind(block: BlockBuilder, side: int, near: float, far: float, distance: float) -> None:
    if far - near > 10:
        block.beside(block.shared(plants.make_tree_line, 4, round(far - near), 13.0), (near + far) / 2, side, distance)
