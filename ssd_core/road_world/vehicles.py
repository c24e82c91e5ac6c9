# SPDX-License-Identifier: Apache-2.0
"""All that drives, each a mesh from a random generator: origin on the ground under the middle, x forward."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world.bodies import PAINTS, Unit, Vehicle
from ssd_core.road_world.cars import make_car
from ssd_core.road_world.large_vehicles import make_large_vehicle
from ssd_core.road_world.two_wheelers import make_cyclist, make_motorcyclist

__all__ = ["PAINTS", "Unit", "Vehicle", "make_two_wheeler", "make_vehicle"]


def make_vehicle(rng: np.random.Generator, large: float = 0.25) -> Vehicle:
    """A random vehicle; `large` is the share of vans, lorries and buses."""
    return make_large_vehicle(rng) if rng.random() < large else make_car(rng)


def make_two_wheeler(rng: np.random.Generator) -> Vehicle:
    """A bicycle or a motorcycle with its rider."""
    return make_cyclist(rng) if rng.random() < 0.6 else make_motorcyclist(rng)
