# SPDX-License-Identifier: Apache-2.0
"""The ego vehicle's body stays where cameras expect it, and only where it is asked for."""

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.road_world.ego_body import EGO_BODIES, make_ego_body
from ssd_core.road_world.meshes import CLASS_COLUMN, yaw_pose
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.semantics import SemanticClass
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL


@pytest.mark.parametrize("kind", EGO_BODIES)
def test_bodies_lie_within_the_room_that_traffic_leaves(kind):
    for seed in range(6):
        (vertices,) = make_ego_body(kind, seed).vertices.values()
        low, high = vertices[:, :3].min(axis=0), vertices[:, :3].max(axis=0)
        assert low[0] > -1.0 and high[0] < 3.78 and high[2] < 1.5
        assert np.abs(vertices[np.abs(vertices[:, 2]) < 0.85, 1]).max() < 0.95
        assert (vertices[:, CLASS_COLUMN] == SemanticClass.EGO_VEHICLE).all()


def test_an_unknown_body_is_named():
    with pytest.raises(ValueError, match=r"tank.*bonnet"):
        make_ego_body("tank", 0)


def test_scenes_have_a_body_only_when_asked():
    scene = Scene.generate(3)
    plain = scene.parts(2.0)
    dressed = scene.with_ego_body("car").parts(2.0)
    assert len(dressed) == len(plain) + 1
    assert [part.mesh for part in dressed[:-1]] == [part.mesh for part in plain]
    np.testing.assert_allclose(dressed[-1].world_from_part, scene.world_from_base(2.0))
    assert len(scene.with_ego_body("car").with_ego_body(None).parts(2.0)) == len(plain)


@pytest.mark.render
def test_roof_cameras_see_it_below():
    scene = Scene.generate(3)
    camera = PinholeCamera.from_field_of_view(160, 160, 80.0)
    renderer, pose = Renderer(camera), scene.world_from_base(1.0) @ yaw_pose(1.8, 0.3, 1.6) @ BODY_FROM_OPTICAL
    without, dressed = (renderer.render_depth(world, pose, 1.0) for world in (scene, scene.with_ego_body("car")))
    assert (dressed[-1] < 0.7 * without[-1]).mean() > 0.5
    np.testing.assert_array_equal(dressed[:60], without[:60])
