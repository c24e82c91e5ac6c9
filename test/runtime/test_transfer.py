# SPDX-License-Identifier: Apache-2.0
"""Buffers between numpy and a network on a device: right rows, right errors; on a GPU, where there is one, page-locked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssd_core.runtime.backends import BackendError
from ssd_core.runtime.backends.transfer import Transfer, memory_errors_in_words


def mean(images: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    return images.float().mean(-1)


def example(batch: int = 3, camera: bool = False) -> list[torch.Tensor]:
    images = torch.zeros(batch, 4, 6, 3, dtype=torch.uint8)
    return [images, torch.eye(3).repeat(batch, 1, 1)] if camera else [images]


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("is_static", [True, False])
def test_smaller_batches(is_static: bool) -> None:
    seen: list[int] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return mean(images)

    transfer = Transfer(network, example(), is_static)
    results = [transfer.run(pictures(count)) for count in (3, 1, 2)]
    for count, depth in zip((3, 1, 2), results, strict=True):
        np.testing.assert_allclose(depth, pictures(count).mean(-1), rtol=1e-6)
        assert depth.dtype == np.float32
    assert seen == ([3, 3, 3] if is_static else [3, 1, 2])


def test_intrinsics_go_along() -> None:
    transfer = Transfer(lambda images, cameras: mean(images) * cameras[:, 0, 0, None, None], example(camera=True), is_static=False)
    cameras = np.stack([np.eye(3), 2 * np.eye(3)]).astype(np.float32)
    np.testing.assert_allclose(transfer.run(pictures(2), cameras), pictures(2).mean(-1) * [[[1]], [[2]]], rtol=1e-6)
    with pytest.raises(ValueError, match="intrinsics are needed"):
        transfer.run(pictures(2))
    with pytest.raises(ValueError, match="intrinsics are needed"):
        Transfer(mean, example(), is_static=False).run(pictures(2), cameras)


def test_views_that_are_not_contiguous_are_fine() -> None:
    mirrored = pictures(2)[:, :, ::-1]
    np.testing.assert_allclose(Transfer(mean, example(), is_static=True).run(mirrored), mirrored.mean(-1), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 6, 4, 3), (4, 4, 6, 3), (0, 4, 6, 3), (1, 4, 6, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes \(1 to 3, 4, 6, 3\)"):
        Transfer(mean, example(), is_static=True).run(np.zeros(shape, np.uint8))


def test_too_little_memory_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))

    def network(_images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has\nand so on")

    with pytest.raises(BackendError, match=r"for 3 images at once \(CUDA out of memory\. Tried.*nvidia-smi.*smaller input_size"):
        Transfer(network, example(), is_static=True).run(pictures(1))
    assert freed == [True]
    with pytest.raises(RuntimeError, match="something else"), memory_errors_in_words("x"):
        raise RuntimeError("something else")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu() -> None:
    transfer = Transfer(mean, [tensor.cuda() for tensor in example()], is_static=True)
    np.testing.assert_allclose(transfer.run(pictures(2)), pictures(2).mean(-1), rtol=1e-5)
    assert transfer._staged[0].is_pinned() and transfer._depth.is_pinned() and transfer._stream is not None
