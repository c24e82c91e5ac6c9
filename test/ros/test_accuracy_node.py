# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (rclpy may be missing: skipped before the imports that need it)
"""Published depth and clouds against each other, with transforms of a bag, as numbers in /diagnostics."""

import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy", reason="rclpy isn't installed (extra [ros], or a sourced ROS)")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_peers import Collector, FakeCamera, wait_until
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from ssd_core.data.writers.bag import BagWriter
from ssd_core.data.writers.messages import transforms_message
from ssd_core.geometry.camera import PinholeCamera
from ssd_depth_ros import accuracy_node
from ssd_depth_ros.accuracy_node import AccuracyNode, RecentTransforms
from ssd_depth_ros.health import Level

CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
BACK = np.array([[0, 0, 1, 1.0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=float)  # camera 1 m in front of the lidar


@pytest.fixture
def bag(tmp_path):
    path = tmp_path / "transforms.mcap"
    with BagWriter(path) as writer:
        writer.add_topic("/tf_static", "tf2_msgs/msg/TFMessage")
        writer.write("/tf_static", 1, transforms_message([("base_link", "lidar", np.eye(4)), ("base_link", "camera_optical", BACK)], 1))
    return path


def wall_cloud(header: Any, distance: float) -> PointCloud2:
    """A wall across the view, in the lidar's frame (x forward)."""
    y, z = np.meshgrid(np.linspace(-8, 8, 60), np.linspace(-6, 6, 40))
    points = np.stack([np.full(y.size, distance), y.ravel(), z.ravel()], axis=1).astype(np.float32)
    fields = [PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1) for index, name in enumerate("xyz")]
    data = array.array("B", points.tobytes())
    return PointCloud2(header=header, height=1, width=len(points), fields=fields, point_step=12, row_step=12 * len(points), data=data)


def depth_image(header: Any, metres: float) -> Image:
    values = np.full((24, 32), metres, dtype=np.float32)
    return Image(header=header, height=24, width=32, encoding="32FC1", step=128, data=array.array("B", values.tobytes()))


def test_depth_against_a_wall(spinner: Any, bag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_node, "DIAGNOSTICS_PERIOD", 0.05)
    overrides = [Parameter("bag", value=str(bag)), Parameter("lidar_topic", value="/lidar")]
    node = spinner.add(AccuracyNode(parameter_overrides=overrides))
    peer = spinner.add(Node("peer"))
    camera = FakeCamera(peer, "/unused", "/depth/camera_info")
    depth, lidar = peer.create_publisher(Image, "/depth/image_rect", 5), peer.create_publisher(PointCloud2, "/lidar", 5)
    diagnostics = Collector(peer, DiagnosticArray, "/diagnostics")
    wait_until(lambda: all(publisher.get_subscription_count() for publisher in (depth, lidar, camera.infos)), "subscriptions")
    wait_until(
        lambda: any("no depth on /depth/image_rect yet" in status.message for message in diagnostics.messages for status in message.status)
    )
    camera.send_info(CAMERA)
    wait_until(lambda: node._infos, "CameraInfo")
    depth.publish(depth_image(camera.header(5.0), 11.0))
    lidar.publish(wall_cloud(camera.header(5.02, "lidar"), 11.0))  # 10 m in front of the camera

    def measured() -> Any:
        found = [status for message in diagnostics.messages for status in message.status if status.message.startswith("absRel")]
        return found[-1] if found else None

    status = wait_until(measured, "absRel in /diagnostics")
    values = {item.key: item.value for item in status.values}
    assert float(values["abs_rel"]) == pytest.approx(0.1, abs=1e-3) and float(values["d1"]) == 1 and values["images"] == "1"
    assert status.message == "absRel 0.100, d1 100.0 %"


def test_a_bag_that_is_not_there(ros_context: None, tmp_path: Any) -> None:
    with pytest.raises((ValueError, OSError), match=r"nothing\.mcap"):
        AccuracyNode(parameter_overrides=[Parameter("bag", value=str(tmp_path / "nothing.mcap"))])


def transform(stamp: float, x: float, parent: str = "odom", child: str = "base_link") -> Any:
    """Has the fields of geometry_msgs/TransformStamped; tf2_msgs isn't everywhere."""
    header = FakeCamera.header(None, stamp, parent)  # type: ignore[arg-type]
    place, turn = SimpleNamespace(x=x, y=0.0, z=0.0), SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
    return SimpleNamespace(header=header, child_frame_id=child, transform=SimpleNamespace(translation=place, rotation=turn))


def test_recent_transforms_move_forget_and_begin_anew() -> None:
    recent = RecentTransforms()
    recent.add([transform(0.0, 2.0, "base_link", "lidar")], True)
    for second in range(100):
        recent.add([transform(second, float(second))], False)
    second = 1_000_000_000
    motion = recent.lookup_between("base_link", 90 * second, "lidar", round(90.5 * second))
    assert motion is not None and motion[0, 3] == pytest.approx(2.5)
    assert len(recent._tree._parents["base_link"]["odom"].stamps) <= 24
    # Long gone: only the mounting is known.
    old = recent.lookup_between("base_link", 10 * second, "lidar", round(10.5 * second))
    assert old is not None and old[0, 3] == pytest.approx(2.0)
    recent.add([transform(1.0, 7.0)], False)
    assert len(recent._tree._parents["base_link"]["odom"].stamps) == 1


def test_each_transform_has_a_clock_of_its_own() -> None:
    recent, second = RecentTransforms(), 1_000_000_000
    for number in range(40):
        recent.add([transform(number, float(number))], False)
        # One that is never stamped, and one that lags: neither is a jump of time.
        recent.add([transform(0.0, 2.0, "base_link", "lidar"), transform(number - 3.0, 0.0, "map", "odom")], False)
    motion = recent.lookup_between("odom", 38 * second, "base_link", 38 * second)
    assert motion is not None and motion[0, 3] == pytest.approx(38)
    assert recent.lookup_between("map", 36 * second, "base_link", 36 * second) is not None


def test_a_static_transform_said_again_replaces_the_old_one() -> None:
    recent = RecentTransforms()
    for metres in range(50):
        recent.add([transform(0.0, float(metres), "base_link", "lidar")], True)
    assert len(recent._tree._parents["lidar"]["base_link"].stamps) == 1
    motion = recent.lookup_between("base_link", 5, "lidar", 5)
    assert motion is not None and motion[0, 3] == 49


@pytest.mark.parametrize("wrong", [-1.0, 0, float("nan"), True])
def test_numbers_that_can_not_be_are_refused(ros_context: None, bag: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match="cap is"):
        AccuracyNode(parameter_overrides=[Parameter("bag", value=str(bag)), Parameter("cap", value=wrong)])


def test_whole_numbers_will_do(spinner: Any, bag: Any) -> None:
    spinner.add(AccuracyNode(parameter_overrides=[Parameter("bag", value=str(bag)), Parameter("cap", value=60)]))


def test_figures_of_the_past_are_stale(spinner: Any, bag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = spinner.add(AccuracyNode(parameter_overrides=[Parameter("bag", value=str(bag))]))
    node.accuracy.measured[""] = 3
    monkeypatch.setattr(node.accuracy, "figures", lambda _: {"abs_rel": 0.1, "rmse": 1.0, "d1": 1.0})
    assert node._status("", "/depth/image_rect").level == Level.OK
    monkeypatch.setattr(accuracy_node, "_STALE_SECONDS", 0.0)
    status = node._status("", "/depth/image_rect")
    assert status.level == Level.STALE and status.message.endswith("before that absRel 0.100, d1 100.0 %")


def test_several_cameras_need_a_template(ros_context: None, bag: Any) -> None:
    with pytest.raises(ValueError, match=r"needs \{camera\}"):
        AccuracyNode(parameter_overrides=[Parameter("cameras", value=["a", "b"]), Parameter("bag", value=str(bag))])


def test_without_tf2_msgs_it_says_what_to_do(ros_context: None) -> None:
    try:
        import tf2_msgs.msg  # noqa: F401
    except ImportError:
        with pytest.raises(LookupError, match="tf2_msgs"):
            AccuracyNode()
    else:
        AccuracyNode().destroy_node()


def test_camera_info_of_another_size_is_told(spinner: Any, bag: Any) -> None:
    node = spinner.add(AccuracyNode(parameter_overrides=[Parameter("bag", value=str(bag))]))
    info = CameraInfo(width=64, height=48, k=[30.0, 0, 30, 0, 30, 20, 0, 0, 1], p=[30.0, 0, 30, 0, 0, 30, 20, 0, 0, 0, 1, 0])
    node._infos[""] = info
    spinner.call(lambda: node._on_depth("", True, depth_image(FakeCamera.header(None, 1.0), 5.0)))  # type: ignore[arg-type]
    assert "depth of 32x24 with a camera of 64x48" in node._status("", "/depth/image_rect").message
