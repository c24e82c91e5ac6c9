# SPDX-License-Identifier: Apache-2.0
"""ROS 2: from an installation or from pip, which middleware, and whether its shared memory is large enough for images."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from ssd_core.diagnosis.finding import Finding, failure, warning, well
from ssd_core.diagnosis.machine import Machine

_INSTALL = 'source /opt/ros/DISTRIBUTION/setup.bash, or on x86-64 without ROS: pip install -e ".[ros]" in a clone of this repository'
_DEFAULT_RMW = "rmw_fastrtps_cpp"
_PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_NAMESPACE = "{http://www.eprosima.com}"
_DEFAULT_SEGMENT = 512 << 10
_ENOUGH_SEGMENT = 16 << 20
"""Bytes: a raw 1600x900 image has 4.3 MB, and several are on their way at a time."""


def check_ros(machine: Machine) -> list[Finding]:
    """rclpy, the middleware and Fast DDS's shared memory; without rclpy nothing about the rest."""
    rclpy = _rclpy(machine)
    if machine.module("rclpy") is None:
        return [rclpy]
    findings = [rclpy, _middleware(machine)]
    if _rmw(machine).startswith("rmw_fastrtps"):
        findings += [_segment(machine), _shared_memory(machine)]
    return findings


def _rclpy(machine: Machine) -> Finding:
    file, distribution = machine.module("rclpy"), machine.environment("ROS_DISTRO")
    if file is None:
        if distribution:
            fact = f"ROS {distribution} is sourced, but this Python ({machine.python}) finds no rclpy: the node can't run"
            return failure("ROS", fact, "make the environment with the distribution's own Python: `make clean setup PYTHON=python3`")
        return warning("ROS", "no rclpy: commands work, the node can't run", _INSTALL)
    wheel = machine.version("ros-rclpy")
    is_wheel = wheel is not None and machine.prefix in Path(file).parents
    origin = f"rclpy {wheel} from pip" if is_wheel else f"{distribution or 'not sourced'}, {Path(file).parent}"
    answer = machine.run_python("import rclpy")
    if answer is None or not answer.succeeded:
        reason = answer.last_line if answer else "no answer"
        return failure("ROS", f"{origin}: rclpy can't be imported: {reason}", _INSTALL)
    if distribution and wheel is not None:
        fix = "pip uninstall ros-rclpy and the other ros-* packages, or don't source"
        return warning("ROS", f"{distribution} is sourced and rclpy {wheel} is here from pip: they get mixed up", fix)
    return well("ROS", origin)


def _rmw(machine: Machine) -> str:
    return machine.environment("RMW_IMPLEMENTATION") or _DEFAULT_RMW


def _middleware(machine: Machine) -> Finding:
    rmw = _rmw(machine)
    package = "ros-" + rmw.replace("_", "-")
    is_there = machine.version(package) or any(machine.matching(f"{prefix}/lib/lib{rmw}.so") for prefix in _prefixes(machine))
    domain = machine.environment("ROS_DOMAIN_ID") or "0"
    reach = machine.environment("ROS_AUTOMATIC_DISCOVERY_RANGE") or (
        "LOCALHOST" if machine.environment("ROS_LOCALHOST_ONLY") == "1" else ""
    )
    fact = f"{rmw}, domain {domain}{f', range {reach}' if reach else ''}"
    if not is_there:
        return failure("RMW", f"{fact}: not installed", f"install {package}, or unset RMW_IMPLEMENTATION")
    return well("RMW", fact)


def _prefixes(machine: Machine) -> list[str]:
    """Folders that ROS packages are installed in."""
    return [*filter(None, machine.environment("AMENT_PREFIX_PATH").split(os.pathsep)), str(machine.prefix)]


def _segment(machine: Machine) -> Finding:
    """Size of the segment that messages between processes go through."""
    fix = f"export {_profile_variable(machine)}={_our_profile(machine)} in every process; the launch files and the demo do so"
    transports = machine.environment("FASTDDS_BUILTIN_TRANSPORTS")
    if transports.startswith("LARGE_DATA"):
        return well("Fast DDS", f"FASTDDS_BUILTIN_TRANSPORTS={transports}")
    name, path = next(((name, path) for name in _PROFILE_VARIABLES if (path := machine.environment(name))), ("", ""))
    if not path:
        return warning(
            "Fast DDS", "its default shared memory of 512 kB: raw images are lost or slow in what is started from this shell", fix
        )
    text = machine.read(path)
    if text is None:
        return failure("Fast DDS", f"{name}={path}: there is no such file", fix)
    try:
        segment = _largest_segment(text)
    except (ElementTree.ParseError, ValueError) as error:
        return failure("Fast DDS", f"{path} is no profile that can be read: {error}", fix)
    if segment < _ENOUGH_SEGMENT:
        return warning("Fast DDS", f"{path}: shared memory of {segment >> 10} kB: raw images are lost or slow", fix)
    return well("Fast DDS", f"{path}: shared memory of {segment >> 20} MB")


def _profile_variable(machine: Machine) -> str:
    return _PROFILE_VARIABLES[machine.environment("ROS_DISTRO") in ("humble", "iron")]


def _our_profile(machine: Machine) -> str:
    """Where the profile that ships lies: beside the source, or in the share folder of an installation."""
    places = [str(Path(__file__).parents[2]), *(f"{prefix}/share/ssd_depth_ros" for prefix in _prefixes(machine))]
    return next(
        (file for place in places for file in machine.matching(f"{place}/config/fastdds.xml")), "(this package's) config/fastdds.xml"
    )


def _largest_segment(text: str) -> int:
    sizes = [
        int(size.text or 0)
        for transport in ElementTree.fromstring(text).iter(f"{_NAMESPACE}transport_descriptor")
        if (transport.findtext(f"{_NAMESPACE}type") or "").strip() == "SHM"
        for size in transport.iter(f"{_NAMESPACE}segment_size")
    ]
    return max(sizes, default=_DEFAULT_SEGMENT)


def _shared_memory(machine: Machine) -> Finding:
    free = machine.free_bytes(Path("/dev/shm"))
    if free is None:
        return warning("/dev/shm", "there is none: Fast DDS takes the slower way over UDP", "mount a tmpfs on /dev/shm")
    fact = f"{free >> 20} MB free"
    # One segment of config/fastdds.xml for every process, and a robot runs several.
    if free < 256 << 20:
        return warning("/dev/shm", fact, "docker run --shm-size=1g, or end processes that hold shared memory (ls /dev/shm)")
    return well("/dev/shm", fact)
