# SPDX-License-Identifier: Apache-2.0
"""The ego vehicle's own body, as far as its cameras see it."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ssd_core.road_world.bodies import DARK
from ssd_core.road_world.cars import Car
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Mesh, MeshBuilder, yaw_pose
from ssd_core.road_world.semantics import SemanticClass

EgoBody = Literal["bonnet", "car"]
EGO_BODIES: tuple[EgoBody, ...] = get_args(EgoBody)
# Lower than the roof cameras of common rigs, which are mounted at 1.5 m and more.
_ROOF = (1.38, 1.47)


def make_ego_body(kind: EgoBody, seed: int) -> Mesh:
    """The body about base_link, on the ground below the rear axle: from 1 m behind it to 3.7 m ahead, 1.9 m wide, of any colour.

    "bonnet": bonnet, wipers and mirrors, for cameras behind the windscreen. "car": the whole car, for cameras on a roof 1.4 to 1.5 m up:
    those that look ahead see the bonnet, those that look to the side roof edges and doors, those that look back the boot.
    Raises ValueError for another kind.
    """
    if kind not in EGO_BODIES:
        raise ValueError(f"unknown ego body {kind!r}; known: {', '.join(EGO_BODIES)}")
    rng = np.random.default_rng([seed, 19])
    car = Car(rng, "saloon" if rng.random() < 0.6 else "estate", SemanticClass.EGO_VEHICLE)
    car.length, car.height, car.half = rng.uniform(4.45, 4.6), rng.uniform(*_ROOF), rng.uniform(0.86, 0.91)
    car.belt = car.height * rng.uniform(0.645, 0.67)
    car.axles = (car.x(0.195), car.x(0.8))
    car.has_rails = False
    builder = MeshBuilder(SemanticClass.EGO_VEHICLE)
    body = car.build() if kind == "car" else car.build_bonnet()
    builder.add(Mesh(body.vertices, body.lights[:0], body.footprints[:0]), yaw_pose(-car.axles[1], 0.0))
    if kind == "car" and rng.random() < 0.5:
        # The rails of a roof rack that carries the sensors.
        for y in (-0.5, 0.5):
            builder.box((1.0, y, car.height - 0.01), (1.2, 0.04, 0.03), Material.MATT, DARK)
    return builder.build()
