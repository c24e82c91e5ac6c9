# SPDX-License-Identifier: Apache-2.0
"""What our processes share: their own arguments apart from ROS's, and Ctrl-C as an event."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence


def helped(arguments: Sequence[str] | None, text: str) -> bool:
    """Whether -h or --help stands among a program's own arguments (None: those of sys.argv); then `text` has been printed."""
    own, _ = split_ros_arguments(sys.argv if arguments is None else arguments)
    if not {"-h", "--help"} & set(own):
        return False
    sys.stdout.write(text + "\n")
    return True


def split_ros_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(own, ROS's) arguments: what stands between `--ros-args` and `--` (or the end) is ROS's.

    rclpy.utilities.remove_ros_args also swallows every `a:=b` elsewhere, ROS's old spelling of remappings.
    """
    own: list[str] = []
    ros: list[str] = []
    inside = False
    for argument in arguments:
        if argument == "--ros-args":
            inside = True
        elif inside and argument == "--":
            inside = False
            continue
        (ros if inside else own).append(argument)
    return own, ros


@contextlib.contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, also when they come twice (from the terminal and from launch): files get closed, exit code 0.

    Only in the main thread. rclpy must have been initialised with SignalHandlerOptions.NO.
    """
    event = threading.Event()
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
