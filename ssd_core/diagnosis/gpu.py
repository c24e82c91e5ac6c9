# SPDX-License-Identifier: Apache-2.0
"""The NVIDIA GPU: is there one, does its driver fit PyTorch's CUDA, which number formats does it have, is TensorRT paired with torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ssd_core.diagnosis.finding import Finding, failure, warning, well
from ssd_core.diagnosis.machine import Machine, TorchFacts

_OLDEST_DRIVERS = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""CUDA's major version to the oldest driver that runs programs built for it (NVIDIA, "CUDA Compatibility", minor version compatibility)."""

_BF16_SINCE = (8, 0)
_FAST_FP16_SINCE = (7, 0)
_TENSORRT_SINCE = (7, 5)
_ENOUGH_MEMORY = 2 << 30
_PAIRINGS = ("torch-tensorrt", "torch-tensorrt-rtx")
_ENGINES = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13")
_FULL_TORCH = "install a CUDA build of torch: https://pytorch.org/get-started/locally, or `make clean setup TORCH=torch`"


class Card(NamedTuple):
    """One GPU as the driver lists it."""

    name: str
    driver: str
    memory: str


def check_gpu(machine: Machine) -> list[Finding]:
    """GPU, driver, CUDA, number formats, memory and the TensorRT pairing. Nothing is wrong with a machine that has no GPU."""
    jetson = _jetson(machine)
    cards, complaint = _cards(machine)
    if not cards and jetson is None:
        return [_missing_card(machine, complaint), *_tensorrt(machine, None)]
    findings = [well("GPU", f"{card.name}, {card.memory}, driver {card.driver}") for card in cards]
    if jetson is not None:
        findings.append(well("Jetson", jetson))
    torch = machine.torch()
    if isinstance(torch, str):
        return [*findings, *_tensorrt(machine, None)]  # the line about torch says what is wrong
    findings.append(_cuda(torch, cards, jetson is not None))
    if torch.gpu is not None:
        findings += [_precision(torch), _memory(torch)]
    return [*findings, *_tensorrt(machine, torch)]


def _cards(machine: Machine) -> tuple[list[Card], str]:
    """All GPUs, or none and what nvidia-smi complains of."""
    answer = machine.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    if answer is None:
        return [], ""
    if not answer.succeeded:
        return [], answer.text.strip().splitlines()[0] if answer.text.strip() else "nvidia-smi failed"
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.text.splitlines()]
    return [Card(*row) for row in rows if len(row) == 3], ""


def _jetson(machine: Machine) -> str | None:
    """Board and release of the system, where this is a Jetson."""
    board = (machine.read("/proc/device-tree/model") or "").strip()
    release = machine.read("/etc/nv_tegra_release")
    if release is None and "jetson" not in board.lower():
        return None
    found = re.search(r"R(\d+).*?REVISION: ([\d.]+)", release or "")
    power = machine.run(["nvpmodel", "-q"])
    mode = re.search(r"NV Power Mode: *(\S+)", power.text if power else "")
    parts = [board or "unknown board", f"L4T {found[1]}.{found[2]}" if found else "", f"power mode {mode[1]}" if mode else ""]
    return ", ".join(filter(None, parts))


def _missing_card(machine: Machine, complaint: str) -> Finding:
    if complaint:
        return failure("GPU", complaint, "restart after an update of the driver; else install the driver again")
    for device in machine.matching("/sys/bus/pci/devices/*"):
        is_nvidia = (machine.read(f"{device}/vendor") or "").strip() == "0x10de"
        if is_nvidia and (machine.read(f"{device}/class") or "").startswith("0x03"):
            return warning(
                "GPU",
                "an NVIDIA card without a driver that works here: the CPU runs the network",
                "install NVIDIA's driver; in Docker also the NVIDIA Container Toolkit, and `docker run --gpus all`",
            )
    return well("GPU", "no NVIDIA GPU: the CPU runs the network")


def _cuda(torch: TorchFacts, cards: Sequence[Card], is_jetson: bool) -> Finding:
    if torch.built_for is None:
        fix = "install NVIDIA's build of torch for this JetPack (docs/tensorrt.md)" if is_jetson else _FULL_TORCH
        return warning("CUDA", f"torch {torch.version} is built without it: the GPU is idle", fix)
    oldest = _OLDEST_DRIVERS.get(int(torch.built_for.split(".")[0]))
    if cards and oldest and _numbers(cards[0].driver) < _numbers(oldest):
        fact = f"driver {cards[0].driver} is too old for CUDA {torch.built_for}, which torch {torch.version} is built for"
        return failure("CUDA", fact, f"update the driver to {oldest} or newer, or install an older torch")
    if torch.gpu is None:
        reason = torch.complaint or "torch doesn't say why"
        return failure("CUDA", f"torch {torch.version} (CUDA {torch.built_for}) can't use the GPU: {reason}", "see torch's words")
    if not _has_code_for(torch.capability, torch.architectures):
        fact = f"torch {torch.version} has no code for compute capability {_dotted(torch.capability)}, only {' '.join(torch.architectures)}"
        return failure("CUDA", fact, "install a build of torch for this GPU: https://pytorch.org/get-started/previous-versions")
    return well("CUDA", f"{torch.built_for}, usable by torch {torch.version}; compute capability {_dotted(torch.capability)}")


def _has_code_for(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Machine code runs on the same major and no older minor version; intermediate code (compute_) on all that is no older."""
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        digits = digits.rstrip("af")
        version = int(digits[:-1]), int(digits[-1])
        if version <= capability and (kind == "compute" or version[0] == capability[0]):
            return True
    return not architectures


def _precision(torch: TorchFacts) -> Finding:
    if torch.capability >= _BF16_SINCE:
        return well("GPU precision", "fp16 and bf16; auto is fp16")
    has = f"compute capability {_dotted(torch.capability)}"
    if torch.capability >= _FAST_FP16_SINCE:
        return well("GPU precision", f"fp16, no bf16 ({has}); auto is fp16")
    return warning("GPU precision", f"no fast fp16, no bf16 ({has}): auto is fp32", "for more speed a smaller input_size, or a newer GPU")


def _memory(torch: TorchFacts) -> Finding:
    fact = f"{torch.free_bytes / 2**30:.1f} of {torch.total_bytes / 2**30:.1f} GB free"
    if torch.free_bytes < _ENOUGH_MEMORY:
        return warning("GPU memory", fact, "end other programs on the GPU (nvidia-smi lists them), or take a smaller input_size")
    return well("GPU memory", fact)


def _tensorrt(machine: Machine, torch: TorchFacts | None) -> list[Finding]:
    """The pairing of torch with Torch-TensorRT with TensorRT's own libraries."""
    pairings = {name: version for name in _PAIRINGS if (version := machine.version(name))}
    has_gpu = torch is not None and torch.gpu is not None
    if not pairings:
        if has_gpu:
            fix = 'pip install -e ".[tensorrt]" or ".[tensorrt-rtx]" in a clone of this repository (docs/tensorrt.md says which)'
            return [warning("TensorRT", "Torch-TensorRT isn't installed: torch runs the network, slower", fix)]
        return [well("TensorRT", "not installed")]
    text = ", ".join(f"{name} {version}" for name, version in pairings.items())
    if len(pairings) > 1:
        return [failure("TensorRT", f"{text}: both are the module torch_tensorrt", "pip uninstall both, then install one")]
    (version,) = pairings.values()
    installed = machine.version("torch") or "?"
    if _numbers(version)[:2] != _numbers(installed)[:2]:
        fix = 'install the pair again: pip install --upgrade -e ".[tensorrt]" in a clone of this repository (docs/tensorrt.md)'
        return [failure("TensorRT", f"{text} beside torch {installed}: each release fits one torch only", fix)]
    engines = ", ".join(f"{name} {found}" for name in _ENGINES if (found := machine.version(name)))
    if not any(machine.module(name) for name in ("tensorrt", "tensorrt_rtx")):
        return [
            failure("TensorRT", f"{text}, but TensorRT itself isn't there", "pip install --force-reinstall tensorrt (docs/tensorrt.md)")
        ]
    if has_gpu and torch is not None and torch.capability < _TENSORRT_SINCE:
        fact = f"{text}: not for compute capability {_dotted(torch.capability)}; torch runs the network"
        return [warning("TensorRT", fact, f"none: TensorRT needs {_dotted(_TENSORRT_SINCE)} or newer")]
    return [well("TensorRT", f"{text}, {engines or 'TensorRT of the system'}")]


def _numbers(version: str) -> tuple[int, ...]:
    """(535, 104, 5) of "535.104.05+cpu"."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
