# SPDX-License-Identifier: Apache-2.0
"""Pictures of a recording in other conditions: `translated/<translator>/`, of which the manifest alone says what may be used.

translated/<translator>/manifest.jsonl             a record an image: frame_id, condition, image (a path inside the recording's folder),
                                                   accepted, and how it was made
translated/<translator>/manifest.<i>-of-<n>.jsonl  the same, of one of n runs that share the work
translated/<translator>/<condition>/               the images, of any size, showing exactly what the frame's own picture shows
translated/<translator>/rejected/<condition>/      those that the gate turned back
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from ssd_core.data.errors import DataError
from ssd_core.storage.atomic_write import atomic_write
from ssd_core.storage.json_lines import append_json_line, read_json_lines
from ssd_core.storage.locks import take_lock

TRANSLATED_FOLDER = "translated"
REJECTED_FOLDER = "rejected"
MANIFEST_FILE = "manifest.jsonl"
_MANIFESTS = "manifest*.jsonl"


class Translation(NamedTuple):
    """One accepted picture."""

    frame_id: str
    condition: str
    path: Path


class Item(NamedTuple):
    """What a picture is a translation of, and to."""

    frame_id: str
    condition: str


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of several runs that share the work: it takes every so many-th item, beginning with its own number. Raises ValueError."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ValueError(f"shard {self.number}/{self.of}: shards are numbered from 0, such as 0/2 and 1/2")

    @property
    def manifest(self) -> str:
        """File name of its own records."""
        return MANIFEST_FILE if self.of == 1 else f"manifest.{self.number}-of-{self.of}.jsonl"


class TranslationWriter:
    """Adds pictures of one shard; a run that was killed goes on where it stopped and ends with the same files.

    Use it in a `with` block: it holds the shard's lock. Raises DataError, naming the folder, if another run holds it.
    """

    def __init__(self, folder: Path, translator: str, shard: Shard | None = None) -> None:
        self._folder, self._root = folder, translations_folder(folder, translator)
        self._manifest = self._root / (shard or Shard()).manifest
        self._root.mkdir(parents=True, exist_ok=True)
        self._known: dict[Item, bool] = {}

    def __enter__(self) -> TranslationWriter:
        refusal = DataError(f"{self._manifest}: another run writes it; share the work between runs with --shard 0/2 and --shard 1/2")
        self._lock = take_lock(self._root / f".{self._manifest.name}.lock", refusal)
        self._known = {Item(record["frame_id"], record["condition"]): bool(record["accepted"]) for record in read_records(self._root)}
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __contains__(self, item: Item) -> bool:
        """True if the picture was written whole, by whichever shard."""
        return item in self._known

    def is_accepted(self, item: Item) -> bool:
        """Of a picture that was written."""
        return self._known[item]

    def remove_half_written(self, items: Collection[Item]) -> None:
        """A killed run can't remove its temporary files; those of other shards are in use."""
        names = {f"{item.condition}/{item.frame_id}" for item in items}
        for path in self._root.rglob(".*.part"):
            target = path.with_name(path.name[1:].rpartition(".")[0].rpartition(".")[0]).relative_to(self._root).with_suffix("")
            if str(target).removeprefix(f"{REJECTED_FOLDER}/") in names:
                path.unlink(missing_ok=True)

    def add(self, item: Item, image: bytes | None, suffix: str, accepted: bool, record: dict[str, Any]) -> None:
        """Write one picture, a JPEG's or PNG's bytes, and its record; None where there is no picture to keep. A second one is ignored."""
        if item in self._known:
            return
        path = None
        if image is not None:
            path = (self._root if accepted else self._root / REJECTED_FOLDER) / item.condition / f"{item.frame_id}{suffix}"
            with atomic_write(path) as file:
                file.write(image)
        relative = path.relative_to(self._folder).as_posix() if path else None
        # The record comes last: a picture with a record is whole.
        append_json_line(self._manifest, {**item._asdict(), "image": relative, "accepted": accepted, **record})
        self._known[item] = accepted


def translations_folder(folder: Path, translator: str) -> Path:
    """Where a translator's pictures and manifests are. Raises ValueError for a name that leads elsewhere."""
    if translator in ("", ".", "..") or Path(translator).name != translator:
        raise ValueError(f"{translator!r} (--name, data.translator): it must name a folder in {folder / TRANSLATED_FOLDER}, without a path")
    return folder / TRANSLATED_FOLDER / translator


def read_records(root: Path) -> list[dict[str, Any]]:
    """Records of all manifests of a translator's folder, by frame and condition; the last of each counts.

    Raises DataError, naming the file, for a record that can't be read.
    """
    latest: dict[Item, dict[str, Any]] = {}
    for manifest in sorted(root.glob(_MANIFESTS)):
        try:
            latest |= {Item(record["frame_id"], record["condition"]): record for record in read_json_lines(manifest)}
        except (KeyError, ValueError) as error:
            raise DataError(f"{manifest}: a record that can't be read: {error}") from error
    return list(latest.values())


def read_translations(folder: Path, translator: str) -> list[Translation]:
    """What a translator made of the frames of a recording: accepted pictures only, the last record of each counts.

    Raises DataError, naming the file, if there is no manifest or a record lacks a field.
    """
    root = translations_folder(folder, translator)
    if not any(root.glob(_MANIFESTS)):
        present = ", ".join(sorted({path.parent.name for path in (folder / TRANSLATED_FOLDER).glob(f"*/{_MANIFESTS}")})) or "none"
        raise DataError(f"{root / MANIFEST_FILE}: no such file; translators of this dataset: {present}")
    try:
        return [
            Translation(record["frame_id"], record["condition"], folder / record["image"])
            for record in read_records(root)
            if record["accepted"]
        ]
    except KeyError as error:
        raise DataError(f"{root}: a record that can't be read: {error}") from error
