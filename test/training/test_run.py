# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import filelock
import pytest
from rich.console import Console

from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.training.run import data_folder

pytestmark = pytest.mark.render

PLAN = RenderedSequences(first_scene=7, scenes=1, frames=3, width=64, height=32)


def test_a_plan_that_another_run_renders_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSD_DEPTH_CACHE", str(tmp_path))
    folder = data_folder(PLAN, Console(quiet=True))
    records = (folder / "frames.jsonl").read_text()
    said, found = io.StringIO(), []
    second = threading.Thread(target=lambda: found.append(data_folder(PLAN, Console(file=said, width=500))))
    with filelock.FileLock(folder.with_name(f".{folder.name}.renders.lock")):
        second.start()
        deadline = time.monotonic() + 60
        while str(folder) not in said.getvalue():
            assert time.monotonic() < deadline, "it doesn't say that it waits"
            time.sleep(0.02)
        assert "waiting for another run" in said.getvalue() and not found
    second.join(60)
    assert found == [folder]
    assert (folder / "frames.jsonl").read_text() == records
