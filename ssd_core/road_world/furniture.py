# SPDX-License-Identifier: Apache-2.0
"""Street furniture: lamps, signs, traffic lights, bins, shelters, fences. Origin on the ground, the street lies towards -y."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Mesh, MeshBuilder, pick

_POLE = (0.16, 0.165, 0.17)
_SODIUM, _LED = (1.0, 0.62, 0.26), (1.0, 0.88, 0.7)


def make_lamp(rng: np.random.Generator, height: float, arm: float) -> Mesh:
    """A street lamp whose arm reaches over the road."""
    builder = MeshBuilder()
    builder.tube((0, 0, 0), (0, 0, 1.1), 0.11, Material.METAL, _POLE, sides=8)
    builder.tube((0, 0, 1.1), (0, 0, height), 0.075, Material.METAL, _POLE, end_radius=0.05, sides=8)
    builder.tube((0, 0, height - 0.05), (0, -arm, height + 0.25), 0.045, Material.METAL, _POLE, sides=6)
    builder.box((0, -arm - 0.25, height + 0.17), (0.28, 0.75, 0.12), Material.METAL, _POLE, taper=(0.6, 0.9))
    builder.box((0, -arm - 0.28, height + 0.13), (0.22, 0.55, 0.05), Material.LAMP, (0.9, 0.85, 0.75))
    colour = _SODIUM if rng.random() < 0.5 else _LED
    builder.light((0, -arm - 0.3, height), (0, 0, -1), colour, downwards=True)
    return builder.build()


def make_sign(rng: np.random.Generator) -> Mesh:
    """A traffic sign, round, square or triangular; it faces +x."""
    builder, height, seed = MeshBuilder(), rng.uniform(2.1, 2.6), float(rng.random())
    builder.tube((0, 0, 0), (0, 0, height + 0.4), 0.03, Material.METAL, (0.35, 0.35, 0.36), sides=6)
    kind = rng.integers(3)
    if kind == 0:
        builder.tube((0.05, 0, height), (0.035, 0, height), 0.32, Material.SIGN, (0.55, 0.03, 0.03), sides=16, caps=True)
        builder.tube((0.06, 0, height), (0.05, 0, height), 0.23, Material.SIGN, (0.75, 0.75, 0.72), sides=16, caps=True)
    elif kind == 1:
        builder.box((0.05, 0, height - 0.3), (0.02, 0.6, 0.6), Material.SIGN, (0.02, 0.08, 0.35), seed)
        builder.box((0.065, 0, height - 0.15), (0.02, 0.25, 0.35), Material.SIGN, (0.75, 0.75, 0.72), seed)
    else:
        builder.box((0.05, 0, height - 0.3), (0.02, 0.75, 0.65), Material.SIGN, (0.55, 0.03, 0.03), seed, taper=(1.0, 0.05))
        builder.box((0.065, 0, height - 0.24), (0.02, 0.48, 0.42), Material.SIGN, (0.75, 0.75, 0.72), seed, taper=(1.0, 0.05))
    return builder.build()


def make_traffic_light(rng: np.random.Generator, reach: float) -> Mesh:
    """A traffic light with a second head on an arm over the road; it faces +x."""
    builder = MeshBuilder()
    builder.tube((0, 0, 0), (0, 0, 5.6), 0.08, Material.METAL, (0.05, 0.05, 0.05), sides=8)
    builder.tube((0, 0, 5.5), (0, -reach, 5.75), 0.05, Material.METAL, (0.05, 0.05, 0.05), sides=6)
    is_green = rng.random() < 0.7
    for y, z in ((0.0, 2.5), (-reach, 5.0)):
        builder.box((0.14, y, z), (0.2, 0.32, 0.95), Material.MATT, (0.012, 0.012, 0.012))
        for index, colour in enumerate(((0.02, 0.5, 0.2), (0.5, 0.3, 0.02), (0.6, 0.02, 0.02))):
            lit = (index == 0) == is_green and index != 1
            centre = (0.25, y, z + 0.17 + 0.3 * index)
            builder.tube(
                (0.235, *centre[1:]),
                centre,
                0.1,
                Material.SIGNAL if lit else Material.MATT,
                colour if lit else np.array(colour) * 0.08,
                sides=10,
                caps=True,
            )
    return builder.build()


def make_clutter(rng: np.random.Generator) -> Mesh:
    """A bin, cabinet, hydrant, bollard or planter."""
    builder, kind, seed = MeshBuilder(), rng.integers(5), float(rng.random())
    if kind == 0:
        colour = pick(rng, [(0.05, 0.12, 0.06), (0.08, 0.08, 0.09), (0.4, 0.3, 0.03)])
        builder.box((0, 0, 0.05), (0.55, 0.6, 0.95), Material.MATT, colour, seed, taper=(1.15, 1.1))
        builder.box((0, 0, 1.0), (0.68, 0.72, 0.08), Material.MATT, colour * 0.8, seed, taper=(0.9, 0.8))
    elif kind == 1:
        builder.box((0, 0, 0), (1.1, 0.4, 1.2), Material.MATT, pick(rng, [(0.3, 0.32, 0.3), (0.12, 0.18, 0.14)]), seed)
    elif kind == 2:
        colour = pick(rng, [(0.45, 0.03, 0.02), (0.5, 0.4, 0.03)])
        builder.tube((0, 0, 0), (0, 0, 0.65), 0.12, Material.MATT, colour, sides=9)
        builder.ellipsoid((0, 0, 0.65), (0.13, 0.13, 0.12), Material.MATT, colour, rows=4, columns=8)
        builder.tube((0, -0.2, 0.45), (0, 0.2, 0.45), 0.06, Material.MATT, colour, sides=7, caps=True)
    elif kind == 3:
        for x in (-1.5, 0.0, 1.5):
            builder.tube((x, 0, 0), (x, 0, 0.9), 0.07, Material.METAL, (0.1, 0.1, 0.1), sides=8, caps=True)
            builder.tube((x, 0, 0.72), (x, 0, 0.82), 0.075, Material.SIGN, (0.7, 0.7, 0.7), sides=8)
    else:
        builder.box((0, 0, 0), (1.2, 0.6, 0.55), Material.MATT, (0.35, 0.33, 0.3), seed, taper=(1.1, 1.1))
        builder.box((0, 0, 0.45), (1.0, 0.5, 0.4), Material.MATT, (0.05, 0.09, 0.03), seed, taper=(1.2, 1.2))
    builder.footprint(0.5, 0.35)
    return builder.build()


def make_shelter(rng: np.random.Generator) -> Mesh:
    """A bus stop."""
    builder = MeshBuilder()
    for x in (-1.9, 1.9):
        for y in (0.0, 1.2):
            builder.tube((x, y, 0), (x, y, 2.4), 0.04, Material.METAL, _POLE, sides=6)
    builder.box((0, 0.5, 2.4), (4.2, 1.7, 0.1), Material.METAL, (0.2, 0.2, 0.21))
    builder.box((0, 1.2, 0.3), (3.7, 0.03, 1.8), Material.GLASS, (0.03, 0.035, 0.04))
    builder.box((0, 0.95, 0.45), (2.6, 0.35, 0.06), Material.MATT, (0.25, 0.15, 0.08))
    builder.box(
        (1.9, 0.6, 0.4),
        (0.1, 1.1, 1.75),
        Material.SIGN,
        pick(rng, [(0.5, 0.45, 0.4), (0.1, 0.3, 0.5), (0.6, 0.2, 0.1)]),
        float(rng.random()),
    )
    builder.footprint(2.1, 0.8)
    return builder.build()


def make_fence(rng: np.random.Generator, length: float) -> Mesh:
    """A railing, a wall or a hoarding along x."""
    builder, kind, seed = MeshBuilder(), rng.random(), float(rng.random())
    half = length / 2
    if kind < 0.5:
        height, colour = rng.uniform(0.9, 1.6), pick(rng, [(0.03, 0.03, 0.032), (0.05, 0.09, 0.06), (0.35, 0.25, 0.15), (0.5, 0.5, 0.48)])
        corners = [[(-half, 0, 0), (half, 0, 0), (half, 0, height), (-half, 0, height)]]
        builder.quads(corners, Material.FENCE, colour, seed)
        builder.box((0, 0, height), (length, 0.06, 0.06), Material.METAL, colour)
    elif kind < 0.8:
        height = rng.uniform(0.7, 1.9)
        builder.box(
            (0, 0, -1.0),
            (length, 0.25, height + 1.0),
            Material.BLANK_WALL,
            pick(rng, [(0.3, 0.14, 0.09), (0.45, 0.43, 0.4)]),
            float(rng.choice([0.1, 0.9])),
        )
        builder.box((0, 0, height), (length, 0.34, 0.08), Material.BLANK_WALL, (0.45, 0.44, 0.42), 0.9)
    else:
        builder.box(
            (0, 0, -0.5),
            (length, 0.08, rng.uniform(1.6, 2.2) + 0.5),
            Material.PANEL,
            pick(rng, [(0.35, 0.22, 0.12), (0.4, 0.42, 0.44)]),
            seed,
        )
    return builder.build()
