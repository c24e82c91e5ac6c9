# SPDX-License-Identifier: Apache-2.0
"""The block under construction: where things may stand along its stretch of road, and how they get there."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ssd_core.road_world import plants
from ssd_core.road_world.bodies import PAINTS, Vehicle
from ssd_core.road_world.district import District
from ssd_core.road_world.ground import Junction
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder, Part, exchange_materials, pick, recolour
from ssd_core.road_world.people import Person, figure_parts
from ssd_core.road_world.road import Road
from ssd_core.road_world.vehicles import make_vehicle

BLOCK_LENGTH = 40.0
# Banks level out towards a side street: flat up to the first distance from its middle, whole from the second on.
_LEVEL_NEAR, _LEVEL_FAR = 9.0, 18.0
# Bridges cross at an angle.
_BESIDE_BRIDGE = 6.0
_LIBRARY, _MODELS = 36, 16
# Trees up to the first height are scaled from the second: taller ones have finer leaves for their size.
_TREE_HEIGHTS = ((13.0, 10.0), (99.0, 18.0))


@dataclasses.dataclass(frozen=True)
class Walker:
    """Somebody on the pavement: from road coordinates (s, t) at `speed` metres a second along the road (negative: towards s = 0)."""

    person: Person
    road: Road
    s: float
    t: float
    speed: float
    yaw: float
    phase: float
    instance: int = 0

    def parts(self, time: float) -> list[Part]:
        """Body and legs at a time in seconds."""
        yaw = self.yaw if self.speed == 0 else (0.0 if self.speed > 0 else np.pi)
        pose = self.road.pose(self.s + self.speed * time, self.t, self.road.kerb_height, yaw)
        swing = 0.0 if self.speed == 0 else 0.5 * np.sin(self.phase + 5.5 * time)
        return figure_parts(self.person, pose, float(swing), self.instance)


@functools.lru_cache(maxsize=2048)
def from_library(maker: Callable[..., Any], number: int, *arguments: Any) -> Any:
    """Version `number` of what `maker(rng, *arguments)` makes, the same in all districts."""
    return maker(np.random.default_rng([15, zlib.crc32(maker.__name__.encode()), number]), *arguments)


def _at_rest(mesh: Mesh, paint: Array) -> Mesh:
    """Repainted; its lamps neither shine nor cast light."""
    still = exchange_materials(
        recolour(mesh, Material.PAINT, paint), {Material.HEADLIGHT: Material.GLASS, Material.TAILLIGHT: Material.PAINT}
    )
    return dataclasses.replace(still, lights=mesh.lights[:0])


class BlockBuilder:
    """Fills one block. Left is side 1, right is side -1. What is small goes into `detail`, which is not shown from afar."""

    def __init__(self, district: District, index: int) -> None:
        self.district, self.road, self.index = district, district.road, index
        self.rng = np.random.default_rng([district.seed, 11, index + 1000])
        self.start, self.end = index * BLOCK_LENGTH, (index + 1) * BLOCK_LENGTH
        self.middle = (self.start + self.end) / 2
        self.junction = self._draw_junction()
        self.overpass = self._draw_overpass()
        self.origin = np.round(self.road.point(self.middle))
        # Numbers that no other block and no driver has: parked vehicles first, walkers from half-way on.
        self.first_instance = 100_000 + (index + 1000) * 1000
        self.builder = MeshBuilder(first_instance=self.first_instance)
        self.detail = MeshBuilder(first_instance=self.first_instance + 250)
        self.walkers: list[Walker] = []

    def _draw_junction(self) -> Junction | None:
        # The ego vehicle starts on a plain stretch.
        luck, half_width, zebra, form = self.rng.random(), self.rng.uniform(3.2, 5.0), self.rng.random() < 0.7, self.rng.random()
        if self.index in (-1, 0) or luck > self.district.junction_share:
            return None
        sides = (-1, 1) if form < 0.5 else (-1,) if form < 0.75 else (1,)
        return Junction(self.middle, float(half_width), bool(zebra and self.road.kerb_height > 0), sides, float(self.rng.uniform(70, 120)))

    def _draw_overpass(self) -> float:
        """Width of a bridge over the middle of the block, metres; 0 for none."""
        luck, width = self.rng.random(), float(self.rng.choice([3.5, 8.0, 12.0, 24.0], p=[0.35, 0.25, 0.25, 0.15]))
        return width if luck < self.district.overpass_share and self.junction is None and self.index not in (-1, 0) else 0.0

    def rise(self, s: Array, t: Array) -> Array:
        """Height of the banks at road coordinates; they level out towards a side street."""
        rise = self.road.bank_rise(s, t)
        if self.junction is None:
            return rise
        away = np.abs(s - self.junction.s)
        return np.asarray(rise * np.clip((away - _LEVEL_NEAR) / (_LEVEL_FAR - _LEVEL_NEAR), 0.0, 1.0))

    def ground(self, s: float, t: float) -> float:
        """Height of the ground over the land at a place."""
        road, away = self.road, abs(t)
        if away <= road.half_width:
            return road.kerb_height if road.has_raised_median and away < road.median_width / 2 else 0.0
        if away <= road.house_line or road.bank(1 if t > 0 else -1).is_flat:
            return road.kerb_height
        return road.kerb_height + float(self.rise(np.array(s), np.array(t)))

    def free_spans(self, margin: float, side: int) -> list[tuple[float, float]]:
        """Stretches of s that no side street of this side takes, `margin` metres away from it."""
        if self.junction is None or side not in self.junction.sides:
            return [(self.start, self.end)]
        near, far = self.junction.s - self.junction.half_width, self.junction.s + self.junction.half_width
        return [(self.start, near - margin), (far + margin, self.end)]

    def plots(self, side: int) -> list[tuple[float, float]]:
        """Stretches of s beside which something may be built or planted: neither side streets nor bridges in the way."""
        if not self.overpass:
            return self.free_spans(3.0, side)
        clear = self.overpass / 2 + _BESIDE_BRIDGE
        return [(self.start, self.middle - clear), (self.middle + clear, self.end)]

    def is_free(self, s: float, margin: float, side: int) -> bool:
        """Whether a place lies outside side streets and not below a bridge."""
        if self.overpass and abs(s - self.middle) < self.overpass / 2 + margin:
            return False
        return any(near <= s <= far for near, far in self.free_spans(margin, side))

    def free_place(self, margin: float, side: int) -> float:
        """A random s outside side streets."""
        spans = self.free_spans(margin, side)
        near, far = spans[self.rng.integers(len(spans))]
        return float(self.rng.uniform(near, far))

    def place(
        self,
        mesh: Mesh,
        s: float,
        t: float,
        yaw: float = 0.0,
        upright: bool = True,
        is_detail: bool = False,
        scale: float = 1.0,
        lift: float = 0.0,
    ) -> None:
        """Put a mesh on the ground at road coordinates."""
        pose = self.road.pose(s, t, self.ground(s, t) + lift, yaw, upright)
        pose[:3, :3] *= scale
        pose[:3, 3] -= self.origin
        (self.detail if is_detail else self.builder).add(mesh, pose)

    def beside(self, mesh: Mesh, s: float, side: int, distance: float, is_detail: bool = False, yaw: float = 0.0) -> None:
        """Put something whose -y faces the street `distance` metres from the centre line."""
        self.place(mesh, s, side * distance, yaw + (0.0 if side > 0 else np.pi), is_detail=is_detail)

    def shared(self, maker: Callable[..., Any], variants: int, *arguments: Any) -> Any:
        """What `maker(rng, *arguments)` makes, in one of the few versions that a district takes from a library common to all.

        Making everything anew would take most of the time, and nobody sees the difference.
        """
        first = self.district.seed * 7
        return from_library(maker, (first + int(self.rng.integers(variants))) % _LIBRARY, *arguments)

    def vehicle(self, large: float) -> Vehicle:
        """One of the district's vehicles in a colour of its own."""
        rng = self.rng
        model: Vehicle = self.shared(make_vehicle, _MODELS, 1.0 if rng.random() < large else 0.0)
        return model._replace(mesh=_at_rest(model.mesh, pick(rng, PAINTS)), pulled=())

    def park(self, vehicle: Vehicle, s: float, t: float, yaw: float, is_far: bool = False) -> None:
        """A vehicle at rest; one that is never seen from close by needs no fine mesh."""
        mesh = vehicle.mesh
        self.place(mesh.coarse if is_far and mesh.coarse is not None else mesh, s, t, yaw, upright=False, is_detail=True)

    def tree(self, s: float, side: int, distance: float, tall: float | None = None) -> None:
        """One of the district's trees, turned and scaled; beside the road one whose branches leave room for lorries."""
        rng = self.rng
        height = float(rng.uniform(6.0, 14.0) if tall is None else tall)
        near = distance < self.road.half_width + 4.5 + 0.4 * max(height - 12.0, 0.0)
        grown = next(base for limit, base in _TREE_HEIGHTS if height < limit)
        # Street trees can't be scaled down: their clear height is theirs.
        tree = (
            self.shared(plants.make_street_tree, 6, 8.0 + 2.0 * round((max(height, 8.0) - 8.0) / 2))
            if near
            else self.shared(plants.make_tree, 12, grown)
        )
        self.place(tree, s, side * distance, rng.uniform(0, 2 * np.pi), scale=1.0 if near else height / grown)
