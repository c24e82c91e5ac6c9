# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are cameras, and which CameraInfo belongs to which of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"

_DEPTH_ENCODINGS = ("16uc1", "32fc1", "64fc1")
_NOT_PICTURES = ("depth", "disparity", "inverse_depth", "confidence", "segmentation", "preview")
_TRANSPORTS = ("compressed", "theora", "ffmpeg", "zstd")
_IMAGE_WORDS = ("image", "raw", "rect", "rectified", "color", "colour", "mono", "rgb", "compressed")


@dataclass(frozen=True)
class CameraTopics:
    """One camera of a bag. `name` is short and unique ("CAM_FRONT"); `camera_info_topic` is None where the bag has none for it."""

    name: str
    image_topic: str
    image_type: str
    camera_info_topic: str | None
    frame_id: str

    @property
    def is_compressed(self) -> bool:
        """True for sensor_msgs/CompressedImage."""
        return self.image_type == COMPRESSED_IMAGE_TYPE

    @property
    def is_rectified(self) -> bool:
        """True if the topic's name says that the lens distortion has been removed (image_rect, image_rect_compressed, ...)."""
        return is_rectified_topic(self.image_topic)


@dataclass(frozen=True)
class ImageTopic:
    """An image topic with what its first message says: `encoding` holds Image.encoding or CompressedImage.format."""

    topic: str
    message_type: str
    count: int
    encoding: str
    frame_id: str


def is_rectified_topic(topic: str) -> bool:
    """True if the last components of an image topic say that it is rectified."""
    return any(word in ("rect", "rectified") for component in _components(topic)[-2:] for word in component.lower().split("_"))


def pair_cameras(images: Sequence[ImageTopic], camera_infos: Sequence[str]) -> list[CameraTopics]:
    """Image topics -> one entry a camera, ordered by name, each with its CameraInfo topic or None.

    Depth, disparity and preview images are left out. Of several versions of one picture (raw beside compressed, distorted beside
    rectified) one stays: the rectified, then the compressed one, unless it has less than half the messages.
    """
    groups: dict[tuple[str, ...], list[ImageTopic]] = defaultdict(list)
    for image in images:
        if not _is_depth(image):
            groups[_namespace(image.topic)].append(image)
    chosen = {namespace: _best(group) for namespace, group in groups.items()}
    infos = _pair_infos({namespace: image.topic for namespace, image in chosen.items()}, camera_infos)
    names = _short_names(list(chosen), [image.frame_id for image in chosen.values()])
    cameras = [
        CameraTopics(names[namespace], image.topic, image.message_type, infos.get(namespace), image.frame_id)
        for namespace, image in chosen.items()
    ]
    return sorted(cameras, key=lambda camera: camera.name)


def pick_lidar(clouds: Mapping[str, tuple[int, Sequence[str]]]) -> str | None:
    """The lidar among PointCloud2 topics: topic -> (points in its first message, names of its fields).

    Coloured clouds come from cameras. Of several lidars the one with most points is taken.
    """
    lidars = {
        topic: points
        for topic, (points, fields) in clouds.items()
        if not {"rgb", "rgba"} & set(fields) and {"x", "y", "z"} <= set(fields) and "radar" not in topic.lower()
    }
    return max(lidars, key=lambda topic: (lidars[topic], topic), default=None)


def _components(topic: str) -> tuple[str, ...]:
    return tuple(part for part in topic.split("/") if part)


def _is_depth(image: ImageTopic) -> bool:
    encoding = image.encoding.lower()
    if "compresseddepth" in encoding.replace(" ", "") or encoding.split(";")[0].strip() in _DEPTH_ENCODINGS:
        return True
    return any(component.lower() in _NOT_PICTURES for component in _components(image.topic))


def _namespace(topic: str) -> tuple[str, ...]:
    """The components that name the camera: without the transport and without image, image_raw, image_rect_compressed, raw, ..."""
    components = list(_components(topic))
    if len(components) > 1 and components[-1].lower() in _TRANSPORTS:
        components.pop()
    if components and all(word in _IMAGE_WORDS for word in components[-1].lower().split("_")):
        components.pop()
    return tuple(components)


def _best(group: Sequence[ImageTopic]) -> ImageTopic:
    most = max(image.count for image in group)
    whole = [image for image in group if 2 * image.count >= most]
    return max(whole, key=lambda image: (is_rectified_topic(image.topic), image.message_type == COMPRESSED_IMAGE_TYPE, image.topic))


def _pair_infos(images: Mapping[tuple[str, ...], str], camera_infos: Sequence[str]) -> dict[tuple[str, ...], str]:
    """The CameraInfo with the longest common prefix of path components; one that two cameras claim equally is nobody's."""
    paired: dict[tuple[str, ...], tuple[int, str]] = {}
    for namespace, topic in images.items():
        candidates = []
        for info in camera_infos:
            components = _components(info)
            # A neighbour's info shares a prefix too (/robot/left, /robot/right): one of both must lie within the other's namespace.
            parent = components[:-1]
            image = _components(topic)
            if image[: len(parent)] == parent or components[: len(namespace)] == namespace:
                candidates.append((_common_prefix(components, image), info))
        if candidates:
            paired[namespace] = max(candidates, key=lambda pair: (pair[0], -len(pair[1]), pair[1]))
    result = {}
    for namespace, (length, info) in paired.items():
        rivals = [other for key, (other, theirs) in paired.items() if key != namespace and theirs == info]
        if all(length > other for other in rivals):
            result[namespace] = info
    return result


def _common_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length


def _short_names(namespaces: Sequence[tuple[str, ...]], frame_ids: Sequence[str]) -> dict[tuple[str, ...], str]:
    """The last component of each namespace, or as many as it takes until all differ."""
    names: dict[tuple[str, ...], str] = {}
    longest = max((len(namespace) for namespace in namespaces), default=0)
    for length in range(1, longest + 1):
        for namespace in namespaces:
            names[namespace] = _plain("_".join(namespace[-length:]))
        if len(set(names.values())) == len(namespaces):
            break
    for namespace, frame_id in zip(namespaces, frame_ids, strict=True):
        if not namespace:
            names[namespace] = _plain(frame_id.strip("/")) or "camera"
    if len(set(names.values())) < len(namespaces):
        return {namespace: _plain("__".join(namespace)) or "camera" for namespace in namespaces}
    return names


def _plain(name: str) -> str:
    """Names become files and folders; a bag can hold any text as a topic."""
    return re.sub(r"[^\w-]", "_", name)
