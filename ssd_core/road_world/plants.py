# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes and hedges: trunks and branches as tubes, crowns as clouds of leaf cards. Origin on the ground, z up."""

from __future__ import annotations

import numpy as np

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder

_BARK = np.array([0.09, 0.07, 0.05])
_GREENS = np.array([(0.10, 0.17, 0.035), (0.07, 0.13, 0.03), (0.13, 0.18, 0.04), (0.06, 0.11, 0.035)])
_AUTUMN = np.array([(0.30, 0.16, 0.03), (0.26, 0.08, 0.03)])


def make_tree(rng: np.random.Generator, height: float | None = None) -> Mesh:
    """A broad-leaved tree, a conifer, or rarely a bare one."""
    tall = rng.uniform(5.0, 12.0) if height is None else height
    kind = rng.random()
    if kind < 0.14:
        return _conifer(rng, tall)
    builder, seed = MeshBuilder(), float(rng.random())
    bark = _BARK * rng.uniform(0.6, 1.5)
    trunk, radius = tall * rng.uniform(0.28, 0.38), 0.018 * tall + 0.05
    lean = rng.normal(0, 0.03, 2) * tall
    fork = np.array([lean[0] * 0.4, lean[1] * 0.4, trunk])
    builder.tube((0, 0, -0.3), fork, radius * 1.15, Material.BARK, bark, end_radius=radius * 0.8, sides=8, seed=seed)
    spread, bare = tall * rng.uniform(0.2, 0.3), kind > 0.95
    count = int(rng.integers(4, 7))
    tips = []
    for index in range(count):
        angle = 2 * np.pi * (index + rng.uniform(-0.3, 0.3)) / count
        reach = spread * rng.uniform(0.4, 0.8) * (0.35 if index == 0 else 1.0)
        rise = (tall - trunk) * (rng.uniform(0.3, 0.6) if index else 0.72)
        tip = fork + np.array([np.cos(angle) * reach, np.sin(angle) * reach, rise])
        builder.tube(fork - (0, 0, 0.1), tip, radius * 0.5, Material.BARK, bark, end_radius=radius * 0.15, sides=5, seed=seed)
        tips.append(tip)
        for _ in range(5 if bare else 0):
            twig = tip + rng.normal(0, 1.0, 3) * spread * 0.35 + (0, 0, spread * 0.4)
            builder.tube(
                fork + (tip - fork) * rng.uniform(0.4, 1.0), twig, radius * 0.16, Material.BARK, bark, end_radius=0.008, sides=4, seed=seed
            )
    if not bare:
        leaf = _AUTUMN[rng.integers(2)] if rng.random() < 0.08 else _GREENS[rng.integers(len(_GREENS))]
        blobs = [(tip + np.array([0, 0, 0.1 * tall]), spread * rng.uniform(0.5, 0.72)) for tip in tips]
        _leaf_cards(builder, rng, blobs, leaf * rng.uniform(0.8, 1.25), size=0.35 + 0.055 * tall, per_blob=20)
    return builder.build()


def make_bush(rng: np.random.Generator, length: float = 1.5, height: float = 1.2, width: float = 1.0) -> Mesh:
    """A bush, or a hedge if longer than wide (along x)."""
    builder = MeshBuilder()
    count = max(1, round(length / max(width, 0.6)))
    blobs = [(np.array([(index + 0.5 - count / 2) * length / count, 0, height * 0.5]), max(height, width) * 0.52) for index in range(count)]
    leaf = _GREENS[rng.integers(len(_GREENS))] * rng.uniform(0.7, 1.1)
    builder.box((0, 0, 0), (length, width * 0.6, height * 0.7), Material.MATT, leaf * 0.3)
    _leaf_cards(builder, rng, blobs, leaf, size=0.55, per_blob=12, squash=(1.0, width / max(height, width), height / max(height, width)))
    return builder.build()


def _conifer(rng: np.random.Generator, tall: float) -> Mesh:
    builder, seed = MeshBuilder(), float(rng.random())
    builder.tube((0, 0, -0.3), (0, 0, tall * 0.95), 0.02 * tall, Material.BARK, _BARK, end_radius=0.02, sides=7, seed=seed)
    layers = 7
    blobs = []
    for layer in range(layers):
        share = layer / layers
        blobs.append((np.array([0, 0, tall * (0.22 + 0.75 * share)]), tall * 0.2 * (1.08 - share)))
    _leaf_cards(
        builder, rng, blobs, np.array([0.03, 0.07, 0.03]) * rng.uniform(0.8, 1.4), size=0.3 + 0.06 * tall, per_blob=16, squash=(1, 1, 0.55)
    )
    return builder.build()


def _leaf_cards(
    builder: MeshBuilder,
    rng: np.random.Generator,
    blobs: list[tuple[Array, float]],
    colour: Array,
    size: float,
    per_blob: int,
    squash: tuple[float, float, float] = (1.0, 1.0, 0.8),
) -> None:
    """Quads scattered over the skin of blobs; normals point out of the blob, so that the crown is lit as one body."""
    centres = np.repeat(np.array([centre for centre, _ in blobs]), per_blob, axis=0)
    radii = np.repeat(np.array([radius for _, radius in blobs]), per_blob)
    count = len(centres)
    outward = rng.normal(0, 1, (count, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    offset = outward * (radii * rng.uniform(0.55, 1.0, count) ** 0.7)[:, None] * squash
    facing = outward + rng.normal(0, 0.55, (count, 3))
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    side = np.cross(facing, rng.normal(0, 1, (count, 3)))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(facing, side)
    half = (size * rng.uniform(0.7, 1.25, count))[:, None]
    middle = centres + offset
    corners = np.stack([middle + half * (a * side + b * up) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))], axis=1)
    # Shade the inside and underside of the crown: that is what makes it look round.
    depth_in_crown = np.clip(0.55 + 0.35 * outward[:, 2] + 0.35 * (np.linalg.norm(offset, axis=1) / radii - 0.6), 0.3, 1.15)
    shades = colour * (depth_in_crown * rng.uniform(0.8, 1.2, count))[:, None]
    uv = np.broadcast_to(np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]), (count, 4, 2))
    builder.quads(corners, Material.LEAVES, shades, rng.uniform(0, 1, count), uv=uv, normals=np.repeat(outward[:, None], 4, axis=1))
