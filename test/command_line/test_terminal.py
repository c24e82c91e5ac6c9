# SPDX-License-Identifier: Apache-2.0
"""Errors and options as every subcommand shows and reads them."""

from __future__ import annotations

import sys

import pytest

from ssd_core.command_line.main import main
from ssd_core.command_line.terminal import parse_size, split_names


@pytest.mark.parametrize("path", ["/nowhere/[night]/x", "/nowhere/[/night]", "/nowhere/" + "long/" * 40])
def test_an_error_keeps_the_path_as_it_is(path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ssd-depth", "dataset", "check", path])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and path.rstrip("/") in error


def test_options_in_words() -> None:
    assert split_names([" left,right ,", "rear"]) == ["left", "right", "rear"]
    assert split_names(None) is None and split_names([""]) is None
    assert parse_size("448X252") == (448, 252)
    with pytest.raises(ValueError, match="--input-size 448: write WIDTHxHEIGHT"):
        parse_size("448")
