# SPDX-License-Identifier: Apache-2.0
"""Plays a recording into ROS 2 without ROS's own tools: raw messages, /clock, and on wish in step with what answers them."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from ssd_core.data.bag import BagError, BagMessage, BagReader
from ssd_core.storage.atomic_write import atomic_write_text
from ssd_depth_ros.playback_clock import PlaybackClock, parse_rate
from ssd_depth_ros.process import split_ros_arguments, stop_signal
from ssd_depth_ros.raw_topics import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPES,
    Stamp,
    UnknownMessageTypeError,
    header_stamp,
    message_class,
    recorded_profile,
    subscribe_raw,
)
from ssd_depth_ros.subscriptions import AdaptiveSubscription

_TICK_SECONDS = 0.1
_LEAVE_SECONDS = 3.0
_TIMEOUTS_IN_A_ROW = 3
_SILENT_SECONDS = 2.0
"""Of waiting for subscribers, before it is said whom the player waits for."""


class PlaybackError(RuntimeError):
    """Something that ends the playing; the message says what to do."""


@dataclass(frozen=True)
class PlayerOptions:
    """What to play and how; topics are the recorded names, `outputs` maps a published image topic to what must answer it.

    subscribers_timeout: seconds to wait for subscribers of `heard` (published names; those that the bag lacks don't count), or of all
    images and CameraInfos.
    """

    rate: float = 1.0
    loop: bool = False
    topics: tuple[str, ...] = ()
    remap: dict[str, str] = field(default_factory=dict)
    clock_hz: float | None = None
    subscribers_timeout: float | None = None
    heard: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    output_timeout: float = 30.0


@dataclass
class Answers:
    """One output topic: the latencies of its answers, and how many never came."""

    topic: str
    input: str
    latencies: list[float] = field(default_factory=list)
    missing: int = 0


@dataclass
class _Waiting:
    """The newest image of an input topic and the outputs that haven't answered it yet."""

    stamp: Stamp
    published: float
    outputs: set[str]


class BagPlayer(Node):
    """Publishes the messages of one bag; `play()` returns when it is through or the event is set."""

    def __init__(self, bag: BagReader, options: PlayerOptions, stopped: threading.Event) -> None:
        super().__init__("bag_player", start_parameter_services=False)
        self._bag = bag
        self._options = options
        self._spinner = SingleThreadedExecutor(context=self.context)
        self._spinner.add_node(self)
        self._stopped = stopped
        self.counts: Counter[str] = Counter()
        self.types: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.too_short: Counter[str] = Counter()
        self._publishers_by_topic = self._create_publishers()
        self.answers = self._plan_answers()
        self._answer_subscriptions: list[AdaptiveSubscription] = []
        self._waiting: dict[str, _Waiting] = {}
        self._timeouts_in_a_row = 0
        self._playback: PlaybackClock | None = None
        self._next_tick = 0.0
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._clock_publisher = self.create_publisher(Clock, "/clock", profile) if options.clock_hz else None

    # -- setting up

    def _create_publishers(self) -> dict[str, Any]:
        """Publishers by recorded topic. Raises PlaybackError if nothing of what was asked for can be played."""
        options = self._options
        recorded = [connection for connection in self._bag.connections if connection.count]
        missing = set(options.topics) - {connection.topic for connection in recorded}
        if missing:
            held = ", ".join(connection.topic for connection in recorded)
            raise PlaybackError(f"{self._bag.path}: no messages on {', '.join(sorted(missing))}; it holds {held or 'nothing'}")
        publishers: dict[str, Any] = {}
        for connection in recorded:
            topic = connection.topic
            if (options.topics and topic not in options.topics) or (topic == "/clock" and options.clock_hz):
                continue
            try:
                if connection.serialization != "cdr":
                    raise UnknownMessageTypeError(f"{connection.message_type} is stored as {connection.serialization}, ROS 2 speaks CDR")
                if topic in publishers:
                    raise UnknownMessageTypeError(f"{connection.message_type}: the topic also carries {self.types[topic]}")
                message_type = message_class(connection.message_type)
            except UnknownMessageTypeError as error:
                self.skipped[topic] = str(error)
                self.get_logger().warning(f"{topic} is skipped: {error}")
                continue
            profile = recorded_profile(connection)
            if options.outputs and connection.message_type in IMAGE_TYPES:
                profile.reliability = ReliabilityPolicy.RELIABLE  # who waits for each answer can't lose the question
            try:
                publishers[topic] = self.create_publisher(message_type, self._published(topic), profile)
            except InvalidTopicNameException:
                self.skipped[topic] = f"ROS 2 has no topics of such a name; give it another: --remap {topic}:=/NAME"
                self.get_logger().warning(f"{topic} is skipped: {self.skipped[topic]}")
                continue
            self.types[topic] = connection.message_type
        if not publishers:
            raise PlaybackError(f"{self._bag.path}: nothing to play" + "".join(f"; {why}" for why in self.skipped.values()))
        return publishers

    def _published(self, topic: str) -> str:
        return self._options.remap.get(topic, topic)

    def _topics_of(self, *types: str) -> list[str]:
        return [topic for topic in self._publishers_by_topic if self.types[topic] in types]

    def _plan_answers(self) -> list[Answers]:
        """Which output answers which input. Raises PlaybackError where that isn't clear."""
        images = {self._published(topic) for topic in self._topics_of(*IMAGE_TYPES)}
        planned = []
        for text in self._options.outputs:
            source, separator, output = text.partition(":=")
            if not separator:
                source, output = next(iter(images), ""), text
                if len(images) != 1:
                    raise PlaybackError(
                        f"{output}: which image does it answer? Write IMAGE:={output}; played: {', '.join(sorted(images)) or 'none'}"
                    )
            elif source not in images:
                raise PlaybackError(f"{text}: {source} is no image topic of this bag; played: {', '.join(sorted(images)) or 'none'}")
            planned.append(Answers(output, source))
        return planned

    # -- playing

    def play(self) -> float:
        """Play the bag (again and again with `loop`) and return the seconds it took.

        Raises PlaybackError if outputs stay away, BagError where the bag is damaged.
        """
        self._wait_for_partners()
        began = time.monotonic()
        while not self._stopped.is_set():
            for message in self._bag.messages(self._publishers_by_topic):
                if message.message_type != self.types[message.topic]:
                    continue  # another type on the same topic: its bytes mean nothing to this publisher's subscribers
                self._wait_until_due(message.bag_time_ns)
                self._wait_for_answers(self._published(message.topic))
                if self._stopped.is_set():
                    break
                self._publish(message)
            for topic in list(self._waiting):
                self._wait_for_answers(topic)
            self._playback = None
            if not self._options.loop:
                break
        self._hand_over()
        return time.monotonic() - began

    def _hand_over(self) -> None:
        """Wait until reliable subscribers have what is on its way: leaving earlier would take it along."""
        deadline = time.monotonic() + _LEAVE_SECONDS
        for publisher in self._publishers_by_topic.values():
            seconds = deadline - time.monotonic()
            if self._stopped.is_set() or seconds <= 0:
                break
            publisher.wait_for_all_acked(Duration(nanoseconds=int(seconds * 1e9)))

    def _publish(self, message: BagMessage) -> None:
        topic = self._published(message.topic)
        outputs = {answers.topic for answers in self.answers if answers.input == topic}
        if outputs and message.message_type in IMAGE_TYPES:
            stamp = self._stamp(topic, message.data)
            if stamp is None:
                return  # nothing can answer it
            self._waiting[topic] = _Waiting(stamp, time.monotonic(), outputs)
        self._publishers_by_topic[message.topic].publish(bytes(message.data))
        self.counts[topic] += 1

    def _stamp(self, topic: str, raw: bytes) -> Stamp | None:
        """header.stamp; None for a message too short to have one, which is counted."""
        try:
            return header_stamp(raw)
        except ValueError as error:
            if not self.too_short[topic]:
                self.get_logger().warning(f"{topic}: {error}; such messages are skipped")
            self.too_short[topic] += 1
            return None

    def _wait_until_due(self, stamp: int) -> None:
        if self._playback is None:
            self._playback = PlaybackClock(stamp, self._options.rate)
        while not self._stopped.is_set() and (seconds := self._playback.seconds_until(stamp)) > 0:
            self._spin(seconds)
        self._spin(0)

    def _wait_for_answers(self, topic: str) -> None:
        """Hold the recording's time until every output has answered the last image of this topic, or the timeout passed."""
        waiting = self._waiting.get(topic)
        if waiting is None:
            return
        if self._playback is not None:
            self._playback.pause()
        timeout = self._options.output_timeout
        while waiting.outputs and not self._stopped.is_set() and time.monotonic() - waiting.published < timeout:
            self._spin(_TICK_SECONDS)
        if self._playback is not None:
            self._playback.resume()
        del self._waiting[topic]
        if self._stopped.is_set():
            return
        self._timeouts_in_a_row = self._timeouts_in_a_row + 1 if waiting.outputs else 0
        if waiting.outputs:
            self._report_missing(topic, waiting)

    def _report_missing(self, topic: str, waiting: _Waiting) -> None:
        for answers in self.answers:
            answers.missing += answers.input == topic and answers.topic in waiting.outputs
        names = ", ".join(sorted(waiting.outputs))
        problem = f"nothing stamped {waiting.stamp} came on {names} within {self._options.output_timeout:g} s of the image on {topic}"
        self.get_logger().error(problem)
        if self._timeouts_in_a_row >= _TIMEOUTS_IN_A_ROW:
            raise PlaybackError(f"{problem}, the {_TIMEOUTS_IN_A_ROW}rd time in a row: is the node active, and does it report a problem?")

    def _on_answer(self, answers: Answers, raw: bytes) -> None:
        waiting = self._waiting.get(answers.input)
        if waiting is not None and answers.topic in waiting.outputs and self._stamp(answers.topic, raw) == waiting.stamp:
            waiting.outputs.discard(answers.topic)
            answers.latencies.append(time.monotonic() - waiting.published)

    # -- waiting for the others

    def _wait_for_partners(self) -> None:
        """Wait for publishers of the outputs, then for subscribers of what the node needs."""
        options = self._options
        publishers_patience = max(options.subscribers_timeout or 0, options.output_timeout)
        for answers in self.answers:
            self._answer_subscriptions.append(self._subscribe(answers, time.monotonic() + publishers_patience))
        patience = options.subscribers_timeout or options.output_timeout
        answered = {answers.input for answers in self.answers}
        wanted = self._topics_of(*IMAGE_TYPES, CAMERA_INFO_TYPE) or list(self._publishers_by_topic)
        if options.subscribers_timeout is None:
            # An image that nobody hears yet can't be answered.
            wanted = [topic for topic in wanted if self._published(topic) in answered]
        elif options.heard:
            wanted = [topic for topic in self._publishers_by_topic if self._published(topic) in options.heard]

        def unheard() -> list[str]:
            return [self._published(topic) for topic in wanted if not self._publishers_by_topic[topic].get_subscription_count()]

        deadline = time.monotonic() + patience
        lonely = self._wait(unheard, min(deadline, time.monotonic() + _SILENT_SECONDS))
        if lonely and not self._stopped.is_set():
            self.get_logger().info(f"waiting up to {patience:g} s for subscribers of {', '.join(lonely)}")
            lonely = self._wait(unheard, deadline)
        if lonely and not self._stopped.is_set():
            problem = f"nobody subscribed to {', '.join(lonely)} within {patience:g} s"
            if set(lonely) & answered:
                raise PlaybackError(f"{problem}: is the node running and active, and do the topic names agree?")
            self.get_logger().warning(f"{problem}; playing all the same")

    def _subscribe(self, answers: Answers, deadline: float) -> AdaptiveSubscription:
        """Subscribe to an output as soon as the graph says what type it has. Raises PlaybackError."""
        topic = self.resolve_topic_name(answers.topic)
        found: dict[str, list[str]] = {}

        def absent() -> bool:
            found.update(self.get_topic_names_and_types())
            return not found.get(topic)

        if self._wait(absent, deadline) or topic not in found:
            raise PlaybackError(f"nobody publishes {topic}: is the node running and active?")
        return subscribe_raw(self, topic, found[topic][0], lambda raw: self._on_answer(answers, raw))

    def _wait(self, absent: Callable[[], Any], deadline: float) -> Any:
        """Spin until `absent()` is empty, the deadline passes or somebody stops us; its last value."""
        while (value := absent()) and not self._stopped.is_set() and time.monotonic() < deadline:
            self._spin(_TICK_SECONDS)
        return value

    def _spin(self, seconds: float) -> None:
        """Serve callbacks for at most this long (and at most until the next tick), and tick the clock."""
        now = time.monotonic()
        if self._clock_publisher is not None and self._playback is not None and now >= self._next_tick:
            stamp = self._playback.now()
            self._clock_publisher.publish(Clock(clock=Time(sec=stamp // 10**9, nanosec=stamp % 10**9)))
            self._next_tick = now + 1 / self._options.clock_hz  # type: ignore[operator]
        limit = max(0.0, self._next_tick - now) if self._clock_publisher is not None else _TICK_SECONDS
        self._spinner.spin_once(timeout_sec=min(seconds, limit, _TICK_SECONDS))

    def report(self, seconds: float) -> dict[str, Any]:
        """What was played, for people and for the demo."""
        return {
            "bag": str(self._bag.path),
            "seconds": seconds,
            "topics": {
                self._published(topic): {"type": self.types[topic], "messages": self.counts[self._published(topic)]} for topic in self.types
            },
            "skipped": self.skipped,
            "too_short": dict(self.too_short),
            "outputs": {
                answers.topic: {
                    "input": answers.input,
                    "answered": len(answers.latencies),
                    "missing": answers.missing,
                    "latency_ms": [round(1e3 * latency, 3) for latency in answers.latencies],
                }
                for answers in self.answers
            },
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; ends the process with 0, or 1 after an error or missing answers."""
    raise SystemExit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: Sequence[str]) -> int:
    own, ros = split_ros_arguments(arguments)
    parsed = _parser().parse_args(own)
    options = _options(parsed)
    with contextlib.ExitStack() as stack:
        rclpy.init(args=ros, signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        logger = rclpy.logging.get_logger("bag_player")
        try:
            stopped = stack.enter_context(stop_signal())
            bag = stack.enter_context(BagReader(parsed.bag))
            player = BagPlayer(bag, options, stopped)
            stack.callback(player.destroy_node)
            seconds = player.play()
        except (BagError, PlaybackError, OSError) as error:
            logger.error(str(error))
            return 1
        for warning in bag.warnings:
            logger.warning(warning)
        report = player.report(seconds)
        _say(report, logger.info)
        if parsed.report is not None:
            atomic_write_text(parsed.report, json.dumps(report, indent=1) + "\n")
        return 1 if any(answers.missing for answers in player.answers) else 0


def _say(report: dict[str, Any], say: Callable[[str], object]) -> None:
    total = sum(topic["messages"] for topic in report["topics"].values())
    say(f"played {total} messages of {report['bag']} in {report['seconds']:.1f} s")
    for topic, values in report["topics"].items():
        say(f"  {values['messages']:6d}  {topic}  {values['type']}")
    for topic, count in report["too_short"].items():
        say(f"  {topic}: {count} skipped, too short for a header")
    for output, values in report["outputs"].items():
        say(f"  {output}: {values['answered']} answers to {values['input']}, {values['missing']} missing")


def _options(parsed: argparse.Namespace) -> PlayerOptions:
    return PlayerOptions(
        rate=parsed.rate,
        loop=parsed.loop,
        topics=tuple(parsed.topics),
        remap=dict(parsed.remap),
        clock_hz=parsed.clock,
        subscribers_timeout=parsed.wait_for_subscribers,
        heard=tuple(parsed.heard),
        outputs=tuple(parsed.wait_for_output),
        output_timeout=parsed.output_timeout,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bag_player", description=__doc__, allow_abbrev=False)
    parser.add_argument("bag", type=Path, help="a ROS 2 bag (folder, .mcap or .db3) or a ROS 1 .bag")
    parser.add_argument("--rate", type=parse_rate, default=1.0, help="how many times faster than recorded")
    parser.add_argument("--loop", action="store_true", help="begin again at the end; /clock jumps back")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="play only these (names as recorded)")
    parser.add_argument("--remap", nargs="+", default=[], type=_remapping, metavar="A:=B", help="publish A as B")
    parser.add_argument("--clock", nargs="?", type=parse_rate, const=100.0, metavar="HZ", help="publish /clock (100 Hz), for use_sim_time")
    parser.add_argument(
        "--wait-for-subscribers",
        type=_positive,
        metavar="SECONDS",
        help="wait at most this long until every image and CameraInfo topic has a subscriber (images with outputs to wait for: always)",
    )
    parser.add_argument(
        "--heard", nargs="+", default=[], metavar="TOPIC", help="wait for subscribers of these only (published names; others don't count)"
    )
    parser.add_argument(
        "--wait-for-output",
        nargs="+",
        default=[],
        metavar="[IMAGE:=]TOPIC",
        help="hold an image (published name) back until each of its outputs has answered the one before with the same stamp",
    )
    parser.add_argument("--output-timeout", type=_positive, default=30.0, metavar="SECONDS", help="how long to wait for an output")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was played and how fast it was answered as JSON")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}: it must be positive")
    return value


def _remapping(text: str) -> tuple[str, str]:
    source, separator, target = text.partition(":=")
    if not (separator and source and target):
        raise argparse.ArgumentTypeError(f"{text}: write A:=B")
    return source, target


if __name__ == "__main__":
    main()
