# SPDX-License-Identifier: Apache-2.0
"""Starts the depth node: `ros2 launch ssd_depth_ros depth.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info`.

Works with the launch_ros of Humble to Kilted: the node starts itself (parameter autostart), so no lifecycle actions are needed.
"""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

PACKAGE = "ssd_depth_ros"
NODE = "ssd_depth"
IMAGE = "/CAM_FRONT/image_rect_compressed"
CONFIG = Path(get_package_share_directory(PACKAGE)) / "config"
# Fast DDS has renamed its variable; newer versions complain about the old name.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
PROFILE_VARIABLE = PROFILE_VARIABLES[os.environ.get("ROS_DISTRO") in ("humble", "iron")]


def interpreter() -> str:
    """The Python for the node: the one that runs this launch file if it has the network's libraries, else that of the shell."""
    return sys.executable if importlib.util.find_spec("torch") else "python3"


# name, default, description; an argument left empty leaves the value of the parameter file.
ARGUMENTS = (
    ("image", "", f"image topic, raw or compressed; {{camera}} stands for a name of `cameras`; if nothing names topics: {IMAGE}"),
    ("camera_info", "", "CameraInfo topic; empty: camera_info beside the image topic"),
    ("cameras", "", "names of several cameras, separated by commas"),
    ("rectified", "", "whether images are rectified: auto, true or false"),
    ("fx", "", "focal length in pixels, where there is no CameraInfo"),
    ("model", "", "bundled, a checkpoint folder or a Hugging Face Hub id"),
    ("backend", "", "auto, tensorrt, openvino or torch"),
    ("params_file", str(CONFIG / "depth.yaml"), "parameters of the node"),
    ("namespace", "", "namespace of the node and its outputs"),
    ("autostart", "true", "configure and activate at once; false: wait for a lifecycle manager"),
    ("use_sim_time", "false", "take the time from /clock"),
    ("log_level", "info", "debug, info, warn or error"),
    ("python", "", "Python interpreter that has torch and this package, e.g. .venv/bin/python; empty: that of ros2, else python3"),
    ("rviz", "false", "also start rviz2"),
    ("fixed_frame", "base_link", "rviz's fixed frame; without /tf the camera's own frame, e.g. CAM_FRONT"),
)
TEXTS = {"image": "image_topic", "camera_info": "camera_info_topic", "rectified": "rectified", "model": "model", "backend": "backend"}


def read_parameters(path: str) -> dict[str, object]:
    """All that a parameter file sets, whichever node it names."""

    def collect(content: object) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in content.items() if isinstance(content, dict) else ():
            found.update((value or {}) if key == "ros__parameters" else collect(value))
        return found

    return collect(yaml.safe_load(Path(path).read_text()))


def parameters(values: dict[str, str], in_file: dict[str, object]) -> dict[str, object]:
    """What the arguments say about the node's parameters, beside what the parameter file sets."""
    chosen: dict[str, object] = {name: values[argument] for argument, name in TEXTS.items() if values[argument]}
    several = values["cameras"] or any(in_file.get("cameras") or ())
    if not (several or chosen.get("image_topic") or in_file.get("image_topic")):
        chosen["image_topic"] = IMAGE
    if values["cameras"]:
        chosen["cameras"] = [name.strip() for name in values["cameras"].split(",") if name.strip()]
    if values["fx"]:
        chosen["fx"] = float(values["fx"])
    for name in ("autostart", "use_sim_time"):
        if values[name].lower() not in ("true", "false"):
            raise ValueError(f"{name}:={values[name]}: write true or false")
        chosen[name] = values[name].lower() == "true"
    return chosen


def write_parameters(node: str, chosen: dict[str, object]) -> str:
    """A parameter file for this one node, named in full: a file of the user that names it too would win over `/**`.

    JSON is YAML in which every string is quoted; launch_ros itself writes a bare y, which ROS reads as true.
    """
    with tempfile.NamedTemporaryFile("w", prefix="ssd_depth_parameters_", suffix=".yaml", delete=False) as file:
        json.dump({node: {"ros__parameters": chosen}}, file)
    return file.name


def depth_node(context):
    """The node; arguments of this launch file come after the parameter file and win."""
    values = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    namespace = "/" + values["namespace"].strip("/")
    # For the player of nuscenes.launch.py too, which declares this argument before we do, so that a default of ours wouldn't count.
    context.launch_configurations["python"] = values["python"] = values["python"] or interpreter()
    ros_arguments = ["--log-level", values["log_level"]]
    in_file: dict[str, object] = {}
    if values["params_file"]:
        if not Path(values["params_file"]).is_file():
            raise FileNotFoundError(f"params_file:={values['params_file']}: no such file")
        ros_arguments += ["--params-file", values["params_file"]]
        in_file = read_parameters(values["params_file"])
    ros_arguments += ["--params-file", write_parameters(f"{namespace.rstrip('/')}/{NODE}", parameters(values, in_file))]
    return [
        Node(
            package=PACKAGE,
            executable="depth_node",
            name=NODE,
            namespace=namespace,
            prefix=[values["python"]],
            ros_arguments=ros_arguments,
            output="screen",
            emulate_tty=True,
            sigterm_timeout="15",  # a network being built can't be interrupted at once
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """What ros2 launch calls."""
    own_profile = any(os.environ.get(name) for name in PROFILE_VARIABLES)
    profiles = [] if own_profile else [SetEnvironmentVariable(PROFILE_VARIABLE, str(CONFIG / "fastdds.xml"))]
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in ARGUMENTS),
            *profiles,
            OpaqueFunction(function=depth_node),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", str(CONFIG / "depth.rviz"), "-f", LaunchConfiguration("fixed_frame")],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
