# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_streets import CAMERA_HEIGHT, draw_street, make_request

from ssd_core.gdt.physical.light import decode, encode, luminance
from ssd_core.gdt.physical.view import SKY_DEPTH, make_view
from ssd_core.images.codec import Image


def test_light_and_back_is_the_same_picture() -> None:
    levels: Image = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(encode(decode(levels)), levels)
    assert luminance(decode(np.full((1, 1, 3), 255, dtype=np.uint8))) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ground_sky_and_heights_of_a_street(seed: int) -> None:
    street = draw_street(seed)
    view = make_view(make_request(street))
    assert view.camera_height == pytest.approx(CAMERA_HEIGHT, rel=0.03)
    assert view.up == pytest.approx([0, -1, 0], abs=0.03)
    sky = np.isinf(street.depth)
    assert view.sky[sky].mean() > 0.95
    assert view.sky[~sky].mean() < 0.03
    assert (view.depth[sky] <= SKY_DEPTH).all()
    bottom = view.ground[-10:, 30:130]
    assert bottom.mean() > 0.9
    is_wall = (street.depth > 10) & (street.depth < 25) & (np.arange(96)[:, None] < 40)
    assert view.ground[is_wall].mean() < 0.05
    assert np.abs(view.normals[is_wall] @ view.up).mean() < 0.3
    assert (view.normals[-8:, 40:110] @ view.up).mean() > 0.9


def test_a_tilted_camera_finds_its_ground() -> None:
    street = draw_street(3, with_vehicle=False)
    camera = street.camera
    v = np.arange(96, dtype=np.float32)[:, None]
    pitch, height = 0.08, 2.1
    down = (v - camera.cy) / camera.fy * np.cos(pitch) + np.sin(pitch)
    depth = np.broadcast_to(np.where(down > 1e-3, height / np.maximum(down, 1e-3), np.inf), (96, 160)).astype(np.float32)
    view = make_view(dataclasses.replace(make_request(street), depth=depth))
    assert view.camera_height == pytest.approx(height, rel=0.03)
    assert view.up == pytest.approx([0, -np.cos(pitch), -np.sin(pitch)], abs=0.02)


def test_unknown_depth_is_filled_and_far_ground_is_no_sky() -> None:
    street = draw_street(0, with_vehicle=False)
    depth = street.depth.copy()
    depth[70:80, 60:90] = np.nan
    depth[60:64, 60:90] = np.inf
    view = make_view(dataclasses.replace(make_request(street), depth=depth))
    assert np.isfinite(view.depth).all()
    assert view.sky[60:64, 60:90].max() < 0.3
    assert view.depth[60:64, 60:90].max() < 60


def test_without_a_camera_one_is_assumed() -> None:
    street = draw_street(0)
    assert make_view(dataclasses.replace(make_request(street), camera=None)).focal == pytest.approx(street.camera.fx)


def test_what_cant_be_used_is_named() -> None:
    request = make_request(draw_street(0))
    with pytest.raises(ValueError, match=r"front/000.*metric"):
        make_view(dataclasses.replace(request, depth_kind="relative_inverse"))
    with pytest.raises(ValueError, match=r"front/000.*80x96"):
        make_view(dataclasses.replace(request, depth=request.depth[:, :80]))


def test_points_project_to_their_pixels() -> None:
    view = make_view(make_request(draw_street(1)))
    points = np.array([[view.ray_x[0, u] * 7, view.ray_y[v, 0] * 7, 7] for u, v in ((3, 5), (100, 90))], dtype=np.float32)
    assert view.project(points) == pytest.approx(np.array([[3, 5], [100, 90]]), abs=0.01)
