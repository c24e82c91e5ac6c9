# SPDX-License-Identifier: Apache-2.0
"""Vehicles: what they cost, that they are where they say, and that near and far versions are the same thing."""

import numpy as np
import pytest

from ssd_core.road_world.cars import CAR_CLASSES, make_car
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import CLASS_COLUMN, MATERIAL_COLUMN
from ssd_core.road_world.semantics import SemanticClass


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
