# SPDX-License-Identifier: Apache-2.0
"""Meshes of quads and the primitives that everything in the road world is built from.

A mesh has its own frame, x forward, y left, z up (REP 103), metres. It also carries what must move with it:
the lights it casts and the footprints under which the ground lies in shade.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.materials import Family, Material, family_of
from ssd_core.road_world.semantics import COUNTABLE, SemanticClass, class_of

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

# position 3, normal 3, colour 3, uv 2, material 1, seed 1, semantic class 1, instance 1
VERTEX_FLOATS = 15
COLOUR_COLUMNS = slice(6, 9)
MATERIAL_COLUMN = 11
CLASS_COLUMN = 13
INSTANCE_COLUMN = 14
# Meshes are culled, and drawn fine or coarse, in squares of this side, metres.
CHUNK_SIDE = 16.0
# position 3, direction 3, colour 3, spread 1 (0: a beam like a headlight's, 1: a lamp shining downwards)
LIGHT_FLOATS = 10
# centre 2, direction of the long side 2, half length, half width
FOOTPRINT_FLOATS = 6

# Of a mesh's quads by family: first and count.
Ranges = dict[Family, list[tuple[int, int]]]

_BOX_CORNERS = np.array([[x, y, z] for z in (-0.5, 0.5) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))])
_BOX_FACES = np.array([[1, 2, 6, 5], [3, 0, 4, 7], [2, 3, 7, 6], [0, 1, 5, 4], [4, 5, 6, 7], [3, 2, 1, 0]])


@dataclasses.dataclass(frozen=True, eq=False)
class Mesh:
    """Quads by material family, (4 * Q, VERTEX_FLOATS) float32 each, with lights and footprints.

    coarse: the same thing with fewer quads, drawn instead where it is small in the picture; it should stay within 10 cm
    of the fine surface. chunk_starts: where each chunk's quads begin and, at the end, how many there are; (C + 1,) a
    family, the same chunks in the coarse mesh; None for meshes of one chunk.
    """

    vertices: dict[Family, npt.NDArray[np.float32]]
    lights: Array
    footprints: Array
    coarse: Mesh | None = None
    chunk_starts: dict[Family, npt.NDArray[np.int64]] | None = None

    @functools.cached_property
    def is_countable(self) -> bool:
        """Whether it is a vehicle or a person."""
        classes = [block[::4, CLASS_COLUMN] for block in self.vertices.values()]
        return bool(classes) and bool(np.isin(np.concatenate(classes), COUNTABLE).mean() > 0.5)

    @property
    def chunk_count(self) -> int:
        """How many chunks there are."""
        return 1 if not self.chunk_starts else len(next(iter(self.chunk_starts.values()))) - 1

    @functools.cached_property
    def chunk_spheres(self) -> Array:
        """Bounding spheres of the chunks, fine and coarse together: (C, 4), centre and radius in metres."""
        low, high = np.full((self.chunk_count, 3), np.inf), np.full((self.chunk_count, 3), -np.inf)
        for mesh in (self, self.coarse or self):
            for family, block in mesh.vertices.items():
                if len(block) == 0:
                    continue
                starts = np.array([0]) if mesh.chunk_starts is None else mesh.chunk_starts[family][:-1]
                filled = np.append(starts[1:], len(block) // 4) > starts
                points = block[:, :3].astype(np.float64)
                low[filled] = np.minimum(low[filled], np.minimum.reduceat(points, starts[filled] * 4))
                high[filled] = np.maximum(high[filled], np.maximum.reduceat(points, starts[filled] * 4))
        empty = ~np.isfinite(low).all(axis=1)
        low[empty] = high[empty] = 0.0
        return np.column_stack([(low + high) / 2, np.linalg.norm(high - low, axis=1) / 2])

    @functools.cached_property
    def all_ranges(self) -> Ranges:
        """All quads, see `ranges`."""
        return {family: [(0, len(block) // 4)] for family, block in self.vertices.items() if len(block)}

    def ranges(self, chosen: npt.NDArray[np.bool_]) -> Ranges:
        """The quads of the chosen chunks (C,) by family: first and count, neighbours joined."""
        if self.chunk_starts is None or chosen.all():
            return self.all_ranges
        change = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
        found = {}
        for family, starts in self.chunk_starts.items():
            bounds = starts[change].reshape(-1, 2).tolist()
            found[family] = [(first, last - first) for first, last in bounds if last > first]
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """A mesh somewhere in the world.

    instance: a number of its own for a vehicle or a person (all parts of one share it), else 0. is_still: this very object
    is part of the scene at all times, so that what is derived from it can be kept.
    """

    mesh: Mesh
    world_from_part: Matrix
    instance: int = 0
    is_still: bool = False

    @functools.cached_property
    def lights(self) -> Array:
        """The mesh's lights (N, LIGHT_FLOATS) in the world."""
        return move_lights(self.mesh.lights, self.world_from_part)

    @functools.cached_property
    def footprints(self) -> Array:
        """The mesh's footprints (N, FOOTPRINT_FLOATS) in the world."""
        return move_footprints(self.mesh.footprints, self.world_from_part)


class MeshBuilder:
    """Collects quads, lights and footprints; `build` makes the mesh.

    semantic: what all of it is; None takes each material's usual class. first_instance: vehicles and people that are added
    without a number get numbers from here on.
    """

    def __init__(self, semantic: SemanticClass | None = None, first_instance: int = 0) -> None:
        self._semantic, self._next_instance = semantic, first_instance
        self._blocks: dict[Family, list[_Quads]] = {}
        self._coarse_blocks: dict[Family, list[_Quads]] = {}
        self._has_coarse = False
        self._lights: list[Array] = []
        self._footprints: list[Array] = []

    def quads(
        self,
        corners: npt.ArrayLike,
        material: Material,
        colour: npt.ArrayLike,
        seed: npt.ArrayLike = 0.0,
        uv: npt.ArrayLike | None = None,
        normals: npt.ArrayLike | None = None,
    ) -> None:
        """Add quads: corners (Q, 4, 3) counter-clockwise from outside; colour (3,) or (Q, 3) linear albedo; seed one number or (Q,).

        uv (Q, 4, 2) defaults to metres along the first and the last edge; normals (Q, 4, 3) to the face's own.
        """
        points = np.asarray(corners, dtype=np.float64).reshape(-1, 4, 3)
        count = len(points)
        block = np.zeros((count, 4, VERTEX_FLOATS), dtype=np.float32)
        block[..., 0:3] = points
        block[..., 3:6] = _face_normals(points)[:, None] if normals is None else normals
        block[..., COLOUR_COLUMNS] = np.asarray(colour, dtype=np.float64).reshape(-1, 1, 3)
        if uv is None:
            along, up = points[:, 1] - points[:, 0], points[:, 3] - points[:, 0]
            block[:, 1:3, 9] = np.sqrt((along * along).sum(axis=1))[:, None]
            block[:, 2:4, 10] = np.sqrt((up * up).sum(axis=1))[:, None]
        else:
            block[..., 9:11] = uv
        block[..., MATERIAL_COLUMN] = int(material)
        block[..., 12] = np.asarray(seed, dtype=np.float64).reshape(-1, 1)
        block[..., CLASS_COLUMN] = class_of(material) if self._semantic is None else self._semantic
        added = _Quads(block.reshape(-1, VERTEX_FLOATS))
        for blocks in (self._blocks, self._coarse_blocks):
            blocks.setdefault(family_of(material), []).append(added)

    def box(
        self,
        base: npt.ArrayLike,
        size: npt.ArrayLike,
        material: Material,
        colour: npt.ArrayLike,
        seed: float = 0.0,
        yaw: float = 0.0,
        taper: tuple[float, float] = (1.0, 1.0),
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Add a box standing on `base`; its top is `taper` times as large along x and y and moved by `shift` metres."""
        corners = _BOX_CORNERS * np.asarray(size, dtype=np.float64)
        corners[4:, :2] = corners[4:, :2] * taper + shift
        corners[:, 2] -= corners[0, 2]
        turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
        corners[:, :2] = corners[:, :2] @ turn
        self.quads((corners + np.asarray(base, dtype=np.float64))[_BOX_FACES], material, colour, seed)

    def tube(
        self,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        radius: float,
        material: Material,
        colour: npt.ArrayLike,
        end_radius: float | None = None,
        sides: int = 8,
        seed: float = 0.0,
        caps: bool = False,
    ) -> None:
        """Add a round tube (a cone if end_radius differs) from start to end, smooth around."""
        first, last = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        outward = _circle(last - first, sides)
        low, high = first + outward * radius, last + outward * (radius if end_radius is None else end_radius)
        corners = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
        normals = np.stack([outward[:-1], outward[1:], outward[1:], outward[:-1]], axis=1)
        self.quads(corners, material, colour, seed, normals=normals)
        if caps:
            for ring, centre in ((low[::-1], first), (high, last)):
                self._fan(ring, centre, material, colour, seed)

    def ellipsoid(
        self,
        centre: npt.ArrayLike,
        radii: npt.ArrayLike,
        material: Material,
        colour: npt.ArrayLike,
        rows: int = 6,
        columns: int = 10,
        seed: float = 0.0,
    ) -> None:
        """Add an ellipsoid of flat quads with smooth normals."""
        latitude, longitude = np.meshgrid(
            np.linspace(-np.pi / 2, np.pi / 2, rows + 1), np.linspace(0, 2 * np.pi, columns + 1), indexing="ij"
        )
        unit = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1)
        scale = np.asarray(radii, dtype=np.float64)
        normals = unit / scale
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        self.quads(_grid_quads(unit * scale + np.asarray(centre)), material, colour, seed, normals=_grid_quads(normals))

    def loft(
        self, rings: npt.ArrayLike, material: Material, colour: npt.ArrayLike, seed: float = 0.0, smooth: bool = False, caps: bool = True
    ) -> None:
        """Add the skin over closed rings (R, K, 3): how car bodies are made. `smooth` blends normals along the rings' order."""
        ring_points = np.asarray(rings, dtype=np.float64)
        closed = np.concatenate([ring_points, ring_points[:, :1]], axis=1)
        corners = _grid_quads(closed)
        normals = None
        if smooth:
            faces = _face_normals(corners).reshape(len(closed) - 1, -1, 3)
            blended = np.concatenate([faces[:1], (faces[1:] + faces[:-1]) / 2, faces[-1:]])
            blended /= np.maximum(np.linalg.norm(blended, axis=-1, keepdims=True), 1e-9)
            normals = np.stack([blended[:-1], blended[:-1], blended[1:], blended[1:]], axis=2).reshape(-1, 4, 3)
        self.quads(corners, material, colour, seed, normals=normals)
        if caps:
            for ring in (closed[0][::-1], closed[-1]):
                self._fan(ring, ring[:-1].mean(axis=0), material, colour, seed)

    def light(self, position: npt.ArrayLike, direction: npt.ArrayLike, colour: npt.ArrayLike, downwards: bool) -> None:
        """Add a light that shines on its surroundings by night: a lamp shining downwards, or a headlight's beam."""
        self._lights.append(
            np.concatenate([np.asarray(item, dtype=np.float64) for item in (position, direction, colour, [float(downwards)])])
        )

    def footprint(self, half_length: float, half_width: float) -> None:
        """Shade the ground under a rectangle around this mesh's origin."""
        self._footprints.append(np.array([0.0, 0.0, 1.0, 0.0, half_length, half_width]))

    def add(self, mesh: Mesh, pose: Matrix, instance: int = 0) -> None:
        """Add a whole mesh moved by `pose`, this mesh from that mesh; instance: its number if it is a vehicle or a person."""
        if instance == 0 and self._next_instance and mesh.is_countable:
            instance = self._next_instance
            self._next_instance += 1
        # Fine and coarse must change over as one: then both belong where the mesh stands, else each quad where it lies.
        anchor = None if mesh.coarse is None else pose[:2, 3]
        for family, vertices in mesh.vertices.items():
            added = _Quads(_moved(vertices, pose, instance), anchor)
            self._blocks.setdefault(family, []).append(added)
            if mesh.coarse is None:
                self._coarse_blocks.setdefault(family, []).append(added)
        if mesh.coarse is not None:
            self._has_coarse = True
            for family, vertices in mesh.coarse.vertices.items():
                self._coarse_blocks.setdefault(family, []).append(_Quads(_moved(vertices, pose, instance), anchor))
        self._lights.extend(move_lights(mesh.lights, pose))
        self._footprints.extend(move_footprints(mesh.footprints, pose))

    def build(self, coarse: Mesh | None = None) -> Mesh:
        """The mesh of all that was added, in chunks if it is large; `coarse` stands for the whole of it (see Mesh)."""
        lights = np.array(self._lights, dtype=np.float64).reshape(-1, LIGHT_FLOATS)
        footprints = np.array(self._footprints, dtype=np.float64).reshape(-1, FOOTPRINT_FLOATS)
        if coarse is not None:
            vertices = {family: np.concatenate([quads.vertices for quads in blocks]) for family, blocks in self._blocks.items()}
            return Mesh(vertices, lights, footprints, coarse)
        fine, starts, coarse_vertices, coarse_starts = _in_chunks(self._blocks, self._coarse_blocks if self._has_coarse else {})
        if self._has_coarse:
            coarse = Mesh(coarse_vertices, lights[:0], footprints[:0], None, coarse_starts)
        return Mesh(fine, lights, footprints, coarse, starts)

    def disc(
        self,
        centre: npt.ArrayLike,
        axis: npt.ArrayLike,
        radius: float,
        material: Material,
        colour: npt.ArrayLike,
        sides: int = 12,
        seed: float = 0.0,
    ) -> None:
        """Add a flat disc facing along `axis`."""
        middle = np.asarray(centre, dtype=np.float64)
        self._fan(middle + _circle(np.asarray(axis, dtype=np.float64), sides) * radius, middle, material, colour, seed)

    def _fan(self, ring: Array, centre: Array, material: Material, colour: npt.ArrayLike, seed: float) -> None:
        """A closed ring (first point repeated) around its centre, two triangles a quad."""
        if len(ring) % 2 == 0:
            ring = np.concatenate([ring, ring[-1:]])
        middle = np.broadcast_to(centre, ring[:-1:2].shape)
        self.quads(np.stack([middle, ring[:-1:2], ring[1::2], ring[2::2]], axis=1), material, colour, seed)


@dataclasses.dataclass(frozen=True, eq=False)
class _Quads:
    """Vertices that were added together, and where they belong; None: each quad where it lies."""

    vertices: npt.NDArray[np.float32]
    anchor: Array | None = None

    def anchors(self) -> Array:
        """(Q, 2)."""
        if self.anchor is None:
            return np.asarray(self.vertices.reshape(-1, 4, VERTEX_FLOATS)[:, :, :2].mean(axis=1), dtype=np.float64)
        return np.broadcast_to(self.anchor, (len(self.vertices) // 4, 2))


_Blocks = dict[Family, list[_Quads]]
_Vertices = dict[Family, npt.NDArray[np.float32]]
_Starts = dict[Family, npt.NDArray[np.int64]]


def _in_chunks(fine: _Blocks, coarse: _Blocks) -> tuple[_Vertices, _Starts | None, _Vertices, _Starts | None]:
    """Quads sorted by chunk, and where each chunk starts; both kinds have the same chunks."""
    kinds = (fine, coarse)
    vertices = [{family: np.concatenate([quads.vertices for quads in blocks]) for family, blocks in kind.items()} for kind in kinds]
    # Most meshes are things of a few metres.
    if all(np.ptp(block[:, :2], axis=0).max() < 2 * CHUNK_SIDE for kind in vertices for block in kind.values() if len(block)):
        return vertices[0], None, vertices[1], None
    anchors = [{family: np.concatenate([quads.anchors() for quads in blocks]) for family, blocks in kind.items()} for kind in kinds]
    everywhere = np.concatenate([each for kind in anchors for each in kind.values()])
    low = everywhere.min(axis=0)
    columns = int((everywhere[:, 1].max() - low[1]) // CHUNK_SIDE) + 1

    def cells(places: Array) -> npt.NDArray[np.int64]:
        place = ((places - low) // CHUNK_SIDE).astype(np.int64)
        return np.asarray(place[:, 0] * columns + place[:, 1])

    known = np.unique(cells(everywhere))
    starts: list[_Starts] = [{}, {}]
    for kind in range(2):
        for family, places in anchors[kind].items():
            cell = cells(places)
            order = np.argsort(cell, kind="stable")
            vertices[kind][family] = vertices[kind][family].reshape(-1, 4, VERTEX_FLOATS)[order].reshape(-1, VERTEX_FLOATS)
            starts[kind][family] = np.append(np.searchsorted(cell[order], known), len(cell))
    return vertices[0], starts[0], vertices[1], starts[1]


def _moved(vertices: npt.NDArray[np.float32], pose: Matrix, instance: int) -> npt.NDArray[np.float32]:
    moved = vertices.copy()
    moved[:, 0:3] = vertices[:, 0:3] @ pose[:3, :3].T + pose[:3, 3]
    moved[:, 3:6] = vertices[:, 3:6] @ pose[:3, :3].T
    if instance:
        moved[:, INSTANCE_COLUMN] = instance
    return moved


def recolour(mesh: Mesh, material: Material, colour: npt.ArrayLike) -> Mesh:
    """The mesh with all that is of a material in another colour (3,), in its coarse version too."""

    def change(vertices: npt.NDArray[np.float32]) -> None:
        vertices[vertices[:, MATERIAL_COLUMN] == material, COLOUR_COLUMNS] = np.asarray(colour)

    return _changed(mesh, change)


def exchange_materials(mesh: Mesh, exchange: Mapping[Material, Material]) -> Mesh:
    """The mesh with materials replaced by others of the same family, in its coarse version too."""

    def change(vertices: npt.NDArray[np.float32]) -> None:
        before = vertices[:, MATERIAL_COLUMN].copy()
        for old, new in exchange.items():
            vertices[before == old, MATERIAL_COLUMN] = new

    return _changed(mesh, change)


def _changed(mesh: Mesh, change: Callable[[npt.NDArray[np.float32]], None]) -> Mesh:
    vertices = {family: block.copy() for family, block in mesh.vertices.items()}
    for block in vertices.values():
        change(block)
    return dataclasses.replace(mesh, vertices=vertices, coarse=None if mesh.coarse is None else _changed(mesh.coarse, change))


def move_lights(lights: Array, pose: Matrix) -> Array:
    """Lights (N, LIGHT_FLOATS) moved by a (4, 4) motion."""
    moved = lights.copy()
    moved[:, 0:3] = lights[:, 0:3] @ pose[:3, :3].T + pose[:3, 3]
    moved[:, 3:6] = lights[:, 3:6] @ pose[:3, :3].T
    return moved


def move_footprints(footprints: Array, pose: Matrix) -> Array:
    """Footprints (N, FOOTPRINT_FLOATS) moved by a (4, 4) motion, seen from above."""
    moved = footprints.copy()
    moved[:, 0:2] = footprints[:, 0:2] @ pose[:2, :2].T + pose[:2, 3]
    moved[:, 2:4] = footprints[:, 2:4] @ pose[:2, :2].T
    return moved


def yaw_pose(x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Matrix:
    """A (4, 4) motion: turned about z by `yaw` radians, then moved."""
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = x, y, z
    return pose


def pick(rng: np.random.Generator, palette: Sequence[Colour], variation: float = 0.15) -> Array:
    """One colour of a palette, a little lighter or darker."""
    return np.array(palette[int(rng.integers(len(palette)))]) * rng.uniform(1 - variation, 1 + variation)


def _grid_quads(points: Array) -> Array:
    """(R, C, 3) grid -> ((R-1)*(C-1), 4, 3) quads."""
    return np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2).reshape(-1, 4, points.shape[-1])


def _circle(axis: Array, sides: int) -> Array:
    """(sides + 1, 3) unit vectors around an axis, the first repeated at the end."""
    x, y, z = (axis / math.sqrt(axis @ axis)).tolist()
    length = math.hypot(y, z) if abs(x) < 0.8 else math.hypot(x, z)
    across = np.array([0.0, z, -y]) / length if abs(x) < 0.8 else np.array([-z, 0.0, x]) / length
    onward = np.array([y * across[2] - z * across[1], z * across[0] - x * across[2], x * across[1] - y * across[0]])
    return np.asarray(_unit_circle(sides) @ np.stack([across, onward]))


@functools.cache
def _unit_circle(sides: int) -> Array:
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _face_normals(corners: Array) -> Array:
    ax, ay, az = (corners[:, 2] - corners[:, 0]).T
    bx, by, bz = (corners[:, 3] - corners[:, 1]).T
    normals = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    return np.asarray(normals / np.maximum(np.sqrt((normals * normals).sum(axis=1, keepdims=True)), 1e-12))
