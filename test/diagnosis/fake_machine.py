# SPDX-License-Identifier: Apache-2.0
"""A machine made of dictionaries: every question of the checks is answered from them, and from nothing else."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from ssd_core.diagnosis.machine import Answer, Machine, OpenVinoFacts, TorchFacts

CPU_TORCH = TorchFacts("2.13.0+cpu", None)
CUDA_TORCH = TorchFacts(
    "2.14.1+cu130", "13.0", "", "NVIDIA RTX 4000", (8, 9), ("sm_75", "sm_80", "sm_86", "sm_90", "compute_120"), 19 << 30, 20 << 30
)
XEON = "model name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n"


class FakeMachine(Machine):
    """A machine with a recent CPU, pip's rclpy and enough of everything, until a test takes something away."""

    python = "3.11.9 in /env"
    system = "Linux 6.8 x86_64"
    architecture = "x86_64"
    prefix = Path("/env")

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.files = {"/proc/cpuinfo": XEON, "/proc/meminfo": "MemTotal:       33554432 kB\nMemAvailable:   16777216 kB\n"}
        self.commands: dict[str, Answer] = {}
        self.versions = {"transformers": "5.23.0", "ros-rclpy": "9.1.2", "ros-rmw-fastrtps-cpp": "9.3.3", "torch": "2.13.0+cpu"}
        self.modules = {"rclpy": "/env/lib/python3.11/site-packages/rclpy/__init__.py"}
        self.free: dict[str, int] = {"/": 50 << 30, "/dev/shm": 8 << 30}
        self.read_only: set[str] = set()
        self.torch_facts: TorchFacts | str = CPU_TORCH
        self.openvino_facts: OpenVinoFacts | str = OpenVinoFacts("2026.4", {"CPU": ("Xeon", ("FP32", "BF16"))})
        self.python_answer = Answer(True, "")

    def add_gpu(self, driver: str = "580.95.05", torch: TorchFacts = CUDA_TORCH) -> None:
        self.commands["nvidia-smi"] = Answer(True, f"{torch.gpu or 'NVIDIA RTX 4000'}, {driver}, 20475 MiB\n")
        self.torch_facts = torch
        self.versions["torch"] = torch.version

    def environment(self, name: str) -> str:
        return self.variables.get(name, "")

    def read(self, path: str | Path) -> str | None:
        return self.files.get(str(path))

    def matching(self, pattern: str) -> list[str]:
        paths = {*self.files, *(str(parent) for path in self.files for parent in Path(path).parents)}
        return sorted(path for path in paths if fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/"))

    def run(self, command: Sequence[str]) -> Answer | None:
        return self.commands.get(command[0])

    def run_python(self, code: str) -> Answer | None:
        assert code == "import rclpy"
        return self.python_answer

    def version(self, distribution: str) -> str | None:
        return self.versions.get(distribution)

    def module(self, name: str) -> str | None:
        return self.modules.get(name)

    def free_bytes(self, folder: Path) -> int | None:
        return next((self.free[str(place)] for place in (folder, *folder.parents) if str(place) in self.free), None)

    def is_writable(self, folder: Path) -> bool:
        return str(folder) not in self.read_only

    def folder_bytes(self, folder: Path) -> int:
        return 14 << 20

    def processors(self) -> int:
        return 8

    def revision(self) -> str:
        return "0123456789ab"

    def automatic_backend(self) -> str:
        return "openvino"

    def torch(self) -> TorchFacts | str:
        return self.torch_facts

    def openvino(self) -> OpenVinoFacts | str:
        return self.openvino_facts
