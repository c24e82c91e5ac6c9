# SPDX-License-Identifier: Apache-2.0
"""A few steps of the teacher on real recordings: gray frames with poses, and a bag of six cameras with odometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from ssd_core.images.codec import read_image
from ssd_core.storage.json_lines import read_json_lines
from ssd_core.training.run import run_training

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data"
KITTI = RECORDINGS / "kitti_odometry_gray" / "KITTI_sequence_1"
BAG = RECORDINGS / "bag_ddad"


def train(tmp_path: Path, recording: Path, steps: int, *more: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    if not recording.exists():
        pytest.skip(f"the sample recording {recording.name} isn't here")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
task: teacher
model: {{architecture: resnet, size: half, input_size: [140, 56]}}
pose: {{architecture: correlation, search: [3, 4]}}
loss: {{divisors: [1, 2]}}
loop: {{steps: {steps}, batch_size: 3, workers: 0, precision: fp32, warm_up_steps: 1, encoder_learning_rate: 1.0e-3,
  head_learning_rate: 1.0e-3, pose_learning_rate: 1.0e-3, validate_every: {steps}, save_every: 100, pictures_every: 100}}
data: {{train: [{{path: "{recording}"}}], validation: [{{path: "{recording}"}}], image_size: [140, 44], validation_frames: 2}}
"""
    )
    _, figures = run_training(recipe, tmp_path / "out", more, Console(quiet=True))
    assert read_image(tmp_path / "out" / "pictures" / "step_0000001.jpg").size
    return [record for record in read_json_lines(tmp_path / "out" / "history.jsonl") if "loss" in record], figures


def test_gray_frames_with_poses(tmp_path: Path) -> None:
    history, figures = train(tmp_path, KITTI, 14)
    losses = [record["loss"] for record in history]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert "row_prior" not in figures and figures["score"] == figures["photometric"]
    assert 0 < figures["motion/metres_constant_speed"] < 1 and 0 < figures["motion/degrees_no_turning"] < 5


def test_a_bag_of_six_cameras_with_lidar(tmp_path: Path) -> None:
    history, figures = train(tmp_path, BAG, 4, "focal_length=1.1")
    assert np.isfinite([record["loss"] for record in history]).all()
    assert 0 < figures["unknown/abs_rel"] < 3 and 0 < figures["unknown/row_prior"] < 1
    # All cameras see the car drive 1.3 m from frame to frame.
    assert figures["motion/metres_constant_speed"] > 0.1
