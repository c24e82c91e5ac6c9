# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of GPUs: none, no driver, an old one, a wrong torch, no bf16, unpaired TensorRT, a Jetson."""

from __future__ import annotations

import dataclasses

import pytest
from fake_machine import CUDA_TORCH, FakeMachine

from ssd_core.diagnosis.finding import Finding, Level
from ssd_core.diagnosis.gpu import check_gpu
from ssd_core.diagnosis.machine import Answer


def findings(machine: FakeMachine) -> dict[str, Finding]:
    return {finding.subject: finding for finding in check_gpu(machine)}


def test_a_machine_without_a_gpu_is_well() -> None:
    found = findings(FakeMachine())
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert "the CPU runs the network" in found["GPU"].fact
    assert found.keys() == {"GPU", "TensorRT"}


def test_a_card_without_a_driver() -> None:
    machine = FakeMachine()
    card = "/sys/bus/pci/devices/0000:01:00.0"
    machine.files |= {f"{card}/vendor": "0x10de\n", f"{card}/class": "0x040300\n"}
    assert findings(machine)["GPU"].level is Level.OK, "its sound device is no GPU"
    machine.files[f"{card}/class"] = "0x030000\n"
    found = findings(machine)["GPU"]
    assert found.level is Level.WARN and "--gpus all" in found.fix
    machine.commands["nvidia-smi"] = Answer(False, "NVIDIA-SMI has failed because it couldn't communicate\nwith the driver")
    found = findings(machine)["GPU"]
    assert found.level is Level.FAIL and found.fact.startswith("NVIDIA-SMI has failed")


def test_a_gpu_with_all_it_needs() -> None:
    machine = FakeMachine()
    machine.add_gpu()
    machine.versions |= {"torch-tensorrt": "2.14.0", "tensorrt-cu13": "10.14.1"}
    machine.modules["tensorrt"] = "/env/tensorrt/__init__.py"
    found = findings(machine)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert found["GPU"].fact == "NVIDIA RTX 4000, 20475 MiB, driver 580.95.05"
    assert "compute capability 8.9" in found["CUDA"].fact and "13.0" in found["CUDA"].fact
    assert found["GPU precision"].fact == "fp16 and bf16; auto is fp16"
    assert found["GPU memory"].fact == "19.0 of 20.0 GB free"
    assert found["TensorRT"].fact == "torch-tensorrt 2.14.0, tensorrt-cu13 10.14.1"


@pytest.mark.parametrize(("driver", "built_for", "is_too_old"), [("570.86.10", "13.0", True), ("535.104.05", "12.8", False)])
def test_an_old_driver(driver: str, built_for: str, is_too_old: bool) -> None:
    machine = FakeMachine()
    torch = dataclasses.replace(CUDA_TORCH, built_for=built_for, gpu=None if is_too_old else CUDA_TORCH.gpu)
    machine.add_gpu(driver, torch)
    found = findings(machine)["CUDA"]
    assert (found.level is Level.FAIL) == is_too_old
    if is_too_old:
        assert f"driver {driver} is too old for CUDA {built_for}" in found.fact and "580.65.06" in found.fix


def test_torch_that_cannot_use_the_gpu() -> None:
    machine = FakeMachine()
    machine.add_gpu(torch=dataclasses.replace(CUDA_TORCH, gpu=None, complaint="CUDA unknown error"))
    assert "CUDA unknown error" in findings(machine)["CUDA"].fact
    machine.add_gpu(torch=dataclasses.replace(CUDA_TORCH, gpu=None, built_for=None, version="2.13.0+cpu"))
    found = findings(machine)["CUDA"]
    assert found.level is Level.WARN and "built without it" in found.fact and "TORCH=" in found.fix
    machine.torch_facts = "libcudart.so: cannot open shared object file"
    assert "CUDA" not in findings(machine), "the line about torch says it"


@pytest.mark.parametrize(
    ("capability", "architectures", "has_code"),
    [
        ((8, 9), ("sm_80", "sm_90"), True),
        ((7, 0), ("sm_75", "sm_80"), False),
        ((12, 0), ("sm_80", "sm_90"), False),
        ((12, 1), ("sm_90a", "compute_90"), True),
        ((12, 1), ("sm_120f",), True),
        ((8, 7), (), True),
    ],
)
def test_code_for_the_gpu(capability: tuple[int, int], architectures: tuple[str, ...], has_code: bool) -> None:
    machine = FakeMachine()
    machine.add_gpu(torch=dataclasses.replace(CUDA_TORCH, capability=capability, architectures=architectures))
    assert (findings(machine)["CUDA"].level is Level.OK) == has_code


def test_a_gpu_without_bf16_and_with_little_memory() -> None:
    machine = FakeMachine()
    machine.add_gpu(torch=dataclasses.replace(CUDA_TORCH, capability=(7, 5), free_bytes=1 << 30))
    found = findings(machine)
    assert found["GPU precision"] == Finding("GPU precision", Level.OK, "fp16, no bf16 (compute capability 7.5); auto is fp16")
    assert found["GPU memory"].level is Level.WARN and found["GPU memory"].fact == "1.0 of 20.0 GB free"
    machine.add_gpu(torch=dataclasses.replace(CUDA_TORCH, capability=(6, 1)))
    found = findings(machine)
    assert found["GPU precision"].level is Level.WARN and "auto is fp32" in found["GPU precision"].fact


@pytest.mark.parametrize(
    ("versions", "modules", "level", "words"),
    [
        ({}, (), Level.WARN, "isn't installed"),
        ({"torch-tensorrt": "2.13.0"}, ("tensorrt",), Level.FAIL, "beside torch 2.14.1+cu130"),
        ({"torch-tensorrt": "2.14.0"}, (), Level.FAIL, "TensorRT itself isn't there"),
        ({"torch-tensorrt": "2.14.0", "torch-tensorrt-rtx": "2.14.0"}, ("tensorrt",), Level.FAIL, "both are the module torch_tensorrt"),
        ({"torch-tensorrt-rtx": "2.14.0", "tensorrt-rtx": "1.2"}, ("tensorrt_rtx",), Level.OK, "tensorrt-rtx 1.2"),
        ({"torch-tensorrt": "2.14.0"}, ("tensorrt",), Level.OK, "TensorRT of the system"),
    ],
)
def test_the_pairing_of_torch_and_tensorrt(versions: dict[str, str], modules: tuple[str, ...], level: Level, words: str) -> None:
    machine = FakeMachine()
    machine.add_gpu()
    machine.versions |= versions
    machine.modules |= dict.fromkeys(modules, "/env/somewhere")
    found = findings(machine)["TensorRT"]
    assert found.level is level and words in found.fact
    assert bool(found.fix) == (level is not Level.OK)


def test_a_gpu_that_is_too_old_for_tensorrt() -> None:
    machine = FakeMachine()
    machine.add_gpu(torch=dataclasses.replace(CUDA_TORCH, capability=(7, 0), architectures=("sm_70",)))
    machine.versions["torch-tensorrt"] = "2.14.0"
    machine.modules["tensorrt"] = "/env/somewhere"
    found = findings(machine)["TensorRT"]
    assert found.level is Level.WARN and "not for compute capability 7.0" in found.fact


def test_a_jetson() -> None:
    machine = FakeMachine()
    machine.files |= {
        "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit",
        "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
    }
    machine.commands["nvpmodel"] = Answer(True, "NV Power Mode: MAXN\n0\n")
    found = findings(machine)
    assert found["Jetson"].fact == "NVIDIA Jetson AGX Orin Developer Kit, L4T 36.4.3, power mode MAXN"
    assert found["CUDA"].level is Level.WARN and "JetPack" in found["CUDA"].fix
