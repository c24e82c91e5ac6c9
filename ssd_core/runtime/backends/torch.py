# SPDX-License-Identifier: Apache-2.0
"""The network in PyTorch: on an NVIDIA GPU, or on a CPU for comparison and where OpenVINO isn't to be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ssd_core.model.checkpoint import Checkpoint
from ssd_core.runtime.backends import BackendError, Precision
from ssd_core.runtime.backends.transfer import Transfer, memory_errors_in_words
from ssd_core.runtime.engine_cache import EngineCache
from ssd_core.runtime.overflow import TYPES, network_in

_CUDA_BATCH = 8
_FAST_FP16_SINCE = (7, 0)
"""Compute capability of the first GPUs with tensor cores; older ones are often slower in float16 than in float32."""


class TorchBackend:
    """Eager PyTorch, channels last.

    "auto" is fp16 on a GPU that is fast in it (finer than bf16, and layers that would overflow stay float32), bf16 on a CPU that
    multiplies it natively, else fp32. Nothing is built, so `cache` and `allow_build` mean nothing.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        input_size: tuple[int, int],
        precision: str,
        cache: EngineCache,  # noqa: ARG002
        batch: int = 1,
        allow_build: bool = True,  # noqa: ARG002
    ) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = _choose_precision(precision, device)
        # Batching gains nothing a frame on a CPU and costs latency.
        self.max_batch = max(batch, _CUDA_BATCH) if device.type == "cuda" else 1
        with memory_errors_in_words(f"model {checkpoint.model_id}"):
            network: Any = network_in(self.precision, checkpoint.load_model(), input_size, device)
            network.to(memory_format=torch.channels_last)
            self._transfer: Transfer | None = Transfer(network, network.example_inputs(self.max_batch), is_static=False)

    def infer(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """See `Backend.infer`."""
        if self._transfer is None:
            raise RuntimeError("this backend is closed")
        return self._transfer.run(images, intrinsics)

    def close(self) -> None:
        """Free the network's memory."""
        self._transfer = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _choose_precision(wanted: str, device: torch.device) -> Precision:
    if wanted == "auto":
        if device.type == "cuda":
            return "fp16" if torch.cuda.get_device_capability(device) >= _FAST_FP16_SINCE else "fp32"
        return "bf16" if cpu_multiplies_bf16() else "fp32"
    if wanted == "fp16" and device.type == "cpu":
        raise BackendError("precision 'fp16' needs a GPU with backend 'torch'; choose auto, fp32 or bf16")
    if wanted not in TYPES:
        raise BackendError(f"unknown precision {wanted!r}; choose auto, {', '.join(TYPES)}")
    return wanted


def cpu_multiplies_bf16() -> bool:
    """True where this CPU has bfloat16 instructions (AMX or AVX512_BF16)."""
    # torch has no public question for this; without the instructions bf16 works but is slower than fp32.
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
