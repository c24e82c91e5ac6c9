# SPDX-License-Identifier: Apache-2.0
"""Six nuScenes cameras in one node, and on wish the recording: `ros2 launch ssd_depth_ros nuscenes.launch.py bag:=PATH`.

`scheme` names the tool that made the recording, because each names its topics in its own way. Recordings of Foxglove's nuscenes2mcap
hold protobuf instead of ROS messages: `ros2 bag play` refuses them, the player behind bag:= turns them into ROS messages.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

PACKAGE = "ssd_depth_ros"
SHARE = Path(get_package_share_directory(PACKAGE))

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
LOWER_CASE = tuple(name.lower() for name in CAMERAS)
# Five of nuScenes' cameras share a lens within 1 %; the back camera's is wider (fx:=809 cameras:=cam_back).
COMMON_FOCAL_LENGTH = "1263.0"

UPPER_CASE_SCHEME = {
    "image": "/{camera}/image_rect_compressed",
    "camera_info": "/{camera}/camera_info",
    "cameras": CAMERAS,
    "rectified": "true",
}
# All of nuScenes' images are rectified, whatever a scheme calls them.
SCHEMES = {
    "nuscenes_to_ros2bag": UPPER_CASE_SCHEME,
    "scepter914": UPPER_CASE_SCHEME,
    "chris7462": {
        "image": "/nuscenes/{camera}/image_raw",
        "camera_info": "/nuscenes/{camera}/camera_info",
        "cameras": LOWER_CASE,
        "rectified": "true",
    },
    "clynamen": {
        "image": "/{camera}/raw",
        "camera_info": "/{camera}/camera_info",
        "cameras": tuple(name for name in LOWER_CASE if name != "cam_back"),
        "rectified": "true",
        "fx": COMMON_FOCAL_LENGTH,
    },
}

# Handed on to depth.launch.py as they are.
FORWARDED = (
    ("model", "", "bundled, a checkpoint folder or a Hugging Face Hub id"),
    ("backend", "", "auto, tensorrt, openvino or torch"),
    ("namespace", "", "namespace of the node; the topics stay absolute"),
    ("autostart", "true", "configure and activate at once"),
    ("log_level", "info", "debug, info, warn or error"),
    ("python", "", "Python interpreter that has torch and this package; empty: that of ros2, else python3"),
    ("rviz", "false", "also start rviz2"),
    ("fixed_frame", "base_link", "rviz's fixed frame; without /tf a camera's own frame, e.g. CAM_FRONT"),
)
ARGUMENTS = (
    ("scheme", "nuscenes_to_ros2bag", "what made the recording: " + ", ".join(SCHEMES)),
    ("cameras", "", "camera names separated by commas; empty: the scheme's"),
    ("fx", "", "focal length in pixels; empty: the scheme's, or CameraInfo"),
    ("params_file", str(SHARE / "config" / "nuscenes.yaml"), "parameters of the node"),
    ("bag", "", "recording to play, with /clock; the node then uses its time"),
    ("rate", "1.0", "how many times faster than recorded"),
    ("loop", "false", "play again and again"),
    ("use_sim_time", "auto", "take the time from /clock; auto: with a bag"),
)


def describe(context):
    """The node and the player for the arguments given."""
    values = {name: LaunchConfiguration(name).perform(context) for name, _, _ in (*FORWARDED, *ARGUMENTS)}
    if values["scheme"] not in SCHEMES:
        raise ValueError(f"scheme:={values['scheme']}: none of {', '.join(SCHEMES)}")
    scheme = SCHEMES[values["scheme"]]
    arguments = {name: values[name] for name, _, _ in FORWARDED}
    arguments.update(
        image=scheme["image"],
        camera_info=scheme["camera_info"],
        rectified=scheme["rectified"],
        cameras=values["cameras"] or ",".join(scheme["cameras"]),
        fx=values["fx"] or scheme.get("fx", ""),
        params_file=values["params_file"],
        use_sim_time=("true" if values["bag"] else "false") if values["use_sim_time"] == "auto" else values["use_sim_time"],
    )
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "depth.launch.py")), launch_arguments=arguments.items()
    )
    heard = [
        arguments[topic].replace("{camera}", name.strip()) for name in arguments["cameras"].split(",") for topic in ("image", "camera_info")
    ]
    return [depth, *([OpaqueFunction(function=player, args=[heard])] if values["bag"] else [])]


def player(context, heard):
    """The player, which waits until the node hears these topics; after depth.launch.py, which has settled the interpreter."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ("bag", "rate", "loop", "python")}
    arguments = [values["bag"], "--clock", "--rate", values["rate"], "--wait-for-subscribers", "60", "--heard", *heard]
    if values["loop"].lower() == "true":
        arguments.append("--loop")
    return [
        Node(package=PACKAGE, executable="bag_player", arguments=arguments, prefix=[values["python"]], output="screen", emulate_tty=True)
    ]


def generate_launch_description() -> LaunchDescription:
    """What ros2 launch calls."""
    declared = [DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in (*FORWARDED, *ARGUMENTS)]
    return LaunchDescription([*declared, OpaqueFunction(function=describe)])
