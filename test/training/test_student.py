# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from rich.console import Console
from small_video import CAMERA, write_video
from torch import nn

from ssd_core.data.errors import DataError
from ssd_core.data.triplets import Draw
from ssd_core.images.codec import encode_jpeg
from ssd_core.model.checkpoint import ModelLoadError, save_checkpoint, save_network
from ssd_core.model.config import ModelDescription, NetworkSize, TrainingCamera
from ssd_core.model.depth_model import DepthModel
from ssd_core.model.pose_net import PoseNetConfig, create_pose_net, save_pose_net
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.storage.configuration import validate_configuration
from ssd_core.storage.json_lines import append_json_line
from ssd_core.training.run import run_training
from ssd_core.training.student import StudentConfig, StudentTask
from ssd_core.training.teacher import single_batch

TINY = NetworkSize(32, 4, 2, (0, 1, 2, 3), (8, 8, 16, 16), 8)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video"), 7, dark=(1, 2, 3, 4, 5))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "best", {"loss": {"velocity": 0.02}})


def write_teacher(folder: Path, recipe: dict[str, Any]) -> Path:
    camera = TrainingCamera(width=112, height=70, fx=CAMERA.fx, fy=CAMERA.fy)
    description = ModelDescription(parametrisation="sigmoid_disparity", input_size=(112, 70), training_camera=camera, recipe=recipe)
    save_checkpoint(folder, DepthModel.create(TINY, description, seed=5))
    save_pose_net(folder / "pose_net", create_pose_net(PoseNetConfig(architecture="correlation", search=(2, 2)), seed=5))
    return folder


def values(video: Path, teacher: Path, **changes: Any) -> dict[str, Any]:
    data = {"train": [{"path": str(video)}], "validation": [{"path": str(video)}], "image_size": [56, 34], "validation_frames": 2}
    return {"task": "student", "teacher": str(teacher), "data": data | changes.pop("data", {})} | changes


def make_task(video: Path, teacher: Path, **changes: Any) -> StudentTask:
    return StudentTask(validate_configuration(StudentConfig, values(video, teacher, **changes), "test"), [video], [video])


def batch_of(task: StudentTask, condition: str = "night") -> dict[str, Any]:
    draws = (Draw(epoch, place) for epoch in range(9) for place in range(len(task.dataset)))
    return next(single_batch(item, task.networks) for item in map(task.dataset.__getitem__, draws) if item["input_condition"] == condition)


def digest(module: nn.Module) -> str:
    content = hashlib.sha256()
    for name, value in module.state_dict().items():
        content.update(name.encode() + value.numpy().tobytes())
    return content.hexdigest()


def test_the_frozen_networks_stay_frozen_and_the_student_learns(video: Path, teacher: Path) -> None:
    task = make_task(video, teacher)
    frozen, student = digest(task.frozen), digest(task.networks)
    optimiser = torch.optim.AdamW(task.parameter_groups())
    for _ in range(2):
        task.module.train()
        losses = task.losses(task.module, batch_of(task), 0)
        assert set(losses) == {"loss", "distillation", "semantic", "reliable"}
        torch.testing.assert_close(losses["loss"], losses["distillation"] + 0.1 * losses["semantic"])
        losses["loss"].backward()
        optimiser.step()
    assert not any(module.training for module in task.frozen.modules())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in task.frozen.parameters())
    assert all(parameter.requires_grad for parameter in task.networks.parameters())
    assert digest(task.frozen) == frozen
    assert digest(task.networks) != student
    task.frozen.train()
    assert not task.frozen.depth.training


def test_the_day_itself_is_answered_with_the_teachers_depth_and_features(video: Path, teacher: Path) -> None:
    task = make_task(video, teacher, data={"p_original": 1.0, "colours": 0.0, "noise": 0.0})
    task.module.eval()
    with torch.no_grad():
        losses = task.losses(task.module, single_batch(task.dataset[1], task.networks), 0)
        assert float(losses["loss"]) == pytest.approx(0, abs=1e-5)
        assert losses["reliable"] == 1
        mixed = make_task(video, teacher)
        assert float(mixed.losses(mixed.module, batch_of(mixed), 0)["semantic"]) > 1e-4


def test_the_mask_is_as_configured_and_made_of_original_frames(video: Path, teacher: Path) -> None:
    shares = {}
    for mask, window in (("teacher_better", 1), ("printed", 1), ("none", 1), ("teacher_better", 5)):
        task = make_task(video, teacher, loss={"mask": mask, "window": window})
        batch = batch_of(task)
        shares[mask, window] = float(task.losses(task.module, batch, 0)["reliable"])
        # What the student is shown changes its depth, not the frames that judge it.
        blank = batch | {"input": torch.zeros_like(batch["input"])}
        assert np.isfinite(float(task.losses(task.module, blank, 0)["loss"]))
    assert shares["none", 1] == 1
    assert shares["teacher_better", 1] + shares["printed", 1] == pytest.approx(1)
    assert shares["teacher_better", 5] != shares["teacher_better", 1]


def test_control_without_translations_is_one_override(video: Path, teacher: Path) -> None:
    mixed = make_task(video, teacher)
    control = make_task(video, teacher, data={"p_original": 1.0})
    seen = {item["input_condition"] for epoch in range(6) for place in range(5) for item in [mixed.dataset[Draw(epoch, place)]]}
    assert seen == {"day-clear", "night"}
    assert {control.dataset[Draw(epoch, 0)]["input_condition"] for epoch in range(6)} == {"day-clear"}
    bare = write_video(video.parent / "bare", 4)
    with pytest.raises(DataError, match=r"data\.p_original=1"):
        make_task(bare, teacher)


def test_a_translators_pictures_come_through_its_manifest(teacher: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", 4)
    for index, accepted in ((1, True), (2, False)):
        image = f"translated/physical/night/{index}.jpg"
        (video / image).parent.mkdir(parents=True, exist_ok=True)
        (video / image).write_bytes(encode_jpeg(np.full((90, 150, 3), 7, dtype=np.uint8)))
        record = {"frame_id": f"street/front/{index:03d}", "condition": "night", "image": image, "accepted": accepted}
        append_json_line(video / "translated" / "physical" / "manifest.jsonl", record)
    task = make_task(video, teacher, data={"translator": "physical", "p_original": 0.0, "colours": 0.0, "noise": 0.0})
    first, second = (task.dataset[Draw(0, place)] for place in range(2))
    assert (first["input_condition"], second["input_condition"]) == ("night", "day-clear")
    assert first["input"].shape == (70, 112, 3) and abs(first["input"].astype(int) - 7).max() <= 2
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (video / "translated").rename(elsewhere / "translated")
    moved = {"train": [{"path": str(video), "translations": str(elsewhere)}], "translator": "physical", "p_original": 0.0}
    assert make_task(video, teacher, data=moved).dataset[Draw(0, 0)]["input_condition"] == "night"


def test_other_starts_and_encoders_are_named_when_they_do_not_fit(video: Path, teacher: Path) -> None:
    model = {"size": "ti", "input_size": [112, 70]}
    with pytest.raises(ModelLoadError, match="start_from"):
        make_task(video, teacher, start_from="teacher_encoder", model=model)
    with pytest.raises(ModelLoadError, match=r"model\.input_size"):
        make_task(video, teacher, start_from="model", model={"size": "ti", "input_size": [56, 42]})
    with pytest.raises(ModelLoadError, match="pose network"):
        bare = teacher.parent / "bare"
        save_checkpoint(bare, DepthModel.create(TINY, ModelDescription(parametrisation="sigmoid_disparity", input_size=(112, 70))))
        make_task(video, bare)


def test_a_student_of_another_width_has_a_frozen_encoder_of_its_own_or_none(video: Path, teacher: Path, tmp_path: Path) -> None:
    other: dict[str, Any] = {"start_from": "model", "model": {"size": "ti", "input_size": [112, 70]}}
    with pytest.raises(ModelLoadError, match=r"loss\.semantic_encoder: none.* features of 32 values .* of 192\. Fix: .*loss\.semantic=0"):
        make_task(video, teacher, **other)
    without = make_task(video, teacher, **other, loss={"semantic": 0.0})
    losses = without.losses(without.module, batch_of(without), 0)
    assert set(losses) == {"loss", "distillation", "reliable"}
    torch.testing.assert_close(losses["loss"], losses["distillation"])
    save_dinov2(tmp_path / "wide", 192)
    task = make_task(video, teacher, **other, loss={"semantic_encoder": str(tmp_path / "wide")})
    assert 0 < float(task.losses(task.module, batch_of(task), 0)["semantic"].detach()) < 2
    save_dinov2(tmp_path / "narrow", 32)
    with pytest.raises(ModelLoadError, match=r"loss\.semantic_encoder: .*narrow makes 16 features of 32 values"):
        make_task(video, teacher, **other, loss={"semantic_encoder": str(tmp_path / "narrow")})
    convolutional = {"architecture": "resnet", "size": "half", "input_size": [112, 70]}
    with pytest.raises(ModelLoadError, match=r"16 features of 192 values where the student's encoder makes 4 of 256"):
        make_task(video, teacher, start_from="model", model=convolutional, loss={"semantic_encoder": str(tmp_path / "wide")})


def save_dinov2(folder: Path, width: int) -> None:
    dinov2: Any = transformers.Dinov2Config
    config = dinov2(hidden_size=width, num_hidden_layers=2, num_attention_heads=2, image_size=70, patch_size=14)
    save_network(folder, transformers.Dinov2Backbone(config))


def test_without_known_depth_other_conditions_or_the_video_choose_the_best(teacher: Path, tmp_path: Path) -> None:
    dark = write_video(tmp_path / "dark", 5, dark=(1, 2, 3), with_depth=False)
    bright = write_video(tmp_path / "bright", 5, with_depth=False)
    task = make_task(dark, teacher)
    shown = [task._held_out[place]["input_condition"] for place in range(3)]
    assert shown == ["night"] * 3
    with torch.no_grad():
        figures = task.validate()
        assert figures == task.validate()
    assert set(figures) == {"score", "distillation", "photometric"}
    assert figures["score"] == figures["distillation"] > 0
    config = validate_configuration(StudentConfig, values(dark, teacher, data={"validation": [{"path": str(bright)}]}), "test")
    with torch.no_grad():
        by_day = StudentTask(config, [dark], [bright]).validate()
    # By day the student that starts as its teacher is as good as can be by the distillation loss.
    assert by_day["distillation"] == pytest.approx(0, abs=1e-5)
    assert by_day["score"] == by_day["photometric"] > 0


def test_translations_of_held_out_recordings_are_used_where_there_are_any(teacher: Path, tmp_path: Path) -> None:
    train, held_out = (write_video(tmp_path / name, 4, with_depth=False) for name in ("train", "held_out"))
    record = {"frame_id": "street/front/001", "condition": "night", "image": "translated/physical/night/1.jpg", "accepted": True}
    (train / "translated/physical/night").mkdir(parents=True)
    (train / record["image"]).write_bytes(encode_jpeg(np.full((70, 112, 3), 7, dtype=np.uint8)))
    append_json_line(train / "translated" / "physical" / "manifest.jsonl", record)
    data = {"train": [{"path": str(train)}], "translator": "physical"}
    scores = {}
    for folder in (train, held_out):
        config = validate_configuration(StudentConfig, values(train, teacher, data=data | {"validation": [{"path": str(folder)}]}), "test")
        with torch.no_grad():
            figures = StudentTask(config, [train], [folder]).validate()
        scores[folder] = next(name for name in ("distillation", "photometric") if figures[name] == figures["score"])
    assert scores == {train: "distillation", held_out: "photometric"}


def test_the_student_of_a_teacher_without_scale_is_judged_without_scale(video: Path, tmp_path: Path) -> None:
    task = make_task(video, write_teacher(tmp_path / "best", {"task": "teacher", "loss": {"velocity": 0.0}}))
    with torch.no_grad():
        figures = task.validate()
    assert figures["score"] == pytest.approx((figures["day-clear/abs_rel_median"] + figures["night/abs_rel_median"]) / 2)
    assert "teacher/night/abs_rel_median" in figures


def test_a_run_without_known_depth_keeps_its_best_weights(teacher: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", 5, dark=(1, 2, 3), with_depth=False)
    recipe = tmp_path / "recipe.yaml"
    loop = "{steps: 2, batch_size: 2, workers: 0, precision: fp32, validate_every: 1, warm_up_steps: 1, patience: 2}"
    recipe.write_text(f"base: base.yaml\nloop: {loop}\n")
    (tmp_path / "base.yaml").write_text(str(values(video, teacher)))
    trainer, _ = run_training(recipe, tmp_path / "out", [], Console(quiet=True))
    assert trainer.progressed.best is not None
    assert (tmp_path / "out" / "best" / "model.safetensors").exists()


def test_a_run_judges_the_teacher_too_and_writes_what_the_estimator_loads(video: Path, teacher: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    loop = "{steps: 2, batch_size: 2, workers: 0, precision: fp32, validate_every: 2, save_every: 2, warm_up_steps: 1}"
    recipe.write_text(f"base: base.yaml\nteacher: {teacher}\nloop: {loop}\n")
    (tmp_path / "base.yaml").write_text(str(values(video, teacher)))
    trainer, figures = run_training(recipe, tmp_path / "out", [], Console(quiet=True))
    assert trainer.is_finished
    assert figures["score"] == pytest.approx((figures["day-clear/abs_rel"] + figures["night/abs_rel"]) / 2)
    assert {"teacher/day-clear/abs_rel", "teacher/night/abs_rel", "night/row_prior"} <= set(figures)
    assert DepthEstimator.load(tmp_path / "out" / "best", backend="torch", precision="fp32").input_size == (112, 70)
    assert (tmp_path / "out" / "pictures" / "step_0000001.jpg").exists()
