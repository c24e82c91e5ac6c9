# SPDX-License-Identifier: Apache-2.0
"""The parameter table: values are checked together, documentation and YAML files agree with it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssd_depth_ros import parameters
from ssd_depth_ros.parameters import ParameterError, Settings, validate

ROOT = Path(__file__).parents[2]
NAMES = {field.name for field in parameters.FIELDS}


def test_defaults_are_valid_and_every_parameter_is_described() -> None:
    assert validate({}) == Settings()
    for name in NAMES:
        assert len(parameters.rule_of(name).description) > 10


def test_documentation_is_up_to_date() -> None:
    fix = "run: python -m ssd_depth_ros.parameters --out docs/parameters.md"
    assert (ROOT / "docs/parameters.md").read_text() == parameters.document(), fix
    fix = "run: python -m ssd_depth_ros.parameters --yaml --out config/depth.yaml"
    assert (ROOT / "config/depth.yaml").read_text() == parameters.yaml_document(), fix


def parameter_sections(content: Any) -> list[dict[str, Any]]:
    if not isinstance(content, dict):
        return []
    found = [content["ros__parameters"]] if "ros__parameters" in content else []
    return found + [section for value in content.values() for section in parameter_sections(value)]


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_yaml_keys_are_declared_parameters_with_valid_values(path: Path) -> None:
    sections = parameter_sections(yaml.safe_load(path.read_text()))
    assert sections, f"{path.name} sets no parameters"
    for section in sections:
        ours = {name: value for name, value in section.items() if name not in ("use_sim_time", "qos_overrides")}
        assert set(ours) <= NAMES
        validate(ours)


def test_default_yaml_lists_every_parameter_with_its_default() -> None:
    (section,) = parameter_sections(yaml.safe_load((ROOT / "config/depth.yaml").read_text()))
    assert set(section) == NAMES
    assert validate(section) == Settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "colour: no such parameter"),
        ({"backend": "cuda"}, "backend: 'cuda' is none of auto"),
        ({"cloud_stride": 0}, "cloud_stride: 0 is outside 1 .. 64"),
        ({"cloud_stride": 2.5}, "cloud_stride: integer is expected, got 2.5"),
        ({"cloud_stride": True}, "cloud_stride: integer is expected, got True"),
        ({"depth_scale": float("nan")}, "depth_scale: nan is outside"),
        ({"depth_scale": float("inf")}, "depth_scale: inf is outside"),
        ({"max_depth": float("inf")}, "max_depth: inf is outside"),
        ({"depth_scale": "1"}, "depth_scale: double is expected"),
        ({"model": 3}, "model: string is expected"),
        ({"min_depth": 10.0, "max_depth": 5.0}, "max_depth: 5.0 isn't above min_depth 10.0"),
        ({"preview_min_depth": 90.0}, "preview_max_depth: 80.0 isn't above"),
        ({"input_size": [500, 300]}, "input_size: .*multiples of 14"),
        ({"input_size": [448, 0]}, "input_size"),
        ({"input_size": [448]}, "input_size"),
        ({"input_size": 448}, "input_size: a list is expected"),
        ({"input_size": ["448", "252"]}, "input_size: a list of integers"),
        ({"cameras": "CAM_FRONT"}, "cameras: a list is expected"),
        ({"cameras": ["a", "a"]}, "names a camera twice"),
        ({"image_topic": "/{camera}/image"}, "`cameras` is empty"),
        ({"image_topic": "/image", "cameras": ["a", "b"]}, "needs {camera}"),
        ({"width": 640}, "give both or none"),
        ({"backend": "cuda", "cloud_stride": 0}, "backend: .*; cloud_stride: "),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        validate(values)


def test_integers_are_taken_for_doubles_and_lists_of_empty_strings_for_empty_lists() -> None:
    settings = validate({"depth_scale": 2, "cameras": [""]})
    assert settings.depth_scale == 2.0 and isinstance(settings.depth_scale, float)
    assert settings.cameras == ()
    assert validate({"rectified": True}).rectified == "true"


def test_topics_of_one_and_of_several_cameras() -> None:
    assert (Settings().image_topic_of(""), Settings().camera_info_topic_of("")) == ("image", "camera_info")
    several = validate({"cameras": ["CAM_FRONT", "CAM_BACK"]})
    assert several.image_topic_of("CAM_BACK") == "/CAM_BACK/image_rect_compressed"
    assert several.camera_info_topic_of("CAM_BACK") == "/CAM_BACK/camera_info"
    beside = validate({"image_topic": "/camera_05/image/compressed"})
    assert beside.camera_info_topic_of("") == "/camera_05/camera_info"
    own = validate({"cameras": ["cam_front"], "image_topic": "/nuscenes/{camera}/image_raw"})
    assert own.image_topic_of("cam_front") == "/nuscenes/cam_front/image_raw"


def test_the_table_can_be_read_without_ros(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['rclpy'] = None; sys.modules['rcl_interfaces'] = None; import ssd_depth_ros.parameters as p; p.document()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
