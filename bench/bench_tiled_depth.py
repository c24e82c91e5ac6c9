# SPDX-License-Identifier: Apache-2.0
"""Depth in one pass against depth refined in tiles, on rendered truth: `python bench/bench_tiled_depth.py --model runs/x/best`.

Clear days through a nuScenes front camera. `--model stand-in` needs no weights: it is shown log depth as gray instead of the picture
and gives it back blurred to its own resolution, for tiles on a wrong scale and bent.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ssd_core.evaluation.metrics import depth_metrics
from ssd_core.gdt.depth_edges import edge_quality
from ssd_core.gdt.tiled_depth import TiledDepth, TilingConfig
from ssd_core.gdt.translator import DepthSource
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.resize import resize_depth
from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.runtime.estimator import DepthEstimator, DepthMap

Depth = npt.NDArray[np.float32]
NEAR, CAP = 1.0, 80.0
STAND_IN = "stand-in"
WAYS = {"one pass": (), "tiles, zoom 2": (2.0,), "tiles, zoom 2 and 4": (2.0, 4.0)}
FIGURES = ("absRel", "d1", "edge sharpness", "edge absRel", "seconds")


class StandIn:
    """A DepthSource whose pictures are `as_picture`."""

    model_id = STAND_IN
    size = (448, 252)

    def __init__(self, picture_width: int) -> None:
        self._width = picture_width

    def __call__(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        """See DepthSource."""
        del cameras
        sizes = output_sizes or [None] * len(images)
        maps = [self._read(image) for image in images]
        return [DepthMap(resize_depth(values, size or self.size), "metric") for values, size in zip(maps, sizes, strict=True)]

    def _read(self, image: npt.NDArray[np.uint8]) -> Depth:
        log_depth = image[..., 0].astype(np.float32) / 255 * np.log(CAP / NEAR) + np.log(NEAR)
        seen = cv2.GaussianBlur(cv2.resize(log_depth, self.size, interpolation=cv2.INTER_AREA), (0, 0), 1.5)
        if image.shape[1] < self._width:
            gain, offset, tilt = np.random.default_rng(int(image.astype(np.uint64).sum())).normal(0, (0.1, 0.2, 0.15))
            seen = (1 + gain) * seen + offset + tilt * np.linspace(-1, 1, self.size[1])[:, None]
        return np.exp(seen).astype(np.float32)


def as_picture(depth: Depth) -> npt.NDArray[np.uint8]:
    """Log depth as gray."""
    levels = np.log(np.nan_to_num(depth, nan=CAP, posinf=CAP).clip(NEAR, CAP) / NEAR) / np.log(CAP / NEAR) * 255
    return np.repeat(levels.round().astype(np.uint8)[..., None], 3, axis=2)


def views(seeds: Sequence[int], size: tuple[int, int]) -> Iterator[tuple[npt.NDArray[np.uint8], PinholeCamera, Depth]]:
    """Picture, camera and true depth, a street each."""
    from ssd_core.road_world.renderer import Renderer
    from ssd_core.road_world.scene import Scene
    from ssd_core.road_world.sensors import Rig

    mounted = Rig.nuscenes_front(*size).cameras[0]
    renderer = Renderer(mounted.camera)
    for seed in seeds:
        scene = Scene.generate(seed, 12.0)
        moment = float(np.random.default_rng([seed, 7]).uniform(1, 10))
        view = renderer.render(scene, scene.world_from_base(moment) @ mounted.base_from_camera, moment, "day-clear")
        yield view.image, mounted.camera, view.depth


def measure(prediction: Depth, truth: Depth, seconds: float) -> list[float]:
    """The figures of one picture."""
    metrics, edges = depth_metrics(prediction, truth, CAP), edge_quality(prediction, truth, CAP)
    assert metrics is not None
    assert edges is not None
    return [metrics["abs_rel"], metrics["d1"], edges.sharpness, edges.abs_rel, seconds]


def load(model: str, size: tuple[int, int]) -> DepthSource:
    """The stand-in, or a model at the input size that fits the pictures."""
    if model == STAND_IN:
        return StandIn(size[0])
    description = open_checkpoint(model).description
    return DepthEstimator.load(model, input_size=description.fitting_input_size(size))


def main() -> None:
    """Measure each way on the same pictures, print a table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=STAND_IN, help="stand-in, bundled, a checkpoint folder, or a Hub id")
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--size", default="1600x900")
    parser.add_argument("--seed", type=int, default=71000, help="the first street; keep it out of training")
    parser.add_argument("--smoothing", type=float, default=TilingConfig().smoothing)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    source = load(arguments.model, (width, height))

    figures: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    seeds = range(arguments.seed, arguments.seed + arguments.pictures)
    for image, camera, truth in track(views(seeds, (width, height)), "pictures", arguments.pictures):
        shown = as_picture(truth) if arguments.model == STAND_IN else image
        for way, zooms in WAYS.items():
            started = time.perf_counter()
            predict = TiledDepth(source, TilingConfig(zooms=zooms, smoothing=arguments.smoothing)) if zooms else source
            (depth,) = predict([shown], [camera], [(width, height)])
            if depth.kind != "metric":
                raise SystemExit(f"{source.model_id} knows no metres; rendered truth is in metres")
            figures[way].append(measure(depth.values, truth, time.perf_counter() - started))

    table = Table("", *FIGURES, title=f"{source.model_id}, {arguments.pictures} pictures of {width}x{height}")
    for way, rows in figures.items():
        table.add_row(way, *(f"{value:.4f}" if value < 1 else f"{value:.2f}" for value in np.mean(rows, axis=0)))
    Console().print(table)
    if arguments.out:
        means = {way: dict(zip(FIGURES, np.mean(rows, axis=0).tolist(), strict=True)) for way, rows in figures.items()}
        arguments.out.write_text(json.dumps({"model": source.model_id, "pictures": arguments.pictures, **means}, indent=1) + "\n")


if __name__ == "__main__":
    main()
