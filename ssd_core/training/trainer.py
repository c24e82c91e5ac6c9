# SPDX-License-Identifier: Apache-2.0
"""The optimisation loop: one for every task, on Accelerate, resumable to the bit, with progress, curves and pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list, set_seed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard.writer import SummaryWriter

from ssd_core.data.triplets import Draw, EpochOrder
from ssd_core.images.codec import write_image
from ssd_core.runtime.backends.torch import cpu_multiplies_bf16
from ssd_core.storage.atomic_write import atomic_write, atomic_write_text
from ssd_core.storage.json_lines import append_json_line, read_json_lines
from ssd_core.storage.locks import take_lock
from ssd_core.training.config import LoopConfig

Picture = npt.NDArray[np.uint8]

STATE_FILE = "state.pt"
HISTORY_FILE = "history.jsonl"
LOCK_FILE = ".lock"


class TrainingError(ValueError):
    """A run that can't go on; the message says what happened and where what it needs was saved."""


class Task(Protocol):
    """What is learnt: a module with all trained parameters, its data, its loss, and how it is judged."""

    module: nn.Module
    higher_is_better: bool

    @property
    def dataset(self) -> Dataset[Any]:
        """Items by `Draw`, as dictionaries; its class says which keys they have, of which shapes and units."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for AdamW; each with its `lr`."""
        ...

    def losses(self, module: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, Tensor]:
        """Scalars of one batch, items of `dataset` stacked to [B, ...]; `loss` is the one that is minimised."""
        ...

    def validate(self) -> dict[str, float]:
        """Figures of the current weights; `score` decides which checkpoint is best."""
        ...

    def picture(self, batch: Mapping[str, Any]) -> Picture:
        """A sheet that shows what the network makes of a batch, RGB."""
        ...

    def save(self, folder: Path) -> None:
        """Write the current weights as a checkpoint folder."""
        ...


@dataclasses.dataclass
class Progressed:
    """How far a run has come."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    """Draws of this process already used in this epoch."""
    best: float | None = None
    best_step: int = 0
    validations_without_gain: int = 0


class Trainer:
    """Runs a task to the end, or as long as this sitting lasts; `run` goes on where a killed one stopped.

    folder: gets `last/` and `best/` (checkpoints), `state.pt`, `history.jsonl`, `history.png`, `pictures/`, and TensorBoard's events.
    """

    def __init__(self, task: Task, loop: LoopConfig, folder: Path, console: Console | None = None) -> None:
        self.task, self.loop, self.folder = task, loop, folder
        self.console = console or Console()
        self.accelerator = Accelerator(
            mixed_precision=_mixed_precision(loop.precision),
            gradient_accumulation_steps=loop.accumulation,
            # Checkpoints of transformers hold weights that their forward pass never uses.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        set_seed(loop.seed)
        groups = task.parameter_groups()
        self._optimiser = torch.optim.AdamW(groups, weight_decay=loop.weight_decay)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: learning_rate_factor(step, loop))
        self._module, self._prepared = self.accelerator.prepare(task.module, self._optimiser)
        self._order = EpochOrder(
            len(task.dataset),  # type: ignore[arg-type]
            loop.seed,
            rank=self.accelerator.process_index,
            world_size=self.accelerator.num_processes,
            batch_size=loop.batch_size,
            accumulation=loop.accumulation,
        )
        if len(self._order) < loop.batch_size * loop.accumulation:
            needed = loop.batch_size * loop.accumulation
            raise TrainingError(f"{len(self._order)} items are fewer than one step's {needed}; lower batch_size")
        self._average = _Average(task.module, loop.ema_decay) if loop.ema_decay else None
        self.progressed = Progressed()
        self._writer: SummaryWriter | None = None

    def run(self) -> dict[str, float]:
        """Train; returns the figures of the last validation. Raises TrainingError on a loss that isn't finite."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        started = time.monotonic()
        if self.accelerator.is_main_process:
            self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.progressed.step)
        figures: dict[str, float] = {}
        with self._progress_bar() as progress:
            bar = progress.add_task("training", total=self.loop.steps, completed=self.progressed.step, figures="")
            for batches in self._steps():
                figures = self._advance(batches, progress, bar) or figures
                if self._is_over(started):
                    break
        self.save()
        if self.accelerator.is_main_process and self._writer:
            self._writer.close()
            draw_history(self.folder)
        return figures

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else trains in the folder meanwhile: two would write over each other's state and curves.

        Raises TrainingError where another run does.
        """
        if not self.accelerator.is_main_process:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        refusal = TrainingError(f"{self.folder}: another run trains in it. Fix: wait until it ends or stop it, or give another folder")
        lock = take_lock(self.folder / LOCK_FILE, refusal)
        try:
            yield
        finally:
            lock.release()

    @property
    def is_finished(self) -> bool:
        """True when all steps were made or patience ran out."""
        waited = self.loop.patience is not None and self.progressed.validations_without_gain >= self.loop.patience
        return waited or self.progressed.step >= self.loop.steps

    def _is_over(self, started: float) -> bool:
        out_of_time = self.loop.minutes is not None and time.monotonic() - started > 60 * self.loop.minutes
        if self.accelerator.num_processes == 1:
            return self.is_finished or out_of_time
        # Only the first process validates, and clocks differ: it decides for all, or they would wait for each other for ever.
        decision = [self.is_finished or out_of_time]
        broadcast_object_list(decision)
        return decision[0]

    def _steps(self) -> Iterator[list[Any]]:
        """The batches of each step to come."""
        state, size = self.progressed, self.loop.batch_size
        # What fills no whole step at the end of an epoch is left out.
        of_epoch = len(self._order) // (size * self.loop.accumulation) * size * self.loop.accumulation
        loader: Iterator[Any] | None = None
        while not self.is_finished:
            if state.position >= of_epoch:
                state.epoch, state.position = state.epoch + 1, 0
            if loader is None:
                loader = iter(self._loader(self._draws(state.epoch, state.position, of_epoch)))
            yield [next(loader) for _ in range(self.loop.accumulation)]

    def _draws(self, epoch: int, position: int, of_epoch: int) -> Iterator[list[Draw]]:
        """Batch by batch without end, from one epoch into the next."""
        while True:
            self._order.set_epoch(epoch)
            draws = list(self._order)[position:of_epoch]
            yield from (draws[start : start + self.loop.batch_size] for start in range(0, len(draws), self.loop.batch_size))
            epoch, position = epoch + 1, 0

    def _loader(self, draws: Iterator[list[Draw]]) -> DataLoader[Any]:
        return DataLoader(
            self.task.dataset,
            batch_sampler=draws,  # type: ignore[arg-type]
            num_workers=self.loop.workers,
            # Forking after EGL or a thread pool was started can hang; workers start clean, and once for all epochs: starting takes seconds.
            multiprocessing_context="forkserver" if self.loop.workers else None,
        )

    def _advance(self, batches: list[Any], progress: Progress, bar: Any) -> dict[str, float] | None:
        scalars = self._step(batches)
        state = self.progressed
        state.step += 1
        state.position += len(batches) * self.loop.batch_size
        if self.accelerator.is_main_process:
            self._log(scalars, progress, bar, batches[-1])
        if state.step % self.loop.validate_every == 0 or state.step == self.loop.steps:
            figures = self._validate()
            self.save()
            return figures
        if state.step % self.loop.save_every == 0:
            self.save()
        return None

    def _step(self, batches: list[Any]) -> dict[str, float]:
        # Whatever is random in a step is drawn from here, in a run that was stopped and in one that wasn't.
        torch.manual_seed((self.loop.seed * 1_000_003 + self.progressed.step) * 64 + self.accelerator.process_index)
        self._module.train()
        sums: dict[str, float] = {}
        for number, batch in enumerate(batches):
            batch = _to_device(batch, self.accelerator.device)
            self.accelerator.gradient_state._set_sync_gradients(number == len(batches) - 1)
            with self.accelerator.autocast():
                losses = self.task.losses(self._module, batch, self.progressed.step)
            self._guard(losses, batch)
            self.accelerator.backward(losses["loss"])
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(batches)
        norm = self.accelerator.clip_grad_norm_(self._module.parameters(), self.loop.clip_norm)
        if norm is not None:
            self._guard({"gradient_norm": norm}, batch)
            sums["gradient_norm"] = float(norm)
        self._prepared.step()
        self._prepared.zero_grad()
        self._schedule.step()
        if self._average:
            self._average.update()
        return sums

    def _guard(self, losses: Mapping[str, Tensor], batch: Any) -> None:
        """Raise TrainingError before a value that isn't finite reaches the weights; the batch is kept."""
        if all(torch.isfinite(value).all() for value in losses.values()):
            return
        path = self.folder / f"not_finite_step_{self.progressed.step}.pt"
        with atomic_write(path) as file:
            torch.save({name: value for name, value in batch.items() if isinstance(value, (Tensor, list, str))}, file)
        values = {name: float(value.detach()) for name, value in losses.items()}
        raise TrainingError(
            f"step {self.progressed.step}: a loss or gradient isn't finite {values}; the batch is in {path}, the last good weights in last/"
        )

    def _validate(self) -> dict[str, float]:
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return {}
        self.task.module.eval()
        with torch.no_grad(), self._averaged():
            figures = self.task.validate()
        state = self.progressed
        sign = 1 if self.task.higher_is_better else -1
        score = figures.get("score")
        if score is not None and (state.best is None or sign * score > sign * state.best):
            state.best, state.best_step, state.validations_without_gain = score, state.step, 0
            self._save_weights("best")
        else:
            state.validations_without_gain += 1
        assert self._writer is not None
        append_json_line(
            self.folder / HISTORY_FILE, {"step": state.step} | {f"validation/{name}": value for name, value in figures.items()}
        )
        for name, value in figures.items():
            self._writer.add_scalar(f"validation/{name}", value, state.step)
        draw_history(self.folder)
        text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.console.print(f"step {state.step}: {text}" + ("  (best)" if state.best_step == state.step else ""), highlight=False)
        return figures

    def save(self) -> None:
        """Write weights and the state from which `run` goes on."""
        if not self.accelerator.is_main_process:
            return
        self._save_weights("last")
        state = {
            "progressed": dataclasses.asdict(self.progressed),
            "module": self.task.module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": {"last_epoch": self._schedule.last_epoch},
            "average": self._average.state() if self._average else None,
        }
        with atomic_write(self.folder / STATE_FILE) as file:
            torch.save(state, file)

    def _save_weights(self, name: str) -> None:
        with self._averaged():
            self.task.save(self.folder / name)

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return self._average.applied() if self._average else contextlib.nullcontext()

    def _resume(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.task.module.load_state_dict(state["module"])
            self._optimiser.load_state_dict(state["optimiser"])
            if self._average:
                self._average.restore(state["average"])
        except Exception as error:
            raise TrainingError(
                f"{path} can't be continued ({error}); remove the folder to start again, or give the same configuration"
            ) from error
        self._schedule.last_epoch = state["schedule"]["last_epoch"]
        for group, base in zip(self._optimiser.param_groups, self._schedule.base_lrs, strict=True):
            group["lr"] = base * learning_rate_factor(self._schedule.last_epoch, self.loop)
        self.progressed = Progressed(**state["progressed"])
        self._forget_history_after(self.progressed.step)
        self.console.print(f"going on at step {self.progressed.step} of {self.loop.steps}")

    def _forget_history_after(self, step: int) -> None:
        """Drop lines of steps that a killed run logged but didn't save; they'll be made again."""
        path = self.folder / HISTORY_FILE
        lines = [record for record in read_json_lines(path) if record["step"] <= step]
        atomic_write_text(path, "".join(json.dumps(record) + "\n" for record in lines))

    def _log(self, scalars: dict[str, float], progress: Progress, bar: Any, batch: Any) -> None:
        step = self.progressed.step
        progress.update(bar, completed=step, figures=" ".join(f"{name} {value:.4f}" for name, value in list(scalars.items())[:4]))
        append_json_line(self.folder / HISTORY_FILE, {"step": step, **scalars})
        assert self._writer is not None
        for name, value in scalars.items():
            self._writer.add_scalar(f"training/{name}", value, step)
        self._writer.add_scalar("training/learning_rate", self._optimiser.param_groups[0]["lr"], step)
        if step == 1 or step % self.loop.pictures_every == 0:
            self.task.module.eval()
            with torch.no_grad():
                sheet = self.task.picture(_to_device(batch, self.accelerator.device))
            write_image(self.folder / "pictures" / f"step_{step:07d}.jpg", sheet)
            self._writer.add_image("training/pictures", sheet, step, dataformats="HWC")

    def _progress_bar(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        return Progress(*columns, TextColumn("{task.fields[figures]}"), console=self.console, disable=not self.accelerator.is_main_process)


def _mixed_precision(precision: Literal["auto", "fp32", "bf16"]) -> str:
    if precision != "auto":
        return "bf16" if precision == "bf16" else "no"
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if torch.cuda.is_available() else cpu_multiplies_bf16()
    return "bf16" if fast else "no"


def learning_rate_factor(step: int, loop: LoopConfig) -> float:
    """Share of the full learning rate at a step: linear warm-up, then linear or cosine decay to zero at `loop.steps`."""
    if step < loop.warm_up_steps:
        return (step + 1) / loop.warm_up_steps
    share = min(1.0, (step - loop.warm_up_steps) / max(1, loop.steps - loop.warm_up_steps))
    return 1 - share if loop.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * share))


class _Average:
    """Exponential moving average of a module's trained parameters, kept in float32.

    Running statistics of batch normalisation are averaged with them: those of the raw weights don't fit the averaged ones.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        saved = module.state_dict().keys()
        self._parameters: dict[str, Tensor] = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self._parameters |= {name: value for name, value in module.named_buffers() if name in saved and value.is_floating_point()}
        self._decay = decay
        self.values = {name: value.detach().clone() for name, value in self._parameters.items()}
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Move a little towards the current weights; faster at first, so that the random start is soon forgotten."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for name, value in self._parameters.items():
            self.values[name].lerp_(value.detach(), 1 - decay)

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"values": self.values, "updates": self._updates}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from a saved state, whatever device it is on. Raises ValueError for None, which a run without an average saves."""
        if state is None:
            raise ValueError("it was begun without an average of the weights: loop.ema_decay=0")
        for name, value in self.values.items():
            value.copy_(state["values"][name])
        self._updates = int(state["updates"])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """A block in which the module has the averaged weights."""
        raw = {name: value.detach().clone() for name, value in self._parameters.items()}
        self._copy(self.values)
        try:
            yield
        finally:
            self._copy(raw)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, value in self._parameters.items():
            value.copy_(values[name])


def draw_history(folder: Path) -> None:
    """`history.png`: one panel a figure, training smoothed."""
    records = read_json_lines(folder / HISTORY_FILE)
    curves: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for name, value in record.items():
            if name != "step":
                curves.setdefault(name, []).append((record["step"], value))
    if not curves:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4 * columns, 2.6 * rows), squeeze=False)
    for axis, (name, points) in zip(axes.ravel(), curves.items(), strict=False):
        steps, values = np.array(points).T
        axis.plot(steps, values, linewidth=0.6, alpha=0.5 if len(values) > 50 else 1.0)
        if len(values) > 50:
            window = max(1, len(values) // 50)
            axis.plot(steps[window - 1 :], np.convolve(values, np.ones(window) / window, mode="valid"), linewidth=1.4)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in axes.ravel()[len(curves) :]:
        axis.axis("off")
    figure.tight_layout()
    with atomic_write(folder / "history.png") as file:
        figure.savefig(file, dpi=90, format="png")
    pyplot.close(figure)


def _to_device(batch: Any, device: torch.device) -> Any:
    return {name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value for name, value in batch.items()}
