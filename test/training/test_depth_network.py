# SPDX-License-Identifier: Apache-2.0
"""What a recipe's network starts from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ssd_core.model.checkpoint import ModelLoadError, save_checkpoint
from ssd_core.model.config import ModelDescription, NetworkSize, TrainingCamera
from ssd_core.model.depth_model import DepthModel
from ssd_core.training.config import ModelConfig
from ssd_core.training.depth_network import describe, make_model

TINY = NetworkSize(16, 4, 2, (0, 1, 2, 3), (8, 8, 8, 8), 8)
SIZE = (70, 42)


def save(folder: Path, **changes: Any) -> str:
    """A checkpoint that says of itself what a recipe without changes asks for, but for these."""
    same = {"parametrisation": "sigmoid_disparity", "input_size": SIZE, "min_depth": 0.1, "max_depth": 80.0}
    save_checkpoint(folder, DepthModel.create(TINY, ModelDescription.model_validate(same | changes)))
    return str(folder)


def start(checkpoint: str, focal_length: float | None = None) -> ModelDescription:
    config = ModelConfig(start=checkpoint, input_size=SIZE)
    return make_model(config, describe(config, {}, focal_length), 0).description


@pytest.mark.parametrize("parametrisation", ["metric", "relative_inverse"])
def test_a_checkpoint_whose_output_means_something_else_is_refused(parametrisation: str, tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "other", parametrisation=parametrisation)
    with pytest.raises(ModelLoadError, match=rf"model\.start: .*other is {parametrisation} .*model\.encoder=facebook/dinov2-small"):
        start(checkpoint)


def test_one_of_the_same_meaning_is_taken_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert start(save(tmp_path / "plain")).max_depth == 80
    # Its input was twice as large; as a share of the width its lens is the same.
    camera = TrainingCamera(width=140, height=84, fx=140, fy=140)
    start(save(tmp_path / "canonical", training_camera=camera, focal_normalisation=True), focal_length=1.0)
    assert not caplog.records


@pytest.mark.parametrize(
    ("changes", "focal_length", "told"),
    [
        ({"max_depth": 400.0}, None, "says depth of 0.1 to 400 m, this recipe of 0.1 to 80 m"),
        ({}, 1.1, "was trained without a canonical camera"),
        ({"training_camera": TrainingCamera(width=70, height=42, fx=70, fy=70), "focal_normalisation": True}, None, "trained with a canon"),
        ({"training_camera": TrainingCamera(width=70, height=42, fx=70, fy=70), "focal_normalisation": True}, 1.1, "1.00 .*1.10"),
    ],
)
def test_what_it_must_learn_anew_is_told(
    changes: dict[str, Any], focal_length: float | None, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(save(tmp_path / "other", **changes), focal_length)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert re.search(told, record.getMessage())
