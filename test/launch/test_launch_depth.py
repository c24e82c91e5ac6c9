# SPDX-License-Identifier: Apache-2.0
"""The launch files, really launched. Needs the launch packages and this package installed (AMENT_PREFIX_PATH)."""
# ruff: noqa: E402

import os
import sys
import time
from pathlib import Path

import pytest

launch_pytest = pytest.importorskip("launch_pytest", reason="the launch packages (launch, launch_ros, launch_pytest) aren't installed")
rclpy = pytest.importorskip("rclpy", reason="rclpy isn't installed")

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch.actions import IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from launch import LaunchDescription

sys.path.insert(0, str(Path(__file__).parents[1] / "ros"))
from small_bags import START, STEP, write_bag

try:
    SHARE = Path(get_package_share_directory("ssd_depth_ros"))
except PackageNotFoundError:
    pytest.skip("this package isn't installed where ament looks (AMENT_PREFIX_PATH)", allow_module_level=True)

PATIENCE = 150.0
PARAMETERS = "/**:\n  ros__parameters:\n    input_size: [56, 42]\n    preview_quality: 71\n"


EXIT_CODES: dict[str, list[int]] = {}


def description(name, **arguments):
    codes = EXIT_CODES[name] = []
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / name))
    included = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    watch = RegisterEventHandler(OnProcessExit(on_exit=lambda event, _: codes.append(event.returncode)))
    return LaunchDescription([watch, included, launch_pytest.actions.ReadyToTest()])


@pytest.fixture(scope="module", autouse=True)
def own_domain():
    os.environ["ROS_DOMAIN_ID"] = str(os.getpid() % 100 + 1)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture(scope="module")
def parameter_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("parameters") / "mine.yaml"
    path.write_text(PARAMETERS)
    return path


@pytest.fixture
def node(own_domain):
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("asker", context=context)
    node.spinner = SingleThreadedExecutor(context=context)
    node.spinner.add_node(node)
    yield node
    node.spinner.shutdown()
    node.destroy_node()
    context.try_shutdown()


@launch_pytest.fixture
def one_camera(own_domain, parameter_file):
    return description("depth.launch.py", namespace="robot", image="/front/image", model="bundled", params_file=str(parameter_file))


@pytest.mark.launch(fixture=one_camera)
def test_depth_launch_starts_an_active_node_with_the_arguments_as_parameters(node):
    assert wait_for_state(node, "/robot/ssd_depth", State.PRIMARY_STATE_ACTIVE)
    values = parameters(node, "/robot/ssd_depth", ["image_topic", "camera_info_topic", "autostart", "input_size", "preview_quality"])
    assert values[0].string_value == "/front/image"
    assert values[1].string_value == ""  # beside the image
    assert values[2].bool_value is True
    assert list(values[3].integer_array_value) == [56, 42]  # from the file
    assert values[4].integer_value == 71
    topics = {name for name, _ in node.get_topic_names_and_types()}
    assert {"/robot/depth/image_raw", "/robot/depth/points", "/robot/depth/camera_info"} <= topics


@launch_pytest.fixture
def waiting(own_domain, parameter_file):
    return description("depth.launch.py", autostart="false", params_file=str(parameter_file))


@pytest.mark.launch(fixture=waiting)
def test_without_autostart_the_node_waits_for_a_manager(node):
    assert wait_for_state(node, "/ssd_depth", State.PRIMARY_STATE_UNCONFIGURED)


@launch_pytest.fixture
def six_cameras(own_domain, parameter_file, tmp_path_factory):
    bag = write_bag(tmp_path_factory.mktemp("bag") / "bag", cameras=("CAM_FRONT", "CAM_BACK"), count=4)
    return description(
        "nuscenes.launch.py", bag=str(bag), loop="true", rate="0.5", cameras="CAM_FRONT,CAM_BACK", params_file=str(parameter_file)
    )


@pytest.mark.launch(fixture=six_cameras)
def test_nuscenes_launch_plays_the_bag_into_the_node(node):
    heard = {"CAM_FRONT": set(), "CAM_BACK": set()}
    for camera, stamps in heard.items():
        node.create_subscription(
            Image, f"/{camera}/depth/image_rect", lambda m, s=stamps: s.add(m.header.stamp.sec * 10**9 + m.header.stamp.nanosec), 5
        )
    wait_until(node, lambda: all(heard.values()))
    assert all(stamps and stamps <= {START + index * STEP for index in range(4)} for stamps in heard.values())
    assert parameters(node, "/ssd_depth", ["use_sim_time"])[0].bool_value is True
    yield  # what follows runs after the shutdown
    assert EXIT_CODES["nuscenes.launch.py"] == [0, 0]  # node and player


def wait_until(node, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        node.spinner.spin_once(timeout_sec=0.1)


def call(node, kind, name, request):
    client = node.create_client(kind, name)
    try:
        wait_until(node, lambda: client.service_is_ready())
        future = client.call_async(request)
        wait_until(node, future.done)
        return future.result()
    finally:
        node.destroy_client(client)


def wait_for_state(node, name, wanted):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = call(node, GetState, f"{name}/get_state", GetState.Request())
        if answer is not None and answer.current_state.id == wanted:
            return True
    return False


def parameters(node, name, names):
    return call(node, GetParameters, f"{name}/get_parameters", GetParameters.Request(names=names)).values
