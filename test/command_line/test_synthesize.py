# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.command_line.synthesize import _Process, _shard
from ssd_core.data.errors import DataError
from ssd_core.data.translations import Shard, read_records, read_translations
from ssd_core.gdt.config import SynthesisConfig
from ssd_core.images.codec import write_image
from ssd_core.storage.configuration import load_configuration

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / part) for part in ("gdt", "data", "training")]

from nuscenes_tree import SCENES, write_nuscenes  # noqa: E402
from small_streets import write_streets  # noqa: E402
from small_video import write_video  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streets")
    write_streets(folder, 4)
    return folder


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["synthesize", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_from_a_day_to_a_manifest_and_a_report(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "set")
    folder = tmp_path / "set"
    options = ("--data", folder, "--translator", "physical", "--condition", "night", "--condition", "rain")
    output = call(*options)
    assert "night:" in output and "accepted" in output
    assert "no network" not in output
    root = folder / "translated" / "physical"
    assert len(read_records(root)) == 8
    assert all(record["change_detector"].startswith("bundled@") for record in read_records(root))
    assert {item.condition for item in read_translations(folder, "physical")} == {"night", "day-rain"}
    written = yaml.safe_load((root / "configuration.yaml").read_text())
    assert written["translator"] == "physical"
    assert written["settings"]["physical"]["night"]["speed"] == list(SynthesisConfig().physical.night.speed)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.jpg") if "_" not in path.name}
    call(*options)
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*.jpg") if "_" not in path.name}
    with pytest.raises(ValueError, match=r"settings\.seed"):
        call(*options, "seed=5")
    call(*options, "--overwrite", "--limit", 2, "seed=5")
    assert [record["frame_id"] for record in read_records(root)] == ["front/000", "front/000", "front/002", "front/002"]


def test_a_preview_writes_a_sheet_and_nothing_else(data: Path, tmp_path: Path) -> None:
    call("--data", data, "--out", tmp_path, "--translator", "physical", "--condition", "fog", "--preview", 2)
    assert "no network" in call(
        "--data", data, "--out", tmp_path, "--translator", "physical", "--condition", "fog", "--preview", 1, "gate.change_detector=null"
    )
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["preview.jpg"]


@pytest.mark.parametrize("number", [0, 1])
def test_of_several_processes_the_first_makes_the_preview(number: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssd_core.command_line.synthesize._this_process", lambda: _Process(number, 2))
    if number > 0:
        monkeypatch.setattr("ssd_core.command_line.synthesize._open", lambda *_: pytest.fail("a network is loaded for nothing"))
    call("--data", data, "--out", tmp_path, "--translator", "physical", "--condition", "fog", "--preview", 1)
    assert (tmp_path / "translated" / "physical" / "preview.jpg").exists() == (number == 0)


def test_a_preview_says_what_it_cant_show(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "set")
    next((tmp_path / "set" / "images").rglob("000.*")).write_bytes(b"no picture")
    output = call("--data", tmp_path / "set", "--translator", "physical", "--condition", "fog", "--condition", "rain", "--preview", 2)
    assert output.count("not on the sheet") == 1


@pytest.mark.parametrize("name", ["..", "", "physical/v2", "/elsewhere"])
def test_a_name_that_leads_elsewhere_removes_nothing(name: str, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "set")
    with pytest.raises(ValueError, match=r"--name, data.translator\): it must name a folder in .*translated"):
        call("--data", tmp_path / "set", "--translator", "physical", "--condition", "night", "--name", name, "--overwrite")
    assert (tmp_path / "set" / "frames.jsonl").exists() and not (tmp_path / "set" / "translated").exists()


def test_only_what_students_are_shown_is_translated_if_asked_for(tmp_path: Path) -> None:
    write_video(tmp_path / "set", 5)
    options = ("--data", tmp_path / "set", "--translator", "physical", "--condition", "night")
    call(*options, "--triplets")
    root = tmp_path / "set" / "translated" / "physical"
    assert len(read_records(root)) == 3
    call(*options)
    assert len(read_records(root)) == 5
    write_video(tmp_path / "pair", 2)
    with pytest.raises(DataError, match=r"none of 2 frames of condition day-clear .*\(--triplets\)"):
        call("--data", tmp_path / "pair", "--translator", "physical", "--condition", "night", "--triplets")


def test_shards_of_machines_and_of_processes(data: Path, tmp_path: Path) -> None:
    assert _shard("0/1", _Process()) == Shard(0, 1)
    assert [_shard(f"{number}/2", _Process(rank, 3)).number for number in range(2) for rank in range(3)] == list(range(6))
    assert _shard("1/2", _Process(2, 3)).of == 6
    with pytest.raises(ValueError, match="0/4"):
        _shard("half", _Process())
    for number in range(2):
        call(
            "--data", data, "--out", tmp_path, "--translator", "physical", "--condition", "snow", "--shard", f"{number}/2", "--name", "mine"
        )
    assert len(read_records(tmp_path / "translated" / "mine")) == 4
    with pytest.raises(ValueError, match="shards"):
        call("--data", data, "--translator", "physical", "--condition", "snow", "--shard", "0/2", "--overwrite")


def test_the_files_that_ship_say_the_defaults() -> None:
    """What docs and files list can't drift from the code."""
    folder = ROOT / "training" / "synthesis"
    assert load_configuration(SynthesisConfig, folder / "physical.yaml") == SynthesisConfig()
    listed = yaml.safe_load((folder / "physical.yaml").read_text())
    whole = SynthesisConfig().model_dump(mode="json")
    assert listed["physical"] == whole["physical"]
    assert {name: listed["gate"][name] for name in ("night", "rain", "snow", "fog")} == {
        name: whole["gate"][name] for name in ("night", "rain", "snow", "fog")
    }


@pytest.mark.parametrize("size", [(128, 72), (72, 128)])
def test_pictures_without_intrinsics_are_seen_through_an_assumed_lens(size: tuple[int, int], tmp_path: Path) -> None:
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        write_image(tmp_path / "pictures" / f"{number}.png", noise)
    small = ("depth.input_size=[112,56]", "gate.use_depth=true")
    output = call("--data", tmp_path / "pictures", "--translator", "physical", "--condition", "fog", *small)
    assert output.count("2 of 2 frames have no intrinsics: a horizontal field of view of 65 degrees is assumed") == 1
    records = read_records(tmp_path / "pictures" / "translated" / "physical")
    assert [record["camera_known"] for record in records] == [False, False]
    assert all(record["depth_model"].startswith("bundled@") for record in records)


@pytest.mark.parametrize(("version", "split"), [("v1.0-trainval", "train"), ("v1.0-mini", "mini_train")])
def test_of_nuscenes_the_frames_to_learn_from_are_translated(version: str, split: str, tmp_path: Path) -> None:
    scenes = (SCENES[0], ("scene-0103", "Many peds right"))  # of train and of val
    root = write_nuscenes(tmp_path / "nu", version, scenes, pictures=1)
    options = ("--data", root, "--translator", "physical", "--condition", "fog", "--cameras", "CAM_FRONT", "depth.input_size=[112,56]")
    assert f"split {split}" in call(*options)
    assert [record["frame_id"] for record in read_records(root / "translated" / "physical")] == ["CAM_FRONT/scene-0061-CAM_FRONT-0"]
    call(*options, "--name", "asked", "--split", "all")
    assert len(read_records(root / "translated" / "asked")) == 2


def test_a_file_cant_hold_translations(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--out"):
        call("--data", tmp_path / "drive.mcap", "--translator", "physical", "--condition", "night")
