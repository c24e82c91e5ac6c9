# SPDX-License-Identifier: Apache-2.0
"""What a whole place has in common, drawn from its seed: the kind of road, its course and cross-section, and what stands beside it."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np

from ssd_core.road_world.ground import ASPHALT_WALK, BRICKS, DRY, FIELD, LAWN, PLATES, ROUGH, SLABS, SOIL
from ssd_core.road_world.markings import YELLOW, Line, Paint, Surface
from ssd_core.road_world.road import KERB_HEIGHT, ROAD_KINDS, Bank, Hills, Road, RoadKind, Wave

LandUse = Literal["town", "suburb", "park", "works", "woods", "fields", "harbour", "car_park"]
LAND_USES: tuple[LandUse, ...] = get_args(LandUse)
BarrierKind = Literal[
    "none", "guard_rail", "concrete", "railing", "hedge", "wall", "noise_wall", "wire_fence", "water_filled", "retaining_wall"
]

KIND_SHARES: dict[RoadKind, float] = {
    "street": 0.18, "suburb": 0.2, "narrow": 0.05, "boulevard": 0.1, "arterial": 0.2, "motorway": 0.09, "country": 0.08,
    "industrial": 0.07, "yard": 0.03,
}  # fmt: skip
# How often a side of the road is cut into the land and held by a wall.
_CUTTING_SHARES: dict[RoadKind, float] = {
    "arterial": 0.06,
    "motorway": 0.06,
    "country": 0.05,
    "boulevard": 0.03,
    "suburb": 0.03,
    "street": 0.02,
}
# What has no room on top of a wall.
_FRONTS = ("town", "works", "harbour", "car_park")
# Neighbouring blocks of a side share their use, so that a road doesn't change character every 40 m.
_BLOCKS_A_USE = 3
# town, suburb, park, works, woods, fields, harbour, car_park
_LAND_USE_SHARES: dict[RoadKind, tuple[tuple[float, ...], ...]] = {
    "street": ((0.6, 0.1, 0.2, 0.05, 0, 0, 0, 0.05), (0.2, 0.3, 0.3, 0.05, 0.05, 0.05, 0, 0.05)),
    "suburb": ((0, 0.55, 0.15, 0.05, 0.2, 0, 0, 0.05), (0, 0.35, 0.2, 0, 0.4, 0.05, 0, 0)),
    "narrow": ((0.85, 0.1, 0.05, 0, 0, 0, 0, 0), (0.3, 0.6, 0.1, 0, 0, 0, 0, 0)),
    "boulevard": ((0.6, 0, 0.3, 0.05, 0, 0, 0, 0.05), (0.25, 0.1, 0.45, 0.1, 0, 0, 0, 0.1)),
    "arterial": ((0.25, 0.1, 0.25, 0.15, 0.1, 0.05, 0, 0.1), (0.05, 0.15, 0.25, 0.1, 0.15, 0.25, 0, 0.05)),
    "motorway": ((0, 0, 0.1, 0.1, 0.3, 0.5, 0, 0), (0, 0.1, 0.1, 0.2, 0.2, 0.35, 0.05, 0)),
    "country": ((0, 0.08, 0.05, 0, 0.35, 0.52, 0, 0), (0, 0.1, 0.05, 0.05, 0.6, 0.2, 0, 0)),
    "industrial": ((0, 0, 0.05, 0.35, 0.05, 0, 0.4, 0.15), (0.1, 0, 0.1, 0.5, 0.05, 0, 0.15, 0.1)),
    "yard": ((0.1, 0, 0, 0.1, 0, 0, 0, 0.8),),
}


@dataclasses.dataclass(frozen=True)
class District:
    """What all blocks of a road have in common; pairs are (right, left)."""

    seed: int
    road: Road
    land_use_shares: tuple[float, ...]
    parking_share: float = 0.6
    lamp_height: float = 7.0
    lamp_spacing: float = 40.0
    people_per_block: float = 1.0
    junction_share: float = 0.3
    floors: int = 4
    tree_share: float = 0.5
    has_old_trees: bool = False
    barriers: tuple[BarrierKind, BarrierKind] = ("none", "none")
    median_barrier: BarrierKind = "none"
    has_wires: bool = False
    overpass_share: float = 0.0
    gantry_share: float = 0.0
    closed_strip: bool = False
    walks: tuple[float, float] = (SLABS, SLABS)
    lands: tuple[float, float] = (LAWN, LAWN)

    def land_use(self, index: int, side: int) -> LandUse:
        """What stands on one side (1: left) of block number `index`."""
        rng = np.random.default_rng([self.seed, 12, (index + 1002) // _BLOCKS_A_USE, side + 1])
        use = LAND_USES[int(rng.choice(len(LAND_USES), p=self.land_use_shares))]
        return "park" if use in _FRONTS and self.road.bank(side).is_steep else use


def draw_kind(rng: np.random.Generator) -> RoadKind:
    """The kind of road of a seed."""
    shares = np.array([KIND_SHARES[kind] for kind in ROAD_KINDS])
    return ROAD_KINDS[int(rng.choice(len(ROAD_KINDS), p=shares / shares.sum()))]


def make_road(rng: np.random.Generator, length: float, kind: RoadKind | None = None) -> Road:
    """A road of at least `length` metres from s = 0, of the given kind or one drawn; a longer one begins the same."""
    drawn = draw_kind(rng)
    kind = kind or drawn
    section = _in_cutting(rng, _SECTIONS[kind](rng), _CUTTING_SHARES.get(kind, 0.0))
    return dataclasses.replace(section, kind=kind, length=length, heading_waves=_course(rng, kind), hills=_hills(rng, kind))


def make_district(rng: np.random.Generator, seed: int, road: Road) -> District:
    """What stands beside a road."""
    kind = road.kind
    choices = _LAND_USE_SHARES[kind]
    shares = np.array(choices[int(rng.integers(len(choices)))])
    walk = float(rng.choice([SLABS, BRICKS, ASPHALT_WALK, PLATES]))
    lawn = float(rng.choice([LAWN, LAWN, ROUGH, DRY]))
    land = {"country": float(rng.choice([ROUGH, FIELD])), "motorway": float(rng.choice([ROUGH, ROUGH, DRY])),
            "industrial": float(rng.choice([ROUGH, SOIL, DRY]))}.get(kind, lawn)  # fmt: skip
    is_open = kind in ("motorway", "country", "arterial", "industrial")
    barriers = _draw_barriers(rng, road)
    return District(
        seed=seed,
        road=road,
        land_use_shares=tuple(float(share) for share in shares),
        parking_share=rng.uniform(0.05, 0.9),
        lamp_height=rng.uniform(8.0, 11.0) if is_open else rng.uniform(6.0, 8.5),
        lamp_spacing=0.0 if kind == "country" or (kind == "motorway" and rng.random() < 0.6) else 40.0,
        people_per_block=0.0 if kind in ("motorway", "country") else rng.uniform(0.1, 0.8) if is_open else rng.uniform(0.4, 3.5),
        junction_share={"motorway": 0.0, "country": 0.06, "yard": 0.0}.get(kind, rng.uniform(0.15, 0.4)),
        floors=int(rng.integers(3, 7)),
        tree_share=rng.uniform(0.2, 0.9),
        has_old_trees=bool(rng.random() < {"suburb": 0.65, "country": 0.5, "arterial": 0.3, "boulevard": 0.3}.get(kind, 0.1)),
        barriers=barriers[:2],
        median_barrier=barriers[2],
        has_wires=bool(rng.random() < {"suburb": 0.7, "country": 0.5, "industrial": 0.4, "street": 0.15, "narrow": 0.3}.get(kind, 0.0)),
        overpass_share={"motorway": 0.12, "arterial": 0.1, "boulevard": 0.05, "industrial": 0.04, "street": 0.02}.get(kind, 0.0),
        gantry_share={"motorway": 0.16, "arterial": 0.05}.get(kind, 0.0),
        closed_strip=road.shoulder_width > 3.2 and kind != "motorway" and rng.random() < 0.6,
        walks=(walk, walk),
        lands=(land, land),
    )


def _course(rng: np.random.Generator, kind: RoadKind) -> tuple[Wave, ...]:
    """Long bends and short ones; curvature in 1/m."""
    sharpness = {"motorway": 0.25, "arterial": 0.6, "boulevard": 0.6, "country": 1.5, "suburb": 1.1, "narrow": 1.4, "yard": 0.3}.get(
        kind, 1.0
    )
    waves = []
    for wavelength, curvature in ((rng.uniform(170, 320), rng.uniform(0.003, 0.0075)), (rng.uniform(70, 130), rng.uniform(0.0005, 0.0045))):
        frequency = 2 * np.pi / (wavelength * (2.5 if kind == "motorway" else 1.0))
        waves.append(Wave(sharpness * curvature / frequency, frequency, rng.uniform(0, 2 * np.pi)))
    return tuple(waves)


def _hills(rng: np.random.Generator, kind: RoadKind) -> Hills:
    """From a plain to real hills: the steepest grade is drawn first (up to 8 %), then shared among waves."""
    steepest = {"yard": 0.012, "motorway": 0.045, "boulevard": 0.04, "industrial": 0.03}.get(kind, 0.08) * rng.beta(1.2, 1.8)
    weights, hills = rng.dirichlet((1.5, 1.5, 1.5)), []
    for weight in weights:
        angle, frequency = rng.uniform(0, 2 * np.pi), 2 * np.pi / rng.uniform(140, 420)
        hills.append((steepest * weight / frequency, frequency * np.cos(angle), frequency * np.sin(angle), rng.uniform(0, 2 * np.pi)))
    return Hills(tuple(hills))


def _bank(rng: np.random.Generator, lowest: float, highest: float, width: float, start: float = 0.5) -> Bank:
    middle, reach = (lowest + highest) / 2, (highest - lowest) / 2
    wave = Wave(reach * rng.uniform(0.4, 1.3), 2 * np.pi / rng.uniform(150, 400), rng.uniform(0, 2 * np.pi))
    return Bank(start, width, middle + rng.uniform(-0.6, 0.6) * reach, wave, lowest, highest)


def _in_cutting(rng: np.random.Generator, road: Road, share: float) -> Road:
    """The road, or with a chance of `share` the same between walls, on both sides or on one, close to the lanes."""
    luck, form, height, pavement = rng.random(), rng.random(), rng.uniform(1.8, 4.2), rng.uniform(0.9, 2.2)
    if luck > share:
        return road
    wall = Bank(0.15, 0.4, height, Wave(0.0, 1.0, 0.0), height, height)
    banks = (wall if form < 0.75 else road.banks[0], wall if form > 0.35 else road.banks[1])
    return dataclasses.replace(road, banks=banks, pavement_width=min(pavement, road.pavement_width), verge_width=0.0)


def _paint(rng: np.random.Generator, lanes: int, has_centre: bool = True, yellow_share: float = 0.35) -> Paint:
    """European white, American yellow, or hardly anything."""
    country = rng.random()
    yellow = YELLOW if country < yellow_share else 0
    centre = (
        int(rng.choice([Line.DOUBLE, Line.DOUBLE, Line.DASHED])) + yellow
        if yellow or lanes > 1
        else int(rng.choice([Line.DASHED, Line.DASHED, Line.SOLID, Line.SHORT_DASHES]))
    )
    edge = int(
        rng.choice(
            [
                Line.INSET,
                Line.INSET,
                Line.NONE,
                YELLOW + Line.DOUBLE_INSET if country > 0.6 else Line.INSET,
                Line.ZIGZAG if country > 0.85 else Line.INSET,
            ]
        )
    )
    surface = Surface(
        int(
            rng.choice(
                [Surface.ASPHALT, Surface.ASPHALT, Surface.ASPHALT, Surface.FRESH_ASPHALT, Surface.CONCRETE], p=[0.3, 0.3, 0.15, 0.15, 0.1]
            )
        )
    )
    return Paint(surface, centre if has_centre else Line.NONE, Line.DASHED, edge, symbol_share=rng.uniform(0.0, 0.5))


def _street(rng: np.random.Generator) -> Road:
    lanes = int(rng.choice([1, 1, 2]))
    parking = float(rng.choice([0.0, 0.0, 2.2]))
    paint = _paint(rng, lanes)
    if parking == 0 and rng.random() < 0.25:
        paint = dataclasses.replace(paint, edge=int(Line.INSET))
    return Road(lanes, rng.uniform(3.0, 3.6), parking, rng.uniform(2.2, 4.2), paint=paint, shoulder_width=_closed_strip(rng, parking))


def _closed_strip(rng: np.random.Generator, parking: float) -> float:
    """Wide enough for roadworks behind barriers, a cycle lane, or nothing."""
    return float(rng.choice([0.0, 0.0, 0.0, 3.3, 1.6])) if parking == 0 else 0.0


def _suburb(rng: np.random.Generator) -> Road:
    """Two lanes between lawns that often rise beside it; a verge before the pavement, or a shoulder and no kerb at all."""
    kerb = KERB_HEIGHT if rng.random() < 0.65 else 0.0
    verge = rng.uniform(1.2, 4.0) if rng.random() < 0.6 and kerb else 0.0
    banks = tuple(_bank(rng, 0.0, rng.uniform(0.3, 3.0), rng.uniform(5, 14)) if rng.random() < 0.7 else Bank() for _ in range(2))
    return Road(
        1, rng.uniform(3.2, 3.8), 0.0, verge + rng.uniform(1.3, 2.6 if verge else 3.2) if kerb else rng.uniform(0.6, 1.5),
        shoulder_width=float(rng.choice([0.0, 0.0, 0.5, 1.8] if kerb else [0.4, 1.0, 1.8, 2.4])), kerb_height=kerb,
        banks=(banks[0], banks[1]), paint=_paint(rng, 1, yellow_share=0.55), verge_width=verge,
        speed_limit=float(rng.choice([13.9, 15.6, 18.0])),
    )  # fmt: skip


def _narrow(rng: np.random.Generator) -> Road:
    paint = _paint(rng, 1, has_centre=rng.random() < 0.35)
    if rng.random() < 0.3:
        paint = Paint(Surface.COBBLES, Line.NONE, Line.NONE, Line.NONE, symbol_share=0.0)
    return Road(
        1,
        rng.uniform(2.75, 3.0),
        float(rng.choice([0.0, 2.0, 2.0])),
        rng.uniform(1.2, 2.2),
        paint=paint,
        speed_limit=8.3,
        kerb_height=rng.uniform(0.06, 0.14),
    )


def _boulevard(rng: np.random.Generator) -> Road:
    lanes = int(rng.choice([2, 2, 3]))
    outer = Surface.BUS_LANE if rng.random() < 0.2 else None
    return Road(
        lanes, rng.uniform(3.1, 3.5), float(rng.choice([0.0, 0.0, 2.3])), rng.uniform(3.0, 6.5), median_width=rng.uniform(2.2, 9.0),
        paint=dataclasses.replace(_paint(rng, lanes), outer_surface=outer), ego_lane=int(rng.integers(lanes)),
    )  # fmt: skip


def _arterial(rng: np.random.Generator) -> Road:
    lanes = int(rng.choice([2, 2, 3, 4]))
    median = float(rng.choice([0.0, 0.8, rng.uniform(1.6, 3.0), rng.uniform(3.0, 8.0)], p=[0.15, 0.25, 0.35, 0.25]))
    banks = tuple(
        _bank(rng, rng.uniform(-2.5, 0.0), rng.uniform(0.0, 3.5), rng.uniform(4, 9), 2.0) if rng.random() < 0.5 else Bank()
        for _ in range(2)
    )
    return Road(
        lanes, rng.uniform(3.1, 3.6), 0.0, rng.uniform(1.8, 4.0), median_width=median,
        shoulder_width=float(rng.choice([0.0, 0.5, 3.4], p=[0.5, 0.35, 0.15])), ego_lane=int(rng.integers(lanes)),
        speed_limit=float(rng.choice([13.9, 16.7, 19.4])), banks=(banks[0], banks[1]), paint=_paint(rng, lanes),
    )  # fmt: skip


def _motorway(rng: np.random.Generator) -> Road:
    lanes = int(rng.choice([2, 2, 3, 3, 4]))
    yellow = YELLOW if rng.random() < 0.4 else 0
    surface = Surface(int(rng.choice([Surface.ASPHALT, Surface.FRESH_ASPHALT, Surface.CONCRETE])))
    banks = tuple(_bank(rng, rng.uniform(-5.0, 0.0), rng.uniform(0.0, 6.0), rng.uniform(6, 13), 1.5) for _ in range(2))
    return Road(
        lanes, rng.uniform(3.5, 3.75), 0.0, rng.uniform(1.2, 2.2), median_width=rng.uniform(1.6, 6.0), shoulder_width=rng.uniform(1.0, 3.2),
        kerb_height=0.0, speed_limit=float(rng.choice([25.0, 27.8, 33.3])), banks=(banks[0], banks[1]), ego_lane=int(rng.integers(lanes)),
        paint=Paint(surface, Line.SOLID, Line.DASHED, int(Line.SOLID) + yellow, symbol_share=0.0),
    )  # fmt: skip


def _country(rng: np.random.Generator) -> Road:
    banks = tuple(_bank(rng, rng.uniform(-2.0, 0.0), rng.uniform(0.0, 3.5), rng.uniform(2.5, 7), 1.0) for _ in range(2))
    paint = _paint(rng, 1, has_centre=rng.random() < 0.8)
    return Road(1, rng.uniform(2.9, 3.5), 0.0, rng.uniform(0.6, 1.6), shoulder_width=float(rng.choice([0.0, 0.3, 1.0])), kerb_height=0.0,
                banks=(banks[0], banks[1]), paint=dataclasses.replace(paint, symbol_share=0.0),
                speed_limit=float(rng.choice([16.7, 19.4, 22.2])))  # fmt: skip


def _industrial(rng: np.random.Generator) -> Road:
    lanes = int(rng.choice([1, 1, 2]))
    return Road(lanes, rng.uniform(3.4, 3.9), 0.0, rng.uniform(1.2, 2.5), shoulder_width=float(rng.choice([0.0, 0.6, 3.4])),
                paint=_paint(rng, lanes, has_centre=rng.random() < 0.7), kerb_height=float(rng.choice([0.0, KERB_HEIGHT])))  # fmt: skip


def _yard(rng: np.random.Generator) -> Road:
    """An aisle of a car park, with bays on both sides."""
    paint = Paint(
        Surface(int(rng.choice([Surface.ASPHALT, Surface.CONCRETE]))), Line.NONE, Line.NONE, Line.NONE, symbol_share=rng.uniform(0, 0.6)
    )
    return Road(
        1, rng.uniform(2.8, 3.3), rng.uniform(4.9, 5.3), 1.0, kerb_height=float(rng.choice([0.0, 0.12])), paint=paint, speed_limit=5.5
    )


_SECTIONS = {
    "street": _street, "suburb": _suburb, "narrow": _narrow, "boulevard": _boulevard, "arterial": _arterial, "motorway": _motorway,
    "country": _country, "industrial": _industrial, "yard": _yard,
}  # fmt: skip


def _draw_barriers(rng: np.random.Generator, road: Road) -> tuple[BarrierKind, BarrierKind, BarrierKind]:
    """Right, left and on the reservation."""

    def draw(shares: dict[BarrierKind, float]) -> BarrierKind:
        names = list(shares)
        return names[int(rng.choice(len(names), p=np.array(list(shares.values())) / sum(shares.values())))]

    beside: dict[BarrierKind, float] = {"none": 1.0}
    if road.kind == "motorway":
        beside = {"guard_rail": 0.55, "concrete": 0.12, "noise_wall": 0.1, "none": 0.25}
    elif road.kind == "country":
        beside = {"none": 0.6, "guard_rail": 0.15, "hedge": 0.12, "wire_fence": 0.13}
    elif road.kind == "arterial":
        beside = {"none": 0.65, "guard_rail": 0.12, "railing": 0.08, "concrete": 0.04, "noise_wall": 0.04, "hedge": 0.05, "wall": 0.03}
    elif road.kind in ("street", "boulevard", "suburb", "industrial"):
        beside = {"none": 0.85, "railing": 0.06, "hedge": 0.05, "wall": 0.03, "guard_rail": 0.02}
    median: BarrierKind = "none"
    if road.kind == "motorway":
        median = draw({"guard_rail": 0.55, "concrete": 0.45})
    elif road.kind == "arterial" and road.median_width > 0:
        median = draw({"none": 0.4, "guard_rail": 0.2, "concrete": 0.15, "railing": 0.15, "hedge": 0.1 if road.median_width > 1.6 else 0.0})
    elif road.kind == "boulevard":
        median = draw({"none": 0.75, "hedge": 0.25})
    right, left = (drawn if not road.bank(side).is_steep else "retaining_wall" for side, drawn in ((-1, draw(beside)), (1, draw(beside))))
    return right, left, median
