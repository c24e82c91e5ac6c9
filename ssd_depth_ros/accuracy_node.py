# SPDX-License-Identifier: Apache-2.0
"""Live accuracy: published depth against lidar while a bag plays or a robot drives; absRel and d1 in /diagnostics."""

from __future__ import annotations

import collections
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from ssd_core.data.bag import BagReader
from ssd_core.data.errors import DataError
from ssd_core.data.point_cloud_message import PointCloudError, point_cloud_xyz
from ssd_core.data.transform_tree import TransformTree, read_transforms
from ssd_core.evaluation.live import LiveAccuracy, LiveDepth, LiveScan
from ssd_core.geometry.camera import CameraError
from ssd_core.geometry.pose import Matrix
from ssd_depth_ros.health import Level, Status
from ssd_depth_ros.messages import camera_from_message, depth_values, diagnostic_message, stamp_ns
from ssd_depth_ros.process import helped, stop_signal
from ssd_depth_ros.raw_topics import UnknownMessageTypeError, message_class, subscribe_raw
from ssd_depth_ros.subscriptions import AdaptiveSubscription, Source

NODE_NAME = "ssd_depth_accuracy"
DIAGNOSTICS_PERIOD = 1.0

_TF_TOPICS = (("/tf", False), ("/tf_static", True))
_TF_TYPE = "tf2_msgs/msg/TFMessage"
_KEPT_NS = 20_000_000_000
_FORGET_EVERY_NS = 2_000_000_000
_JUMP_NS = 1_000_000_000
_STALE_SECONDS = 5.0
"""Without a new measurement, after which figures are of the past."""
_DEPTH_QUEUE = 10
_PARAMETERS: dict[str, tuple[Any, str]] = {
    "cameras": ([""], "Names that stand for {camera} in depth_topic; one empty name: depth_topic is taken as it is"),
    "depth_topic": ("depth/image_rect", "Depth images (32FC1, 16UC1); their CameraInfo is camera_info beside it"),
    "lidar_topic": ("/LIDAR_TOP", "PointCloud2 to compare with"),
    "bag": ("", "Take transforms from this recording instead of /tf and /tf_static"),
    "cap": (80.0, "Farther lidar points don't count, metres"),
    "min_depth": (1.0, "Nearer lidar points don't count, metres: they are the vehicle itself"),
    "max_gap": (0.1, "Seconds that image and scan may lie apart"),
}


class RecentTransforms:
    """The transforms of the last 20 seconds and all static ones, looked up like those of a recording."""

    def __init__(self) -> None:
        self._tree = TransformTree()
        self._newest: dict[tuple[str, str], int] = {}
        self._forgotten_to: dict[tuple[str, str], int] = {}

    def add(self, transforms: Sequence[Any], is_static: bool) -> None:
        """geometry_msgs/TransformStamped messages. A jump back in time forgets what moved before, of that very transform."""
        for item in transforms:
            parent, child, stamp = item.header.frame_id, item.child_frame_id, stamp_ns(item.header)
            if is_static:
                self._tree.forget(parent, child)
            else:
                self._forget_old(parent, child, stamp)
            t, q = item.transform.translation, item.transform.rotation
            self._tree.add(parent, child, stamp, (t.x, t.y, t.z), (q.x, q.y, q.z, q.w), is_static)

    def _forget_old(self, parent: str, child: str, stamp: int) -> None:
        """Make room for a sample of this stamp; each transform has a clock of its own, since some lag and some are never stamped."""
        edge = parent, child
        newest = self._newest.get(edge, stamp)
        if stamp < newest - _JUMP_NS:
            self._tree.forget(parent, child)
            newest = self._forgotten_to[edge] = stamp
        self._newest[edge] = max(newest, stamp)
        # Now and then, for it costs as much as a lookup.
        if stamp - self._forgotten_to.setdefault(edge, stamp) > _KEPT_NS + _FORGET_EVERY_NS:
            self._forgotten_to[edge] = stamp - _KEPT_NS
            self._tree.forget(parent, child, stamp - _KEPT_NS)

    def lookup_between(self, target: str, target_stamp_ns: int, source: str, source_stamp_ns: int) -> Matrix | None:
        """See TransformTree."""
        return _lookup(self._tree, target, target_stamp_ns, source, source_stamp_ns)


class AccuracyNode(Node):
    """Subscribes to depth images, their CameraInfo and a lidar; publishes absRel and d1 of each camera to /diagnostics at 1 Hz.

    Raises DataError if the parameter `bag` names no readable recording, UnknownMessageTypeError if it is empty and tf2_msgs isn't
    installed, ValueError for parameters that are out of range or contradict each other.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(NODE_NAME, **arguments)
        values = {name: self._declare(name, default, text) for name, (default, text) in _PARAMETERS.items()}
        names = list(values["cameras"])
        if len(names) > 1 and "{camera}" not in values["depth_topic"]:
            raise ValueError(f"depth_topic {values['depth_topic']!r} needs {{camera}} for the cameras {', '.join(names)}")
        self._live_transforms = RecentTransforms()
        self._recorded = _read_tree(values["bag"]) if values["bag"] else None
        self.accuracy = LiveAccuracy(self._motion, values["cap"], values["min_depth"], round(values["max_gap"] * 1e9))
        self._infos: dict[str, CameraInfo] = {}
        self._newest_ns = 0
        self._refused: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in names}
        self._refused_scans: collections.Counter[str] = collections.Counter()
        self._progress: dict[str, tuple[int, float]] = {}
        self._names = names
        self._inputs: list[AdaptiveSubscription] = []
        self._topics = [self._subscribe(name, values["depth_topic"].replace("{camera}", name)) for name in names]
        self._lidar = subscribe_raw(self, self.resolve_topic_name(values["lidar_topic"]), "sensor_msgs/msg/PointCloud2", self._on_scan)
        if self._recorded is None:
            self._tf = [subscribe_raw(self, topic, _TF_TYPE, self._tf_callback(static), static) for topic, static in _TF_TOPICS]
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _declare(self, name: str, default: Any, text: str) -> Any:
        """A parameter's value; whole numbers will do for the real ones, which must be positive. Raises ValueError."""
        is_number = isinstance(default, float)
        value = self.declare_parameter(name, default, ParameterDescriptor(description=text, read_only=True, dynamic_typing=is_number)).value
        if not is_number:
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}; it must be a positive number")
        return float(value)

    def _subscribe(self, name: str, depth_topic: str) -> str:
        folder, slash, _ = depth_topic.rpartition("/")
        info_topic = f"{folder}{slash}camera_info"
        rectified = not depth_topic.endswith("image_raw")
        depth, info = (Source(self.resolve_topic_name(topic), kind) for topic, kind in ((depth_topic, Image), (info_topic, CameraInfo)))
        self._inputs += [
            AdaptiveSubscription(self, info, lambda message: self._infos.__setitem__(name, message)),
            AdaptiveSubscription(self, depth, lambda message: self._on_depth(name, rectified, message), depth=_DEPTH_QUEUE),
        ]
        return depth.topic

    def _on_depth(self, name: str, rectified: bool, message: Image) -> None:
        stamp = stamp_ns(message.header)
        if stamp < self._newest_ns - _JUMP_NS:
            self.accuracy.clock_jumped()
            self._newest_ns = 0
        self._newest_ns = max(self._newest_ns, stamp)
        info = self._infos.get(name)
        if info is None:
            self._refused[name]["no CameraInfo beside the depth image"] += 1
            return
        try:
            values = depth_values(message)
            camera = camera_from_message(info, rectified, (message.width, message.height))
            self.accuracy.add_depth(LiveDepth(name, message.header.frame_id, stamp, values, camera))
        except (CameraError, ValueError) as error:
            self._refused[name][str(error)] += 1

    def _on_scan(self, raw: bytes) -> None:
        cloud = deserialize_message(raw, PointCloud2)
        try:
            self.accuracy.add_scan(LiveScan(cloud.header.frame_id, stamp_ns(cloud.header), point_cloud_xyz(cloud)))
        except PointCloudError as error:
            self._refused_scans[str(error)] += 1

    def _tf_callback(self, is_static: bool) -> Callable[[bytes], None]:
        kind = message_class(_TF_TYPE)
        return lambda raw: self._live_transforms.add(deserialize_message(raw, kind).transforms, is_static)

    def _motion(self, target: str, target_stamp_ns: int, source: str, source_stamp_ns: int) -> Matrix | None:
        if self._recorded is not None:
            return _lookup(self._recorded, target, target_stamp_ns, source, source_stamp_ns)
        return self._live_transforms.lookup_between(target, target_stamp_ns, source, source_stamp_ns)

    def _publish(self) -> None:
        statuses = [self._status(name, topic) for name, topic in zip(self._names, self._topics, strict=True)]
        self._diagnostics.publish(diagnostic_message(self.get_clock().now().to_msg(), statuses, NODE_NAME))

    def _seconds_without_news(self, name: str) -> float:
        count, since = self._progress.get(name, (0, time.monotonic()))
        if self.accuracy.measured[name] != count:
            since = time.monotonic()
        self._progress[name] = self.accuracy.measured[name], since
        return time.monotonic() - since

    def _status(self, name: str, topic: str) -> Status:
        figures, title = self.accuracy.figures(name), f"{NODE_NAME}: {name or topic}"
        troubles = {**self._refused[name], **self._refused_scans, **self.accuracy.unmatched}
        idle = self._seconds_without_news(name)
        if figures is None:
            why = "; ".join(f"{reason} ({count}x)" for reason, count in troubles.items()) or f"no depth on {topic} yet"
            return Status(title, Level.WARN, f"nothing measured: {why}", {"images": 0})
        level, text = Level.OK, f"absRel {figures['abs_rel']:.3f}, d1 {100 * figures['d1']:.1f} %"
        values: dict[str, Any] = {
            "images": self.accuracy.measured[name],
            "abs_rel": f"{figures['abs_rel']:.4f}",
            "rmse": f"{figures['rmse']:.3f}",
        }
        if idle > _STALE_SECONDS:
            level, text = Level.STALE, f"nothing measured for {idle:.0f} s; before that {text}"
        return Status(title, level, text, {**values, "d1": f"{figures['d1']:.4f}", **troubles})


def _lookup(tree: TransformTree, target: str, target_stamp_ns: int, source: str, source_stamp_ns: int) -> Matrix | None:
    """With the motion between both times, or by the mounting alone where no odometry covers them."""
    motion = tree.lookup_between(target, target_stamp_ns, source, source_stamp_ns)
    return tree.lookup(target, source, target_stamp_ns) if motion is None else motion


def _read_tree(path: str) -> TransformTree:
    reader = BagReader(Path(path).expanduser())
    try:
        return read_transforms(reader)
    finally:
        reader.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGINT or SIGTERM; exit code 0, or 1 if it can't start. -h or --help prints the parameters."""
    lines = [f"{name}: {text} (default: {json.dumps(default)})" for name, (default, text) in _PARAMETERS.items()]
    if helped(arguments, "\n".join(["usage: accuracy_node [--ros-args -p NAME:=VALUE ...]\n", *lines])):
        return
    rclpy.init(args=sys.argv if arguments is None else list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    with stop_signal() as stopped:
        try:
            node = AccuracyNode()
        except (DataError, ValueError, OSError, UnknownMessageTypeError, InvalidParameterTypeException) as error:
            hint = "; or set the parameter bag to a recording with transforms" if isinstance(error, UnknownMessageTypeError) else ""
            rclpy.logging.get_logger(NODE_NAME).fatal(f"can't start: {error}{hint}")
            rclpy.try_shutdown()
            raise SystemExit(1) from None
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not stopped.is_set():
            executor.spin_once(timeout_sec=0.2)
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
