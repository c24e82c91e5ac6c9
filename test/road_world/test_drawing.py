# SPDX-License-Identifier: Apache-2.0
"""What is left out, drawn coarse or kept must not show: pictures against those of a brute-force path."""

import dataclasses

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import CHUNK_SIDE, VERTEX_FLOATS, MeshBuilder, Part, exchange_materials, recolour, yaw_pose
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.semantics import SemanticClass
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL, Rig


def long_mesh(coarse: bool = False):
    """Boxes every 5 m along x, each a mesh of its own."""
    builder = MeshBuilder()
    for x in range(0, 100, 5):
        box, simple = MeshBuilder(), MeshBuilder()
        box.box((0, 0, 0), (1, 1, 2), Material.MATT, (0.5, 0.5, 0.5))
        box.box((0, 0, 2), (0.5, 0.5, 0.2), Material.PAINT, (0.5, 0.1, 0.1))
        simple.box((0, 0, 0), (1, 1, 2.1), Material.MATT, (0.5, 0.5, 0.5))
        builder.add(box.build(simple.build() if coarse else None), yaw_pose(x, 0.0))
    return builder.build()


def test_chunks_hold_every_quad_once():
    mesh = long_mesh(coarse=True)
    assert mesh.chunk_count >= 100 / CHUNK_SIDE - 1 and mesh.coarse is not None
    for version, quads in ((mesh, 12), (mesh.coarse, 6)):
        assert version.chunk_starts[Family.SOLID][-1] * 4 == len(version.vertices[Family.SOLID]) == 20 * quads * 4
        covered = np.zeros(20 * quads, dtype=int)
        for chunk in range(mesh.chunk_count):
            for first, count in version.ranges(np.arange(mesh.chunk_count) == chunk)[Family.SOLID]:
                covered[first : first + count] += 1
                corners = version.vertices[Family.SOLID].reshape(-1, 4, VERTEX_FLOATS)[first : first + count, :, :3].reshape(-1, 3)
                sphere = mesh.chunk_spheres[chunk]
                assert (np.linalg.norm(corners - sphere[:3], axis=1) <= sphere[3] + 1e-4).all()
        assert (covered == 1).all()


def test_neighbouring_chunks_are_one_range():
    mesh = long_mesh()
    chosen = np.zeros(mesh.chunk_count, dtype=bool)
    chosen[1:3] = True
    assert len(mesh.ranges(chosen)[Family.SOLID]) == 1
    chosen[1:] = (True, False, *[True] * (mesh.chunk_count - 3))
    assert len(mesh.ranges(chosen)[Family.SOLID]) == 2


def test_a_change_of_paint_reaches_the_coarse_version():
    mesh = recolour(long_mesh(coarse=True), Material.MATT, (0.1, 0.2, 0.3))
    for version in (mesh, mesh.coarse):
        vertices = version.vertices[Family.SOLID]
        matt = vertices[:, 11] == Material.MATT
        np.testing.assert_allclose(vertices[matt, 6:9], np.tile((0.1, 0.2, 0.3), (matt.sum(), 1)), atol=1e-6)
    rubber = exchange_materials(mesh, {Material.MATT: Material.RUBBER})
    assert not (rubber.coarse.vertices[Family.SOLID][:, 11] == Material.MATT).any()


CAMERA = PinholeCamera.from_field_of_view(240, 135, 70.0)
TIME = 3.0


@pytest.fixture(scope="module")
def street():
    return Scene.generate(seed=11)


def street_view(scene, condition="day-clear", yaw=0.0, time=TIME):
    from ssd_core.road_world.renderer import Renderer

    pose = scene.world_from_base(time) @ yaw_pose(1.6, 0.0, 1.5, yaw) @ BODY_FROM_OPTICAL
    return Renderer(CAMERA).render(scene, pose, time, condition)


@pytest.mark.render
@pytest.mark.parametrize("yaw", [0.0, 2.0])
def test_what_is_left_out_is_out_of_the_picture(street, monkeypatch, yaw):
    view = street_view(street, yaw=yaw)
    monkeypatch.setattr("ssd_core.road_world.drawing.View.sees", lambda self, centres, radii: np.ones(len(radii), dtype=bool))
    whole = street_view(street, yaw=yaw)
    assert (view.depth == whole.depth).mean() > 0.9999
    assert (view.image == whole.image).mean() > 0.9995


@pytest.mark.render
def test_coarse_meshes_hardly_change_the_picture(street, monkeypatch):
    from ssd_core.road_world.renderer import Renderer

    def view_and_classes():
        pose = street.world_from_base(TIME) @ yaw_pose(1.6, 0.0, 1.5) @ BODY_FROM_OPTICAL
        renderer = Renderer(CAMERA)
        return renderer.render(street, pose, TIME, "day-clear"), renderer.render_truth(street, pose, TIME).semantic

    view, classes = view_and_classes()
    monkeypatch.setattr("ssd_core.road_world.drawing.COARSE_PIXEL", np.inf)
    fine, fine_classes = view_and_classes()
    # Far trees have other leaves; all else keeps its place and its colour.
    assert (classes == fine_classes).mean() > 0.94
    leaves = (SemanticClass.VEGETATION, SemanticClass.SKY)
    firm = (classes == fine_classes) & ~np.isin(classes, leaves)
    assert firm.mean() > 0.4
    assert (np.abs(view.depth[firm] / fine.depth[firm] - 1) < 0.03).mean() > 0.99
    difference = np.abs(view.image.astype(int) - fine.image)
    assert difference[firm].mean() < 2
    assert difference.mean() < 10


@pytest.mark.render
def test_a_program_for_each_material_paints_the_same(street, monkeypatch):
    view = street_view(street)
    monkeypatch.setattr("ssd_core.road_world.drawing._LARGE_PICTURE", 10**9)
    generic = street_view(street)
    assert np.abs(view.image.astype(int) - generic.image).mean() < 0.05


@pytest.mark.render
def test_kept_shadows_are_those_that_would_be_drawn_anew(street, monkeypatch):
    import ssd_core.road_world.renderer as renderer_module

    for time in (TIME - 0.4, TIME - 0.2):
        street_view(street, time=time)
    kept = street_view(street)
    renderer_module._SHADOWS.clear()
    anew = street_view(street)
    np.testing.assert_array_equal(kept.image, anew.image)
    renderer_module._SHADOWS.clear()
    parts = street.parts
    monkeypatch.setattr(street, "parts", lambda time: [dataclasses.replace(part, is_still=False) for part in parts(time)])
    np.testing.assert_array_equal(street_view(street).image, anew.image)


@pytest.mark.render
def test_moving_things_take_their_shadows_along():
    ground, car = MeshBuilder(), MeshBuilder()
    ground.quads([[(-100, -100, 0), (100, -100, 0), (100, 100, 0), (-100, 100, 0)]], Material.PAVEMENT, (0.5, 0.5, 0.5))
    car.box((0, 0, 0), (3.0, 3.0, 6.0), Material.MATT, (0.3, 0.3, 0.3))
    scene = Scene.of_parts((Part(ground.build(), np.eye(4)),), seed=5)
    mesh, parts = car.build(), scene.parts
    scene.parts = lambda time: [*parts(time), Part(mesh, yaw_pose(20.0, 20.0 * time - 10.0))]
    darkest = {}
    for time in (0.0, 1.0):
        view = street_view(scene, time=time)
        below = view.image[80:, :, :].astype(float).mean(axis=(0, 2))
        darkest[time] = below
    assert np.abs(darkest[0.0] - darkest[1.0]).max() > 5
    # Going back in time gives the same shadow again.
    np.testing.assert_array_equal(street_view(scene, time=0.0).image[80:].astype(float).mean(axis=(0, 2)), darkest[0.0])


@pytest.mark.render
def test_conditions_of_one_view_share_its_depth(street):
    from ssd_core.road_world.renderer import Renderer

    renderer, mounted = Renderer(CAMERA), Rig.nuscenes_front().cameras[0]
    pose = street.world_from_base(TIME) @ mounted.base_from_camera
    day = renderer.render(street, pose, TIME, "day-clear")
    renderer.render_flow(street, pose, TIME, street.world_from_base(TIME + 0.1) @ mounted.base_from_camera, TIME + 0.1)
    night = renderer.render(street, pose, TIME, "night")
    fresh = Renderer(CAMERA).render(street, pose, TIME, "night")
    np.testing.assert_array_equal(day.depth, night.depth)
    np.testing.assert_array_equal(night.image, fresh.image)
