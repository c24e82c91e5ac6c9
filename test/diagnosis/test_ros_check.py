# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of ROS: from pip, sourced, both, none; its middleware and the shared memory of Fast DDS."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_machine import FakeMachine

from ssd_core.diagnosis.finding import Finding, Level
from ssd_core.diagnosis.machine import Answer
from ssd_core.diagnosis.ros import check_ros

OUR_PROFILE = Path(__file__).parents[2] / "config" / "fastdds.xml"
JAZZY = "/opt/ros/jazzy/lib/python3.12/site-packages/rclpy/__init__.py"


def findings(machine: FakeMachine) -> dict[str, Finding]:
    return {finding.subject: finding for finding in check_ros(machine)}


def source_jazzy(machine: FakeMachine) -> None:
    machine.variables |= {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": "/opt/ros/jazzy"}
    machine.modules["rclpy"] = JAZZY
    for wheel in ("ros-rclpy", "ros-rmw-fastrtps-cpp"):
        machine.versions.pop(wheel, None)
    machine.files["/opt/ros/jazzy/lib/librmw_fastrtps_cpp.so"] = ""


def test_wheels_with_the_default_shared_memory() -> None:
    found = findings(FakeMachine())
    assert found["ROS"] == Finding("ROS", Level.OK, "rclpy 9.1.2 from pip")
    assert found["RMW"].fact == "rmw_fastrtps_cpp, domain 0"
    assert found["Fast DDS"].level is Level.WARN and "512 kB" in found["Fast DDS"].fact
    assert "export FASTDDS_DEFAULT_PROFILES_FILE=" in found["Fast DDS"].fix
    assert found["/dev/shm"] == Finding("/dev/shm", Level.OK, "8192 MB free")


def test_no_rclpy() -> None:
    machine = FakeMachine()
    machine.modules.clear()
    (found,) = check_ros(machine)
    assert found.level is Level.WARN and "the node can't run" in found.fact and "[ros]" in found.fix
    machine.variables["ROS_DISTRO"] = "humble"
    (found,) = check_ros(machine)
    assert found.level is Level.FAIL and "ROS humble is sourced" in found.fact and "3.11.9 in /env" in found.fact


def test_a_sourced_installation() -> None:
    machine = FakeMachine()
    source_jazzy(machine)
    machine.variables |= {"ROS_DOMAIN_ID": "7", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    found = findings(machine)
    assert found["ROS"] == Finding("ROS", Level.OK, "jazzy, /opt/ros/jazzy/lib/python3.12/site-packages/rclpy")
    assert found["RMW"] == Finding("RMW", Level.OK, "rmw_fastrtps_cpp, domain 7, range LOCALHOST")


def test_an_installation_and_wheels_at_once() -> None:
    machine = FakeMachine()
    source_jazzy(machine)
    machine.versions["ros-rclpy"] = "9.1.2"
    found = findings(machine)["ROS"]
    assert found.level is Level.WARN and "get mixed up" in found.fact


def test_rclpy_that_cannot_be_imported() -> None:
    machine = FakeMachine()
    machine.python_answer = Answer(False, "Traceback (most recent call last):\nImportError: no RMW implementation\n\n")
    found = findings(machine)["ROS"]
    assert found.level is Level.FAIL and found.fact.endswith("ImportError: no RMW implementation")


def test_a_middleware_that_is_not_installed() -> None:
    machine = FakeMachine()
    machine.variables["RMW_IMPLEMENTATION"] = "rmw_cyclonedds_cpp"
    found = findings(machine)
    assert found["RMW"].level is Level.FAIL and "ros-rmw-cyclonedds-cpp" in found["RMW"].fix
    assert "Fast DDS" not in found


@pytest.mark.parametrize(
    ("segment", "level", "words"),
    [("67108864", Level.OK, "64 MB"), ("1048576", Level.WARN, "1024 kB"), ("many", Level.FAIL, "no profile that can be read")],
)
def test_a_profile_for_fast_dds(segment: str, level: Level, words: str) -> None:
    machine = FakeMachine()
    machine.variables["FASTRTPS_DEFAULT_PROFILES_FILE"] = "/mine.xml"
    machine.files["/mine.xml"] = OUR_PROFILE.read_text().replace("67108864", segment)
    found = findings(machine)["Fast DDS"]
    assert found.level is level and words in found.fact


def test_other_ways_to_large_messages() -> None:
    machine = FakeMachine()
    machine.variables["FASTDDS_DEFAULT_PROFILES_FILE"] = "/absent.xml"
    assert findings(machine)["Fast DDS"].level is Level.FAIL
    machine.variables["FASTDDS_BUILTIN_TRANSPORTS"] = "LARGE_DATA"
    assert findings(machine)["Fast DDS"].level is Level.OK


def test_the_fix_names_the_profile_and_the_variable_of_the_distribution() -> None:
    machine = FakeMachine()
    machine.files["/env/share/ssd_depth_ros/config/fastdds.xml"] = ""
    machine.variables["ROS_DISTRO"] = "humble"
    assert "export FASTRTPS_DEFAULT_PROFILES_FILE=/env/share/ssd_depth_ros/config/fastdds.xml " in findings(machine)["Fast DDS"].fix


def test_dockers_shared_memory() -> None:
    machine = FakeMachine()
    machine.free["/dev/shm"] = 64 << 20
    found = findings(machine)["/dev/shm"]
    assert found.level is Level.WARN and found.fact == "64 MB free" and "--shm-size" in found.fix
