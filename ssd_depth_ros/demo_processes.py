# SPDX-License-Identifier: Apache-2.0
"""The demo's processes (node, player, recorder) and its view of the ROS graph."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from ssd_depth_ros.installed import installed_folder

_STOP_SECONDS = 20.0
_SEGMENT_BYTES = 64 * 2**20
_PARTICIPANTS = 5
_PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


class DemoError(RuntimeError):
    """A run that can't go on; the message says why, with the last lines of the process concerned."""


def isolate() -> None:
    """Give this process and its children a ROS domain of their own on this machine, and shared memory for large messages."""
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"  # the older word for the same
    if any(os.environ.get(name) for name in _PROFILE_VARIABLES):
        return
    with contextlib.suppress(OSError):
        if shutil.disk_usage("/dev/shm").free > _PARTICIPANTS * _SEGMENT_BYTES:
            old = os.environ.get("ROS_DISTRO") in ("humble", "iron")
            os.environ[_PROFILE_VARIABLES[old]] = str(installed_folder("config") / "fastdds.xml")


class Process:
    """One of our modules as a process of its own, with the whole environment, its words in a file; ends with the `with` block."""

    def __init__(self, module: str, arguments: Sequence[object], log: Path) -> None:
        self.name = module
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", f"ssd_depth_ros.{module}", *map(str, arguments)]
        with log.open("wb") as file:
            # A session of its own: Ctrl-C comes to the demo, which ends its children in order.
            self._process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """SIGINT, and SIGKILL if that doesn't help; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def wait(self) -> int:
        """Until it ends by itself; the exit code."""
        return self._process.wait()

    def failure(self) -> str:
        """What to tell the user if it ended badly."""
        lines = self.log.read_text(errors="replace").splitlines()
        return f"{self.name} ended with code {self._process.poll()} (all it said: {self.log}):\n  " + "\n  ".join(lines[-8:])


class Watch:
    """The demo's own node, one for each run: sees when the others are ready, and hears the depth node's diagnostics."""

    def __init__(self) -> None:
        self.model: dict[str, str] = {}
        self._problem = ""

    def __enter__(self) -> Watch:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("demo", start_parameter_services=False)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._spinner = SingleThreadedExecutor()
        self._spinner.add_node(self._node)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._spinner.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def wait_until_active(self, process: Process, seconds: float) -> None:
        """Until the depth node has loaded its network. Raises DemoError if it fails or takes longer."""
        self._wait(lambda: bool(self._problem) or self.model.get("state") == "active", process, seconds, "load its model")
        if self._problem:
            raise DemoError(f"the depth node {self._problem}")

    def outputs(self, camera: str, process: Process, seconds: float) -> dict[str, str]:
        """Topics that the node publishes for a camera, by role: depth, info, preview, and cloud with a metric model.

        Waits until the graph shows all of them. Raises DemoError.
        """
        roles = set(_OUTPUTS) - (set() if self.model.get("kind") == "metric" else {"cloud"})
        found: dict[str, str] = {}

        def complete() -> bool:
            published = {name for name, _ in self._node.get_topic_names_and_types()}
            for role in roles:
                found.update((role, topic) for ending in _OUTPUTS[role] if (topic := f"/{camera}/{ending}") in published)
            return found.keys() == roles

        self._wait(complete, process, seconds, f"publish {', '.join(sorted(roles))} of {camera}")
        return found

    def wait_for_subscribers(self, topics: Sequence[str], process: Process, seconds: float) -> None:
        """Until every topic has a subscriber. Raises DemoError."""
        self._wait(lambda: all(self._node.count_subscribers(topic) for topic in topics), process, seconds, "subscribe")

    def wait_for_end(self, process: Process, others: Sequence[Process]) -> int:
        """Until a process ends, its exit code. Raises DemoError if one of the others ends before."""
        while process.exit_code is None:
            self._spinner.spin_once(timeout_sec=0.1)
            for other in others:
                if other.exit_code is not None:
                    raise DemoError(other.failure())
        return process.wait()

    def _wait(self, done: Callable[[], bool], process: Process, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            self._spinner.spin_once(timeout_sec=0.1)
            if process.exit_code is not None:
                raise DemoError(process.failure())
            if time.monotonic() > deadline:
                raise DemoError(f"{process.name} took longer than {seconds:g} s to {what}; all it said: {process.log}")

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if status.name.endswith(": model"):
                self.model = values
                if status.level == DiagnosticStatus.ERROR:
                    self._problem = status.message


_OUTPUTS = {
    "depth": ("depth/image_rect", "depth/image_raw", "inverse_depth/image"),
    "info": ("depth/camera_info", "inverse_depth/camera_info"),
    "cloud": ("depth/points",),
    "preview": ("depth/preview/compressed",),
}
