# SPDX-License-Identifier: Apache-2.0
"""People: a body and two legs that swing about the hips. Origin on the ground between the feet, x forward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder, Part, pick
from ssd_core.road_world.semantics import SemanticClass

COATS = [
    (0.05, 0.06, 0.09), (0.02, 0.02, 0.02), (0.03, 0.03, 0.035), (0.3, 0.28, 0.25), (0.35, 0.04, 0.04),
    (0.06, 0.14, 0.3), (0.45, 0.35, 0.1), (0.1, 0.2, 0.1), (0.6, 0.6, 0.58), (0.55, 0.55, 0.6),
    (0.12, 0.12, 0.13), (0.22, 0.16, 0.1), (0.25, 0.3, 0.38), (0.5, 0.3, 0.3), (0.02, 0.05, 0.12),
]  # fmt: skip
TROUSERS = [(0.03, 0.04, 0.08), (0.02, 0.02, 0.02), (0.05, 0.07, 0.13), (0.15, 0.13, 0.1), (0.1, 0.1, 0.11), (0.3, 0.27, 0.22)]
_HAIR = [(0.01, 0.008, 0.006), (0.02, 0.012, 0.008), (0.06, 0.03, 0.015), (0.25, 0.17, 0.08), (0.3, 0.3, 0.3)]
_SHOES = (0.02, 0.018, 0.016)


class Person(NamedTuple):
    """Meshes of a body and one leg; the leg's origin is the hip, `hip_height` metres up and `hip_offset` to either side."""

    body: Mesh
    leg: Mesh
    hip_height: float
    hip_offset: float


def make_person(rng: np.random.Generator) -> Person:
    """Somebody of random size, clothes and things carried; one in eight a child."""
    is_child = rng.random() < 0.12
    scale = rng.uniform(0.6, 0.8) if is_child else rng.uniform(0.9, 1.06)
    coat, trousers, skin = pick(rng, COATS, 0.3), pick(rng, TROUSERS, 0.3), draw_skin(rng)
    body, coarse = MeshBuilder(SemanticClass.PERSON), MeshBuilder(SemanticClass.PERSON)
    hip, girth = 0.88 * scale, scale * rng.uniform(0.9, 1.2)
    _trunk(body, rng, scale, girth, coat, skin)
    if rng.random() < 0.25:
        # A skirt or a long coat.
        body.tube(
            (0, 0, hip),
            (0, 0, hip - rng.uniform(0.25, 0.5) * scale),
            0.15 * girth,
            Material.MATT,
            coat * 0.8,
            end_radius=0.22 * girth,
            sides=8,
        )
    add_coarse_figure(coarse, 1.75 * scale, coat, None, skin, foot=hip - 0.1)
    luggage = rng.random()
    if luggage < 0.3:
        colour = pick(rng, COATS, 0.3)
        for builder in (body, coarse):
            builder.box((-0.2 * girth, 0, 1.05 * scale), (0.16, 0.3 * scale, 0.42 * scale), Material.MATT, colour, taper=(0.7, 0.9))
    elif luggage < 0.45:
        body.box(
            (0.02, rng.choice([-1, 1]) * 0.27 * scale, 0.45 * scale),
            (0.3, 0.1, 0.32),
            Material.MATT,
            pick(rng, COATS, 0.3),
            taper=(0.9, 0.6),
        )
    elif luggage < 0.5 and not is_child:
        _pram(body, rng)
    body.footprint(0.2, 0.22)
    return Person(body.build(coarse.build()), _leg(scale, girth, hip, trousers), hip, 0.09 * scale)


def figure_parts(person: Person, pose: Matrix, swing: float, instance: int = 0) -> list[Part]:
    """Body and legs of somebody standing at `pose`, the legs swung apart by `swing` radians each."""
    parts = [Part(person.body, pose, instance)]
    for side in (-1, 1):
        hip = np.eye(4)
        angle = side * swing
        hip[0, 0], hip[0, 2], hip[2, 0], hip[2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
        hip[:3, 3] = 0.0, side * person.hip_offset, person.hip_height
        parts.append(Part(person.leg, pose @ hip, instance))
    return parts


def draw_skin(rng: np.random.Generator) -> Array:
    """Linear albedo (3,) of somebody's skin."""
    return np.array([0.5, 0.32, 0.24]) * float(rng.choice([0.2, 0.4, 0.7, 1.0, 1.0]))


def add_coarse_figure(
    builder: MeshBuilder, height: float, coat: Array, trousers: Array | None, skin: Array | None = None, foot: float = 0.0
) -> None:
    """Somebody from afar, from `foot` metres up to `height`; trousers None where the legs are meshes of their own."""
    waist, shoulder = height * 0.5, height * 0.82
    builder.tube(
        (0, 0, min(waist, foot) if trousers is None else waist), (0.01, 0, shoulder), 0.17, Material.MATT, coat, end_radius=0.2, sides=5
    )
    head = np.array([0.25, 0.17, 0.13]) if skin is None else skin * 0.6
    builder.tube((0.02, 0, shoulder), (0.03, 0, height), 0.1, Material.MATT, head, end_radius=0.08, sides=4, caps=True)
    if trousers is not None:
        builder.tube((0.05, 0, foot), (0, 0, waist), 0.12, Material.MATT, trousers, end_radius=0.17, sides=4)


def _trunk(body: MeshBuilder, rng: np.random.Generator, scale: float, girth: float, coat: Array, skin: Array) -> None:
    """Everything above the hips: an oval chest, shoulders, arms in one of several poses, and a head."""
    hip, shoulder = 0.88 * scale, 1.45 * scale
    heights = (hip - 0.1, hip + 0.1 * scale, shoulder * 0.8, shoulder - 0.06 * scale, shoulder + 0.02 * scale)
    radii = ((0.13, 0.17), (0.125, 0.155), (0.135, 0.185), (0.115, 0.185), (0.055, 0.07))
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    rings = [
        np.stack([deep * girth * np.cos(angle), wide * girth * np.sin(angle), np.full(8, z)], axis=-1)
        for z, (deep, wide) in zip(heights, radii, strict=True)
    ]
    body.loft(rings, Material.MATT, coat, smooth=True, caps=False)
    pose = str(rng.choice(["swinging", "swinging", "hanging", "phone", "crossed"]))
    is_bare = rng.random() < 0.4
    for side in (-1, 1):
        swing = {"swinging": side * 0.12, "hanging": 0.0, "phone": 0.0, "crossed": 0.1}[pose]
        elbow = np.array([swing, side * 0.25, 1.12]) * scale
        hand = np.array([swing * 2 + 0.08, side * 0.24, 0.86]) * scale
        if pose == "phone" and side == 1:
            hand = np.array([0.28, 0.08, 1.25]) * scale
        elif pose == "crossed":
            hand = np.array([0.2, -side * 0.05, 1.17]) * scale
        body.tube(
            np.array([0, side * 0.185 * girth / scale, 1.39]) * scale,
            elbow,
            0.062 * girth,
            Material.MATT,
            coat,
            end_radius=0.05 * scale,
            sides=5,
        )
        body.tube(elbow, hand, 0.047 * scale, Material.MATT, skin if is_bare else coat, end_radius=0.036 * scale, sides=5)
        body.box(hand - np.array([0.0, 0.0, 0.09 * scale]), (0.07 * scale, 0.05 * scale, 0.1 * scale), Material.MATT, skin)
    body.tube((0, 0, shoulder - 0.02), (0.01, 0, shoulder + 0.1 * scale), 0.055 * scale, Material.MATT, skin, sides=5)
    head = np.array([0.02, 0, shoulder + 0.19 * scale])
    body.ellipsoid(head, np.array([0.1, 0.08, 0.125]) * scale, Material.MATT, skin, rows=5, columns=7)
    body.ellipsoid(head + np.array([-0.02, 0, 0.035]), np.array([0.105, 0.09, 0.115]) * scale, Material.MATT,
                   pick(rng, _HAIR if rng.random() < 0.8 else COATS), rows=4, columns=7)  # fmt: skip


def _leg(scale: float, girth: float, hip: float, trousers: Array) -> Mesh:
    fine, coarse = MeshBuilder(SemanticClass.PERSON), MeshBuilder(SemanticClass.PERSON)
    fine.tube((0, 0, 0.04), (0.015, 0, -0.42 * scale), 0.09 * girth, Material.MATT, trousers, end_radius=0.065 * girth, sides=6)
    fine.tube((0.015, 0, -0.42 * scale), (0, 0, -hip + 0.05), 0.065 * girth, Material.MATT, trousers, end_radius=0.05 * scale, sides=6)
    fine.box((0.05, 0, -hip), (0.25 * scale, 0.09, 0.09), Material.MATT, _SHOES, taper=(0.7, 0.9))
    coarse.tube((0, 0, 0.04), (0.02, 0, -hip), 0.09 * girth, Material.MATT, trousers, end_radius=0.07 * scale, sides=4)
    return fine.build(coarse.build())


def _pram(body: MeshBuilder, rng: np.random.Generator) -> None:
    colour = pick(rng, COATS, 0.4)
    body.box((0.85, 0, 0.5), (0.7, 0.42, 0.28), Material.MATT, colour, taper=(1.1, 1.1))
    body.tube((0.85, -0.22, 0.8), (0.85, 0.22, 0.8), 0.28, Material.MATT, colour, sides=7)
    body.box((0.42, 0, 0.95), (0.05, 0.45, 0.05), Material.MATT, (0.02, 0.02, 0.02))
    for x in (0.6, 1.1):
        for side in (-1, 1):
            body.disc((x, side * 0.24, 0.16), (0, side, 0), 0.16, Material.RUBBER, (0.02, 0.02, 0.02), sides=8)
