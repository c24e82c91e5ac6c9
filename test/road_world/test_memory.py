# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.road_world.renderer import Renderer
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.render
def test_renderers_give_their_graphics_memory_back() -> None:
    scene = Scene.of_parts(())
    pose = scene.world_from_base(0.0) @ BODY_FROM_OPTICAL

    def render_once(degrees: float) -> None:
        Renderer(PinholeCamera.from_field_of_view(400, 224, degrees)).render(scene, pose, 0.0, "day-clear")

    for number in range(3):
        render_once(50.0 + number)
    before = resident_megabytes()
    for number in range(20):
        render_once(60.0 + number)
    # Kept until the end they would be 9 MB each.
    assert resident_megabytes() - before < 90
