# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssd_core.geometry.camera import CameraError, PinholeCamera

NUSCENES = PinholeCamera(1600, 900, 1266.4, 1266.4, 816.3, 491.5)
PLUMB_BOB = PinholeCamera(640, 360, 400.0, 410.0, 330.0, 170.0, "plumb_bob", (-0.28, 0.09, 0.001, -0.002, 0.01))
RATIONAL = PinholeCamera(640, 360, 400.0, 410.0, 330.0, 170.0, "rational_polynomial", (0.3, 0.1, 0.001, -0.002, 0.02, 0.6, 0.2, 0.05))
FISHEYE = PinholeCamera(640, 480, 280.0, 281.0, 320.0, 241.0, "equidistant", (0.01, -0.005, 0.002, -0.001))
CAMERAS = [NUSCENES, PLUMB_BOB, RATIONAL, FISHEYE]


def test_pixel_centres_of_a_resized_image_look_where_the_resize_put_them() -> None:
    # A bright pixel block of 4x4 becomes one pixel; its centre must stay on the same ray.
    camera = PinholeCamera(64, 32, 50.0, 40.0, 30.25, 17.75)
    image = np.zeros((32, 64), dtype=np.float32)
    image[8:12, 20:24] = 1
    small = cv2.resize(image, (16, 8), interpolation=cv2.INTER_AREA)
    row, column = np.argwhere(small == 1)[0]
    ray_small = camera.scaled(16, 8).unproject([[column, row]])
    ray_large = camera.unproject([[21.5, 9.5]])
    np.testing.assert_allclose(ray_small, ray_large, atol=1e-12)


@given(
    left=st.integers(-50, 300),
    top=st.integers(-50, 200),
    width=st.integers(10, 900),
    height=st.integers(10, 700),
    flip=st.booleans(),
    scale=st.tuples(st.integers(7, 2000), st.integers(7, 1500)),
)
def test_crop_flip_and_scale_move_points_as_they_move_pixels(
    left: int, top: int, width: int, height: int, flip: bool, scale: tuple[int, int]
) -> None:
    point = np.array([[1.3, -0.7, 9.0]])
    pixel = NUSCENES.project(point)[0] - (left, top)
    camera = NUSCENES.cropped(left, top, width, height)
    if flip:
        camera, point, pixel = camera.flipped(), point * (-1, 1, 1), np.array([width - 1 - pixel[0], pixel[1]])
    camera = camera.scaled(*scale)
    pixel = (pixel + 0.5) * np.array(scale) / (width, height) - 0.5
    np.testing.assert_allclose(camera.project(point)[0], pixel, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("camera", CAMERAS)
def test_project_inverts_rays(camera: PinholeCamera) -> None:
    rays = camera.rays().reshape(-1, 2).astype(np.float64)
    grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1).reshape(-1, 2)
    seen = np.isfinite(rays).all(axis=1)
    assert seen.mean() > 0.9
    depth = np.linspace(1, 80, seen.sum())[:, None]
    points = np.concatenate([rays[seen], np.ones((seen.sum(), 1))], axis=1) * depth
    assert np.abs(camera.project(points) - grid[seen]).max() < 0.1


@pytest.mark.parametrize("camera", [PLUMB_BOB, RATIONAL])
def test_flip_of_a_distorted_camera_mirrors_its_rays(camera: PinholeCamera) -> None:
    mirrored = camera.flipped().rays()[:, ::-1] * np.float32([-1, 1])
    np.testing.assert_allclose(mirrored, camera.rays(), atol=2e-5)


def test_strided_camera_looks_along_every_nth_pixel() -> None:
    for stride in (2, 3, 4):
        np.testing.assert_allclose(NUSCENES.strided(stride).rays(), NUSCENES.rays()[::stride, ::stride], atol=1e-6)


def test_fisheye_pixels_beyond_ninety_degrees_have_no_ray() -> None:
    camera = PinholeCamera(640, 480, 150.0, 150.0, 320.0, 240.0, "equidistant", (0.0, 0.0, 0.0, 0.0))
    rays = camera.rays()
    assert np.isnan(rays[240, 0]).all()  # 320 px / 150 px = 2.1 rad
    assert np.isfinite(rays[240, 320]).all()


@pytest.mark.parametrize("camera", CAMERAS)
def test_no_pixels_have_no_rays(camera: PinholeCamera) -> None:
    assert camera.unproject(np.empty((0, 2))).shape == (0, 2)


def test_a_resized_picture_keeps_its_camera_and_a_cropped_one_has_none() -> None:
    assert NUSCENES.fitted(1600, 900) is NUSCENES
    assert NUSCENES.fitted(640, 362).fx == pytest.approx(NUSCENES.fx * 0.4)
    # A pixel of rounding is more than a hundredth of a small picture.
    assert NUSCENES.fitted(32, 19).size == (32, 19)
    with pytest.raises(CameraError, match="1600x900 don't fit an image of 640x400"):
        NUSCENES.fitted(640, 400)


def test_points_behind_the_camera_have_no_pixel() -> None:
    for camera in CAMERAS:
        assert np.isnan(camera.project([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0]])).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fx": 0.0}, "fx"),
        ({"fy": float("nan")}, "fy"),
        ({"cx": float("inf")}, "cx"),
        ({"width": 0}, "empty"),
        ({"distortion_model": "thin_prism"}, "plumb_bob"),
        ({"distortion_model": "plumb_bob", "distortion": (0.1,)}, "coefficients"),
        ({"distortion_model": "plumb_bob", "distortion": (0.1, float("nan"), 0.0, 0.0, 0.0)}, "finite"),
    ],
)
def test_bad_intrinsics_are_named(change: dict, message: str) -> None:
    with pytest.raises(CameraError, match=message):
        dataclasses.replace(NUSCENES, **change)


def test_from_matrix_refuses_skew() -> None:
    with pytest.raises(CameraError, match="skew"):
        PinholeCamera.from_matrix([[500, 3, 320], [0, 500, 240], [0, 0, 1]], 640, 480)
