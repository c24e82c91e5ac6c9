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
from ssd_core.runtime.engine_cache import EngineCache
from ssd_core.runtime.export import FixedSizeNetwork

_TYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_CUDA_BATCH = 8


class TorchBackend:
    """Eager PyTorch, channels last. "auto" is bf16 where the hardware multiplies it natively (GPU: else fp16), else fp32."""

    def __init__(self, checkpoint: Checkpoint, input_size: tuple[int, int], precision: str, cache: EngineCache) -> None:  # noqa: ARG002
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = _choose_precision(precision, self._device)
        self.max_batch = _CUDA_BATCH if self._device.type == "cuda" else 1
        network: Any = FixedSizeNetwork(checkpoint.load_model(), input_size, _TYPES[self.precision])
        self._network: Any = network.to(self._device, memory_format=torch.channels_last)

    def infer(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """See `Backend.infer`."""
        if self._network is None:
            raise RuntimeError("this backend is closed")
        with torch.inference_mode():
            given = [torch.from_numpy(array).to(self._device) for array in (images, intrinsics) if array is not None]
            depth = self._network(*given)
        return np.asarray(depth.cpu().numpy(), dtype=np.float32)

    def close(self) -> None:
        """Free the network's memory."""
        self._network = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _choose_precision(wanted: str, device: torch.device) -> Precision:
    if wanted == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
        return "bf16" if cpu_multiplies_bf16() else "fp32"
    if wanted == "fp16" and device.type == "cpu":
        raise BackendError("precision 'fp16' needs a GPU with backend 'torch'; choose auto, fp32 or bf16")
    if wanted not in _TYPES:
        raise BackendError(f"unknown precision {wanted!r}; choose auto, {', '.join(_TYPES)}")
    return wanted


def cpu_multiplies_bf16() -> bool:
    """True where this CPU has bfloat16 instructions (AMX or AVX512_BF16)."""
    # torch has no public question for this; without the instructions bf16 works but is slower than fp32.
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
