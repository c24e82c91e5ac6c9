# SPDX-License-Identifier: Apache-2.0
"""A made-up recording: a ground plane and walls seen by cameras at known heights, with exact sparse depth."""

from __future__ import annotations

import numpy as np

from ssd_core.data.frame import Frame
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import ImageDecodeError
from ssd_core.runtime.estimator import DepthMap

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 30.0, 20.0)


def true_depth(number: int, camera: PinholeCamera = CAMERA) -> np.ndarray:
    """Ground 1.5 m below the camera, a wall whose distance depends on the frame's number."""
    rays = camera.rays()
    ground = np.where(rays[..., 1] > 0, 1.5 / np.maximum(rays[..., 1], 1e-6), np.inf)
    wall = 10.0 + 3 * number + 5 * rays[..., 0]
    return np.minimum(ground, wall).astype(np.float32)


class FakeSource:
    """`count` frames over `sequences` drives; every pixel's image value carries the frame's number, the truth is every third pixel."""

    def __init__(self, count=6, sequences=2, conditions=("day-clear", "night"), cameras=("front",), lidar=True, damaged=(), camera=CAMERA):
        self.warnings: list[str] = []
        self.opened: list[str] = []
        self._lidar, self._damaged = lidar, damaged
        self._frames = [
            Frame(
                f"{cameras[number % len(cameras)]}/{number}",
                f"drive{number % sequences}",
                cameras[number % len(cameras)],
                number,
                camera,
                condition=conditions[number % len(conditions)],
            )
            for number in range(count)
        ]

    def frames(self):
        return self._frames

    def image(self, frame, min_size=None):
        self.opened.append(frame.frame_id)
        if frame.stamp_ns in self._damaged:
            raise ImageDecodeError(f"{frame.frame_id}: damaged")
        return np.full((frame.camera.height, frame.camera.width, 3), frame.stamp_ns, dtype=np.uint8)

    def lidar_depth(self, frame):
        if not self._lidar:
            return None
        depth = true_depth(frame.stamp_ns, frame.camera)
        v, u = (index.ravel()[::3] for index in np.indices(depth.shape))
        return SparseDepth(u.astype(np.int32), v.astype(np.int32), depth[v, u])

    def close(self):
        pass


class Seer:
    """A predictor that knows the truth (by the image's value) and changes it by `error(depth, number)`."""

    kind = "metric"
    max_batch = 4

    def __init__(self, error=lambda depth, number: depth, model_id="seer@1", stop_after=None):
        self.model_id = model_id
        self._error, self._stop_after, self.calls = error, stop_after, 0

    def __call__(self, images, cameras=None, output_sizes=None):
        self.calls += 1
        if self._stop_after is not None and self.calls > self._stop_after:
            raise KeyboardInterrupt
        maps = []
        for image, camera in zip(images, cameras, strict=True):
            number = int(image[0, 0, 0])
            maps.append(DepthMap(self._error(self._seen(number, camera), number), self.kind))
        return maps

    @staticmethod
    def _seen(number, camera):
        """The mirrored camera looks at the mirrored world."""
        if camera.cx == CAMERA.cx:
            return true_depth(number, camera)
        assert camera == CAMERA.flipped(), "the mirrored image must come with the mirrored camera"
        return true_depth(number, CAMERA)[:, ::-1]
