# SPDX-License-Identifier: Apache-2.0
"""The one door to depth: images in, depth maps out, whatever the model and whatever runs it."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.resize import resize_depth, resize_image
from ssd_core.model.checkpoint import Checkpoint, ModelLoadError, open_checkpoint
from ssd_core.model.config import DepthKind, check_input_size
from ssd_core.runtime.backends import Backend, BackendError, backend_class, choose_backend
from ssd_core.runtime.engine_cache import EngineCache
from ssd_core.weights import BUNDLED

__all__ = ["BackendError", "DepthEstimator", "DepthKind", "DepthMap", "ModelLoadError", "fitting_input_size"]

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DepthMap:
    """Dense depth of one image."""

    values: npt.NDArray[np.float32]
    """(H, W) finite: metres along the optical axis Z (not ray length), or inverse depth up to an unknown scale and shift."""
    kind: DepthKind


def fitting_input_size(name_or_path: str | Path, cameras: Iterable[PinholeCamera | None]) -> tuple[int, int]:
    """The (width, height) to load a model at for images of the first camera that is known; the model's own if none is.

    Raises ModelLoadError.
    """
    description = open_checkpoint(name_or_path).description
    camera = next((camera for camera in cameras if camera is not None), None)
    return description.input_size if camera is None else description.fitting_input_size(camera.size)


class DepthEstimator:
    """A loaded model. Calls from several threads take turns. Build it with `load`."""

    def __init__(
        self, checkpoint: Checkpoint, backend_name: str, backend: Backend, input_size: tuple[int, int], fallback: str = ""
    ) -> None:
        self._backend: Backend | None = backend
        self._turn = threading.Lock()
        self._description = checkpoint.description
        self.input_size = input_size
        """(width, height) of the network's input."""
        self.backend = backend_name
        """Name of what runs it, such as "openvino"."""
        self.fallback = fallback
        """Why "auto" had to take a slower backend than this machine should run; empty where it hadn't."""
        self.precision = backend.precision
        self.max_batch = backend.max_batch
        """Images run at once; longer calls are cut into such pieces."""
        self.model_id = checkpoint.model_id
        """Name and short weights hash."""
        self.kind: DepthKind = checkpoint.description.kind
        self.min_depth = checkpoint.description.min_depth
        """Metres; with `max_depth` the range the model was made for."""
        self.max_depth = checkpoint.description.farthest
        self.is_trained = checkpoint.description.trained
        self.needs_camera = checkpoint.description.needs_camera
        """Whether every image must come with its camera."""

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = BUNDLED,
        backend: str = "auto",
        input_size: tuple[int, int] | None = None,
        precision: str = "auto",
        cache_folder: Path | None = None,
        batch: int = 1,
        allow_engine_build: bool = True,
    ) -> DepthEstimator:
        """Load a model: "bundled", a local folder, or a Hub id.

        backend: auto, tensorrt, openvino or torch. input_size: (width, height), multiples of 14; None is the model's own.
        precision: auto, fp32, bf16 or fp16. cache_folder: where compiled networks are kept; None is `default_cache_folder()`.
        batch: images that will come at once, such as a robot's cameras. allow_engine_build: False takes a TensorRT engine only where
        it is built already; "auto" then falls back to torch, and `fallback` says so.
        Raises ModelLoadError (a model that can't be used), BackendError (a backend or precision this machine lacks),
        ValueError (an input size that isn't a multiple of 14).
        """
        checkpoint = open_checkpoint(name_or_path)
        size = tuple(input_size) if input_size is not None else checkpoint.description.input_size
        check_input_size((size[0], size[1]))
        started = time.monotonic()

        def start(name: str) -> Backend:
            return backend_class(name)(checkpoint, (size[0], size[1]), precision, EngineCache(cache_folder), batch, allow_engine_build)

        name, running, fallback = _start(backend, start)
        _logger.info(
            "model %s at %dx%d on %s %s, loaded in %.1f s",
            checkpoint.model_id,
            *size,
            name,
            running.precision,
            time.monotonic() - started,
        )
        if not checkpoint.description.trained:
            _logger.warning("model %s has random weights (untrained): its depth means nothing", checkpoint.model_id)
        return cls(checkpoint, name, running, (size[0], size[1]), fallback)

    def __call__(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        """Depth of each image, in order.

        images: uint8 (H, W, 3) RGB, any sizes. cameras: each image's camera; required where the model normalises by focal length or
        sees its camera (`needs_camera`), else unused. output_sizes: (width, height) of each result, bilinear; None is the network's size.
        Raises ValueError (wrong images, missing camera), FloatingPointError (the network's arithmetic overflowed).
        """
        cameras = cameras if cameras is not None else [None] * len(images)
        output_sizes = output_sizes if output_sizes is not None else [None] * len(images)
        if not len(images) == len(cameras) == len(output_sizes):
            raise ValueError(f"{len(images)} images, {len(cameras)} cameras and {len(output_sizes)} output sizes: one of each is needed")
        scales = [self._focal_scale(image, camera) for image, camera in zip(images, cameras, strict=True)]
        intrinsics = self._intrinsics(cameras)
        maps = []
        for start in range(0, len(images), self.max_batch):
            piece = slice(start, start + self.max_batch)
            depths = self._infer([self._fit(image) for image in images[piece]], None if intrinsics is None else intrinsics[piece])
            for depth, scale, size in zip(depths, scales[start:], output_sizes[start:], strict=False):
                scaled = depth * np.float32(scale) if scale != 1 else depth
                maps.append(DepthMap(resize_depth(scaled, size or self.input_size), self.kind))
        return maps

    def fitting_input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """The (width, height) the network does best at for images of this size; see ModelDescription."""
        return self._description.fitting_input_size(image_size)

    def warm_up(self, batch: int = 1) -> None:
        """Run one black image, and `batch` of them, so that the first real calls aren't slow."""
        width, height = self.input_size
        camera = PinholeCamera.from_field_of_view(width, height, horizontal_degrees=70.0)
        for count in sorted({1, min(batch, self.max_batch)}):
            self._infer([np.zeros((height, width, 3), dtype=np.uint8)] * count, self._intrinsics([camera] * count))

    def close(self) -> None:
        """Free the network's memory; further calls raise RuntimeError."""
        with self._turn:
            if self._backend is not None:
                self._backend.close()
            self._backend = None

    def _fit(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"an image of shape {image.shape} {image.dtype}: uint8 (height, width, 3) RGB is needed")
        return resize_image(image, self.input_size)

    def _infer(self, images: Sequence[npt.NDArray[np.uint8]], intrinsics: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32]:
        pixels = np.ascontiguousarray(images[0])[None] if len(images) == 1 else np.stack(images)
        with self._turn:
            if self._backend is None:
                raise RuntimeError("this estimator is closed")
            depth = self._backend.infer(pixels, intrinsics)
        if not np.isfinite(depth).all():
            raise FloatingPointError(
                f"model {self.model_id} gave values that aren't finite in {self.precision}; load it with precision fp32"
            )
        return depth

    def _focal_scale(self, image: npt.NDArray[np.uint8], camera: PinholeCamera | None) -> float:
        if not self.needs_camera:
            return 1.0
        if camera is None:
            raise ValueError(f"model {self.model_id} needs the camera of every image: its depth depends on the lens")
        if camera.size != (image.shape[1], image.shape[0]):
            raise ValueError(f"a camera of {camera.width}x{camera.height} with an image of {image.shape[1]}x{image.shape[0]}")
        return self._description.focal_scale(camera.fx, camera.width, self.input_size[0])

    def _intrinsics(self, cameras: Sequence[PinholeCamera | None]) -> npt.NDArray[np.float32] | None:
        """(N, 3, 3) in pixels of the network's input, for a network that sees its camera."""
        if not self._description.camera_input:
            return None
        return np.stack([camera.scaled(*self.input_size).matrix for camera in cameras if camera is not None]).astype(np.float32)


def _start(backend: str, start: Callable[[str], Backend]) -> tuple[str, Backend, str]:
    """Name and backend, and why "auto" fell back from TensorRT to torch if it did."""
    name = choose_backend() if backend == "auto" else backend
    try:
        return name, start(name), ""
    except BackendError as error:
        if backend != "auto" or name != "tensorrt":
            raise
        fallback = str(error)
    _logger.warning("torch runs the network in TensorRT's place, slower: %s", fallback)
    return "torch", start("torch"), fallback
