# SPDX-License-Identifier: Apache-2.0
"""The player as a process of its own, heard by a node in this one."""
# ruff: noqa: E402

import json
import os

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy isn't installed")

from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from small_bags import BEST_EFFORT, START, STEP, interrupt, picture, spin_until, start, write_bag

from ssd_core.data.bag import BagReader
from ssd_core.data.bag_storage import BagConnection, OfferedQos
from ssd_core.images.codec import decode_image
from ssd_depth_ros.playback_clock import PlaybackClock
from ssd_depth_ros.process import split_ros_arguments
from ssd_depth_ros.raw_topics import (
    CAMERA_INFO_TYPE,
    Stamp,
    UnknownMessageTypeError,
    has_header,
    header_stamp,
    message_class,
    recorded_profile,
)

pytestmark = pytest.mark.ros

IMAGE_TOPIC = "/CAM_FRONT/image_rect_compressed"
STAMPS = [START + index * STEP for index in range(4)]


@pytest.fixture
def node(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("listener", context=context)
    node.spinner = SingleThreadedExecutor(context=context)
    node.spinner.add_node(node)
    yield node
    node.spinner.shutdown()
    node.destroy_node()
    context.try_shutdown()


def listen(node, message_type, topic, profile=50):
    heard = []
    node.create_subscription(message_type, topic, heard.append, profile)
    return heard


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def finish(node, process):
    spin_until(node.spinner, lambda: process.poll() is not None, 30)
    return process.communicate(timeout=30)[0]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_plays_every_message_as_recorded(node, tmp_path, storage):
    bag = write_bag(tmp_path / "bag", storage=storage, unknown=True)
    images, infos = listen(node, CompressedImage, IMAGE_TOPIC), listen(node, CameraInfo, "/CAM_FRONT/camera_info")
    process = start(
        "bag_player", bag, "--wait-for-subscribers", 10, "--report", tmp_path / "report.json", "--ros-args", "--log-level", "info"
    )
    said = finish(node, process)
    assert spin_until(node.spinner, lambda: len(images) == len(infos) == 4), said
    assert process.returncode == 0, said
    assert [stamp_of(message) for message in images] == [stamp_of(message) for message in infos] == STAMPS
    assert abs(decode_image(images[2].data).astype(int) - picture(2)).mean() < 8
    assert said.count("/unknown is skipped: nobody_msgs/msg/Unknown isn't installed here") == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert {topic: values["messages"] for topic, values in report["topics"].items()} == {IMAGE_TOPIC: 4, "/CAM_FRONT/camera_info": 4}
    assert report["seconds"] >= 3 * STEP / 1e9


def test_chosen_topics_under_other_names_at_another_rate_with_a_clock(node, tmp_path):
    bag = write_bag(tmp_path / "bag")
    images, other = listen(node, CompressedImage, "/front"), listen(node, CameraInfo, "/CAM_FRONT/camera_info")
    ticks = listen(node, Clock, "/clock", QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT))
    process = start(
        "bag_player", bag, "--topics", IMAGE_TOPIC, "--remap", f"{IMAGE_TOPIC}:=/front", "--rate", 0.25, "--clock", 20,
        "--wait-for-subscribers", 10,
    )  # fmt: skip
    said = finish(node, process)
    assert process.returncode == 0, said
    assert [stamp_of(message) for message in images] == STAMPS
    assert not other
    times = [tick.clock.sec * 10**9 + tick.clock.nanosec for tick in ticks]
    assert len(times) >= 4 and times == sorted(times), times  # 0.6 s of playing at 20 Hz, however slow this machine is
    assert times[0] >= START and times[-1] <= STAMPS[-1] + STEP


def test_offers_the_recorded_quality_of_service(node, tmp_path):
    bag = write_bag(tmp_path / "bag", qos=[BEST_EFFORT])
    process = start("bag_player", bag, "--loop")

    def offered():
        return node.get_publishers_info_by_topic(IMAGE_TOPIC)

    assert spin_until(node.spinner, lambda: offered() and node.get_publishers_info_by_topic("/CAM_FRONT/camera_info"))
    assert offered()[0].qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert node.get_publishers_info_by_topic("/CAM_FRONT/camera_info")[0].qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert "played" in interrupt(process, times=2)
    assert process.returncode == 0


def test_loops_until_interrupted_twice(node, tmp_path):
    bag = write_bag(tmp_path / "bag", count=2)
    images = listen(node, CompressedImage, IMAGE_TOPIC)
    process = start("bag_player", bag, "--loop", "--rate", 5)
    assert spin_until(node.spinner, lambda: len(images) >= 5)
    said = interrupt(process, times=2)
    assert process.returncode == 0 and "Traceback" not in said, said
    assert [stamp_of(message) for message in images[-3:]] in ([STAMPS[0], STAMPS[1], STAMPS[0]], [STAMPS[1], STAMPS[0], STAMPS[1]])


def test_waits_for_each_answer_however_slow(node, tmp_path):
    """A consumer that takes longer than the images' spacing still sees all of them, one at a time."""
    bag = write_bag(tmp_path / "bag", count=4)
    answers = node.create_publisher(Image, "/answer", 5)
    open_questions, most = [], []
    node.create_subscription(
        CompressedImage, IMAGE_TOPIC, lambda message: (open_questions.append(message), most.append(len(open_questions))), 1
    )

    def answer():
        if open_questions:
            reply = Image()
            reply.header = open_questions.pop(0).header
            answers.publish(reply)

    node.create_timer(0.2, answer)
    process = start("bag_player", bag, "--wait-for-output", "/answer", "--wait-for-subscribers", 10, "--report", tmp_path / "report.json")
    listen(node, CameraInfo, "/CAM_FRONT/camera_info")  # or the player would wait for somebody who wants it
    said = finish(node, process)
    assert process.returncode == 0, said
    assert most == [1, 1, 1, 1]
    output = json.loads((tmp_path / "report.json").read_text())["outputs"]["/answer"]
    assert (output["answered"], output["missing"], output["input"]) == (4, 0, IMAGE_TOPIC)
    assert len(output["latency_ms"]) == 4 and min(output["latency_ms"]) > 0


def test_an_image_to_be_answered_waits_for_somebody_who_hears_it(node, tmp_path):
    bag = write_bag(tmp_path / "bag", count=2)
    answers = node.create_publisher(Image, "/answer", 5)
    process = start("bag_player", bag, "--wait-for-output", "/answer", "--report", tmp_path / "report.json")
    # The player is ready and nobody has subscribed to its images yet.
    assert spin_until(node.spinner, lambda: answers.get_subscription_count() and node.count_publishers(IMAGE_TOPIC))
    node.create_subscription(CompressedImage, IMAGE_TOPIC, lambda image: answers.publish(Image(header=image.header)), 1)
    said = finish(node, process)
    assert process.returncode == 0, said
    assert json.loads((tmp_path / "report.json").read_text())["outputs"]["/answer"]["answered"] == 2


def test_missing_answers_are_named_and_end_the_playing(node, tmp_path):
    bag = write_bag(tmp_path / "bag", count=6)
    publisher = node.create_publisher(Image, "/answer", 5)
    wrong = Image()
    wrong.header.stamp = Time(sec=1)
    node.create_subscription(CompressedImage, IMAGE_TOPIC, lambda _: publisher.publish(wrong), 1)
    process = start("bag_player", bag, "--wait-for-output", f"{IMAGE_TOPIC}:=/answer", "--output-timeout", 2, "--wait-for-subscribers", 20)
    listen(node, CameraInfo, "/CAM_FRONT/camera_info")  # or the player would wait for somebody who wants it
    said = finish(node, process)
    assert process.returncode == 1
    assert f"nothing stamped {START // 10**9}.000000000 came on /answer within 2 s of the image on {IMAGE_TOPIC}" in said
    assert "in a row: is the node active" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--topics", "/nothing"], "no messages on /nothing; it holds /CAM_BACK/camera_info"),
        (["--wait-for-output", "/nothing"], "/nothing: which image does it answer?"),
        (["--wait-for-output", "/x:=/nothing"], "/x is no image topic of this bag"),
        (["--wait-for-output", "/CAM_BACK/image_rect_compressed:=/nothing", "--output-timeout", "0.5"], "nobody publishes /nothing"),
        (["--rate", "0"], "must be positive"),
        (["--rate", "inf"], "inf: it must be positive and finite"),
        (["--remap", "/x"], "write A:=B"),
    ],
)
def test_what_cannot_be_played_is_said(node, tmp_path, arguments, problem):
    process = start("bag_player", write_bag(tmp_path / "bag", cameras=("CAM_FRONT", "CAM_BACK"), count=1), *arguments)
    said = process.communicate(timeout=30)[0]
    assert process.returncode != 0
    assert problem in said
    assert "Traceback" not in said


def test_a_damaged_bag_is_named(node, tmp_path):
    (tmp_path / "empty.mcap").touch()
    process = start("bag_player", tmp_path / "empty.mcap")
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "empty.mcap" in said and "Traceback" not in said


def test_stamps_are_read_from_bytes_of_either_order():
    assert header_stamp(b"\0\1\0\0" + (5).to_bytes(4, "little") + (7).to_bytes(4, "little")) == Stamp(5, 7)
    assert header_stamp(b"\0\0\0\0" + (5).to_bytes(4, "big") + (7).to_bytes(4, "big")).total() == 5_000_000_007
    with pytest.raises(ValueError, match="12 bytes"):
        header_stamp(b"\0\1\0\0")


def test_of_a_topic_with_two_types_one_is_played(node, tmp_path):
    bag = write_bag(tmp_path / "bag", count=3, mixed=True)
    with BagReader(bag) as reader:
        types = [connection.message_type for connection in reader.connections if connection.topic == IMAGE_TOPIC]
    assert types == [CAMERA_INFO_TYPE, "sensor_msgs/msg/CompressedImage"]
    infos = listen(node, CameraInfo, IMAGE_TOPIC)
    report = tmp_path / "report.json"
    said = finish(node, start("bag_player", bag, "--topics", IMAGE_TOPIC, "--wait-for-subscribers", 10, "--report", report))
    played = json.loads(report.read_text())
    assert played["topics"] == {IMAGE_TOPIC: {"type": CAMERA_INFO_TYPE, "messages": 3}}, said
    assert [stamp_of(info) for info in infos] == STAMPS[:3] and "the topic also carries" in played["skipped"][IMAGE_TOPIC]


def test_an_image_too_short_for_a_stamp_is_skipped_and_counted(node, tmp_path):
    bag, report = write_bag(tmp_path / "bag", count=3, info=False, short=True), tmp_path / "report.json"
    answers = node.create_publisher(CompressedImage, "/answer", 10)
    node.create_subscription(CompressedImage, IMAGE_TOPIC, answers.publish, 10)
    process = start("bag_player", bag, "--wait-for-output", "/answer", "--output-timeout", 20, "--report", report)
    said = finish(node, process)
    assert process.returncode == 0 and "Traceback" not in said, said
    assert "a message with a header has at least 12 bytes, this one 4" in said
    played = json.loads(report.read_text())
    assert played["too_short"] == {IMAGE_TOPIC: 1} and played["outputs"]["/answer"]["answered"] == 2


def test_own_arguments_apart_from_those_of_ros():
    own, ros = split_ros_arguments(["bag", "--remap", "/a:=/b", "--ros-args", "-r", "__ns:=/x", "--", "--loop", "--ros-args", "-p", "y:=1"])
    assert own == ["bag", "--remap", "/a:=/b", "--loop"]
    assert ros == ["--ros-args", "-r", "__ns:=/x", "--ros-args", "-p", "y:=1"]


def test_types_by_name():
    assert message_class("sensor_msgs/msg/Image") is Image
    assert has_header(Image) and not has_header(Clock)
    with pytest.raises(UnknownMessageTypeError, match=r"apt install ros-.*-nobody-msgs"):
        message_class("nobody_msgs/msg/Nothing")


def test_publishers_that_differ_are_met_by_the_defaults():
    one, two = OfferedQos("best_effort", "volatile", "keep_last", 3), OfferedQos("reliable", "volatile", "keep_last", 5)
    alone = recorded_profile(BagConnection("/a", "x", 1, (one,)))
    assert (alone.reliability, alone.depth) == (ReliabilityPolicy.BEST_EFFORT, 3)
    both = recorded_profile(BagConnection("/a", "x", 1, (one, two)))
    assert (both.reliability, both.depth) == (ReliabilityPolicy.RELIABLE, 10)
    assert recorded_profile(BagConnection("/tf_static", "x", 1)).durability == rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL


def test_latecomers_get_every_static_transform():
    latched = OfferedQos("reliable", "transient_local", "keep_last", 1)
    assert recorded_profile(BagConnection("/tf_static", "x", 23, (latched, latched))).depth == 23
    assert recorded_profile(BagConnection("/map", "x", 23, (latched,))).depth == 1


def test_a_name_that_ros_2_refuses_is_skipped_and_can_be_remapped(node, tmp_path):
    bag = write_bag(tmp_path / "bag", cameras=("stereo/0", "CAM_FRONT"), count=1)
    process = start("bag_player", bag)
    said = finish(node, process)
    assert process.returncode == 0 and "Traceback" not in said, said
    assert "/stereo/0/image_rect_compressed is skipped: ROS 2 has no topics of such a name" in said
    images = listen(node, CompressedImage, "/left")
    process = start(
        "bag_player", bag, "--remap", "/stereo/0/image_rect_compressed:=/left", "--wait-for-subscribers", 10, "--heard", "/left"
    )
    said = finish(node, process)
    assert len(images) == 1, said


def test_only_those_who_are_to_hear_are_waited_for(node, tmp_path):
    bag = write_bag(tmp_path / "bag", cameras=("CAM_FRONT", "CAM_BACK"), count=1)
    images = listen(node, CompressedImage, IMAGE_TOPIC)
    process = start("bag_player", bag, "--wait-for-subscribers", 60, "--heard", IMAGE_TOPIC, "/CAM_LEFT/camera_info")
    said = finish(node, process)  # within 30 s
    assert process.returncode == 0 and len(images) == 1, said


def test_who_is_waited_for_is_said(node, tmp_path):
    process = start("bag_player", write_bag(tmp_path / "bag", count=1), "--wait-for-subscribers", 4)
    said = finish(node, process)
    assert f"waiting up to 4 s for subscribers of /CAM_FRONT/camera_info, {IMAGE_TOPIC}" in said
    assert "playing all the same" in said


def test_the_clock_stands_still_while_paused():
    seconds = [100.0]
    clock = PlaybackClock(START, rate=2.0, steady=lambda: seconds[0])
    seconds[0] += 1
    assert clock.now() == START + 2 * 10**9
    clock.pause()
    seconds[0] += 50
    assert clock.now() == START + 2 * 10**9
    clock.resume()
    assert clock.seconds_until(START + 3 * 10**9) == pytest.approx(0.5)
    seconds[0] += 1
    assert clock.now() == START + 4 * 10**9
    with pytest.raises(ValueError, match="positive"):
        PlaybackClock(START, rate=0)
    with pytest.raises(ValueError, match="finite"):
        PlaybackClock(START, rate=float("inf"))
