# SPDX-License-Identifier: Apache-2.0
"""Cameras of presets: like the recordings they are named after, each a little different, the same for the same draw."""

import math

import numpy as np
import pytest

from ssd_core.road_world.presets import PRESETS, Preset, draw_viewpoint, picture_size, rig_of


def field_of_view(focal: float, width: int) -> float:
    return math.degrees(2 * math.atan(0.5 * width / focal))


@pytest.mark.parametrize(
    ("preset", "aspect", "angle", "height"),
    [("nuscenes", 1600 / 900, 64.6, 1.51), ("kitti", 1242 / 375, 81.4, 1.65), ("robotcar", 4 / 3, 66.1, 1.52), ("ddad", 1.592, 48.0, 1.54)],
)
def test_front_cameras_are_those_of_the_recordings(preset: Preset, aspect: float, angle: float, height: float) -> None:
    views = [draw_viewpoint(preset, 90_000, np.random.default_rng(seed), ahead=True) for seed in range(200)]
    assert len({view.name for view in views}) == 1
    cameras = [view.camera for view in views]
    assert {camera.size for camera in cameras} == {picture_size(aspect, 90_000)}
    assert cameras[0].width / cameras[0].height == pytest.approx(aspect, rel=0.01)
    assert all(camera.width % 2 == 0 and camera.height % 2 == 0 for camera in cameras)
    assert np.median([field_of_view(camera.fx, camera.width) for camera in cameras]) == pytest.approx(angle, abs=1.5)
    heights = [view.base_from_camera[2, 3] for view in views]
    assert np.mean(heights) == pytest.approx(height, abs=0.03) and np.std(heights) > 0.02
    # Ahead: the optical axis points along x of the vehicle, give or take a few degrees.
    assert all(view.base_from_camera[0, 2] > 0.99 for view in views)
    assert all(camera.is_distorted == (preset == "robotcar") for camera in cameras)


def test_rigs_with_several_cameras_look_around_and_see_their_own_vehicle() -> None:
    for preset in ("nuscenes", "ddad"):
        views = [draw_viewpoint(preset, 20_000, np.random.default_rng(seed), ahead=False) for seed in range(80)]
        assert len({view.name for view in views}) == 5
        assert {view.ego_body for view in views} == {"car"}
        axes = np.array([view.base_from_camera[:2, 2] for view in views])
        angles = np.degrees(np.arctan2(axes[:, 1], axes[:, 0]))
        assert angles.min() < -90 and angles.max() > 90


def test_mixed_cameras_spread_wide() -> None:
    views = [draw_viewpoint("mixed", 50_000, np.random.default_rng(seed), ahead=True) for seed in range(400)]
    aspects = [view.camera.width / view.camera.height for view in views]
    assert min(aspects) < 0.8 and max(aspects) > 3.2
    sides = [field_of_view(view.camera.fx, max(view.camera.size)) for view in views]
    assert 34 < min(sides) < 40 and 95 < max(sides) < 106
    heights = [view.base_from_camera[2, 3] for view in views]
    assert min(heights) < 0.9 and max(heights) > 2.6
    assert {view.ego_body for view in views} == {"bonnet", "car", None}
    bent = [view.camera for view in views if view.camera.is_distorted]
    assert len(bent) > 50
    assert all(np.isfinite(camera.rays()).all() for camera in bent[:20])
    for view in views:
        assert view.camera.width * view.camera.height == pytest.approx(50_000, rel=0.03)
        np.testing.assert_allclose(view.base_from_camera[:3, :3] @ view.base_from_camera[:3, :3].T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_draw_is_the_same_camera(preset: Preset) -> None:
    first, again, other = (draw_viewpoint(preset, 9_000, np.random.default_rng(seed), ahead=False) for seed in (1, 1, 2))
    assert first.camera == again.camera
    np.testing.assert_array_equal(first.base_from_camera, again.base_from_camera)
    assert not np.array_equal(first.base_from_camera, other.base_from_camera)


def test_unknown_presets_are_named() -> None:
    with pytest.raises(ValueError, match="'waymo'; known: nuscenes"):
        draw_viewpoint("waymo", 9_000, np.random.default_rng(0), ahead=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "mixed"])
def test_rigs_are_what_viewpoints_spread_around(preset: Preset) -> None:
    rig = rig_of(preset, 320, only_front=False)
    views = [draw_viewpoint(preset, 20_000, np.random.default_rng(seed), ahead=seed % 4 == 0) for seed in range(160)]
    assert {mounted.name for mounted in rig.cameras} == {view.name for view in views}
    for mounted in rig.cameras:
        drawn = [view for view in views if view.name == mounted.name]
        assert np.mean([view.base_from_camera[:3, 3] for view in drawn], axis=0) == pytest.approx(mounted.base_from_camera[:3, 3], abs=0.06)
        assert mounted.camera.width / mounted.camera.height == pytest.approx(drawn[0].camera.width / drawn[0].camera.height, rel=0.02)
        assert not mounted.camera.is_distorted


def test_mixed_cameras_are_no_rig() -> None:
    with pytest.raises(ValueError, match="mixed"):
        rig_of("mixed", 320)
