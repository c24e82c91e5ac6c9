# SPDX-License-Identifier: Apache-2.0
"""What all vehicles are made of: a skin over cross-sections, wheels, plates and lamps, paints, and the type Vehicle itself."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder

# Linear albedo and how many in a hundred cars wear it: roads are mostly white, grey, black and silver.
_PAINT_SHARES = [
    ((0.70, 0.71, 0.72), 17), ((0.62, 0.62, 0.59), 4), ((0.016, 0.016, 0.018), 16), ((0.03, 0.032, 0.036), 6), ((0.30, 0.31, 0.32), 11),
    ((0.42, 0.43, 0.44), 6), ((0.10, 0.105, 0.11), 11), ((0.055, 0.06, 0.065), 7), ((0.30, 0.02, 0.02), 4), ((0.16, 0.012, 0.015), 2),
    ((0.02, 0.05, 0.20), 4), ((0.015, 0.025, 0.07), 4), ((0.06, 0.16, 0.30), 2), ((0.22, 0.18, 0.12), 2), ((0.03, 0.07, 0.04), 1),
    ((0.10, 0.06, 0.035), 1), ((0.55, 0.33, 0.03), 1), ((0.50, 0.12, 0.02), 1),
]  # fmt: skip
PAINTS = [colour for colour, count in _PAINT_SHARES for _ in range(count)]
DARK = (0.012, 0.012, 0.013)
GLASS = (0.02, 0.025, 0.03)
RED = (0.40, 0.008, 0.008)
CLEAR_LAMP = (0.5, 0.52, 0.54)
_HEADLIGHT_COLOUR = (1.0, 0.93, 0.8)
# Smooth normals stop at edges sharper than this cosine.
_CREASE = 0.55
_STEEL_DISC, _HUB = (0.28, 0.28, 0.29), (0.10, 0.10, 0.105)
# The shader's wheel with this seed is closed.
_PLAIN_RIM = 0.5


class Unit(NamedTuple):
    """One stiff piece of a vehicle: its mesh, how far its middle lies ahead of the vehicle's, and its length; metres."""

    mesh: Mesh
    shift: float
    length: float


class Vehicle(NamedTuple):
    """A mesh, standing straight; the length of road it takes and half its width with mirrors, metres.

    `pulled`: the stiff pieces that follow the road one by one, for vehicles of more than one.
    """

    mesh: Mesh
    length: float
    half_width: float = 1.0
    pulled: tuple[Unit, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        """What drives: the pulled pieces, or the mesh alone."""
        return self.pulled or (Unit(self.mesh, 0.0, self.length),)


class Skin(NamedTuple):
    """Half a body: points (N, M, 3) over N stations from front to rear and M rows from the left sill up to the middle line.

    materials (N - 1, M - 1) of the cells between; ends (2, M - 1) of the front and the rear face.
    """

    points: Array
    materials: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def thinned(self, stations: Sequence[int], rows: Sequence[int]) -> Skin:
        """The same body with some of its stations and rows only."""
        last_rows = np.asarray(rows)[:-1]
        return Skin(self.points[list(stations)][:, list(rows)], self.materials[list(stations)[:-1]][:, last_rows], self.ends[:, last_rows])


def add_skin(
    builder: MeshBuilder, skin: Skin, colours: dict[Material, npt.ArrayLike], seed: float, seam_origin: float | None = None
) -> None:
    """Add both halves of a body, smooth except over sharp edges.

    seam_origin: x from which the shader draws the seams of doors into the painted sides; None for no doors.
    """
    left = skin.points
    whole = np.concatenate([left, left[:, -2::-1] * (1.0, -1.0, 1.0)], axis=1)
    corners = np.stack([whole[:-1, :-1], whole[:-1, 1:], whole[1:, 1:], whole[1:, :-1]], axis=2)
    normals = _smooth_normals(corners)
    materials = np.concatenate([skin.materials, skin.materials[:, ::-1]], axis=1)
    uv = np.stack([corners[..., 0] - (seam_origin or 0.0) + 20.0, corners[..., 2]], axis=-1)
    if seam_origin is None:
        uv[..., 0] += 80.0
    uv[:, 4:-4, :, 0] += 80.0
    for value in np.unique(materials):
        chosen, material = materials == value, Material(int(value))
        builder.quads(corners[chosen], material, colours[material], seed, uv=uv[chosen], normals=normals[chosen])
    for end, station in ((0, left[0]), (1, left[-1])):
        other = station * (1.0, -1.0, 1.0)
        faces = np.stack([station[:-1], station[1:], other[1:], other[:-1]], axis=1)
        facing = np.broadcast_to((1.0 - 2.0 * end, 0.0, 0.0), faces.shape)
        for value in np.unique(skin.ends[end]):
            chosen, material = skin.ends[end] == value, Material(int(value))
            plain = faces[chosen][..., 1:] + (100.0, 0.0)
            builder.quads(faces[chosen], material, colours[material], seed, uv=plain, normals=facing[chosen])


def _smooth_normals(corners: Array) -> Array:
    """(N, M, 4, 3) normals of grid cells' corners: the mean over those cells around that lie flat enough to the own one."""
    across = np.cross(corners[..., 2, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 1, :])
    area = np.linalg.norm(across, axis=-1, keepdims=True)
    own = -across / np.maximum(area, 1e-9)
    weighted = np.pad(own * np.minimum(area, 0.05), ((1, 1), (1, 1), (0, 0)))
    unit = np.pad(own, ((1, 1), (1, 1), (0, 0)))
    rows, columns = own.shape[:2]
    result = np.empty_like(corners)
    for corner, (down, along) in enumerate(((0, 0), (0, 1), (1, 1), (1, 0))):
        total = np.zeros_like(own)
        for row in (down, down + 1):
            for column in (along, along + 1):
                window = np.s_[row : row + rows, column : column + columns]
                is_flat = (unit[window] * own).sum(axis=-1, keepdims=True) > _CREASE
                total += weighted[window] * is_flat
        result[..., corner, :] = total / np.maximum(np.linalg.norm(total, axis=-1, keepdims=True), 1e-9)
    return result


def add_wheel(builder: MeshBuilder, x: float, y: float, radius: float, width: float, seed: float, sides: int = 12) -> None:
    """A tyre whose outer side lies at y; the shader paints rim and spokes by uv, in radii from the hub."""
    side, angle = np.sign(y), np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([x + radius * np.cos(angle), np.full(sides + 1, y), radius + radius * np.sin(angle)], axis=-1)
    inner = ring - (0.0, side * width, 0.0)
    outward = np.stack([np.cos(angle), np.zeros(sides + 1), np.sin(angle)], axis=-1)
    builder.quads(np.stack([ring[:-1], ring[1:], inner[1:], inner[:-1]], axis=1), Material.RUBBER, DARK, seed,
                  normals=np.stack([outward[:-1], outward[1:], outward[1:], outward[:-1]], axis=1))  # fmt: skip
    hub, flat = np.array([x, y, radius]), np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    middle, zero = np.broadcast_to(hub, ring[:-1:2].shape), np.zeros_like(flat[:-1:2])
    builder.quads(np.stack([middle, ring[:-1:2], ring[1::2], ring[2::2]], axis=1), Material.WHEEL, (0.4, 0.4, 0.42), seed,
                  uv=np.stack([zero, flat[:-1:2], flat[1::2], flat[2::2]], axis=1),
                  normals=np.broadcast_to((0.0, side, 0.0), (sides // 2, 4, 3)))  # fmt: skip


def add_steel_wheel(builder: MeshBuilder, x: float, y: float, radius: float, width: float, hub: float, sides: int = 10) -> None:
    """A lorry's wheel: a tyre whose outer side lies at y, and in it a plain disc whose middle stands `hub` metres out (in, if negative)."""
    side, angle = np.sign(y), np.linspace(0, 2 * np.pi, sides + 1)
    flat = np.stack([np.cos(angle), np.zeros(sides + 1), np.sin(angle)], axis=-1)
    # Share of the radius and metres out: the inner side of the tyre, its outer edge, the hub.
    profile = ((1.0, -width), (0.97, 0.0), (0.36, hub))
    rings = [flat * share * radius + (x, y + side * out, radius) for share, out in profile]
    tread, disc = (
        np.stack([outer[:-1], outer[1:], inner[1:], inner[:-1]], axis=1)[:, :: -1 if side > 0 else 1]
        for outer, inner in itertools.pairwise(rings)
    )
    builder.quads(tread, Material.RUBBER, DARK)
    # Without an angle in its uv the shader paints no spokes.
    across = np.array([0.97, 0.97, 0.36, 0.36])[:: -1 if side > 0 else 1]
    uv = np.broadcast_to(np.stack([across, np.zeros(4)], axis=-1), (sides, 4, 2))
    builder.quads(disc, Material.WHEEL, _STEEL_DISC, _PLAIN_RIM, uv=uv)
    builder.disc((x, y + side * hub, radius), (0.0, side, 0.0), 0.36 * radius, Material.METAL, _HUB, sides=sides)


def add_flat_wheel(builder: MeshBuilder, x: float, y: float, radius: float, seed: float) -> None:
    """One quad of a wheel, to be seen from afar."""
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.9
    corners = np.stack([x + square[:, 0] * radius, np.full(4, y), radius * (1 + square[:, 1])], axis=-1)
    builder.quads(corners, Material.WHEEL, (0.4, 0.4, 0.42), seed, uv=square[None])


def add_plate(builder: MeshBuilder, x: float, z: float, seed: float, width: float = 0.52, lean: float = 0.0) -> None:
    """A number plate looking along x (backwards where x is negative); the shader writes the letters by uv, 0 to 1."""
    side = 1.0 if x > 0 else -1.0
    y, low, high = side * width / 2, z - 0.057, z + 0.057
    corners = [(x, -y, low), (x, y, low), (x - side * lean, y, high), (x - side * lean, -y, high)]
    builder.quads([corners], Material.PLATE, (0.62, 0.62, 0.58), seed, uv=[[(0, 0), (1, 0), (1, 1), (0, 1)]])


def add_beams(builder: MeshBuilder, end: float, height: float) -> None:
    """What the headlights send ahead by night."""
    builder.light((end + 0.1, 0, height), (1, 0, -0.05), _HEADLIGHT_COLOUR, downwards=False)


def rounded_rings(size: tuple[float, float], corner: float, levels: Sequence[tuple[float, float, float]], steps: int = 2) -> Array:
    """Rings (L, K, 3) of a box with rounded upright edges around the origin: levels of (z, share of the size, shift along x)."""
    angle = (np.arange(4)[:, None] + np.linspace(0, 1, steps + 1)) * np.pi / 2
    middles = (np.array(size) / 2 - corner) * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    ring = (middles[:, None] + corner * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).reshape(-1, 2)
    return np.stack([np.concatenate([ring * share + (shift, 0.0), np.full((len(ring), 1), z)], axis=-1) for z, share, shift in levels])
