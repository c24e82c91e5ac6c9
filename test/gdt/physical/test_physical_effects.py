# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_streets import draw_street, make_request

from ssd_core.gdt.physical.air import extinction_of_rain, extinction_of_visibility, see_through
from ssd_core.gdt.physical.falling import rain_streaks, snow_flakes
from ssd_core.gdt.physical.found_lamps import lit_windows, shrink, signals, vehicle_lamps
from ssd_core.gdt.physical.glare import glare
from ssd_core.gdt.physical.headlights import headlight
from ssd_core.gdt.physical.lens_drops import lens_drops
from ssd_core.gdt.physical.light import Array, mix
from ssd_core.gdt.physical.motion_blur import motion_blur
from ssd_core.gdt.physical.sensor import add_noise, exposure_for, roll_off, vignetting
from ssd_core.gdt.physical.snow_cover import snow_cover
from ssd_core.gdt.physical.street_lamps import LAMP_COLOURS, StreetLamps, draw_street_lamps, light_of_street_lamps, place_street_lamps
from ssd_core.gdt.physical.view import View, make_view
from ssd_core.gdt.physical.wet_road import mirrored, reflect, wetness_map


@pytest.fixture(scope="module")
def view() -> View:
    return make_view(make_request(draw_street(0)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def facing_wall(metres: float) -> View:
    street = draw_street(0, with_vehicle=False)
    made = make_view(make_request(street))
    normals = np.zeros_like(made.normals)
    normals[..., 2] = -1
    depth = np.full_like(made.depth, metres)
    return dataclasses.replace(made, depth=depth, normals=normals, height=made.camera_height - depth * made.ray_y)


def test_headlights_fall_with_the_square_of_distance_and_end_above() -> None:
    peak = {metres: headlight(facing_wall(metres), 22.0, 0.8).max() for metres in (13.6, 25.6)}
    assert peak[13.6] == pytest.approx(1.0, abs=0.15)
    assert peak[13.6] / peak[25.6] == pytest.approx(4.0, rel=0.1)
    wall = headlight(facing_wall(20.0), 22.0, 0.8)
    # 0.8 m below the camera is the lamps' height: brightest just below it, next to nothing 1 m above it.
    rows = {rise: round(47.5 + (0.82 - rise) * draw_street(0).camera.fy / 20) for rise in (-0.6, 2.0)}
    assert wall[rows[-0.6], 80] > 8 * wall[rows[2.0], 80]
    assert wall[rows[-0.6], 80] > 1.5 * wall[rows[-0.6], 10]


def test_street_lamps_light_what_is_below_them_and_hide_behind_walls(view: View) -> None:
    lamp = StreetLamps(np.array([[2.0, -6.5, 12.0]], dtype=np.float32), np.array(LAMP_COLOURS[0], dtype=np.float32))
    light = light_of_street_lamps(view, lamp)
    below = view.project(np.array([[2.0, 1.5, 12.0]], dtype=np.float32))[0].round().astype(int)
    assert light[below[1], below[0]] == pytest.approx(1.0, abs=0.3)
    assert light[below[1], below[0]] > 3 * light[-1, 5]
    shining = np.zeros_like(view.light)
    draw_street_lamps(shining, view, lamp, 10.0)
    u, v = view.project(lamp.positions)[0].round().astype(int)
    assert v < 0 or shining[v, u, 0] > 2
    near_wall = dataclasses.replace(view, depth=np.full_like(view.depth, 5.0))
    hidden = np.zeros_like(view.light)
    draw_street_lamps(hidden, near_wall, place_street_lamps(view, 20, 5, 3, True, lamp.colour, rng()), 10.0)
    assert hidden.max() == 0
    draw_street_lamps(hidden, view, place_street_lamps(view, 20, 5, 3, True, lamp.colour, rng()), 10.0)
    assert hidden.max() > 1


def test_tail_lights_and_windows_are_found_where_they_are() -> None:
    street = draw_street(0, 640, 384)
    view = make_view(make_request(street))
    is_lamp = (street.image[..., 0] > 150) & (street.image[..., 1] < 60)
    is_pane = (street.image == (38, 42, 48)).all(axis=-1)
    small = shrink(view)
    red = vehicle_lamps(view, small, 2.0)
    assert red[..., 0].max() == 2.0
    found = np.repeat(np.repeat(red[..., 0] > 0, 2, axis=0), 2, axis=1)
    assert is_lamp[found].mean() > 0.6
    panes = lit_windows(view, small, 1.0, 0.5, rng())
    lit = np.repeat(np.repeat(panes[..., 0] > 0.1, 2, axis=0), 2, axis=1)
    assert lit.sum() > 20
    assert is_pane[lit].mean() > 0.7
    assert lit_windows(view, small, 0.0, 0.5, rng()).max() == 0
    assert signals(view, small, 3.0).max() == 0


def test_air_takes_and_gives_light_by_koschmieders_law() -> None:
    assert extinction_of_visibility(100.0) * 100.0 == pytest.approx(3.0, abs=0.01)
    assert extinction_of_rain(50.0) * 1000 == pytest.approx(4.29, abs=0.02)
    distance = np.array([[0.0, 100.0, 1e4]], dtype=np.float32)
    light = np.ones((1, 3, 3), dtype=np.float32)
    seen = see_through(light, distance, extinction_of_visibility(100.0), np.array([0.2, 0.4, 0.6], dtype=np.float32))
    assert seen[0, 0] == pytest.approx([1, 1, 1])
    assert seen[0, 1] == pytest.approx([0.05 + 0.95 * part for part in (0.2, 0.4, 0.6)], abs=1e-4)
    assert seen[0, 2] == pytest.approx([0.2, 0.4, 0.6])


def test_noise_has_the_variance_of_photons_and_electronics() -> None:
    for level, softness in ((0.0, 0.0), (0.25, 0.0), (0.25, 0.7)):
        light = np.full((200, 200, 3), level, dtype=np.float32)
        add_noise(light, 400.0, 3.0, softness, 0.0, rng(4))
        expected = np.sqrt(level / 400 + (3 / 400) ** 2)
        assert (light - level).std() == pytest.approx(expected, rel=0.08)
        assert abs(float((light - level).mean())) < 0.15 * expected


def test_exposure_meets_its_aim_or_its_end(view: View) -> None:
    factor = exposure_for(view.light * np.float32(0.01), 0.08, 1e4)
    assert np.minimum(view.light * 0.01 * factor, 1).mean() == pytest.approx(0.08, rel=0.1)
    assert exposure_for(view.light * np.float32(1e-5), 0.08, 20.0) == 20.0


def test_tone_and_vignetting() -> None:
    light = np.array([[[0.2, 0.9, 30.0]]], dtype=np.float32)
    roll_off(light, 0.8)
    assert light[0, 0, 0] == pytest.approx(0.2)
    assert 0.6 < light[0, 0, 1] < 0.9 < light[0, 0, 2] < 1.001
    kept = vignetting((101, 61), 0.4)
    assert kept[30, 50] == pytest.approx(1.0, abs=0.01)
    assert kept[0, 0] == pytest.approx(0.6, abs=0.03)


def test_glare_keeps_the_light_it_spills() -> None:
    light = np.zeros((120, 160, 3), dtype=np.float32)
    light[56:64, 76:84] = 11.0
    spilled = glare(light, 1.0, 0.2, 0.0, 0.0)
    assert spilled.sum() == pytest.approx(0.2 * 10 * 64 * 3, rel=0.1)
    assert spilled[60, 80, 0] > spilled[60, 100, 0] > spilled[60, 140, 0] >= 0
    streak = glare(light, 1.0, 0.0, 0.3, 0.0)
    assert streak[48, 80, 0] > 5 * streak[60, 92, 0]


def test_motion_blur_flows_from_the_middle_the_nearer_the_more(view: View) -> None:
    still = motion_blur(view.light, view, 0.0)
    assert still is view.light
    moved = motion_blur(view.light, view, 0.3)
    change = np.abs(moved - view.light).mean(axis=-1)
    assert change[80:].mean() > 3 * change[40:56, 70:90].mean()


def test_the_wet_road_mirrors_what_stands_above_it(view: View) -> None:
    light = np.zeros_like(view.light)
    height, ahead = 1.0, 9.0
    u, v = view.project(np.array([[0.0, view.camera_height - height, ahead]], dtype=np.float32))[0].round().astype(int)
    depth = view.depth.copy()
    depth[v - 1 : v + 2, u - 1 : u + 2] = ahead
    light[v - 1 : v + 2, u - 1 : u + 2] = 50.0
    rise = (view.camera_height - depth * view.ray_y).astype(np.float32)
    mirror = mirrored(light, dataclasses.replace(view, depth=depth, height=rise), np.zeros(3, dtype=np.float32))
    expected = view.project(np.array([[0.0, view.camera_height + height, ahead]], dtype=np.float32))[0]
    found = np.array(np.unravel_index(mirror[..., 0].argmax(), mirror.shape[:2]))[::-1]
    assert found == pytest.approx(expected, abs=4)
    wet = wetness_map(view, 1.0, 0.2, rng())
    assert wet[view.ground < 0.01].max() < 0.02
    bright = reflect(np.zeros_like(light), np.ones_like(light), np.ones_like(wet), view, 1.0)
    assert bright[95, 80, 0] < bright[60, 80, 0] <= 1


def test_rain_and_snow_fall_before_the_street_only(view: View) -> None:
    opacity = rain_streaks(view, 50.0, 0.005, 5.0, 0.0, rng(1))
    assert 0 < opacity.max() <= 1
    assert np.array_equal(opacity, rain_streaks(view, 50.0, 0.005, 5.0, 0.0, rng(1)))
    assert rain_streaks(view, 50.0, 0.005, 5.0, 0.0, rng(1)).sum() > rain_streaks(view, 3.0, 0.005, 5.0, 0.0, rng(1)).sum()
    at_the_lens = dataclasses.replace(view, depth=np.full_like(view.depth, 0.4))
    assert rain_streaks(at_the_lens, 50.0, 0.005, 5.0, 0.0, rng(1)).max() == 0
    flakes = snow_flakes(view, 2.0, 0.003, 3.0, rng(1))
    assert 0.2 < flakes.max() <= 1
    assert flakes.mean() < 0.2


def test_drops_on_the_glass_hide_little(view: View) -> None:
    seen = lens_drops(view.light, 20.0, 0.02, 0.3, rng(3))
    changed = (np.abs(seen - view.light).max(axis=-1) > 0.01).mean()
    assert 0.001 < changed < 0.12
    assert np.array_equal(seen, lens_drops(view.light, 20.0, 0.02, 0.3, rng(3)))


def test_snow_lies_on_what_faces_up(view: View) -> None:
    cover = snow_cover(view, 0.9, 0.0, rng(2))
    street = draw_street(0)
    is_wall = (street.depth > 10) & (street.depth < 25) & (np.arange(96)[:, None] < 40)
    assert cover[-20:].mean() > 0.6
    assert cover[is_wall].mean() < 0.1
    assert cover[np.isinf(street.depth)].mean() < 0.02
    assert snow_cover(view, 0.9, 0.9, rng(2)).sum() < cover.sum()


def test_mix_takes_a_colour_or_a_picture() -> None:
    light: Array = np.zeros((2, 2, 3), dtype=np.float32)
    share = np.array([[0.0, 0.5], [1.0, 0.25]], dtype=np.float32)
    assert mix(light, np.array([1, 2, 4], dtype=np.float32), share)[1, 1] == pytest.approx([0.25, 0.5, 1.0])
    assert mix(light, np.ones_like(light), share)[..., 0] == pytest.approx(share)
