# SPDX-License-Identifier: Apache-2.0
"""A machine with a GPU and Torch-TensorRT, as far as our code asks."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from fake_torch_tensorrt import FakeTorchTensorRt

from ssd_core.runtime.backends import tensorrt


@pytest.fixture
def fake_tensorrt(monkeypatch: pytest.MonkeyPatch) -> FakeTorchTensorRt:
    """Tensors stay on the CPU."""
    library, engines = FakeTorchTensorRt(), types.ModuleType("tensorrt")
    monkeypatch.setattr(engines, "__version__", "11.1.0", raising=False)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", library)
    monkeypatch.setitem(sys.modules, "tensorrt", engines)
    monkeypatch.setattr(tensorrt, "DEVICE", torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA Fake")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 7))
    return library
