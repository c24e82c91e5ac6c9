# SPDX-License-Identifier: Apache-2.0
"""One block of road from its own random numbers: ground, what stands beside it, parked vehicles and people."""

from __future__ import annotations

import dataclasses

import numpy as np

from ssd_core.road_world import buildings
from ssd_core.road_world.block import BLOCK_LENGTH, BlockBuilder, Walker
from ssd_core.road_world.country import fill_fields, fill_woods
from ssd_core.road_world.district import District, LandUse
from ssd_core.road_world.ground import DRY, FIELD, LAWN, ROUGH, SOIL, Ground, Junction, lay_ground
from ssd_core.road_world.industry import fill_car_park, fill_harbour, fill_works
from ssd_core.road_world.junctions import build_side_streets, dress_junction
from ssd_core.road_world.markings import Symbol
from ssd_core.road_world.meshes import Part
from ssd_core.road_world.roadside import dress_pavement, dress_road, park_at_kerb
from ssd_core.road_world.town import fill_park, fill_suburb, fill_town

__all__ = ["BLOCK_LENGTH", "Block", "build_block"]

_FILLERS = {
    "town": fill_town, "suburb": fill_suburb, "park": fill_park, "works": fill_works, "woods": fill_woods, "fields": fill_fields,
    "harbour": fill_harbour, "car_park": fill_car_park,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Block:
    """A built block: ground, houses and trees; what is too small to be seen from afar; and who walks."""

    shell: Part
    detail: Part
    walkers: tuple[Walker, ...]
    junction: Junction | None = None


def build_block(district: District, index: int) -> Block:
    """Block number `index`, from s = index * BLOCK_LENGTH on; the same whatever was built before."""
    block = BlockBuilder(district, index)
    uses = {side: district.land_use(index, side) for side in (-1, 1)}
    ground = _ground(block, uses)
    lay_ground(block.builder, block.road, (block.start, block.end), block.junction, ground, district.seed % 97 / 97, block.origin)
    for side in (-1, 1):
        for near, far in block.plots(side):
            if far - near > 4.0:
                _FILLERS[uses[side]](block, side, near, far)
        _skyline(block, side, uses[side])
        dress_pavement(block, side, uses[side])
        park_at_kerb(block, side)
    dress_road(block, uses)
    if block.junction is not None:
        build_side_streets(block, uses, ground)
        dress_junction(block)
    pose = np.eye(4)
    pose[:3, 3] = block.origin
    walkers = tuple(dataclasses.replace(walker, instance=block.first_instance + 500 + n) for n, walker in enumerate(block.walkers))
    return Block(
        Part(block.builder.build(), pose, is_still=True),
        Part(block.detail.build(), pose, is_still=True),
        walkers,
        block.junction,
    )


def _ground(block: BlockBuilder, uses: dict[int, LandUse]) -> Ground:
    district = block.district
    lands = tuple(_land_style(uses[side], district.lands[side > 0]) for side in (-1, 1))
    return Ground(district.walks, (lands[0], lands[1]), _symbols(block), block.rise)


def _land_style(use: LandUse, usual: float) -> float:
    if use == "fields":
        return usual if usual in (FIELD, DRY) else ROUGH
    return {"woods": ROUGH, "harbour": SOIL, "car_park": SOIL, "park": LAWN}.get(use, usual)


def _symbols(block: BlockBuilder) -> tuple[tuple[float, int, Symbol], ...]:
    """Arrows and words on some lanes, all at one place of the block."""
    rng, road = block.rng, block.road
    luck, offset = rng.random(), 1.0
    kinds = [Symbol.AHEAD, Symbol.AHEAD, Symbol.RIGHT, Symbol.LEFT, Symbol.AHEAD_OR_RIGHT, Symbol.WORD, Symbol.BICYCLE, Symbol.BOX]
    drawn = [kinds[int(rng.integers(len(kinds)))] for _ in range(2 * road.lanes_per_direction)]
    if luck > road.paint.symbol_share:
        return ()
    lanes = [sign * (lane + 1) for sign in (-1, 1) for lane in range(road.lanes_per_direction)]
    start = block.start + offset
    return tuple((start, lane, symbol) for lane, symbol in zip(lanes, drawn, strict=True))


def _skyline(block: BlockBuilder, side: int, use: LandUse) -> None:
    rng = block.rng
    if use in ("town", "works", "car_park", "harbour", "park") and rng.random() < 0.3:
        block.place(
            block.shared(buildings.make_tower, 5), rng.uniform(block.start, block.end), side * rng.uniform(54, 64), rng.uniform(0, 6.28)
        )
    if use in ("woods", "fields"):
        return
    for _ in range(3):
        s = rng.uniform(block.start, block.end)
        if block.is_free(s, 8.0, side):
            block.tree(s, side, rng.uniform(33, 46), rng.uniform(8, 16))
