# SPDX-License-Identifier: Apache-2.0
"""The node beside the network: arithmetic of one 1600x900 frame, messages to a subscriber in another process, a slow network for minutes.

Run by hand: ``python bench/bench_node.py --minutes 5 --out results.json``. Numbers are medians; use a quiet machine.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rich.console import Console
from rich.table import Table
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.point_cloud import CloudGrid
from ssd_core.images.codec import decode_image, encode_jpeg
from ssd_core.images.resize import cover_size, resize_image
from ssd_core.runtime.estimator import DepthMap
from ssd_depth_ros.depth_node import DepthNode
from ssd_depth_ros.messages import camera_info_message

ROOT = Path(__file__).parents[1]
SIZE = (1600, 900)
NETWORK = (574, 322)
CAMERA = PinholeCamera(*SIZE, 1266, 1266, 816, 491)
LENS = PinholeCamera(*SIZE, 1266, 1266, 816, 491, "plumb_bob", (-0.05, 0.01, 0.0005, -0.0003, 0.0))
console = Console()


class SleepingEstimator:
    """In the network's place: known depth after a fixed time."""

    precision = "none"
    model_id = "sleeping"
    kind = "metric"
    min_depth, max_depth = 0.1, 80.0
    is_trained = True
    fallback = ""
    needs_camera = False
    backend = "none"
    max_batch = 1
    input_size = NETWORK

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        ramp = np.linspace(70, 2, NETWORK[1], dtype=np.float32)[:, None]
        self._depth = np.ascontiguousarray(np.broadcast_to(ramp, (NETWORK[1], NETWORK[0])))

    def __call__(self, images: Sequence[Any], *_: Any) -> list[DepthMap]:
        """The same depth for each image."""
        time.sleep(self.seconds)
        return [DepthMap(self._depth, "metric") for _ in images]

    def warm_up(self, batch: int = 1) -> None:
        """Nothing to warm."""

    def close(self) -> None:
        """Nothing to free."""


def road_picture() -> np.ndarray:
    """A picture that costs a JPEG decoder about what a street does: smooth areas, edges, some grain."""
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (45, 80, 3), dtype=np.uint8), SIZE, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    picture += rng.integers(-6, 7, picture.shape, dtype=np.int16)
    for _ in range(150):
        left, top = rng.integers(0, SIZE[0] - 80), rng.integers(0, SIZE[1] - 80)
        picture[top : top + rng.integers(8, 80), left : left + rng.integers(8, 80)] = rng.integers(0, 256, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def time_ms(function: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Median and shortest time of a call, after one to warm up; where other work runs beside, the shortest is the truer one."""
    function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000, min(times) * 1000


def bench_arithmetic(runs: int) -> dict[str, float]:
    """Decode, preprocess, and upsample + cloud (one pass) of 1600x900 with every pixel a point; then with stride 4."""
    data, depth = encode_jpeg(road_picture(), 90), SleepingEstimator(0)([0])[0].values
    results: dict[str, float] = {"jpeg bytes": len(data)}
    for stride in (1, 4):
        target = SIZE if stride == 1 else cover_size(SIZE, NETWORK)
        pixels = decode_image(data, target)
        steps: dict[str, Callable[[], Any]] = {
            "decode": partial(decode_image, data, target),
            "preprocess": partial(resize_image, pixels, NETWORK),
        }
        for name, camera in (("cloud", CAMERA), ("cloud of a distorted lens", LENS)):
            grid = CloudGrid(camera, stride)
            steps[name] = partial(grid.fill, depth, pixels, np.empty((*grid.shape, 4), np.float32), 0.1, 80.0)
        times = {name: time_ms(step, runs) for name, step in steps.items()}
        for index, kind in enumerate(("median", "fastest")):
            for name in steps:
                results[f"stride {stride}, {kind}: {name}"] = times[name][index]
            results[f"stride {stride}, {kind}: total"] = sum(times[name][index] for name in ("decode", "preprocess", "cloud"))
    return results


class Graph:
    """The node under test in this process; a camera and a subscriber each in their own."""

    def __init__(self, estimator: SleepingEstimator, stride: int, hertz: float, outputs: str) -> None:
        self.latencies: list[float] = []
        self.ages: list[float] = []
        self._stop = threading.Event()
        # cloud_stride is the only parameter that matters here.
        self.node = DepthNode(lambda *_: estimator, parameter_overrides=[Parameter("cloud_stride", value=stride)])
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        while self.node.state != "active":
            time.sleep(0.01)
        health = self.node.cameras[0].health
        count = health.image_published

        def published(latency: float, age: float) -> None:
            self.latencies.append(latency)
            self.ages.append(age)
            count(latency, age)

        health.image_published = published  # type: ignore[method-assign]
        self.health = health
        self._processes = [
            subprocess.Popen([sys.executable, __file__, "--role", *role], cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True)
            for role in (("subscriber", "--outputs", outputs), ("camera", "--hertz", str(hertz)))
        ]

    def wait_for_frames(self, count: int, timeout: float = 60) -> None:
        """Wait for a number of finished frames."""
        end = time.monotonic() + timeout
        while len(self.latencies) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.latencies)} of {count} frames after {timeout:g} s; {dict(self.health.errors)}")
            time.sleep(0.02)

    def close(self) -> int:
        """End everything; returns how many clouds (or depth images) reached the subscriber."""
        received = 0
        for process in reversed(self._processes):
            process.terminate()
            text, _ = process.communicate(timeout=20)
            received = int(text.split()[-1]) if text.strip() else received
        self._stop.set()
        self._thread.join()
        self._executor.remove_node(self.node)
        self.node.destroy_node()
        del self.node
        gc.collect()  # a lifecycle node keeps its name until it is collected
        return received

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)


def bench_publish(stride: int, frames: int) -> dict[str, float]:
    """From the arrival of a JPEG to the return of the last publish, with a network that takes no time."""
    graph = Graph(SleepingEstimator(0), stride, hertz=8, outputs="depth,info,cloud")
    try:
        graph.wait_for_frames(frames + 5)
        latencies = np.array(graph.latencies[5 : frames + 5]) * 1000
        published = graph.health.published
    finally:
        received = graph.close()
    return {
        "points": (SIZE[0] // stride) * (SIZE[1] // stride),
        "p50 (ms)": float(np.median(latencies)),
        "p95 (ms)": float(np.percentile(latencies, 95)),
        "published": published,
        "clouds received": received,
    }


def resident_megabytes() -> float:
    """Memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def bench_soak(minutes: float, inference: float = 0.2) -> dict[str, Any]:
    """A 30 Hz camera into a 5 Hz network: memory and latency over time."""
    graph = Graph(SleepingEstimator(inference), 4, hertz=30, outputs="depth,info,cloud")
    samples: list[tuple[float, float]] = []
    try:
        graph.wait_for_frames(5)
        start = time.monotonic()
        with console.status("soak") as status:
            while (elapsed := time.monotonic() - start) < minutes * 60:
                samples.append((elapsed, resident_megabytes()))
                status.update(f"soak: {elapsed:.0f} of {minutes * 60:.0f} s, {samples[-1][1]:.0f} MB, {len(graph.latencies)} frames")
                time.sleep(2)
        latencies, health = np.array(graph.latencies[5:]) * 1000, graph.health
        counts = {"received": health.received, "published": health.published, "dropped": health.dropped, "errors": dict(health.errors)}
    finally:
        graph.close()
    memory = np.array(samples)
    settled = memory[len(memory) // 5 :]
    return {
        "minutes": minutes,
        **counts,
        "latency p50 (ms)": float(np.median(latencies)),
        "latency p95 (ms)": float(np.percentile(latencies, 95)),
        "latency limit (ms)": 2 * inference * 1000 + 50,
        "memory at the start (MB)": float(memory[0, 1]),
        "memory at the end (MB)": float(memory[-1, 1]),
        "memory (MB) every 10 s": [round(megabytes, 1) for _, megabytes in samples[::5]],
        "memory growth after settling (MB a minute)": float(np.polyfit(settled[:, 0] / 60, settled[:, 1], 1)[0])
        if len(settled) > 2
        else 0.0,
    }


def spin_until_terminated(node: Node) -> None:
    """Spin until SIGTERM."""
    try:
        with contextlib.suppress(ExternalShutdownException, KeyboardInterrupt):
            rclpy.spin(node)
    except Exception:
        if rclpy.ok():  # else the signal came while the executor was preparing to wait
            raise


def run_camera(hertz: float) -> None:
    """Publish the same JPEG with fresh stamps until terminated."""
    node = Node("bench_camera")
    images = node.create_publisher(CompressedImage, "image", QoSProfile(depth=1))
    infos = node.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=1))
    data = array.array("B", encode_jpeg(road_picture(), 90))

    def send() -> None:
        header = Header(frame_id="camera", stamp=node.get_clock().now().to_msg())
        infos.publish(camera_info_message(header, CAMERA))
        images.publish(CompressedImage(header=header, format="jpeg", data=data))

    node.create_timer(1 / hertz, send)
    spin_until_terminated(node)


def run_subscriber(outputs: str) -> None:
    """Count clouds until terminated, then print how many came."""
    node = Node("bench_subscriber")
    count = 0

    def received(_: Any) -> None:
        nonlocal count
        count += 1

    kinds = {"depth": (Image, "depth/image_raw"), "info": (CameraInfo, "depth/camera_info"), "cloud": (PointCloud2, "depth/points")}
    for name in outputs.split(","):
        message_type, topic = kinds[name]
        # Undecoded: what Python makes of 23 MB is no cost of the node.
        node.create_subscription(message_type, topic, received if name == "cloud" else lambda _: None, QoSProfile(depth=5), raw=True)
    spin_until_terminated(node)
    sys.stdout.write(f"{count}\n")


def show(title: str, results: dict[str, Any]) -> None:
    """Print a table of results."""
    table = Table(title=title)
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in results.items():
        table.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    console.print(table)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.5, help="length of the soak, 0: none")
    parser.add_argument("--runs", type=int, default=100, help="repetitions of each measurement")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--role", choices=("bench", "camera", "subscriber"), default="bench", help=argparse.SUPPRESS)
    parser.add_argument("--hertz", type=float, default=8, help=argparse.SUPPRESS)
    parser.add_argument("--outputs", default="depth,info,cloud", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "bench":
        os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(args=[])
    if arguments.role != "bench":
        run_camera(arguments.hertz) if arguments.role == "camera" else run_subscriber(arguments.outputs)
        rclpy.try_shutdown()
        return
    results: dict[str, Any] = {"cpus": os.cpu_count()}
    results["arithmetic (ms)"] = bench_arithmetic(arguments.runs)
    show("1600x900, beside the network, ms", results["arithmetic (ms)"])
    for stride in (4, 1):
        name = f"node, stride {stride}"
        results[name] = bench_publish(stride, arguments.runs)
        show(name, results[name])
    if arguments.minutes > 0:
        results["soak"] = bench_soak(arguments.minutes)
        show("30 Hz camera, 5 Hz network", results["soak"])
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
