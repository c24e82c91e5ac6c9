# SPDX-License-Identifier: Apache-2.0
"""The land beyond the strip along the road: fields, rows of trees and ridges up to the horizon, in coarse squares."""

from __future__ import annotations

import dataclasses

import numpy as np

from ssd_core.road_world import buildings, plants
from ssd_core.road_world.block import from_library
from ssd_core.road_world.district import District
from ssd_core.road_world.ground import DRY, FAR_LAND_DROP, FIELD, LAND_REACH, LAWN, ROUGH, SOIL
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, MeshBuilder, Part, yaw_pose
from ssd_core.road_world.road import ROAD_START

_CELL, _SQUARE = 480.0, 60.0
# Cells up to this far from the ego vehicle belong to the world, metres.
_REACH = 1000.0
# Side streets end before the first distance from the road; from the second on the far land lies at its true height.
_LOW_UNTIL, _TRUE_FROM, _RIDGES_FROM = 130.0, 210.0, 700.0
_VERSIONS = 12
_URBAN = ("street", "boulevard", "arterial", "industrial", "yard", "narrow")


class FarLand:
    """Squares of land around a district's road, each made when it is first looked at and the same whenever that is."""

    def __init__(self, district: District) -> None:
        self.district, self.road = district, district.road
        rng = np.random.default_rng([district.seed, 30])
        relief = rng.choice([4.0, 15.0, 45.0]) * rng.uniform(0.5, 1.3)
        self._ridges = []
        for _ in range(3):
            angle, frequency = rng.uniform(0, 2 * np.pi), 2 * np.pi / rng.uniform(450, 1400)
            self._ridges.append((relief / 2, frequency * np.cos(angle), frequency * np.sin(angle), rng.uniform(0, 2 * np.pi)))
        self._line = self.road.position(np.arange(ROAD_START, 2400.0, 10.0))
        self._cells: dict[tuple[int, int], Part] = {}

    def parts(self, place: Array) -> list[Part]:
        """The squares around a world position (x, y, ...)."""
        column, row = np.floor(np.asarray(place[:2]) / _CELL).astype(int).tolist()
        span = int(np.ceil(_REACH / _CELL))
        found = []
        for x in range(column - span, column + span + 1):
            for y in range(row - span, row + span + 1):
                if np.hypot((x + 0.5) * _CELL - place[0], (y + 0.5) * _CELL - place[1]) < _REACH:
                    if (x, y) not in self._cells:
                        self._cells[x, y] = self._make(x, y)
                    found.append(self._cells[x, y])
        return found

    def away(self, places: Array) -> Array:
        """Distance of world places (N, 2) from the road, to about 5 m."""
        return np.asarray(np.sqrt(((places[:, None] - self._line) ** 2).sum(axis=-1).min(axis=1)))

    def height(self, places: Array) -> Array:
        """Of the far land at world places (N, 2): below the strip along the road, ridges far from it."""
        away = self.away(places)
        x, y = places[:, 0], places[:, 1]
        ridges = sum(amplitude * (1 + np.sin(kx * x + ky * y + phase)) for amplitude, kx, ky, phase in self._ridges)
        share = np.clip((away - _TRUE_FROM) / (_RIDGES_FROM - _TRUE_FROM), 0.0, 1.0)
        drop = FAR_LAND_DROP * np.clip((_TRUE_FROM - away) / (_TRUE_FROM - _LOW_UNTIL), 0.0, 1.0)
        return np.asarray(self.road.hills(x, y) - drop + ridges * share * share * (3 - 2 * share))

    def _make(self, column: int, row: int) -> Part:
        rng = np.random.default_rng([self.district.seed, 31, column + 100_000, row + 100_000])
        origin = np.array([column * _CELL, row * _CELL, 0.0])
        builder = MeshBuilder()
        self._lay(builder, rng, origin)
        self._plant(builder, rng, origin)
        pose = np.eye(4)
        pose[:3, 3] = origin
        # As one chunk: it is far away as a whole.
        return Part(dataclasses.replace(builder.build(), chunk_starts=None), pose, is_still=True)

    def _lay(self, builder: MeshBuilder, rng: np.random.Generator, origin: Array) -> None:
        count = round(_CELL / _SQUARE)
        x, y = np.meshgrid(np.arange(count + 1) * _SQUARE, np.arange(count + 1) * _SQUARE, indexing="ij")
        places = np.stack([x, y], axis=-1)
        height = self.height((places + origin[:2]).reshape(-1, 2)).reshape(x.shape)
        points = np.concatenate([places, height[..., None]], axis=-1)

        def squares(grid: Array) -> Array:
            return np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=2).reshape(-1, 4, grid.shape[-1])

        styles = rng.choice([LAWN, ROUGH, FIELD, FIELD, DRY, SOIL], size=count * count)
        colours = np.stack([styles, np.zeros_like(styles), np.zeros_like(styles)], axis=-1)
        builder.quads(squares(points), Material.GRASS, colours, float(rng.random()), uv=squares(places + origin[:2] % 512.0))

    def _plant(self, builder: MeshBuilder, rng: np.random.Generator, origin: Array) -> None:
        """Rows of trees, and a few towers near towns; as nothing near the road, only where the strip along it has ended."""
        is_urban = self.road.kind in _URBAN
        count = 12 if is_urban else 20
        places = rng.uniform(0, _CELL, (count, 2))
        yaws, sizes, luck = rng.uniform(0, np.pi, count), rng.uniform(0.8, 1.5, count), rng.random(count)
        versions = rng.integers(_VERSIONS, size=count).tolist()
        away, foot = self.away(places + origin[:2]), self.height(places + origin[:2])
        for number in np.flatnonzero((away > LAND_REACH + 40.0) & (away < _REACH)).tolist():
            pose = yaw_pose(float(places[number, 0]), float(places[number, 1]), float(foot[number]) - 1.0, float(yaws[number]))
            if is_urban and luck[number] < 0.25 and away[number] > _LOW_UNTIL + 20.0:
                mesh = from_library(buildings.make_tower, versions[number])
            else:
                mesh = from_library(plants.make_tree_line, versions[number], 60.0, 12.0)
                pose[:3, :3] *= sizes[number]
            builder.add(mesh if mesh.coarse is None else mesh.coarse, pose)
