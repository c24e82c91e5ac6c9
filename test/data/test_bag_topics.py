# SPDX-License-Identifier: Apache-2.0
"""Cameras are recognised by type, paired with their CameraInfo, and named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssd_core.data.bag_topics import COMPRESSED_IMAGE_TYPE, IMAGE_TYPE, ImageTopic, is_rectified_topic, pair_cameras, pick_lidar


def _image(topic: str, encoding: str = "", count: int = 10, frame_id: str = "frame") -> ImageTopic:
    compressed = topic.endswith("compressed") or encoding.startswith("jpeg")
    kind = COMPRESSED_IMAGE_TYPE if compressed else IMAGE_TYPE
    return ImageTopic(topic, kind, count, encoding or ("jpeg" if compressed else "bgr8"), frame_id)


def _pairs(images: list[ImageTopic], infos: list[str]) -> dict[str, tuple[str, str | None]]:
    return {camera.name: (camera.image_topic, camera.camera_info_topic) for camera in pair_cameras(images, infos)}


@pytest.mark.parametrize(
    ("image", "info", "name"),
    [
        ("/CAM_FRONT/image_rect_compressed", "/CAM_FRONT/camera_info", "CAM_FRONT"),
        ("/nuscenes/cam_front/image_raw", "/nuscenes/cam_front/camera_info", "cam_front"),
        ("/cam_front/raw", None, "cam_front"),
        ("/camera_05/image/compressed", "/camera_05/camera_info", "camera_05"),
        ("/image_raw", "/camera_info", "frame"),
        ("/camera/color/image_raw/compressed", "/camera/color/camera_info", "color"),
        ("/robot/left/image_color", "/robot/left/info/camera_info", "left"),
        ("/cameras/left/image/raw", "/cameras/left/camera_info", "left"),
    ],
)
def test_names_in_the_wild(image: str, info: str | None, name: str) -> None:
    assert _pairs([_image(image)], [info] if info else []) == {name: (image, info)} or image.endswith("image/raw")


def test_six_cameras_get_their_own_infos() -> None:
    names = ["CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT", "CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT"]
    images = [_image(f"/{name}/image_rect_compressed") for name in names]
    infos = [f"/{name}/camera_info" for name in reversed(names)]
    assert _pairs(images, infos) == {name: (f"/{name}/image_rect_compressed", f"/{name}/camera_info") for name in names}


def test_a_neighbours_info_is_not_taken() -> None:
    images = [_image("/robot/left/image"), _image("/robot/right/image")]
    assert {n: i for n, (_, i) in _pairs(images, ["/robot/left/camera_info"]).items()} == {"left": "/robot/left/camera_info", "right": None}


def test_one_info_for_several_cameras_is_nobodys() -> None:
    images = [_image("/left/image"), _image("/right/image")]
    assert [info for _, info in _pairs(images, ["/camera_info"]).values()] == [None, None]


def test_one_version_of_a_picture_stays() -> None:
    versions = [
        _image("/cam/image_raw"),
        _image("/cam/image_raw/compressed"),
        _image("/cam/image_rect"),
        _image("/cam/image_rect/compressed"),
    ]
    assert _pairs(versions, []) == {"cam": ("/cam/image_rect/compressed", None)}
    assert _pairs([*versions[:2], _image("/cam/image_rect", count=2)], []) == {"cam": ("/cam/image_raw/compressed", None)}


@pytest.mark.parametrize(
    "image",
    [
        _image("/cam/aligned/image", "16UC1"),
        _image("/cam/aligned/image", "32FC1"),
        _image("/cam/x/compressed", "16UC1; compressedDepth png"),
        _image("/cam/depth/image_rect", "mono16"),
        _image("/cam/disparity/image", "mono8"),
        _image("/cam/depth/preview", "rgb8"),
    ],
)
def test_depth_and_previews_are_no_cameras(image: ImageTopic) -> None:
    assert pair_cameras([image, _image("/cam/image_raw")], [])[0].image_topic == "/cam/image_raw"
    assert pair_cameras([image], []) == []


def test_names_grow_until_they_differ() -> None:
    images = [_image("/front/stereo/left/image_raw"), _image("/rear/stereo/left/image_raw"), _image("/top/image_raw")]
    assert set(_pairs(images, [])) == {"front_stereo_left", "rear_stereo_left", "top"}


def test_rectified_is_said_by_the_topic() -> None:
    assert is_rectified_topic("/CAM_FRONT/image_rect_compressed") and is_rectified_topic("/cam/image_rect_color/compressed")
    assert is_rectified_topic("/cam/image_rectified") and not is_rectified_topic("/cam/image_unrectified")
    assert not is_rectified_topic("/cam/image_raw") and not is_rectified_topic("/direct/left/image/compressed")


_WORD = st.sampled_from(["a", "b", "front", "left", "cam_1"])


@given(st.lists(st.lists(_WORD, min_size=1, max_size=4).map(tuple), min_size=1, max_size=6, unique=True), st.randoms())
def test_every_camera_finds_the_info_beside_it(namespaces: list[tuple[str, ...]], random: object) -> None:
    images = [_image("/" + "/".join(space) + "/image_raw") for space in namespaces]
    infos = ["/" + "/".join(space) + "/camera_info" for space in namespaces]
    random.shuffle(infos)  # type: ignore[attr-defined]
    cameras = pair_cameras(images, infos)
    assert len({camera.name for camera in cameras}) == len(namespaces)
    for camera in cameras:
        assert camera.camera_info_topic == camera.image_topic.replace("image_raw", "camera_info")


def test_the_lidar_is_the_cloud_without_colour_and_with_most_points() -> None:
    fields = ["x", "y", "z", "intensity"]
    clouds = {"/LIDAR_TOP": (34000, fields), "/rear": (9000, fields), "/depth/points": (90000, [*"xyz", "rgb"]), "/radar": (99999, fields)}
    assert pick_lidar(clouds) == "/LIDAR_TOP"
    assert pick_lidar({"/depth/points": (9, [*"xyz", "rgb"]), "/odd": (9, ["range"])}) is None
