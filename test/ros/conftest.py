# SPDX-License-Identifier: Apache-2.0
"""What all rclpy tests share: an isolated graph, a context, a spinning executor."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ros_peers import Collector, FakeCamera, Spinner, wait_until

# Before rclpy is imported anywhere: other tests and people on this machine must not hear us, nor we them.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    return wait_until


@pytest.fixture(scope="session")
def ros_context() -> Iterator[None]:
    rclpy = pytest.importorskip("rclpy", reason="rclpy isn't installed (extra [ros], or a sourced ROS)")
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture
def spinner(ros_context: None) -> Iterator[Spinner]:
    running = Spinner()
    yield running
    running.close()
    assert not running.failures, running.failures


@pytest.fixture
def fake_camera() -> type[FakeCamera]:
    return FakeCamera


@pytest.fixture
def collector() -> type[Collector]:
    return Collector
