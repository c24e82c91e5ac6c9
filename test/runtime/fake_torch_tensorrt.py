# SPDX-License-Identifier: Apache-2.0
"""Torch-TensorRT's outermost edge on a machine without it: `dynamo.compile` returns the exported graph itself, `save` stores it."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import torch


class FakeTorchTensorRt(types.ModuleType):
    """Stands for the module torch_tensorrt. `error` is raised by compile; `factor` makes engines wrong; `builds` are the options given."""

    __version__ = "2.14.0"

    def __init__(self) -> None:
        super().__init__("torch_tensorrt")
        self.builds: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.factor = 1.0
        self.dynamo = types.SimpleNamespace(compile=self._compile)

    def _compile(self, program: torch.export.ExportedProgram, arg_inputs: list[torch.Tensor], **options: Any) -> torch.nn.Module:
        self.builds.append({"shapes": [tuple(tensor.shape) for tensor in arg_inputs], **options})
        Path(options["timing_cache_path"]).write_text(f"timing {len(self.builds)}")
        if self.error is not None:
            raise self.error
        compiled: Any = program.module()
        compiled.program = program
        return compiled

    def save(self, module: Any, path: str, output_format: str, arg_inputs: list[torch.Tensor]) -> None:
        assert output_format == "exported_program" and path.endswith(".pt2") and arg_inputs
        program = module.program
        if self.factor != 1:
            scaled = Scaled(program.module(), self.factor)
            with torch.no_grad():
                program = torch.export.export(scaled, tuple(arg_inputs), strict=False)
        torch.export.save(program, path)


class Scaled(torch.nn.Module):
    def __init__(self, module: torch.nn.Module, factor: float) -> None:
        super().__init__()
        self.module, self.factor = module, factor

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.module(*inputs) * self.factor
