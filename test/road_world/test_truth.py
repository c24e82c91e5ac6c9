# SPDX-License-Identifier: Apache-2.0
"""Classes, instances and flow against the depth and the motions they belong to."""

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import MeshBuilder, Part, yaw_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.semantics import SemanticClass, class_of
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL, Rig
from ssd_core.road_world.truth import UNSEEN

CAMERA = PinholeCamera(161, 90, 140.0, 138.0, 77.3, 41.8)
WIDE = PinholeCamera(160, 96, 110.0, 111.0, 81.2, 46.5, "plumb_bob", (-0.28, 0.07, 0.001, -0.0008, 0.0))


def box(semantic: SemanticClass):
    builder = MeshBuilder(semantic)
    builder.box((0, 0, 0), (2.0, 3.0, 2.5), Material.MATT, (0.4, 0.4, 0.4))
    return builder.build()


class MovingBox(Scene):
    """A plane, and a box that drives 5 m/s along y."""

    @classmethod
    def make(cls):
        builder = MeshBuilder()
        builder.quads([[(-500, -500, 0), (500, -500, 0), (500, 500, 0), (-500, 500, 0)]], Material.ROAD, (0.5, 0.5, 0.5))
        scene = cls.of_parts((Part(builder.build(), np.eye(4)),))
        scene.car = box(SemanticClass.CAR)
        return scene

    def parts(self, time):
        return [*super().parts(time), Part(self.car, yaw_pose(12.0, -2.0 + 5.0 * time, 0.0, 0.3 + 0.4 * time), instance=41)]


def camera_pose(x=0.0, yaw=0.0):
    return yaw_pose(x, 0.0, 1.5, yaw) @ BODY_FROM_OPTICAL


def test_every_material_has_a_class():
    assert {class_of(material) for material in Material} >= {SemanticClass.ROAD, SemanticClass.BUILDING, SemanticClass.VEGETATION}
    assert SemanticClass.SKY not in {class_of(material) for material in Material}


def test_instances_survive_being_built_into_a_block():
    block, house = MeshBuilder(first_instance=900), MeshBuilder(SemanticClass.BUILDING)
    house.box((0, 0, 0), (5, 5, 5), Material.WALL, (0.5, 0.5, 0.5))
    for x, mesh in ((0, box(SemanticClass.CAR)), (9, house.build()), (18, box(SemanticClass.PERSON))):
        block.add(mesh, yaw_pose(x, 0.0))
    mesh = block.build()
    labels = {(int(row[13]), int(row[14])) for vertices in mesh.vertices.values() for row in vertices}
    assert labels == {(SemanticClass.CAR, 900), (SemanticClass.BUILDING, 0), (SemanticClass.PERSON, 901)}


@pytest.mark.render
@pytest.mark.parametrize("camera", [CAMERA, WIDE], ids=["pinhole", "distorted"])
def test_truth_is_of_the_pixels_that_are_rendered(camera):
    scene, pose = MovingBox.make(), camera_pose()
    renderer = Renderer(camera)
    truth, view = renderer.render_truth(scene, pose, 0.2), renderer.render(scene, pose, 0.2, "night")
    np.testing.assert_array_equal(truth.depth, view.depth)
    np.testing.assert_array_equal(truth.semantic == SemanticClass.SKY, view.is_sky)
    np.testing.assert_array_equal(truth.semantic == UNSEEN, np.isnan(view.depth))
    is_box = truth.semantic == SemanticClass.CAR
    np.testing.assert_array_equal(truth.instance, np.where(is_box, 41, 0))
    rays = camera.rays().astype(np.float64)[is_box]
    points = np.concatenate([rays, np.ones((len(rays), 1))], axis=-1) * view.depth[is_box].astype(np.float64)[:, None]
    in_box = transform_points(invert_pose(scene.parts(0.2)[-1].world_from_part) @ pose, points)
    # A distorted picture continues the nearest pixel's surface: at the silhouette that may reach a little beyond.
    assert (np.abs(in_box) <= np.array([1.0, 1.5, 2.5]) + 0.05).all(axis=1).mean() > 0.98
    assert is_box.sum() > 300 and (truth.semantic == SemanticClass.ROAD).sum() > 1000


@pytest.mark.render
def test_a_street_has_vehicles_people_and_houses_of_their_own():
    scene = Scene.generate(3)
    mounted = Rig.nuscenes_front(320, 180).cameras[0]
    truth = Renderer(mounted.camera).render_truth(scene, scene.world_from_base(4.0) @ mounted.base_from_camera, 4.0)
    assert len(np.unique(truth.instance)) > 3
    counted = np.isin(truth.semantic, [SemanticClass.CAR, SemanticClass.LARGE_VEHICLE, SemanticClass.TWO_WHEELER, SemanticClass.PERSON])
    np.testing.assert_array_equal(truth.instance > 0, counted)
    for number in np.unique(truth.instance)[1:]:
        assert len(np.unique(truth.semantic[truth.instance == number])) == 1


@pytest.mark.render
@pytest.mark.parametrize("camera", [CAMERA, WIDE], ids=["pinhole", "distorted"])
def test_flow_follows_still_ground_and_a_moving_box(camera):
    scene, times = MovingBox.make(), (0.1, 0.3)
    poses = [camera_pose(0.0), camera_pose(0.6, yaw=0.02)]
    renderer = Renderer(camera)
    truth = renderer.render_truth(scene, poses[0], times[0])
    found = renderer.render_flow(scene, poses[0], times[0], poses[1], times[1])
    boxes = [scene.parts(time)[-1].world_from_part for time in times]
    rays = camera.rays().astype(np.float64)
    here = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
    for semantic, motion in ((SemanticClass.ROAD, np.eye(4)), (SemanticClass.CAR, boxes[1] @ invert_pose(boxes[0]))):
        mine = truth.semantic == semantic
        points = np.concatenate([rays[mine], np.ones((mine.sum(), 1))], axis=-1) * truth.depth[mine].astype(np.float64)[:, None]
        later = camera.project(transform_points(invert_pose(poses[1]) @ motion @ poses[0], points))
        np.testing.assert_allclose(found.flow[mine], later - here[mine], atol=1e-3)
    turned = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1) @ (invert_pose(poses[1]) @ poses[0])[:3, :3].T
    sky = truth.semantic == SemanticClass.SKY
    np.testing.assert_allclose(found.flow[sky], camera.project(turned[sky]) - here[sky], atol=1e-3)
    # What is visible shows the same thing there.
    after = renderer.render_truth(scene, poses[1], times[1])
    seen = found.is_visible & ~sky
    target = np.rint(here[seen] + found.flow[seen]).astype(int)
    assert seen.mean() > 0.3
    assert (after.semantic[target[:, 1], target[:, 0]] == truth.semantic[seen]).mean() > 0.98


@pytest.mark.render
def test_flow_knows_what_is_hidden_later():
    scene, camera = MovingBox.make(), CAMERA
    renderer, pose = Renderer(camera), camera_pose()
    found = renderer.render_flow(scene, pose, 0.0, pose, 0.4)
    still = renderer.render_truth(scene, pose, 0.0).semantic == SemanticClass.ROAD
    covered = still & (renderer.render_truth(scene, pose, 0.4).semantic == SemanticClass.CAR)
    assert covered.sum() > 50
    assert found.is_visible[covered].mean() < 0.1
    assert found.is_visible[still & ~covered].mean() > 0.98
    np.testing.assert_allclose(found.flow[still], 0.0, atol=1e-4)
