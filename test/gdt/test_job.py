# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from small_streets import write_streets

from ssd_core.data.errors import DataError
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.translations import Shard, read_records, read_translations
from ssd_core.gdt.config import DepthConfig, SynthesisConfig
from ssd_core.gdt.depth_maps import open_depth_maps
from ssd_core.gdt.gate import GateScores, GeometryGate
from ssd_core.gdt.job import JobDescription, Task, Workshop, all_tasks, choose_frames, prepare_folder, run_job
from ssd_core.gdt.physical.translator import PhysicalTranslator
from ssd_core.gdt.report import make_report, write_report
from ssd_core.gdt.translator import TargetCondition, TranslatedImage, TranslationRequest, UntranslatableError
from ssd_core.storage.configuration import ConfigurationError

FRAMES = 8
CONDITIONS: tuple[TargetCondition, ...] = ("night", "rain")


class InPairs(PhysicalTranslator):
    """Its pictures tell how large the batch was, so that a resumed run must make the same batches."""

    batch_size = 2

    def translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage]:
        return [TranslatedImage(made.image, {**made.provenance, "together": len(requests)}) for made in super().translate(requests)]


class AllButOne(InPairs):
    """Can't translate one picture, as Stable Diffusion can't where half precision overflows."""

    def translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage]:
        if any((request.frame_id, request.condition) == ("front/000", "rain") for request in requests):
            raise UntranslatableError("front/000: not finite")
        return super().translate(requests)


def workshop(source: FrameDataset) -> Workshop:
    config = SynthesisConfig(depth=DepthConfig(source="truth"))
    depth, _ = open_depth_maps(source, source.frames(), config.depth)
    return Workshop(source, depth, InPairs(), GeometryGate(config.gate, None), seed=3)


def tasks(source: FrameDataset) -> list[Task]:
    return all_tasks(choose_frames(source.frames(), ("day-clear",)), CONDITIONS)


def run(data: Path, out: Path, shard: Shard | None = None) -> int:
    source = FrameDataset(data)
    return run_job(workshop(source), tasks(source), out, "physical", 90, shard)


def contents(out: Path) -> dict[str, bytes]:
    """All files but what a run says of its own time."""
    root = out / "translated" / "physical"
    kept = [path for path in root.rglob("*") if path.is_file() and path.name != "sittings.jsonl" and not path.name.endswith(".lock")]
    return {str(path.relative_to(root)): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streets")
    write_streets(folder, FRAMES, 96, 64)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert run(data, out) == FRAMES * len(CONDITIONS)
    return out


def test_every_frame_once_with_all_that_made_it(data: Path, whole: Path) -> None:
    records = read_records(whole / "translated" / "physical")
    assert [(record["frame_id"], record["condition"]) for record in records] == [
        (f"front/{number:03d}", condition) for number in range(FRAMES) for condition in ("night", "day-rain")
    ]
    first = records[0]
    assert first["translator"] == "physical"
    assert first["depth_model"] == "truth"
    assert set(first["scores"]) == set(GateScores._fields)
    assert first["values"]["brightness"] > 0
    for record in records:
        assert (whole / record["image"]).is_file()
        assert ("rejected" in record["image"]) == (not record["accepted"]) == bool(record["reasons"])
    found = read_translations(whole, "physical")
    assert len(found) == sum(record["accepted"] for record in records) > FRAMES
    assert run(data, whole) == 0


def test_killed_five_times_it_ends_with_the_same_files(data: Path, whole: Path, tmp_path: Path) -> None:
    draw = random.Random(5)
    context = multiprocessing.get_context("fork")
    manifest = tmp_path / "translated" / "physical" / "manifest.jsonl"
    kills = 0
    while kills < 5:
        process = context.Process(target=run, args=(data, tmp_path))
        before = manifest.stat().st_size if manifest.exists() else 0
        process.start()
        while process.is_alive() and (not manifest.exists() or manifest.stat().st_size == before):
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.03))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    # What a kill between two bytes leaves behind.
    with manifest.open("ab") as file:
        file.write(b'{"frame_id": "front/0')
    half = tmp_path / "translated" / "physical" / "night" / "front" / ".007.jpg.0123456789abcdef.part"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half")
    run(data, tmp_path)
    assert contents(tmp_path) == contents(whole)


def test_two_shards_are_one_run(data: Path, whole: Path, tmp_path: Path) -> None:
    made = [run(data, tmp_path, Shard(number, 2)) for number in range(2)]
    assert made == [FRAMES, FRAMES]
    root = tmp_path / "translated" / "physical"
    one, two = (
        {(r["frame_id"], r["condition"]): r for r in read_records(where / "translated" / "physical")} for where in (whole, tmp_path)
    )
    # Batches are those of the shard: of the pictures themselves nothing depends on it.
    assert one.keys() == two.keys()
    for key, record in one.items():
        assert two[key] == record
        assert (tmp_path / record["image"]).read_bytes() == (whole / record["image"]).read_bytes()
    assert sorted(path.name for path in root.glob("manifest*")) == ["manifest.0-of-2.jsonl", "manifest.1-of-2.jsonl"]
    assert sorted(read_translations(tmp_path, "physical")) == [
        item._replace(path=tmp_path / item.path.relative_to(whole)) for item in sorted(read_translations(whole, "physical"))
    ]
    # A whole run later makes none of them again.
    assert run(data, tmp_path) == 0


def test_two_runs_of_one_shard_are_refused(data: Path, tmp_path: Path) -> None:
    from ssd_core.data.translations import TranslationWriter

    with TranslationWriter(tmp_path, "physical"), pytest.raises(DataError, match="--shard"):
        run(data, tmp_path)
    with pytest.raises(ValueError, match="0/2"):
        Shard(2, 2)


def test_a_damaged_source_is_told_and_not_used(data: Path, tmp_path: Path) -> None:
    source = write_streets(tmp_path / "data", 2, 96, 64)
    (tmp_path / "data" / "images" / "front" / "000.png").write_bytes(b"no picture")
    run_job(workshop(source), tasks(source), tmp_path, "physical", 90)
    records = read_records(tmp_path / "translated" / "physical")
    assert [record["reasons"] == ["unreadable"] for record in records] == [True, True, False, False]
    assert all("000.png" in record["problem"] for record in records[:2])
    assert {found.frame_id for found in read_translations(tmp_path, "physical")} <= {"front/001"}


def test_a_picture_that_cant_be_translated_costs_no_other(data: Path, tmp_path: Path) -> None:
    source = FrameDataset(data)
    able = workshop(source)._replace(translator=AllButOne())
    assert run_job(able, tasks(source)[:4], tmp_path, "physical", 90) == 4
    records = read_records(tmp_path / "translated" / "physical")
    assert [record.get("problem") for record in records] == [None, "front/000: not finite", None, None]
    assert [record.get("together") for record in records] == [1, None, 2, 2]
    assert records[1]["reasons"] == ["untranslatable"] and records[1]["image"] is None
    assert make_report(tmp_path / "translated" / "physical", 4).conditions["day-rain"].reasons["untranslatable"] == 1
    # It isn't tried again, and a job ends.
    assert run_job(able, tasks(source)[:4], tmp_path, "physical", 90) == 0


def test_what_is_wrong_with_all_pictures_still_ends_a_job(data: Path, tmp_path: Path) -> None:
    class Misconfigured(InPairs):
        def translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage]:
            raise DataError("captions.jsonl: no caption of front/000")

    source = FrameDataset(data)
    with pytest.raises(DataError, match="no caption"):
        run_job(workshop(source)._replace(translator=Misconfigured()), tasks(source), tmp_path, "physical", 90)


def test_physics_says_which_frame_has_no_depth() -> None:
    nowhere = np.full((48, 64), np.nan, dtype=np.float32)
    with pytest.raises(UntranslatableError, match="front/7: depth is unknown everywhere"):
        PhysicalTranslator().translate([TranslationRequest("front/7", np.zeros((48, 64, 3), dtype=np.uint8), nowhere, "night", 1)])


def test_another_graphics_card_may_go_on_with_a_job(tmp_path: Path) -> None:
    def described(**diffusion: object) -> JobDescription:
        return JobDescription.of("diffusion", SynthesisConfig.model_validate({"diffusion": diffusion}))

    prepare_folder(tmp_path, "diffusion", described(device="cuda:1"))
    prepare_folder(tmp_path, "diffusion", described(device="cpu", offload="model", attention_slicing=True, vae_slicing=True))
    with pytest.raises(ConfigurationError, match=r"\(settings\.diffusion\.steps: 30 -> 9, settings\.diffusion\.batch_size: 1 -> 2\)"):
        prepare_folder(tmp_path, "diffusion", described(device="cpu", batch_size=2, steps=9))


def test_edited_prompts_need_another_name_and_added_ones_do_not(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"

    def prepare() -> Path:
        config = SynthesisConfig.model_validate({"diffusion": {"prompts": file}})
        return prepare_folder(tmp_path, "diffusion", JobDescription.of("diffusion", config))

    file.write_text('night: {positive: "dark {caption}"}')
    root = prepare()
    file.write_text('# Now with fog.\nnight: {positive: "dark {caption}"}\nfog: {positive: "dim {caption}"}')
    prepare()
    file.write_text('night: {positive: "black {caption}"}')
    with pytest.raises(ConfigurationError, match=r"\(contents\.diffusion\.prompts\.night: [^,]*\)"):
        prepare()
    # A folder of an earlier version, which wrote no contents, can be gone on with.
    path = root / "configuration.yaml"
    path.write_text(path.read_text().partition("contents:")[0])
    prepare()


def test_other_settings_need_another_name(tmp_path: Path) -> None:
    first = JobDescription.of("physical", SynthesisConfig())
    root = prepare_folder(tmp_path, "physical", first)
    assert prepare_folder(tmp_path, "physical", first) == root
    with pytest.raises(ConfigurationError, match=r"settings\.seed.*--name"):
        prepare_folder(tmp_path, "physical", JobDescription.of("physical", SynthesisConfig(seed=4)))
    (root / "manifest.jsonl").write_text("")
    prepare_folder(tmp_path, "physical", JobDescription.of("physical", SynthesisConfig(seed=4)), overwrite=True)
    assert not (root / "manifest.jsonl").exists()
    assert "diffusion" not in first.settings


def test_the_report_counts_shards_together(data: Path, tmp_path: Path) -> None:
    source = FrameDataset(data)
    run(data, tmp_path, Shard(0, 2))
    root = tmp_path / "translated" / "physical"
    half = make_report(root, len(tasks(source)))
    assert (half.done, half.tasks) == (FRAMES, 2 * FRAMES)
    assert half.hours_left is not None and half.hours_total is not None
    assert half.hours_left == pytest.approx(half.hours_total / 2)
    run(data, tmp_path, Shard(1, 2))
    report = make_report(root, len(tasks(source)))
    assert report.done == 2 * FRAMES
    assert report.hours_left == 0
    write_report(root, report, source, source.frames())
    text = (root / "report.md").read_text()
    assert "| night |" in text and "edge_agreement" in text and "accepted_night.jpg" in text
    assert (root / "accepted_day-rain.jpg").is_file()


def test_frames_of_no_wanted_condition_are_named(data: Path) -> None:
    frames = FrameDataset(data).frames()
    with pytest.raises(DataError, match=r"dusk.*day-clear"):
        choose_frames(frames, ("dusk",))
    assert [frame.frame_id for frame in choose_frames(frames, ("day-clear",), 3)] == ["front/000", "front/002", "front/005"]
