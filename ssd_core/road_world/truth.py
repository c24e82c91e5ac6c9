# SPDX-License-Identifier: Apache-2.0
"""What a renderer knows beyond the picture: classes, instances, and where every point is at another time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, invert_pose, transform_points
from ssd_core.road_world.meshes import Array, Part

# Semantic class where the lens sees nothing.
UNSEEN = 255
# A point counts as seen again if the surface that is rendered there passes it within this share of its depth.
_SAME_DEPTH = 0.01


class RenderedTruth(NamedTuple):
    """depth float32 (H, W) as in RenderedView; semantic uint8 (H, W), a SemanticClass or UNSEEN; instance int32 (H, W).

    Instances are numbers of their own for each vehicle and person, the same at all times of a scene, 0 elsewhere. All three
    describe the same surface in every pixel.
    """

    depth: npt.NDArray[np.float32]
    semantic: npt.NDArray[np.uint8]
    instance: npt.NDArray[np.int32]


class RenderedFlow(NamedTuple):
    """flow float32 (H, W, 2): pixels to the right and down from where a surface point is to where it is later.

    It goes on outside the picture. NaN where the lens sees nothing, where the point comes to lie behind the later camera
    or outside its lens, and for what is not there any more. For sky it is the camera's turn alone.
    is_visible (H, W): the point is inside the later picture, and nothing hides it there; False for sky.
    """

    flow: npt.NDArray[np.float32]
    is_visible: npt.NDArray[np.bool_]


def part_motions(before: list[Part], after: list[Part]) -> Array:
    """How each of the parts (P, 4, 4) moves in the world until a later moment; NaN for those that aren't there then."""
    waiting: dict[tuple[int, int], list[Part]] = {}
    for part in reversed(after):
        # Two legs share mesh and owner; both moments list them in the same order.
        waiting.setdefault((id(part.mesh), part.instance), []).append(part)
    motions = np.broadcast_to(np.eye(4), (len(before), 4, 4)).copy()
    for number, part in enumerate(before):
        if part.is_still:
            continue
        same = waiting.get((id(part.mesh), part.instance))
        motions[number] = same.pop().world_from_part @ invert_pose(part.world_from_part) if same else np.nan
    return motions


def moved_points(depth: Array, part: npt.NDArray[np.int64], camera: PinholeCamera, first: Matrix, later: Matrix, motions: Array) -> Array:
    """Where the points of all pixels lie in the later camera: (H, W, 3) metres; directions where depth is infinite.

    part (H, W): number of the part in motions, -1 for sky; first and later: world_from_camera.
    """
    rays = camera.rays().astype(np.float64)
    is_sky = np.isposinf(depth)
    points = np.concatenate([rays, np.ones((*depth.shape, 1))], axis=-1) * np.where(is_sky, 1.0, depth)[..., None]
    later_from_first = invert_pose(later) @ first
    moved = transform_points(later_from_first, points.reshape(-1, 3)).reshape(points.shape)
    moved[is_sky] = points[is_sky] @ later_from_first[:3, :3].T
    for number in np.unique(part[part >= 0]).tolist():
        if not np.array_equal(motions[number], np.eye(4)):
            mine = part == number
            moved[mine] = transform_points(invert_pose(later) @ motions[number] @ first, points[mine])
    return moved


def flow_to(moved: Array, camera: PinholeCamera, pinhole: PinholeCamera, later: npt.NDArray[np.float32]) -> RenderedFlow:
    """Flow of points (H, W, 3) that lie in a later camera of the same lens; `later` are its layers of inverse depth, of `pinhole`."""
    height, width = moved.shape[:2]
    target = camera.project(moved.reshape(-1, 3)).reshape(height, width, 2)
    here = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    with np.errstate(invalid="ignore"):
        inside = ((target > -0.5) & (target < (width - 0.5, height - 0.5))).all(axis=-1)
    seen = np.zeros(inside.shape, dtype=bool)
    seen[inside] = _is_seen(pinhole.project(moved[inside]), moved[inside][:, 2], later)
    return RenderedFlow(np.asarray(target - here, dtype=np.float32), seen)


def _is_seen(target: Array, depth: Array, layers: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether the surface in one of the four pixels around a target goes through it: at edges the nearest may show another."""
    height, width = layers.shape[:2]
    corner = np.floor(target).astype(np.int64)
    seen = np.zeros(len(target), dtype=bool)
    for offset in ((0, 0), (1, 0), (0, 1), (1, 1)):
        u, v = (np.clip(corner[:, axis] + offset[axis], 0, size - 1) for axis, size in enumerate((width, height)))
        inverse, slope_u, slope_v = layers[v, u, :3].astype(np.float64).T
        found = inverse + slope_u * (target[:, 0] - u) + slope_v * (target[:, 1] - v)
        seen |= np.abs(found * depth - 1) < _SAME_DEPTH
    return seen
