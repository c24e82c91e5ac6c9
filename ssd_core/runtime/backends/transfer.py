# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's and TensorRT's networks share: pixels to the device and depth back, and words for too little memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssd_core.runtime.backends import BackendError


class Transfer:
    """A network with its buffers on a device: one copy of each input in, one copy of the depth out.

    On a GPU through page-locked memory and on a stream of its own, so that nothing else on the GPU is waited for.
    """

    def __init__(self, network: Callable[..., Tensor], example: Sequence[Tensor], is_static: bool) -> None:
        """network: what is called with inputs like `example`. example: of the largest batch, on the device.

        is_static: the network takes this batch only; a smaller one is filled up with what lies in the buffer from before.
        """
        self._network = network
        self._is_static = is_static
        self._device = example[0].device
        is_gpu = self._device.type == "cuda"
        self.batch = len(example[0])
        self._inputs = [tensor.clone() for tensor in example]
        self._staged = [torch.zeros(tensor.shape, dtype=tensor.dtype, pin_memory=is_gpu) for tensor in example]
        self._depth = torch.zeros(example[0].shape[:3], dtype=torch.float32, pin_memory=is_gpu)
        cuda: Any = torch.cuda
        self._stream = cuda.Stream(self._device) if is_gpu else None
        for staged, tensor in zip(self._staged, example, strict=True):
            staged.copy_(tensor)

    def run(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """As `Backend.infer`. Raises ValueError for another size or a larger batch, BackendError where memory is short."""
        count = len(images)
        if images.shape[1:] != self._staged[0].shape[1:] or not 0 < count <= self.batch:
            height, width = self._staged[0].shape[1:3]
            raise ValueError(f"images of shape {images.shape}: this network takes (1 to {self.batch}, {height}, {width}, 3)")
        given = [array for array in (images, intrinsics) if array is not None]
        if len(given) != len(self._staged):
            raise ValueError("intrinsics are needed by a network that sees its camera, and by no other")
        rows = self.batch if self._is_static else count
        for staged, array in zip(self._staged, given, strict=True):
            staged[:count].numpy()[...] = array
        with memory_errors_in_words(f"{rows} images at once"), torch.inference_mode(), self._on_stream():
            for tensor, staged in zip(self._inputs, self._staged, strict=True):
                tensor[:rows].copy_(staged[:rows], non_blocking=True)
            depth = self._network(*(tensor[:rows] for tensor in self._inputs))
            self._depth[:rows].copy_(depth, non_blocking=True)
            if self._stream is not None:
                self._stream.synchronize()
        return np.array(self._depth[:count].numpy())

    def _on_stream(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


@contextlib.contextmanager
def memory_errors_in_words(what: str) -> Iterator[None]:
    """Turn the GPU's being out of memory into a BackendError that says what to do; what torch held in reserve is freed."""
    try:
        yield
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        torch.cuda.empty_cache()
        raise BackendError(
            f"too little GPU memory for {what} ({str(error).splitlines()[0]}): end other programs on the GPU (nvidia-smi lists them), "
            "or take a smaller input_size or model"
        ) from error
