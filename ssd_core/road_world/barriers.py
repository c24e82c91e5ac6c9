# SPDX-License-Identifier: Apache-2.0
"""What runs along a road to keep vehicles or people off it: rails, concrete, railings, walls, hedges, fences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ssd_core.road_world.district import BarrierKind
from ssd_core.road_world.ground import Rise
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import Array, Mesh, MeshBuilder, pick
from ssd_core.road_world.road import Road
from ssd_core.road_world.semantics import SemanticClass

# There the land behind a retaining wall has its height, metres.
_BEHIND_WALL = 1.2
_STEEL = (0.34, 0.35, 0.36)
_CONCRETE = [(0.40, 0.39, 0.37), (0.33, 0.33, 0.32), (0.46, 0.45, 0.42)]
_NOISE_WALLS = [(0.22, 0.30, 0.24), (0.34, 0.26, 0.17), (0.42, 0.41, 0.38), (0.20, 0.25, 0.32)]
# (offset towards traffic, height) of a W beam, from below; of a New Jersey barrier around.
_BEAM = ((0.0, 0.44), (0.08, 0.50), (0.0, 0.60), (0.08, 0.70), (0.0, 0.76))
_JERSEY = ((0.31, 0.0), (0.31, 0.08), (0.13, 0.33), (0.09, 0.83), (-0.09, 0.83), (-0.13, 0.33), (-0.31, 0.08), (-0.31, 0.0))


class Run(NamedTuple):
    """Along the road between two s at t; traffic passes on the side `facing` (1: larger t, -1: smaller t, 0: both)."""

    road: Road
    start: float
    end: float
    t: float
    facing: int
    height: float
    """Of its foot above the land, on top of `rise`."""
    rise: Rise | None
    origin: Array


def make_barrier(kind: BarrierKind, run: Run, rng: np.random.Generator) -> Mesh:
    """A barrier in the world's axes, relative to run.origin; with a coarser version of itself. Not for kind "none"."""
    builder = MeshBuilder(SemanticClass.VEGETATION if kind == "hedge" else SemanticClass.BARRIER)
    coarse = MeshBuilder(SemanticClass.VEGETATION if kind == "hedge" else SemanticClass.BARRIER)
    _MAKERS[kind](builder, coarse, run, rng)
    return builder.build(coarse.build())


def _sweep(
    builder: MeshBuilder,
    run: Run,
    profile: Sequence[tuple[float, float]],
    material: Material,
    colour: Array | tuple[float, float, float],
    step: float = 5.0,
    seed: float = 0.0,
) -> None:
    """Quads between the lines (t offset, height) of a profile; uv: metres along, metres up the profile."""
    s = np.linspace(run.start, run.end, max(2, round((run.end - run.start) / step) + 1))
    shape = np.array(profile)
    along, offset = np.meshgrid(s, shape[:, 0], indexing="ij")
    points = _points(run, along, run.t + offset, np.broadcast_to(shape[:, 1], along.shape))
    up = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(shape, axis=0), axis=1))])
    # Leaves of a trimmed hedge are smaller than a tree's.
    grain = 2.4 if material is Material.LEAVES else 1.0
    uv = np.stack([along - run.start, np.broadcast_to(up, along.shape)], axis=-1) * grain
    builder.quads(_grid(points), material, colour, seed, uv=_grid(uv))


def _points(run: Run, s: Array, t: Array, height: Array) -> Array:
    lift = 0.0 if run.rise is None else run.rise(s, np.full_like(s, run.t))
    return run.road.point(s, t, run.height + height + lift) - run.origin


def _grid(grid: Array) -> Array:
    return np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=2).reshape(-1, 4, grid.shape[-1])


def _posts(
    builder: MeshBuilder,
    run: Run,
    spacing: float,
    offset: float,
    size: tuple[float, float, float],
    material: Material,
    colour: Array | tuple[float, float, float],
) -> None:
    """Upright posts without tops: (along, across, height)."""
    s = np.arange(run.start + spacing / 2, run.end, spacing)
    ring = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]) / 2
    along = s[:, None, None] + ring[None, :, 0, None] * size[0]
    across = run.t + offset + ring[None, :, 1, None] * size[1]
    heights = np.array([-0.5, size[2]])
    along, across, high = np.broadcast_arrays(along, across, heights)
    points = _points(run, along, across, high)
    corners = np.stack([points[:, :-1, 0], points[:, 1:, 0], points[:, 1:, 1], points[:, :-1, 1]], axis=2).reshape(-1, 4, 3)
    builder.quads(corners, material, colour)


def _guard_rail(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    tint = np.array(_STEEL) * rng.uniform(0.8, 1.15)
    for facing in (-1, 1) if run.facing == 0 else (run.facing,):
        shift = 0.0 if run.facing else 0.2 * facing
        _sweep(builder, run, [(shift + facing * out, high) for out, high in _BEAM], Material.METAL, tint)
        _sweep(coarse, run, [(shift + facing * 0.05, 0.44), (shift + facing * 0.05, 0.76)], Material.METAL, tint, 10.0)
    _posts(builder, run, 4.0, -run.facing * 0.1, (0.1, 0.12, 0.74), Material.METAL, tint * 0.8)


def _concrete(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    tint = pick(rng, _CONCRETE)
    _sweep(builder, run, _JERSEY, Material.BLANK_WALL, tint, seed=0.9)
    _sweep(coarse, run, (_JERSEY[0], *_JERSEY[3:5], _JERSEY[-1]), Material.BLANK_WALL, tint, 10.0, seed=0.9)


def _railing(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    tint = pick(rng, [(0.06, 0.065, 0.07), (0.34, 0.35, 0.36), (0.05, 0.10, 0.07)])
    _sweep(builder, run, ((0.0, 0.0), (0.0, 1.05)), Material.IRON_RAILING, tint)
    _sweep(builder, run, ((-0.03, 1.05), (0.03, 1.05)), Material.METAL, tint)
    _posts(builder, run, 2.5, 0.0, (0.06, 0.06, 1.08), Material.METAL, tint)
    _sweep(coarse, run, ((0.0, 0.0), (0.0, 1.05)), Material.IRON_RAILING, tint, 10.0)


def _hedge(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    high, half, leaf = (
        rng.uniform(0.8, 1.9),
        rng.uniform(0.3, 0.45),
        pick(rng, [(0.07, 0.13, 0.03), (0.05, 0.10, 0.03), (0.09, 0.14, 0.04)]),
    )
    # Seeds below 1: closed foliage.
    profile = ((-half, -0.3), (-half * 0.95, high * 0.9), (-half * 0.6, high), (half * 0.6, high), (half * 0.95, high * 0.9), (half, -0.3))
    _sweep(builder, run, profile, Material.LEAVES, leaf * 0.8, seed=float(rng.uniform(0.05, 0.95)))
    _sweep(coarse, run, (profile[0], profile[2], profile[3], profile[5]), Material.LEAVES, leaf * 0.8, 10.0, seed=0.5)
    count = round((run.end - run.start) * 3.0)
    s, out = rng.uniform(run.start, run.end, count), rng.uniform(-1.0, 1.0, count)
    middle = _points(
        run,
        s,
        run.t + np.where(np.abs(out) > 0.35, np.sign(out), out) * half,
        high * np.where(np.abs(out) > 0.35, rng.uniform(0.15, 0.95, count), 0.98),
    )
    size = rng.uniform(0.16, 0.34, count)[:, None]
    angle = rng.uniform(0, np.pi, count)
    along, up = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1) * size, np.array([0.0, 0.0, 1.0]) * size
    corners = np.stack([middle - along - up, middle + along - up, middle + along + up, middle - along + up], axis=1)
    uv = np.broadcast_to(np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]), (count, 4, 2))
    builder.quads(corners, Material.LEAVES, leaf, rng.integers(2, 4, count) + rng.uniform(0, 1, count), uv=uv)


def _wall(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    high, is_brick = rng.uniform(0.7, 2.2), rng.random() < 0.5
    tint = pick(rng, [(0.30, 0.14, 0.09), (0.34, 0.22, 0.14)] if is_brick else _CONCRETE)
    profile = ((0.12, -0.5), (0.12, high), (-0.12, high), (-0.12, -0.5))
    for each, step in ((builder, 5.0), (coarse, 10.0)):
        _sweep(each, run, profile, Material.BLANK_WALL, tint, step, seed=0.2 if is_brick else 0.6)
    _sweep(
        builder,
        run,
        ((0.17, high - 0.02), (0.17, high + 0.06), (-0.17, high + 0.06), (-0.17, high - 0.02)),
        Material.BLANK_WALL,
        (0.42, 0.41, 0.39),
        seed=0.6,
    )


def _noise_wall(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    high, tint = rng.uniform(3.0, 5.2), pick(rng, _NOISE_WALLS)
    material, seed = (Material.PANEL, 0.05) if rng.random() < 0.5 else (Material.CLADDING, float(rng.random()))
    for each in (builder, coarse):
        _sweep(
            each,
            run,
            ((0.06, -0.6), (0.06, high), (-0.06, high), (-0.06, -0.6)),
            material,
            tint,
            4.0 if each is builder else 8.0,
            seed=seed,
        )
    _posts(builder, run, 4.0, 0.0, (0.16, 0.24, high + 0.05), Material.METAL, np.array(_STEEL) * 0.7)


def _wire_fence(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    high = rng.uniform(1.1, 2.2)
    for each in (builder, coarse):
        _sweep(each, run, ((0.0, 0.0), (0.0, high)), Material.WIRE_MESH, (0.18, 0.19, 0.18), 5.0 if each is builder else 10.0)
    _posts(builder, run, 2.5, 0.0, (0.08, 0.08, high + 0.1), Material.MATT, pick(rng, [(0.20, 0.15, 0.10), (0.30, 0.31, 0.31)]))


def _water_filled(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    """Red and white plastic walls in turn, a little gap between them."""
    pitch = float(rng.choice([1.2, 2.0]))
    s = np.arange(run.start, run.end - pitch * 0.9, pitch)
    profile = np.array([(0.25, 0.0), (0.22, 0.15), (0.1, 0.45), (0.07, 0.95), (-0.07, 0.95), (-0.1, 0.45), (-0.22, 0.15), (-0.25, 0.0)])
    colours = np.where((np.arange(len(s)) % 2 == 0)[:, None], (0.55, 0.07, 0.03), (0.62, 0.61, 0.58))
    for each, shape in ((builder, profile), (coarse, profile[[0, 3, 4, 7]])):
        along = np.stack([s, s + pitch - 0.06], axis=1)[..., None]
        along, across, high = np.broadcast_arrays(along, run.t + shape[:, 0], shape[:, 1])
        points = _points(run, along, across, high)
        corners = np.stack([points[:, 0, :-1], points[:, 1, :-1], points[:, 1, 1:], points[:, 0, 1:]], axis=2)
        each.quads(corners, Material.MATT, np.repeat(colours, len(shape) - 1, axis=0))
        if each is builder:
            ends = points[:, :, [0, 3, 4, 7]].reshape(-1, 4, 3)
            each.quads(ends, Material.MATT, np.repeat(colours, 2, axis=0) * 0.8)


def _retaining_wall(builder: MeshBuilder, coarse: MeshBuilder, run: Run, rng: np.random.Generator) -> None:
    """Up to the land behind it and a little higher, leaning back; the foot stands on the pavement."""
    parapet, is_brick = rng.uniform(0.15, 1.0), rng.random() < 0.3
    tint = pick(rng, [(0.26, 0.14, 0.10), (0.30, 0.24, 0.18)] if is_brick else _CONCRETE)
    for each, step in ((builder, 5.0), (coarse, 10.0)):
        s = np.linspace(run.start, run.end, max(2, round((run.end - run.start) / step) + 1))
        behind = np.zeros_like(s) if run.rise is None else run.rise(s, np.full_like(s, run.t - run.facing * _BEHIND_WALL))
        top = behind + parapet
        high = np.stack([np.full_like(s, -0.3), top, top, behind - 0.3], axis=1)
        along, offset = np.meshgrid(s, run.facing * np.array([0.1, 0.0, -0.3, -0.3]), indexing="ij")
        points = run.road.point(along, run.t + offset, run.height + high) - run.origin
        across = np.stack([high[:, 0], top, top + 0.3, top + 0.6 + parapet], axis=1)
        uv = np.stack([along - run.start, across], axis=-1)
        corners, places = _grid(points), _grid(uv)
        # Counter-clockwise from the traffic's side.
        if run.facing > 0:
            corners, places = corners[:, ::-1], places[:, ::-1]
        each.quads(corners, Material.BLANK_WALL, tint, 0.2 if is_brick else 0.6, uv=places)


_MAKERS = {
    "guard_rail": _guard_rail, "concrete": _concrete, "railing": _railing, "hedge": _hedge, "wall": _wall, "noise_wall": _noise_wall,
    "wire_fence": _wire_fence, "water_filled": _water_filled, "retaining_wall": _retaining_wall,
}  # fmt: skip
