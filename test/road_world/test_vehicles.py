# SPDX-License-Identifier: Apache-2.0
"""Vehicles: what they cost, that they are where they say, and that near and far versions are the same thing."""

import numpy as np
import pytest

from ssd_core.road_world.cars import CAR_CLASSES, make_car
from ssd_core.road_world.large_vehicles import (
    make_articulated_lorry,
    make_box_lorry,
    make_bus,
    make_coach,
    make_flatbed,
    make_tipper,
    make_van,
)
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import CLASS_COLUMN, MATERIAL_COLUMN
from ssd_core.road_world.people import make_person
from ssd_core.road_world.semantics import SemanticClass
from ssd_core.road_world.two_wheelers import make_cyclist, make_motorcyclist


def quads(mesh):
    return sum(len(vertices) // 4 for vertices in mesh.vertices.values())


def extent(mesh):
    points = np.concatenate([vertices[:, :3] for vertices in mesh.vertices.values()])
    return points.min(axis=0), points.max(axis=0)


@pytest.mark.parametrize("seed", range(12))
def test_cars_stay_within_budget_and_measures(seed):
    car = make_car(np.random.default_rng(seed))
    assert quads(car.mesh) <= 450 and quads(car.mesh.coarse) <= 70
    low, high = extent(car.mesh)
    assert high[0] - low[0] == pytest.approx(car.length, abs=0.12)
    assert max(-low[1], high[1]) <= car.half_width + 0.07
    assert -0.02 < low[2] < 0.03 and 1.2 < high[2] < 2.0
    coarse_low, coarse_high = extent(car.mesh.coarse)
    np.testing.assert_allclose(coarse_low[:2], low[:2], atol=0.25)
    assert coarse_high[2] == pytest.approx(high[2], abs=0.12)


def test_cars_have_what_makes_them_cars():
    for seed in range(12):
        vertices = make_car(np.random.default_rng(seed)).mesh.vertices[Family.SOLID]
        materials = set(vertices[:, MATERIAL_COLUMN])
        assert {Material.PAINT, Material.GLASS, Material.WHEEL, Material.PLATE, Material.HEADLIGHT, Material.TAILLIGHT} <= materials
        assert (vertices[:, CLASS_COLUMN] == SemanticClass.CAR).all()
        assert np.isfinite(vertices).all()
        np.testing.assert_allclose(np.linalg.norm(vertices[:, 3:6], axis=1), 1.0, atol=1e-3)


def test_all_classes_are_drawn_and_most_cars_are_grey():
    lengths = [make_car(np.random.default_rng(seed)).length for seed in range(60)]
    assert min(lengths) < 3.75 and max(lengths) > 4.7
    assert sum(kind.share for kind in CAR_CLASSES.values()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("make", [make_van, make_box_lorry, make_tipper, make_flatbed, make_articulated_lorry, make_bus, make_coach])
def test_large_vehicles_stay_within_budget_and_measures(make):
    for seed in range(6):
        vehicle = make(np.random.default_rng(seed))
        assert quads(vehicle.mesh) <= 800 and quads(vehicle.mesh.coarse) <= 130
        low, high = extent(vehicle.mesh)
        assert high[0] - low[0] == pytest.approx(vehicle.length, abs=0.35)
        assert max(-low[1], high[1]) <= vehicle.half_width + 0.2
        assert -0.02 < low[2] < 0.4 and 1.8 < high[2] < 4.1


def test_the_pieces_of_an_articulated_lorry_make_it_up():
    lorry = make_articulated_lorry(np.random.default_rng(4))
    assert len(lorry.units) == 2
    front = max(unit.shift + unit.length / 2 for unit in lorry.units)
    rear = min(unit.shift - unit.length / 2 for unit in lorry.units)
    assert front == pytest.approx(lorry.length / 2) and rear == pytest.approx(-lorry.length / 2)
    assert sum(quads(unit.mesh) for unit in lorry.units) == quads(lorry.mesh)


@pytest.mark.parametrize("make", [make_cyclist, make_motorcyclist])
def test_two_wheelers_are_narrow(make):
    for seed in range(5):
        vehicle = make(np.random.default_rng(seed))
        low, high = extent(vehicle.mesh)
        assert high[1] - low[1] < 0.95 and 1.5 < high[2] < 2.0
        assert quads(vehicle.mesh) <= 380 and quads(vehicle.mesh.coarse) <= 30
        assert (vehicle.mesh.vertices[Family.SOLID][:, CLASS_COLUMN] == SemanticClass.TWO_WHEELER).all()


def test_people_are_cheap_and_differ():
    people = [make_person(np.random.default_rng(seed)) for seed in range(30)]
    heights = [extent(person.body)[1][2] for person in people]
    assert min(heights) < 1.4 < 1.7 < max(heights) < 2.1
    for person in people:
        assert quads(person.body) + 2 * quads(person.leg) <= 215
        assert person.body.coarse and person.leg.coarse and quads(person.body.coarse) + 2 * quads(person.leg.coarse) <= 30
        assert (person.body.vertices[Family.SOLID][:, CLASS_COLUMN] == SemanticClass.PERSON).all()
