# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.data.transforms import Sample
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg
from ssd_core.model.change_detector import load_change_detector
from ssd_core.storage.json_lines import read_json_lines
from ssd_core.training.changes import ChangesConfig, ChangesDataset, changed_cells, shifted
from ssd_core.training.run import load_recipe, run_training

WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright box before a wall by day, the same or an empty wall by night, of eight moments."""
    folder = tmp_path_factory.mktemp("moments")
    writer = FrameDatasetWriter(folder, {"kind": "rendered_changes"})
    camera = PinholeCamera.from_field_of_view(WIDTH, HEIGHT, 60.0)
    for moment in range(8):
        left = 8 + 8 * (moment % 4)
        for content, condition in (
            ("whole", "day-clear"),
            ("gone", "day-clear"),
            ("whole", "night"),
            ("gone", "night"),
            ("moved", "night"),
        ):
            image = np.full((HEIGHT, WIDTH, 3), 160, dtype=np.uint8)
            depth = np.full((HEIGHT, WIDTH), 20.0, dtype=np.float32)
            depth[:16] = np.inf
            if content != "gone":
                start = left + (24 if content == "moved" else 0)
                image[24:48, start : start + 24], depth[24:48, start : start + 24] = 250, 8.0
            image = image if condition == "day-clear" else (image // 4).astype(np.uint8)
            name = f"scene-{moment:05d}/front/00_{content}_{condition}"
            frame = Frame(name, f"scene-{moment}", "front", moment, camera, condition=condition)
            writer.add(frame, encode_jpeg(image, 95), depth=depth)
    return folder


def config_of(moments: Path, *overrides: str) -> ChangesConfig:
    recipe = Path(__file__).resolve().parents[2] / "training" / "recipes" / "changes_rendered.yaml"
    config = load_recipe(recipe, [f"data.train=[{moments}]", f"data.validation=[{moments}]", *OVERRIDES, *overrides])
    assert isinstance(config, ChangesConfig)
    return config


OVERRIDES = (f"input_size=[{WIDTH},{HEIGHT}]", "encoder=null", "width=8", "loop.workers=0", "loop.precision=fp32", "loop.batch_size=4")


def test_cells_say_where_depth_differs() -> None:
    image = np.zeros((20, 16, 3), dtype=np.uint8)
    before = np.full((20, 16), 10.0, dtype=np.float32)
    before[:4] = np.inf
    after = before.copy()
    after[8:16, :4], after[0, 15] = 5.0, 30.0
    after[17, 3] = 10.01  # what storing rounds
    cells = changed_cells(Sample(image, dense_depth=before), Sample(image, dense_depth=after))
    np.testing.assert_allclose(cells[0], [[0, 1 / 64], [0.5, 0], [0, 0]])


@pytest.mark.parametrize("share", [0.25, -0.25])
def test_shifting_repeats_the_edge(share: float) -> None:
    image = np.arange(8, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    expected = [0, 0, 0, 1, 2, 3, 4, 5] if share > 0 else [2, 3, 4, 5, 6, 7, 7, 7]
    assert shifted(image, share)[0, :, 0].tolist() == expected


def test_pairs_are_of_all_kinds_and_depend_on_their_draw_alone(moments: Path) -> None:
    config = config_of(moments)
    first, second = (ChangesDataset([moments], config, augment=True) for _ in range(2))
    kinds = set()
    for epoch in range(8):
        for place in range(len(first)):
            item, same = first[epoch, place, 0], second[epoch, place, 7]
            for name in ("source", "translated", "changed"):
                np.testing.assert_array_equal(item[name], same[name])
            assert item["source"].shape == item["translated"].shape == (HEIGHT, WIDTH, 3)
            assert item["changed"].shape == (1, 8, 12)
            kind = ("same", "object", "physical", "elsewhere")[item["kind"]]
            kinds.add((kind, bool(item["changed"].any())))
    assert kinds == {("same", False), ("object", True), ("physical", False), ("physical", True), ("elsewhere", True)}


def test_a_detector_learns_resumes_and_is_saved(moments: Path, tmp_path: Path) -> None:
    recipe = Path(__file__).resolve().parents[2] / "training" / "recipes" / "changes_rendered.yaml"
    overrides = [f"data.train=[{moments}]", f"data.validation=[{moments}]", *OVERRIDES, "data.shares=[0.5,0.5,0,0]"]
    overrides += ["loop.steps=60", "loop.validate_every=60", "loop.warm_up_steps=5", "loop.head_learning_rate=3e-3"]
    overrides += ["loop.encoder_learning_rate=1e-3", "loop.ema_decay=0.8"]
    run_training(recipe, tmp_path / "run", [*overrides, "loop.minutes=0.02"], Console(quiet=True))
    trainer, figures = run_training(recipe, tmp_path / "run", overrides, Console(quiet=True))
    assert trainer.is_finished
    losses = [record["cell"] for record in read_json_lines(tmp_path / "run" / "history.jsonl") if "cell" in record]
    assert len(losses) == 60 and np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])
    assert {"score", "rendered/found", "rendered/area", "rendered/limit"} == figures.keys()
    assert load_change_detector(tmp_path / "run" / "best").config.recipe["width"] == 8


def test_frames_of_another_kind_are_refused(tmp_path: Path, moments: Path) -> None:
    writer = FrameDatasetWriter(tmp_path, {"kind": "walls"})
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    writer.add(Frame("wall/0", "wall", "front", 0, PinholeCamera.from_field_of_view(WIDTH, HEIGHT, 60.0)), encode_jpeg(image, 95))
    with pytest.raises(DataError, match="no moment of rendered changes"):
        ChangesDataset([tmp_path], config_of(moments), augment=True)
