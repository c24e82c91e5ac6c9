# SPDX-License-Identifier: Apache-2.0
"""The estimator around a stand-in network: batching, order, sizes, focal length, what it refuses."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.resize import resize_depth, resize_image
from ssd_core.model.checkpoint import Checkpoint, open_checkpoint
from ssd_core.model.config import ModelDescription, TrainingCamera
from ssd_core.runtime.estimator import DepthEstimator, fitting_input_size
from ssd_core.weights import BUNDLED

SIZE = (28, 14)
PLAIN = ModelDescription(parametrisation="sigmoid_disparity", input_size=SIZE)
CAMERA = TrainingCamera(width=28, height=14, fx=20, fy=20)
FOCAL = ModelDescription(parametrisation="metric", input_size=SIZE, training_camera=CAMERA, focal_normalisation=True, trained=False)


class MeanBackend:
    """Depth is the mean of the three channels, in metres."""

    precision: Any = "fp32"
    max_batch = 2

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.intrinsics: list[npt.NDArray[np.float32] | None] = []
        self.busy = threading.Lock()

    def infer(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        assert self.busy.acquire(blocking=False), "two calls at once"
        try:
            assert images.flags["C_CONTIGUOUS"]
            self.batches.append(len(images))
            self.intrinsics.append(intrinsics)
            return images.mean(axis=-1, dtype=np.float32)
        finally:
            self.busy.release()

    def close(self) -> None:
        self.batches.append(-1)


def make(description: ModelDescription = PLAIN) -> tuple[DepthEstimator, MeanBackend]:
    backend: Any = MeanBackend()
    checkpoint = Checkpoint(Path("nowhere"), "stand-in", description, "0123456789abcdef")
    return DepthEstimator(checkpoint, "mean", backend, SIZE), backend


def picture(value: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    rows = np.linspace(0, value, size[1])[:, None, None]
    return np.broadcast_to(rows, (size[1], size[0], 3)).astype(np.uint8)


def test_the_input_size_fits_the_first_camera_that_is_known() -> None:
    description = open_checkpoint(BUNDLED).description
    wide, square = (PinholeCamera.from_field_of_view(1600, height, horizontal_degrees=70.0) for height in (500, 1600))
    assert fitting_input_size(BUNDLED, [None, wide, square]) == description.fitting_input_size((1600, 500)) != description.input_size
    assert fitting_input_size(BUNDLED, [None]) == description.input_size


def test_what_it_says_of_itself() -> None:
    estimator, _ = make()
    assert estimator.model_id == "stand-in@01234567"
    assert (estimator.backend, estimator.precision, estimator.input_size, estimator.max_batch) == ("mean", "fp32", SIZE, 2)
    assert (estimator.kind, estimator.min_depth, estimator.max_depth, estimator.is_trained) == ("metric", 0.1, 80, True)
    assert make(PLAIN.model_copy(update={"max_depth": 200.0, "trusted_depth": 80.0}))[0].max_depth == 80
    relative = ModelDescription(parametrisation="relative_inverse", input_size=SIZE)
    assert make(relative)[0].kind == make(relative)[0]([picture(9)])[0].kind == "relative_inverse"
    assert not make(FOCAL)[0].is_trained
    assert make(FOCAL)[0].needs_camera
    assert not estimator.needs_camera


def test_five_images_of_any_size_go_in_batches_and_come_back_in_order() -> None:
    estimator, backend = make()
    images = [picture(40 * index + 10, (28 + 10 * index, 30 + index)) for index in range(5)]
    sizes = [None, (56, 28), None, (280, 140), (14, 7)]
    maps = estimator(images, output_sizes=sizes)
    assert backend.batches == [2, 2, 1]
    for image, size, depth in zip(images, sizes, maps, strict=True):
        expected = resize_depth(resize_image(image, SIZE).mean(axis=-1, dtype=np.float32), size or SIZE)
        np.testing.assert_array_equal(depth.values, expected)
        assert depth.values.dtype == np.float32
    assert estimator([]) == []


def test_a_view_that_is_not_contiguous_is_fine() -> None:
    estimator, _ = make()
    image = picture(200)
    np.testing.assert_array_equal(estimator([image[:, ::-1]])[0].values, estimator([np.ascontiguousarray(image[:, ::-1])])[0].values)


def test_depth_follows_the_focal_length_at_the_networks_input() -> None:
    estimator, backend = make(FOCAL)
    image = picture(100, (280, 140))
    camera = PinholeCamera(280, 140, 400, 400, 140, 70)  # fx 40 at the network's input, twice that of training
    plain = make()[0]([image])[0].values
    np.testing.assert_allclose(estimator([image], [camera])[0].values, 2 * plain, rtol=1e-6)
    assert backend.intrinsics == [None]
    with pytest.raises(ValueError, match="needs the camera of every image"):
        estimator([image])
    with pytest.raises(ValueError, match="camera of 28x14 with an image of 280x140"):
        estimator([image], [camera.scaled(28, 14)])


def test_a_network_that_sees_its_camera_is_given_the_camera_of_its_input() -> None:
    estimator, backend = make(PLAIN.model_copy(update={"camera_input": True}))
    assert estimator.needs_camera
    estimator.warm_up()
    cameras = [PinholeCamera(280, 140, 400.0 + place, 300.0, 140.0, 60.0) for place in range(3)]
    estimator([picture(100, (280, 140))] * 3, cameras)
    _, first, second = backend.intrinsics
    assert first is not None and second is not None and first.dtype == np.float32 and first.flags["C_CONTIGUOUS"]
    # A tenth of the size; pixel centres are at whole numbers.
    np.testing.assert_allclose(first, [[[40.0 + place / 10, 0, 13.55], [0, 30, 5.55], [0, 0, 1]] for place in range(2)], rtol=1e-6)
    np.testing.assert_allclose(second[0, 0, 0], 40.2, rtol=1e-6)
    with pytest.raises(ValueError, match="needs the camera of every image"):
        estimator([picture(100)])


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_rgb_image_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(height, width, 3\) RGB is needed"):
        make()[0]([wrong])


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 images, 1 cameras and 2 output sizes"):
        make()[0]([picture(1), picture(2)], [None])


def test_overflow_is_an_error_not_a_depth() -> None:
    estimator, backend = make()
    backend.infer = lambda images, intrinsics: np.full(images.shape[:3], np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(FloatingPointError, match="aren't finite in fp32"):
        estimator([picture(3)])


def test_closing_twice_is_fine_and_calls_after_it_are_not() -> None:
    estimator, backend = make()
    estimator.warm_up(5)
    estimator.close()
    estimator.close()
    assert backend.batches == [1, 2, -1]
    with pytest.raises(RuntimeError, match="closed"):
        estimator([picture(1)])


def test_threads_take_turns() -> None:
    estimator, _ = make()
    failures: list[AssertionError] = []

    def work() -> None:
        try:
            for _ in range(50):
                estimator([picture(100)])
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
