# SPDX-License-Identifier: Apache-2.0
"""What the effects know of a picture: its light, where every pixel lies, what is ground and what is sky."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.data.intrinsics import assumed_camera
from ssd_core.gdt.physical.light import Array, blurred, decode, luminance, smooth_step
from ssd_core.gdt.translator import TranslationRequest, UntranslatableError
from ssd_core.geometry.camera import PinholeCamera

SKY_DEPTH = 2000.0
"""Metres that stand for the sky's distance."""

_USUAL_HEIGHT = 1.5
_HEIGHTS = 0.7, 3.2
_PLANE_SAMPLES, _PLANE_GUESSES = 1500, 80


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A picture of a clear day with its geometry, in the camera's optical frame (x right, y down, z forward), metres.

    light: (H, W, 3) linear. depth: (H, W) along z, finite, the sky at SKY_DEPTH. ray_x, ray_y: x/z and y/z, (1, W) and (H, 1), or (H, W)
    with a distorting lens. up: (3,) unit normal of the ground. camera_height: metres above it. height: (H, W) above it. ground, sky:
    (H, W) share of the pixel, 0 to 1. normals: (H, W, 3) of surfaces, towards the camera. focal: fx in pixels.
    """

    light: Array
    depth: Array
    ray_x: Array
    ray_y: Array
    up: Array
    camera_height: float
    height: Array
    ground: Array
    sky: Array
    normals: Array
    focal: float

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.depth.shape[1], self.depth.shape[0]

    @property
    def distance(self) -> Array:
        """(H, W) metres from the camera along the ray: what air is in between."""
        return np.asarray(self.depth * np.sqrt(1 + self.ray_x**2 + self.ray_y**2), dtype=np.float32)

    @property
    def forward(self) -> Array:
        """(3,) the optical axis laid on the ground: where the road goes."""
        axis = np.array([0, 0, 1], dtype=np.float32)
        along = axis - (axis @ self.up) * self.up
        return np.asarray(along / np.linalg.norm(along), dtype=np.float32)

    @property
    def right(self) -> Array:
        """(3,) unit vector on the ground, across `forward`."""
        return np.asarray(np.cross(self.forward, self.up), dtype=np.float32)

    def on_ground(self) -> tuple[Array, Array]:
        """Metres to the right and ahead, (H, W) each, of every pixel's point, seen from above."""
        across, along = (
            self.depth * (self.ray_x * axis[0] + self.ray_y * axis[1] + axis[2]).astype(np.float32) for axis in (self.right, self.forward)
        )
        return across, along

    def project(self, points: Array) -> Array:
        """Pixels (N, 2) of points (N, 3); by the middle of the lens alone, without its distortion."""
        x_at, y_at = self.ray_x[self.ray_x.shape[0] // 2], self.ray_y[:, self.ray_y.shape[1] // 2]
        columns, rows = np.arange(x_at.size), np.arange(y_at.size)
        slopes = (x_at[-1] - x_at[0]) / (x_at.size - 1), (y_at[-1] - y_at[0]) / max(y_at.size - 1, 1)
        u = (points[:, 0] / points[:, 2] - x_at[0]) / slopes[0] + columns[0]
        v = (points[:, 1] / points[:, 2] - y_at[0]) / slopes[1] + rows[0]
        return np.stack([u, v], axis=1).astype(np.float32)


def make_view(request: TranslationRequest) -> View:
    """The geometry of a request.

    Raises, naming the frame, ValueError for depth that isn't metric or isn't of the picture's size, UntranslatableError for depth that is
    unknown everywhere.
    """
    height, width = request.image.shape[:2]
    if request.depth_kind != "metric":
        raise ValueError(f"{request.frame_id}: relative depth says nothing of metres; give a model of metric depth")
    if request.depth.shape != (height, width):
        raise ValueError(
            f"{request.frame_id}: depth of {request.depth.shape[1]}x{request.depth.shape[0]} for a picture of {width}x{height}"
        )
    if not _is_known(request.depth).any():
        raise UntranslatableError(f"{request.frame_id}: depth is unknown everywhere")
    camera = request.camera or assumed_camera((width, height))
    ray_x, ray_y = _rays(camera.scaled(width, height))
    light = decode(request.image)
    brightness = luminance(light)
    filled = _filled(request.depth)
    generator = np.random.default_rng([request.seed, 1])
    up, camera_height = _ground_plane(filled, ray_x, ray_y, generator)
    towards_ground = -(ray_x * up[0] + ray_y * up[1] + up[2])
    sky = _sky(filled, brightness, towards_ground)
    plane_inverse = np.clip(towards_ground / camera_height, 0, None).astype(np.float32)
    # What is beyond range but below the horizon is far ground, at the nearest.
    depth = np.where(np.isposinf(filled), 1 / np.maximum(plane_inverse, np.float32(1 / SKY_DEPTH)), filled)
    mismatch = np.abs(plane_inverse * depth - 1)
    return View(
        light=light,
        depth=depth,
        ray_x=ray_x,
        ray_y=ray_y,
        up=up,
        camera_height=camera_height,
        height=np.asarray(camera_height - depth * towards_ground, dtype=np.float32),
        ground=np.asarray((1 - smooth_step(mismatch, 0.08, 0.16)) * (1 - sky), dtype=np.float32),
        sky=sky,
        normals=_normals(depth, ray_x, ray_y),
        focal=camera.scaled(width, height).fx,
    )


def _rays(camera: PinholeCamera) -> tuple[Array, Array]:
    if camera.is_distorted:
        rays = np.nan_to_num(camera.rays(), nan=0.0)
        return np.ascontiguousarray(rays[..., 0]), np.ascontiguousarray(rays[..., 1])
    x = (np.arange(camera.width, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (np.arange(camera.height, dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.fy)
    return x[None], y[:, None]


def _is_known(depth: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(~np.isnan(depth) & (depth != 0))


def _filled(depth: Array) -> Array:
    """Unknown pixels get the depth of the nearest known one, of which there must be one; too close is very near."""
    known = _is_known(depth)
    depth = np.where(np.isneginf(depth), np.float32(0.1), depth)
    if known.all():
        return np.asarray(depth, dtype=np.float32)
    _, labels = cv2.distanceTransformWithLabels((~known).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    values[labels[known]] = depth[known]
    return np.asarray(values[labels], dtype=np.float32)


def _ground_plane(depth: Array, ray_x: Array, ray_y: Array, generator: np.random.Generator) -> tuple[Array, float]:
    """(3,) unit normal upwards and the camera's height: the plane that most points of the lower middle lie on (RANSAC)."""
    height, width = depth.shape
    rows = generator.integers(int(0.55 * height), height, _PLANE_SAMPLES)
    columns = generator.integers(int(0.15 * width), int(0.85 * width), _PLANE_SAMPLES)
    z = depth[rows, columns].astype(np.float64)
    x = np.broadcast_to(ray_x, depth.shape)[rows, columns]
    y = np.broadcast_to(ray_y, depth.shape)[rows, columns]
    usable = z < 40
    rays = np.stack([x, y, np.ones_like(x)], axis=1)[usable].astype(np.float64)
    inverse = 1 / z[usable]
    best: npt.NDArray[np.floating] = np.array([0, 1, 0]) / _USUAL_HEIGHT
    most = 0.0
    for _ in range(_PLANE_GUESSES if len(inverse) >= 50 else 0):
        # Planes are linear in inverse depth: n . ray = h / z.
        picked = generator.choice(len(inverse), 3, replace=False)
        try:
            plane = np.linalg.solve(rays[picked], inverse[picked])
        except np.linalg.LinAlgError:
            continue
        size = float(np.linalg.norm(plane))
        if not (1 / _HEIGHTS[1] < size < 1 / _HEIGHTS[0] and plane[1] > 0.94 * size):
            continue
        support = float((np.abs(rays @ plane - inverse) < 0.06 * inverse).mean())
        if support > most:
            best, most = plane, support
    size = float(np.linalg.norm(best))
    return (-best / size).astype(np.float32), 1 / size


def _sky(depth: Array, brightness: Array, towards_ground: Array) -> Array:
    """Share of sky in each pixel: what is beyond range, above the horizon and bright; twigs in front of it stay."""
    upwards = towards_ground < 0
    beyond = np.isposinf(depth) & upwards
    if not beyond.any():
        # Depth of a network that knows no sky: smooth and bright places high up, far away.
        gradient = np.abs(cv2.Sobel(blurred(brightness, 1.5), cv2.CV_32F, 1, 1, ksize=3))
        beyond = (depth > 20) & (towards_ground < -0.04) & (brightness > 0.4) & (gradient < 0.02)
    if not beyond.any():
        return np.zeros_like(depth)
    candidates = cv2.dilate(beyond.astype(np.float32), np.ones((5, 5), dtype=np.uint8))
    inside = beyond.astype(np.float32)
    sigma = depth.shape[1] / 40
    local: Array = np.asarray(blurred(inside * brightness, sigma) / np.maximum(blurred(inside, sigma), 1e-3), dtype=np.float32)
    bright = smooth_step(np.asarray(brightness / np.maximum(local, 0.02), dtype=np.float32), 0.35, 0.75)
    edge = cv2.GaussianBlur(candidates, (0, 0), 1.0)
    return np.asarray(edge * np.maximum(bright, smooth_step(local, 0.05, 0.02)), dtype=np.float32)


def _normals(depth: Array, ray_x: Array, ray_y: Array) -> Array:
    """Unit normals (H, W, 3) by the slope of inverse depth, which is constant on a plane; smoothed, at half the picture's size.

    For a plane n . P = c, 1/z = n . ray / c, so that n is proportional to the derivatives of 1/z by x/z and y/z.
    """
    height, width = depth.shape
    half = max(2, width // 2), max(2, height // 2)
    inverse = cv2.resize(1 / depth, half, interpolation=cv2.INTER_AREA)
    inverse = cv2.GaussianBlur(cv2.medianBlur(inverse, 5), (0, 0), 1.5)
    step_x = np.float32((ray_x[0, -1] - ray_x[0, 0]) / (width - 1) * width / half[0])
    step_y = np.float32((ray_y[-1, 0] - ray_y[0, 0]) / (height - 1) * height / half[1])
    normals = np.empty((half[1], half[0], 3), dtype=np.float32)
    normals[..., 0] = cv2.Sobel(inverse, cv2.CV_32F, 1, 0, ksize=3, scale=0.125) / step_x
    normals[..., 1] = cv2.Sobel(inverse, cv2.CV_32F, 0, 1, ksize=3, scale=0.125) / step_y
    x, y = cv2.resize(np.broadcast_to(ray_x, depth.shape), half), cv2.resize(np.broadcast_to(ray_y, depth.shape), half)
    normals[..., 2] = inverse - x * normals[..., 0] - y * normals[..., 1]
    normals /= -np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    # At the rim the blur and the slope lack what lies outside.
    margin = min(4, half[0] // 4, half[1] // 4)
    inside = normals[margin : half[1] - margin, margin : half[0] - margin]
    normals = cv2.copyMakeBorder(inside, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(normals, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
