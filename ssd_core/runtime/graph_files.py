# SPDX-License-Identifier: Apache-2.0
"""The network as a file for other programs: written, and run from the file to see that it is the same network."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssd_core.model.checkpoint import Checkpoint, quiet_transformers
from ssd_core.model.config import DepthKind
from ssd_core.runtime.backends import Backend, BackendError, Precision, backend_class
from ssd_core.runtime.engine_cache import EngineCache
from ssd_core.runtime.parity import Parity
from ssd_core.storage.configuration import StrictModel

FileKind = Literal["onnx", "openvino", "tensorrt"]

SUFFIXES: dict[FileKind, str] = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".pt2"}
"""Kind to suffix; an OpenVINO graph has its weights in a .bin beside it."""


def write_graph(kind: FileKind, checkpoint: Checkpoint, input_size: tuple[int, int], precision: str, batch: int, path: Path) -> Backend:
    """Write the network for one input size (width, height) and batch, and open the file again as a `Backend`.

    The network's inputs are uint8 RGB (batch, H, W, 3), and float32 intrinsics (batch, 3, 3) where it sees its camera.
    Raises BackendError for a precision or batch this kind doesn't have, and where a library is missing.
    """
    if kind == "onnx":
        if precision not in ("auto", "fp32"):
            raise BackendError(f"precision {precision!r}: ONNX files are written in fp32; what runs them can convert them")
        _write_onnx(checkpoint, input_size, batch, path)
        return GraphFile(path, "fp32", batch)
    if batch != 1:
        raise BackendError(f"batch {batch}: OpenVINO graphs are written for one image, since batches gain nothing on a CPU")
    from ssd_core.runtime.backends.openvino import choose_precision, convert

    convert(checkpoint, input_size, path)
    return GraphFile(path, choose_precision(precision), batch)


def build_engine(
    checkpoint: Checkpoint, input_size: tuple[int, int], precision: str, batch: int, cache: EngineCache
) -> tuple[Backend, Path]:
    """The TensorRT backend, its engines built or found in the cache, and the file of the engine for `batch`. Raises BackendError."""
    backend: Any = backend_class("tensorrt")(checkpoint, input_size, precision, cache, batch)
    return backend, backend.engine_files[batch]


class GraphDescription(StrictModel):
    """What lies beside a written graph: inputs, output and how far it is from the network; the file itself can't say it."""

    model: str
    trained: bool
    kind: DepthKind
    inputs: dict[str, str]
    """Name to type and shape."""
    output: str
    precision: Precision
    min_depth: float
    max_depth: float
    canonical_focal_length: float | None
    """fx in pixels at the network's input for which the output is metres; for another lens multiply by fx over this. None: for any."""
    mean_difference: float
    """Relative, from PyTorch in float32."""
    p99_difference: float
    accuracy: dict[str, Any]
    """absRel of PyTorch and of the graph on a recording, where it was measured."""


def describe_graph(
    checkpoint: Checkpoint, input_size: tuple[int, int], backend: Backend, parity: Parity, accuracy: dict[str, Any]
) -> GraphDescription:
    """The description of a graph that `backend` runs."""
    description, shape = checkpoint.description, f"{backend.max_batch}, {input_size[1]}, {input_size[0]}"
    inputs = {"images": f"uint8 ({shape}, 3) RGB"}
    if description.camera_input:
        inputs["intrinsics"] = f"float32 ({backend.max_batch}, 3, 3) in pixels of these images"
    return GraphDescription(
        model=checkpoint.model_id,
        trained=description.trained,
        kind=description.kind,
        inputs=inputs,
        output=f"float32 ({shape}), {'metres' if description.kind == 'metric' else 'inverse depth up to scale and shift'}",
        precision=backend.precision,
        min_depth=description.min_depth,
        max_depth=description.max_depth,
        canonical_focal_length=description.canonical_focal_length,
        mean_difference=parity.mean,
        p99_difference=parity.p99,
        accuracy=accuracy,
    )


class GraphFile:
    """An .onnx or OpenVINO .xml file as a `Backend`: ONNX Runtime runs .onnx where it is installed, else OpenVINO does both."""

    def __init__(self, path: Path, precision: Precision, batch: int) -> None:
        self.precision = precision
        self.max_batch = batch
        self._run: Any = _onnx_session(path) if path.suffix == ".onnx" and importlib.util.find_spec("onnxruntime") else None
        self.runtime = "ONNX Runtime" if self._run is not None else "OpenVINO"
        """What runs the file."""
        if self._run is None:
            self._run = _openvino_request(path, precision)

    def infer(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """See `Backend.infer`."""
        if self._run is None:
            raise RuntimeError("this backend is closed")
        count = len(images)
        given = [_filled(array, self.max_batch) for array in (images, intrinsics) if array is not None]
        return np.array(self._run(given)[:count], dtype=np.float32)

    def close(self) -> None:
        """Free the network's memory."""
        self._run = None


def _filled(array: npt.NDArray[Any], batch: int) -> npt.NDArray[Any]:
    """(batch, ...): the last one repeated; the file takes no smaller batch."""
    return np.concatenate([array, array[-1:].repeat(batch - len(array), axis=0)]) if len(array) < batch else array


def _openvino_request(path: Path, precision: Precision) -> Any:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision]}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()

    def run(inputs: list[npt.NDArray[Any]]) -> Any:
        request.infer(inputs, share_inputs=True)
        return request.get_output_tensor().data

    return run


def _onnx_session(path: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def _write_onnx(checkpoint: Checkpoint, input_size: tuple[int, int], batch: int, path: Path) -> None:
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise BackendError(f'writing ONNX files needs {" and ".join(missing)}: pip install -e ".[onnx]" in a clone of this repository')
    import torch

    from ssd_core.runtime.export import FixedSizeNetwork, export_program

    names = ["images", "intrinsics"] if checkpoint.description.camera_input else ["images"]
    with quiet_transformers():
        program = export_program(FixedSizeNetwork(checkpoint.load_model(), input_size), batch)
        torch.onnx.export(
            program, (), path, dynamo=True, input_names=names, output_names=["depth"], external_data=False, verbose=False, optimize=True
        )
