# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.render
def test_renderers_may_be_let_go_in_another_thread() -> None:
    """As Python's garbage collector does, in whichever thread it happens to run: a progress bar's, say."""
    script = """
import threading
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.road_world.renderer import Renderer, shared_graphics
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL

scene = Scene.of_parts(())
pose = scene.world_from_base(0.0) @ BODY_FROM_OPTICAL
camera = PinholeCamera.from_field_of_view(64, 48, 60.0)
held = [Renderer(camera) for _ in range(3)]
images = [renderer.render(scene, pose, 0.0, "day-clear").image for renderer in held]
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
waiting = len(shared_graphics().context.objects)
again = Renderer(camera).render(scene, pose, 0.0, "day-clear").image
assert len(shared_graphics().context.objects) < waiting
assert (again == images[0]).all()
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
