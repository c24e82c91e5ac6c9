# SPDX-License-Identifier: Apache-2.0
"""Depth against geometry on paper, and the same geometry in every condition."""

import cv2
import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import MeshBuilder, Part, yaw_pose
from ssd_core.road_world.renderer import Renderer, depth_at
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL, Rig
from ssd_core.road_world.weather import CONDITIONS

pytestmark = pytest.mark.render

CAMERA = PinholeCamera(161, 90, 140.0, 138.0, 77.3, 41.8)
DISTORTED = [
    PinholeCamera(160, 96, 110.0, 111.0, 81.2, 46.5, "plumb_bob", (-0.28, 0.07, 0.001, -0.0008, 0.0)),
    PinholeCamera(160, 96, 90.0, 90.0, 79.0, 48.0, "equidistant", (0.02, -0.004, 0.001, 0.0)),
]


def scene_of(builder: MeshBuilder, pose=None) -> Scene:
    return Scene.of_parts((Part(builder.build(), np.eye(4) if pose is None else pose),))


def plane_scene() -> Scene:
    builder = MeshBuilder()
    builder.quads([[(-500, -500, 0), (500, -500, 0), (500, 500, 0), (-500, 500, 0)]], Material.PAVEMENT, (0.5, 0.5, 0.5))
    return scene_of(builder)


def camera_pose(height=1.5, pitch=0.0, x=0.0):
    """Looking along x, `pitch` radians downwards."""
    pose = yaw_pose(x, 0.0, height) @ BODY_FROM_OPTICAL
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(pitch), np.sin(pitch)], [-np.sin(pitch), np.cos(pitch)]]
    return pose @ turn


def world_rays(camera, pose):
    rays = camera.rays().astype(np.float64)
    directions = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1)
    return directions @ pose[:3, :3].T


def plane_depth(camera, pose):
    """Z where rays meet the plane z = 0; a ray scaled to Z = 1 needs no further conversion."""
    vertical = world_rays(camera, pose)[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = -pose[2, 3] / vertical
    return np.where(vertical < 0, depth, np.inf)


def test_plane_depth_is_exact_and_sky_is_infinite():
    pose = camera_pose(1.6, pitch=0.05)
    depth = Renderer(CAMERA).render_depth(plane_scene(), pose, 0.0)
    expected = plane_depth(CAMERA, pose)
    assert depth.dtype == np.float32 and depth.shape == (90, 161)
    near = expected < 300
    assert near.mean() > 0.4
    np.testing.assert_allclose(depth[near], expected[near], rtol=1e-4)
    sky = expected == np.inf
    assert sky.mean() > 0.1 and np.isposinf(depth[sky]).all()


@pytest.mark.parametrize(
    ("camera", "origin"),
    [(CAMERA, (0.0, 0.0)), (CAMERA, (3000.0, -2000.0)), *((camera, (0.0, 0.0)) for camera in DISTORTED)],
    ids=["pinhole", "far from the origin", "plumb_bob", "equidistant"],
)
def test_turned_box_depth_is_exact(camera, origin):
    builder = MeshBuilder()
    builder.box((0, 0, 0), (2.0, 3.0, 4.0), Material.MATT, (0.5, 0.5, 0.5))
    box = yaw_pose(origin[0] + 12.0, origin[1] + 0.5, 0.0, 0.6)
    pose = camera_pose()
    pose[:2, 3] += origin
    depth = Renderer(camera).render_depth(scene_of(builder, box), pose, 0.0)
    box_from_camera = invert_pose(box) @ pose
    directions = world_rays(camera, box_from_camera)
    low, high = np.array([-1.0, -1.5, 0.0]), np.array([1.0, 1.5, 4.0])
    with np.errstate(divide="ignore"):
        meets = np.sort(np.stack([(low - box_from_camera[:3, 3]) / directions, (high - box_from_camera[:3, 3]) / directions]), axis=0)
    enters, leaves = meets[0].max(axis=-1), meets[1].min(axis=-1)
    hit = np.isfinite(depth)
    expected = enters < leaves
    both = hit & (leaves - enters > 1e-3)
    if camera.is_distorted:
        # Between pixels the nearest one's plane goes on: at edges that is another face's, or the sky.
        face = np.where(expected, meets[0].argmax(axis=-1), -1).astype(np.float32)
        both &= (cv2.erode(face, np.ones((3, 3))) == face) & (cv2.dilate(face, np.ones((3, 3))) == face)
    else:
        assert abs(int(hit.sum()) - int(expected.sum())) <= 3
    assert both.sum() > 300
    np.testing.assert_allclose(depth[both], enters[both], rtol=1e-4)


def test_sphere_depth_matches_the_formula():
    builder, radius, centre = MeshBuilder(), 1.5, np.array([9.0, 0.4, 1.4])
    builder.ellipsoid(centre, (radius,) * 3, Material.MATT, (0.5, 0.5, 0.5), rows=180, columns=360)
    pose = camera_pose()
    depth = Renderer(CAMERA).render_depth(scene_of(builder), pose, 0.0)
    directions, offset = world_rays(CAMERA, pose), pose[:3, 3] - centre
    a, b = (directions**2).sum(-1), directions @ offset
    root = b**2 - a * (offset @ offset - radius**2)
    inside = root > 0.5
    assert inside.sum() > 500
    expected = (-b - np.sqrt(np.maximum(root, 0))) / a
    np.testing.assert_allclose(depth[inside], expected[inside], rtol=1e-4)


@pytest.mark.parametrize("camera", DISTORTED, ids=lambda camera: camera.distortion_model)
def test_points_of_a_distorted_camera_lie_on_the_geometry(camera):
    pose = camera_pose(1.6, pitch=0.25)
    view = Renderer(camera).render(plane_scene(), pose, 0.0, "day-clear")
    assert view.image.shape == (96, 160, 3)
    rays = camera.rays().astype(np.float64)
    kept = np.isfinite(view.depth) & (view.depth < 60)
    assert kept.mean() > 0.5
    points = np.concatenate([rays, np.ones((96, 160, 1))], axis=-1)[kept] * view.depth[kept][:, None]
    world = transform_points(pose, points)
    assert np.abs(world[:, 2]).max() < 1e-3
    np.testing.assert_allclose(view.depth[kept], plane_depth(camera, pose)[kept], rtol=1e-4)


def test_conditions_change_light_but_not_one_bit_of_depth():
    scene = Scene.generate(seed=5)
    camera = PinholeCamera.from_field_of_view(160, 90, 64.6)
    renderer, pose = Renderer(camera), scene.world_from_base(1.0) @ Rig.nuscenes_front().cameras[0].base_from_camera
    views = {condition: renderer.render(scene, pose, 1.0, condition) for condition in CONDITIONS}
    for condition in CONDITIONS[1:]:
        assert (views[condition].depth == views["day-clear"].depth).all()
    means = {condition: view.image.mean() for condition, view in views.items()}
    assert means["night"] < 0.8 * means["day-clear"]
    assert np.abs(views["day-rain"].image.astype(int) - views["day-clear"].image).mean() > 8
    for view in views.values():
        assert view.image.dtype == np.uint8 and view.image.std() > 10
    assert 0.02 < views["night"].is_sky.mean() < 0.8


def test_same_seed_gives_the_same_picture_in_another_renderer():
    camera = PinholeCamera.from_field_of_view(96, 54, 64.6)
    pictures = []
    for _ in range(2):
        scene = Scene.generate(seed=9)
        pose = scene.world_from_base(0.5) @ Rig.nuscenes_front().cameras[0].base_from_camera
        pictures.append(Renderer(camera).render(scene, pose, 0.5, "day-rain"))
    assert (pictures[0].image == pictures[1].image).all()
    assert (pictures[0].depth == pictures[1].depth).all()


def test_supersampling_leaves_depth_alone():
    scene = Scene.generate(seed=5)
    camera = PinholeCamera.from_field_of_view(96, 54, 64.6)
    pose = scene.world_from_base(1.0) @ Rig.nuscenes_front().cameras[0].base_from_camera
    plain, fine = (Renderer(camera, supersampling=count).render(scene, pose, 1.0, "day-clear") for count in (1, 2))
    assert (plain.depth == fine.depth).all()
    assert np.abs(plain.image.astype(int) - fine.image).mean() < 12


def test_still_points_reproject_into_the_next_frame():
    """A pixel's point, moved by the poses alone, must meet the depth rendered from the next pose: within 0.3 px of parallax."""
    scene = Scene.generate(seed=11)
    mounted = Rig.nuscenes_front(320, 180).cameras[0]
    renderer, times = Renderer(mounted.camera), (2.0, 2.1)
    poses = [scene.world_from_base(time) @ mounted.base_from_camera for time in times]
    # Time stands still while the camera moves: else traffic would move too.
    first, second = (renderer.render_inverse_depth(scene, pose, times[0]) for pose in poses)
    v, u = np.mgrid[60:180:3, 2:318:3].reshape(2, -1)
    depth = depth_at(first, u.astype(float), v.astype(float)).astype(np.float64)
    kept = depth < 60
    u, v, depth = u[kept], v[kept], depth[kept]
    points = np.concatenate([mounted.camera.unproject(np.stack([u, v], axis=-1)), np.ones((len(u), 1))], axis=-1) * depth[:, None]
    moved = transform_points(invert_pose(poses[1]) @ poses[0], points)
    pixels = mounted.camera.project(moved)
    inside = (pixels > 1).all(axis=1) & (pixels[:, 0] < 318) & (pixels[:, 1] < 178)
    rendered = depth_at(second, pixels[inside, 0], pixels[inside, 1]).astype(np.float64)
    predicted = moved[inside, 2]
    travelled = np.linalg.norm(poses[1][:3, 3] - poses[0][:3, 3])
    assert travelled > 0.4
    parallax_error = mounted.camera.fx * travelled * np.abs(1 / rendered - 1 / predicted)
    # What fails is newly hidden or cut by an edge between the pixels.
    assert (parallax_error < 0.3).mean() > 0.93
    assert np.median(parallax_error) < 0.01
