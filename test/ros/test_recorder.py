# SPDX-License-Identifier: Apache-2.0
"""The recorder as a process of its own, listening to a node in this one."""
# ruff: noqa: E402

import json
import os

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy isn't installed")

from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from small_bags import SIZE, START, STEP, interrupt, spin_until, start, write_bag

from ssd_core.data.bag import BagReader, header_stamp
from ssd_core.data.writers.bag import BagWriter

pytestmark = pytest.mark.ros

IMAGE_TOPIC = "/CAM_FRONT/image_rect_compressed"


@pytest.fixture
def node(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("talker", context=context)
    node.spinner = SingleThreadedExecutor(context=context)
    node.spinner.add_node(node)
    yield node
    node.spinner.shutdown()
    node.destroy_node()
    context.try_shutdown()


def image(index, value):
    stamp = START + index * STEP
    message = Image(height=1, width=2, encoding="mono8", step=2, data=bytes([value, value]))
    message.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
    return message


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_records_at_the_stamps_and_copies_from_the_source_in_order(node, tmp_path, reliability):
    source, out = write_bag(tmp_path / "source", count=4), tmp_path / "out.mcap"
    process = start("recorder", out, "/depth", "--copy-from", source, "--copy", IMAGE_TOPIC, "--report", tmp_path / "report.json")
    publisher = node.create_publisher(Image, "/depth", QoSProfile(depth=10, reliability=reliability))
    # best-effort only counts as connected after the second attempt
    assert spin_until(node.spinner, lambda: publisher.get_subscription_count() == 1, 20)
    for index in range(3):
        publisher.publish(image(index, 50 + index))
    said = interrupt(process, times=2)
    assert process.returncode == 0 and "Traceback" not in said, said
    with BagReader(out) as bag:
        messages = list(bag.messages())
        assert [message.bag_time_ns for message in messages] == sorted(message.bag_time_ns for message in messages)
        depths = list(bag.deserialised(["/depth"]))
        assert (
            [raw.bag_time_ns for raw, _ in depths]
            == [header_stamp(message) for _, message in depths]
            == [START + i * STEP for i in range(3)]
        )
        assert [message.data.tolist() for _, message in depths] == [[50, 50], [51, 51], [52, 52]]
        with BagReader(source) as original:
            assert [m.data for m in bag.messages([IMAGE_TOPIC])] == [m.data for m in original.messages([IMAGE_TOPIC])]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["recorded"] == {"/depth": 3} and report["copied"] == {IMAGE_TOPIC: 4} and report["unheard"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mcap", "report.json", "source"]


def test_latched_messages_published_before_and_messages_without_header(node, tmp_path):
    out = tmp_path / "out"
    latched = node.create_publisher(CameraInfo, "/latched", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    latched.publish(CameraInfo(width=7))
    plain = node.create_publisher(Clock, "/plain", 10)
    process = start("recorder", out, "/latched", "/plain", "/silent")
    assert spin_until(node.spinner, lambda: plain.get_subscription_count() and latched.get_subscription_count(), 20)
    plain.publish(Clock(clock=Time(sec=5)))
    said = interrupt(process)
    assert process.returncode == 0, said
    assert "/silent: nothing was published" in said
    with BagReader(out) as bag:
        by_topic = {raw.topic: (raw, message) for raw, message in bag.deserialised()}
        assert by_topic["/latched"][1].width == 7
        assert by_topic["/plain"][1].clock.sec == 5
        assert by_topic["/plain"][0].bag_time_ns > START  # no header: when it arrived
        assert bag.connection("/latched").offered_qos[0].durability == "transient_local"


def test_nothing_heard_leaves_nothing_behind(node, tmp_path):
    process = start("recorder", tmp_path / "out.mcap", "/silent")
    assert spin_until(node.spinner, lambda: "recorder" in node.get_node_names(), 20)
    said = interrupt(process)
    assert process.returncode == 1
    assert "out.mcap" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["out.xyz", "/a"], "a bag is named X.mcap"),
        (["out.mcap", "/a", "--copy-from", "{source}", "--copy", "/nothing"], "no topic /nothing to copy"),
        (["out.mcap", "/a", "--copy-from", "nowhere", "--copy", "/b"], "nowhere: no such file or folder"),
        (["out.mcap", "/a", "--copy", "/b"], "belong together"),
        (["{file}/out.mcap", "/a"], "file"),
        (["source/source.mcap", "/a", "--copy-from", "{source}", "--copy", IMAGE_TOPIC], "would take the place of its own source"),
    ],
)
def test_what_cannot_be_recorded_is_said(node, tmp_path, arguments, problem):
    (tmp_path / "file").touch()
    source = write_bag(tmp_path / "source", count=1)
    before = (source / "source.mcap").read_bytes()
    arguments = [text.format(source=source, file=tmp_path / "file") for text in arguments]
    arguments[0] = str(tmp_path / arguments[0])
    process = start("recorder", *arguments)
    said = process.communicate(timeout=30)[0]
    assert process.returncode != 0
    assert problem in said and "Traceback" not in said, said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "source"]
    assert (source / "source.mcap").read_bytes() == before


def test_types_without_a_definition_are_named(node, tmp_path):
    bag = write_bag(tmp_path / "source", count=1, unknown=True)
    from ssd_depth_ros.recorder import SourceCopy

    with BagReader(bag) as source, BagWriter(tmp_path / "out.mcap") as writer:
        copy = SourceCopy(source, ["/unknown", IMAGE_TOPIC], writer)
        copy.finish()
    assert copy.skipped == {"/unknown": "no definition of nobody_msgs/msg/Unknown at hand"}
    assert copy.counts == {IMAGE_TOPIC: 1}


def test_of_a_topic_with_two_types_one_is_copied(tmp_path):
    from ssd_depth_ros.recorder import SourceCopy

    bag = write_bag(tmp_path / "source", count=3, mixed=True)
    with BagReader(bag) as source, BagWriter(tmp_path / "out.mcap") as writer:
        copy = SourceCopy(source, [IMAGE_TOPIC], writer)
        copy.finish()
    assert copy.skipped == {IMAGE_TOPIC: "sensor_msgs/msg/CompressedImage: the topic also carries sensor_msgs/msg/CameraInfo"}
    with BagReader(tmp_path / "out.mcap") as copied:
        assert [message.width for _, message in copied.deserialised()] == [SIZE[0]] * 3


def test_what_is_recorded_outlives_a_damaged_source(node, tmp_path):
    source, out = write_bag(tmp_path / "source", count=1500), tmp_path / "out.mcap"
    path = source / "source.mcap"
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 100] = bytes([5]) * 100
    path.write_bytes(whole)
    process = start("recorder", out, "/depth", "--copy-from", source, "--copy", IMAGE_TOPIC, "--report", tmp_path / "report.json")
    publisher = node.create_publisher(Image, "/depth", 10)
    assert spin_until(node.spinner, lambda: publisher.get_subscription_count() == 1, 20)
    for index in (0, 1498, 1499):
        publisher.publish(image(index, 50))
    said = interrupt(process)
    assert process.returncode == 1 and "nothing more is copied, recording goes on" in said and "Traceback" not in said, said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["recorded"] == {"/depth": 3} and "source: damaged" in report["damage"]
    with BagReader(out) as bag:
        counts = {connection.topic: connection.count for connection in bag.connections}
    assert counts == {"/depth": 3, IMAGE_TOPIC: report["copied"][IMAGE_TOPIC]} and 0 < counts[IMAGE_TOPIC] < 1500


def test_messages_too_short_for_their_header_are_skipped_and_counted(node, tmp_path):
    out = tmp_path / "out.mcap"
    process = start("recorder", out, "/depth", "--report", tmp_path / "report.json")
    publisher = node.create_publisher(Image, "/depth", 10)
    assert spin_until(node.spinner, lambda: publisher.get_subscription_count() == 1, 20)
    publisher.publish(image(0, 50))
    publisher.publish(bytes([0, 1, 0, 0]))
    publisher.publish(image(1, 51))
    said = interrupt(process)
    assert process.returncode == 0 and "/depth: a message with a header has at least 12 bytes" in said, said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["recorded"] == {"/depth": 2} and report["too_short"] == {"/depth": 1}
