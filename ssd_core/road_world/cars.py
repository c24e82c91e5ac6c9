# SPDX-License-Identifier: Apache-2.0
"""Cars of all classes: one smooth skin each, from nose to tail, with cut wheel arches and set-in windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.road_world import bodies
from ssd_core.road_world.bodies import PAINTS, Skin, Vehicle
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder, pick
from ssd_core.road_world.semantics import SemanticClass


class CarClass(NamedTuple):
    """Ranges in metres (length, height), and where things are as shares of the length from the nose."""

    share: float
    length: tuple[float, float]
    height: tuple[float, float]
    half_width: float
    belt: float
    """Of the height."""
    cowl: float
    header: float
    rear_header: float
    rear_foot: float
    clearance: float
    wheel: float


CAR_CLASSES = {
    "hatchback": CarClass(0.25, (3.8, 4.35), (1.44, 1.52), 0.89, 0.645, 0.235, 0.42, 0.82, 0.975, 0.17, 0.315),
    "city car": CarClass(0.07, (3.4, 3.7), (1.47, 1.55), 0.83, 0.64, 0.19, 0.38, 0.86, 0.98, 0.17, 0.285),
    "saloon": CarClass(0.17, (4.45, 4.95), (1.42, 1.48), 0.91, 0.65, 0.255, 0.42, 0.69, 0.845, 0.16, 0.33),
    "estate": CarClass(0.15, (4.45, 4.9), (1.45, 1.52), 0.91, 0.64, 0.245, 0.41, 0.885, 0.975, 0.17, 0.33),
    "off-roader": CarClass(0.21, (4.2, 4.85), (1.6, 1.78), 0.95, 0.645, 0.235, 0.4, 0.865, 0.97, 0.23, 0.365),
    "people carrier": CarClass(0.07, (4.3, 4.8), (1.6, 1.75), 0.92, 0.60, 0.165, 0.365, 0.89, 0.98, 0.18, 0.325),
    "sports car": CarClass(0.035, (4.1, 4.5), (1.24, 1.32), 0.93, 0.655, 0.31, 0.47, 0.64, 0.9, 0.13, 0.335),
    "pick-up": CarClass(0.045, (5.1, 5.45), (1.74, 1.85), 0.94, 0.635, 0.225, 0.36, 0.545, 0.585, 0.25, 0.38),
}
_ROWS = 8


def make_car(rng: np.random.Generator) -> Vehicle:
    """A car of a random class, size and colour."""
    names = list(CAR_CLASSES)
    shares = np.array([CAR_CLASSES[name].share for name in names])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    car = Car(rng, name)
    return Vehicle(car.build(), car.length, car.half + 0.1)


class Car:
    """One car: measures drawn once, then built fine and coarse. The middle is the origin, x forward."""

    def __init__(self, rng: np.random.Generator, name: str, semantic: SemanticClass = SemanticClass.CAR) -> None:
        kind = CAR_CLASSES[name]
        self.name, self.kind, self.semantic, self.seed = name, kind, semantic, float(rng.random())
        self.length, self.height = rng.uniform(*kind.length), rng.uniform(*kind.height)
        self.half = kind.half_width * rng.uniform(0.98, 1.02)
        self.belt = self.height * kind.belt * rng.uniform(0.985, 1.015)
        self.paint = pick(rng, PAINTS)
        self.radius = kind.wheel * rng.uniform(0.97, 1.04)
        self.axles = (self.x(rng.uniform(0.185, 0.2)), self.x(rng.uniform(0.79, 0.815)))
        self.is_chrome = rng.random() < 0.4
        self.has_dark_bumpers = rng.random() < 0.25
        self.has_small_grille = rng.random() < 0.6
        self.has_rails = name in ("estate", "off-roader", "people carrier") and rng.random() < 0.6
        self.colours: dict[Material, npt.ArrayLike] = {
            Material.PAINT: self.paint,
            Material.MATT: bodies.DARK,
            Material.GLASS: bodies.GLASS,
            Material.HEADLIGHT: bodies.CLEAR_LAMP,
            Material.TAILLIGHT: bodies.RED,
        }

    def x(self, share: float) -> float:
        """Where a share of the length from the nose is."""
        return self.length * (0.5 - share)

    def build(self) -> Mesh:
        """The whole car."""
        skin, coarse_stations = self._skin()
        fine = MeshBuilder(self.semantic)
        pillar = (self.x(self.kind.header) + self.x(self.kind.rear_header)) / 2
        bodies.add_skin(fine, skin, self.colours, self.seed, pillar + 0.05)
        self._windows(fine, 0.008)
        self._wheels(fine)
        self._trim(fine)
        bodies.add_beams(fine, self.length / 2, self.belt - 0.25)
        fine.footprint(self.length / 2, self.half)
        coarse = MeshBuilder(self.semantic)
        bodies.add_skin(coarse, skin.thinned(coarse_stations, (1, 3, 4, 5, 7)), self.colours, self.seed)
        self._windows(coarse, 0.02)
        for axle in self.axles:
            for side in (-1, 1):
                bodies.add_flat_wheel(coarse, axle, side * (self.half + 0.01), self.radius, self.seed)
        return fine.build(coarse.build())

    def build_bonnet(self) -> Mesh:
        """What a camera behind the windscreen sees of it: bonnet and wings, wipers, mirrors outside, and the dashboard."""
        skin, _ = self._skin()
        builder = MeshBuilder(self.semantic)
        kept = int(np.searchsorted(-skin.points[:, 0, 0], -self.x(self.kind.cowl) + 1e-6))
        bonnet = Skin(skin.points[:kept, 2:], skin.materials[: kept - 1, 2:], skin.ends[:, 2:])
        bodies.add_skin(builder, bonnet, self.colours, self.seed)
        foot, height = self.x(self.kind.cowl), self.belt + 0.045
        for start, end in ((0.62, 0.05), (-0.1, -0.62)):
            builder.tube((foot + 0.02, start, height - 0.02), (foot + 0.06, end, height), 0.012, Material.MATT, bodies.DARK, sides=4)
        edge = 0.8 * self.half
        dashboard = [
            (foot, -edge, height - 0.06),
            (foot, edge, height - 0.06),
            (foot - 0.85, edge, height - 0.12),
            (foot - 0.85, -edge, height - 0.12),
        ]
        builder.quads([dashboard], Material.MATT, (0.02, 0.02, 0.021))
        self._mirrors(builder)
        return builder.build()

    def _skin(self) -> tuple[Skin, tuple[int, ...]]:
        """The body, and the stations that make the coarse one."""
        x, controls, names = self._controls()
        reach = self.radius * 1.17
        arch = np.array([axle + reach * step for axle in self.axles for step in (1.0, 0.62, -0.62, -1.0)])
        stations = np.concatenate([x, arch])
        order = np.argsort(-stations, kind="stable")
        points = np.empty((len(stations), _ROWS, 3))
        for row in range(_ROWS):
            for axis in range(3):
                points[:, row, axis] = np.interp(-stations[order], -x, controls[:, row, axis])
        interval = np.clip(np.searchsorted(-x, -stations[order], side="right") - 1, 0, len(x) - 2)
        materials = self._materials(names)[interval[:-1]]
        for axle in self.axles:
            offset = points[:, 1, 0] - axle
            inside = np.abs(offset) < reach * 0.99
            top = self.radius + np.sqrt(np.maximum(reach**2 - offset**2, 0.0))
            for row in (0, 1, 2):
                points[inside, row, 2] = np.maximum(points[inside, row, 2], top[inside] + (0.03 if row == 2 else 0.0))
            points[inside, 0, 1], points[inside, 2, 1] = self.half * 0.76, self.half * 1.005
            points[inside, 1, 1] = self.half * 1.005
            is_arch = inside[:-1] | inside[1:]
            materials[is_arch, 0] = Material.MATT
        ends = np.full((2, _ROWS - 1), int(Material.PAINT))
        ends[:, 0] = Material.MATT
        if self.has_dark_bumpers:
            ends[:, 1] = Material.MATT
        if not self.has_small_grille:
            ends[0, 3] = Material.MATT
        wanted = (0, 2, names.index("cowl"), names.index("header"), names.index("rear header"), names.index("rear foot"), len(names) - 1)
        coarse = tuple(int(np.flatnonzero(order == number)[0]) for number in dict.fromkeys(wanted))
        return Skin(points, materials, ends), coarse

    def _controls(self) -> tuple[Array, Array, list[str]]:
        """x (N,), points (N, rows, 3) and names of the stations where the shape is given; rows go up from the sill."""
        kind, belt, roof = self.kind, self.belt, self.height
        nose = belt - 0.17 + (0.06 if self.name in ("off-roader", "pick-up", "people carrier") else 0.0)
        deck = belt + (0.05 if self.name == "saloon" else 0.02)
        low, high = kind.clearance, 0.13 + kind.clearance
        bonnet, cabin = ((0.907, 0.845), (0.012, 0.03, 0.055)), ((0.79, 0.70), (-0.10, -0.025, 0.0))
        # name, share of length, share of width, sill, belt, height of what lies between the belts, lamp height, section, bow
        rows = [
            ("nose", 0.0, 0.60, high, nose - 0.07, nose - 0.07, 0.14, bonnet, 0.0),
            ("bumper", 0.018, 0.86, low + 0.03, nose, nose, 0.14, bonnet, 0.05),
            ("corner", 0.075, 0.965, low, nose + 0.055, nose + 0.055, 0.15, bonnet, 0.08),
            ("cowl", kind.cowl, 1.0, low, belt - 0.005, belt - 0.005, 0.11, bonnet, 0.13),
            ("header", kind.header, 1.0, low, belt, roof, 0.11, cabin, 0.09),
            ("roof", (kind.header + kind.rear_header) / 2, 1.0, low, belt + 0.01, roof + 0.015, 0.11, cabin, 0.0),
            ("rear header", kind.rear_header, 0.995, low, belt + 0.03, roof - 0.03 * (kind.rear_header > 0.75), 0.12, cabin, -0.05),
            ("rear foot", kind.rear_foot, 0.955, low + 0.02, belt + 0.025, deck, 0.2, bonnet, -0.05),
        ]
        if kind.rear_foot < 0.92:
            rows.append(("deck", 0.965, 0.93, high - 0.04, deck - 0.015, deck - 0.015, 0.17, bonnet, -0.05))
        rows.append(("tail", 0.985, 0.90, high, deck - 0.05, deck - 0.05, 0.22, bonnet, -0.05))
        rows.append(("end", 1.0, 0.70, high + 0.04, deck - 0.14, deck - 0.14, 0.24, bonnet, 0.0))
        controls = np.empty((len(rows), _ROWS, 3))
        for number, (_, share, width, sill, edge, top, lamp, (widths, heights), bow) in enumerate(rows):
            across = np.array([0.84, 0.965, 1.0, 0.985, 0.935, *widths, 0.0]) * self.half * width
            middle = sill + 0.5 * (edge - sill)
            controls[number, :, 0] = self.x(share) + bow * (1 - (across / self.half) ** 2) * (np.arange(_ROWS) > 4)
            controls[number, :, 1] = across
            controls[number, :, 2] = [sill, sill + 0.08, middle, edge - lamp, edge, *(top + np.array(heights))]
        return np.array([self.x(row[1]) for row in rows]), controls, [row[0] for row in rows]

    def _materials(self, names: list[str]) -> npt.NDArray[np.int64]:
        """(N - 1, rows - 1) of the cells behind each control station."""
        materials = np.full((len(names) - 1, _ROWS - 1), int(Material.PAINT))
        at = {name: number for number, name in enumerate(names)}
        materials[:, 0] = Material.MATT
        if self.has_dark_bumpers:
            materials[[at["nose"], at["bumper"], len(names) - 2, len(names) - 3], 1] = Material.MATT
        materials[[at["nose"], at["bumper"]], 3] = Material.HEADLIGHT
        materials[[at["tail"], at["tail"] - 1], 3] = Material.TAILLIGHT
        materials[at["cowl"], 6] = materials[at["rear header"], 6] = Material.GLASS
        if self.name == "pick-up":
            materials[at["rear foot"], 5:] = Material.MATT
        return materials

    def _windows(self, builder: MeshBuilder, lift: float) -> None:
        """Side windows just above the skin between belt and roof, with a pillar between them."""
        kind = self.kind
        low, high = self.belt + 0.03, self.height - 0.125
        y_low, y_high = self.half * 0.935 + lift - 0.004, self.half * 0.79 + lift + 0.004
        front, back = self.x(kind.cowl) - 0.22, self.x(kind.rear_foot) + (0.30 if kind.rear_foot < 0.9 else 0.24)
        top_front, top_back = self.x(kind.header) - 0.02, self.x(kind.rear_header) + 0.03
        middle = (self.x(kind.header) + self.x(kind.rear_header)) / 2 + (0.05 if self.length > 4 else -0.2)
        panes = [(front, middle + 0.04, middle + 0.04, top_front), (middle - 0.04, back, top_back, middle - 0.04)]
        split = middle - 0.95
        if kind.rear_header > 0.84 and split - back > 0.3:
            panes[1:] = [(middle - 0.04, split + 0.04, split + 0.04, middle - 0.04), (split - 0.04, back, top_back, split - 0.04)]
        if self.name in ("pick-up", "sports car"):
            panes = panes[:1] + ([(middle - 0.04, back + 0.05, top_back, middle - 0.04)] if back + 0.2 < middle else [])
        for side in (-1, 1):
            for pane_front, pane_back, back_top, front_top in panes:
                corners = [(pane_front, side * y_low, low), (pane_back, side * y_low, low + 0.02),
                           (back_top, side * y_high, high), (front_top, side * y_high, high)]  # fmt: skip
                builder.quads([corners], Material.GLASS, bodies.GLASS, self.seed)

    def _wheels(self, builder: MeshBuilder) -> None:
        for axle in self.axles:
            for side in (-1.0, 1.0):
                bodies.add_wheel(builder, axle, side * self.half * 0.99, self.radius, 0.2, self.seed)
                reach, y = self.radius * 1.2, side * self.half * 0.77
                top = self.radius + reach
                hollow = [(axle - reach, y, 0.1), (axle + reach, y, 0.1), (axle + reach * 0.7, y, top), (axle - reach * 0.7, y, top)]
                builder.quads([hollow], Material.MATT, (0.006, 0.006, 0.006))

    def _trim(self, builder: MeshBuilder) -> None:
        """Grille, plates, mirrors, lamps and handles."""
        end, half, seed = self.length / 2, self.half, self.seed
        trim = ((0.5, 0.5, 0.52), Material.METAL) if self.is_chrome else (bodies.DARK, Material.MATT)
        bodies.add_plate(builder, end + 0.012, 0.42 + self.kind.clearance * 0.4, seed)
        is_low = self.kind.rear_foot < 0.92 or self.seed < 0.3
        plate = self.belt * (0.62 if is_low else 0.76)
        bodies.add_plate(builder, -end - 0.012, plate, seed)
        builder.quads([[(-end - 0.01, 0.3, plate + 0.075), (-end - 0.01, -0.3, plate + 0.075),
                        (-end - 0.01, -0.3, plate + 0.1), (-end - 0.01, 0.3, plate + 0.1)]], trim[1], trim[0], seed)  # fmt: skip
        builder.quads([[(end + 0.01, -0.4, 0.27), (end + 0.01, 0.4, 0.27), (end + 0.008, 0.36, 0.36), (end + 0.008, -0.36, 0.36)]],
                      Material.MATT, bodies.DARK, seed)  # fmt: skip
        if self.has_small_grille:
            foot, width = self.belt - 0.44, half * (0.3 + 0.2 * (seed * 11 % 1))
            builder.quads([[(end + 0.01, -width * 0.8, foot), (end + 0.01, width * 0.8, foot), (end + 0.006, width, foot + 0.17),
                            (end + 0.006, -width, foot + 0.17)]], Material.MATT, bodies.DARK, seed)  # fmt: skip
        top = self.height - (0.05 if self.kind.rear_header > 0.75 else 0.075)
        x = self.x(self.kind.rear_header) - 0.05
        builder.box((x, 0, top - 0.03), (0.06, 0.34, 0.03), Material.TAILLIGHT, bodies.RED, seed)
        self._mirrors(builder)
        for side in (-1, 1):
            if self.has_rails:
                front, back = self.x(self.kind.header) - 0.25, self.x(self.kind.rear_header) + 0.1
                rail = ((front + back) / 2, side * half * 0.7, self.height - 0.02)
                builder.box(rail, (front - back, 0.035, 0.055), trim[1], trim[0], seed)

    def _mirrors(self, builder: MeshBuilder) -> None:
        for side in (-1, 1):
            mirror = (self.x(self.kind.cowl) - 0.42, side * (self.half + 0.06), self.belt)
            builder.box(mirror, (0.12, 0.2, 0.14), Material.PAINT, self.paint, self.seed, taper=(0.7, 0.85))
