# SPDX-License-Identifier: Apache-2.0
"""The kinds of ROS bag files and their message types, all read the same way; bag.py is the door to them."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import apsw
import yaml
from rosbags.interfaces import Connection, ConnectionExtRosbag1, ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag1 import ReaderError as Ros1ReaderError
from rosbags.rosbag2 import Reader as Ros2Reader
from rosbags.rosbag2 import ReaderError as Ros2ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ssd_core.data.errors import DataError
from ssd_core.data.mcap_recovery import MAGIC, McapChannel, SequentialMcap, ZstdError, read_mcap_metadata
from ssd_core.data.natural_order import natural_key

if TYPE_CHECKING:
    from ssd_core.data.foxglove import FoxgloveMessages

_STORAGE_SUFFIXES = (".mcap", ".db3")


class BagError(DataError):
    """A bag that can't be read; the message names the file and what to do."""


@dataclass(frozen=True)
class OfferedQos:
    """What one publisher of a topic offered while it was recorded; words in lower case as in rosbag2 ("reliable", "transient_local")."""

    reliability: str
    durability: str
    history: str
    depth: int


@dataclass(frozen=True)
class BagConnection:
    """One topic of a bag: its type ("sensor_msgs/msg/Image"), number of messages, and the QoS of its recorded publishers (may be empty)."""

    topic: str
    message_type: str
    count: int
    offered_qos: tuple[OfferedQos, ...] = ()
    serialization: str = "cdr"


class BagMessage(NamedTuple):
    """One message as recorded: topic, type, bag time in nanoseconds (when it was RECEIVED; match on the header's stamp), CDR bytes."""

    topic: str
    message_type: str
    bag_time_ns: int
    data: bytes


class Storage(Protocol):
    """What every kind of bag file can do."""

    connections: list[BagConnection]
    custom_data: dict[str, str]

    def messages(self, topics: set[str], start_ns: int, stop_ns: int) -> Iterator[BagMessage]:
        """Messages of these topics in order of bag time, start_ns <= time < stop_ns."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class TypeLibrary:
    """Message definitions of the bag, else those of ROS 2 Jazzy (the common types are equal from Humble on)."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings
        self._own = get_typestore(Stores.EMPTY)
        self._standard = get_typestore(Stores.ROS2_JAZZY)
        self._reported: set[str] = set()

    def learn(self, message_type: str, encoding: str, definition: str) -> None:
        """Take a definition out of a ROS 2 bag; one that can't be parsed leaves the standard one, if any."""
        if not definition or message_type in self._own.fielddefs:
            return
        try:
            if encoding == "ros2msg":
                self._own.register(get_types_from_msg(definition, message_type))
            elif encoding in ("ros2idl", "omgidl"):
                for part in re.split(r"^=+\nIDL: .*\n", definition, flags=re.MULTILINE):
                    if part.strip():
                        self._own.register(get_types_from_idl(part))
        except (TypesysError, SyntaxError, KeyError, ValueError) as error:
            self.report(message_type, f"{message_type}: its definition in the bag can't be used ({error})")

    def learn_ros1(self, message_type: str, definition: str) -> None:
        """Take what ROS 2 doesn't know out of a ROS 1 bag; shared types are read as their ROS 2 successors."""
        try:
            types = get_types_from_msg(definition, message_type)
            self._standard.register({name: fields for name, fields in types.items() if name not in self._standard.fielddefs})
        except (TypesysError, SyntaxError, KeyError, ValueError) as error:
            self.report(message_type, f"{message_type}: its definition in the bag can't be used ({error})")

    def deserialise(self, message: BagMessage) -> Any | None:
        """The message as an object, None (and a warning) if its type is unknown or its bytes are damaged."""
        store = self._store(message.message_type)
        if store is None:
            self.report(message.message_type, f"{message.topic}: no definition of {message.message_type}; its messages are left out")
            return None
        try:
            return store.deserialize_cdr(message.data, message.message_type)
        except (SerdeError, TypesysError, KeyError, ValueError, struct.error, IndexError) as error:
            self.report(message.topic, f"{message.topic}: a {message.message_type} that can't be deserialised ({error}); left out")
            return None

    def to_cdr(self, data: bytes, message_type: str, topic: str) -> bytes | None:
        """ROS 1 bytes as CDR; None if the type is unknown or the bytes are damaged."""
        try:
            return bytes(self._standard.ros1_to_cdr(data, message_type))
        except (SerdeError, TypesysError, KeyError, ValueError, struct.error) as error:
            self.report(topic, f"{topic}: {message_type} can't be converted from ROS 1 ({error}); left out")
            return None

    def _store(self, message_type: str) -> Typestore | None:
        for store in (self._own, self._standard):
            if message_type in store.fielddefs:
                return store
        return None

    def report(self, key: str, sentence: str) -> None:
        """Add a warning, the first one of its key only."""
        if key not in self._reported:
            self._reported.add(key)
            self._warnings.append(sentence)


class _Rosbag2Storage:
    """A ROS 2 bag folder or a whole .mcap/.db3 file, through rosbags."""

    def __init__(self, path: Path, types: TypeLibrary) -> None:
        self._path = path
        self._reader = Ros2Reader(path)
        self._reader.open()
        self.custom_data = _custom_data(path)
        self.connections = []
        for connection in self._reader.connections:
            if connection.msgdef.format != MessageDefinitionFormat.NONE:
                encoding = "ros2msg" if connection.msgdef.format == MessageDefinitionFormat.MSG else "ros2idl"
                types.learn(connection.msgtype, encoding, connection.msgdef.data)
            self.connections.append(_from_rosbags(connection))

    @property
    def is_indexed(self) -> bool:
        """False for MCAP files without chunks: for those rosbags insists on messages in order of time, and recorders don't keep it."""
        files = getattr(self._reader.storage, "storages", [self._reader.storage])
        return all(getattr(file, "chunks", True) for file in files) or not any(c.count for c in self.connections)

    def messages(self, topics: set[str], start_ns: int, stop_ns: int) -> Iterator[BagMessage]:
        wanted = [connection for connection in self._reader.connections if connection.topic in topics]
        if not wanted:
            return
        try:
            for connection, stamp, data in self._reader.messages(wanted, start_ns, stop_ns):
                yield BagMessage(connection.topic, connection.msgtype, stamp, data)
        except _DAMAGE as error:
            raise BagError(f"{self._path}: damaged ({error}); {_recovery_advice(self._path)}") from error

    def close(self) -> None:
        self._reader.close()


class _SequentialMcapStorage:
    """An .mcap file that rosbags refuses: cut off, without chunks, or of another profile.

    Foxglove's protobuf messages (as of nuscenes2mcap) come out as CDR of the ROS 2 type that says the same.
    """

    def __init__(self, path: Path, types: TypeLibrary, warnings: list[str]) -> None:
        self._mcap = SequentialMcap(path)
        self._types = types
        self.custom_data: dict[str, str] = {}
        self.connections = []
        self._foxglove: dict[int, FoxgloveMessages] = {}
        for channel in self._mcap.channels.values():
            types.learn(channel.message_type, channel.definition_encoding, channel.definition.decode(errors="replace"))
            connection = _from_mcap(channel, self._mcap.counts[channel.id])
            converter = _foxglove_converter(channel, warnings)
            if converter is not None:
                self._foxglove[channel.id] = converter
                connection = BagConnection(channel.topic, converter.ros_type, connection.count)
            self.connections.append(connection)
        if self._mcap.is_cut_off or self._mcap.lost_bytes:
            total = sum(connection.count for connection in self.connections)
            warnings.append(
                f"{path}: {'cut off while it was recorded' if self._mcap.is_cut_off else 'damaged'}; {total} whole messages are read,"
                f" {self._mcap.lost_bytes} bytes are lost (repair it: mcap recover)"
            )

    def messages(self, topics: set[str], start_ns: int, stop_ns: int) -> Iterator[BagMessage]:
        channels = self._mcap.channels
        wanted = {channel.id for channel in channels.values() if channel.topic in topics}
        for message in self._mcap.messages(wanted, start_ns, stop_ns):
            channel = channels[message.channel_id]
            converter = self._foxglove.get(channel.id)
            if converter is None:
                yield BagMessage(channel.topic, channel.message_type, message.stamp_ns, message.data)
                continue
            try:
                cdr = converter.to_cdr(message.data)
            except DataError as error:
                self._types.report(channel.topic, f"{channel.topic}: {error}; left out")
                continue
            yield BagMessage(channel.topic, converter.ros_type, message.stamp_ns, cdr)

    def close(self) -> None:
        """Nothing: the file is open only while messages are read."""


class _Ros1Storage:
    """A ROS 1 bag; messages come out as CDR of the ROS 2 type."""

    def __init__(self, path: Path, types: TypeLibrary) -> None:
        self._path = path
        self._types = types
        self._reader = Ros1Reader(path)
        self.custom_data: dict[str, str] = {}
        self._reader.open()
        self.connections = []
        for connection in self._reader.connections:
            types.learn_ros1(_ros2_name(connection.msgtype), connection.msgdef.data)
            self.connections.append(_from_rosbags(connection))

    def messages(self, topics: set[str], start_ns: int, stop_ns: int) -> Iterator[BagMessage]:
        wanted = [connection for connection in self._reader.connections if connection.topic in topics]
        if not wanted:
            return
        try:
            for connection, stamp, data in self._reader.messages(wanted, start_ns, stop_ns):
                message_type = _ros2_name(connection.msgtype)
                cdr = self._types.to_cdr(data, message_type, connection.topic)
                if cdr is not None:
                    yield BagMessage(connection.topic, message_type, stamp, cdr)
        except _DAMAGE as error:
            raise BagError(f"{self._path}: damaged ({error}); {_recovery_advice(self._path)}") from error

    def close(self) -> None:
        self._reader.close()


# rosbags raises more than its own errors on damaged input: struct and decompression errors, asserts, unknown encodings.
_DAMAGE = (
    Ros1ReaderError,
    Ros2ReaderError,
    ZstdError,
    apsw.Error,
    struct.error,
    RuntimeError,
    ValueError,
    OverflowError,
    TypeError,
    KeyError,
    AssertionError,
    EOFError,
    OSError,
)


def open_storages(path: Path, types: TypeLibrary, warnings: list[str]) -> list[Storage]:
    """Open whatever kind of bag `path` is; a folder without a usable metadata.yaml gives one storage a file.

    Raises BagError, for a folder only if none of its files can be opened; `warnings` names those that can't.
    """
    if not path.exists():
        raise BagError(f"{path}: no such file or folder")
    if path.is_dir():
        return _open_folder(path, types, warnings)
    return [_open_file(path, types, warnings)]


def _open_folder(path: Path, types: TypeLibrary, warnings: list[str]) -> list[Storage]:
    files = sorted((file for file in path.iterdir() if file.suffix in _STORAGE_SUFFIXES), key=natural_key)
    if (path / "metadata.yaml").exists():
        try:
            storage = _Rosbag2Storage(path, types)
        except _DAMAGE as error:
            if not files:
                raise BagError(f"{path}: {error}; {_recovery_advice(path)}") from error
            warnings.append(f"{path}: the folder can't be opened as a whole ({error}); its files are read one by one")
        else:
            if storage.is_indexed:
                return [storage]
            storage.close()
    elif not files:
        raise BagError(f"{path}: no bag (neither metadata.yaml nor .mcap or .db3 files in it)")
    else:
        _check_one_recording(path, files)
    return _open_parts(files, types, warnings)


def _open_parts(files: list[Path], types: TypeLibrary, warnings: list[str]) -> list[Storage]:
    """The files of a split recording that can be opened: a crash often leaves the last one empty, and the others are whole."""
    storages: list[Storage] = []
    errors: list[BagError] = []
    for file in files:
        try:
            storages.append(_open_file(file, types, warnings))
        except BagError as error:
            errors.append(error)
    if not storages:
        raise errors[0]
    warnings += [f"{error} (left out; the other files of the recording are read)" for error in errors]
    return storages


def _check_one_recording(folder: Path, files: list[Path]) -> None:
    """Without metadata.yaml only names tell parts of one recording (X_0.mcap, X_1.mcap) from drives that happen to share a folder."""
    if len({(re.sub(r"_\d+$", "", file.stem), file.suffix) for file in files}) > 1:
        raise BagError(
            f"{folder}: several recordings in one folder ({', '.join(file.name for file in files[:3])}), whose times, transforms"
            " and calibrations don't belong together; give one of them (ssd-depth extract takes several)"
        )


def _open_file(path: Path, types: TypeLibrary, warnings: list[str]) -> Storage:
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise BagError(f"{path}: the file is empty; record it again")
    if head.startswith(MAGIC):
        return _open_mcap(path, types, warnings)
    try:
        if head.startswith(b"#ROSBAG V2"):
            return _Ros1Storage(path, types)
        if head.startswith(b"SQLite format 3"):
            return _Rosbag2Storage(path, types)
    except _DAMAGE as error:
        raise BagError(f"{path}: {error}; {_recovery_advice(path)}") from error
    raise BagError(f"{path}: no bag (known: ROS 2 folders, .mcap, .db3, ROS 1 .bag; it starts with {head[:8].hex(' ')})")


def _open_mcap(path: Path, types: TypeLibrary, warnings: list[str]) -> Storage:
    try:
        storage = _Rosbag2Storage(path, types)
    except _DAMAGE:
        pass
    else:
        if storage.is_indexed:
            return storage
        storage.close()
    try:
        return _SequentialMcapStorage(path, types, warnings)
    except _DAMAGE as error:
        raise BagError(f"{path}: {error}; {_recovery_advice(path)}") from error


def _recovery_advice(path: Path) -> str:
    if path.suffix == ".bag":
        return "try: rosbag reindex"
    if path.suffix == ".mcap":
        return "try: mcap recover"
    return "try: ros2 bag reindex"


def _ros2_name(message_type: str) -> str:
    return "tf2_msgs/msg/TFMessage" if message_type in ("tf/msg/tfMessage", "tf/msg/TFMessage") else message_type


def _from_rosbags(connection: Connection) -> BagConnection:
    extra = connection.ext
    if isinstance(extra, ConnectionExtRosbag2):
        qos = tuple(
            OfferedQos(q.reliability.name.lower(), q.durability.name.lower(), q.history.name.lower(), q.depth)
            for q in extra.offered_qos_profiles
        )
        return BagConnection(connection.topic, connection.msgtype, connection.msgcount, qos, extra.serialization_format)
    assert isinstance(extra, ConnectionExtRosbag1)
    latched = (OfferedQos("reliable", "transient_local", "keep_last", 1),) if extra.latching else ()
    return BagConnection(connection.topic, _ros2_name(connection.msgtype), connection.msgcount, latched)


def _from_mcap(channel: McapChannel, count: int) -> BagConnection:
    return BagConnection(channel.topic, channel.message_type, count, _parse_qos(channel.qos), channel.message_encoding)


def _foxglove_converter(channel: McapChannel, warnings: list[str]) -> FoxgloveMessages | None:
    if channel.message_encoding != "protobuf" or not channel.message_type.startswith("foxglove."):
        return None
    try:
        # Only these files need protobuf, which isn't small.
        from ssd_core.data.foxglove import ROS_TYPES, FoxgloveMessages
    except ImportError as error:
        warnings.append(f"{channel.topic}: {channel.message_type} can't be read ({error}); pip install protobuf")
        return None
    try:
        return FoxgloveMessages(channel.message_type, channel.definition) if channel.message_type in ROS_TYPES else None
    except DataError as error:
        warnings.append(f"{channel.topic}: {error}; its messages are left out")
        return None


def _custom_data(path: Path) -> dict[str, str]:
    """What the recorder noted about the bag: in metadata.yaml, or in the metadata that rosbag2 repeats inside an MCAP or sqlite3 file."""
    try:
        if path.is_dir():
            text = (path / "metadata.yaml").read_text()
        elif path.suffix == ".mcap":
            text = read_mcap_metadata(path, "rosbag2").get("serialized_metadata", "")
        else:
            with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as database:
                text = "".join(row[0] for row in database.execute("SELECT metadata FROM metadata ORDER BY id DESC LIMIT 1"))
        values: Any = yaml.safe_load(text) or {}
        noted = values.get("rosbag2_bagfile_information", values).get("custom_data") or {}
        return {str(key): str(value) for key, value in noted.items()}
    except (OSError, sqlite3.Error, yaml.YAMLError, AttributeError, ValueError, struct.error):
        return {}  # it only adds to what the messages say


def _parse_qos(text: str) -> tuple[OfferedQos, ...]:
    """rosbag2's YAML: words since Iron, numbers before."""
    words = {
        "reliability": ("system_default", "reliable", "best_effort", "unknown", "best_available"),
        "durability": ("system_default", "transient_local", "volatile", "unknown", "best_available"),
        "history": ("system_default", "keep_last", "keep_all", "unknown"),
    }

    def word(profile: dict[str, Any], key: str) -> str:
        value = profile.get(key, "unknown")
        if isinstance(value, int):
            return words[key][value] if 0 <= value < len(words[key]) else "unknown"
        return str(value).lower()

    try:
        profiles = yaml.safe_load(text) or []
        return tuple(
            OfferedQos(word(p, "reliability"), word(p, "durability"), word(p, "history"), int(p.get("depth", 0))) for p in profiles
        )
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        return ()


def merge_connections(connections: Iterable[BagConnection]) -> tuple[BagConnection, ...]:
    """One entry a topic and type: split bags and several publishers give more."""
    merged: dict[tuple[str, str], BagConnection] = {}
    for connection in connections:
        key = connection.topic, connection.message_type
        have = merged.get(key)
        if have:
            qos = tuple(dict.fromkeys(have.offered_qos + connection.offered_qos))
            connection = BagConnection(*key, have.count + connection.count, qos, have.serialization)
        merged[key] = connection
    return tuple(merged[key] for key in sorted(merged))
