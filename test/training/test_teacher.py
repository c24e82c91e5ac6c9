# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import torch
from rich.console import Console
from small_video import write_video

from ssd_core.data.errors import DataError
from ssd_core.data.triplets import Draw
from ssd_core.images.codec import read_image
from ssd_core.losses.photometric import PhotometricLoss, minimum_reprojection
from ssd_core.model.pose_net import load_pose_net
from ssd_core.runtime.estimator import DepthEstimator
from ssd_core.storage.configuration import ConfigurationError, validate_configuration
from ssd_core.training.depth_network import pixels
from ssd_core.training.run import run_training
from ssd_core.training.teacher import TeacherConfig, TeacherTask, single_batch
from ssd_core.training.trainer import TrainingError
from ssd_core.training.validation import known_depth
from ssd_core.training.view_synthesis import Views, resize_by_inverse_depth, scale_intrinsics, synthesise


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video"), 8)


@pytest.fixture
def recipe(video: Path, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"""
task: teacher
model: {{size: ti, input_size: [112, 70]}}
pose: {{architecture: correlation, search: [3, 3]}}
loss: {{divisors: [1, 2]}}
loop: {{steps: 2, batch_size: 2, workers: 0, precision: fp32, validate_every: 2, save_every: 1, warm_up_steps: 1}}
data:
  train: [{{path: "{video}"}}]
  validation: [{{path: "{video}"}}]
  image_size: [96, 60]
  validation_frames: 2
"""
    )
    return path


def make_task(video: Path, **changes: Any) -> TeacherTask:
    values: dict[str, Any] = {
        "model": {"size": "ti", "input_size": [112, 70]},
        "pose": {"architecture": "correlation", "search": [3, 3]},
        "data": {"train": [{"path": video}], "validation": [{"path": video}], "image_size": [112, 70], "validation_frames": 2},
    }
    return TeacherTask(validate_configuration(TeacherConfig, values | changes, "test"), [video], [video])


def test_with_true_depth_and_motion_the_neighbours_redraw_the_frame(video: Path) -> None:
    task = make_task(video)
    part = task.dataset.parts[0]
    for divisor in (1, 2):
        item = task.dataset[Draw(1, 2)]  # some are mirrored
        batch = single_batch(item, task.networks)
        truth = known_depth(part._opened(), part.triplets[2].current)
        assert truth is not None
        depth = torch.from_numpy(np.ascontiguousarray(truth[:, ::-1] if item["flipped"] else truth))[None, None]
        images, intrinsics = pixels(batch["images"]), batch["intrinsics"]
        motions = batch["neighbours_from_current"]
        right, wrong = (reprojection(synthesise(images, intrinsics, factor * depth, motions, divisor)) for factor in (1.0, 1.5))
        assert right.loss < 0.6 * wrong.loss
        assert right.moving.float().mean() > 0.8


def reprojection(views: Views) -> PhotometricLoss:
    return minimum_reprojection(views.target, views.warped, views.sources)


def test_disparity_is_what_is_interpolated_and_intrinsics_keep_the_rays() -> None:
    depth = 1 / torch.linspace(0.1, 0.5, 8)[None, None, None].expand(1, 1, 4, 8)
    half = resize_by_inverse_depth(depth, (2, 4))
    torch.testing.assert_close(1 / half[0, 0, 0], torch.nn.functional.avg_pool1d((1 / depth)[0, 0, :1], 2)[0])
    matrix = torch.tensor([[[100.0, 0, 55.5], [0, 90.0, 34.5], [0, 0, 1]]])
    # The middle of a 112x70 image is that of a 56x35 one.
    torch.testing.assert_close(scale_intrinsics(matrix, 0.5, 0.5), torch.tensor([[[50.0, 0, 27.5], [0, 45.0, 17.0], [0, 0, 1]]]))


def test_losses_have_gradients_for_all_networks_and_no_augmented_images(video: Path) -> None:
    task = make_task(video)
    items = [task.dataset[Draw(epoch, 1)] for epoch in range(6)]
    changed = next(item for item in items if (item["input"] != item["original_input"]).any())
    batch = single_batch(changed, task.networks)
    losses = task.losses(task.module, batch, 0)
    assert set(losses) == {"loss", "photometric", "smoothness", "velocity", "flow", "moving"}
    expected = losses["photometric"] + 1e-3 * losses["smoothness"] + 0.02 * losses["velocity"] + 0.1 * losses["flow"]
    torch.testing.assert_close(losses["loss"], expected)
    losses["loss"].backward()
    for network in (task.networks.depth.encoder, task.networks.depth.network.head, task.networks.pose.encoder):
        assert sum(float(parameter.grad.abs().sum()) for parameter in network.parameters() if parameter.grad is not None) > 0
    grouped = [id(parameter) for group in task.parameter_groups() for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in task.module.parameters())


def test_a_fresh_network_says_about_thirteen_metres(video: Path) -> None:
    task = make_task(video)
    batch = single_batch(task.dataset[0], task.networks)
    with torch.no_grad():
        assert float(task._predict(batch).depth.median()) == pytest.approx(13, rel=0.2)


def test_depth_of_a_canonical_camera_is_scaled_to_the_one_at_hand(video: Path) -> None:
    metres = make_task(video)
    canonical = make_task(video, focal_length=1.1)
    batch = single_batch(metres.dataset[0], metres.networks)
    with torch.no_grad():
        plain, scaled = (task._predict(batch).depth for task in (metres, canonical))
    torch.testing.assert_close(scaled, plain * float(batch["input_intrinsics"][0, 0, 0]) / (1.1 * 112))
    assert canonical.networks.depth.description.focal_normalisation
    camera = metres.networks.depth.description.training_camera
    assert camera is not None and camera.fx == pytest.approx(56 / np.tan(np.radians(35)))


def test_a_run_validates_draws_and_writes_what_estimator_and_student_load(recipe: Path, tmp_path: Path) -> None:
    trainer, figures = run_training(recipe, tmp_path / "out", [], Console(quiet=True))
    assert trainer.is_finished
    names = ("abs_rel", "abs_rel_median", "d1", "scale", "ratio", "row_prior")
    motion = {"motion/metres", "motion/metres_constant_speed", "motion/degrees", "motion/degrees_no_turning"}
    assert set(figures) == {"score", "photometric", *motion, *(f"day-clear/{name}" for name in names)}
    assert figures["score"] == figures["day-clear/abs_rel"]
    estimator = DepthEstimator.load(tmp_path / "out" / "last", backend="torch", precision="fp32")
    assert not estimator.needs_camera
    assert load_pose_net(tmp_path / "out" / "last" / "pose_net").config.search == (3, 3)
    sheet = read_image(tmp_path / "out" / "pictures" / "step_0000001.jpg")
    assert sheet.shape[1] == 4 * 320 + 3 * 4


def test_a_second_run_leaves_alone_what_the_first_wrote(recipe: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "out" / "configuration.yaml"
    configuration.parent.mkdir()
    configuration.write_text("the first run's")
    with filelock.FileLock(tmp_path / "out" / ".lock"), pytest.raises(TrainingError, match="another run trains in it"):
        run_training(recipe, tmp_path / "out", [], Console(quiet=True))
    assert configuration.read_text() == "the first run's"


def test_a_run_goes_on_with_the_recipe_it_was_begun_with_only(recipe: Path, tmp_path: Path) -> None:
    out, console = tmp_path / "out", Console(quiet=True)
    run_training(recipe, out, ["loop.steps=1"], console)
    written = (out / "configuration.yaml").read_text()
    with pytest.raises(
        ConfigurationError, match=r"out: was begun with another recipe: loop\.seed: 0 -> 5; loss\.smoothness: .*model\.start="
    ):
        run_training(recipe, out, ["loop.seed=5", "loss.smoothness=0.5"], console)
    assert (out / "configuration.yaml").read_text() == written
    trainer, _ = run_training(recipe, out, ["loop.steps=2", "loop.validate_every=1"], console)
    assert trainer.progressed.step == 2


def test_the_papers_pose_network_learns_too(video: Path) -> None:
    task = make_task(video, pose={"architecture": "resnet"})
    losses = task.losses(task.module, single_batch(task.dataset[0], task.networks), 0)
    assert "flow" not in losses
    losses["loss"].backward()
    assert all(parameter.grad is not None for parameter in task.networks.pose.head.parameters())


def test_with_classical_flow_the_distance_driven_teaches_depth(video: Path) -> None:
    model = {"architecture": "resnet", "size": "half", "input_size": [112, 70], "camera_input": True}
    task = make_task(video, pose={"architecture": "flow"}, model=model)
    losses = task.losses(task.module, single_batch(task.dataset[0], task.networks), 0)
    assert not {"flow", "triangulation", "ground"} & set(losses) and len(task.parameter_groups()) == 2
    losses["velocity"].backward()
    assert sum(float(parameter.grad.abs().sum()) for parameter in task.networks.depth.parameters() if parameter.grad is not None) > 0
    batch = single_batch(task.dataset[0], task.networks)
    task.module.zero_grad()
    task.losses(task.module, batch | {"distances": 100 * batch["distances"]}, 0)["velocity"].backward()
    assert not any(parameter.grad is not None and parameter.grad.any() for parameter in task.networks.depth.parameters())
    with pytest.raises(ConfigurationError, match=r"'flow' .* must begin with a road: .*camera_input=true"):
        make_task(video, pose={"architecture": "flow"}, model=model | {"camera_input": False})
    make_task(video, pose={"architecture": "flow", "depth": "road"}, model=model | {"camera_input": False})
    with pytest.raises(ConfigurationError, match=r"loss.triangulation: .*pose.architecture=flow"):
        make_task(video, loss={"triangulation": 0.3})


def test_flow_and_the_road_teach_depth_but_not_what_drives_along(video: Path) -> None:
    model = {"architecture": "resnet", "size": "half", "input_size": [112, 70], "camera_input": True, "camera_height": 1.5}
    loss = {"triangulation": 0.5, "ground": 0.2}
    task = make_task(video, pose={"architecture": "flow"}, model=model, loss=loss)
    batch = single_batch(task.dataset[0], task.networks)
    losses = task.losses(task.module, batch, 0)
    others = losses["photometric"] + 1e-3 * losses["smoothness"] + 0.02 * losses["velocity"]
    torch.testing.assert_close(losses["loss"], others + 0.5 * losses["triangulation"] + 0.2 * losses["ground"])
    losses["triangulation"].backward()
    assert sum(float(parameter.grad.abs().sum()) for parameter in task.networks.depth.parameters() if parameter.grad is not None) > 0

    pose = task._predict(batch).pose
    assert pose.flow is not None and pose.confidence is not None
    found = task._from_flow(pose, batch)
    assert found is not None and found.trust.max() > 0.5
    row = found.trust.shape[-2] - 3
    assert not found.moves[0, 0, row].all()
    # A row of the road near the camera that doesn't flow: somebody is there who drives as fast.
    flow, confidence = pose.flow.clone(), pose.confidence.clone()
    flow[..., row, :], confidence[..., row, :] = 0.0, 1.0
    along = task._from_flow(pose._replace(flow=flow, confidence=confidence), batch)
    assert along is not None and along.moves[0, 0, row].float().mean() > 0.7 and not (along.trust * along.moves).any()
    without = make_task(video, pose={"architecture": "flow"}, model=model, loss={"triangulation": 0.5})
    anywhere = without._from_flow(pose._replace(flow=flow, confidence=confidence), batch)
    assert anywhere is not None and not anywhere.moves.any()


def test_the_auto_mask_of_a_sheet_is_black_where_something_drives_along(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"architecture": "resnet", "size": "half", "input_size": [112, 70], "camera_input": True, "camera_height": 1.5}
    task = make_task(video, pose={"architecture": "flow"}, model=model, loss={"ground": 0.2})
    batch = single_batch(task.dataset[0], task.networks)

    @torch.no_grad()
    def white_in_the_mask() -> float:
        sheet = task.picture(batch)
        third_of_four = sheet[:, sheet.shape[1] * 9 // 16 : sheet.shape[1] * 11 // 16]
        return float((third_of_four[sheet.shape[0] // 2 :] == 255).all(axis=-1).mean())

    found = task._from_flow(task._predict(batch).pose, batch)
    assert found is not None and white_in_the_mask() > 0.1
    monkeypatch.setattr(task, "_from_flow", lambda pose, batch: found._replace(moves=torch.ones_like(found.moves)))
    assert white_in_the_mask() == 0.0


def test_standing_still_is_a_distance_to_learn_from(video: Path) -> None:
    task = make_task(video)
    batch = single_batch(task.dataset[0], task.networks)
    still = task.losses(task.module, batch | {"distances": torch.zeros_like(batch["distances"])}, 0)
    motions = task._predict(batch).pose.neighbours_from_current
    assert float(still["velocity"]) == pytest.approx(float(motions[..., :3, 3].norm(dim=-1).mean()), rel=1e-3)


def test_without_odometry_metres_are_refused_and_scale_free_training_is_not(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", 5, with_poses=False)
    with pytest.raises(DataError, match=r"loss\.velocity=0"):
        make_task(video)
    task = make_task(video, loss={"velocity": 0})
    losses = task.losses(task.module, single_batch(task.dataset[0], task.networks), 0)
    assert "velocity" not in losses and torch.isfinite(losses["loss"])
    with torch.no_grad():
        figures = task.validate()
    assert figures["score"] == figures["day-clear/abs_rel_median"]
    assert "motion/metres" not in figures


def test_a_recording_without_triplets_says_why(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", 2)
    with pytest.raises(DataError, match=r"video.*no triplets of day-clear.*1 no next.*1 no previous"):
        make_task(video)
