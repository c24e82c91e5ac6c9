# SPDX-License-Identifier: Apache-2.0
"""Messages out of ROS bags without ROS: ROS 2 folders, single .mcap and .db3 files, cut-off recordings, and ROS 1 .bag files."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ssd_core.data.bag_storage import BagConnection, BagError, BagMessage, OfferedQos, TypeLibrary, merge_connections, open_storages
from ssd_core.data.bag_topics import (
    CAMERA_INFO_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    POINT_CLOUD_TYPE,
    CameraTopics,
    ImageTopic,
    pair_cameras,
    pick_lidar,
)

__all__ = ["BagConnection", "BagError", "BagMessage", "BagReader", "CameraTopics", "OfferedQos", "header_stamp", "raw_header_stamp"]

_LAST_NS = 2**63 - 1


class BagReader:
    """An open bag; use it in a `with` block.

    `connections`: what is in it, by topic. `warnings`: whole sentences about what could not be read (a cut-off
    file, a type without definition), each once. Memory stays flat: messages stream. Raises BagError.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = named_path(Path(path))
        self.warnings: list[str] = []
        self._types = TypeLibrary(self.warnings)
        self._storages = open_storages(self.path, self._types, self.warnings)
        self.connections = merge_connections(connection for storage in self._storages for connection in storage.connections)

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; iterators of this reader end."""
        for storage in self._storages:
            storage.close()
        self._storages = []

    @property
    def custom_data(self) -> dict[str, str]:
        """What the recorder noted about the bag as text by key (rosbag2's custom_data); often empty."""
        return {key: value for storage in self._storages for key, value in storage.custom_data.items()}

    @property
    def message_count(self) -> int:
        """Messages on all topics."""
        return sum(connection.count for connection in self.connections)

    def topics_of_type(self, *message_types: str) -> list[str]:
        """Topics that have messages of one of these types, in alphabetical order."""
        return [c.topic for c in self.connections if c.message_type in message_types and c.count]

    def connection(self, topic: str) -> BagConnection | None:
        """What is recorded about a topic; None if the bag doesn't have it."""
        return next((connection for connection in self.connections if connection.topic == topic), None)

    def messages(
        self, topics: Collection[str] | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Messages in order of bag time, start_ns <= time < stop_ns; `topics` None means all.

        Raises BagError where the bag turns out to be damaged.
        """
        known = {connection.topic for connection in self.connections}
        wanted = known if topics is None else known & set(topics)
        if not wanted:
            return
        bounds = (0 if start_ns is None else start_ns, _LAST_NS if stop_ns is None else stop_ns)
        streams = [storage.messages(wanted, *bounds) for storage in self._storages]
        yield from heapq.merge(*streams, key=lambda message: message.bag_time_ns) if len(streams) > 1 else streams[0]

    def first_message(self, topic: str) -> Any | None:
        """The first message of a topic, deserialised; None if there is none or its type is unknown."""
        raw = next(self.messages([topic]), None)
        return None if raw is None else self.deserialise(raw)

    def deserialise(self, message: BagMessage) -> Any | None:
        """The message as an object with the fields of its ROS 2 type (arrays as numpy arrays).

        None for a type without definition and for damaged bytes; `warnings` then holds a sentence about it.
        """
        return self._types.deserialise(message)

    def deserialised(self, topics: Collection[str] | None = None) -> Iterator[tuple[BagMessage, Any]]:
        """`messages` together with their deserialised form; messages that can't be deserialised are left out."""
        for message in self.messages(topics):
            content = self.deserialise(message)
            if content is not None:
                yield message, content

    def find_cameras(self) -> list[CameraTopics]:
        """The cameras of the bag by type and first message, each with its CameraInfo topic if there is one (see bag_topics.py)."""
        images = []
        for topic in self.topics_of_type(IMAGE_TYPE, COMPRESSED_IMAGE_TYPE):
            first = self.first_message(topic)
            connection = self.connection(topic)
            if first is not None and connection is not None:
                encoding = first.encoding if connection.message_type == IMAGE_TYPE else first.format
                images.append(ImageTopic(topic, connection.message_type, connection.count, encoding, first.header.frame_id))
        return pair_cameras(images, self.topics_of_type(CAMERA_INFO_TYPE))

    def find_lidar(self) -> str | None:
        """The PointCloud2 topic of the lidar (the one with most points; coloured clouds are none); None if there is none."""
        clouds = {}
        for topic in self.topics_of_type(POINT_CLOUD_TYPE):
            first = self.first_message(topic)
            if first is not None:
                clouds[topic] = (first.width * first.height, [field.name for field in first.fields])
        return pick_lidar(clouds)


def named_path(path: Path) -> Path:
    """The same path; where it is given as . or .. the one with a name, which stands in frame ids."""
    return path.resolve() if path.name in ("", "..") else path


def header_stamp(message: Any) -> int:
    """Nanoseconds of a deserialised message's header.stamp."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def raw_header_stamp(message: BagMessage) -> int:
    """Nanoseconds of header.stamp straight from the CDR bytes of a type whose first field is a header.

    Raises BagError if there are too few bytes.
    """
    if len(message.data) < 12:
        raise BagError(f"{message.topic}: a message of {len(message.data)} bytes is too short for a header")
    seconds, nanoseconds = struct.unpack_from("<iI" if message.data[1] & 1 else ">iI", message.data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
