# SPDX-License-Identifier: Apache-2.0
"""Plants: budgets of quads, free road below street trees, cut-outs that mean the same in all passes and at all distances."""

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.road_world import plants
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import MeshBuilder, Part, yaw_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL

HABITS = [*plants.HABITS, "conifer", "palm", "bare"]


def quads(mesh):
    return sum(len(block) // 4 for block in mesh.vertices.values())


def points(mesh):
    return np.concatenate([block[:, :3] for block in mesh.vertices.values()])


@pytest.mark.parametrize("habit", HABITS)
def test_trees_keep_to_their_budget_and_height(habit):
    for seed in range(4):
        tree = plants.make_tree(np.random.default_rng(seed), 11.0, habit)
        assert quads(tree) <= 250
        if habit != "palm":
            assert tree.coarse is not None and quads(tree.coarse) <= 35
        top, foot = points(tree)[:, 2].max(), points(tree)[:, 2].min()
        assert 8.0 < top < 13.5 and -1.6 < foot < 0.0


def test_unknown_habit_is_named():
    with pytest.raises(KeyError, match="baobab"):
        plants.make_tree(np.random.default_rng(0), 8.0, "baobab")


def test_same_numbers_grow_the_same_tree():
    first, second = (plants.make_tree(np.random.default_rng(5)) for _ in range(2))
    for family, block in first.vertices.items():
        np.testing.assert_array_equal(block, second.vertices[family])


@pytest.mark.parametrize("height", [8.0, 12.0, 18.0])
def test_lorries_pass_below_street_trees(height):
    for seed in range(6):
        corners = points(plants.make_street_tree(np.random.default_rng(seed), height))
        low = corners[corners[:, 2] < plants.STREET_CLEARANCE]
        assert np.linalg.norm(low[:, :2], axis=1).max() <= plants.STREET_TRUNK_RADIUS
        assert np.linalg.norm(corners[:, :2], axis=1).max() > 1.3


def test_young_trees_stay_narrow():
    for seed in range(4):
        corners = points(plants.make_young_tree(np.random.default_rng(seed)))
        assert np.linalg.norm(corners[:, :2], axis=1).max() <= plants.STREET_TRUNK_RADIUS


def test_backgrounds_are_cheap():
    rng = np.random.default_rng(1)
    wood = plants.make_wood(rng, 40.0)
    assert quads(wood) <= 120
    assert wood.coarse is not None and quads(wood.coarse) <= 25
    assert quads(plants.make_tree_line(rng, 120.0)) <= 65


def leaf_share(distance, half=1.5, material=Material.LEAVES, seed=10.37):
    """How much of a card's square is leaves, seen from a distance with a lens that always shows it equally large or smaller."""
    builder = MeshBuilder()
    corners = [[(0, half, -half), (0, -half, -half), (0, -half, half), (0, half, half)]]
    builder.quads(corners, material, (0.1, 0.2, 0.1), seed, uv=[[(-1, -1), (1, -1), (1, 1), (-1, 1)]])
    camera = PinholeCamera(128, 128, 128.0, 128.0, 63.5, 63.5)
    scene = Scene.of_parts((Part(builder.build(), np.eye(4)),))
    depth = Renderer(camera).render_depth(scene, yaw_pose(-distance, 0.0) @ BODY_FROM_OPTICAL, 0.0)
    return np.isfinite(depth).sum() / (2 * half * 128 / distance) ** 2


@pytest.mark.render
def test_leaves_neither_vanish_nor_close_with_distance():
    shares = [np.mean([leaf_share(distance, seed=10.07 + 0.11 * k) for k in range(5)]) for distance in (3.5, 8.0, 20.0, 45.0)]
    assert min(shares) > 0.25 and max(shares) < 0.8
    assert max(shares) - min(shares) < 0.12


@pytest.mark.render
def test_picture_and_depth_show_the_same_outline():
    builder = MeshBuilder()
    for index, material in enumerate((Material.LEAVES, Material.TWIGS, Material.IRON_RAILING, Material.WIRE_MESH, Material.PICKETS)):
        y = 4.0 - 2.0 * index
        corners = [[(0, y + 0.9, -0.9), (0, y - 0.9, -0.9), (0, y - 0.9, 0.9), (0, y + 0.9, 0.9)]]
        uv = [[(-1, -1), (1, -1), (1, 1), (-1, 1)]] if index < 2 else [[(0, 0), (1.8, 0), (1.8, 1), (0, 1)]]
        builder.quads(corners, material, (0.0, 0.0, 0.0), 8.37 if index < 2 else 0.4, uv=uv, normals=np.full((1, 4, 3), (-1.0, 0.0, 0.0)))
    scene = Scene.of_parts((Part(builder.build(), np.eye(4)),))
    view = Renderer(PinholeCamera(240, 64, 200.0, 200.0, 119.5, 31.5)).render(
        scene, yaw_pose(-9.0, 0.0) @ BODY_FROM_OPTICAL, 0.0, "day-clear"
    )
    is_dark = view.image.astype(int).sum(axis=-1) < 150
    interior = np.isfinite(view.depth)
    assert 0.1 < interior.mean() < 0.7
    # Edges are smoothed by a pixel; away from them black leaves and bright sky must fall where depth says.
    assert (is_dark == interior).mean() > 0.85
