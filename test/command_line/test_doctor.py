# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth doctor` on this machine, and its page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ssd_core.command_line.doctor import print_page
from ssd_core.command_line.main import app
from ssd_core.diagnosis.finding import failure, warning, well


def test_the_page_is_for_pasting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/robot")
    text = io.StringIO()
    findings = [
        well("GPU", "fine"),
        warning("cache", "/home/robot/.cache [night]: small", "buy a disk"),
        failure("ROS", "two\nlines", "x " * 99),
    ]
    print_page(Console(file=text, width=40), findings)
    lines = text.getvalue().splitlines()
    assert lines[:4] == [
        "OK    GPU    fine",
        "WARN  cache  ~/.cache [night]: small",
        "             fix: buy a disk",
        "FAIL  ROS    two lines",
    ]
    assert len(lines) == 5, "nothing is wrapped"


def test_this_machine(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path)])
    assert result.exit_code == ("FAIL" in result.output), result.output
    for subject in ("processor", "memory", "GPU", "TensorRT", "torch", "OpenVINO", "ROS", "cache", "model"):
        assert f"  {subject} " in result.output, subject
    assert "bundled@" in result.output and str(tmp_path) in result.output


def test_a_fault_is_an_exit_code(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path), "--model", str(tmp_path / "absent")])
    assert result.exit_code == 1
    assert "FAIL  model" in result.output and "no model folder" in result.output
