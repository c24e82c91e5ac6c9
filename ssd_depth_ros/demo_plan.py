# SPDX-License-Identifier: Apache-2.0
"""What a demo run does with one bag: which cameras under which topic names, what is waited for, recorded and copied."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssd_core.data.bag import BagError, BagReader
from ssd_core.data.bag_topics import CameraTopics

_TRANSFORMS = "tf2_msgs/msg/TFMessage"
_ODOMETRY = "nav_msgs/msg/Odometry"


@dataclass(frozen=True)
class PlayedCamera:
    """One camera: its name, that in the bag (`BagReader.find_cameras`), its topics there, and the topics it is published on."""

    name: str
    name_recorded: str
    image_recorded: str
    info_recorded: str | None
    image: str
    info: str


@dataclass(frozen=True)
class DemoPlan:
    """One bag's run; `notes` are sentences for the user."""

    name: str
    bag: Path
    cameras: tuple[PlayedCamera, ...]
    image_template: str
    info_template: str
    is_rectified: bool
    is_compressed: bool
    copied: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def without_info(self) -> list[str]:
        """Names of cameras of which the bag has no CameraInfo."""
        return [camera.name for camera in self.cameras if camera.info_recorded is None]

    @property
    def played(self) -> list[str]:
        """Topics of the bag that the player publishes."""
        topics = [topic for camera in self.cameras for topic in (camera.image_recorded, camera.info_recorded) if topic]
        return list(dict.fromkeys(topics))

    @property
    def remapped(self) -> list[str]:
        """The player's A:=B."""
        pairs = [(camera.image_recorded, camera.image) for camera in self.cameras]
        pairs += [(camera.info_recorded, camera.info) for camera in self.cameras if camera.info_recorded]
        return [f"{recorded}:={published}" for recorded, published in pairs if recorded != published]

    def node_parameters(self, model: str, backend: str, input_size: tuple[int, int] = (0, 0), fx: float = 0.0) -> dict[str, object]:
        """Parameters of the depth node for this bag; input_size (width, height), zeros: the node chooses; fx: pixels, for cameras
        without CameraInfo, 0: unknown.
        """
        return {
            "fx": fx,
            "model": model,
            "backend": backend,
            "input_size": list(input_size),
            "cameras": [camera.name for camera in self.cameras],
            "image_topic": self.image_template,
            "camera_info_topic": self.info_template,
            "transport": "compressed" if self.is_compressed else "raw",
            "rectified": "true" if self.is_rectified else "false",
            "use_sim_time": True,
        }


def plan_run(path: Path, name: str) -> DemoPlan:
    """Look into a bag. Raises BagError for one that can't be read or has no camera images."""
    with BagReader(path) as bag:
        found = bag.find_cameras()
        if not found:
            topics = ", ".join(f"{connection.topic} ({connection.message_type})" for connection in bag.connections) or "nothing"
            raise BagError(f"{path}: no camera images (sensor_msgs Image or CompressedImage) in it; it holds {topics}")
        cameras, left_out = _alike(found)
        notes = [*bag.warnings]
        if left_out:
            others = ", ".join(camera.name for camera in left_out)
            notes.append(
                f"{others}: left out, other kind of images than {cameras[0].name} (one node takes raw or compressed, rectified or not)"
            )
        names = _node_names([camera.name for camera in cameras])
        image_template, info_template = _templates(cameras, names)
        lidar = bag.find_lidar()
        sensors = [topic for camera in cameras for topic in (camera.image_topic, camera.camera_info_topic) if topic]
        copied = [*bag.topics_of_type(_TRANSFORMS, _ODOMETRY), *([lidar] if lidar else []), *sensors]
    return DemoPlan(
        name=name,
        bag=path,
        cameras=tuple(
            PlayedCamera(
                name,
                camera.name,
                camera.image_topic,
                camera.camera_info_topic,
                image_template.replace("{camera}", name),
                info_template.replace("{camera}", name),
            )
            for camera, name in zip(cameras, names, strict=True)
        ),
        image_template=image_template,
        info_template=info_template,
        is_rectified=cameras[0].is_rectified,
        is_compressed=cameras[0].is_compressed,
        copied=tuple(dict.fromkeys(copied)),
        notes=tuple(notes),
    )


def run_names(bags: Sequence[Path]) -> list[str]:
    """A name for each bag's results: the file's or folder's, numbered where two are alike."""
    names: list[str] = []
    for bag in bags:
        stem = bag.stem if bag.suffix in (".mcap", ".db3", ".bag") else bag.name or "bag"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        names.append(name)
    return names


def _alike(cameras: Sequence[CameraTopics]) -> tuple[list[CameraTopics], list[CameraTopics]]:
    """The largest group of cameras that one node can take together, and the others."""
    groups: dict[tuple[bool, bool], list[CameraTopics]] = {}
    for camera in cameras:
        groups.setdefault((camera.is_compressed, camera.is_rectified), []).append(camera)
    chosen = max(groups.values(), key=len)
    return chosen, [camera for camera in cameras if camera not in chosen]


def _node_names(recorded: Sequence[str]) -> list[str]:
    """Names for the node's cameras: the recorded ones where ROS 2 takes them in a topic, else such as it does."""
    names: list[str] = []
    for text in recorded:
        parts = [re.sub(r"\W", "_", part, flags=re.ASCII) for part in text.split("/")]
        stem = "/".join(part if re.match(r"[A-Za-z_]", part) else f"camera_{part}" for part in parts)
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        names.append(name)
    return names


def _templates(cameras: Sequence[CameraTopics], names: Sequence[str]) -> tuple[str, str]:
    """(image, CameraInfo) topic templates with {camera}: the recorded names where they follow one pattern, else names of our own."""
    if list(names) != [camera.name for camera in cameras]:
        return "/{camera}/image", "/{camera}/camera_info"
    images = {_template(camera.image_topic, camera.name) for camera in cameras}
    infos = {_template(camera.camera_info_topic, camera.name) for camera in cameras if camera.camera_info_topic}
    image, info = images.pop(), infos.pop() if infos else "/{camera}/camera_info"
    if images or infos or "{camera}" not in image or "{camera}" not in info:
        return "/{camera}/image", "/{camera}/camera_info"
    return image, info


def _template(topic: str, name: str) -> str:
    absolute = "/" + topic.lstrip("/")
    return "/".join("{camera}" if part == name else part for part in absolute.split("/"))
