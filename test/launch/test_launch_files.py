# SPDX-License-Identifier: Apache-2.0
"""Launch files, configuration and the installed layout, as far as they can be checked without the launch packages."""

import ast
import json
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock
from xml.etree import ElementTree

import pytest
import yaml

from ssd_depth_ros.parameters import FIELDS, validate

ROOT = Path(__file__).parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
PARAMETERS = {field.name for field in FIELDS}
LAUNCH_MODULES = ("launch", "launch.actions", "launch.conditions", "launch.substitutions", "launch_ros", "launch_ros.actions")
SCHEMES = ("nuscenes_to_ros2bag", "scepter914", "chris7462", "clynamen")


def constants(path):
    """The values of a launch file's capital names that need nothing but literals and each other."""
    known = {"tuple": tuple}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            try:
                known[node.targets[0].id] = eval(compile(ast.Expression(node.value), str(path), "eval"), dict(known))
            except (NameError, AttributeError, TypeError):
                continue
    return known


def argument_names(path):
    """First strings of the tuples that declare the launch arguments."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ("ARGUMENTS", "FORWARDED"):
            names |= {entry.elts[0].value for entry in node.value.elts}
    return names


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_launch_files_are_python_that_old_distributions_understand(path):
    text = path.read_text()
    tree = ast.parse(text, feature_version=(3, 10))  # Humble
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert "generate_launch_description" in functions
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not any(getattr(call.func, "id", "") == "LifecycleNode" for call in calls), "Humble's has no autostart"
    executables = {
        keyword.value.value
        for call in calls
        if getattr(call.func, "id", "") == "Node"
        for keyword in call.keywords
        if keyword.arg == "executable"
    }
    ours = executables - {"rviz2"}
    assert ours and ours <= {file.name for file in (ROOT / "resource" / "executables").iterdir()}


def test_the_arguments_that_people_know_are_there():
    depth = argument_names(ROOT / "launch" / "depth.launch.py")
    wanted = "image camera_info model backend namespace params_file autostart rviz python use_sim_time log_level"
    assert set(wanted.split(" ")) <= depth
    nuscenes = argument_names(ROOT / "launch" / "nuscenes.launch.py")
    assert {"scheme", "bag", "cameras", "use_sim_time", "python", "rviz", "model", "params_file"} <= nuscenes


def test_the_texts_of_depth_launch_are_parameters_of_the_node():
    texts = constants(ROOT / "launch" / "depth.launch.py")["TEXTS"]
    assert set(texts.values()) <= PARAMETERS
    assert set(texts) <= argument_names(ROOT / "launch" / "depth.launch.py")


@pytest.fixture
def depth_launch(monkeypatch):
    """What depth.launch.py defines, with dummies for the launch packages."""
    for name in (*LAUNCH_MODULES, "ament_index_python", "ament_index_python.packages"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    sys.modules["ament_index_python.packages"].get_package_share_directory = lambda _: str(ROOT)
    return SimpleNamespace(**runpy.run_path(str(ROOT / "launch" / "depth.launch.py")))


@pytest.mark.parametrize(
    ("arguments", "file", "image", "info", "cameras"),
    [
        ({}, "", "/CAM_FRONT/image_rect_compressed", "/CAM_FRONT/camera_info", ()),
        ({"image": "/front/image"}, "", "/front/image", "/front/camera_info", ()),
        ({}, "image_topic: '/mine/image'", "/mine/image", "/mine/camera_info", ()),
        ({"image": "/front/image"}, "image_topic: '/mine/image'", "/front/image", "/front/camera_info", ()),
        ({}, "cameras: ['a', 'b']", "/a/image_rect_compressed", "/a/camera_info", ("a", "b")),
        ({"cameras": "a, b"}, "cameras: ['']", "/a/image_rect_compressed", "/a/camera_info", ("a", "b")),
    ],
)
def test_topics_of_arguments_and_parameter_file(depth_launch, tmp_path, arguments, file, image, info, cameras):
    path = tmp_path / "mine.yaml"
    path.write_text(f"robot:\n  ssd_depth:\n    ros__parameters:\n      {file}\n")
    values = {name: default for name, default, _ in depth_launch.ARGUMENTS} | arguments
    in_file = depth_launch.read_parameters(str(path))
    chosen = depth_launch.parameters(values, in_file)
    settings = validate({name: value for name, value in (in_file | chosen).items() if name in PARAMETERS})
    assert settings.cameras == cameras
    camera = cameras[0] if cameras else ""
    assert (settings.image_topic_of(camera), settings.camera_info_topic_of(camera)) == (image, info)


def test_the_shipped_parameter_file_leaves_the_topics_open(depth_launch):
    in_file = depth_launch.read_parameters(str(ROOT / "config" / "depth.yaml"))
    values = {name: default for name, default, _ in depth_launch.ARGUMENTS}
    assert depth_launch.parameters(values, in_file)["image_topic"] == "/CAM_FRONT/image_rect_compressed"


def test_the_interpreter_is_settled_for_the_player_too(depth_launch):
    context = SimpleNamespace(launch_configurations={name: default for name, default, _ in depth_launch.ARGUMENTS})
    sys.modules["launch.substitutions"].LaunchConfiguration = lambda name: SimpleNamespace(
        perform=lambda at: at.launch_configurations[name]
    )
    depth_launch.depth_node.__globals__["LaunchConfiguration"] = sys.modules["launch.substitutions"].LaunchConfiguration
    depth_launch.depth_node.__globals__["write_parameters"] = lambda *_: "parameters.yaml"
    context.launch_configurations["params_file"] = ""
    depth_launch.depth_node(context)
    assert context.launch_configurations["python"] == depth_launch.interpreter() != ""


@pytest.mark.parametrize("name", SCHEMES)
def test_schemes_are_valid_parameters(name):
    scheme = constants(ROOT / "launch" / "nuscenes.launch.py")["SCHEMES"][name]
    in_file = yaml.safe_load((ROOT / "config" / "nuscenes.yaml").read_text())["/**"]["ros__parameters"]
    settings = validate(
        in_file
        | {
            "cameras": list(scheme["cameras"]),
            "image_topic": scheme["image"],
            "camera_info_topic": scheme["camera_info"],
            "rectified": scheme["rectified"],
            "fx": float(scheme.get("fx", 0)),
        }
    )
    # Of the schemes two are of raw images, two of compressed ones.
    assert settings.transport == "auto"
    topics = {settings.image_topic_of(camera) for camera in settings.cameras}
    assert len(topics) == len(scheme["cameras"]) >= 5
    expected = {"chris7462": "/nuscenes/cam_front/image_raw", "clynamen": "/cam_front/raw"}.get(name, "/CAM_FRONT/image_rect_compressed")
    assert expected in topics


def test_the_nuscenes_configuration_is_that_of_the_default_scheme():
    content = yaml.safe_load((ROOT / "config" / "nuscenes.yaml").read_text())
    values = content["/**"]["ros__parameters"]
    assert set(values) <= PARAMETERS
    settings = validate(values)
    scheme = constants(ROOT / "launch" / "nuscenes.launch.py")["SCHEMES"]["nuscenes_to_ros2bag"]
    assert (settings.cameras, settings.image_topic, settings.camera_info_topic) == (
        scheme["cameras"],
        scheme["image"],
        scheme["camera_info"],
    )


@pytest.mark.parametrize("name", ["nuscenes.yaml", "depth.yaml"])
def test_strings_in_parameter_files_are_quoted(name):
    """ROS reads a bare y, n, yes, no, on, off as a boolean, and that ends rclpy.init."""

    def check(node):
        if isinstance(node, yaml.MappingNode):
            for _, value in node.value:
                check(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                check(value)
        elif node.tag == "tag:yaml.org,2002:str":
            assert node.style in ("'", '"'), f"{name}:{node.start_mark.line + 1}: {node.value}"

    check(yaml.compose((ROOT / "config" / name).read_text()))


def test_the_shared_memory_profile():
    root = ElementTree.parse(ROOT / "config" / "fastdds.xml").getroot()
    space = {"d": "http://www.eprosima.com"}
    transports = {node.findtext("d:transport_id", "", space): node for node in root.iterfind(".//d:transport_descriptor", space)}
    used = [node.text for node in root.iterfind(".//d:userTransports/d:transport_id", space)]
    assert sorted(used) == sorted(transports) and len(used) == 2
    shared = next(node for node in transports.values() if node.findtext("d:type", "", space) == "SHM")
    segment, message = (int(shared.findtext(f"d:{name}", "0", space)) for name in ("segment_size", "maxMessageSize"))
    assert segment == 64 * 2**20 and 24_000_000 < message <= segment
    assert root.find(".//d:participant", space).get("is_default_profile") == "true"


def test_the_layouts_show_what_the_node_publishes():
    rviz = yaml.safe_load((ROOT / "config" / "depth.rviz").read_text())
    topics = set(re.findall(r"Value: (/\S+)", (ROOT / "config" / "depth.rviz").read_text()))
    assert {"/depth/points", "/depth/preview", "/CAM_FRONT/depth/points", "/LIDAR_TOP"} <= topics
    classes = {display["Class"] for display in rviz["Visualization Manager"]["Displays"]}
    assert {"rviz_default_plugins/TF", "rviz_default_plugins/PointCloud2", "rviz_common/Group"} <= classes
    layout = json.loads((ROOT / "config" / "foxglove.json").read_text())
    panels = set(re.findall(r'"(\w+!\w+)"', json.dumps(layout["layout"])))
    assert panels == set(layout["configById"])
    assert {"/CAM_FRONT/depth/points", "/LIDAR_TOP"} <= set(layout["configById"]["3D!scene"]["topics"])


def test_pip_installs_what_ros_looks_for(tmp_path):
    """share/ and lib/ of the wheel: the ament index, launch files, configuration, samples, executables with mode 755."""
    source = tmp_path / "source"
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True)
    if listed.returncode:
        pytest.skip("no git checkout: the wheel would be built from an unknown set of files")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod((ROOT / name).stat().st_mode)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        data = {re.sub(r"^[^/]+\.data/data/", "", entry.filename): entry for entry in wheel.infolist() if ".data/data/" in entry.filename}
        assert "share/ament_index/resource_index/packages/ssd_depth_ros" in data
        share = {name.removeprefix("share/ssd_depth_ros/") for name in data if name.startswith("share/ssd_depth_ros/")}
        assert {"package.xml", "launch/depth.launch.py", "launch/nuscenes.launch.py"} <= share
        assert {f"config/{name}" for name in ("depth.yaml", "nuscenes.yaml", "depth.rviz", "foxglove.json", "fastdds.xml")} <= share
        assert {"experiment.yaml", "recipes/teacher_rendered.yaml", "recipes/student_rendered.yaml"} <= share
        samples = {f"sample/{path.name}" for path in (ROOT / "resource" / "sample").glob("*.mcap")}
        assert samples <= share
        for name in ("depth_node", "bag_player", "recorder", "demo"):
            entry = data[f"lib/ssd_depth_ros/{name}"]
            assert entry.external_attr >> 16 & 0o777 == 0o755, name
            assert wheel.read(entry).startswith(b"#!/usr/bin/env python3\n")


def test_colcon_finds_the_metadata_through_a_link(tmp_path):
    """`colcon build --symlink-install` runs a link to setup.py in a folder that has the packages, but not the README."""
    (tmp_path / "setup.py").symlink_to(ROOT / "setup.py")
    result = subprocess.run([sys.executable, "setup.py", "--long-description"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (ROOT / "README.md").read_text() in result.stdout
