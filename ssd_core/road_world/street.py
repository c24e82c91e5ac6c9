# SPDX-License-Identifier: Apache-2.0
"""One block of street from its own random numbers: ground, houses, trees, furniture, parked vehicles and people."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ssd_core.road_world import buildings, furniture, plants
from ssd_core.road_world.district import District
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import COLOUR_COLUMNS, MATERIAL_COLUMN, Mesh, MeshBuilder, Part, pick
from ssd_core.road_world.people import Person, make_person
from ssd_core.road_world.road import KERB_HEIGHT, Junction, Road, lay_ground
from ssd_core.road_world.vehicles import PAINTS, Vehicle, make_lorry, make_vehicle

BLOCK_LENGTH = 40.0
# Making each tree and parked car anew would take most of the time, and nobody would see the difference.
_TREES, _TREE_HEIGHT, _MODELS = 14, 8.0, 16
_LAND_USES = ("town", "suburb", "park", "works")


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

    def parts(self, time: float) -> list[Part]:
        """Body and legs at a time in seconds."""
        person = self.person
        yaw = self.yaw if self.speed == 0 else (0.0 if self.speed > 0 else np.pi)
        pose = self.road.pose(self.s + self.speed * time, self.t, KERB_HEIGHT, yaw)
        swing = 0.0 if self.speed == 0 else 0.5 * np.sin(self.phase + 5.5 * time)
        parts = [Part(person.body, pose)]
        for side in (-1, 1):
            hip = np.eye(4)
            angle = side * swing
            hip[0, 0], hip[0, 2], hip[2, 0], hip[2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
            hip[:3, 3] = 0.0, side * person.hip_offset, person.hip_height
            parts.append(Part(person.leg, pose @ hip))
        return parts


@dataclasses.dataclass(frozen=True)
class Block:
    """A built block: ground, houses and trees; what is too small to be seen from afar; and who walks."""

    shell: Part
    detail: Part
    walkers: tuple[Walker, ...]


def build_block(district: District, index: int) -> Block:
    """Block number `index`, from s = index * BLOCK_LENGTH on; the same whatever was built before."""
    return _BlockBuilder(district, index).build()


class _BlockBuilder:
    """Fills one block. Left is side 1, right is side -1."""

    def __init__(self, district: District, index: int) -> None:
        self.district, self.road, self.index = district, district.road, index
        self.rng = np.random.default_rng([district.seed, 11, index + 1000])
        self.start, self.end = index * BLOCK_LENGTH, (index + 1) * BLOCK_LENGTH
        self.junction = self._junction()
        self.origin = np.round(self.road.point((self.start + self.end) / 2))
        self.builder, self.detail = MeshBuilder(), MeshBuilder()
        self.walkers: list[Walker] = []

    def build(self) -> Block:
        lay_ground(self.builder, self.road, self.start, self.end, self.junction, self.district.seed % 97 / 97, self.origin)
        for side in (-1, 1):
            land_use = self._land_use(side)
            for near, far in self._free_spans(3.0):
                getattr(self, f"_fill_{land_use}")(side, near, far)
            self._skyline(side)
            self._pavement(side, land_use)
            self._parked(side)
        if self.junction is not None:
            self._dress_junction(self.junction)
        pose = np.eye(4)
        pose[:3, 3] = self.origin
        return Block(Part(self.builder.build(), pose), Part(self.detail.build(), pose), tuple(self.walkers))

    def _junction(self) -> Junction | None:
        # The ego vehicle starts on a plain stretch.
        if self.index in (-1, 0) or self.rng.random() > self.district.junction_share:
            return None
        return Junction((self.start + self.end) / 2, self.rng.uniform(3.6, 5.0), bool(self.rng.random() < 0.7))

    def _land_use(self, side: int) -> str:
        # Neighbouring blocks of a side share their use, so that a street doesn't change character every 40 m.
        rng = np.random.default_rng([self.district.seed, 12, (self.index + 1002) // 3, side + 1])
        return str(rng.choice(_LAND_USES, p=self.district.land_use_shares))

    def _free_spans(self, margin: float) -> list[tuple[float, float]]:
        if self.junction is None:
            return [(self.start, self.end)]
        near, far = self.junction.s - self.junction.half_width, self.junction.s + self.junction.half_width
        return [(self.start, near - margin), (far + margin, self.end)]

    def _is_free(self, s: float, margin: float) -> bool:
        return any(near <= s <= far for near, far in self._free_spans(margin))

    def _place(
        self,
        mesh: Mesh,
        s: float,
        t: float,
        height: float,
        yaw: float = 0.0,
        upright: bool = True,
        is_detail: bool = False,
        scale: float = 1.0,
    ) -> None:
        pose = self.road.pose(s, t, height, yaw, upright)
        pose[:3, :3] *= scale
        pose[:3, 3] -= self.origin
        (self.detail if is_detail else self.builder).add(mesh, pose)

    def _beside(self, mesh: Mesh, s: float, side: int, distance: float, is_detail: bool = False) -> None:
        """Put something whose -y faces the street `distance` metres from the centre line."""
        self._place(mesh, s, side * distance, KERB_HEIGHT, 0.0 if side > 0 else np.pi, is_detail=is_detail)

    def _vehicle(self, large: float) -> Vehicle:
        """One of the district's vehicles in a colour of its own."""
        rng = self.rng
        model = _district_vehicle(self.district.seed, int(rng.integers(_MODELS)), bool(rng.random() < large))
        solid = model.mesh.vertices[Family.SOLID].copy()
        solid[solid[:, MATERIAL_COLUMN] == Material.PAINT, COLOUR_COLUMNS] = pick(rng, PAINTS)
        return model._replace(mesh=dataclasses.replace(model.mesh, vertices={**model.mesh.vertices, Family.SOLID: solid}))

    def _plant(self, s: float, side: int, distance: float, tall: float | None = None) -> None:
        """One of the district's trees, turned and scaled."""
        rng = self.rng
        tree = _district_tree(self.district.seed, int(rng.integers(_TREES)))
        scale = (rng.uniform(5.0, 12.0) if tall is None else tall) / _TREE_HEIGHT
        self._place(tree, s, side * distance, KERB_HEIGHT, rng.uniform(0, 2 * np.pi), scale=scale)

    def _park(self, vehicle: Vehicle, s: float, t: float, height: float, yaw: float) -> None:
        self._place(_lights_off(vehicle.mesh), s, t, height, yaw, upright=False, is_detail=True)

    def _fill_town(self, side: int, near: float, far: float) -> None:
        rng, s = self.rng, near
        setback = self.road.house_line + 0.1
        while far - s > 5.5:
            columns = int(rng.integers(2, 6))
            width = min(columns * 2.8, far - s)
            floors = int(np.clip(self.district.floors + rng.integers(-2, 3), 2, 8))
            self._beside(
                buildings.make_town_house(rng, width - 0.05, floors), s + width / 2, side, setback + rng.choice([0.0, 0.0, 0.4, 1.0])
            )
            s += width + rng.choice([0.0, 0.0, 0.0, 0.0, 3.5])

    def _fill_suburb(self, side: int, near: float, far: float) -> None:
        rng, s, line = self.rng, near + self.rng.uniform(0, 3), self.road.house_line
        while far - s > 9:
            width = rng.uniform(8.5, 12.0)
            self._beside(buildings.make_detached_house(rng, width), s + width / 2, side, line + rng.uniform(4.0, 8.0))
            if rng.random() < 0.6:
                hedge = (
                    plants.make_bush(rng, min(width * 0.6, 7.0), rng.uniform(0.8, 1.5), 0.7)
                    if rng.random() < 0.5
                    else furniture.make_fence(rng, width * 0.6)
                )
                self._beside(hedge, s + width * 0.3, side, line + 0.5)
            if rng.random() < 0.35:
                self._park(self._vehicle(0.1), s + width + 1.5, side * (line + rng.uniform(3.5, 6.0)), KERB_HEIGHT, side * np.pi / 2)
            for _ in range(int(rng.integers(1, 4))):
                self._plant(
                    s + rng.uniform(0, width + 4),
                    side,
                    line + rng.choice([rng.uniform(1.2, 3.0), rng.uniform(17, 24)]),
                )
            s += width + rng.uniform(4.0, 8.0)

    def _fill_park(self, side: int, near: float, far: float) -> None:
        rng, line = self.rng, self.road.house_line
        for _ in range(int((far - near) / 3.6)):
            self._plant(rng.uniform(near, far), side, line + 1.5 + 26 * rng.random() ** 1.6)
        for _ in range(int((far - near) / 7)):
            self._beside(
                plants.make_bush(rng, rng.uniform(1.0, 3.5), rng.uniform(0.7, 1.6)),
                rng.uniform(near, far),
                side,
                line + rng.uniform(1.0, 16),
            )
        if rng.random() < 0.6 and far - near > 8:
            for s in np.arange(near + 2.5, far - 2.5, 5.0):
                self._beside(
                    furniture.make_fence(np.random.default_rng([self.district.seed, 13, side + 1]), 5.0), float(s), side, line + 0.4
                )

    def _fill_works(self, side: int, near: float, far: float) -> None:
        rng, line = self.rng, self.road.house_line
        if far - near > 12:
            width = min(far - near - 2, rng.uniform(18, 34))
            self._beside(buildings.make_hall(rng, width), (near + far) / 2, side, line + rng.uniform(9, 13))
        for s in np.arange(near + 2, far - 2, 3.2):
            if rng.random() < 0.45:
                self._park(self._vehicle(0.1), float(s), side * (line + 5.0), KERB_HEIGHT, side * np.pi / 2 + rng.choice([0, np.pi]))
        if far - near > 14 and rng.random() < 0.4:
            self._park(make_lorry(rng), (near + far) / 2, side * (line + 8.0), KERB_HEIGHT, rng.choice([0, np.pi]))
        for _ in range(2):
            self._plant(rng.uniform(near, far), side, line + 1.5)

    def _skyline(self, side: int) -> None:
        rng = self.rng
        if rng.random() < 0.35:
            self._place(buildings.make_tower(rng), rng.uniform(self.start, self.end), side * rng.uniform(54, 64), 0.0, rng.uniform(0, 6.28))
        for _ in range(4):
            s = rng.uniform(self.start, self.end)
            if self._is_free(s, 4.0):
                self._plant(s, side, rng.uniform(30, 46), rng.uniform(7, 14))

    def _pavement(self, side: int, land_use: str) -> None:
        rng, road = self.rng, self.road
        kerb, line = road.half_width, road.house_line
        arm = min(2.2, road.half_width * 0.5)
        self._beside(furniture.make_lamp(np.random.default_rng([self.district.seed, 14]), self.district.lamp_height, arm),
                     self.start + (6.0 if side > 0 else 26.0), side, kerb + 0.55)  # fmt: skip
        if rng.random() < 0.5:
            self._beside(furniture.make_sign(rng), self._free_place(2.0), side, kerb + 0.5, is_detail=True)
        for _ in range(int(rng.integers(0, 3))):
            self._beside(
                furniture.make_clutter(rng), self._free_place(2.0), side, kerb + rng.choice([0.7, line - kerb - 0.5]), is_detail=True
            )
        if rng.random() < 0.08:
            self._beside(furniture.make_shelter(rng), self._free_place(5.0), side, kerb + 1.2, is_detail=True)
        if land_use != "park" and rng.random() < self.district.tree_share:
            for s in np.arange(self.start + 2.0, self.end, 10.0):
                if self._is_free(s, 4.0) and rng.random() < 0.85:
                    self._plant(float(s), side, kerb + 1.0, rng.uniform(5.0, 8.0))
        for _ in range(int(rng.poisson(self.district.people_per_block))):
            walking = rng.random() < 0.75
            speed = rng.choice([-1, 1]) * rng.uniform(0.9, 1.6) if walking else 0.0
            t = side * rng.uniform(kerb + 0.5, line - 0.4)
            self.walkers.append(
                Walker(make_person(rng), road, rng.uniform(self.start, self.end), t, speed, rng.uniform(0, 6.28), rng.uniform(0, 6.28))
            )

    def _free_place(self, margin: float) -> float:
        spans = self._free_spans(margin)
        near, far = spans[self.rng.integers(len(spans))]
        return float(self.rng.uniform(near, far))

    def _parked(self, side: int) -> None:
        rng, road = self.rng, self.road
        if road.parking_width == 0:
            return
        s = self.start + rng.uniform(0.2, 1.5)
        while True:
            vehicle = self._vehicle(0.14)
            if vehicle.length > 6.5:
                continue
            middle = s + vehicle.length / 2
            if middle + vehicle.length / 2 > self.end:
                return
            if rng.random() < self.district.parking_share and self._is_free(middle, 8.5):
                yaw = (0.0 if side < 0 or rng.random() < 0.2 else np.pi) + rng.normal(0, 0.015)
                self._park(vehicle, middle, side * (road.half_width - 1.08 + rng.normal(0, 0.05)), 0.0, yaw)
            s += vehicle.length + rng.uniform(0.7, 1.6)

    def _dress_junction(self, junction: Junction) -> None:
        rng, road = self.rng, self.road
        lights = rng.random() < 0.55
        for side in (-1, 1):
            if lights:
                # Right side (-1): seen by the ego vehicle before the junction's far edge; left side: by oncoming traffic.
                s = junction.s - side * junction.half_width + side * -1.0
                self._beside(furniture.make_traffic_light(rng, min(3.2, road.half_width * 0.8)), s, side, road.half_width + 0.5)
            self._beside(buildings.make_town_house(rng, 19.6, int(rng.integers(3, 6))), junction.s, side, 48.6)
            if rng.random() < 0.5:
                yaw = rng.choice([-1, 1]) * np.pi / 2
                self._park(self._vehicle(0.2), junction.s - np.sign(yaw) * 1.7, side * rng.uniform(road.house_line + 4, 30), 0.0, yaw)


@functools.lru_cache(maxsize=128)
def _district_tree(seed: int, index: int) -> Mesh:
    return plants.make_tree(np.random.default_rng([seed, 15, index]), _TREE_HEIGHT)


@functools.lru_cache(maxsize=128)
def _district_vehicle(seed: int, index: int, is_large: bool) -> Vehicle:
    return make_vehicle(np.random.default_rng([seed, 16, index]), 1.0 if is_large else 0.0)


def _lights_off(mesh: Mesh) -> Mesh:
    """A parked vehicle: its lamps neither shine nor cast light."""
    solid = mesh.vertices[Family.SOLID].copy()
    for lamp, unlit in ((Material.HEADLIGHT, Material.GLASS), (Material.TAILLIGHT, Material.PAINT)):
        solid[solid[:, MATERIAL_COLUMN] == lamp, MATERIAL_COLUMN] = unlit
    return dataclasses.replace(mesh, vertices={**mesh.vertices, Family.SOLID: solid}, lights=mesh.lights[:0])
