# SPDX-License-Identifier: Apache-2.0
"""CameraInfo to PinholeCamera."""

from typing import Any

import numpy as np
import pytest

from ssd_core.geometry.camera import CameraError, PinholeCamera
from ssd_core.geometry.camera_info import DistortionError, camera_from_info

K = [1000.0, 0, 800, 0, 1010, 450, 0, 0, 1]
P = [900.0, 0, 790, -42, 0, 905, 440, 0, 0, 0, 1, 0]
IDENTITY = np.eye(3).ravel()


def build(**changes: Any) -> PinholeCamera:
    fields: dict[str, Any] = {
        "width": 1600,
        "height": 900,
        "k": K,
        "d": [],
        "r": IDENTITY,
        "p": P,
        "distortion_model": "plumb_bob",
        "rectified": True,
    }
    return camera_from_info(**(fields | changes))


def test_rectified_image_uses_the_projection_without_its_baseline() -> None:
    assert build(d=[0.1, 0, 0, 0, 0]) == PinholeCamera(1600, 900, 900, 905, 790, 440)


@pytest.mark.parametrize("changes", [{"p": [0.0] * 12}, {"r": [0.0] * 9}, {"r": K}, {"r": -np.eye(3)}, {"r": [np.nan] * 9}])
def test_rectified_image_falls_back_to_k(changes: dict[str, Any]) -> None:
    assert build(**changes) == PinholeCamera(1600, 900, 1000, 1010, 800, 450)


def test_projection_alone_is_enough() -> None:
    assert build(k=[0.0] * 9, r=[0.0] * 9).fx == 900


def test_a_real_rectifying_rotation_keeps_the_projection() -> None:
    angle = 0.1
    r = [np.cos(angle), 0, np.sin(angle), 0, 1, 0, -np.sin(angle), 0, np.cos(angle)]
    assert build(r=r).fx == 900


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", [0.1, -0.2, 0.01, 0.02, 0.3], ("plumb_bob", (0.1, -0.2, 0.01, 0.02, 0.3))),
        ("plumb_bob", [0.1, -0.2, 0.01, 0.02], ("plumb_bob", (0.1, -0.2, 0.01, 0.02, 0.0))),
        ("plumb_bob", [0.1, -0.2, 0.01, 0.02, 0.3, 0, 0, 0], ("plumb_bob", (0.1, -0.2, 0.01, 0.02, 0.3))),
        ("plumb_bob", [0.0] * 5, ("none", ())),
        ("", [], ("none", ())),
        ("rational_polynomial", [0.1] * 8 + [0.0] * 4, ("rational_polynomial", (0.1,) * 8)),
        ("equidistant", [0.0] * 4, ("equidistant", (0.0,) * 4)),
    ],
)
def test_raw_image_uses_k_and_d(model: str, d: list[float], expected: tuple[str, tuple[float, ...]]) -> None:
    camera = build(rectified=False, distortion_model=model, d=d)
    assert (camera.fx, camera.cy) == (1000, 450)
    assert (camera.distortion_model, camera.distortion) == expected


def test_region_of_interest_then_binning() -> None:
    camera = build(rectified=False, roi=(100, 50, 801, 600), binning_x=2, binning_y=3)
    # Pixel 700 of the ROI lies in bin 350, whose centre is ROI pixel 700.5.
    assert (camera.width, camera.height) == (400, 200)
    assert (camera.fx, camera.fy) == (500, pytest.approx(1010 / 3))
    assert (camera.cx, camera.cy) == (pytest.approx((700 + 0.5) / 2 - 0.5), pytest.approx((400 + 0.5) / 3 - 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "image size 0x900 is empty"),
        ({"k": [0.0] * 9, "rectified": False}, "fx = 0.0"),
        ({"k": [np.nan, *K[1:]], "rectified": False}, "fx = nan"),
        ({"k": [*K[:4], -5.0, *K[5:]], "rectified": False}, "fy = -5.0"),
        ({"k": [0.0] * 9, "p": [0.0] * 12}, "fx = 0.0.*calibrated"),
        ({"p": [np.nan, *P[1:]]}, "fx = nan"),
        ({"k": K[:8]}, "K needs 9 values, got 8"),
        ({"roi": (1000, 0, 700, 900)}, "ROI 700x900 at"),
        ({"binning_x": 2000}, "binning 2000x1"),
    ],
)
def test_unusable_cameras_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CameraError, match=message) as raised:
        build(**changes)
    assert not isinstance(raised.value, DistortionError)


@pytest.mark.parametrize(
    ("model", "d", "message"),
    [
        ("thin_prism", [0.1], "unknown distortion model 'thin_prism'; known: plumb_bob, rational_polynomial, equidistant"),
        ("plumb_bob", [0.1] * 8, "plumb_bob takes 5 distortion coefficients, got 8"),
        ("plumb_bob", [np.nan] * 5, "finite"),
    ],
)
def test_distortion_errors_are_told_apart(model: str, d: list[float], message: str) -> None:
    with pytest.raises(DistortionError, match=message):
        build(rectified=False, distortion_model=model, d=d)


def test_bad_distortion_does_not_hide_a_bad_focal_length() -> None:
    with pytest.raises(CameraError, match="fx = 0") as raised:
        build(rectified=False, k=[0.0] * 9, distortion_model="thin_prism", d=[0.1])
    assert not isinstance(raised.value, DistortionError)
