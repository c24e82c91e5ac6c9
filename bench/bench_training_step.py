# SPDX-License-Identifier: Apache-2.0
"""What a step of the teacher costs beside the networks' bare forward and backward. Run by hand.

    python bench/bench_training_step.py [--recipe training/recipes/teacher_rendered_scratch.yaml] [--steps 10] [key=value ...]

Pictures are 640x360 JPEGs of noise over gradients, written first; loading, losses, clipping and the optimiser count in the whole step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console

from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import encode_jpeg
from ssd_core.storage.configuration import read_values, validate_configuration
from ssd_core.training.depth_network import pixels
from ssd_core.training.teacher import TeacherConfig, TeacherTask
from ssd_core.training.trainer import Trainer

CAMERA = PinholeCamera.from_field_of_view(640, 360, 64.0)


def main() -> None:
    """Print milliseconds of the bare networks and of whole steps, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path(__file__).parents[1] / "training" / "recipes" / "teacher_rendered_scratch.yaml")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        video = Path(temporary) / "video"
        _write_video(video)
        trainer = _trainer(options.recipe, options.overrides, video, Path(temporary) / "run")
        loop = trainer.loop
        print(f"batch {loop.batch_size}, {loop.workers} workers, {torch.get_num_threads()} threads, {trainer.accelerator.device}")
        bare = _bare(trainer, options.steps)
        print(f"forward and backward of the networks: {1000 * bare:.0f} ms")
        whole = _whole(trainer, options.steps)
        print(f"whole step, loading and losses included: {1000 * whole:.0f} ms, {loop.batch_size / whole:.1f} triplets/s")
        print(f"ratio {whole / bare:.2f}")


def _write_video(folder: Path, count: int = 120) -> None:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (24, 42, 3), dtype=np.uint8)
    writer = FrameDatasetWriter(folder, {"kind": "bench"})
    for index in range(count):
        image = cv2.resize(np.roll(coarse, index, axis=1), CAMERA.size, interpolation=cv2.INTER_CUBIC)
        image = np.minimum(image.astype(np.uint16) + generator.integers(0, 24, image.shape), 255).astype(np.uint8)
        pose = np.eye(4)
        pose[2, 3] = 0.9 * index
        frame = Frame(f"bench/front/{index:04d}", "bench", "front", index * 100_000_000, CAMERA, pose, condition="day-clear")
        writer.add(frame, encode_jpeg(image, 92))


def _trainer(recipe: Path, overrides: list[str], video: Path, out: Path) -> Trainer:
    values = read_values(recipe, overrides)
    values["data"] |= {"train": [{"path": video}], "validation": [{"path": video}]}
    config = validate_configuration(TeacherConfig, values, str(recipe))
    return Trainer(TeacherTask(config, [video], [video]), config.loop, out, Console(quiet=True))


def _bare(trainer: Trainer, steps: int) -> float:
    """Seconds of depth and pose network on one batch, again and again."""
    batch = {name: value for name, value in next(trainer._steps())[0].items() if isinstance(value, torch.Tensor)}
    device = trainer.accelerator.device
    inputs, images = (pixels(batch[name].to(device)) for name in ("input", "images"))
    intrinsics, input_intrinsics = (batch[name].to(device) for name in ("intrinsics", "input_intrinsics"))
    trainer._module.train()

    def step() -> None:
        with trainer.accelerator.autocast():
            prediction = trainer._module(inputs, input_intrinsics, images, intrinsics)
        (prediction.depth.mean() + prediction.pose.neighbours_from_current.sum()).backward()
        trainer._module.zero_grad()

    return _median_time(step, steps)


def _whole(trainer: Trainer, steps: int) -> float:
    """Seconds of loading a batch and stepping, workers loading ahead as in training."""
    batches = trainer._steps()

    def step() -> None:
        trainer._step(next(batches))

    return _median_time(step, steps)


def _median_time(step: Callable[[], None], steps: int) -> float:
    for _ in range(3):
        step()
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
