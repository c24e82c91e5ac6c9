# SPDX-License-Identifier: Apache-2.0
"""People: a body and two legs that swing about the hips. Origin on the ground between the feet, x forward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Mesh, MeshBuilder, pick

_COATS = [
    (0.05, 0.06, 0.09),
    (0.02, 0.02, 0.02),
    (0.3, 0.28, 0.25),
    (0.35, 0.04, 0.04),
    (0.06, 0.14, 0.3),
    (0.45, 0.35, 0.1),
    (0.1, 0.2, 0.1),
    (0.6, 0.6, 0.58),
]
_TROUSERS = [(0.03, 0.04, 0.08), (0.02, 0.02, 0.02), (0.15, 0.13, 0.1), (0.1, 0.1, 0.11)]
_HAIR = [(0.01, 0.008, 0.006), (0.06, 0.03, 0.015), (0.25, 0.17, 0.08), (0.3, 0.3, 0.3)]


class Person(NamedTuple):
    """Meshes of a body and one leg; the leg's origin is the hip, `hip_height` metres up and `hip_offset` to either side."""

    body: Mesh
    leg: Mesh
    hip_height: float
    hip_offset: float


def make_person(rng: np.random.Generator) -> Person:
    """Somebody of random size and clothes."""
    scale = rng.uniform(0.9, 1.06) if rng.random() > 0.12 else rng.uniform(0.6, 0.8)
    coat, trousers = pick(rng, _COATS, 0.3), pick(rng, _TROUSERS, 0.3)
    skin = np.array([0.5, 0.32, 0.24]) * rng.choice([0.25, 0.6, 1.0])
    body = MeshBuilder()
    hip, shoulder = 0.88 * scale, 1.45 * scale
    body.tube((0, 0, hip - 0.1), (0, 0, shoulder * 0.8), 0.16 * scale, Material.MATT, coat, end_radius=0.17 * scale, sides=10, caps=True)
    body.tube((0, 0, shoulder * 0.8), (0.01, 0, shoulder), 0.17 * scale, Material.MATT, coat, end_radius=0.1 * scale, sides=10, caps=True)
    for side in (-1, 1):
        swing = side * 0.1
        elbow = np.array([swing, side * 0.25, 1.12]) * scale
        body.tube(np.array([0, side * 0.17, 1.4]) * scale, elbow, 0.058 * scale, Material.MATT, coat, sides=7)
        body.tube(elbow, np.array([swing * 2 + 0.08, side * 0.24, 0.86]) * scale, 0.05 * scale, Material.MATT, coat, sides=6)
        body.ellipsoid(np.array([swing * 2 + 0.09, side * 0.24, 0.82]) * scale, (0.045,) * 3, Material.MATT, skin, rows=3, columns=5)
    body.tube((0, 0, shoulder - 0.02), (0, 0, shoulder + 0.1 * scale), 0.055 * scale, Material.MATT, skin, sides=7)
    head = np.array([0.02, 0, shoulder + 0.19 * scale])
    body.ellipsoid(head, np.array([0.1, 0.08, 0.125]) * scale, Material.MATT, skin, rows=6, columns=8)
    body.ellipsoid(
        head + np.array([-0.02, 0, 0.035]), np.array([0.105, 0.09, 0.115]) * scale, Material.MATT, pick(rng, _HAIR), rows=5, columns=8
    )
    if rng.random() < 0.35:
        body.box((-0.2 * scale, 0, 1.05 * scale), (0.16, 0.3, 0.4), Material.MATT, pick(rng, _COATS, 0.3), taper=(0.7, 0.9))
    body.footprint(0.22, 0.25)
    leg = MeshBuilder()
    leg.tube((0, 0, 0.04), (0.015, 0, -0.42 * scale), 0.085 * scale, Material.MATT, trousers, end_radius=0.065 * scale, sides=7)
    leg.tube((0.015, 0, -0.42 * scale), (0, 0, -hip + 0.05), 0.062 * scale, Material.MATT, trousers, end_radius=0.05 * scale, sides=7)
    leg.box((0.05, 0, -hip), (0.25 * scale, 0.09, 0.09), Material.MATT, (0.02, 0.018, 0.016), taper=(0.7, 0.9))
    return Person(body.build(), leg.build(), hip, 0.09 * scale)
