# SPDX-License-Identifier: Apache-2.0
"""The network in OpenVINO: the fast way on a CPU."""

from __future__ import annotations

import logging
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from ssd_core.model.checkpoint import Checkpoint, quiet_transformers
from ssd_core.runtime.backends import BackendError, Precision
from ssd_core.runtime.engine_cache import EngineCache, EngineKey
from ssd_core.runtime.graph_version import graph_version

_logger = logging.getLogger(__name__)

_GRAPH_FILE = "network.xml"


class OpenVinoBackend:
    """A graph of fixed size, converted once and kept in the cache. "auto" is bf16 where the CPU multiplies it natively, else fp32.

    Converting takes seconds, so it is done whatever `allow_build` says.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        input_size: tuple[int, int],
        precision: str,
        cache: EngineCache,
        batch: int = 1,  # noqa: ARG002
        allow_build: bool = True,  # noqa: ARG002
    ) -> None:
        core = openvino.Core()
        self.precision = choose_precision(precision)
        # Batching gains nothing a frame on a CPU and costs latency.
        self.max_batch = 1
        # The stored graph is float32 whatever precision it runs in, so both share an entry.
        key = EngineKey(checkpoint.weights_hash, input_size, self.max_batch, "fp32", "openvino", _versions())
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self.precision]}

        def build(folder: Path) -> None:
            _logger.info("compiling %s for %dx%d, takes about 10 s, once", checkpoint.model_id, *input_size)
            convert(checkpoint, input_size, folder / _GRAPH_FILE)

        def load(folder: Path) -> Any:
            return core.compile_model(folder / _GRAPH_FILE, "CPU", settings)

        self._request: Any = cache.get(key, build, load).create_infer_request()

    def infer(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """See `Backend.infer`."""
        if self._request is None:
            raise RuntimeError("this backend is closed")
        self._request.infer([array for array in (images, intrinsics) if array is not None], share_inputs=True)
        # The request owns its output and overwrites it at the next call.
        return np.array(self._request.get_output_tensor().data, dtype=np.float32)

    def close(self) -> None:
        """Free the network's memory."""
        self._request = None


def _versions() -> dict[str, str]:
    # Reading versions from the installed packages' metadata spares a warm start the seconds that importing torch takes.
    versions = {name: metadata.version(name) for name in ("openvino", "torch", "transformers")}
    return versions | {"graph": graph_version(__name__)}


def convert(checkpoint: Checkpoint, input_size: tuple[int, int], path: Path) -> None:
    """Write the network as OpenVINO's float32 graph, `path` (.xml) and the weights beside it (.bin)."""
    import torch

    from ssd_core.runtime.export import FixedSizeNetwork

    jit: Any = torch.jit
    network = FixedSizeNetwork(checkpoint.load_model(), input_size)
    example = network.example_inputs()
    with torch.no_grad(), warnings.catch_warnings(), quiet_transformers():
        # The tracer warns of shapes that become constants, which is the aim.
        warnings.simplefilter("ignore")
        # OpenVINO's own tracing would run the network twice more to check itself; the parity test does that for us.
        traced = jit.trace(network, example, check_trace=False)
        graph = openvino.convert_model(traced, example_input=example, input=[list(tensor.shape) for tensor in example])
    openvino.save_model(graph, path, compress_to_fp16=False)


def choose_precision(wanted: str) -> Precision:
    """What "auto" means on this CPU, or the wanted precision. Raises BackendError for one that it lacks."""
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if wanted == "auto":
        return "bf16" if has_bf16 else "fp32"
    if wanted == "fp32":
        return "fp32"
    if wanted == "bf16":
        if not has_bf16:
            raise BackendError("precision 'bf16': this CPU has no bfloat16 arithmetic (AVX512_BF16 or AMX); choose auto or fp32")
        return "bf16"
    raise BackendError(f"precision {wanted!r} isn't available with backend 'openvino'; choose auto, fp32 or bf16")
