# SPDX-License-Identifier: Apache-2.0
"""Depth images and scans in any order of arrival."""

import numpy as np
import pytest
from fake_source import CAMERA, true_depth

from ssd_core.evaluation.live import LiveAccuracy, LiveDepth, LiveScan
from ssd_core.geometry.camera import PinholeCamera

MS = 1_000_000


def depth(stamp_ms, factor=1.0, camera_name="front", camera=CAMERA):
    values = true_depth(0, camera) * np.float32(factor)
    return LiveDepth(camera_name, "optical", stamp_ms * MS, values, camera)


def scan(stamp_ms, shift=0.0):
    """The truth of frame 0 as points, in a lidar frame `shift` metres behind the camera."""
    rays, z = CAMERA.rays()[::3, ::3].reshape(-1, 2), true_depth(0)[::3, ::3].reshape(-1, 1)
    points = np.concatenate([rays * z, z + shift], axis=1)
    return LiveScan("lidar", stamp_ms * MS, points.astype(np.float32))


def standing(camera_frame, image_stamp, lidar_frame, scan_stamp):
    assert (camera_frame, lidar_frame) == ("optical", "lidar")
    return np.eye(4)


def test_a_right_and_a_wrong_image():
    live = LiveAccuracy(standing)
    live.add_depth(depth(100))
    assert live.figures() is None  # a nearer scan may still come
    live.add_scan(scan(110))
    assert live.figures()["abs_rel"] == pytest.approx(0, abs=1e-5) and live.figures()["d1"] == 1
    live.add_depth(depth(105, factor=1.5))
    assert live.figures()["abs_rel"] == pytest.approx(0.25, rel=1e-4) and live.figures()["d1"] == pytest.approx(0.5)
    assert live.measured == {"front": 2} and not live.unmatched


def test_the_nearest_scan_is_taken_and_the_motion_between_is_asked_for():
    asked = []

    def moving(camera_frame, image_stamp, lidar_frame, scan_stamp):
        asked.append((image_stamp // MS, scan_stamp // MS))
        motion = np.eye(4)
        motion[2, 3] = -2.0
        return motion

    live = LiveAccuracy(moving)
    for stamp in (0, 50, 100):
        live.add_scan(scan(stamp, shift=2.0))
    live.add_depth(depth(60))
    assert asked == [(60, 50)]
    assert live.figures()["abs_rel"] == pytest.approx(0, abs=1e-4)


def test_what_cannot_be_matched_is_counted_by_reason():
    live = LiveAccuracy(standing)
    live.add_depth(depth(100))
    live.add_scan(scan(400))
    unknown = LiveAccuracy(lambda *_: None)
    unknown.add_scan(scan(0))
    unknown.add_depth(depth(0))
    blind = LiveAccuracy(standing)
    blind.add_scan(LiveScan("lidar", 0, np.array([[0, 0, -5.0]], np.float32)))
    blind.add_depth(depth(0))
    assert live.unmatched == {"no lidar scan near its stamp": 1}
    assert unknown.unmatched == {"no transform from lidar to optical": 1}
    assert blind.unmatched == {"no lidar point in the image": 1}
    assert live.figures() is unknown.figures() is blind.figures() is None


def test_memory_is_bounded_and_a_jump_forgets():
    live = LiveAccuracy(standing, window=3)
    for stamp in range(1000):
        live.add_depth(depth(1000 + stamp))
    assert live.unmatched["no lidar scan came"] == 1000 - 64
    live.clock_jumped()
    live.add_scan(scan(5000))
    assert not live.measured
    for factor in (3.0, 1.1, 1.1, 1.1):
        live.add_depth(depth(5000, factor))
    assert live.figures()["abs_rel"] == pytest.approx(0.1, rel=1e-3)  # the window has forgotten the first


def test_cameras_apart_and_together():
    live = LiveAccuracy(standing)
    live.add_scan(scan(0))
    live.add_depth(depth(0, 1.2, "left"))
    live.add_depth(depth(0, 1.0, "right"))
    assert live.cameras == ["left", "right"]
    assert live.figures("left")["abs_rel"] == pytest.approx(0.2, rel=1e-3)
    assert live.figures()["abs_rel"] == pytest.approx(0.1, rel=1e-3)
    assert live.figures("rear") is None


def test_range_values_and_wrong_sizes():
    live = LiveAccuracy(standing, cap=40)
    live.add_scan(scan(0))
    beyond = depth(0)
    live.add_depth(beyond._replace(values=np.where(beyond.values > 9, np.inf, beyond.values).astype(np.float32)))
    assert live.figures()["abs_rel"] > 0.1
    with pytest.raises(ValueError, match="depth of 64x48 with a camera of 32x24"):
        live.add_depth(beyond._replace(camera=PinholeCamera(32, 24, 30, 30, 15, 10)))
