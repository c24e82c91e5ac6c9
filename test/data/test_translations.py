# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.translations import Translation, read_translations
from ssd_core.storage.json_lines import append_json_line


def write(folder: Path, frame_id: str, accepted: bool, condition: str = "night") -> None:
    image = f"translated/physical/{condition}/{frame_id}.jpg"
    append_json_line(
        folder / "translated" / "physical" / "manifest.jsonl",
        {"frame_id": frame_id, "condition": condition, "image": image, "accepted": accepted, "seed": 3},
    )


def test_accepted_pictures_only_and_the_last_record_counts(tmp_path: Path) -> None:
    (tmp_path / "translated" / "physical").mkdir(parents=True)
    for frame_id, accepted in (("a/1", True), ("a/2", False), ("a/3", True), ("a/3", False), ("a/2", True)):
        write(tmp_path, frame_id, accepted)
    folder = tmp_path / "translated" / "physical" / "night"
    assert read_translations(tmp_path, "physical") == [
        Translation("a/1", "night", folder / "a/1.jpg"),
        Translation("a/2", "night", folder / "a/2.jpg"),
    ]


def test_a_missing_manifest_names_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "translated" / "physical").mkdir(parents=True)
    write(tmp_path, "a/1", True)
    with pytest.raises(DataError, match=r"diffusion.*manifest\.jsonl.*physical"):
        read_translations(tmp_path, "diffusion")
    append_json_line(tmp_path / "translated" / "physical" / "manifest.jsonl", {"frame_id": "a/2"})
    with pytest.raises(DataError, match="condition"):
        read_translations(tmp_path, "physical")
