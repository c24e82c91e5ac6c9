# SPDX-License-Identifier: Apache-2.0
"""Reads the whole records of an MCAP file that has no index: a recording cut off by a crash, or one written without chunks.

The layout follows the MCAP specification, https://mcap.dev/spec (magic, then records of opcode, length and content).
"""

from __future__ import annotations

import heapq
import itertools
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lz4.frame import decompress as lz4_decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZstdError = zstd.ZstdError
MAGIC = b"\x89MCAP0\r\n"

_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _METADATA, _METADATA_INDEX, _DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x0D, 0x0F
_FOOTER_BYTES = 9 + 20 + len(MAGIC)
_SEGMENT_BYTES = 4 << 20


class McapChannel(NamedTuple):
    """One topic as the file declares it; `definition`: text for ROS types, a FileDescriptorSet for protobuf; `qos` is rosbag2's YAML text
    or empty.
    """

    id: int
    topic: str
    message_type: str
    message_encoding: str
    definition_encoding: str
    definition: bytes
    qos: str


class McapMessage(NamedTuple):
    """One message: its channel's id, log time in nanoseconds and serialised bytes."""

    channel_id: int
    stamp_ns: int
    data: bytes


def read_mcap_metadata(path: Path, name: str) -> dict[str, str]:
    """The key-value pairs of a whole file's metadata record of that name, found through its summary; {} if there is none."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _FOOTER_BYTES))
        footer = file.read()
        if len(footer) < _FOOTER_BYTES or footer[0] != _FOOTER or footer[-len(MAGIC) :] != MAGIC:
            return {}
        (summary_start,) = struct.unpack_from("<Q", footer, 9)
        if not 0 < summary_start <= size - _FOOTER_BYTES:
            return {}
        file.seek(summary_start)
        for opcode, content in _records(file.read(size - _FOOTER_BYTES - summary_start)):
            if opcode == _METADATA_INDEX and _strings(content[16:], 1) == [name]:
                offset, length = struct.unpack_from("<QQ", content)
                file.seek(offset)
                record = memoryview(file.read(length))
                if len(record) > 9 and record[0] == _METADATA:
                    return _string_map(record[9 + 4 + len(name.encode()) + 4 :])
    return {}


class _Segment(NamedTuple):
    """A stretch of the file that is read at once: one chunk, or a run of messages outside chunks."""

    start_ns: int
    end_ns: int
    offset: int
    length: int
    compression: str


class SequentialMcap:
    """The readable part of an MCAP file, found by one pass over it.

    `channels`: by id. `counts`: whole messages by channel id. `is_cut_off`: the file ends before its end-of-data record.
    `lost_bytes`: in damaged chunks and after the last whole record.
    Raises ValueError if the file doesn't start like an MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels: dict[int, McapChannel] = {}
        self.counts: Counter[int] = Counter()
        self.is_cut_off = True
        self.lost_bytes = 0
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._segments: list[_Segment] = []
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{path}: no MCAP file")
            self._scan(file, path.stat().st_size)

    def messages(self, channel_ids: set[int], start_ns: int, stop_ns: int) -> Iterator[McapMessage]:
        """Messages with start_ns <= log time < stop_ns in order of log time; holds one or a few segments in memory."""
        pending: list[tuple[int, int, McapMessage]] = []
        order = itertools.count()
        with self.path.open("rb") as file:
            for segment in sorted(self._segments):
                if segment.end_ns < start_ns or segment.start_ns >= stop_ns:
                    continue
                while pending and pending[0][0] < segment.start_ns:
                    yield heapq.heappop(pending)[2]
                file.seek(segment.offset)
                for opcode, content in _records(_decompress(file.read(segment.length), segment.compression)):
                    if opcode != _MESSAGE:
                        continue
                    message = _message(content)
                    if message.channel_id in channel_ids and start_ns <= message.stamp_ns < stop_ns:
                        heapq.heappush(pending, (message.stamp_ns, next(order), message))
            while pending:
                yield heapq.heappop(pending)[2]

    def _scan(self, file: BinaryIO, size: int) -> None:
        loose: list[tuple[int, int, int]] = []  # log time, offset, length of messages outside chunks
        while True:
            offset = file.tell()
            head = file.read(9)
            length = struct.unpack("<Q", head[1:])[0] if len(head) == 9 else 0
            if len(head) < 9 or offset + 9 + length > size:
                self.lost_bytes += size - offset
                break
            opcode = head[0]
            if opcode == _DATA_END:
                self.is_cut_off = False
                break
            if opcode == _MESSAGE:
                loose.append((self._take(opcode, memoryview(file.read(length)), self.counts), offset, 9 + length))
                if offset - loose[0][1] > _SEGMENT_BYTES:
                    self._close_run(loose)
            elif opcode == _CHUNK:
                self._close_run(loose)
                self._take_chunk(file.read(length), offset + 9)
            elif opcode in (_SCHEMA, _CHANNEL):
                self._take(opcode, memoryview(file.read(length)), self.counts)
            else:
                file.seek(length, 1)
        self._close_run(loose)

    def _close_run(self, loose: list[tuple[int, int, int]]) -> None:
        if loose:
            times = [entry[0] for entry in loose]
            first, last = loose[0][1], loose[-1][1] + loose[-1][2]
            self._segments.append(_Segment(min(times), max(times), first, last - first, ""))
            loose.clear()

    def _take_chunk(self, content: bytes, offset: int) -> None:
        counts: Counter[int] = Counter()
        try:
            start_ns, end_ns, _, _, name_length = struct.unpack_from("<QQQII", content)
            compression = content[32 : 32 + name_length].decode()
            body = 32 + name_length + 8
            for opcode, record in _records(_decompress(content[body:], compression)):
                self._take(opcode, record, counts)
        except (ValueError, RuntimeError, struct.error, ZstdError):
            self.lost_bytes += len(content)  # this chunk is damaged, the ones after it may be whole
            return
        self.counts += counts  # only now: a damaged chunk is left out with all that came before its damage
        self._segments.append(_Segment(start_ns, end_ns, offset + body, len(content) - body, compression))

    def _take(self, opcode: int, content: memoryview, counts: Counter[int]) -> int:
        """Note a schema or channel; count a message in `counts` and return its log time."""
        if opcode == _MESSAGE:
            counts[struct.unpack_from("<H", content)[0]] += 1
            return int(struct.unpack_from("<Q", content, 6)[0])
        if opcode == _SCHEMA:
            name, encoding = _strings(content[2:], 2)
            start = 2 + 4 + len(name.encode()) + 4 + len(encoding.encode()) + 4
            self._schemas[struct.unpack_from("<H", content)[0]] = name, encoding, bytes(content[start:])
        elif opcode == _CHANNEL:
            channel_id, schema_id = struct.unpack_from("<HH", content)
            topic, encoding = _strings(content[4:], 2)
            metadata = content[4 + 8 + len(topic.encode()) + len(encoding.encode()) + 4 :]
            name, definition_encoding, definition = self._schemas.get(schema_id, ("", "", b""))
            qos = _string_map(metadata).get("offered_qos_profiles", "")
            self.channels[channel_id] = McapChannel(channel_id, topic, name, encoding, definition_encoding, definition, qos)
        return 0


def _records(data: bytes) -> Iterator[tuple[int, memoryview]]:
    view, offset = memoryview(data), 0
    while offset + 9 <= len(view):
        length = struct.unpack_from("<Q", view, offset + 1)[0]
        if offset + 9 + length > len(view):
            raise ValueError("a record reaches beyond its chunk")
        yield view[offset], view[offset + 9 : offset + 9 + length]
        offset += 9 + length


def _message(content: memoryview) -> McapMessage:
    channel_id, _, stamp_ns = struct.unpack_from("<HIQ", content)
    return McapMessage(channel_id, stamp_ns, bytes(content[22:]))


def _decompress(data: bytes, compression: str) -> bytes:
    if compression == "zstd":
        return bytes(zstd.decompress(data))
    if compression == "lz4":
        return bytes(lz4_decompress(data))
    if compression:
        raise ValueError(f"unknown chunk compression {compression!r}")
    return data


def _strings(content: memoryview, count: int) -> list[str]:
    strings, offset = [], 0
    for _ in range(count):
        (length,) = struct.unpack_from("<I", content, offset)
        strings.append(bytes(content[offset + 4 : offset + 4 + length]).decode())
        offset += 4 + length
    return strings


def _string_map(content: memoryview) -> dict[str, str]:
    strings, offset = [], 0
    while offset + 4 <= len(content):
        (length,) = struct.unpack_from("<I", content, offset)
        strings.append(bytes(content[offset + 4 : offset + 4 + length]).decode())
        offset += 4 + length
    return dict(zip(strings[::2], strings[1::2], strict=False))
