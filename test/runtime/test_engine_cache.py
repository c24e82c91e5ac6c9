# SPDX-License-Identifier: Apache-2.0
"""The cache of compiled networks: built once, damaged entries rebuilt, never in the way."""

import dataclasses
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ssd_core.runtime.engine_cache import EngineCache, EngineKey, EngineMissingError

KEY = EngineKey("abc", (448, 252), 1, "fp32", "openvino", {"openvino": "2026.1"})


class Builder:
    """Counts builds; an engine is a file's text."""

    def __init__(self) -> None:
        self.builds = 0
        self.started, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def build(self, folder: Path) -> None:
        self.builds += 1
        self.started.set()
        assert self.may_end.wait(30)
        (folder / "network.bin").write_text(f"engine {self.builds}")

    def load(self, folder: Path) -> str:
        return (folder / "network.bin").read_text()


@pytest.fixture
def builder() -> Builder:
    return Builder()


def entry(cache: EngineCache) -> Path:
    (found,) = (path for path in (cache.folder / "engines").iterdir() if path.is_dir())
    return found


def test_the_second_start_loads_what_the_first_built(tmp_path: Path, builder: Builder) -> None:
    assert EngineCache(tmp_path).get(KEY, builder.build, builder.load) == "engine 1"
    assert EngineCache(tmp_path).get(KEY, builder.build, builder.load) == "engine 1"
    assert builder.builds == 1


CHANGES = {
    "weights_hash": "abd",
    "input_size": (252, 448),
    "batch": 2,
    "precision": "bf16",
    "backend": "torch",
    "versions": {"openvino": "2026.2"},
}


@pytest.mark.parametrize("field", CHANGES)
def test_any_difference_is_another_entry(tmp_path: Path, builder: Builder, field: str) -> None:
    assert set(CHANGES) == {item.name for item in dataclasses.fields(EngineKey)}
    cache = EngineCache(tmp_path)
    cache.get(KEY, builder.build, builder.load)
    assert cache.get(dataclasses.replace(KEY, **{field: CHANGES[field]}), builder.build, builder.load) == "engine 2"
    assert cache.get(KEY, builder.build, builder.load) == "engine 1"


@pytest.mark.parametrize("damage", ["changed", "truncated", "file lost", "no manifest", "half manifest", "of another key"])
def test_damage_is_named_and_mended(tmp_path: Path, builder: Builder, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    cache = EngineCache(tmp_path)
    cache.get(KEY, builder.build, builder.load)
    network, manifest = entry(cache) / "network.bin", entry(cache) / "engine.json"
    if damage == "changed":
        network.write_text("engine X")
    elif damage == "truncated":
        network.write_text("eng")
    elif damage == "file lost":
        network.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "half manifest":
        manifest.write_text(manifest.read_text()[:30])
    else:
        content = json.loads(manifest.read_text())
        content["key"]["precision"] = "bf16"
        manifest.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        assert cache.get(KEY, builder.build, builder.load) == "engine 2"
    assert "damaged or stale" in caplog.text
    caplog.clear()
    assert cache.get(KEY, builder.build, builder.load) == "engine 2"
    assert not caplog.records


def test_an_entry_the_library_cannot_load_is_rebuilt(tmp_path: Path, builder: Builder, caplog: pytest.LogCaptureFixture) -> None:
    cache = EngineCache(tmp_path)
    cache.get(KEY, builder.build, builder.load)

    def load(folder: Path) -> str:
        if builder.builds == 1:
            raise RuntimeError("made for another CPU")
        return builder.load(folder)

    assert cache.get(KEY, builder.build, load) == "engine 2"
    assert "made for another CPU" in caplog.text


def test_a_failed_build_leaves_nothing_and_is_passed_on(tmp_path: Path, builder: Builder) -> None:
    cache = EngineCache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("no such network")

    with pytest.raises(ValueError, match="no such network"):
        cache.get(KEY, fail, builder.load)
    assert [path for path in (tmp_path / "engines").iterdir() if path.is_dir()] == []
    assert cache.get(KEY, builder.build, builder.load) == "engine 1"


def test_an_unwritable_folder_is_a_warning_and_works(tmp_path: Path, builder: Builder, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")  # file modes don't stop the superuser, who runs many a test
    cache = EngineCache(tmp_path / "file")
    assert cache.get(KEY, builder.build, builder.load) == "engine 1"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "can't be written" in record.getMessage()
    assert "SSD_DEPTH_CACHE" in record.getMessage()


def test_an_entry_in_a_folder_that_cannot_be_written_is_used(
    tmp_path: Path, builder: Builder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A cache that was filled while an image was built, and is read by another user."""
    EngineCache(tmp_path).get(KEY, builder.build, builder.load)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    assert EngineCache(tmp_path).get(KEY, builder.build, builder.load) == "engine 1"
    assert not caplog.records
    (entry(EngineCache(tmp_path)) / "network.bin").write_text("engine X")
    assert EngineCache(tmp_path).get(KEY, builder.build, builder.load) == "engine 2"


def test_what_a_killed_build_left_is_removed(tmp_path: Path, builder: Builder) -> None:
    leftovers = [tmp_path / "engines" / f".{name}.0123abcd.part" for name in (KEY.digest, "another")]
    for folder in leftovers:
        folder.mkdir(parents=True)
        (folder / "network.bin").touch()
    EngineCache(tmp_path).get(KEY, builder.build, builder.load)
    assert [folder.exists() for folder in leftovers] == [False, True], "the other one may be at work in another process"


def test_two_at_once_build_once(tmp_path: Path, builder: Builder) -> None:
    builder.may_end.clear()
    results: list[str] = []
    work = [threading.Thread(target=lambda: results.append(EngineCache(tmp_path).get(KEY, builder.build, builder.load))) for _ in range(2)]
    for thread in work:
        thread.start()
    assert builder.started.wait(30)
    builder.may_end.set()
    for thread in work:
        thread.join(30)
    assert results == ["engine 1", "engine 1"]
    assert builder.builds == 1


def test_without_leave_to_build_there_is_what_is_there(tmp_path: Path, builder: Builder) -> None:
    cache = EngineCache(tmp_path)
    with pytest.raises(EngineMissingError, match=KEY.digest):
        cache.get(KEY, None, builder.load)
    assert not list(tmp_path.iterdir())
    cache.get(KEY, builder.build, builder.load)
    assert cache.get(KEY, None, builder.load) == "engine 1"
    (cache.entry(KEY) / "network.bin").write_text("engine X")
    with pytest.raises(EngineMissingError):
        cache.get(KEY, None, builder.load)


PROCESS = """
import os, sys, time
from pathlib import Path
from ssd_core.runtime.engine_cache import EngineCache, EngineKey

key = EngineKey("abc", (448, 252), 1, "fp32", "openvino", {"openvino": "2026.1"})
folder, behaviour = Path(sys.argv[1]), sys.argv[2]

def build(target):
    with (folder / "builds").open("a") as file:
        file.write("x")
    (target / "network.bin").write_text("engine")
    (folder / "building").touch()
    if behaviour == "crash":
        os._exit(9)
    time.sleep(0.5)

print(EngineCache(folder).get(key, build, lambda entry: (entry / "network.bin").read_text()))
"""


def start(folder: Path, behaviour: str) -> "subprocess.Popen[str]":
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", PROCESS, str(folder), behaviour], stdout=subprocess.PIPE, text=True, cwd=root)


def test_two_processes_build_once(tmp_path: Path) -> None:
    processes = [start(tmp_path, "build") for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["engine\n"] * 2
    assert (tmp_path / "builds").read_text() == "x"


def test_a_process_that_dies_while_building_leaves_no_engine(tmp_path: Path, builder: Builder) -> None:
    process = start(tmp_path, "crash")
    process.communicate(timeout=120)
    assert process.returncode == 9 and (tmp_path / "building").exists()
    with pytest.raises(EngineMissingError):
        EngineCache(tmp_path).get(KEY, None, builder.load)
    assert EngineCache(tmp_path).get(KEY, builder.build, builder.load) == "engine 1"
    assert sorted(path.suffix for path in (tmp_path / "engines").iterdir()) == ["", ".lock"], "what the dead process left is removed"


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()])
def test_too_little_memory_is_no_damage(tmp_path: Path, builder: Builder, error: Exception) -> None:
    cache = EngineCache(tmp_path)
    cache.get(KEY, builder.build, builder.load)

    def load(_: Path) -> str:
        raise error

    with pytest.raises(type(error)):
        cache.get(KEY, builder.build, load)
    assert builder.builds == 1 and cache.get(KEY, builder.build, builder.load) == "engine 1"
