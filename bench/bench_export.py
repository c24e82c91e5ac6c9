# SPDX-License-Identifier: Apache-2.0
"""torch.export at fixed sizes against eager float32, ViT-Ti, -S and -B: `python bench/bench_export.py --out result.json`.

Random weights, scaled to a spread of depths; what is compared is the graph that TensorRT gets. Finished cases are kept in --out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.model.untrained import create_untrained
from ssd_core.runtime.export import FixedSizeNetwork, export_program
from ssd_core.runtime.parity import compare_depth
from ssd_core.runtime.sample_pictures import sample_pictures
from ssd_core.storage.atomic_write import atomic_write_text

SIZES = ("ti", "s", "b")
INPUTS = ((574, 322), (924, 518))
PICTURE = 5
"""Of the sample pictures, one of soft shapes."""


def measure(size: str, input_size: tuple[int, int], scratch: Path) -> dict[str, object]:
    """Parity on one picture, and seconds to export."""
    folder = scratch / size
    if not folder.exists():
        create_untrained(folder, size, (448, 252))  # type: ignore[arg-type]
    model = open_checkpoint(folder).load_model()
    network = FixedSizeNetwork(model, input_size)
    started = time.monotonic()
    program = export_program(network)
    seconds = time.monotonic() - started
    picture = torch.from_numpy(sample_pictures(input_size)[PICTURE : PICTURE + 1])
    with torch.inference_mode():
        reference = model(picture.permute(0, 3, 1, 2).float() / 255)[:, 0].numpy()
        depth = program.module()(picture).numpy()
    operators = sum(node.op == "call_function" for node in program.graph.nodes)
    return {**dataclasses.asdict(compare_depth(depth, reference)), "operators": operators, "export_seconds": round(seconds, 1)}


def main() -> None:
    """Run every case that --out lacks, and print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the numbers")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the random checkpoints")
    arguments = parser.parse_args()
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for input_size in INPUTS:
        for size in SIZES:
            name = f"{size} {input_size[0]}x{input_size[1]}"
            if name not in results:
                results[name] = measure(size, input_size, arguments.scratch)
                atomic_write_text(arguments.out, json.dumps(results, indent=1) + "\n")
    table = Table("case", "mean", "max", "operators", "seconds to export", title="torch.export against eager, relative difference of depth")
    for name, result in results.items():
        table.add_row(name, f"{result['mean']:.1e}", f"{result['maximum']:.1e}", str(result["operators"]), str(result["export_seconds"]))
    Console().print(table)


if __name__ == "__main__":
    main()
