# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import pytest

from ssd_core.storage import configuration
from ssd_core.storage.atomic_write import atomic_directory, atomic_write, atomic_write_text
from ssd_core.storage.compiled import compiled
from ssd_core.storage.configuration import (
    ConfigurationError,
    StrictModel,
    git_revision,
    load_configuration,
    read_values,
    save_configuration,
)
from ssd_core.storage.json_lines import append_json_line, read_json_lines


class Inner(StrictModel):
    share: float = 0.5


class Outer(StrictModel):
    name: str = "x"
    inner: Inner = Inner()


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files can't grow beyond `size`, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_named_with_the_file_and_leaves_no_half(tmp_path: Path) -> None:
    log, target = tmp_path / "log.jsonl", tmp_path / "file.bin"
    append_json_line(log, {"a": 1})
    with largest_file(60):
        with pytest.raises(OSError, match=r"file\.bin"):
            atomic_write_text(target, "x" * 100_000)
        with pytest.raises(OSError, match=r"log\.jsonl"):
            append_json_line(log, {"b": "x" * 100})
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
    append_json_line(log, {"c": 3})
    assert read_json_lines(log) == [{"a": 1}, {"c": 3}]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    atomic_write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_write(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_folder_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for text in ("one", "two"):
        with atomic_directory(target) as folder:
            (folder / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["two"]
    with pytest.raises(RuntimeError), atomic_directory(target) as folder:
        (folder / "three").write_text("3")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [target]


def test_results_have_the_permissions_of_plain_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    previous = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            # A mask that one thread takes away for a moment would be lost for good when two do so at once.
            patch.delattr(os, "umask")
            atomic_write_text(tmp_path / "file", "x")
            with atomic_directory(tmp_path / "folder"):
                pass
    finally:
        os.umask(previous)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "folder"
    with atomic_directory(target) as folder:
        (folder / "one").touch()
    replace = Path.replace

    def fail_for_the_new_one(path: Path, destination: Path) -> Path:
        if path.name.endswith(".part"):
            raise OSError("no")
        return replace(path, destination)

    monkeypatch.setattr(Path, "replace", fail_for_the_new_one)
    with pytest.raises(OSError, match="no"), atomic_directory(target):
        pass
    assert list(tmp_path.rglob("*")) == [target, target / "one"]


def test_a_half_written_last_line_is_ignored_and_then_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_json_line(path, {"n": 1})
    with path.open("ab") as file:
        file.write(b'{"n": 2, "text": "' + b"x" * 10_000)
    assert read_json_lines(path) == [{"n": 1}]
    append_json_line(path, {"n": 3})
    assert read_json_lines(path) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("line", ["{not json}", "[1, 2]"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "log.jsonl").write_text('{"n": 1}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"log\.jsonl:2"):
        read_json_lines(tmp_path / "log.jsonl")


def test_overrides_and_round_trip(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: y\n")
    configuration = load_configuration(Outer, tmp_path / "c.yaml", ["inner.share=0.25"])
    assert configuration == Outer(name="y", inner=Inner(share=0.25))
    save_configuration(tmp_path / "resolved.yaml", configuration)
    assert "git_revision" in (tmp_path / "resolved.yaml").read_text()


@pytest.mark.parametrize(
    ("override", "message"),
    [("inner.shore=1", r"inner\.shore"), ("inner.share=much", r"inner\.share"), ("nonsense", "key=value"), ("name.a=1", "name")],
)
def test_wrong_keys_and_values_are_named_by_path(override: str, message: str) -> None:
    overrides = ["name=y", override] if override.startswith("name.") else [override]
    with pytest.raises(ConfigurationError, match=message):
        load_configuration(Outer, None, overrides)


def test_a_file_may_be_a_delta_of_another(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("name: a\ninner: {share: 0.1}\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\nname: b\n")
    (tmp_path / "third.yaml").write_text("base: second.yaml\ninner: {share: 0.3}\n")
    assert load_configuration(Outer, tmp_path / "second.yaml") == Outer(name="b", inner=Inner(share=0.1))
    assert load_configuration(Outer, tmp_path / "third.yaml", ["name=c"]) == Outer(name="c", inner=Inner(share=0.3))


def test_a_base_that_is_missing_or_goes_round_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("base: two.yaml\n")
    with pytest.raises(ConfigurationError, match=r"one\.yaml: base: there is no .*two\.yaml"):
        load_configuration(Outer, tmp_path / "one.yaml")
    (tmp_path / "two.yaml").write_text("base: one.yaml\n")
    with pytest.raises(ConfigurationError, match="circle"):
        load_configuration(Outer, tmp_path / "one.yaml")


class Listed(StrictModel):
    parts: tuple[Inner, ...] = ()


def test_a_delta_may_add_to_a_list_of_its_base(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("parts: [{share: 0.1}]\nname: a\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\nparts+: [{share: 0.2}]\n")
    (tmp_path / "third.yaml").write_text("base: second.yaml\nparts+: [{share: 0.3}]\n")
    assert read_values(tmp_path / "third.yaml") == {"name": "a", "parts": [{"share": 0.1}, {"share": 0.2}, {"share": 0.3}]}
    for added in ("name+: [b]", "others+: [b]", "parts+: {share: 0.3}"):
        (tmp_path / "wrong.yaml").write_text(f"base: first.yaml\n{added}\n")
        with pytest.raises(ConfigurationError, match=r"wrong\.yaml: \w+\+: a list can only be added to a list that the base has"):
            read_values(tmp_path / "wrong.yaml")


def test_a_number_leads_into_a_list(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("parts: [{share: 0.1}, {share: 0.2}]\n")
    configuration = load_configuration(Listed, tmp_path / "c.yaml", ["parts.1.share=0.9"])
    assert [part.share for part in configuration.parts] == [0.1, 0.9]
    with pytest.raises(ConfigurationError, match=r"parts\.2\.share: '2' is none of the 2 entries"):
        load_configuration(Listed, tmp_path / "c.yaml", ["parts.2.share=0.9"])


def test_the_revision_is_ours_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(tmp_path), *identity, "commit", "-q", "--allow-empty", "-m", "somebody else's"], check=True)
    installed = tmp_path / "lib" / "configuration.py"
    installed.parent.mkdir()
    installed.touch()
    monkeypatch.setattr(configuration, "__file__", str(installed))
    assert git_revision() == "unknown"


def test_functions_are_compiled_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_a_place(*arguments: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            return lambda function: (_ for _ in ()).throw(RuntimeError(f"cannot cache function {function}: no locator available"))
        return njit(*arguments, **options)

    monkeypatch.setattr(numba, "njit", without_a_place)

    @compiled()
    def doubled(value: float) -> float:
        return 2 * value

    assert doubled(4.0) == 8.0
