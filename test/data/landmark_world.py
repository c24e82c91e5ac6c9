# SPDX-License-Identifier: Apache-2.0
"""A world of bright points on black, seen by cameras and a lidar: what loaders must get right, computed without them."""

from __future__ import annotations

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 180
INTRINSICS = np.array([[200.0, 0, 158.25], [0, 210.0, 91.75], [0, 0, 1]])
# Far enough ahead and apart that every blob stays in every picture and never touches another. x forward, y left, z up.
LANDMARKS = np.array([[x, y, z] for x in (22.0, 31.0) for y in (-2.0, 0.35, 1.2) for z in (-0.7, 1.1)])
LANDMARKS[:, 1] *= np.where(LANDMARKS[:, 0] < 25, 2.6, 5.3)
LANDMARKS[:, 2] = LANDMARKS[:, 2] * np.where(LANDMARKS[:, 0] < 25, 2.2, 5.9) + 1.5
OPTICAL_FROM_FORWARD = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # x right, y down, z forward


def matrix_of(w: float, x: float, y: float, z: float) -> np.ndarray:
    """The rotation matrix of a quaternion, written out."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_of(matrix: np.ndarray) -> list[float]:
    """w, x, y, z of a rotation matrix (the eigenvector way; no sign convention)."""
    m = matrix
    k = np.array(
        [
            [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]],
        ]
    )
    values, vectors = np.linalg.eigh(k)
    return [float(value) for value in vectors[:, np.argmax(values)]]


def yaw(angle: float) -> np.ndarray:
    """A turn to the left about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def motion(rotation: np.ndarray, translation: np.ndarray | list[float]) -> np.ndarray:
    """(4, 4)"""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, translation
    return pose


def vehicle_pose(seconds: float, speed: float = 8.0) -> np.ndarray:
    """World from vehicle: drives ahead and turns a little (so that wrong poses show)."""
    return motion(yaw(0.12 * seconds if speed else 0.0), [speed * seconds, 0.4 * seconds if speed else 0.0, 0.0])


def pixels_of(points: np.ndarray, world_from_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and depths (N,) of world points."""
    local = (points - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    projected = local @ INTRINSICS.T
    return projected[:, :2] / projected[:, 2:], local[:, 2]


def picture(world_from_camera: np.ndarray) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8: a round blob at every landmark's exact place."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    image = np.zeros((HEIGHT, WIDTH))
    for pixel, depth in zip(*pixels_of(LANDMARKS, world_from_camera), strict=True):
        if depth > 0:
            image += 220 * np.exp(-((u - pixel[0]) ** 2 + (v - pixel[1]) ** 2) / (2 * 1.5**2))
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def blob_near(image: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Centre of the light within 6 pixels of `pixel`."""
    left, top = np.floor(pixel + 0.5).astype(int) - 6
    assert 0 <= left <= WIDTH - 13 and 0 <= top <= HEIGHT - 13, f"landmark at {pixel} is too near the border"
    light = image[top : top + 13, left : left + 13, 0].astype(np.float64)
    light[light < 15] = 0
    assert light.sum() > 500, f"no light at {pixel}"
    v, u = np.mgrid[top : top + 13, left : left + 13]
    return np.array([(light * u).sum(), (light * v).sum()]) / light.sum()


def scan(world_from_lidar: np.ndarray) -> np.ndarray:
    """The landmarks as (N, 3) float32 points in the lidar's frame."""
    return ((LANDMARKS - world_from_lidar[:3, 3]) @ world_from_lidar[:3, :3]).astype(np.float32)


def encoded(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, 97] if suffix == ".jpg" else [])[1].tobytes()


def check_reprojection(source, frame, look_up) -> None:
    """Lidar depth of `frame` lies on its blobs, and through the poses of the frames beside it on theirs, within 0.5 px."""
    depth = source.lidar_depth(frame)
    image = source.image(frame)
    expected, z = pixels_of(LANDMARKS, frame.world_from_camera)
    assert len(depth.z) == len(LANDMARKS)
    for pixel, metres in zip(expected, z, strict=True):
        column, row = np.floor(pixel + 0.5).astype(int)
        found = depth.z[(depth.u == column) & (depth.v == row)]
        np.testing.assert_allclose(found, [metres], rtol=1e-5)
        assert np.linalg.norm(blob_near(image, pixel) - pixel) < 0.5
    beside = [look_up(frame_id) for frame_id in (frame.previous_id, frame.next_id) if frame_id is not None]
    assert beside, "no neighbour to check against"
    camera_points = np.column_stack([(np.column_stack([expected, np.ones(len(z))]) @ np.linalg.inv(INTRINSICS).T) * z[:, None]])
    world = camera_points @ frame.world_from_camera[:3, :3].T + frame.world_from_camera[:3, 3]
    for neighbour in beside:
        seen = source.image(neighbour)
        local = (world - neighbour.world_from_camera[:3, 3]) @ neighbour.world_from_camera[:3, :3]
        for pixel in neighbour.camera.project(local):
            assert np.linalg.norm(blob_near(seen, pixel) - pixel) < 0.5
