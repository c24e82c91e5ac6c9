# SPDX-License-Identifier: Apache-2.0
"""What stands along any road: barriers, lamps, signs, wires, gantries, bridges, roadworks, parked vehicles, people."""

from __future__ import annotations

import itertools

import numpy as np

from ssd_core.road_world import furniture, plants
from ssd_core.road_world.barriers import Run, make_barrier
from ssd_core.road_world.block import BLOCK_LENGTH, BlockBuilder, Walker
from ssd_core.road_world.district import BarrierKind, LandUse
from ssd_core.road_world.people import make_person
from ssd_core.road_world.structures import (
    WIRES,
    make_billboard,
    make_cone,
    make_digger,
    make_gantry,
    make_heap,
    make_overpass,
    make_wire_pole,
)

_BARRIER_PIECE = 20.0
_PEOPLE = 24


def dress_pavement(block: BlockBuilder, side: int, use: LandUse) -> None:
    """Everything that stands on one side between kerb and house line."""
    rng, road, district = block.rng, block.road, block.district
    kerb, line = road.half_width, road.house_line
    if district.lamp_spacing:
        arm = min(2.2, road.half_width * 0.5)
        lamp = np.random.default_rng([district.seed, 14])
        s = block.start + (6.0 if side > 0 else 26.0)
        if block.is_free(s, 2.0, side):
            block.beside(furniture.make_lamp(lamp, district.lamp_height, arm), s, side, kerb + 0.55)
    if rng.random() < 0.5:
        block.beside(furniture.make_sign(rng), block.free_place(2.0, side), side, kerb + 0.9, is_detail=True)
    if rng.random() < 0.1:
        maker, distance = (furniture.make_street_name, kerb + 0.9) if use == "town" else (furniture.make_direction_sign, line + 1.8)
        block.beside(block.shared(maker, 3), block.free_place(3.0, side), side, distance)
    if rng.random() < 0.08 and line - kerb > 1.0:
        block.beside(block.shared(make_billboard, 4), block.free_place(4.0, side), side, line + 3.5)
    if line - kerb > 1.4 and road.kind not in ("motorway", "country"):
        _street_life(block, side, use)


def _street_life(block: BlockBuilder, side: int, use: LandUse) -> None:
    rng, road, district = block.rng, block.road, block.district
    kerb, line = road.half_width, road.house_line
    for _ in range(int(rng.integers(0, 3))):
        distance = kerb + rng.choice([0.7, line - kerb - 0.5])
        block.beside(furniture.make_clutter(rng), block.free_place(2.0, side), side, distance, is_detail=True)
    if rng.random() < 0.08 and line - kerb > 2.6:
        block.beside(furniture.make_shelter(rng), block.free_place(5.0, side), side, kerb + 1.2, is_detail=True)
    if use != "park" and line - kerb > 1.9 and rng.random() < district.tree_share:
        for s in np.arange(block.start + 2.0, block.end, 10.0):
            if block.is_free(float(s), 4.0, side) and rng.random() < 0.85:
                tallest = 19.0 if district.has_old_trees else 12.0
                block.tree(float(s), side, kerb + 1.0, rng.uniform(8.0, tallest))
    for _ in range(int(rng.poisson(district.people_per_block))):
        speed = rng.choice([-1, 1]) * rng.uniform(0.9, 1.6) if rng.random() < 0.75 else 0.0
        t = side * rng.uniform(kerb + max(road.verge_width, 0.5), line - 0.3)
        person = block.shared(make_person, _PEOPLE)
        block.walkers.append(
            Walker(person, road, rng.uniform(block.start, block.end), t, speed, rng.uniform(0, 6.28), rng.uniform(0, 6.28))
        )


def park_at_kerb(block: BlockBuilder, side: int) -> None:
    """Vehicles in the parking strip: along the kerb, or across it in a car park."""
    rng, road, district = block.rng, block.road, block.district
    if road.parking_width == 0:
        return
    if road.parking_width > 3:
        for s in np.arange(block.start + 1.25, block.end, 2.5):
            if rng.random() < district.parking_share and block.is_free(float(s), 6.0, side):
                yaw = side * np.pi / 2 + (np.pi if rng.random() < 0.35 else 0.0) + rng.normal(0, 0.02)
                vehicle = block.vehicle(0.0)
                inmost = road.lanes_edge + vehicle.length / 2 + 0.15
                t = max(road.half_width - vehicle.length / 2 - rng.uniform(0.0, 0.5), inmost)
                block.park(vehicle, float(s), side * t, yaw)
        return
    s = block.start + rng.uniform(0.2, 1.5)
    while True:
        vehicle = block.vehicle(0.14)
        if vehicle.length > 6.5:
            continue
        middle = s + vehicle.length / 2
        if middle + vehicle.length / 2 > block.end:
            return
        if rng.random() < district.parking_share and block.is_free(middle, 8.5, side):
            yaw = (0.0 if side < 0 or rng.random() < 0.2 else np.pi) + rng.normal(0, 0.015)
            # Close to the kerb, or up on it where the strip is too narrow; mirrors stay out of the lane.
            t = max(road.half_width - vehicle.half_width - rng.uniform(0.0, 0.15), road.lanes_edge + vehicle.half_width + 0.2)
            block.park(vehicle, middle, side * t, yaw)
        s += vehicle.length + rng.uniform(0.7, 1.6)


def dress_road(block: BlockBuilder, uses: dict[int, LandUse]) -> None:
    """What belongs to both sides: barriers, the reservation, wires, gantries, bridges, roadworks."""
    district, rng, road = block.district, block.rng, block.road
    for side, kind in zip((-1, 1), district.barriers, strict=True):
        distance = _barrier_distance(block, kind)
        if uses[side] == "town" and distance > block.road.house_line:
            # There the houses' fronts stand.
            continue
        for near, far in block.free_spans(2.5, side):
            _lay_barrier(block, kind, (near, far), side * distance, -side)
    _dress_median(block)
    if district.has_wires:
        _hang_wires(block)
    if rng.random() < district.gantry_share and block.index != 0 and not block.overpass:
        _raise_gantry(block)
    if block.overpass:
        _raise_overpass(block)
    if district.closed_strip:
        _close_strip(block)
    elif road.shoulder_width > 2.6:
        for side in (-1, 1):
            _stop_on_shoulder(block, side)


def _barrier_distance(block: BlockBuilder, kind: BarrierKind) -> float:
    road = block.road
    if kind in ("guard_rail", "concrete", "railing"):
        return road.half_width + 0.45
    return road.house_line + (0.05 if kind == "retaining_wall" else 0.3)


def _lay_barrier(block: BlockBuilder, kind: BarrierKind, span: tuple[float, float], t: float, facing: int) -> None:
    if kind == "none" or span[1] - span[0] < 1.0:
        return
    look = np.random.default_rng([block.district.seed, 19, facing + 1])
    pieces = max(1, round((span[1] - span[0]) / _BARRIER_PIECE))
    edges = np.linspace(*span, pieces + 1)
    height = (
        block.road.kerb_height
        if abs(t) > block.road.half_width or (abs(t) < block.road.median_width / 2 and block.road.has_raised_median)
        else 0.0
    )
    state = look.bit_generator.state
    for start, end in itertools.pairwise(edges):
        # Every piece of a barrier looks the same.
        look.bit_generator.state = state
        middle = block.road.point((start + end) / 2, t)
        run = Run(block.road, float(start), float(end), t, facing, height, block.rise, middle)
        pose = np.eye(4)
        pose[:3, 3] = middle - block.origin
        block.builder.add(make_barrier(kind, run, look), pose)


def _dress_median(block: BlockBuilder) -> None:
    road, rng, district = block.road, block.rng, block.district
    if road.median_width == 0:
        return
    gap = 0.0 if block.junction is None else block.junction.half_width + 4.0
    spans = [(block.start, block.end)] if gap == 0 else [(block.start, block.middle - gap), (block.middle + gap, block.end)]
    for span in spans:
        _lay_barrier(block, district.median_barrier, span, 0.0, 0)
    is_free = district.median_barrier == "none" and road.has_raised_median
    if is_free and road.median_width > 2.0 and rng.random() < 0.3 + 0.7 * district.tree_share:
        for s in np.arange(block.start + 5.0, block.end, 10.0):
            if abs(s - block.middle) > gap + 1.0 * bool(gap) and rng.random() < 0.8:
                block.tree(float(s), 1, rng.normal(0, 0.1), rng.uniform(8.0, 13.0))
    if road.kind == "motorway" and road.median_width > 3.0 and rng.random() < 0.3:
        block.place(block.shared(plants.make_bush, 4, 3.0, 1.3), rng.uniform(block.start, block.end), 0.0)


def _hang_wires(block: BlockBuilder) -> None:
    """A pole in the middle of each block, and wires to the next block's."""
    road, district = block.road, block.district
    t = (1 if district.seed % 2 else -1) * (road.half_width + 0.9)
    here, there = block.start + 8.0, block.start + 8.0 + BLOCK_LENGTH
    block.place(block.shared(make_wire_pole, 2), here, t)
    for offset, height in WIRES:
        ends = [road.point(s, t + offset, height) - block.origin for s in (here, there)]
        # The banks at the next block's pole are unknown here, and small beside the road.
        furniture.add_wire(block.builder, ends[0], ends[1], 0.7)


def _raise_gantry(block: BlockBuilder) -> None:
    road = block.road
    lanes = tuple(road.lane_centre(lane, 1) for lane in range(road.lanes_per_direction))
    edge = road.half_width + 0.9
    right, left = (-edge, 0.0) if road.median_width > 1.5 else (-edge, edge)
    if road.median_width > 1.5:
        left = -0.35
    block.place(make_gantry(block.rng, right, left, lanes), block.start + 12.0, 0.0)


def _raise_overpass(block: BlockBuilder) -> None:
    road, rng = block.road, block.rng
    columns = [-(road.house_line + 1.2), road.house_line + 1.2, -(road.house_line + 16), road.house_line + 16]
    if road.median_width > 1.8:
        columns.append(0.0)
    block.place(make_overpass(rng, 62.0, tuple(columns), block.overpass, 8.0, rng.uniform(-0.1, 0.1)), block.middle, 0.0)


def _stop_on_shoulder(block: BlockBuilder, side: int) -> None:
    """Who loads, lets people in or has broken down beside the lanes; mostly large ones."""
    rng, road = block.rng, block.road
    luck, place, large = rng.random(), rng.uniform(block.start + 8.0, block.end - 8.0), rng.random() < 0.7
    if luck > (0.06 if road.kind == "motorway" else 0.45) or not block.is_free(place, 16.0, side):
        return
    vehicle = block.vehicle(1.0 if large else 0.0)
    # Mirrors stay out of the lane.
    t = max(road.half_width - vehicle.half_width - rng.uniform(0.1, 0.5), road.lanes_edge + vehicle.half_width + 0.15)
    block.park(vehicle, place, side * t, 0.0 if side < 0 else np.pi)


def _close_strip(block: BlockBuilder) -> None:
    """Roadworks on the strip beside the lanes: barriers or cones along the edge, machines and heaps behind them."""
    road, rng = block.road, block.rng
    style = np.random.default_rng([block.district.seed, 20])
    kind: BarrierKind = ("water_filled", "concrete", "none")[int(style.choice(3, p=[0.4, 0.25, 0.35]))]
    edge = road.lanes_edge + 0.45
    for near, far in block.free_spans(4.0, -1):
        _lay_barrier(block, kind, (near, far), -edge, 1)
        if kind == "none":
            for s in np.arange(near + 1.0, far, 5.0):
                block.place(block.shared(make_cone, 1), float(s), -edge)
    inside = road.lanes_edge + road.shoulder_width / 2 + 0.5
    for maker, share in ((make_heap, 0.5), (make_digger, 0.2)):
        if rng.random() < share:
            block.place(block.shared(maker, 3), block.free_place(8.0, -1), -inside, rng.choice([0.0, np.pi]))
