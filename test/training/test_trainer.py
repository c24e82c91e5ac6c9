# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from ssd_core.storage.json_lines import read_json_lines
from ssd_core.training.config import LoopConfig
from ssd_core.training.trainer import Trainer, TrainingError, _Average, learning_rate_factor

LOOP = LoopConfig(
    steps=12,
    batch_size=4,
    workers=0,
    precision="fp32",
    head_learning_rate=0.3,
    warm_up_steps=2,
    validate_every=4,
    save_every=3,
    pictures_every=100,
)


class Numbers(torch.utils.data.Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, Any]:
        generator = np.random.default_rng([draw[0], draw[1]])
        x = generator.standard_normal(3).astype(np.float32)
        return {"x": x, "y": np.float32(x @ np.float32([1, -2, 3]))}


class LineTask:
    """Learns y = (1, -2, 3) x; can be told to give a NaN at a step."""

    higher_is_better = False

    def __init__(self, nan_at: int | None = None) -> None:
        torch.manual_seed(3)
        self.module: nn.Module = nn.Linear(3, 1, bias=False)
        self.dataset = Numbers()
        self.nan_at = nan_at

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters()), "lr": LOOP.head_learning_rate}]

    def losses(self, module: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, torch.Tensor]:
        error = module(batch["x"])[:, 0] - batch["y"]
        noise = 0.01 * torch.rand(())
        loss = error.square().mean() + noise * 0
        return {"loss": loss * (float("nan") if step == self.nan_at else 1), "random": noise}

    def validate(self) -> dict[str, float]:
        return {"score": float((self.module.weight.detach() - torch.tensor([[1.0, -2.0, 3.0]])).abs().max())}

    def picture(self, batch: Mapping[str, Any]) -> np.ndarray:
        return np.zeros((8, 8, 3), dtype=np.uint8)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.json").write_text(json.dumps(self.module.weight.tolist()))


def run(folder: Path, loop: LoopConfig, task: LineTask | None = None) -> Trainer:
    trainer = Trainer(task or LineTask(), loop, folder, Console(quiet=True))
    trainer.run()
    return trainer


def weights(folder: Path, name: str = "last") -> list[list[float]]:
    return json.loads((folder / name / "weights.json").read_text())


def losses(folder: Path) -> list[float]:
    return [record["loss"] for record in read_json_lines(folder / "history.jsonl") if "loss" in record]


def test_it_learns_and_leaves_curves_pictures_and_both_checkpoints(tmp_path: Path) -> None:
    trainer = run(tmp_path, LOOP.model_copy(update={"steps": 60, "validate_every": 20}))
    assert trainer.is_finished and trainer.progressed.step == 60
    curve = losses(tmp_path)
    assert len(curve) == 60
    assert np.mean(curve[-10:]) < 0.2 * np.mean(curve[:5])
    assert (tmp_path / "history.png").stat().st_size > 5000
    assert (tmp_path / "pictures" / "step_0000001.jpg").exists()
    assert list((tmp_path / "tensorboard").iterdir())
    assert weights(tmp_path) and weights(tmp_path, "best")


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
@pytest.mark.parametrize("stop_after", [3, 7])
def test_a_run_that_was_killed_ends_with_the_same_weights_and_curve(tmp_path: Path, ema_decay: float, stop_after: int) -> None:
    loop = LOOP.model_copy(update={"ema_decay": ema_decay})
    run(tmp_path / "whole", loop)
    # Dies of a NaN after stop_after steps: the last saved state is older than that.
    with pytest.raises(TrainingError):
        run(tmp_path / "broken", loop, LineTask(nan_at=stop_after))
    run(tmp_path / "broken", loop)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")


def test_a_loss_that_is_not_finite_stops_with_its_batch(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 5.*not_finite_step_5\.pt"):
        run(tmp_path, LOOP, LineTask(nan_at=5))
    batch = torch.load(tmp_path / "not_finite_step_5.pt", weights_only=True)
    assert batch["x"].shape == (4, 3)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(tmp_path: Path) -> None:
    class Steep(LineTask):
        def losses(self, module: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, torch.Tensor]:
            loss = super().losses(module, batch, step)["loss"]
            # The root of zero is zero, and its slope infinite.
            return {"loss": loss + (torch.sqrt(loss * 0) if step == 3 else 0)}

    task = Steep()
    with pytest.raises(TrainingError, match=r"step 3: .*gradient_norm.*not_finite_step_3\.pt"):
        run(tmp_path, LOOP, task)
    assert torch.isfinite(task.module.weight).all()


def test_two_runs_never_train_in_one_folder(tmp_path: Path) -> None:
    trainer = Trainer(LineTask(), LOOP, tmp_path / "run", Console(quiet=True))
    with trainer.alone():
        other = Trainer(LineTask(), LOOP, tmp_path / "run", Console(quiet=True))
        with pytest.raises(TrainingError, match="run: another run trains in it"), other.alone():
            pytest.fail("it went on")
    with other.alone():
        pass


def test_another_network_cannot_go_on_from_this_state(tmp_path: Path) -> None:
    run(tmp_path, LOOP)
    task = LineTask()
    task.module = nn.Linear(3, 2)
    with pytest.raises(TrainingError, match="remove the folder"):
        run(tmp_path, LOOP.model_copy(update={"steps": 20}), task)


def test_an_average_goes_on_where_it_is_and_cannot_be_asked_for_later(tmp_path: Path) -> None:
    run(tmp_path, LOOP.model_copy(update={"ema_decay": 0.9}))
    saved = torch.load(tmp_path / "state.pt", map_location="cpu", weights_only=True)["average"]
    average = _Average(LineTask().module, 0.9)
    tensors = dict(average.values)
    average.restore(saved)
    # The state is loaded to the CPU: on a GPU other tensors than the module's neighbours could not be averaged with its weights.
    assert all(average.values[name] is tensor and torch.equal(tensor, saved["values"][name]) for name, tensor in tensors.items())
    plain = tmp_path / "plain"
    run(plain, LOOP)
    with pytest.raises(TrainingError, match=r"state\.pt can't be continued .*loop\.ema_decay=0"):
        run(plain, LOOP.model_copy(update={"ema_decay": 0.9, "steps": 20}))


def test_accumulated_batches_equal_one_large_batch(tmp_path: Path) -> None:
    run(tmp_path / "large", LOOP.model_copy(update={"steps": 3, "batch_size": 8}))
    run(tmp_path / "small", LOOP.model_copy(update={"steps": 3, "batch_size": 4, "accumulation": 2}))
    np.testing.assert_allclose(weights(tmp_path / "small"), weights(tmp_path / "large"), atol=1e-6)


def test_patience_ends_a_run_that_no_longer_gains(tmp_path: Path) -> None:
    task = LineTask()
    task.validate = lambda: {"score": 1.0}  # type: ignore[method-assign]
    trainer = run(tmp_path, LOOP.model_copy(update={"steps": 200, "validate_every": 2, "patience": 3}), task)
    assert trainer.progressed.step == 8
    assert trainer.progressed.best_step == 2


def test_time_of_a_sitting_ends_it_resumably(tmp_path: Path) -> None:
    trainer = run(tmp_path, LOOP.model_copy(update={"minutes": 1e-9}))
    assert not trainer.is_finished
    assert trainer.progressed.step == 1
    run(tmp_path, LOOP)
    run(tmp_path / "whole", LOOP)
    assert weights(tmp_path) == weights(tmp_path / "whole")


def test_too_few_items_for_a_step_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower batch_size"):
        run(tmp_path, LOOP.model_copy(update={"batch_size": 40}))


def test_learning_rate_warms_up_and_decays_to_zero() -> None:
    linear = LoopConfig(steps=110, warm_up_steps=10)
    assert learning_rate_factor(0, linear) == pytest.approx(0.1)
    assert learning_rate_factor(10, linear) == 1
    assert learning_rate_factor(60, linear) == pytest.approx(0.5)
    assert learning_rate_factor(110, linear) == 0
    cosine = linear.model_copy(update={"schedule": "cosine"})
    assert learning_rate_factor(60, cosine) == pytest.approx(0.5)
    assert learning_rate_factor(85, cosine) == pytest.approx(0.5 * (1 - np.sqrt(0.5)))


class NormalisingTask(LineTask):
    """A module whose statistics move with the data."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1, bias=False))

    def validate(self) -> dict[str, float]:
        self.validated = self.module[0].running_mean.clone()
        return {"score": 0.0}

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)


def test_statistics_are_averaged_with_the_weights_and_survive_a_stop(tmp_path: Path) -> None:
    loop = LOOP.model_copy(update={"ema_decay": 0.9, "validate_every": 12})
    whole, broken = NormalisingTask(), NormalisingTask()
    run(tmp_path / "whole", loop, whole)
    assert not torch.equal(whole.validated, whole.module[0].running_mean)
    run(tmp_path / "broken", loop.model_copy(update={"minutes": 1e-9}), NormalisingTask())
    run(tmp_path / "broken", loop, broken)
    assert torch.equal(broken.validated, whole.validated)
    assert torch.equal(broken.module[0].running_mean, whole.module[0].running_mean)
