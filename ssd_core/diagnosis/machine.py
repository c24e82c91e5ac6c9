# SPDX-License-Identifier: Apache-2.0
"""Questions to this machine. The checks ask nothing but a `Machine`, so that tests can put another one in its place."""

from __future__ import annotations

import glob
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ssd_core.runtime.backends import choose_backend
from ssd_core.storage.configuration import git_revision

_PATIENCE = 30.0
"""Seconds for a command; nvidia-smi takes some on a machine that has just woken its GPU."""


@dataclass(frozen=True)
class Answer:
    """What a command said (both streams) and whether it succeeded."""

    succeeded: bool
    text: str

    @property
    def last_line(self) -> str:
        """The last line that says something: of a Python error its message."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


@dataclass(frozen=True)
class TorchFacts:
    """PyTorch as it runs here, GPU 0 if it can use one."""

    version: str
    built_for: str | None
    """Version of CUDA, None for a build without."""
    complaint: str = ""
    """Why CUDA can't be used, in torch's words."""
    gpu: str | None = None
    capability: tuple[int, int] = (0, 0)
    architectures: tuple[str, ...] = ()
    """What the build has machine code for, such as sm_80, and compute_90 for code that later GPUs can translate."""
    free_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class OpenVinoFacts:
    """OpenVINO's devices by name: (full name, capabilities such as BF16)."""

    version: str
    devices: dict[str, tuple[str, tuple[str, ...]]]


class Machine:
    """This machine. What isn't there is None or empty, never an error."""

    python = f"{platform.python_version()} in {sys.prefix}"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    architecture = platform.machine()
    prefix = Path(sys.prefix)

    def environment(self, name: str) -> str:
        """An environment variable."""
        return os.environ.get(name, "")

    def read(self, path: str | Path) -> str | None:
        """A text file; of the kernel's, zero bytes are left out."""
        try:
            return Path(path).read_text(errors="replace").replace("\0", "")
        except OSError:
            return None

    def matching(self, pattern: str) -> list[str]:
        """Paths, absolute, that match a pattern."""
        return sorted(glob.glob(pattern))  # noqa: PTH207  (Path.glob takes no absolute pattern)

    def run(self, command: Sequence[str]) -> Answer | None:
        """A command's answer; None where there is no such command or it hangs."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL, check=False)
        except (OSError, subprocess.SubprocessError):
            return None
        return Answer(done.returncode == 0, done.stdout + done.stderr)

    def run_python(self, code: str) -> Answer | None:
        """What a fresh interpreter with the same environment says to a line of Python."""
        return self.run([sys.executable, "-c", code])

    def version(self, distribution: str) -> str | None:
        """Version of an installed Python package, by its name on the package index."""
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return None

    def module(self, name: str) -> str | None:
        """File of a top-level module that could be imported."""
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        return None if found is None else str(found.origin or next(iter(found.submodule_search_locations or ()), ""))

    def free_bytes(self, folder: Path) -> int | None:
        """Free space of the disk that holds, or will hold, a folder."""
        for place in (folder, *folder.parents):
            try:
                return shutil.disk_usage(place).free
            except OSError:
                continue
        return None

    def is_writable(self, folder: Path) -> bool:
        """Whether files can be made in a folder, or the folder itself where it isn't there yet."""
        place = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))  # noqa: PTH110  (Path.exists may raise)
        return place.is_dir() and os.access(place, os.W_OK | os.X_OK)

    def folder_bytes(self, folder: Path) -> int:
        """Size of all files in a folder."""
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def processors(self) -> int:
        """Processors that this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def revision(self) -> str:
        """Of this package's source, "unknown" outside a checkout."""
        return git_revision()

    def automatic_backend(self) -> str:
        """What the estimator's backend "auto" means here."""
        return choose_backend()

    def torch(self) -> TorchFacts | str:
        """PyTorch's facts, or why it can't be imported."""
        try:
            import torch
        except (ImportError, OSError) as error:
            return str(error)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            available = torch.cuda.is_available()
        if not available:
            return TorchFacts(torch.__version__, torch.version.cuda, str(caught[-1].message).splitlines()[0] if caught else "")
        try:
            free, total = torch.cuda.mem_get_info(0)
            name, capability = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
        except RuntimeError as error:
            return TorchFacts(torch.__version__, torch.version.cuda, str(error).splitlines()[0])
        architectures = tuple(torch.cuda.get_arch_list())
        return TorchFacts(torch.__version__, torch.version.cuda, "", name, capability, architectures, free, total)

    def openvino(self) -> OpenVinoFacts | str:
        """OpenVINO's facts, or why it can't be imported."""
        try:
            import openvino
        except (ImportError, OSError) as error:
            return str(error)
        core = openvino.Core()
        devices = {
            name: (str(core.get_property(name, "FULL_DEVICE_NAME")), tuple(core.get_property(name, "OPTIMIZATION_CAPABILITIES")))
            for name in core.available_devices
        }
        return OpenVinoFacts(openvino.__version__, devices)
