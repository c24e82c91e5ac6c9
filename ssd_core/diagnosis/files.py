# SPDX-License-Identifier: Apache-2.0
"""What lies on the disk: the cache of compiled networks, and the model."""

from __future__ import annotations

from pathlib import Path

from ssd_core.diagnosis.finding import Finding, failure, warning, well
from ssd_core.diagnosis.machine import Machine
from ssd_core.model.checkpoint import ModelLoadError, open_checkpoint
from ssd_core.storage.cache_folder import FOLDER_VARIABLE

_ENOUGH_DISK = 2 << 30


def check_cache(machine: Machine, folder: Path) -> Finding:
    """Can compiled networks be kept, and is there room for them."""
    free = machine.free_bytes(folder)
    count = len(machine.matching(f"{folder}/engines/*/engine.json"))
    fact = f"{folder}: {count} compiled network{'s'[: count != 1]}, {machine.folder_bytes(folder) >> 20} MB"
    fact += f", {free / 2**30:.1f} GB free" if free is not None else ""
    if not machine.is_writable(folder):
        return warning(
            "cache", f"{fact}; can't be written: networks are compiled at every start", f"set {FOLDER_VARIABLE} to a writable folder"
        )
    if free is not None and free < _ENOUGH_DISK:
        return warning("cache", fact, f"delete {folder}/engines, or set {FOLDER_VARIABLE} to a larger disk")
    return well("cache", fact)


def check_model(model: str) -> Finding:
    """Whether a checkpoint can be found and read; its weights aren't loaded."""
    try:
        checkpoint = open_checkpoint(model)
    except ModelLoadError as error:
        return failure("model", str(error), "see docs on choosing a model in README.md")
    width, height = checkpoint.description.input_size
    fact = f"{checkpoint.model_id} ({checkpoint.description.kind}) at {width}x{height}"
    if not checkpoint.description.trained:
        return warning("model", f"{fact}: UNTRAINED, its depth means nothing", "choose a trained model (README.md)")
    return well("model", fact)
