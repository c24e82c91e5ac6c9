# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from ssd_core.command_line.main import app
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.storage.configuration import ConfigurationError, load_configuration
from ssd_core.storage.json_lines import read_json_lines
from ssd_core.training.run import run_training
from ssd_core.training.supervised import SupervisedConfig, SupervisedDataset, SupervisedTask


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Walls of different brightness at different distances, seen by two cameras, under a bright sky."""
    folder = tmp_path_factory.mktemp("frames")
    writer = FrameDatasetWriter(folder, {"kind": "walls"})
    for number in range(16):
        camera = PinholeCamera.from_field_of_view(96, 56, 60.0 if number % 2 else 90.0)
        distance = 4.0 + 2.0 * number
        image = np.full((56, 96, 3), 250, dtype=np.uint8)
        image[20:] = 20 + 12 * number
        depth = np.full((56, 96), np.inf, dtype=np.float32)
        depth[20:] = distance
        condition = "night" if number % 4 == 0 else "day-clear"
        writer.add(Frame(f"wall/{number:02d}", "wall", "CAM", number, camera, condition=condition), encode_jpeg(image, 95), depth=depth)
    return folder


@pytest.fixture
def recipe(frames: Path, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"""
task: supervised
model: {{size: ti, input_size: [56, 42]}}
loop: {{steps: 3, batch_size: 4, workers: 0, precision: fp32, validate_every: 2, save_every: 2, head_learning_rate: 1.0e-3}}
data: {{train: ["{frames}"], validation: ["{frames}"], validation_frames: 6}}
"""
    )
    return path


def test_depth_is_that_of_the_canonical_camera_whatever_the_lens_and_crop(recipe: Path, frames: Path) -> None:
    config = load_configuration(SupervisedConfig, recipe)
    dataset = SupervisedDataset([frames], config, augment=True)
    for epoch in range(3):
        for place in range(len(dataset)):
            item = dataset[epoch, place]
            assert item["image"].shape == (42, 56, 3)
            known = item["depth"][np.isfinite(item["depth"])]
            np.testing.assert_allclose(known * item["focal_scale"], 4.0 + 2.0 * place, rtol=2e-3)
    # Half the field of view in tangent makes things look nearer by that factor.
    wide, narrow = (SupervisedDataset([frames], config, augment=False)[0, place]["focal_scale"] for place in (0, 1))
    assert narrow / wide == pytest.approx(np.tan(np.radians(45)) / np.tan(np.radians(30)), rel=1e-5)


def test_items_depend_on_seed_epoch_and_place_alone(recipe: Path, frames: Path) -> None:
    config = load_configuration(SupervisedConfig, recipe)
    first, again = (SupervisedDataset([frames], config, augment=True) for _ in range(2))
    np.testing.assert_array_equal(first[1, 5]["image"], again[1, 5]["image"])
    assert (first[2, 5]["image"] != first[1, 5]["image"]).any()


def test_a_batch_has_one_size_that_depends_on_seed_and_batch_alone(recipe: Path, frames: Path) -> None:
    config = load_configuration(SupervisedConfig, recipe, ["model.other_input_sizes=[[84, 28], [42, 56]]"])
    dataset = SupervisedDataset([frames], config, augment=True)
    shapes = [[dataset[epoch, place, batch]["image"].shape for epoch, place in ((0, 1), (0, 5), (1, 1))] for batch in range(12)]
    assert all(len(set(of_batch)) == 1 for of_batch in shapes)
    assert {of_batch[0] for of_batch in shapes} == {(42, 56, 3), (28, 84, 3), (56, 42, 3)}
    for epoch, batch in ((0, 3), (1, 7)):
        item = dataset[epoch, 9, batch]
        known = item["depth"][np.isfinite(item["depth"])]
        np.testing.assert_allclose(known * item["focal_scale"], 22.0, rtol=2e-3)
        # The canonical camera is one of pixels: what looks as big in another size of batch is as far.
        assert item["focal_scale"] == pytest.approx(item["intrinsics"][0, 0] / (config.focal_length * 56), rel=1e-6)
    # Pictures to validate on are always of the main size.
    assert SupervisedDataset([frames], config, augment=False)[0, 5, 3]["image"].shape == (42, 56, 3)


def test_early_batches_are_small(recipe: Path, frames: Path) -> None:
    overrides = ["model.early_input_sizes=[[28, 14], [14, 28]]", "model.early_share=0.6", "loop.steps=20", "loop.accumulation=2"]
    dataset = SupervisedDataset([frames], load_configuration(SupervisedConfig, recipe, overrides), augment=True)
    shapes = [dataset[batch // 7, 5, batch]["image"].shape for batch in range(40)]
    assert set(shapes[:24]) == {(14, 28, 3), (28, 14, 3)}
    assert set(shapes[24:]) == {(42, 56, 3)}


def test_a_run_of_several_sizes_goes_on_bit_exactly(recipe: Path, tmp_path: Path) -> None:
    overrides = ["model={architecture: resnet, size: half, input_size: [56, 42], other_input_sizes: [[84, 28], [42, 56]]}", "loop.steps=4"]
    overrides += ["loop.batch_size=2", "loop.validate_every=4", "data.validation_frames=2"]
    run_training(recipe, tmp_path / "whole", overrides, Console(quiet=True))
    run_training(recipe, tmp_path / "cut", [*overrides, "loop.minutes=1e-9"], Console(quiet=True))
    run_training(recipe, tmp_path / "cut", overrides, Console(quiet=True))
    curves = [[line["loss"] for line in read_json_lines(tmp_path / name / "history.jsonl") if "loss" in line] for name in ("whole", "cut")]
    assert len(curves[0]) == 4
    assert curves[0] == curves[1]
    estimator = DepthEstimator.load(tmp_path / "cut" / "last", backend="torch", precision="fp32")
    assert estimator.needs_camera


@pytest.mark.parametrize("model", ["{architecture: resnet, size: half, %s}", "{size: ti, %s}"])
def test_training_and_estimator_agree_on_metres_at_every_size(recipe: Path, frames: Path, tmp_path: Path, model: str) -> None:
    given = model % "input_size: [56, 42], other_input_sizes: [[84, 28]], camera_input: true"
    overrides = [f"model={given}", "loop.steps=1", "loop.validate_every=1", "data.validation_frames=2"]
    trainer, _ = run_training(recipe, tmp_path / "out", overrides, Console(quiet=True))
    dataset = SupervisedDataset([frames], load_configuration(SupervisedConfig, recipe, overrides), augment=True)
    items = [dataset[0, 5, batch] for batch in range(8)]
    assert {item["image"].shape for item in items} == {(42, 56, 3), (28, 84, 3)}
    task = trainer.task
    assert isinstance(task, SupervisedTask)
    task.model.eval()
    for item in items:
        height, width = item["image"].shape[:2]
        estimator = DepthEstimator.load(tmp_path / "out" / "last", "torch", (width, height), "fp32")
        with torch.inference_mode():
            pixels = torch.from_numpy(item["image"]).permute(2, 0, 1)[None].float() / 255
            canonical = task.model(pixels, torch.from_numpy(item["intrinsics"])[None])[0, 0].numpy()
        camera = PinholeCamera.from_matrix(item["intrinsics"], width, height)
        # Stored in float16.
        np.testing.assert_allclose(estimator([item["image"]], [camera])[0].values, canonical * item["focal_scale"], rtol=0.02)


@pytest.mark.parametrize("change", ["model.input_size=[57, 42]", "model.other_input_sizes=[[84, 30]]", "model.architecture=resnet"])
def test_sizes_that_cannot_be_are_refused(recipe: Path, change: str) -> None:
    with pytest.raises(ConfigurationError, match=r"multiples of 14|choose half, full"):
        load_configuration(SupervisedConfig, recipe, [change])


def test_a_run_makes_a_checkpoint_that_the_estimator_loads(recipe: Path, tmp_path: Path) -> None:
    trainer, figures = run_training(recipe, tmp_path / "out", [], Console(quiet=True))
    assert trainer.is_finished
    assert set(figures) == {"score", "day-clear", "night"}
    estimator = DepthEstimator.load(tmp_path / "out" / "best", backend="torch", precision="fp32")
    assert estimator.is_trained and estimator.needs_camera and estimator.input_size == (56, 42)
    camera = PinholeCamera.from_field_of_view(96, 56, 60.0)
    depth = estimator([np.zeros((56, 96, 3), dtype=np.uint8)], [camera])[0].values
    assert np.isfinite(depth).all() and depth.min() > 0
    assert (tmp_path / "out" / "configuration.yaml").read_text().startswith("git_revision")


def test_the_loss_falls_on_walls(recipe: Path, tmp_path: Path) -> None:
    # Brightness alone tells the distance of these walls, so neither it nor the lens may change.
    overrides = [
        "data.colours=0",
        "data.noise=0",
        "data.smallest_crop=1",
        "loop.steps=40",
        "loop.warm_up_steps=1",
        "loop.encoder_learning_rate=3e-4",
    ]
    overrides += ["loop.validate_every=40", "loop.save_every=40"]
    run_training(recipe, tmp_path / "out", overrides, Console(quiet=True))
    curve = [record["log"] for record in read_json_lines(tmp_path / "out" / "history.jsonl") if "log" in record]
    assert np.mean(curve[-8:]) < 0.9 * np.mean(curve[:8])


def test_wrong_keys_name_their_path(recipe: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--config", str(recipe), "--out", str(tmp_path / "out"), "loop.stepps=3"])
    assert result.exit_code != 0
    assert "loop.stepps" in str(result.exception)


def test_only_weights_that_are_there_are_named(recipe: Path, tmp_path: Path) -> None:
    command = ["train", "--config", str(recipe), "--out", str(tmp_path / "out")]
    begun = CliRunner().invoke(app, [*command, "loop.minutes=1e-9"], catch_exceptions=False).output
    assert "not finished" in begun and f"weights: {tmp_path / 'out' / 'last'};" in begun
    done = CliRunner().invoke(app, command, catch_exceptions=False).output
    assert f"weights: {tmp_path / 'out' / 'best'} and {tmp_path / 'out' / 'last'}; curves: {tmp_path / 'out' / 'history.png'}" in done


def test_all_parameters_are_trained_once(recipe: Path, frames: Path) -> None:
    task = SupervisedTask(load_configuration(SupervisedConfig, recipe), [frames], [frames])
    grouped = [id(parameter) for group in task.parameter_groups() for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in task.module.parameters())


def test_wide_lenses_reach_as_far_as_the_range(recipe: Path, tmp_path: Path) -> None:
    trainer, _ = run_training(recipe, tmp_path / "out", ["model.canonical_max_depth=200"], Console(quiet=True))
    task = trainer.task
    assert isinstance(task, SupervisedTask)
    far = {
        "depth": torch.full((1, 1, 42, 56), 150.0),
        "image": torch.zeros(1, 42, 56, 3, dtype=torch.uint8),
        "intrinsics": torch.eye(3)[None],
    }
    assert task.losses(task.module, far, 0)["log"] > 0.5
    estimator = DepthEstimator.load(tmp_path / "out" / "last", "torch", precision="fp32")
    assert estimator.max_depth == 80
