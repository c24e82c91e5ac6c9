# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (ROS messages may be missing: skipped before the imports that need them)
"""Messages to arrays and back."""

import array
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip("sensor_msgs", reason="ROS messages aren't installed (extra [ros], or a sourced ROS)")

from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import ImageDecodeError, encode_jpeg, encode_png
from ssd_depth_ros import messages
from ssd_depth_ros.health import Level, Status

HEADER = Header(frame_id="optical")
HEADER.stamp.sec, HEADER.stamp.nanosec = 3, 7
GRADIENT = np.ascontiguousarray(np.broadcast_to(np.arange(0, 256, 2, dtype=np.uint8)[None, :, None], (96, 128, 3)))


def raw(pixels: np.ndarray, encoding: str = "rgb8") -> Image:
    height, width = pixels.shape[:2]
    data = array.array("B", pixels.tobytes())
    return Image(header=HEADER, height=height, width=width, encoding=encoding, step=len(data) // height, data=data)


def test_stamp_in_nanoseconds() -> None:
    assert messages.stamp_ns(HEADER) == 3_000_000_007


def test_jpeg_is_decoded_at_the_smallest_scale_that_covers() -> None:
    message = CompressedImage(format="jpeg", data=array.array("B", encode_jpeg(GRADIENT)))
    assert messages.image_size(message) == (128, 96)
    small = messages.decode_image_message(message, lambda size: (size[0] // 4, size[1] // 4))
    assert small.full_size == (128, 96) and small.pixels.shape == (24, 32, 3)
    np.testing.assert_allclose(small.pixels[10, :, 0].astype(float), np.arange(32) * 8 + 3, atol=4)
    whole = messages.decode_image_message(message, lambda size: (1000, 1000))
    assert whole.pixels.shape == (96, 128, 3)


def test_png_keeps_its_size_and_raw_images_are_taken_as_they_are() -> None:
    png = CompressedImage(format="png", data=array.array("B", encode_png(GRADIENT)))
    assert messages.image_size(png) is None
    for message in (png, raw(GRADIENT)):
        decoded = messages.decode_image_message(message, lambda size: (1, 1))
        assert decoded.full_size == (128, 96)
        np.testing.assert_array_equal(decoded.pixels, GRADIENT)


def test_unknown_encodings_are_named_with_a_short_cause() -> None:
    with pytest.raises(ImageDecodeError, match="unknown encoding 'hsv8'") as raised:
        messages.decode_image_message(raw(GRADIENT, "hsv8"), lambda size: size)
    assert raised.value.cause == "unknown_encoding"


@pytest.mark.parametrize(
    "camera",
    [
        PinholeCamera(640, 480, 500, 510, 320, 240),
        PinholeCamera(640, 480, 500, 510, 320, 240, "plumb_bob", (0.1, -0.05, 0.001, 0.002, 0.0)),
        PinholeCamera(640, 480, 500, 510, 320, 240, "rational_polynomial", (0.1, -0.05, 0.001, 0.002, 0.1, 0.2, 0.3, 0.4)),
        PinholeCamera(640, 480, 300, 310, 320, 240, "equidistant", (0.1, -0.05, 0.001, 0.002)),
    ],
)
def test_camera_info_round_trip(camera: PinholeCamera) -> None:
    message = messages.camera_info_message(HEADER, camera)
    assert message.header is not None and message.header.frame_id == "optical"
    assert messages.camera_from_message(message, rectified=False, image_size=(1, 1)) == camera
    assert messages.camera_from_message(message, rectified=True, image_size=(1, 1)) == camera.rectified()


def test_an_empty_size_in_camera_info_is_the_images() -> None:
    message = messages.camera_info_message(HEADER, PinholeCamera(640, 480, 500, 510, 320, 240))
    message.width = message.height = 0
    assert messages.camera_from_message(message, rectified=True, image_size=(640, 480)).size == (640, 480)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 320),
        ("k", np.eye(3).ravel()),
        ("d", array.array("d", [0.5])),
        ("distortion_model", "equidistant"),
        ("binning_x", 2),
        ("roi", RegionOfInterest(width=10, height=10)),
    ],
)
def test_camera_info_key_sees_every_change(name: str, value: Any) -> None:
    def info() -> CameraInfo:
        return messages.camera_info_message(HEADER, PinholeCamera(640, 480, 500, 510, 320, 240))

    changed = info()
    setattr(changed, name, value)
    assert messages.camera_info_key(info()) == messages.camera_info_key(info()) != messages.camera_info_key(changed)


DEPTH = np.array([[0.05, 0.1, 5.4321, 65.4], [79.99, 80.0, 1e9, np.nan], [np.inf, -np.inf, 0.0, -3.0]], np.float32)


def test_depth_in_metres_follows_rep_117() -> None:
    message = messages.DepthMessage(4, 3, "32FC1").fill(HEADER, DEPTH, 0.1, 80.0)
    assert (message.width, message.height, message.step, message.is_bigendian, message.encoding) == (4, 3, 16, 0, "32FC1")
    inf, nan = np.inf, np.nan
    expected = [[-inf, 0.1, 5.4321, 65.4], [79.99, inf, inf, nan], [inf, -inf, -inf, -inf]]
    np.testing.assert_array_equal(np.frombuffer(message.data, "<f4").reshape(3, 4), np.array(expected, np.float32))


def test_depth_in_millimetres_is_zero_where_it_cannot_be_said() -> None:
    message = messages.DepthMessage(4, 3, "16UC1").fill(HEADER, DEPTH, 0.1, 80.0)
    assert message.step == 8
    np.testing.assert_array_equal(np.frombuffer(message.data, "<u2").reshape(3, 4), [[0, 100, 5432, 65400], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_depth_messages_become_metres_again() -> None:
    message = messages.DepthMessage(4, 3, "32FC1").fill(HEADER, DEPTH, 0.1, 80.0)
    np.testing.assert_array_equal(messages.depth_values(message).ravel()[:4], np.array([-np.inf, 0.1, 5.4321, 65.4], np.float32))


def test_depth_images_become_metres() -> None:
    rows = np.array([[1500, 0, 7], [65535, 250, 7]], dtype=">u2")
    image = Image(header=HEADER, height=2, width=2, encoding="16UC1", step=6, is_bigendian=1, data=array.array("B", rows.tobytes()))
    np.testing.assert_allclose(messages.depth_values(image), [[1.5, np.nan], [65.535, 0.25]], rtol=1e-6)
    with pytest.raises(ValueError, match="too short"):
        messages.depth_values(Image(height=2, width=2, encoding="32FC1", step=8, data=array.array("B", bytes(15))))
    with pytest.raises(ValueError, match="mono8"):
        messages.depth_values(Image(height=2, width=2, encoding="mono8", step=2, data=array.array("B", bytes(4))))


def test_a_refilled_message_carries_the_new_values_only() -> None:
    depth_message = messages.DepthMessage(4, 3, "32FC1")
    depth_message.fill(HEADER, DEPTH, 0.1, 80.0)
    message = depth_message.fill(HEADER, np.full((3, 4), 2, np.float32), 0.1, 80.0)
    np.testing.assert_array_equal(np.frombuffer(message.data, "<f4"), 2)


def test_rgb_and_jpeg_messages() -> None:
    message = messages.rgb_message(HEADER, GRADIENT)
    np.testing.assert_array_equal(messages.decode_image_message(message, lambda size: size).pixels, GRADIENT)
    jpeg = messages.jpeg_message(HEADER, GRADIENT, 90)
    assert jpeg.format == "jpeg" and messages.image_size(jpeg) == (128, 96)


def test_diagnostic_levels_are_bytes() -> None:
    message = messages.diagnostic_message(HEADER.stamp, [Status("a", Level.STALE, "silent", {"rate": 3})], "model")
    assert (message.status[0].level, message.status[0].values[0].value, message.status[0].hardware_id) == (b"\x03", "3", "model")


@pytest.mark.ros_installation
def test_cloud_reads_like_sensor_msgs_py() -> None:
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py is only there where ROS is installed")
    cloud = messages.CloudMessage(2, 3)
    cloud.points[...] = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    read = point_cloud2.read_points(cloud.message, field_names=("x", "y", "z"))
    np.testing.assert_array_equal(np.stack([read["x"], read["y"], read["z"]], axis=-1), cloud.points.reshape(-1, 4)[:, :3])
