# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth render-sheet`: rendered frames, alone and beside recorded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.command_line.render import CameraPreset, Weather
from ssd_core.command_line.render_sheet import recorded_pictures
from ssd_core.images.codec import decode_image, write_image
from ssd_core.road_world.presets import PRESETS
from ssd_core.road_world.weather import CONDITIONS


def test_the_command_knows_all_presets_and_conditions() -> None:
    assert [preset.value for preset in CameraPreset] == list(PRESETS)
    assert [weather.value for weather in Weather] == list(CONDITIONS)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "real"
    folder.mkdir()
    for number in range(4):
        write_image(folder / f"{number}.png", np.full((30, 80, 3), (250, 0, 50 * number), dtype=np.uint8))
    return folder


def test_recorded_frames_are_spread_evenly_and_small(photographs: Path) -> None:
    pictures = recorded_pictures(photographs, 2, 40)
    assert [picture.shape for picture in pictures] == [(15, 40, 3)] * 2
    assert [int(picture[0, 0, 2]) for picture in pictures] == [0, 100]


@pytest.mark.render
def test_a_sheet_has_rendered_frames_left_and_recorded_ones_right(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    arguments = ["--out", out, "--condition", "fog", "--frames", 2, "--width", 40, "--preset", "kitti", "--beside", photographs]
    result = CliRunner().invoke(app, ["render-sheet", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    sheet = decode_image(out.read_bytes())
    assert sheet.shape[1] == 2 * 40
    red = (sheet[..., 0] > 200) & (sheet[..., 1] < 50)
    assert red[:, 40:].mean() > 0.2 and not red[:, :40].any()
    again = tmp_path / "again.png"
    CliRunner().invoke(app, ["render-sheet", *map(str, ["--out", again, *arguments[2:]])])
    assert again.read_bytes() == out.read_bytes()
