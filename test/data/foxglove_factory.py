# SPDX-License-Identifier: Apache-2.0
"""MCAP files of Foxglove's protobuf messages, as nuscenes2mcap writes them: log profile empty, descriptors in the schema records."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from lz4.frame import compress as lz4_compress

MAGIC = b"\x89MCAP0\r\n"
_KINDS = {"bytes": 12, "string": 9, "fixed32": 7, "double": 1}
_MESSAGES = {
    "Vector3": ["x double", "y double", "z double"],
    "Quaternion": ["x double", "y double", "z double", "w double"],
    "Pose": ["position Vector3", "orientation Quaternion"],
    "PackedElementField": ["name string", "offset fixed32", "type NumericType"],
    "CompressedImage": ["timestamp Time", "data bytes", "format string", "frame_id string"],
    "PointCloud": ["timestamp Time", "frame_id string", "pose Pose", "point_stride fixed32", "fields *PackedElementField", "data bytes"],
    "FrameTransform": [
        "timestamp Time", "parent_frame_id string", "child_frame_id string", "translation Vector3", "rotation Quaternion"
    ],
    "CameraCalibration": [
        "timestamp Time", "width fixed32", "height fixed32", "distortion_model string", "D *double", "K *double", "R *double", "P *double",
        "frame_id string",
    ],
    "SceneUpdate": ["frame_id string"],
}  # fmt: skip
FLOAT32 = 7


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="foxglove.proto", package="foxglove", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    numbers = file.enum_type.add(name="NumericType")
    for index, name in enumerate(("UNKNOWN", "UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "FLOAT32", "FLOAT64")):
        numbers.value.add(name=name, number=index)
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, text in enumerate(fields, start=1):
            name, kind = text.split()
            label = 3 if kind.startswith("*") else 1
            kind = kind.lstrip("*")
            field = described.field.add(name=name, number=number, label=label)
            if kind in _KINDS:
                field.type = _KINDS[kind]
            else:
                field.type = 14 if kind == "NumericType" else 11
                field.type_name = ".google.protobuf.Timestamp" if kind == "Time" else f".foxglove.{kind}"
    return file


def _descriptors() -> descriptor_pb2.FileDescriptorSet:
    time = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(time)
    return descriptor_pb2.FileDescriptorSet(file=[time, _file()])


DESCRIPTORS = _descriptors()
_POOL = descriptor_pool.DescriptorPool()
for _described in DESCRIPTORS.file:
    _POOL.Add(_described)


def make(name: str, stamp_ns: int | None = None, /, **values: Any) -> Any:
    """A message of foxglove.<name>."""
    message = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"foxglove.{name}"))(**values)
    if stamp_ns is not None:
        message.timestamp.FromNanoseconds(stamp_ns)
    return message


def transform(stamp_ns: int, parent: str, child: str, translation: Any, quaternion: Any) -> Any:
    t = make("Vector3", **dict(zip("xyz", map(float, translation), strict=True)))
    q = make("Quaternion", **dict(zip("xyzw", map(float, quaternion), strict=True)))
    return make("FrameTransform", stamp_ns, parent_frame_id=parent, child_frame_id=child, translation=t, rotation=q)


def point_cloud(stamp_ns: int, frame_id: str, points: Any, **values: Any) -> Any:
    """Points (N, 5) float32 x y z intensity ring."""
    names = ("x", "y", "z", "intensity", "ring")
    fields = [make("PackedElementField", name=name, offset=4 * index, type=FLOAT32) for index, name in enumerate(names)]
    return make("PointCloud", stamp_ns, frame_id=frame_id, point_stride=20, fields=fields, data=points.astype("<f4").tobytes(), **values)


def write_mcap(path: Path, messages: list[tuple[str, int, Any]], descriptors: bytes | None = None, in_chunk: bool = False) -> Path:
    """An MCAP of (topic, log time, message), outside chunks or in one."""
    data = bytearray()
    schemas: dict[str, int] = {}
    channels: dict[str, int] = {}
    for number, (topic, stamp_ns, message) in enumerate(messages):
        name = message.DESCRIPTOR.full_name
        if name not in schemas:
            schemas[name] = len(schemas) + 1
            definition = DESCRIPTORS.SerializeToString() if descriptors is None else descriptors
            schema = struct.pack("<H", schemas[name]) + _text(name) + _text("protobuf") + struct.pack("<I", len(definition)) + definition
            data += _record(0x03, schema)
        if topic not in channels:
            channels[topic] = len(channels) + 1
            head = struct.pack("<HH", channels[topic], schemas[name])
            data += _record(0x04, head + _text(topic) + _text("protobuf") + struct.pack("<I", 0))
        content = struct.pack("<HIQQ", channels[topic], number, stamp_ns, stamp_ns) + message.SerializeToString()
        data += _record(0x05, content)
    if in_chunk:
        times = [stamp_ns for _, stamp_ns, _ in messages]
        packed = lz4_compress(bytes(data))
        head = struct.pack("<QQQI", min(times), max(times), len(data), 0) + _text("lz4") + struct.pack("<Q", len(packed))
        data = bytearray(_record(0x06, head + packed))
    end = _record(0x0F, struct.pack("<I", 0)) + _record(0x02, struct.pack("<QQI", 0, 0, 0)) + MAGIC
    path.write_bytes(MAGIC + _record(0x01, _text("") + _text("test")) + bytes(data) + end)
    return path


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()
