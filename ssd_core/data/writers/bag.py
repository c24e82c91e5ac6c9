# SPDX-License-Identifier: Apache-2.0
"""Writes ROS 2 bags without ROS: CDR messages, recorded QoS, and a bag that appears whole or not at all."""

from __future__ import annotations

import enum
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import yaml
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ssd_core.data.writers.messages import TYPESTORE
from ssd_core.storage.atomic_write import check_replaceable, flush_to_disk, replace_directory, restore_directory

# Bag format 8 is read by every rosbag2 since 2023; 9 only writes QoS differently.
_BAG_VERSION: Literal[8] = 8
_FOREVER = QosTime(2147483647, 4294967295)
_METADATA = "metadata.yaml"


class Durability(enum.Enum):
    """Whether a late subscriber still gets the last message: /tf_static is LATCHED, everything else VOLATILE."""

    VOLATILE = QosDurability.VOLATILE
    LATCHED = QosDurability.TRANSIENT_LOCAL


def reliable_qos(depth: int = 10, durability: Durability = Durability.VOLATILE) -> Qos:
    """The QoS profile of a reliable publisher."""
    return Qos(
        QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability.value, _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False
    )


def endangered_source(path: Path, sources: Sequence[Path]) -> Path | None:
    """The first of these recordings that a new bag at `path` would replace, or whose folder it would be put into; None: it harms none."""
    target = path.resolve()
    for source in sources:
        recording = source.resolve()
        # A folder further down is none of a recording's: no reader looks there.
        if recording in (target, target.parent) or target in recording.parents:
            return source
    return None


class BagWriter:
    """A ROS 2 bag being written; use it as a context manager.

    The suffix of `path` chooses the form: `X.mcap` and `X.db3` are single files, MCAP with zstd chunks and sqlite3;
    a path without suffix is a folder with metadata.yaml, holding MCAP. An existing bag is replaced when this one is
    complete; after an error nothing is left behind. A folder that holds anything but one bag isn't replaced.
    `metadata` (text by key) goes into the bag's own metadata. `sources`: the recordings that the new one is made from; it takes
    the place of none of them.

    Raises ValueError for another suffix or a bag without messages, OSError (on entering the block, too) where it can't be written.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str] | None = None, sources: Sequence[Path] = ()) -> None:
        if path.suffix not in ("", ".mcap", ".db3"):
            raise ValueError(f"{path}: a bag is named X.mcap, X.db3 or, for a folder, X without a suffix")
        self.path = path
        self._metadata = dict(metadata or {})
        self._sources = tuple(sources)
        self._connections: dict[str, Connection] = {}
        self._temporary: Path | None = None
        self._writer: Writer | None = None
        self._count = 0
        self._replaced: Collection[str] = ()

    def __enter__(self) -> BagWriter:
        self._check_sources()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._check_target()
        self._temporary = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent))
        try:
            self._writer = self._open(self._temporary / self.path.stem)
        except BaseException:
            # Nobody calls __exit__ for a block that wasn't entered.
            shutil.rmtree(self._temporary, ignore_errors=True)
            raise
        return self

    def _open(self, folder: Path) -> Writer:
        plugin = StoragePlugin.SQLITE3 if self.path.suffix == ".db3" else StoragePlugin.MCAP
        writer = Writer(folder, version=_BAG_VERSION, storage_plugin=plugin)
        if plugin is StoragePlugin.MCAP:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        for key, value in self._metadata.items():
            writer.set_custom_data(key, value)
        writer.open()
        return writer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._writer is not None and self._temporary is not None
        try:
            if kind is not None:
                self._writer.abort()
                return
            if self._count == 0:
                self._writer.abort()
                raise ValueError(f"{self.path}: a bag without messages isn't written")
            self._writer.close()
            self._publish(self._temporary / self.path.stem)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._writer = None

    def add_topic(self, topic: str, message_type: str, qos: Qos | None = None) -> None:
        """Announce a topic of a type such as "sensor_msgs/msg/Image"; the QoS defaults to reliable, volatile, depth 10."""
        assert self._writer is not None, "BagWriter is used in a with statement"
        if topic in self._connections:
            raise ValueError(f"{topic} was announced before")
        self._connections[topic] = self._writer.add_connection(
            topic, message_type, typestore=TYPESTORE, offered_qos_profiles=[qos or reliable_qos()]
        )

    def write(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Serialise and append a message (built by messages.py); a topic not announced is announced with the message's type."""
        message_type = message.__msgtype__
        if topic not in self._connections:
            self.add_topic(topic, message_type)
        self.write_raw(topic, stamp_ns, TYPESTORE.serialize_cdr(message, message_type))

    def write_raw(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append CDR bytes to an announced topic, as copied from another bag."""
        assert self._writer is not None, "BagWriter is used in a with statement"
        if topic not in self._connections:
            raise ValueError(f"{topic}: announce the topic with add_topic before writing raw data")
        self._writer.write(self._connections[topic], stamp_ns, data)
        self._count += 1

    def _check_sources(self) -> None:
        """Raise FileExistsError where the bag would destroy what it is made from."""
        source = endangered_source(self.path, self._sources)
        if source is not None:
            raise FileExistsError(f"{self.path} would take the place of its own source {source}; choose another name or folder")

    def _check_target(self) -> None:
        """Raise OSError where the bag can't take its place, before hours go into it."""
        if not self.path.suffix:
            restore_directory(self.path)
            self._replaced = _bag_entries(self.path)
            check_replaceable(self.path, self._replaced)
        elif self.path.is_dir():
            raise IsADirectoryError(f"{self.path} is a folder; remove it or choose another name")

    def _publish(self, folder: Path) -> None:
        if not self.path.suffix:
            replace_directory(folder, self.path, self._replaced)
            return
        source = folder / f"{folder.name}{self.path.suffix}"
        flush_to_disk(source)
        source.replace(self.path)


def _bag_entries(folder: Path) -> set[str]:
    """What belongs to the bag in a folder: metadata.yaml and the files that it lists; nothing where no bag is."""
    try:
        values = yaml.safe_load((folder / _METADATA).read_text())
        files = values["rosbag2_bagfile_information"]["relative_file_paths"]
        # Old bags list them with the folder's name in front.
        return {_METADATA, *(Path(file).name for file in files)}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return set()
