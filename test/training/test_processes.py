# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from small_video import write_video

from ssd_core.storage.json_lines import read_json_lines
from ssd_core.training.run import run_training

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    video = write_video(tmp_path / "video", 8)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"""
task: teacher
model: {{size: ti, input_size: [56, 42]}}
pose: {{architecture: correlation, search: [2, 2]}}
loop: {{steps: 4, batch_size: 4, workers: 0, precision: fp32, validate_every: 100, save_every: 1, warm_up_steps: 1, clip_norm: 1.0e+9}}
data: {{train: [{{path: "{video}"}}], validation: [{{path: "{video}"}}], image_size: [56, 34], validation_frames: 1}}
"""
    )
    return path


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"} | more


def gradients(recipe: Path, out: Path, processes: int) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, str(Path(__file__).parent / "two_processes.py"), str(recipe), str(out)]
    ranks: list[dict[str, str]] = [{}]
    if processes > 1:
        shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        ranks = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    started = [subprocess.Popen(command, env=environment(**rank)) for rank in ranks]
    try:
        assert [process.wait(timeout=120) for process in started] == [0] * processes
    finally:
        for process in started:
            process.kill()
    saved: dict[str, Any] = torch.load(out, weights_only=True)
    assert saved["processes"] == processes
    return dict(saved["gradients"])


def test_two_processes_have_the_gradients_of_one_with_twice_the_batch(recipe: Path, tmp_path: Path) -> None:
    one = gradients(recipe, tmp_path / "one.pt", 1)
    recipe.write_text(recipe.read_text().replace("batch_size: 4", "batch_size: 2"))
    two = gradients(recipe, tmp_path / "two.pt", 2)
    assert one.keys() <= two.keys()  # what isn't used has a gradient of zero between processes
    largest = max(float(value.abs().max()) for value in one.values())
    assert largest > 1e-3
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, atol=1e-5 * max(1.0, largest), rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_a_killed_run_goes_on_bit_for_bit(recipe: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "training" / "train.py"), "--config", str(recipe), "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    history = tmp_path / "killed" / "history.jsonl"
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until and not (history.exists() and len(read_json_lines(history)) >= 2):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "the run was over before it could be killed"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums over threads are in another order
    try:
        trainer, _ = run_training(recipe, tmp_path / "killed", [], Console(quiet=True))
        run_training(recipe, tmp_path / "whole", [], Console(quiet=True))
    finally:
        torch.set_num_threads(threads)
    assert trainer.is_finished
    assert read_json_lines(history) == read_json_lines(tmp_path / "whole" / "history.jsonl")
    for file in ("model.safetensors", "pose_net/model.safetensors"):
        assert (tmp_path / "killed" / "last" / file).read_bytes() == (tmp_path / "whole" / "last" / file).read_bytes()
