# SPDX-License-Identifier: Apache-2.0
"""Pictures of a frame dataset in other conditions: `translated/<translator>/`, of which the manifest alone says what may be used.

translated/<translator>/manifest.jsonl    a record an image: frame_id, condition, image (a path inside the dataset), accepted, ...
translated/<translator>/<condition>/      the images, of any size, showing exactly what the frame's own picture shows
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ssd_core.data.errors import DataError
from ssd_core.storage.json_lines import read_json_lines

TRANSLATED_FOLDER = "translated"
MANIFEST_FILE = "manifest.jsonl"


class Translation(NamedTuple):
    """One accepted picture."""

    frame_id: str
    condition: str
    path: Path


def read_translations(folder: Path, translator: str) -> list[Translation]:
    """What a translator made of the frames of a dataset: accepted pictures only, the last record of each counts.

    Raises DataError, naming the file, if there is no manifest or a record lacks a field.
    """
    manifest = folder / TRANSLATED_FOLDER / translator / MANIFEST_FILE
    if not manifest.is_file():
        present = ", ".join(sorted(path.parent.name for path in (folder / TRANSLATED_FOLDER).glob(f"*/{MANIFEST_FILE}"))) or "none"
        raise DataError(f"{manifest}: no such file; translators of this dataset: {present}")
    try:
        latest = {(record["frame_id"], record["condition"]): record for record in read_json_lines(manifest)}
        return [
            Translation(frame_id, condition, folder / record["image"])
            for (frame_id, condition), record in latest.items()
            if record["accepted"]
        ]
    except (KeyError, ValueError) as error:
        raise DataError(f"{manifest}: a record that can't be read: {error}") from error
