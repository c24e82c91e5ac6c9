# SPDX-License-Identifier: Apache-2.0
"""Buildings: budgets of quads, nothing in the way of those who walk or drive past, coarse versions of the same size."""

import numpy as np
import pytest

from ssd_core.road_world import buildings
from ssd_core.road_world.meshes import CLASS_COLUMN
from ssd_core.road_world.semantics import SemanticClass

MAKERS = {
    "town house": lambda rng: buildings.make_town_house(rng, 11.2, 4),
    "detached house": lambda rng: buildings.make_detached_house(rng, 10.0),
    "terrace": lambda rng: buildings.make_terrace(rng, 26.0),
    "flats": lambda rng: buildings.make_flats(rng, 22.0, 5),
    "office": lambda rng: buildings.make_office(rng, 24.0, 6),
    "hall": lambda rng: buildings.make_hall(rng, 30.0),
    "tower": buildings.make_tower,
    "church": buildings.make_church,
    "petrol station": buildings.make_petrol_station,
    "car park": lambda rng: buildings.make_car_park(rng, 30.0),
    "building site": lambda rng: buildings.make_building_site(rng, 20.0),
    "scaffold": lambda rng: buildings.make_scaffold(rng, 12.0, 10.0),
}


def quads(mesh):
    return sum(len(block) // 4 for block in mesh.vertices.values())


def points(mesh):
    return np.concatenate([block[:, :3] for block in mesh.vertices.values()])


@pytest.mark.parametrize("name", MAKERS)
def test_buildings_keep_to_their_budget_and_plot(name):
    for seed in range(8):
        mesh = MAKERS[name](np.random.default_rng(seed))
        corners = points(mesh)
        assert 10 <= quads(mesh) <= 150
        assert corners[:, 2].min() >= -5.0 and np.isfinite(corners).all()
        reach = -corners[:, 1].min()
        assert reach <= 1.65
        low = corners[(corners[:, 2] > 0.2) & (corners[:, 2] < 2.3)]
        if name != "scaffold" and len(low):
            assert -low[:, 1].min() <= 0.95


@pytest.mark.parametrize("name", MAKERS)
def test_coarse_versions_are_smaller_and_as_large(name):
    for seed in range(4):
        mesh = MAKERS[name](np.random.default_rng(seed))
        if mesh.coarse is None:
            continue
        assert quads(mesh.coarse) <= quads(mesh)
        for axis in range(2):
            fine, coarse = np.ptp(points(mesh)[:, axis]), np.ptp(points(mesh.coarse)[:, axis])
            assert coarse <= fine and fine - coarse < 1.7


@pytest.mark.parametrize("name", MAKERS)
def test_same_numbers_build_the_same(name):
    first, second = (MAKERS[name](np.random.default_rng(3)) for _ in range(2))
    for family, block in first.vertices.items():
        np.testing.assert_array_equal(block, second.vertices[family])


def test_cars_fit_under_the_canopy_of_a_petrol_station():
    corners = points(buildings.make_petrol_station(np.random.default_rng(0)))
    canopy = corners[(corners[:, 1] < 9.0) & (np.abs(corners[:, 0]) > 8.0) & (corners[:, 0] > 0)]
    assert canopy[:, 2].min() > 4.5


@pytest.mark.parametrize("name", MAKERS)
def test_all_of_a_building_is_of_its_class(name):
    for seed in range(8):
        mesh = MAKERS[name](np.random.default_rng(seed))
        classes = {int(value) for block in mesh.vertices.values() for value in np.unique(block[:, CLASS_COLUMN])}
        assert classes <= {SemanticClass.BUILDING, SemanticClass.BARRIER if name == "building site" else SemanticClass.BUILDING}
