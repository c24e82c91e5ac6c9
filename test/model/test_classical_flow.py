# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from ssd_core.model.classical_flow import Field, Grey, dense_flow, flow_over_road

HEIGHT, WIDTH, FOCAL, HORIZON = 120, 200, 150.0, 50.0
MATRIX = np.array([[FOCAL, 0, 99.5], [0, FOCAL, HORIZON], [0, 0, 1]], dtype=np.float32)
CAMERA_HEIGHT = 1.6


def road_picture(driven: float, contrast: float = 12.0, turned: float = 0.0) -> Grey:
    """Faint asphalt under a wall at 30 m, from a camera that drove so many metres towards it, and turned by so many radians."""
    generator = np.random.default_rng(3)
    asphalt = cv2.GaussianBlur(generator.normal(0, 1, (800, 800)).astype(np.float32), (0, 0), 1.5)
    asphalt = 110 + contrast * asphalt / asphalt.std()
    wall = cv2.GaussianBlur(generator.uniform(0, 255, (800, 800)).astype(np.float32), (0, 0), 6)
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    x, y = (u - 99.5) / FOCAL + turned, (v - HORIZON) / FOCAL
    depth = np.minimum(CAMERA_HEIGHT / np.maximum(y, 1e-3), 30.0 - driven)
    is_road = depth < 30.0 - driven
    # Twenty cells of asphalt a metre.
    on_road = cv2.remap(asphalt, 400 + 20 * x * depth, (20 * (depth + driven)) % 800, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    on_wall = cv2.remap(wall, 400 + 20 * x * depth, 400 + 20 * y * depth, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(np.where(is_road, on_road, on_wall).clip(0, 255), dtype=np.uint8)


def true_flow(driven: float) -> tuple[Field, Field]:
    """Pixels (u, v) of the road near the camera, and where that is."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    depth = CAMERA_HEIGHT / np.maximum((v - HORIZON) / FOCAL, 1e-3)
    nearer = depth / np.maximum(depth - driven, 0.1)
    flow = np.stack([(u - 99.5) * (nearer - 1), (v - HORIZON) * (nearer - 1)])
    reached = np.stack([u, v]) + flow
    seen = (v > 75) & (reached[0] > 2) & (reached[0] < WIDTH - 3) & (reached[1] < HEIGHT - 3)
    return flow.astype(np.float32), seen


@pytest.mark.parametrize("driven", [1.0, -1.0, 0.35])
def test_faint_asphalt_is_found_where_it_went_and_plain_search_loses_it(driven: float) -> None:
    current, neighbour = road_picture(0.0), road_picture(driven)
    truth, seen = true_flow(driven)
    helped, weight = flow_over_road(current, neighbour, MATRIX)
    plain, _ = dense_flow(current, neighbour)
    errors = {name: float(np.median(np.linalg.norm(flow - truth, axis=0)[seen])) for name, flow in (("helped", helped), ("plain", plain))}
    # The road that is drawn first is 1.5 m below the camera, this one 1.6 m.
    assert errors["helped"] < 0.25
    if abs(driven) == 1.0:
        assert errors["plain"] > 3 * errors["helped"]
    assert weight[seen].mean() > 0.6 and weight.min() >= 0 and weight.max() <= 1


def test_what_the_other_picture_does_not_show_has_no_weight() -> None:
    current, neighbour = road_picture(0.0), road_picture(1.5)
    _, weight = flow_over_road(current, neighbour, MATRIX)
    # The lowest rows have gone under the picture's edge.
    assert weight[-8:].max() == 0


def test_a_camera_that_stands_or_sees_no_road_has_plain_flow() -> None:
    still = road_picture(0.0)
    flow, weight = flow_over_road(still, still, MATRIX)
    assert np.abs(flow).max() < 1e-3 and weight.min() > 0.99
    up = MATRIX.copy()
    up[1, 2] = HEIGHT + 20.0
    neighbour = road_picture(0.0, turned=0.02)
    for helped, plain in zip(flow_over_road(still, neighbour, up), dense_flow(still, neighbour), strict=True):
        np.testing.assert_array_equal(helped, plain)


def test_a_turn_is_found_beside_the_drive() -> None:
    current, neighbour = road_picture(0.0), road_picture(1.0, turned=0.01)
    truth, seen = true_flow(1.0)
    flow, _ = flow_over_road(current, neighbour, MATRIX)
    # Turning to the right moves all to the left.
    assert float(np.median((flow - truth)[0][seen])) == pytest.approx(-0.01 * FOCAL, abs=0.3)
    assert abs(float(np.median((flow - truth)[1][seen]))) < 0.3
