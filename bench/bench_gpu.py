# SPDX-License-Identifier: Apache-2.0
"""The network on an NVIDIA GPU in fp16: eager, torch.compile and TensorRT side by side: `python bench/bench_gpu.py --out result.json`.

Random weights; speed doesn't depend on their values. What is timed is what a robot waits for: pixels in numpy to depth in numpy. The
ways are called in turn, so that what else the machine does burdens all alike. Needs the extra [tensorrt] for that column.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ssd_core.model.checkpoint import Checkpoint, open_checkpoint
from ssd_core.model.untrained import create_untrained
from ssd_core.runtime.backends.tensorrt import TensorRtBackend
from ssd_core.runtime.backends.transfer import Transfer
from ssd_core.runtime.engine_cache import EngineCache
from ssd_core.runtime.export import FixedSizeNetwork
from ssd_core.runtime.overflow import network_in
from ssd_core.runtime.parity import compare_depth
from ssd_core.runtime.sample_pictures import sample_pictures
from ssd_core.storage.atomic_write import atomic_write_text

SIZES = ("ti", "s", "b")
INPUTS = ((574, 322), (924, 518))
BATCHES = (1, 6)
Run = Callable[[np.ndarray], np.ndarray]


def ways(checkpoint: Checkpoint, input_size: tuple[int, int], batch: int, cache: Path, device: torch.device) -> dict[str, Run]:
    """How the network can be run here; the first is the reference in float32."""
    exact = FixedSizeNetwork(checkpoint.load_model(), input_size).to(device)
    half: Any = network_in("fp16", checkpoint.load_model(), input_size, device)
    half.to(memory_format=torch.channels_last)
    example = exact.example_inputs(batch)
    found: dict[str, Run] = {
        "eager fp32": Transfer(exact, example, is_static=True).run,
        "eager fp16": Transfer(half, example, is_static=True).run,
        "torch.compile fp16": Transfer(torch.compile(half), example, is_static=True).run,
    }
    if find_spec("torch_tensorrt"):
        found["TensorRT fp16"] = TensorRtBackend(checkpoint, input_size, "fp16", EngineCache(cache), batch).infer
    return found


def measure(runs: dict[str, Run], pictures: np.ndarray, repetitions: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each way, one call of each in turn, and how far its depth is from the first's."""
    reference = next(iter(runs.values()))(pictures)
    parity = {name: compare_depth(run(pictures), reference) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            started = time.perf_counter()
            run(pictures)
            times[name].append(1e3 * (time.perf_counter() - started))
    results = {}
    for name in runs:
        p50, p95 = np.percentile(times[name], (50, 95))
        results[name] = {"p50_ms": float(p50), "p95_ms": float(p95), "mean_difference": parity[name].mean, "p99": parity[name].p99}
    return results


def main() -> None:
    """Run every case, print a table and write the numbers as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the numbers")
    parser.add_argument("--repetitions", type=int, default=200)
    arguments = parser.parse_args()
    device = torch.device("cuda")
    library = find_spec("torch_tensorrt") is not None
    results: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "torch_tensorrt": library}
    table = Table("case", "way", "p50 ms", "p95 ms", "mean difference", title=f"{results['gpu']}, numpy to numpy")
    with tempfile.TemporaryDirectory() as scratch:
        for size in SIZES:
            create_untrained(Path(scratch) / size, size, INPUTS[0])  # type: ignore[arg-type]
            checkpoint = open_checkpoint(Path(scratch) / size)
            for input_size in INPUTS:
                for batch in BATCHES:
                    runs = ways(checkpoint, input_size, batch, Path(scratch) / "cache", device)
                    case = f"{size} {input_size[0]}x{input_size[1]} batch {batch}"
                    results[case] = measure(runs, sample_pictures(input_size)[-batch:], arguments.repetitions)
                    atomic_write_text(arguments.out, json.dumps(results, indent=1) + "\n")
                    for name, found in results[case].items():
                        table.add_row(case, name, f"{found['p50_ms']:.2f}", f"{found['p95_ms']:.2f}", f"{found['mean_difference']:.1e}")
                    del runs
                    torch.cuda.empty_cache()
    Console().print(table)


if __name__ == "__main__":
    main()
