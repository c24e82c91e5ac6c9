# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of processor, memory, libraries, cache and model."""

from __future__ import annotations

from pathlib import Path

import torch
from fake_machine import FakeMachine

from ssd_core.diagnosis.computer import check_computer, check_libraries
from ssd_core.diagnosis.examination import examine
from ssd_core.diagnosis.files import check_cache, check_model
from ssd_core.diagnosis.finding import Finding, Level
from ssd_core.diagnosis.machine import Answer, Machine
from ssd_core.model.checkpoint import save_checkpoint
from ssd_core.model.config import ModelDescription, NetworkSize
from ssd_core.model.depth_model import DepthModel

CACHE = Path("/home/robot/.cache/ssd_depth_ros")


def by_subject(found: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found}


def test_a_computer_that_is_well() -> None:
    machine = FakeMachine()
    machine.files |= {"/etc/os-release": 'NAME=x\nPRETTY_NAME="Ubuntu 24.04"\n', "/.dockerenv": ""}
    machine.versions["ssd_depth_ros"] = "0.1.0"
    found = by_subject(check_computer(machine))
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert found["ssd_depth_ros"].fact == "0.1.0, revision 0123456789ab"
    assert found["system"].fact == "Ubuntu 24.04, Linux 6.8 x86_64 in a container"
    assert found["processor"].fact == "Intel(R) Xeon(R), 8 usable processors, AMX, AVX512-BF16, AVX512, AVX2"
    assert found["memory"].fact == "16.0 of 32.0 GB available"


def test_a_processor_without_bf16_and_little_memory() -> None:
    machine = FakeMachine()
    machine.files["/proc/cpuinfo"] = "model name : Old\nflags : fpu avx2\n"
    machine.files["/proc/meminfo"] = "MemTotal:  2097152 kB\nMemAvailable:   1048576 kB\n"
    found = by_subject(check_computer(machine))
    assert found["processor"].level is found["memory"].level is Level.WARN
    assert "networks run in fp32" in found["processor"].fact


def test_a_processor_that_says_nothing_is_no_fault() -> None:
    machine = FakeMachine()
    machine.files.clear()
    found = by_subject(check_computer(machine))
    assert {finding.level for finding in found.values()} == {Level.OK}
    machine.files["/proc/cpuinfo"] = "processor : 0\nFeatures : fp asimd bf16\nModel : Jetson\n"
    assert by_subject(check_computer(machine))["processor"].fact == "Jetson, 8 usable processors, Arm BF16, Neon"


def test_libraries() -> None:
    machine = FakeMachine()
    found = by_subject(check_libraries(machine))
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert found["OpenVINO"].fact == "2026.4; CPU: Xeon (FP32 BF16)" and found["backend"].fact == "auto is openvino here"
    machine.torch_facts = machine.openvino_facts = "no such library"
    del machine.versions["transformers"]
    found = by_subject(check_libraries(machine))
    assert [found[name].level for name in ("torch", "transformers", "OpenVINO")] == [Level.FAIL, Level.FAIL, Level.WARN]
    assert all("make setup" in found[name].fix for name in ("torch", "transformers", "OpenVINO"))


def test_the_cache() -> None:
    machine = FakeMachine()
    machine.files |= {f"{CACHE}/engines/{name}/engine.json": "{}" for name in ("a", "b")}
    assert check_cache(machine, CACHE) == Finding("cache", Level.OK, f"{CACHE}: 2 compiled networks, 14 MB, 50.0 GB free")
    machine.free["/"] = 1 << 30
    assert check_cache(machine, CACHE).level is Level.WARN
    machine.read_only.add(str(CACHE))
    found = check_cache(machine, CACHE)
    assert found.level is Level.WARN and "at every start" in found.fact and "SSD_DEPTH_CACHE" in found.fix


def test_models(tmp_path: Path) -> None:
    tiny = NetworkSize(32, 4, 2, (0, 1, 2, 3), (8, 12, 16, 16), 16)
    for trained in (True, False):
        description = ModelDescription(parametrisation="metric", input_size=(56, 28), trained=trained)
        save_checkpoint(tmp_path / f"trained-{trained}", DepthModel.create(tiny, description))
        found = check_model(str(tmp_path / f"trained-{trained}"))
        assert found.level is (Level.OK if trained else Level.WARN)
        assert found.fact.startswith(f"trained-{trained}@") and "(metric) at 56x28" in found.fact
        assert ("UNTRAINED" in found.fact) != trained
    found = check_model(str(tmp_path / "absent"))
    assert found.level is Level.FAIL and "no model folder" in found.fact


def test_a_check_that_breaks_ends_nothing(tmp_path: Path) -> None:
    machine = FakeMachine()
    machine.commands["nvidia-smi"] = Answer(True, "a card, no-version-at-all, 3 MiB\n")
    machine.files["/proc/meminfo"] = "MemAvailable:   1 kB\n"  # MemTotal is missing
    found = by_subject(examine(machine, "bundled", CACHE))
    assert found["computer"].level is Level.FAIL and "KeyError" in found["computer"].fact
    assert {"GPU", "torch", "ROS", "cache", "model"} <= found.keys()


def test_the_real_machine(tmp_path: Path) -> None:
    machine = Machine()
    facts = machine.torch()
    assert not isinstance(facts, str) and facts.version == torch.__version__
    assert (facts.gpu is not None) == torch.cuda.is_available()
    assert machine.version("no-such-distribution") is None and machine.module("no_such_module") is None
    assert machine.run(["no-such-command"]) is None and machine.read(tmp_path) is None
    answer = machine.run_python("raise ValueError('so it is')")
    assert answer is not None and not answer.succeeded and answer.last_line == "ValueError: so it is"
    (tmp_path / "file").write_bytes(b"board\0")
    assert machine.read(tmp_path / "file") == "board" and machine.matching(f"{tmp_path}/f*") == [str(tmp_path / "file")]
    assert machine.is_writable(tmp_path / "new" / "folder") and not machine.is_writable(tmp_path / "file")
    assert machine.free_bytes(tmp_path / "new") and machine.folder_bytes(tmp_path) == 6 and machine.processors() > 0
