# SPDX-License-Identifier: Apache-2.0
"""Folders that are replaced: never somebody else's, on the disk before the old one goes, and back after a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssd_core.storage.atomic_write import atomic_directory, atomic_write_text

KILLED_BETWEEN_THE_RENAMES = """
import os, signal, sys
from pathlib import Path
from ssd_core.storage.atomic_write import atomic_directory

rename = Path.replace

def replace(source, destination):
    if source.name.endswith(".part"):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(source, destination)

Path.replace = replace
with atomic_directory(Path(sys.argv[1])) as folder:
    (folder / "new").touch()
"""


def write(path: Path, name: str, own: tuple[str, ...] | None = None) -> None:
    with atomic_directory(path, own) as folder:
        (folder / name).write_text(name)


def kill_between_the_renames(path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", KILLED_BETWEEN_THE_RENAMES, str(path)], check=False)
    assert result.returncode == -signal.SIGKILL


def test_a_folder_with_foreign_entries_is_refused_before_the_work(tmp_path: Path) -> None:
    target = tmp_path / "set"
    write(target, "mine", ())
    write(target, "mine", ("mine",))
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (target / name).touch()
    message = r"set holds a\.txt, b\.txt, c\.txt and 1 more, which would be lost; choose another name"
    with pytest.raises(FileExistsError, match=message), atomic_directory(target, ("mine",)):
        pytest.fail("the block isn't entered")
    assert len(list(target.iterdir())) == 5 and list(tmp_path.iterdir()) == [target]
    write(target, "mine")
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_what_others_write_during_the_work_stays(tmp_path: Path) -> None:
    target = tmp_path / "set"
    with pytest.raises(FileExistsError, match="notes"), atomic_directory(target, ()) as folder:
        (folder / "mine").touch()
        atomic_write_text(target / "notes", "x")
    assert list(tmp_path.rglob("*")) == [target, target / "notes"]


def test_a_file_is_no_folder_to_replace(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("x")
    with pytest.raises(FileExistsError, match="set is no folder"):
        write(tmp_path / "set", "mine")
    assert (tmp_path / "set").read_text() == "x" and len(list(tmp_path.iterdir())) == 1


def test_a_link_to_a_folder_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    write(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["one"]


def test_a_folder_that_a_kill_left_aside_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "set [1]"
    write(target, "old")
    write(tmp_path / "set [1].more", "other")
    kill_between_the_renames(target)
    assert not target.exists()
    with pytest.raises(RuntimeError), atomic_directory(target):
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    assert not list(tmp_path.glob("*.old"))


def test_an_aside_folder_goes_once_the_new_one_is_there(tmp_path: Path) -> None:
    target = tmp_path / "set"
    write(target, "old")
    kill_between_the_renames(target)
    (aside,) = tmp_path.glob(".*.old")
    shutil.copytree(aside, target)
    write(target, "new")
    assert [path.name for path in target.iterdir()] == ["new"] and not list(tmp_path.glob(".*.old"))


def test_an_interrupt_between_the_renames_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "set"
    write(target, "old")
    rename = Path.replace

    def interrupt(source: Path, destination: Path) -> Path:
        if source.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(source, destination)

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(target, "new")
    assert list(tmp_path.rglob("*")) == [target, target / "old"]


def test_all_is_on_the_disk_before_the_old_folder_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, events = tmp_path / "set", list[str]()
    write(target, "old")
    rename, fsync = Path.replace, os.fsync

    def note_rename(source: Path, destination: Path) -> Path:
        events.append(f"rename {source.name.rpartition('.')[2]}")
        return rename(source, destination)

    def note_fsync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name.rpartition(".")[2])
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", note_rename)
    monkeypatch.setattr(os, "fsync", note_fsync)
    with atomic_directory(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "weights").write_text("x")
    assert sorted(events[:3]) == ["inner", "part", "weights"]
    assert events[3:] == ["rename set", "rename part", tmp_path.name, "rename old"]
