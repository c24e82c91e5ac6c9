# SPDX-License-Identifier: Apache-2.0
"""Ways to run the network. A new one is a module with a class like `Backend` and a line in `BACKENDS`."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ssd_core.model.checkpoint import Checkpoint
from ssd_core.runtime.engine_cache import EngineCache

Precision = Literal["fp32", "bf16", "fp16"]

BACKENDS = {
    "tensorrt": "ssd_core.runtime.backends.tensorrt:TensorRtBackend",
    "openvino": "ssd_core.runtime.backends.openvino:OpenVinoBackend",
    "torch": "ssd_core.runtime.backends.torch:TorchBackend",
}
"""Name to `module:class`; the module is imported only when chosen."""


class BackendError(ValueError):
    """A backend or precision that this machine can't run; the message names what it can."""


class Backend(Protocol):
    """One compiled network of a fixed input size."""

    precision: Precision
    max_batch: int
    """Images that one call of `infer` may hold."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        input_size: tuple[int, int],
        precision: str,
        cache: EngineCache,
        batch: int = 1,
        allow_build: bool = True,
    ) -> None:
        """Build or load. precision: "auto" or one of `Precision`. batch: images that will come at once.

        allow_build: whether minutes may be spent on compiling. Raises ModelLoadError, BackendError.
        """

    def infer(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """uint8 RGB (B, H, W, 3) -> float32 (B, H, W). intrinsics: float32 (B, 3, 3) for networks with `camera_input`, else None."""
        ...

    def close(self) -> None:
        """Free the network's memory."""


def backend_class(name: str) -> type[Backend]:
    """The class behind a backend's name. Raises BackendError for an unknown name or a library that isn't installed."""
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}; known: auto, {', '.join(BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    try:
        found: type[Backend] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise BackendError(f"backend {name!r} can't be imported ({error}); install its library or choose another backend") from error
    return found


def choose_backend() -> str:
    """What "auto" means here: on an NVIDIA GPU tensorrt, or torch without Torch-TensorRT; else openvino, else torch."""
    if _has_cuda():
        return "tensorrt" if importlib.util.find_spec("torch_tensorrt") else "torch"
    return "openvino" if importlib.util.find_spec("openvino") else "torch"


def _has_cuda() -> bool:
    # Importing torch takes seconds; without a device node there is nothing to ask it.
    if not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvmap")):
        return False
    import torch

    return torch.cuda.is_available()
