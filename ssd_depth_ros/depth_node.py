# SPDX-License-Identifier: Apache-2.0
"""The depth node: images in, metric depth and point clouds out; lifecycle, parameters and diagnostics (the work is in depth_worker)."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterException, InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from ssd_core.geometry import point_cloud
from ssd_depth_ros import parameters
from ssd_depth_ros.camera_outputs import CameraOutputs
from ssd_depth_ros.camera_stream import CameraStream
from ssd_depth_ros.depth_worker import Camera, DepthWorker, Estimator, EstimatorFactory
from ssd_depth_ros.health import CameraHealth, Level, Status
from ssd_depth_ros.messages import Size, diagnostic_message
from ssd_depth_ros.parameters import ParameterError, Settings, yaml_document
from ssd_depth_ros.process import helped

NODE_NAME = "ssd_depth"
LOOK_PERIOD = 0.5
"""Seconds between two looks for image publishers."""
DIAGNOSTICS_PERIOD = 1.0
SHUTDOWN_PATIENCE = 5.0
"""Seconds that work in progress (a network being built) may delay the end of the process."""
_SIGNAL_PERIOD = 0.1
"""Seconds in which a signal is noticed at the latest."""

_METRIC_PARAMETERS = ("depth_scale", "min_depth", "max_depth", "depth_encoding")
"""What a model without metres has no use for."""

_CAMERA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


def load_estimator(settings: Settings, input_size: Size | None) -> Estimator:
    """The DepthEstimator of the node's parameters; an unwritable cache folder is reported by the estimator and costs only time."""
    from ssd_core.runtime.estimator import DepthEstimator

    cache = Path(settings.cache_folder).expanduser() if settings.cache_folder else None
    return DepthEstimator.load(
        settings.model,
        settings.backend,
        input_size,
        settings.precision,
        cache,
        batch=len(settings.cameras) or 1,
        allow_engine_build=settings.allow_engine_build,
    )


class DepthNode(LifecycleNode):
    """Lifecycle node `ssd_depth`; docs/parameters.md lists its parameters. `factory` loads the estimator.

    configure loads the network and creates the publishers, activate subscribes and starts the worker, deactivate stops both,
    cleanup releases the network. A failure to configure leaves the node unconfigured, ready for other parameters.
    Raises ParameterError if it is started with parameters that can't be used.
    """

    def __init__(self, factory: EstimatorFactory = load_estimator, **arguments: Any) -> None:
        super().__init__(NODE_NAME, **arguments)
        self._factory = factory
        self._cameras: list[Camera] = []
        self._worker: DepthWorker | None = None
        self._state = "unconfigured"
        self._failure = ""
        self._settings = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._diagnostics = Node.create_publisher(self, DiagnosticArray, "/diagnostics", 10)
        # Steady timers: with use_sim_time and no /clock yet the node's own clock stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=steady)
        self._look_timer = self.create_timer(LOOK_PERIOD, self._look, clock=steady)
        self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady) if self._settings.autostart else None

    @property
    def settings(self) -> Settings:
        """The parameters in force."""
        return self._settings

    @property
    def state(self) -> str:
        """unconfigured, inactive or active."""
        return self._state

    @property
    def cameras(self) -> Sequence[Camera]:
        """The configured cameras."""
        return self._cameras

    @property
    def estimator(self) -> Estimator | None:
        """The loaded network, None unless configured."""
        return self._worker.estimator if self._worker else None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and create the publishers; FAILURE with a clear message if that can't be done."""
        try:
            self._configure()
        except Exception as error:  # noqa: BLE001  an unreadable model must leave a node that can be configured again
            self._release()
            self._failure = f"can't configure: {str(error) or type(error).__name__}"
            self.get_logger().error(self._failure)
            return TransitionCallbackReturn.FAILURE
        self._failure, self._state = "", "inactive"
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start to work."""
        result = super().on_activate(state)
        if self._worker is None or result != TransitionCallbackReturn.SUCCESS:
            return TransitionCallbackReturn.FAILURE
        try:
            for camera in self._cameras:
                camera.stream.subscribe()
        except Exception as error:  # noqa: BLE001  rclpy would swallow it and leave a node that is silently dead
            self._pause()
            super().on_deactivate(state)
            self._failure = f"can't activate: {error}"
            self.get_logger().error(self._failure)
            return TransitionCallbackReturn.FAILURE
        self._worker.start()
        self._failure, self._state = "", "active"
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop receiving and working; the network stays loaded."""
        self._pause()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the network and the publishers."""
        result = super().on_cleanup(state)
        self._release()
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs and release everything."""
        result = super().on_shutdown(state)
        self._release()
        return result

    def on_error(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and be unconfigured again."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Release everything, then destroy the node."""
        self._release()
        super().destroy_node()

    def _configure(self) -> None:
        settings = self._settings
        for name in settings.cameras:
            if not _CAMERA_NAME.fullmatch(name):
                raise ParameterError(f"cameras: {name!r} can't be part of a topic name (letters, digits, _ and /)")
        estimator = self._factory(settings, (settings.input_size[0], settings.input_size[1]) if any(settings.input_size) else None)
        self._worker = DepthWorker(self._cameras, estimator, self._factory, lambda: self._settings, self._now, self._inform)
        estimator.warm_up(min(estimator.max_batch, len(settings.cameras) or 1))
        point_cloud.warm_up()
        for name in settings.cameras or ("",):
            self._cameras.append(self._create_camera(name, settings, estimator))
        width, height = estimator.input_size
        self.get_logger().info(
            f"model {estimator.model_id} ({estimator.kind}) at {width}x{height} on {estimator.backend} {estimator.precision}"
        )
        if not estimator.is_trained:
            self._warn(
                f"weights are UNTRAINED: depth of {estimator.model_id} is meaningless; set the parameter `model` to a trained checkpoint"
            )
        unused = [name for name in _METRIC_PARAMETERS if getattr(settings, name) != getattr(Settings(), name)]
        if estimator.kind != "metric" and unused:
            self._warn(f"{', '.join(unused)}: of no use, depth of {estimator.model_id} is relative, without metres; choose a metric model")

    def _create_camera(self, name: str, settings: Settings, estimator: Estimator) -> Camera:
        health = CameraHealth(name, self._warn)
        worker = self._worker
        assert worker is not None
        stream = CameraStream(self, name, settings, health, worker.wake)
        outputs = CameraOutputs(self, f"{name}/" if name else "", stream.is_rectified, estimator.kind, settings.depth_encoding)
        return Camera(stream, outputs, health)

    def _pause(self) -> None:
        for camera in self._cameras:
            camera.stream.unsubscribe()
        if self._worker is not None:
            self._worker.stop()
            self._state = "inactive"

    def _release(self) -> None:
        self._pause()
        for camera in self._cameras:
            camera.outputs.destroy()
        self._cameras.clear()
        if self._worker is not None:
            self._worker.estimator.close()
            self._worker = None
        self._state = "unconfigured"

    def _autostart(self) -> None:
        if self._autostart_timer is not None:
            self._autostart_timer.cancel()
        if self._state == "unconfigured" and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _look(self) -> None:
        if self._state == "active":
            for camera in self._cameras:
                camera.stream.look()

    def _on_parameters(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        values = {field.name: getattr(self._settings, field.name) for field in parameters.FIELDS}
        known = {change.name: change.value for change in changes if change.name in values}
        fixed = [name for name in known if not parameters.rule_of(name).dynamic]
        if fixed and self._state != "unconfigured":
            reason = f"{', '.join(fixed)}: can only be set while the node is unconfigured (now {self._state}); clean it up first"
            return SetParametersResult(successful=False, reason=reason)
        try:
            self._settings = parameters.validate(values | known)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _inform(self, text: str) -> None:
        self.get_logger().info(text)

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _publish_diagnostics(self) -> None:
        # With the namespace: two robots' nodes, or two in one robot, would share one line of a diagnostics viewer.
        prefix, estimator = self.get_fully_qualified_name().lstrip("/"), self.estimator
        statuses = [_model_status(f"{prefix}: model", estimator, self._state, self._failure)]
        if self._state == "active":
            statuses += [camera.health.status(prefix, camera.stream.topic, camera.stream.wanted_topic) for camera in self._cameras]
        message = diagnostic_message(self.get_clock().now().to_msg(), statuses, estimator.model_id if estimator else "")
        self._diagnostics.publish(message)


def _model_status(name: str, estimator: Estimator | None, state: str, failure: str) -> Status:
    values: dict[str, Any] = {"state": state}
    if estimator is not None:
        values |= {
            "model": estimator.model_id,
            "kind": estimator.kind,
            "trained": estimator.is_trained,
            "backend": estimator.backend,
            "precision": estimator.precision,
            "input size": f"{estimator.input_size[0]}x{estimator.input_size[1]}",
        }
    if failure:
        return Status(name, Level.ERROR, failure, values)
    if estimator is not None and not estimator.is_trained:
        return Status(name, Level.WARN, "weights are UNTRAINED: depth is meaningless", values)
    if estimator is not None and estimator.fallback:
        return Status(name, Level.WARN, f"{estimator.backend} runs in TensorRT's place, slower: {estimator.fallback}", values)
    return Status(name, Level.OK if state == "active" else Level.WARN, state, values)


class _RosLogHandler(logging.Handler):
    """Carries ssd_core's log lines into the node's log."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._logger = node.get_logger().get_child("core")

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record at its level."""
        # rclpy remembers one severity for each calling line, so each level needs a line of its own.
        text = record.getMessage()
        if "untrained" in str(record.msg):  # the sentence, not the name of a model in it
            return  # the node says so itself, in one loud line
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the node until SIGINT or SIGTERM; a second signal changes nothing. Exit code 0, or 1 if it can't start.

    arguments: as sys.argv, with --ros-args; None is sys.argv. -h or --help prints the parameters.
    """
    if helped(arguments, f"usage: depth_node [--ros-args --params-file FILE -p NAME:=VALUE -r FROM:=TO ...]\n\n{yaml_document()}"):
        return
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # rclpy's own handlers would end the context under the worker's feet and let a second SIGINT through.
    rclpy.init(args=None if arguments is None else list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = DepthNode()
    except (ParameterError, InvalidParameterException, InvalidParameterTypeException, InvalidParameterValueException) as error:
        rclpy.logging.get_logger(NODE_NAME).fatal(f"can't start: {error}")
        rclpy.shutdown()
        sys.exit(1)
    core_log = logging.getLogger("ssd_core")
    core_log.setLevel(logging.INFO)
    core_log.addHandler(_RosLogHandler(node))
    failures: list[BaseException] = []
    spinner = threading.Thread(target=_spin, args=(node, stop, failures), name="executor", daemon=True)
    spinner.start()
    # Not stop.wait(): a signal that the system hands to another thread doesn't wake this one from a lock, and a handler that runs while
    # this one holds the event's own lock would wait for it for ever.
    while not stop.is_set():
        time.sleep(_SIGNAL_PERIOD)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Python gives back its own handlers at exit, but leaves ignored signals alone: a late second SIGINT would kill us.
        signal.signal(number, signal.SIG_IGN)
    spinner.join(SHUTDOWN_PATIENCE)
    if spinner.is_alive():
        # A network that is being built can't be interrupted; waiting for it would look like a node that hangs.
        # Nor is logging shut down: it waits for the locks of its handlers, which that thread may hold.
        os._exit(0)
    rclpy.try_shutdown()
    if failures:
        raise failures[0]


def _spin(node: DepthNode, stop: threading.Event, failures: list[BaseException]) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.2)
    except ExternalShutdownException:
        pass
    except Exception as error:  # noqa: BLE001  handed to the main thread, which raises it
        failures.append(error)
    finally:
        stop.set()
        executor.remove_node(node)
        executor.shutdown(timeout_sec=1.0)
        # Here, so that the main thread's patience also covers the worker, which may be building a network.
        node.destroy_node()


if __name__ == "__main__":
    main()
