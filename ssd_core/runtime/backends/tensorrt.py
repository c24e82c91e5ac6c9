# SPDX-License-Identifier: Apache-2.0
"""The network in TensorRT, through Torch-TensorRT: the fast way on an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ssd_core.model.checkpoint import Checkpoint, quiet_transformers
from ssd_core.runtime.backends import BackendError, Precision
from ssd_core.runtime.backends.transfer import Transfer, memory_errors_in_words
from ssd_core.runtime.engine_cache import EngineCache, EngineKey, EngineMissingError
from ssd_core.runtime.export import FixedSizeNetwork, example_inputs, export_program
from ssd_core.runtime.graph_version import graph_version
from ssd_core.runtime.overflow import TYPES, network_in
from ssd_core.runtime.parity import Parity, compare_depth
from ssd_core.runtime.sample_pictures import sample_cameras, sample_pictures
from ssd_core.storage.atomic_write import atomic_write, atomic_write_text

_logger = logging.getLogger(__name__)

ENGINE_FILE = "engine.pt2"
"""An exported program (torch.export.save) with the TensorRT engine in it."""
REPORT_FILE = "report.json"
DEVICE = torch.device("cuda")

_OLDEST_LIBRARY = (2, 8)
"""The newest Torch-TensorRT for JetPack 6, which most robots with a Jetson have."""
_ALWAYS_TYPED_SINCE = (2, 13)
"""Before, engines had to be told to keep the number formats of the graph, which decides what runs in float32; now there is no other way."""
_OLDEST_GPU = (7, 5)
_TIMING_FILE = "timing_cache.bin"
_NEWS_PERIOD = 20.0
"""Seconds between two signs of life while an engine is built."""


class TensorRtBackend:
    """Engines of fixed sizes, one for a single image and one for `batch` images, built once and kept in the cache.

    "auto" is fp16, with the layers that would overflow in float32. A new engine is compared with the float32 network before it is kept.
    Raises BackendError where TensorRT or a GPU for it is missing, where an engine can't be built or differs from the network, and
    where there is none and `allow_build` is False.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        input_size: tuple[int, int],
        precision: str,
        cache: EngineCache,
        batch: int = 1,
        allow_build: bool = True,
    ) -> None:
        library = load_library()
        check_gpu()
        self.precision = _choose_precision(precision)
        self.max_batch = batch
        versions = engine_versions(library)
        self._transfers: dict[int, Transfer] = {}
        self.engine_files: dict[int, Path] = {}
        """Batch to the engine's file in the cache (which isn't there where the cache can't be written)."""
        for count in sorted({1, batch}):
            key = EngineKey(checkpoint.weights_hash, input_size, count, self.precision, "tensorrt", versions)
            builder = EngineBuilder(library, checkpoint, key, cache.folder / "tensorrt_timing")
            self.engine_files[count] = cache.entry(key) / ENGINE_FILE
            with memory_errors_in_words(f"model {checkpoint.model_id} in TensorRT"):
                engine = _get_engine(cache, key, builder, allow_build)
                self._transfers[count] = Transfer(engine, example_inputs(checkpoint.description, input_size, count, DEVICE), is_static=True)

    def infer(self, images: npt.NDArray[np.uint8], intrinsics: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """See `Backend.infer`; between 1 and `max_batch` images the larger engine runs, filled up."""
        if not self._transfers:
            raise RuntimeError("this backend is closed")
        return self._transfers[1 if len(images) == 1 else self.max_batch].run(images, intrinsics)

    def close(self) -> None:
        """Free the network's memory."""
        self._transfers = {}
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class EngineBuilder:
    """Builds one engine into a folder, and loads it from there."""

    def __init__(self, library: Any, checkpoint: Checkpoint, key: EngineKey, timing_folder: Path) -> None:
        self._library = library
        self._checkpoint = checkpoint
        self._key = key
        hardware = {name: version for name, version in key.versions.items() if name not in ("graph", "transformers")}
        name = hashlib.sha256(json.dumps(hardware, sort_keys=True).encode()).hexdigest()[:24]
        self._timing = timing_folder / f"{name}.bin"

    @property
    def description(self) -> str:
        """What is built, in words."""
        width, height = self._key.input_size
        return f"{self._checkpoint.model_id} at {width}x{height}, batch {self._key.batch}, {self._key.precision}"

    def build(self, folder: Path) -> None:
        """Fill a folder with engine and report. Raises BackendError if that fails or the engine's depth isn't the network's."""
        _logger.info("building a TensorRT engine for %s; takes minutes, once", self.description)
        try:
            with signs_of_life(f"still building the engine for {self.description}"), quiet_transformers(), torch.no_grad():
                self._build(folder)
        except OSError:
            raise  # the cache knows what to do where it can't be written
        except Exception as error:
            if isinstance(error, BackendError) or "out of memory" in str(error).lower():
                raise
            raise BackendError(f"TensorRT can't build an engine for {self.description}: {type(error).__name__}: {error}") from error
        finally:
            torch.cuda.empty_cache()

    def load(self, folder: Path) -> Any:
        """The engine as a function of device tensors."""
        return torch.export.load(folder / ENGINE_FILE).module()

    def _build(self, folder: Path) -> None:
        precision: Any = self._key.precision
        network = network_in(precision, self._checkpoint.load_model(), self._key.input_size, DEVICE)
        example = network.example_inputs(self._key.batch)
        timing = folder / _TIMING_FILE
        with contextlib.suppress(OSError):
            shutil.copy(self._timing, timing)
        compiled = self._library.dynamo.compile(
            export_program(network, self._key.batch),
            arg_inputs=list(example),
            # Every operator that TensorRT knows goes into the engine: each piece left to torch costs more than it saves.
            min_block_size=1,
            # TensorFloat-32 has float16's mantissa.
            disable_tf32=precision == "fp32",
            timing_cache_path=str(timing),
            **({} if library_version(self._library) >= _ALWAYS_TYPED_SINCE else {"use_explicit_typing": True}),
        )
        left = left_to_torch(compiled)
        if left:
            _logger.warning("left to torch, since TensorRT can't run them: %s", ", ".join(left))
        self._library.save(compiled, str(folder / ENGINE_FILE), output_format="exported_program", arg_inputs=list(example))
        self._keep_timing(timing)
        float32_layers = _float32_layers(network)
        del compiled, network
        parity = self._check(folder)
        report = {"left_to_torch": left, "float32_layers": float32_layers, "mean_difference": parity.mean, "p99": parity.p99}
        atomic_write_text(folder / REPORT_FILE, json.dumps(report, indent=1) + "\n")

    def _keep_timing(self, timing: Path) -> None:
        """How fast TensorRT found each kernel to be: the next engine for this GPU is built in less time."""
        if timing.exists():
            with contextlib.suppress(OSError), atomic_write(self._timing) as file:
                file.write(timing.read_bytes())
            timing.unlink()

    def _check(self, folder: Path) -> Parity:
        description = self._checkpoint.description
        engine = Transfer(self.load(folder), example_inputs(description, self._key.input_size, self._key.batch, DEVICE), is_static=True)
        # On the CPU: convolutions on a GPU use TensorFloat-32 where float32 is asked for.
        exact = FixedSizeNetwork(self._checkpoint.load_model(), self._key.input_size)
        reference = Transfer(exact, exact.example_inputs(), is_static=True)
        pictures = sample_pictures(self._key.input_size)
        matrices = np.stack([camera.matrix for camera in sample_cameras(self._key.input_size, len(pictures))]).astype(np.float32)
        takes_camera = description.camera_input
        inputs = [(picture[None], matrix[None] if takes_camera else None) for picture, matrix in zip(pictures, matrices, strict=True)]
        parity = compare_depth(*(np.stack([network.run(*given) for given in inputs]) for network in (engine, reference)))
        precision: Any = self._key.precision
        _logger.info("the engine differs from the float32 network by %s of depth", parity)
        if not parity.is_within(precision):
            raise BackendError(f"the TensorRT engine for {self.description} gives another depth than the network: {parity}")
        return parity


def load_library() -> Any:
    """The module torch_tensorrt. Raises BackendError where it is missing, broken or too old."""
    try:
        library: Any = importlib.import_module("torch_tensorrt")
    except Exception as error:
        # It raises a bare Exception where TensorRT's libraries are missing.
        text = (
            f"backend 'tensorrt': Torch-TensorRT can't be imported ({error}); `ssd-depth doctor` and docs/tensorrt.md say how to install it"
        )
        raise BackendError(text) from error
    if library_version(library) < _OLDEST_LIBRARY:
        raise BackendError(f"backend 'tensorrt': Torch-TensorRT {library.__version__} is too old, {_dotted(_OLDEST_LIBRARY)} is needed")
    return library


def library_version(library: Any) -> tuple[int, int]:
    """(2, 14) of "2.14.0+cu130"."""
    major, minor = re.findall(r"\d+", str(library.__version__))[:2]
    return int(major), int(minor)


def check_gpu() -> None:
    """Raise BackendError unless there is a GPU that TensorRT runs on."""
    if not torch.cuda.is_available():
        raise BackendError("backend 'tensorrt' needs an NVIDIA GPU that torch can use; `ssd-depth doctor` says what is missing")
    capability = torch.cuda.get_device_capability()
    if capability < _OLDEST_GPU:
        raise BackendError(
            f"backend 'tensorrt' needs a GPU of compute capability {_dotted(_OLDEST_GPU)}, this one has {_dotted(capability)}"
        )


def engine_versions(library: Any) -> dict[str, str]:
    """All that an engine depends on beside the network: libraries, GPU and our own code."""
    names = metadata.packages_distributions().get("torch_tensorrt", ["torch-tensorrt"])
    return {
        "torch": torch.__version__,
        "transformers": metadata.version("transformers"),
        # The two pairings give the module the same name.
        sorted({name.lower().replace("_", "-") for name in names})[0]: str(library.__version__),
        "tensorrt": str(importlib.import_module("tensorrt").__version__),
        "gpu": torch.cuda.get_device_name(),
        "compute capability": _dotted(torch.cuda.get_device_capability()),
        "graph": graph_version(__name__, "ssd_core.runtime.overflow", "ssd_core.runtime.sample_pictures"),
    }


def left_to_torch(compiled: nn.Module) -> list[str]:
    """Operators of a compiled graph that run outside its engines, with how often."""
    counts: dict[str, int] = {}
    for name, module in compiled.named_modules():
        graph = getattr(module, "graph", None)
        if graph is None or "_run_on_acc" in name:
            continue
        for node in graph.nodes:
            # getitem takes one of several outputs apart and computes nothing.
            if node.op == "call_function" and "getitem" not in str(node.target):
                counts[str(node.target)] = counts.get(str(node.target), 0) + 1
    return [f"{count}x {target}" for target, count in sorted(counts.items()) if "execute_engine" not in target]


@contextlib.contextmanager
def signs_of_life(text: str, period: float = _NEWS_PERIOD) -> Iterator[None]:
    """Log `text` and the time so far every `period` seconds while the block runs."""
    ended = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        while not ended.wait(period):
            _logger.info("%s, %.0f s so far", text, time.monotonic() - started)

    teller = threading.Thread(target=tell, name="signs of life", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _get_engine(cache: EngineCache, key: EngineKey, builder: EngineBuilder, allow_build: bool) -> Any:
    try:
        return cache.get(key, builder.build if allow_build else None, builder.load)
    except EngineMissingError as error:
        width, height = key.input_size
        raise BackendError(
            f"there is no TensorRT engine for {builder.description} on this GPU, and building one isn't allowed here: build it beforehand "
            f"(ssd-depth export --backend tensorrt --input-size {width}x{height} --batch {key.batch}), or allow it (allow_engine_build)"
        ) from error


def _float32_layers(network: FixedSizeNetwork) -> list[str]:
    if network.dtype == torch.float32:
        return []
    return sorted({name.rpartition(".")[0] for name, value in network.model.network.named_parameters() if value.dtype == torch.float32})


def _choose_precision(wanted: str) -> Precision:
    if wanted == "auto":
        return "fp16"
    if wanted not in TYPES:
        raise BackendError(f"unknown precision {wanted!r}; choose auto, {', '.join(TYPES)}")
    if wanted == "bf16" and torch.cuda.get_device_capability() < (8, 0):
        raise BackendError("precision 'bf16': this GPU has no bfloat16 arithmetic; choose auto, fp16 or fp32")
    return wanted


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
