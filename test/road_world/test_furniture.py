# SPDX-License-Identifier: Apache-2.0
"""Street furniture: budgets of quads, height over the road, signs that face who should read them, wires that end before they sparkle."""

import dataclasses

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.road_world import furniture
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import MATERIAL_COLUMN, MeshBuilder, Part, yaw_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL

BESIDE_THE_ROAD = {
    "sign": furniture.make_sign,
    "street name": furniture.make_street_name,
    "direction sign": furniture.make_direction_sign,
    "lantern": furniture.make_lantern,
    "clutter": furniture.make_clutter,
    "shelter": furniture.make_shelter,
    "skip": furniture.make_skip,
    "cafe": furniture.make_cafe,
    "fence": lambda rng: furniture.make_fence(rng, 6.0),
    "hoarding": lambda rng: furniture.make_hoarding(rng, 12.0),
}
OVER_THE_ROAD = {
    "lamp": lambda rng: furniture.make_lamp(rng, 7.0, 2.0),
    "traffic light": lambda rng: furniture.make_traffic_light(rng, 3.2),
    "span wire": lambda rng: furniture.make_span_wire(rng, 14.0),
}


def quads(mesh):
    return sum(len(block) // 4 for block in mesh.vertices.values())


def points(mesh):
    return np.concatenate([block[:, :3] for block in mesh.vertices.values()])


@pytest.mark.parametrize("name", BESIDE_THE_ROAD)
def test_what_stands_beside_the_road_is_cheap_and_stands(name):
    for seed in range(12):
        mesh = BESIDE_THE_ROAD[name](np.random.default_rng(seed))
        corners = points(mesh)
        assert 3 <= quads(mesh) <= 180
        assert -1.1 <= corners[:, 2].min() <= 0.1 and corners[:, 2].max() < 8.0


@pytest.mark.parametrize("name", OVER_THE_ROAD)
def test_lorries_pass_below_what_hangs_over_the_road(name):
    for seed in range(6):
        corners = points(OVER_THE_ROAD[name](np.random.default_rng(seed)))
        over = corners[corners[:, 1] < -0.7]
        assert over[:, 2].min() >= 4.7


@pytest.mark.parametrize("kind", range(14))
def test_plates_face_their_readers_and_fill_their_outline(kind):
    builder = MeshBuilder()
    furniture.add_sign_plate(builder, (2.0, 0.0, 1.0), 0.8, 0.6, kind, 0.3, yaw=np.pi / 2)
    block = builder.build().vertices[Family.FACADE]
    np.testing.assert_allclose(block[:, 3:6], np.broadcast_to((1.0, 0.0, 0.0), (len(block), 3)), atol=1e-6)
    assert (block[:, MATERIAL_COLUMN] == Material.TRAFFIC_SIGN).all()
    assert (np.floor(block[:, 12]) == kind).all()
    # A round plate is drawn as a polygon around its circle.
    assert 0.44 < np.ptp(block[:, 2]) < 0.64 and np.abs(block[:, 9:11]).max() < 1.1


def wire_rows(distance):
    """In how many of the columns of a picture a wire across it is seen, and how thick in pixels, from a distance."""
    builder = MeshBuilder()
    furniture.add_wire(builder, (0.0, 200.0, 5.0), (0.0, -200.0, 5.0), 0.0)
    mesh = builder.build()
    scene = Scene.of_parts((Part(dataclasses.replace(mesh, coarse=None), yaw_pose(0.0, 0.0)),))
    camera = PinholeCamera(160, 60, 240.0, 240.0, 79.5, 29.5)
    seen = np.isfinite(Renderer(camera).render_depth(scene, yaw_pose(-distance, 0.0, 4.9) @ BODY_FROM_OPTICAL, 0.0))
    return seen.any(axis=0).mean(), seen.sum() / max(seen.any(axis=0).sum(), 1)


@pytest.mark.render
def test_wires_are_unbroken_lines_until_they_are_gone():
    for distance in (6.0, 20.0, 45.0):
        columns, thickness = wire_rows(distance)
        assert columns == 1.0 and thickness < 2.5
    assert wire_rows(200.0)[0] == 0.0


def test_wires_are_left_out_of_the_coarse_mesh():
    builder = MeshBuilder()
    builder.box((0, 0, 0), (0.3, 0.3, 9.0), Material.BARK, (0.1, 0.1, 0.1))
    furniture.add_wire(builder, (0, 0, 9.0), (30.0, 0, 9.0), 0.6)
    mesh = builder.build()
    assert points(mesh)[:, 0].max() == pytest.approx(30.0)
    assert mesh.coarse is not None and points(mesh.coarse)[:, 0].max() < 1.0


@pytest.mark.render
def test_letters_can_be_read_on_a_board_and_turn_gray_from_afar():
    builder = MeshBuilder()
    furniture.add_signboard(builder, np.random.default_rng(0), (0.0, 0.0, -0.3), 4.0, 0.6, (0.03, 0.03, 0.03))
    builder.box((0.0, 1.0, -5.0), (20.0, 0.2, 10.0), Material.MATT, (0.03, 0.03, 0.03))  # no sky in the pixels at the edges
    camera = PinholeCamera(160, 60, 200.0, 200.0, 79.5, 29.5)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).T @ BODY_FROM_OPTICAL[:3, :3]
    pictures = []
    for distance in (6.0, 60.0):
        pose[:3, 3] = 0.0, -distance, 0.0
        view = Renderer(camera, camera_model=CameraModel()).render(
            Scene.of_parts((Part(builder.build(), np.eye(4)),)), pose, 0.0, "day-clear"
        )
        half_height, half_width = max(1, round(0.3 * 200 / distance)), round(2.0 * 200 / distance)
        board = view.image[30 - half_height : 30 + half_height, 80 - half_width : 80 + half_width]
        pictures.append(board.astype(float).mean(axis=-1).ravel())
    near, far = pictures
    assert np.quantile(near, 0.97) > 2.0 * np.quantile(near, 0.2)
    assert len(far) > 20 and far.std() < near.std()
