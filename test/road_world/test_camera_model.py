# SPDX-License-Identifier: Apache-2.0
"""The camera model on its own, and what it makes of rendered light."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, invert_pose, transform_points
from ssd_core.road_world.camera_model import CameraModel
from ssd_core.road_world.darkroom import Shot
from ssd_core.road_world.materials import Material
from ssd_core.road_world.meshes import MeshBuilder, Part
from ssd_core.road_world.renderer import RenderedView, Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL, Rig
from ssd_core.road_world.weather import CONDITIONS, Condition, make_weather

NOISY = CameraModel(
    noise=1.0, blotches=1.0, vignetting=0.3, drops=0.4, film=0.5, dirt=0.3, shutter=1.0, jpeg_quality=70, blur=0.5, sharpening=0.5
)
CAMERA = PinholeCamera.from_field_of_view(160, 90, 64.6)
MOUNTING = Rig.nuscenes_front().cameras[0].base_from_camera


def lit_wall(albedo: float) -> Scene:
    """A floor far and wide of one colour, seen from straight above."""
    builder = MeshBuilder()
    builder.quads([[(-99, -99, 0), (99, -99, 0), (99, 99, 0), (-99, 99, 0)]], Material.MATT, (albedo,) * 3)
    return Scene.of_parts((Part(builder.build(), np.eye(4)),))


def from_above() -> Matrix:
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = 3.0
    return pose


def picture(scene: Scene, model: CameraModel | None, condition: Condition = "day-clear", time: float = 1.0) -> RenderedView:
    pose = scene.world_from_base(time) @ MOUNTING
    return Renderer(CAMERA, camera_model=model).render(scene, pose, time, condition)


def test_the_neutral_camera_returns_a_picture_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert CameraModel().finish(image) is image
    light = np.full((4, 5, 4), 0.3, dtype=np.float32)
    assert CameraModel().exposure(0.7, light, 0.2) == 0.7


def test_automatic_exposure_goes_the_metered_share_of_the_way() -> None:
    light = np.full((4, 5, 4), 0.1, dtype=np.float32)
    assert CameraModel(metering=1.0).exposure(1.0, light, 0.2) == pytest.approx(2.0)
    assert CameraModel(metering=0.5, exposure_error=1.0).exposure(1.0, light, 0.2) == pytest.approx(2 * 2**0.5)
    assert CameraModel(metering=1.0).exposure(1.0, light * 0.0, 0.2) == pytest.approx(5.0), "a black picture stays dark"


def test_compression_and_sharpening_change_a_picture_a_little() -> None:
    rows, columns = np.mgrid[0:64, 0:96]
    image = np.stack([columns * 2, rows * 3, (rows // 8 + columns // 8) % 2 * 120 + 60], axis=-1).astype(np.uint8)
    for model in (CameraModel(jpeg_quality=60), CameraModel(sharpening=0.6), CameraModel(blur=0.6)):
        finished = model.finish(image)
        assert finished.shape == image.shape and finished.dtype == np.uint8
        assert 0.1 < np.abs(finished.astype(int) - image).mean() < 12


def test_a_drawn_camera_depends_on_its_seed_only_and_mild_ones_differ_less() -> None:
    assert CameraModel.draw(3) == CameraModel.draw(3) != CameraModel.draw(4)
    wild, mild = ([CameraModel.draw(seed, variety) for seed in range(60)] for variety in (1.0, 0.4))
    for name in ("exposure_error", "contrast", "saturation"):
        spread = [np.std([getattr(model, name) for model in models]) for models in (mild, wild)]
        assert 0.02 < spread[0] < 0.7 * spread[1]
    for model in wild:
        assert model.jpeg_quality is None or 50 <= model.jpeg_quality <= 96
        assert all(0.6 < gain < 1.6 for gain in model.white_balance)


def test_metering_for_the_ground_leaves_out_the_sky() -> None:
    light = np.full((4, 5, 4), 0.1, dtype=np.float32)
    light[:2] = (2.0, 2.0, 2.0, 0.0)
    ground = CameraModel(metering=1.0, ground_metering=1.0).exposure(1.0, light, 0.2)
    whole = CameraModel(metering=1.0).exposure(1.0, light, 0.2)
    assert ground == pytest.approx(2.0, rel=0.01)
    assert whole == pytest.approx(0.2 / (0.1 * 2.0) ** 0.5, rel=0.01)
    light[..., :] = (0.1, 0.1, 0.1, 0.0)
    assert CameraModel(metering=1.0, ground_metering=1.0).exposure(1.0, light, 0.2) == pytest.approx(2.0), "nothing but sky"


@pytest.mark.render
def test_the_neutral_camera_encodes_light_as_srgb() -> None:
    """Two floors, one reflecting half as much: their pictures, decoded, are 2 to 1."""
    renderer = Renderer(CAMERA, camera_model=CameraModel())
    values = [renderer.render(lit_wall(albedo), from_above(), 0.0, "overcast").image[30:60, 50:110] / 255.0 for albedo in (0.10, 0.20)]
    linear = [np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92).mean() for value in values]
    # The air between adds a little of its own.
    assert 1.85 < linear[1] / linear[0] < 2.1
    doubled = Renderer(CAMERA, camera_model=CameraModel(exposure_error=1.0)).render(lit_wall(0.10), from_above(), 0.0, "overcast").image
    value = doubled[30:60, 50:110] / 255.0
    assert (((value + 0.055) / 1.055) ** 2.4).mean() / linear[0] == pytest.approx(2.0, rel=0.03)


@pytest.mark.render
def test_noise_and_water_are_the_same_for_the_same_moment_and_noise_new_in_the_next() -> None:
    first, again = (picture(Scene.generate(seed=5), NOISY, "day-rain").image for _ in range(2))
    assert (first == again).all()
    floor, pose = lit_wall(0.2), from_above()
    renderer = Renderer(CAMERA, camera_model=CameraModel(noise=2.0))
    one, other = (renderer.render(floor, pose, time, "night").image.astype(int) for time in (0.0, 0.1))
    assert one[..., 1].std() > 1.0 and np.abs(one - other).mean() > 1.0


@pytest.mark.render
def test_every_condition_renders_with_the_same_depth_and_night_is_darker_than_dusk_than_day() -> None:
    brightness: dict[str, list[float]] = {condition: [] for condition in CONDITIONS}
    for seed in (8, 12):
        scene = Scene.generate(seed)
        views = {condition: picture(scene, CameraModel(metering=0.7, shoulder=0.5), condition) for condition in CONDITIONS}
        for condition, view in views.items():
            assert (view.depth == views["day-clear"].depth).all()
            assert view.image.std() > 10
            brightness[condition].append(float(view.image.mean()))
        pictures = [view.image.astype(int) for view in views.values()]
        assert min(np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]) > 3
    mean = {condition: np.mean(values) for condition, values in brightness.items()}
    assert mean["night"] < 0.75 * mean["dusk"] and mean["dusk"] < mean["day-clear"] and mean["night-rain"] < 0.75 * mean["day-rain"]


@pytest.mark.render
def test_the_brighter_a_lamp_the_wider_it_glares_by_night(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lamp 12 m ahead in the dark, ten and sixty times as bright as white is shown."""
    builder = MeshBuilder()
    builder.box((12.0, 0.0, 1.4), (0.4, 0.8, 0.4), Material.LAMP, (1.0, 1.0, 1.0))
    scene, camera_model = Scene.of_parts((Part(builder.build(), np.eye(4)),)), CameraModel(bloom=0.8)
    renderer = Renderer(CAMERA, camera_model=camera_model)
    night = dataclasses.replace(make_weather("night", 1), exposure=1.0, noise=0.0, fog_density=1e-4)
    lit = {}
    for lamp, glare in ((10.0, 60.0), (60.0, 60.0), (60.0, 12.0)):
        weather = dataclasses.replace(night, glow=np.array([9.0, 4.0, lamp, 5.0]), glare=glare)
        monkeypatch.setattr("ssd_core.road_world.renderer.make_weather", lambda condition, seed, weather=weather: weather)
        image = renderer.render(scene, scene.world_from_base(0.0) @ MOUNTING, 0.0, "night").image
        lit[lamp, glare] = int((image.max(axis=-1) > 100).sum())
    assert lit[60.0, 60.0] > 1.3 * lit[10.0, 60.0] and lit[60.0, 60.0] > 1.3 * lit[60.0, 12.0]


def test_nights_are_dark_and_noisy_or_long_exposed() -> None:
    nights = [make_weather("night", seed) for seed in range(200)]
    short = [night for night in nights if night.shutter < 0.016]
    assert 0.5 < len(short) / len(nights) < 0.7
    for name in ("brightness", "exposure"):
        of_short, of_long = ([getattr(night, name) for night in nights if (night.shutter < 0.016) == kind] for kind in (True, False))
        assert np.median(of_short) < 0.5 * np.median(of_long)
    assert all(night.brightness < 0.1 and night.glow[0] >= 9.0 for night in nights)


def warped(
    camera: PinholeCamera, first: RenderedView, first_pose: Matrix, second: RenderedView, second_pose: Matrix
) -> tuple[np.ndarray, ...]:
    """The second picture's pixels that the first one's points fall on, the first one's own, and where both exist."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    depth = first.depth.astype(np.float64)
    kept = np.isfinite(depth) & (depth < 80)
    points = np.concatenate([camera.rays()[kept], np.ones((kept.sum(), 1))], axis=-1) * depth[kept][:, None]
    moved = transform_points(invert_pose(second_pose) @ first_pose, points)
    columns, rows = np.rint(camera.project(moved)).astype(int).T
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    columns, rows = columns[inside], rows[inside]
    unhidden = np.abs(second.depth[rows, columns] / moved[inside, 2] - 1) < 0.03
    return first.image[v[kept], u[kept]][inside][unhidden], second.image[rows, columns][unhidden]


@pytest.mark.render
@pytest.mark.parametrize("seed", [4, 11])
def test_still_things_look_alike_in_consecutive_frames(seed: int) -> None:
    scene, times = Scene.generate(seed), (2.0, 2.1)
    model = dataclasses.replace(CameraModel.draw(seed, 0.5), dirt=0.0)
    renderer = Renderer(CAMERA, camera_model=model)
    poses = [scene.world_from_base(time) @ MOUNTING for time in times]
    views = [renderer.render(scene, pose, times[0], "day-clear") for pose in poses]
    own, other = warped(CAMERA, views[0], poses[0], views[1], poses[1])
    assert len(own) > 4000
    error = np.abs(own.astype(int) - other).mean(axis=-1)
    unrelated = np.abs(own.astype(int) - np.roll(other, 700, axis=0)).mean()
    assert np.median(error) < 0.15 * unrelated and error.mean() < 0.45 * unrelated
    assert abs(float(own.mean()) - float(other.mean())) < 2.5


def test_the_weather_of_a_scene_does_not_depend_on_other_conditions() -> None:
    assert [make_weather("dusk", seed).exposure for seed in (1, 2)] == [make_weather("dusk", seed).exposure for seed in (1, 2)]
    lamps = [make_weather(condition, 3).lamp_colour for condition in ("night", "night-rain")]
    directions = [lamp / max(np.linalg.norm(lamp), 1e-9) for lamp in lamps if lamp.any()]
    assert all(np.allclose(direction, directions[0]) for direction in directions), "a district has lamps of one kind"
    for condition in CONDITIONS:
        for seed in range(30):
            weather = make_weather(condition, seed)
            assert np.linalg.norm(weather.sun_direction) == pytest.approx(1.0, abs=0.02)
            assert weather.exposure > 0 and weather.fog_density > 0 and (weather.sky_light >= 0).all()


def test_an_open_shutter_moves_with_the_ego_vehicle() -> None:
    weather = dataclasses.replace(make_weather("night", 1), shutter=0.02)
    scene = lit_wall(0.2)
    pose = scene.world_from_base(0.0) @ MOUNTING
    moved, turned = Shot(CAMERA, scene, pose, 0.0, weather, CameraModel(shutter=2.0)).motion()
    np.testing.assert_allclose(moved, (0.0, 0.0, 0.04 * scene.speed(0.0)), atol=1e-3)
    np.testing.assert_allclose(turned, 0.0, atol=1e-4)
    assert not np.concatenate(Shot(CAMERA, scene, pose, 0.0, weather, CameraModel()).motion()).any()


def test_an_optical_frame_sees_the_sun_where_it_stands() -> None:
    scene = lit_wall(0.2)
    weather = dataclasses.replace(make_weather("day-clear", 1), sun_direction=np.array([1.0, 0.0, 0.0]))
    for camera_axes, seen in ((BODY_FROM_OPTICAL, True), (BODY_FROM_OPTICAL @ np.diag([-1.0, 1.0, -1.0, 1.0]), False)):
        u, v, share = Shot(CAMERA, scene, camera_axes, 0.0, weather, CameraModel()).sun_on_screen()
        assert (share == 1.0) == seen
        if seen:
            assert (u, v) == (pytest.approx((CAMERA.cx + 0.5) / CAMERA.width), pytest.approx((CAMERA.cy + 0.5) / CAMERA.height))
