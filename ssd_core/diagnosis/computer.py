# SPDX-License-Identifier: Apache-2.0
"""Processor, memory, Python and the libraries that run networks on it."""

from __future__ import annotations

import re

from ssd_core.diagnosis.finding import Finding, failure, warning, well
from ssd_core.diagnosis.machine import Machine

_BF16_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "bf16": "Arm BF16"}
_OTHER_FLAGS = {"avx512f": "AVX512", "avx2": "AVX2", "asimd": "Neon"}
_ENOUGH_MEMORY = 2 << 30


def check_computer(machine: Machine) -> list[Finding]:
    """This package, the system, Python, processor and memory."""
    package = well("ssd_depth_ros", f"{machine.version('ssd_depth_ros') or 'not installed'}, revision {machine.revision()}")
    container = " in a container" if machine.read("/.dockerenv") is not None or machine.environment("container") else ""
    name = re.search(r'^PRETTY_NAME="?([^"\n]+)', machine.read("/etc/os-release") or "", re.MULTILINE)
    system = f"{name[1]}, {machine.system}" if name else machine.system
    return [package, well("system", system + container), well("Python", machine.python), _processor(machine), _memory(machine)]


def check_libraries(machine: Machine) -> list[Finding]:
    """PyTorch and OpenVINO with its devices, transformers, and which of them the backend "auto" takes."""
    torch, openvino = machine.torch(), machine.openvino()
    findings = []
    if isinstance(torch, str):
        findings.append(failure("torch", f"can't be imported: {torch}", "make setup"))
    else:
        findings.append(well("torch", f"{torch.version}, {f'CUDA {torch.built_for}' if torch.built_for else 'without CUDA'}"))
    transformers = machine.version("transformers")
    if transformers is None:
        findings.append(failure("transformers", "isn't installed", "make setup"))
    else:
        findings.append(well("transformers", transformers))
    if isinstance(openvino, str):
        findings.append(warning("OpenVINO", f"can't be imported: {openvino}; on a CPU torch runs the network, slower", "make setup"))
    else:
        devices = "; ".join(f"{name}: {full} ({' '.join(can)})" for name, (full, can) in openvino.devices.items())
        findings.append(well("OpenVINO", f"{openvino.version}; {devices or 'no device'}"))
    return [*findings, well("backend", f"auto is {machine.automatic_backend()} here")]


def _processor(machine: Machine) -> Finding:
    text = machine.read("/proc/cpuinfo") or ""
    name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = set((re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE) or ["", ""])[1].split())
    fast = [word for flag, word in _BF16_FLAGS.items() if flag in flags]
    other = [word for flag, word in _OTHER_FLAGS.items() if flag in flags]
    processors = machine.processors()
    fact = f"{name[1].strip() if name else machine.architecture}, {processors} usable processor{'s'[: processors != 1]}"
    fact += f", {', '.join(fast + other) or 'no vector instructions known'}"
    if not flags or fast:
        return well("processor", fact)
    fact += "; no bf16 (AMX, AVX512-BF16): networks run in fp32 on it"
    return warning("processor", fact, "for more speed a smaller input_size or model, a CPU with bf16, or an NVIDIA GPU")


def _memory(machine: Machine) -> Finding:
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", machine.read("/proc/meminfo") or "", re.MULTILINE))
    if "MemAvailable" not in found:
        return well("memory", "unknown")
    available, total = (int(found[key]) << 10 for key in ("MemAvailable", "MemTotal"))
    fact = f"{available / 2**30:.1f} of {total / 2**30:.1f} GB available"
    if available < _ENOUGH_MEMORY:
        return warning("memory", fact, "end other programs; loading and compiling a network takes about 2 GB")
    return well("memory", fact)
