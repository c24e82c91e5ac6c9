# SPDX-License-Identifier: Apache-2.0
"""What is drawn of a moment: chunks of meshes that a view sees, fine where they are large and coarse where they are small."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import moderngl
import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, invert_pose
from ssd_core.road_world.graphics import Graphics, set_uniforms
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import Array, Mesh, Part, Ranges

NEAR, FAR = 0.15, 2500.0
# Where a pixel covers more than this, metres, the coarse version of a mesh looks the same.
COARSE_PIXEL = 0.15
# From this radius on, in pixels, it pays to paint a thing's materials with programs of their own; in small pictures never.
_LARGE, _LARGE_PICTURE = 16.0, 25_000


@dataclasses.dataclass(frozen=True)
class View:
    """Everything that depends on where the camera is. World positions become relative to the camera in float64."""

    position: Array
    camera_from_world: Array
    clip_from_relative: Array
    tangents: Array
    focal_length: float
    pixels: int

    @classmethod
    def of(cls, camera: PinholeCamera, world_from_camera: Matrix) -> View:
        """The view of an undistorted camera."""
        width, height = camera.width, camera.height
        projection = np.zeros((4, 4))
        projection[0, 0], projection[0, 2] = 2 * camera.fx / width, 2 * (camera.cx + 0.5) / width - 1
        # Row 0 of the framebuffer is the picture's top row, so y keeps pointing down.
        projection[1, 1], projection[1, 2] = 2 * camera.fy / height, 2 * (camera.cy + 0.5) / height - 1
        projection[2, 2], projection[2, 3] = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
        projection[3, 2] = 1.0
        rotation = np.eye(4)
        rotation[:3, :3] = invert_pose(world_from_camera)[:3, :3]
        horizontal = max(camera.cx + 0.5, width - 0.5 - camera.cx) / camera.fx
        vertical = max(camera.cy + 0.5, height - 0.5 - camera.cy) / camera.fy
        tangents = np.array([horizontal, vertical])
        return cls(world_from_camera[:3, 3], rotation[:3, :3], projection @ rotation, tangents, max(camera.fx, camera.fy), width * height)

    def sees(self, centres: Array, radii: Array) -> npt.NDArray[np.bool_]:
        """(N,) True for spheres (world centres (N, 3), radii (N,)) of which something may be in the picture."""
        local = (centres - self.position) @ self.camera_from_world.T
        beside = np.abs(local[:, :2]) - self.tangents * local[:, 2:] <= radii[:, None] * np.hypot(1.0, self.tangents)
        return np.asarray(beside.all(axis=1) & (local[:, 2] > -radii))


class Piece(NamedTuple):
    """Some quads of a mesh of the moment: number of its part, the mesh (fine or coarse), its chosen chunks (None: all), and their quads.

    is_large: it covers enough of the picture to be painted material by material.
    """

    part: int
    mesh: Mesh
    chosen: npt.NDArray[np.bool_] | None
    ranges: Ranges
    is_large: bool


class Moment:
    """All parts of a moment, with the bounding spheres of all their chunks in stacked arrays."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        poses = np.stack([np.eye(4), *(part.world_from_part for part in parts)])[1:]
        counts = [part.mesh.chunk_count for part in parts]
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._owner = np.repeat(np.arange(len(parts)), counts)
        spheres = np.concatenate([np.zeros((0, 4)), *(part.mesh.chunk_spheres for part in parts)])
        turned = poses[self._owner, :3, :3]
        self.centres = np.einsum("nij,nj->ni", turned, spheres[:, :3]) + poses[self._owner, :3, 3]
        self.radii = spheres[:, 3] * np.linalg.norm(turned[:, :, 0], axis=1)
        self.has_coarse = np.array([part.mesh.coarse is not None for part in parts], dtype=bool)[self._owner]
        self.is_still = np.array([part.is_still for part in parts], dtype=bool)[self._owner]
        self._rotations = np.asarray(poses[:, :3, :3].transpose(0, 2, 1), dtype=np.float32).reshape(-1, 9)
        self._origins = poses[:, :3, 3]

    def in_view(self, view: View, reach: float = np.inf) -> list[Piece]:
        """What a camera sees up to `reach` metres, nearest first: what lies behind is then rejected before it is painted."""
        distance = np.maximum(np.linalg.norm(self.centres - view.position, axis=1) - self.radii, 0.0)
        seen = view.sees(self.centres, self.radii) & (distance < reach)
        coarse = self.has_coarse & (distance > COARSE_PIXEL * view.focal_length)
        large = (self.radii * view.focal_length > _LARGE * distance) & (view.pixels >= _LARGE_PICTURE)
        return self.pieces(seen, coarse, distance, large)

    def owners(self, chosen: npt.NDArray[np.bool_]) -> list[Part]:
        """The parts of the chosen chunks."""
        return [self.parts[owner] for owner in np.unique(self._owner[chosen]).tolist()]

    def pieces(
        self, chosen: npt.NDArray[np.bool_], coarse: npt.NDArray[np.bool_], distance: Array, large: npt.NDArray[np.bool_]
    ) -> list[Piece]:
        """The chosen chunks, those marked `coarse` in their coarse version; parts in the order of their nearest chunk."""
        found: list[tuple[float, Piece]] = []
        for owner in np.unique(self._owner[chosen]).tolist():
            first, last = self._first[owner], self._first[owner + 1]
            mesh, mine, rough = self.parts[owner].mesh, chosen[first:last], coarse[first:last]
            nearest = float(distance[first:last][mine].min())
            if last - first == 1:
                version = mesh.coarse if rough[0] and mesh.coarse is not None else mesh
                found.append((nearest, Piece(owner, version, None, version.all_ranges, bool(large[first]))))
                continue
            for version, members in ((mesh, mine & ~rough), (mesh.coarse, mine & rough)):
                if version is not None and members.any():
                    found.append((nearest, Piece(owner, version, members, version.ranges(members), bool(large[first:last][members].any()))))
        found.sort(key=lambda item: item[0])
        return [piece for _, piece in found]

    def draw(
        self,
        graphics: Graphics,
        program_of: Callable[[Family, Material | None], moderngl.Program],
        clip_from_relative: Array,
        origin: Array,
        families: tuple[Family, ...],
        pieces: list[Piece],
    ) -> None:
        """Draw the shapes of pieces; clip_from_relative takes what is relative to `origin` (world).

        program_of(family, None) draws all materials of a family; what is cut out has a program for each material.
        """
        work: _Work = {}
        for family in families:
            for piece in pieces:
                _share_out(work, graphics, family, piece, family is Family.CUTOUT)
        graphics.mask_noise.use(0)
        self._work_off(graphics, program_of, clip_from_relative, origin, work)

    def paint(
        self,
        graphics: Graphics,
        program_of: Callable[[Family, Material | None], moderngl.Program],
        clip_from_relative: Array,
        origin: Array,
        families: tuple[Family, ...],
        pieces: list[Piece],
    ) -> None:
        """As draw, with a program for each material where that pays; program_of(family, None) paints all of its materials."""
        work: _Work = {}
        for piece in pieces:
            for family in families:
                _share_out(work, graphics, family, piece, piece.is_large)
        graphics.noise.use(0)
        self._work_off(graphics, program_of, clip_from_relative, origin, work)

    def _work_off(
        self,
        graphics: Graphics,
        program_of: Callable[[Family, Material | None], moderngl.Program],
        clip_from_relative: Array,
        origin: Array,
        work: _Work,
    ) -> None:
        origins = np.asarray(self._origins - origin, dtype=np.float32)
        matrix = np.asarray(clip_from_relative.T, dtype=np.float32).tobytes()
        for (family, material), items in work.items():
            program = program_of(family, material)
            placing = graphics.placing(program)
            placing.clip_from_relative.write(matrix)
            is_labelled = "part_number" in program
            for piece, ranges in items:
                placing.world_from_part.write(self._rotations[piece.part].data)
                placing.part_origin.write(origins[piece.part].data)
                if is_labelled:
                    set_uniforms(program, {"part_number": piece.part + 1, "part_instance": self.parts[piece.part].instance})
                if material is None:
                    graphics.draw_mesh(piece.mesh, family, program, ranges)
                else:
                    graphics.draw_material(piece.mesh, family, program, ranges)


# What each program draws, nearest first; None stands for all materials of a family.
_Work = dict[tuple[Family, Material | None], list[tuple[Piece, list[tuple[int, int]]]]]


def _share_out(work: _Work, graphics: Graphics, family: Family, piece: Piece, by_material: bool) -> None:
    """Add what a piece has of a family to the work."""
    ranges = piece.ranges.get(family)
    if not ranges:
        return
    if not by_material:
        work.setdefault((family, None), []).append((piece, ranges))
        return
    for material, found in graphics.material_ranges(piece.mesh, family, piece.chosen):
        work.setdefault((family, material), []).append((piece, found))
