# SPDX-License-Identifier: Apache-2.0
"""Estimator against transformers' eager float32, side by side in one process: `python bench/bench_estimator.py --out result.json`.

Random weights; speed doesn't depend on their values. What else the machine does comes and goes, so calls take turns, and a
ratio is the median of the ratios of turns that followed each other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.resize import resize_image
from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.model.untrained import create_untrained
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.weights import BUNDLED

CASES = {
    "ViT-S 518x518": ("s", (518, 518)),
    "ViT-S 574x322": ("s", (574, 322)),
    "ViT-Ti 448x252": ("ti", (448, 252)),
    "bundled 308x168": (BUNDLED, (308, 168)),
}
TARGET = 3.5
"""openvino over transformers for ViT-S at 518x518, on a CPU with bfloat16 arithmetic."""


IN_A_ROW = 4
"""Calls in a turn."""


def measure(calls: dict[str, Callable[[], object]], turns: int) -> dict[str, list[list[float]]]:
    """Milliseconds of each call, turn by turn."""
    for call in calls.values():
        call()
    times: dict[str, list[list[float]]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            # Not timed: another library's threads still spin, and a node never changes over from one to the other.
            call()
            times[name].append([_milliseconds(call) for _ in range(IN_A_ROW)])
    return times


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)


def summarise(turns: list[list[float]], reference: list[list[float]]) -> dict[str, float]:
    """Median and least milliseconds, and how many times faster than the reference: the median over turns, and the quarters about it."""
    ratios = [median(slow) / median(fast) for slow, fast in zip(reference, turns, strict=True)]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    times = [value for turn in turns for value in turn]
    return {"median_ms": median(times), "least_ms": min(times), "ratio": middle, "ratio_low": low, "ratio_high": high}


def calls_of(name_or_path: str | Path, size: tuple[int, int], cache: Path) -> dict[str, Callable[[], object]]:
    """What is compared: the same picture at the network's size through each of them, pixels in and depth out."""
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    camera = PinholeCamera.from_field_of_view(*size, horizontal_degrees=70.0)
    model = open_checkpoint(name_or_path).load_model()
    pixels = torch.rand(1, model.description.input_channels, size[1], size[0])

    def reference() -> object:
        with torch.inference_mode():
            return model.network(pixels)

    calls: dict[str, Callable[[], object]] = {"transformers eager fp32": reference}
    for backend in ("torch", "openvino"):
        estimator = DepthEstimator.load(name_or_path, backend, size, cache_folder=cache)
        calls[f"{backend} {estimator.precision}"] = lambda estimator=estimator: estimator([image], [camera])
    return calls


def main() -> None:
    """Run every case, print a table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    parser.add_argument("--turns", type=int, default=16, help=f"of {IN_A_ROW} calls each")
    arguments = parser.parse_args()

    table = Table("case", "what", "median ms", "least ms", "faster than transformers (half of the turns)", title="Estimator, batch 1")
    results: dict[str, object] = {
        "machine": {"processor": platform.processor() or platform.machine(), "threads": os.cpu_count(), "load": os.getloadavg()},
        "versions": {name: version(name) for name in ("torch", "transformers", "openvino")},
    }
    with tempfile.TemporaryDirectory() as scratch:
        for encoder in ("s", "ti"):
            create_untrained(Path(scratch) / encoder, encoder, (518, 518))
        for case, (model, size) in CASES.items():
            name_or_path = BUNDLED if model == BUNDLED else Path(scratch) / model
            times = measure(calls_of(name_or_path, size, Path(scratch) / "cache"), arguments.turns)
            figures = {name: summarise(turns, times["transformers eager fp32"]) for name, turns in times.items()}
            for name, figure in figures.items():
                faster = f"{figure['ratio']:.2f}x ({figure['ratio_low']:.2f} to {figure['ratio_high']:.2f})"
                table.add_row(case, name, f"{figure['median_ms']:.0f}", f"{figure['least_ms']:.0f}", faster)
            results[case] = figures

    photo = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    resizing = [_milliseconds(lambda: resize_image(photo, (448, 252))) for _ in range(30)]
    table.add_row("resize", "1600x900 to 448x252", f"{median(resizing):.1f}", f"{min(resizing):.1f}", "")
    results["resize_ms"] = median(resizing)

    console = Console()
    console.print(table)
    console.print(
        f"target: openvino bf16 {TARGET}x for ViT-S at 518x518 (without bfloat16 arithmetic in the CPU it runs float32 and can't be met)"
    )
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
