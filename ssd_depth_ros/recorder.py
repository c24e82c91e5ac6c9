# SPDX-License-Identifier: Apache-2.0
"""Records topics into a bag that appears whole or not at all, and copies topics over from the recording that was played."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.signals import SignalHandlerOptions

from ssd_core.data.bag import BagConnection, BagError, BagMessage, BagReader
from ssd_core.data.writers.bag import BagWriter, Durability, reliable_qos
from ssd_core.data.writers.messages import TYPESTORE
from ssd_core.storage.atomic_write import atomic_write_text
from ssd_depth_ros.process import split_ros_arguments, stop_signal
from ssd_depth_ros.raw_topics import UnknownMessageTypeError, has_header, header_stamp, message_class, subscribe_raw
from ssd_depth_ros.subscriptions import AdaptiveSubscription

_TICK_SECONDS = 0.1
_SILENCE_SECONDS = 0.4
_DRAIN_SECONDS = 5.0
_NEVER = 2**63 - 1


class SourceCopy:
    """Topics of another bag, written in between what is recorded, so that the new bag is in order of time."""

    def __init__(self, source: BagReader, topics: Sequence[str], writer: BagWriter, warn: Callable[[str], object] = lambda _: None) -> None:
        """Announce the topics; raises BagError naming those the source doesn't have, and for one damaged from the beginning.

        `skipped`: topic -> why it, or one of its types, can't be copied. `damage`: what ended the copying early, also given to `warn`.
        """
        missing = [topic for topic in topics if source.connection(topic) is None]
        if missing:
            raise BagError(f"{source.path}: no topic {', '.join(missing)} to copy")
        self.skipped: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.damage: str | None = None
        self._writer = writer
        self._warn = warn
        self._types: dict[str, str] = {}
        for topic in dict.fromkeys(topics):
            carried = [connection for connection in source.connections if connection.topic == topic]
            # A publisher that never spoke mustn't take the topic from one of another type that did.
            for connection in [connection for connection in carried if connection.count] or carried[:1]:
                self._announce(connection)
        messages = source.messages(self._types)
        self._messages: Iterator[BagMessage] = (message for message in messages if message.message_type == self._types[message.topic])
        self._next = next(self._messages, None)

    def _announce(self, connection: BagConnection) -> None:
        topic, message_type = connection.topic, connection.message_type
        if message_type not in TYPESTORE.fielddefs or connection.serialization != "cdr":
            self.skipped[topic] = f"no definition of {message_type} at hand"
        elif topic in self._types:
            self.skipped[topic] = f"{message_type}: the topic also carries {self._types[topic]}"
        else:
            latched = topic.endswith("tf_static") or any(qos.durability == "transient_local" for qos in connection.offered_qos)
            self._writer.add_topic(topic, message_type, reliable_qos(durability=Durability.LATCHED if latched else Durability.VOLATILE))
            self._types[topic] = message_type

    def advance(self, stamp: int) -> None:
        """Write everything up to this time, nanoseconds; where the source turns out damaged, copying ends (see `damage`)."""
        while self._next is not None and self._next.bag_time_ns <= stamp:
            self._writer.write_raw(self._next.topic, self._next.bag_time_ns, self._next.data)
            self.counts[self._next.topic] += 1
            try:
                self._next = next(self._messages, None)
            except BagError as error:
                # What is recorded live can't be had again, so it outlives its source.
                self._next = None
                self.damage = str(error)
                self._warn(f"nothing more is copied, recording goes on: {error}")

    def finish(self) -> None:
        """Write the rest."""
        self.advance(_NEVER)


class Recorder(Node):
    """Subscribes to each topic as soon as somebody publishes it, whatever its type and quality of service.

    A message's time in the bag is its header's stamp, so that a depth image stands beside the image it was made from; without a header
    (or with an empty stamp) it is the node's time: /clock with use_sim_time.
    """

    def __init__(self, writer: BagWriter, topics: Sequence[str], copy: SourceCopy | None) -> None:
        super().__init__("recorder", start_parameter_services=False)
        self._writer = writer
        self._copy = copy
        self._subscriptions_by_topic: dict[str, AdaptiveSubscription] = {}
        self._wanted = [self.resolve_topic_name(topic) for topic in dict.fromkeys(topics)]
        self.counts: Counter[str] = Counter()
        self.too_short: Counter[str] = Counter()
        self.last_arrival = time.monotonic()
        self._warned: set[str] = set()

    def look(self) -> None:
        """Subscribe to what is published by now."""
        waiting = [topic for topic in self._wanted if topic not in self._subscriptions_by_topic and topic not in self._warned]
        for topic in waiting:
            publishers = self.get_publishers_info_by_topic(topic)
            if publishers:
                latched = all(publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for publisher in publishers)
                self._subscribe(topic, publishers[0].topic_type, latched)

    def _subscribe(self, topic: str, type_name: str, latched: bool) -> None:
        if type_name not in TYPESTORE.fielddefs:
            self._warn_once(topic, f"{topic} isn't recorded: no definition of {type_name} at hand")
            return
        try:
            headed = has_header(message_class(type_name))
            self._writer.add_topic(topic, type_name, reliable_qos(durability=Durability.LATCHED if latched else Durability.VOLATILE))
            self._subscriptions_by_topic[topic] = subscribe_raw(
                self, topic, type_name, lambda raw: self._on_message(topic, raw, headed), transient_local=latched
            )
        except UnknownMessageTypeError as error:
            self._warn_once(topic, f"{topic} isn't recorded: {error}")

    def _on_message(self, topic: str, raw: bytes, headed: bool) -> None:
        try:
            stamp = (header_stamp(raw).total() if headed else 0) or self.get_clock().now().nanoseconds
        except ValueError as error:
            self._warn_once(topic, f"{topic}: {error}; such messages aren't recorded")
            self.too_short[topic] += 1
            return
        if not stamp:
            return  # simulated time that hasn't begun: a message of 1970 would stretch the bag by decades
        if self._copy is not None:
            self._copy.advance(stamp)
        self._writer.write_raw(topic, stamp, raw)
        self.counts[topic] += 1
        self.last_arrival = time.monotonic()

    def _warn_once(self, topic: str, text: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            self.get_logger().warning(text)

    def record(self, stopped: threading.Event) -> None:
        """Record until stopped, and then what is still on its way."""
        spinner = SingleThreadedExecutor(context=self.context)
        spinner.add_node(self)
        next_look = 0.0
        while not stopped.is_set():
            if time.monotonic() >= next_look:
                self.look()
                next_look = time.monotonic() + _TICK_SECONDS
            spinner.spin_once(timeout_sec=_TICK_SECONDS)
        end = time.monotonic() + _DRAIN_SECONDS
        self.last_arrival = max(self.last_arrival, time.monotonic())
        while time.monotonic() < min(end, self.last_arrival + _SILENCE_SECONDS):
            spinner.spin_once(timeout_sec=_TICK_SECONDS)

    def unheard(self) -> list[str]:
        """Topics nobody ever published a message on."""
        return [topic for topic in self._wanted if not (self.counts[topic] or self.too_short[topic])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; ends the process with 0, or 1 after an error or a copy that a damaged source cut short (the bag is kept)."""
    raise SystemExit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: Sequence[str]) -> int:
    own, ros = split_ros_arguments(arguments)
    parser = _parser()
    parsed = parser.parse_args(own)
    if bool(parsed.copy) != (parsed.copy_from is not None):
        parser.error("--copy and --copy-from belong together")
    with contextlib.ExitStack() as stack:
        rclpy.init(args=ros, signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        stopped = stack.enter_context(stop_signal())
        logger = rclpy.logging.get_logger("recorder")
        try:
            report = _record(parsed, stopped, logger)
        except (BagError, ValueError, OSError) as error:
            logger.error(str(error))
            return 1
        if parsed.report is not None:
            atomic_write_text(parsed.report, json.dumps(report, indent=1) + "\n")
    return 1 if report["damage"] else 0


def _record(parsed: argparse.Namespace, stopped: threading.Event, logger: Any) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(BagWriter(parsed.out, sources=[parsed.copy_from] if parsed.copy else []))
        copy = None
        if parsed.copy:
            source = stack.enter_context(BagReader(parsed.copy_from))
            copy = SourceCopy(source, parsed.copy, writer, logger.warning)
            for topic, why in copy.skipped.items():
                logger.warning(f"{topic} isn't copied: {why}")
        recorder = Recorder(writer, parsed.topics, copy)
        stack.callback(recorder.destroy_node)
        recorder.record(stopped)
        if copy is not None:
            copy.finish()
    recorded, copied = dict(recorder.counts), dict(copy.counts) if copy else {}
    logger.info(f"{parsed.out}: {sum(recorded.values())} messages recorded, {sum(copied.values())} copied")
    for topic, count in recorder.too_short.items():
        logger.warning(f"{topic}: {count} messages too short for a header weren't recorded")
    for topic in recorder.unheard():
        logger.warning(f"{topic}: nothing was published")
    return {
        "bag": str(parsed.out),
        "recorded": recorded,
        "copied": copied,
        "damage": copy.damage if copy else None,
        "too_short": dict(recorder.too_short),
        "unheard": recorder.unheard(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__, allow_abbrev=False)
    parser.add_argument("out", type=Path, help="bag to write: X.mcap, X.db3, or a folder X; it appears when recording ends (Ctrl-C)")
    parser.add_argument("topics", nargs="+", metavar="TOPIC", help="topics to record")
    parser.add_argument("--copy-from", type=Path, metavar="BAG", help="the recording that is being played")
    parser.add_argument("--copy", nargs="+", default=[], metavar="TOPIC", help="topics to copy over from it, as recorded (/tf, /tf_static)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the numbers of messages as JSON")
    return parser


if __name__ == "__main__":
    main()
