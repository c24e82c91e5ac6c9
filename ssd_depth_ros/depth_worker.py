# SPDX-License-Identifier: Apache-2.0
"""The thread between input and output: newest image of each camera in turn, decoded, through the network, published."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import ImageDecodeError
from ssd_core.images.resize import cover_size
from ssd_depth_ros.camera_outputs import CameraOutputs, DepthRange, Wanted
from ssd_depth_ros.camera_stream import CameraStream, ReceivedImage
from ssd_depth_ros.health import CameraHealth
from ssd_depth_ros.messages import DecodedImage, Size, decode_image_message, image_size
from ssd_depth_ros.parameters import Settings

ASPECT_CHANGE = 0.1
"""Relative difference between the aspect that suits the images and the network's from which the network is built anew."""
RESIZABLE_BACKENDS = ("torch", "openvino", "tensorrt")
_INFO_POLL = 0.05


class Estimator(Protocol):
    """What the node needs of ssd_core.runtime.estimator.DepthEstimator."""

    input_size: Size
    backend: str
    precision: Any
    max_batch: int
    model_id: str
    kind: Literal["metric", "relative_inverse"]
    min_depth: float
    max_depth: float
    is_trained: bool
    needs_camera: bool
    fallback: str

    def __call__(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[Size | None] | None = None,
    ) -> list[Any]:
        """Depth of each image."""
        ...

    def fitting_input_size(self, image_size: Size) -> Size:
        """What to build the network for, if images are of this size."""
        ...

    def warm_up(self, batch: int = 1) -> None:
        """Run once on nothing."""

    def close(self) -> None:
        """Free the network."""


EstimatorFactory = Callable[[Settings, Size | None], Estimator]
"""Loads the model of the settings at an input (width, height), None for the checkpoint's own."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """All that belongs to one camera."""

    stream: CameraStream
    outputs: CameraOutputs
    health: CameraHealth


@dataclasses.dataclass(frozen=True)
class _Frame:
    """One decoded image on its way through the network."""

    camera: Camera
    received: ReceivedImage
    wanted: Wanted
    image: DecodedImage
    intrinsics: PinholeCamera | None


class DepthWorker:
    """Owns the estimator and runs it on what the cameras hold, round robin, so that none starves.

    now: seconds of the node's clock, for the age of images; log: information for the user.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        estimator: Estimator,
        factory: EstimatorFactory,
        settings: Callable[[], Settings],
        now: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        self._cameras = cameras
        self.estimator = estimator
        self._factory = factory
        self._settings = settings
        self._now = now
        self._log = log
        self._next = 0
        self._size_settled = settings().input_size != (0, 0) or estimator.backend not in RESIZABLE_BACKENDS
        self._condition = threading.Condition()
        self._running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work."""
        self._running = True
        self._thread = threading.Thread(target=self._run, name="depth worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the image at hand, then stop."""
        with self._condition:
            self._running = False
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wake(self) -> None:
        """Tell that a camera may have something."""
        with self._condition:
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                taken = self._take()
                while self._running and not taken:
                    self._condition.wait(_INFO_POLL if any(camera.stream.is_waiting for camera in self._cameras) else None)
                    taken = self._take()
                if not self._running:
                    return
            self._process(taken)

    def _take(self) -> list[tuple[Camera, ReceivedImage]]:
        """The newest image of up to `max_batch` cameras, beginning behind the camera that was served last."""
        taken: list[tuple[Camera, ReceivedImage]] = []
        count = len(self._cameras)
        for step in range(count):
            index = (self._next + step) % count
            image = self._cameras[index].stream.take()
            if image is not None:
                taken.append((self._cameras[index], image))
                last = index
                if len(taken) >= self.estimator.max_batch:
                    break
        if taken:
            self._next = (last + 1) % count
        return taken

    def _process(self, taken: Sequence[tuple[Camera, ReceivedImage]]) -> None:
        settings = self._settings()
        frames = [frame for camera, image in taken if (frame := self._guarded(camera, "image", self._prepare, camera, image, settings))]
        if not frames:
            return
        for frame, depth in self._inferred(frames, settings):
            self._guarded(frame.camera, "output", self._publish, frame, depth, settings)

    def _inferred(self, frames: Sequence[_Frame], settings: Settings) -> list[tuple[_Frame, Any]]:
        """Frames with their depth; without those for which the network failed."""
        try:
            return list(zip(frames, self._estimate(frames, settings), strict=True))
        except Exception as error:  # noqa: BLE001  whatever the network throws, the robot's next image deserves a try
            if len(frames) > 1:  # one camera's trouble must not cost the others their depth
                return [pair for frame in frames for pair in self._inferred([frame], settings)]
            frames[0].camera.health.complain("inference", f"the network failed: {type(error).__name__}: {error}")
            return []

    def _guarded(self, camera: Camera, cause: str, step: Callable[..., Any], *arguments: Any) -> Any:
        """Run a step; a failure is counted and named, and costs this image only."""
        try:
            return step(*arguments)
        except ImageDecodeError as error:
            camera.health.complain(error.cause, f"{camera.stream.topic}: {error}; this image is skipped")
        except Exception as error:  # noqa: BLE001  one bad image must never end the node
            camera.health.complain(cause, f"{camera.stream.topic}: {type(error).__name__}: {error}; this image is skipped")
        return None

    def _prepare(self, camera: Camera, received: ReceivedImage, settings: Settings) -> _Frame | None:
        if camera.stream.went_back(received):
            camera.outputs.reset()
        wanted = camera.outputs.wanted(received.stamp_ns, settings.cloud_rate)
        if not wanted.network:
            self._publish_info_only(camera, received, wanted, settings)
            return None

        def needed(full_size: Size) -> Size:
            width, height = self.estimator.input_size
            if wanted.cloud:
                stride = settings.cloud_stride
                width, height = max(width, -(-full_size[0] // stride)), max(height, -(-full_size[1] // stride))
            return cover_size(full_size, (width, height))

        image = decode_image_message(received.message, needed)
        if not self._size_settled:
            self._settle_size(camera, image.full_size, settings)
        # A relative model asks for no lens, and without a cloud nobody misses one.
        asks = wanted.info or self.estimator.kind == "metric" or self.estimator.needs_camera
        intrinsics = camera.stream.camera_for(image.full_size) if asks else None
        if intrinsics is None and self.estimator.needs_camera:
            text = f"model {self.estimator.model_id} needs the focal length: no depth without a usable CameraInfo or the parameter fx"
            camera.health.complain("no_focal_length", text)
            return None
        if intrinsics is None:
            wanted = dataclasses.replace(wanted, cloud=False)
            if not wanted.network:
                return None
        return _Frame(camera, received, wanted, image, intrinsics)

    def _publish_info_only(self, camera: Camera, received: ReceivedImage, wanted: Wanted, settings: Settings) -> None:
        full_size = image_size(received.message) if wanted.info else None
        if full_size is None:
            return
        intrinsics = camera.stream.camera_for(full_size)
        if intrinsics is not None:
            size = full_size if settings.depth_resolution == "image" else self.estimator.input_size
            camera.outputs.publish_info(received.message.header, intrinsics, size)

    def _estimate(self, frames: Sequence[_Frame], settings: Settings) -> list[Any]:
        images = [frame.image.pixels for frame in frames]
        sizes = [frame.image.full_size if settings.depth_resolution == "image" else None for frame in frames]
        # The estimator is given the camera of the pixels it gets, which a JPEG decoder may have reduced.
        cameras = [
            None if frame.intrinsics is None else frame.intrinsics.scaled(image.shape[1], image.shape[0])
            for frame, image in zip(frames, images, strict=True)
        ]
        return self.estimator(images, cameras, sizes)

    def _publish(self, frame: _Frame, depth_map: Any, settings: Settings) -> None:
        depth = depth_map.values
        if self.estimator.kind == "metric" and settings.depth_scale != 1:
            depth = depth * np.float32(settings.depth_scale)
        header, limits = frame.received.message.header, self._limits(settings)
        if limits.minimum >= limits.maximum:
            frame.camera.health.complain(
                "depth_range",
                f"min_depth {limits.minimum:g} m isn't below max_depth {limits.maximum:g} m (0: the model's limit, times depth_scale): "
                "no pixel can be in between",
            )
        frame.camera.outputs.publish(frame.wanted, header, frame.image.pixels, frame.intrinsics, depth, limits, settings)
        frame.camera.health.image_published(time.monotonic() - frame.received.received, self._now() - frame.received.stamp_ns * 1e-9)

    def _limits(self, settings: Settings) -> DepthRange:
        minimum = settings.min_depth or self.estimator.min_depth * settings.depth_scale
        maximum = settings.max_depth or self.estimator.max_depth * settings.depth_scale
        cloud_range = settings.cloud_max_range or math.inf
        # What the depth image calls +Inf is no point either, hence the next smaller number.
        return DepthRange(minimum, maximum, min(cloud_range, float(np.nextafter(np.float32(maximum), np.float32(0)))))

    def _settle_size(self, camera: Camera, full_size: Size, settings: Settings) -> None:
        """Once, on the first image: rebuild the network if the checkpoint's aspect would squeeze this camera's image too much."""
        self._size_settled = True
        current = self.estimator.input_size
        size = self.estimator.fitting_input_size(full_size)
        if abs(size[0] / size[1] / (current[0] / current[1]) - 1) <= ASPECT_CHANGE:
            return
        self._log(
            f"images of {full_size[0]}x{full_size[1]} don't fit the network's {current[0]}x{current[1]}: "
            f"building it for {size[0]}x{size[1]} (set input_size to skip this)"
        )
        # An engine takes minutes to build, in which no depth would come; one that is there already takes a second.
        is_engine = self.estimator.backend == "tensorrt"
        quick = dataclasses.replace(settings, allow_engine_build=False, backend="tensorrt" if is_engine else settings.backend)
        try:
            resized = self._factory(quick, size)
            resized.warm_up(min(resized.max_batch, len(self._cameras)))
        except Exception as error:  # noqa: BLE001  the network that is running already is better than none
            camera.health.complain("input_size", f"the network can't be built for {size[0]}x{size[1]}: {error}")
            return
        self.estimator, old = resized, self.estimator
        old.close()
