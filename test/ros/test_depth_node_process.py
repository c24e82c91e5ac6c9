# SPDX-License-Identifier: Apache-2.0
"""The depth node as a process of its own: it starts, and ends cleanly however often it is told to."""

import importlib.util
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros
if importlib.util.find_spec("rclpy") is None:
    pytest.skip("rclpy isn't installed (extra [ros], or a sourced ROS)", allow_module_level=True)

ROOT = Path(__file__).parents[2]


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_node_outlives_its_test() -> Iterator[None]:
    """One that hangs would answer the pictures of later tests."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()


class Process:
    """python -m ssd_depth_ros.depth_node; its output is read line by line."""

    def __init__(self, *parameters: str, code: str = "") -> None:
        arguments = [item for parameter in parameters for item in ("-p", parameter)]
        program = ["-c", code] if code else ["-m", "ssd_depth_ros.depth_node"]
        command = [sys.executable, *program, "--ros-args", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        STARTED.append(self.process)
        self.lines: queue.Queue[str] = queue.Queue()
        self.output = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.output += line
            self.lines.put(line)

    def wait_for_line(self, text: str, timeout: float = 60) -> str:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                line = self.lines.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None:
                    break
                continue
            if text in line:
                return line
        pytest.fail(f"{text!r} wasn't said; the output was:\n{self.output}")


def test_two_interrupts_end_it_with_exit_code_0() -> None:
    node = Process("backend:=torch", "model:=no/such/folder", 'cameras:=["a", "b"]')
    node.wait_for_line("can't configure")  # it stays alive, for other parameters
    node.process.send_signal(signal.SIGINT)
    node.process.send_signal(signal.SIGINT)
    assert node.process.wait(15) == 0, node.output
    assert "Traceback" not in node.output


def test_interrupt_while_active() -> None:
    node = Process("backend:=torch", "model:=bundled", "input_size:=[56, 42]")
    node.wait_for_line("ssd_depth]: model ")
    node.process.send_signal(signal.SIGINT)
    time.sleep(0.05)  # the second one shall hit the shutdown itself
    if node.process.poll() is None:
        node.process.send_signal(signal.SIGINT)
    assert node.process.wait(15) == 0, node.output
    assert "Traceback" not in node.output


WORKER_THAT_BUILDS_A_NETWORK = """
import time
from ssd_depth_ros import depth_node
depth_node.SHUTDOWN_PATIENCE = 0.5
depth_node.DepthWorker.stop = lambda _: time.sleep(60)
depth_node.main()
"""


def test_interrupt_does_not_wait_for_a_network_that_is_being_built() -> None:
    node = Process("backend:=torch", "model:=bundled", "input_size:=[56, 42]", code=WORKER_THAT_BUILDS_A_NETWORK)
    node.wait_for_line("ssd_depth]: model ")
    node.process.send_signal(signal.SIGINT)
    assert node.process.wait(15) == 0, node.output


def test_wrong_parameters_end_it_with_one_line() -> None:
    node = Process("cloud_stride:=0")
    assert node.process.wait(30) == 1
    node.wait_for_line("cloud_stride", timeout=5)
    assert "Traceback" not in node.output, node.output
