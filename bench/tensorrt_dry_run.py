# SPDX-License-Identifier: Apache-2.0
"""What Torch-TensorRT would put into engines, without building any: `make test-tensorrt`, which needs no GPU.

Exit code 1 unless every operator of every network is supported and each network becomes one engine.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import types
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ssd_core.model.config import ModelDescription
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.depth_model import DepthModel
from ssd_core.runtime.export import FixedSizeNetwork, export_program
from ssd_core.runtime.overflow import TYPES
from ssd_core.storage.atomic_write import atomic_write_text

INPUT_SIZE = (574, 322)
SEES_CAMERA = ModelDescription(parametrisation="sigmoid_disparity", input_size=INPUT_SIZE, camera_input=True)
PLAIN = ModelDescription(parametrisation="sigmoid_disparity", input_size=INPUT_SIZE)
NETWORKS: dict[str, Callable[[], DepthModel]] = {
    "ViT-Ti": lambda: DepthModel.create("ti", PLAIN),
    "ViT-S": lambda: DepthModel.create("s", PLAIN),
    "ViT-B": lambda: DepthModel.create("b", PLAIN),
    "ViT-Ti that sees its camera": lambda: DepthModel.create("ti", SEES_CAMERA),
    "convolutional, sees its camera": lambda: ConvolutionalDepthModel.create_convolutional("full", SEES_CAMERA),
    "EfficientNet-Lite0, sees its camera": lambda: ConvolutionalDepthModel.create_convolutional("lite0", SEES_CAMERA),
}


def answer_for_the_driver() -> None:
    """Without a driver torch raises at questions that Torch-TensorRT asks when it is imported; a dry run computes nothing on the GPU."""
    cuda: Any = torch.cuda
    memory = 24 << 30
    properties = types.SimpleNamespace(name="no GPU", major=8, minor=9, total_memory=memory, multi_processor_count=60)
    cuda.current_device = lambda: 0
    cuda.get_device_name = lambda *_: properties.name
    cuda.get_device_capability = lambda *_: (properties.major, properties.minor)
    cuda.get_device_properties = lambda *_: properties
    cuda.mem_get_info = lambda *_: (memory, memory)


def dry_run(library: Any, model: DepthModel, precision: str, report: Path) -> dict[str, Any]:
    """Counts from Torch-TensorRT's report, which stays at `report`."""
    network = FixedSizeNetwork(model, INPUT_SIZE, TYPES[precision])  # type: ignore[index]
    library.dynamo.compile(export_program(network), arg_inputs=list(network.example_inputs()), min_block_size=1, dryrun=str(report))
    text = report.read_text()
    counts = re.search(r"consists of (\d+) Total Operators, of which (\d+) operators are supported", text)
    if counts is None:
        raise ValueError(f"{report}: Torch-TensorRT's report has another form than that of 2.14")
    unsupported = re.search(r"listed with their op-count in the graph:\n(.*?)\n\n", text, re.DOTALL)
    return {
        "operators": int(counts[1]),
        "supported": int(counts[2]),
        "engines": len(re.findall(r"TRT Engine #\d+", text)),
        "left": " ".join(unsupported[1].split()) if unsupported else "",
    }


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """The table of docs/tensorrt.md."""
    names = ("torch", "torch-tensorrt", "torch-tensorrt-rtx", "tensorrt-cu13", "tensorrt-rtx")
    versions = [f"{name} {version}" for name in names if (version := _version(name))]
    gpu = torch.cuda.get_device_name()
    lines = [f"Dry run at {INPUT_SIZE[0]}x{INPUT_SIZE[1]}, batch 1; {', '.join(versions)}; {gpu}.", ""]
    lines += ["| network | operators | supported | engines | left to torch |", "|---|---|---|---|---|"]
    for name, found in results.items():
        lines.append(f"| {name} | {found['operators']} | {found['supported']} | {found['engines']} | {found['left'] or 'nothing'} |")
    return "\n".join(lines) + "\n"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def main() -> None:
    """Dry-run every network in fp16, and the first in fp32 and bf16 too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="Markdown file for the table")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        answer_for_the_driver()
    import torch_tensorrt

    cases = [(name, make, "fp16") for name, make in NETWORKS.items()]
    cases += [("ViT-Ti", NETWORKS["ViT-Ti"], precision) for precision in ("fp32", "bf16")]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, make, precision) in enumerate(cases):
            results[f"{name}, {precision}"] = dry_run(torch_tensorrt, make(), precision, Path(folder) / f"{number}.txt")
    atomic_write_text(arguments.out, markdown(results))
    Console().print(markdown(results), markup=False)
    sys.exit(any(found["supported"] < found["operators"] or found["engines"] != 1 for found in results.values()))


if __name__ == "__main__":
    main()
