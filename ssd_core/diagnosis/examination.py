# SPDX-License-Identifier: Apache-2.0
"""All checks in the order of the page; a check that breaks is a line of it and ends nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ssd_core.diagnosis.computer import check_computer, check_libraries
from ssd_core.diagnosis.files import check_cache, check_model
from ssd_core.diagnosis.finding import Finding, failure
from ssd_core.diagnosis.gpu import check_gpu
from ssd_core.diagnosis.machine import Machine
from ssd_core.diagnosis.ros import check_ros


def examine(machine: Machine, model: str, cache_folder: Path) -> list[Finding]:
    """Everything that a report of a fault should say of the machine. model: as `DepthEstimator.load` takes it."""
    checks: dict[str, Callable[[], Sequence[Finding]]] = {
        "computer": lambda: check_computer(machine),
        "GPU": lambda: check_gpu(machine),
        "libraries": lambda: check_libraries(machine),
        "ROS": lambda: check_ros(machine),
        "cache": lambda: [check_cache(machine, cache_folder)],
        "model": lambda: [check_model(model)],
    }
    return [finding for name, check in checks.items() for finding in _guarded(name, check)]


def _guarded(name: str, check: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  a machine that is ill may answer anything
        return [failure(name, f"can't be examined: {type(error).__name__}: {error}", "please report this line")]
