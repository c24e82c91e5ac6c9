# SPDX-License-Identifier: Apache-2.0
"""Every parameter of the depth node, declared once: type, default, range, description.

`python -m ssd_depth_ros.parameters` writes docs/parameters.md and config/depth.yaml from it. ROS is imported by
no module-level line, so that neither documentation nor its tests need it.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssd_core.storage.atomic_write import atomic_write_text

if typing.TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node


class ParameterError(ValueError):
    """A parameter that can't be used; the message names it, its value and what is allowed."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a parameter means and allows; `dynamic` ones take effect at once, the others only before configuring."""

    description: str
    dynamic: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def _parameter(default: Any, description: str, **rule: Any) -> Any:
    return dataclasses.field(default=default, metadata={"rule": Rule(description, **rule)})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Values of all parameters; field name, type and default are the parameter's."""

    # What runs
    model: str = _parameter("bundled", "`bundled`, a checkpoint folder, or a Hugging Face Hub id")
    backend: str = _parameter(
        "auto", "What runs the network; `auto` takes the fastest that works here", choices=("auto", "tensorrt", "openvino", "torch")
    )
    precision: str = _parameter(
        "auto",
        "Number format of the network; `auto` takes the fastest that keeps the accuracy",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    input_size: tuple[int, ...] = _parameter(
        (0, 0),
        "Network input [width, height], multiples of 14; [0, 0]: the checkpoint's, adapted once to the first image's shape",
        minimum=0,
        maximum=4096,
    )
    cache_folder: str = _parameter("", "Folder for compiled networks; empty: the user's cache folder")
    allow_engine_build: bool = _parameter(
        True, "Build a missing TensorRT engine while configuring, which takes minutes; `false`: `auto` then runs torch and warns"
    )
    autostart: bool = _parameter(True, "Configure and activate without a lifecycle manager")
    # Input
    cameras: tuple[str, ...] = _parameter((), "Camera names; empty: one camera on `image` and `camera_info`")
    image_topic: str = _parameter(
        "", "Image topic, `{camera}` stands for the name; empty: `image`, with `cameras` `/{camera}/image_rect_compressed`"
    )
    camera_info_topic: str = _parameter("", "CameraInfo topic, `{camera}` stands for the name; empty: `camera_info` beside the image topic")
    transport: str = _parameter(
        "auto",
        "`raw`: Image, `compressed`: CompressedImage (also on the topic's `/compressed`), `auto`: what is published",
        choices=("auto", "raw", "compressed"),
    )
    rectified: str = _parameter(
        "auto",
        "Whether images are rectified (P is used, else K and D); `auto`: if the image topic's name has the word `rect` or `rectified`",
        choices=("auto", "true", "false"),
    )
    fx: float = _parameter(0.0, "Focal length in pixels where no usable CameraInfo arrives; 0: none", minimum=0.0)
    fy: float = _parameter(0.0, "Vertical focal length in pixels; 0: like `fx`", minimum=0.0)
    cx: float = _parameter(0.0, "Principal point in pixels; 0: the image's centre", minimum=0.0)
    cy: float = _parameter(0.0, "Principal point in pixels; 0: the image's centre", minimum=0.0)
    width: int = _parameter(0, "Width of the image that `fx` to `cy` belong to; 0: as received", minimum=0)
    height: int = _parameter(0, "Height of the image that `fx` to `cy` belong to; 0: as received", minimum=0)
    # Depth
    depth_encoding: str = _parameter(
        "32FC1", "`32FC1`: metres (REP 118), `16UC1`: millimetres, 0 invalid or above 65.535 m", choices=("32FC1", "16UC1")
    )
    depth_resolution: str = _parameter(
        "network", "Size of the depth image: the network's or the input image's", choices=("network", "image")
    )
    depth_scale: float = _parameter(
        1.0, "Factor on all depths, to calibrate the scale for a camera", dynamic=True, minimum=1e-3, maximum=1e3
    )
    min_depth: float = _parameter(0.0, "Nearer depths are published as -Inf, metres; 0: the model's limit", dynamic=True, minimum=0.0)
    max_depth: float = _parameter(0.0, "Depths from here on are published as +Inf, metres; 0: the model's limit", dynamic=True, minimum=0.0)
    # Point cloud
    cloud_stride: int = _parameter(
        4, "A point for every n-th pixel of the input image, across and down", dynamic=True, minimum=1, maximum=64
    )
    cloud_rate: float = _parameter(
        0.0,
        "Maximum clouds per second, per camera, by image stamps; 0: one for every depth image",
        dynamic=True,
        minimum=0.0,
        maximum=1000.0,
    )
    cloud_max_range: float = _parameter(
        0.0, "Points farther along the optical axis are left out (NaN), metres; 0: as far as the depth image", dynamic=True, minimum=0.0
    )
    # Preview
    preview_min_depth: float = _parameter(2.0, "Depth of the nearest colour, metres", dynamic=True, minimum=0.01)
    preview_max_depth: float = _parameter(80.0, "Depth of the farthest colour, metres", dynamic=True, minimum=0.01)
    preview_quality: int = _parameter(80, "JPEG quality of the compressed preview", dynamic=True, minimum=1, maximum=100)

    def image_topic_of(self, camera: str) -> str:
        """Image topic of a camera; '' is the only camera."""
        template = self.image_topic or ("/{camera}/image_rect_compressed" if camera else "image")
        return template.replace("{camera}", camera)

    def camera_info_topic_of(self, camera: str) -> str:
        """CameraInfo topic of a camera; '' is the only camera."""
        if self.camera_info_topic:
            return self.camera_info_topic.replace("{camera}", camera)
        return camera_info_beside(self.image_topic_of(camera))


def camera_info_beside(image_topic: str) -> str:
    """The CameraInfo topic that goes with an image topic, as image_transport has it."""
    folder, separator, _ = image_topic.removesuffix("/compressed").rpartition("/")
    return f"{folder}{separator}camera_info"


FIELDS: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(Settings)
_TYPES: dict[str, Any] = typing.get_type_hints(Settings)
_TYPE_NAMES = {
    bool: "bool",
    int: "integer",
    float: "double",
    str: "string",
    tuple[int, ...]: "integer_array",
    tuple[str, ...]: "string_array",
}


def rule_of(name: str) -> Rule:
    """The rule of a declared parameter."""
    rule: Rule = Settings.__dataclass_fields__[name].metadata["rule"]
    return rule


def type_name(name: str) -> str:
    """The parameter's type as ROS calls it."""
    return _TYPE_NAMES[_TYPES[name]]


def validate(values: Mapping[str, Any]) -> Settings:
    """Check all values together; missing ones take their default. Raises ParameterError naming every one that is wrong."""
    problems: list[str] = [f"{name}: no such parameter" for name in values if name not in _TYPES]
    good: dict[str, Any] = {}
    for name in _TYPES:
        if name in values:
            try:
                good[name] = _converted(name, values[name])
            except ParameterError as error:
                problems.append(str(error))
    if not problems:
        settings = Settings(**good)
        problems = _contradictions(settings)
        if not problems:
            return settings
    raise ParameterError("; ".join(problems))


def _converted(name: str, value: Any) -> Any:
    kind, rule = _TYPES[name], rule_of(name)
    if kind in (tuple[int, ...], tuple[str, ...]):
        inner = int if kind == tuple[int, ...] else str
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise ParameterError(f"{name}: a list is expected, got {value!r}")
        # ROS can't tell the type of an empty list, so [''] is a common way to write one.
        items = tuple(item for item in value if item not in ("", b""))
        if not all(isinstance(item, inner) and not isinstance(item, bool) for item in items):
            raise ParameterError(f"{name}: a list of {'integers' if inner is int else 'strings'} is expected, got {list(value)!r}")
        _check_range(name, rule, items if inner is int else ())
        return items
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is str and isinstance(value, bool) and "true" in rule.choices:
        value = str(value).lower()  # `-p rectified:=true` arrives as a boolean
    if type(value) is not kind:
        raise ParameterError(f"{name}: {type_name(name)} is expected, got {value!r}")
    if rule.choices and value not in rule.choices:
        raise ParameterError(f"{name}: {value!r} is none of {', '.join(rule.choices)}")
    _check_range(name, rule, (value,) if kind in (int, float) else ())
    return value


def _check_range(name: str, rule: Rule, values: Sequence[float]) -> None:
    low = -float("inf") if rule.minimum is None else rule.minimum
    high = float("inf") if rule.maximum is None else rule.maximum
    for value in values:
        if not low <= value <= high or abs(value) == float("inf"):
            raise ParameterError(f"{name}: {value} is outside {_range_text(rule)}")


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if 0 < settings.max_depth <= settings.min_depth:
        problems.append(f"max_depth: {settings.max_depth} isn't above min_depth {settings.min_depth}")
    if settings.preview_max_depth <= settings.preview_min_depth:
        problems.append(f"preview_max_depth: {settings.preview_max_depth} isn't above preview_min_depth {settings.preview_min_depth}")
    if (
        len(settings.input_size) != 2
        or any(size % 14 for size in settings.input_size)
        or (0 in settings.input_size) != (not any(settings.input_size))
    ):
        problems.append(f"input_size: {list(settings.input_size)} isn't [width, height] in multiples of 14, or [0, 0]")
    if bool(settings.width) != bool(settings.height):
        problems.append(f"width, height: {settings.width}, {settings.height}: give both or none")
    if len(set(settings.cameras)) != len(settings.cameras):
        problems.append(f"cameras: {list(settings.cameras)} names a camera twice")
    for name in ("image_topic", "camera_info_topic"):
        template = getattr(settings, name)
        if "{camera}" in template and not settings.cameras:
            problems.append(f"{name}: {template!r} has {{camera}}, but `cameras` is empty")
        if template and "{camera}" not in template and len(settings.cameras) > 1:
            problems.append(f"{name}: {template!r} needs {{camera}}, as there are {len(settings.cameras)} cameras")
    return problems


def declare(node: Node) -> Settings:
    """Declare the whole table on a node, with descriptors, and return the values it was started with.

    Raises ParameterError (or rclpy's own exception, for a value outside an integer's or double's range).
    """
    values = {}
    for field in FIELDS:
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        values[field.name] = node.declare_parameter(field.name, default, descriptor(field.name)).value
    return validate(values)


def descriptor(name: str) -> ParameterDescriptor:
    """The rcl_interfaces descriptor of one parameter."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    rule, kind = rule_of(name), _TYPES[name]
    constraints = [] if rule.dynamic else ["takes effect when the node is configured; can only be set while it is unconfigured"]
    if rule.choices:
        constraints.append("one of " + ", ".join(rule.choices))
    result = ParameterDescriptor(description=rule.description, additional_constraints="; ".join(constraints))
    # An empty list has no type, people write 2 where 2.0 is meant and true where "true" is: all are settled by `validate`.
    result.dynamic_typing = kind not in (bool, str) or "true" in rule.choices
    if rule.minimum is not None or rule.maximum is not None:
        low = -sys.float_info.max if rule.minimum is None else rule.minimum
        high = sys.float_info.max if rule.maximum is None else rule.maximum
        if kind is float:
            result.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        elif kind is int:
            result.integer_range = [IntegerRange(from_value=int(low), to_value=int(min(high, 2**31 - 1)), step=1)]
    return result


def markdown_table() -> str:
    """The table of docs/parameters.md."""
    lines = ["| parameter | type | default | allowed | live | meaning |", "|---|---|---|---|---|---|"]
    for field in FIELDS:
        rule = rule_of(field.name)
        allowed = ", ".join(f"`{choice}`" for choice in rule.choices) or _range_text(rule)
        cells = (
            f"`{field.name}`",
            type_name(field.name),
            f"`{_yaml_text(field.default)}`",
            allowed,
            "yes" if rule.dynamic else "",
            rule.description,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def document() -> str:
    """All of docs/parameters.md."""
    return (
        "# Parameters of the depth node\n\n"
        "Written by `python -m ssd_depth_ros.parameters --out docs/parameters.md`; change `ssd_depth_ros/parameters.py` instead.\n\n"
        "*live*: may change while the node runs (`ros2 param set /ssd_depth cloud_stride 2`);\n"
        "the others only while the node is unconfigured.\n"
        "Quality of service is set as everywhere in ROS 2, e.g. `qos_overrides./depth/points.publisher.reliability: best_effort`\n"
        "(history, depth and reliability of every image, CameraInfo and output topic).\n\n" + markdown_table()
    )


def yaml_document() -> str:
    """All of config/depth.yaml: every parameter with its default."""
    lines = ["# Every parameter of the depth node with its default; docs/parameters.md says more.", "/**:", "  ros__parameters:"]
    for field in FIELDS:
        rule = rule_of(field.name)
        notes = [", ".join(rule.choices) or _range_text(rule), "live" if rule.dynamic else ""]
        note = "; ".join(filter(None, notes))
        lines.append(f"    # {rule.description.replace('`', '')}" + (f" ({note})" if note else ""))
        # ROS can't read an empty list.
        lines.append(f"    {field.name}: " + ('[""]' if field.default == () else _yaml_text(field.default)))
    return "\n".join(lines) + "\n"


def _range_text(rule: Rule) -> str:
    if rule.minimum is None and rule.maximum is None:
        return ""
    if rule.maximum is None:
        return f">= {rule.minimum:g}"
    return f"{'' if rule.minimum is None else format(rule.minimum, 'g')} .. {rule.maximum:g}"


def _yaml_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def main() -> None:
    """Print docs/parameters.md or config/depth.yaml, or write it."""
    parser = argparse.ArgumentParser(description="The depth node's parameters as a Markdown page or a YAML file")
    parser.add_argument("--yaml", action="store_true", help="write config/depth.yaml instead of docs/parameters.md")
    parser.add_argument("--out", type=Path, help="file to write; without it the text goes to standard output")
    arguments = parser.parse_args()
    text = yaml_document() if arguments.yaml else document()
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        atomic_write_text(arguments.out, text)


if __name__ == "__main__":
    main()
