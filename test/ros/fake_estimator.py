# SPDX-License-Identifier: Apache-2.0
"""A test double of the estimator: known depth instead of a network."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.resize import resize_depth
from ssd_core.model.config import suggest_input_size
from ssd_core.runtime.estimator import DepthMap


class FakeEstimator:
    """Returns `depth` (a number, or a function of the image and its camera). `gate` blocks inference until it is set."""

    precision = "fp32"
    model_id = "fake-12345678"
    min_depth = 0.1
    max_depth = 80.0
    is_trained = True
    needs_camera = False
    fallback = ""

    def __init__(
        self,
        depth: float | Callable[[np.ndarray, PinholeCamera | None], np.ndarray] = 5.0,
        input_size: tuple[int, int] = (56, 42),
        max_batch: int = 1,
        kind: str = "metric",
        backend: str = "fake",
    ) -> None:
        self.depth, self.input_size, self.max_batch, self.kind, self.backend = depth, input_size, max_batch, kind, backend
        self.calls: list[list[np.ndarray]] = []
        self.cameras: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.failure: Exception | None = None

    def fitting_input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return suggest_input_size(image_size[0] / image_size[1], self.input_size)

    def __call__(
        self,
        images: Sequence[np.ndarray],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        self.calls.append(list(images))
        self.cameras.append(list(cameras or []))
        assert self.gate.wait(20)
        if self.failure is not None:
            raise self.failure
        maps = []
        for image, camera, size in zip(images, cameras or [None] * len(images), output_sizes or [None] * len(images), strict=True):
            width, height = size or self.input_size
            if callable(self.depth):
                values = self.depth(image, camera.scaled(width, height) if camera else None)
            else:
                values = np.full((height, width), self.depth, np.float32)
            maps.append(DepthMap(resize_depth(values.astype(np.float32), (width, height)), self.kind))
        return maps

    def warm_up(self, batch: int = 1) -> None:
        pass

    def close(self) -> None:
        self.closed = True
