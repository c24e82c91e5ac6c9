# SPDX-License-Identifier: Apache-2.0
"""The floors of docs/architecture.md, read off the imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "ssd_core.storage": -1,
    "ssd_core.geometry": 0,
    "ssd_core.images": 0,
    "ssd_core.weights": 0,
    "ssd_core.model": 1,
    "ssd_core.road_world": 1,
    "ssd_core.runtime": 2,
    "ssd_core.losses": 2,
    "ssd_core.data": 2,
    "ssd_core.gdt": 3,
    "ssd_core.evaluation": 3,
    "ssd_core.diagnosis": 3,
    "ssd_core.training": 4,
    "ssd_core.command_line": 5,
    "ssd_depth_ros": 5,
    "training": 6,
    "bench": 6,
}
ROS_PACKAGES = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "geometry_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "nav_msgs",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "sensor_msgs_py",
    "std_msgs",
    "tf2_msgs",
}
MODULES = sorted(path for folder in ("ssd_core", "ssd_depth_ros", "training", "bench") for path in (ROOT / folder).rglob("*.py"))


def room_of(module: str) -> str | None:
    return next((room for room in FLOORS if module == room or module.startswith(room + ".")), None)


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: import absolutely"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_from_lower_floors(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    room = room_of(module)
    if room is None:
        assert module in ("ssd_core.__init__",), f"{module} stands in no room of the plan"
        return
    for name in imports_of(path):
        target = room_of(name)
        if target and target != room:
            assert FLOORS[target] < FLOORS[room], f"{module} (floor {FLOORS[room]}) imports {name} (floor {FLOORS[target]})"


@pytest.mark.parametrize("path", [path for path in MODULES if "ssd_core" in path.parts], ids=lambda path: str(path.relative_to(ROOT)))
def test_core_never_imports_ros(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports_of(path)} & ROS_PACKAGES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0")
    if path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(text)), f"{path} has no module docstring"
