# SPDX-License-Identifier: Apache-2.0
"""How fast the road world renders: `python bench/bench_renderer.py --out result.json`.

Clear days with shadows, driving on at 12 pictures a second through several streets; whole pictures with their exact
depth. Besides wall time it gives processor time, which says what a frame costs whatever else the machine does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

SIZES = {(308, 168): 25.0, (640, 360): 10.0}
"""Pictures, and the frames a second that are wanted of them on two cores."""
SEEDS, FRAMES = (1003, 1008, 1012, 1017), 12
PASSES = ("_draw_depth", "_cast_shadows", "_paint", "develop")


def stretches(size: tuple[int, int], seeds: tuple[int, ...]) -> Iterator[Callable[[], None]]:
    """Calls that render one frame each, a stretch of driving per street; blocks are built and programs compiled before."""
    from ssd_core.road_world.renderer import Renderer
    from ssd_core.road_world.scene import Scene
    from ssd_core.road_world.sensors import Rig

    mounted = Rig.nuscenes_front(*size).cameras[0]
    renderer = Renderer(mounted.camera)
    for seed in seeds:
        scene = Scene.generate(seed, 20.0)

        def shoot(moment: float, scene: Scene = scene) -> None:
            renderer.render(scene, scene.world_from_base(moment) @ mounted.base_from_camera, moment, "day-clear")

        for warm in (4.0, 4.0 + FRAMES / 12):
            shoot(warm)
        for index in range(FRAMES):
            yield lambda index=index, shoot=shoot: shoot(4.0 + index / 12)  # type: ignore[misc]


def frame_times(size: tuple[int, int], seeds: tuple[int, ...] = SEEDS) -> dict[str, list[float]]:
    """Milliseconds a frame, wall and processor."""
    times: dict[str, list[float]] = {"wall": [], "processor": []}
    for frame in stretches(size, seeds):
        wall, processor = time.perf_counter(), time.process_time()
        frame()
        times["wall"].append(1e3 * (time.perf_counter() - wall))
        times["processor"].append(1e3 * (time.process_time() - processor))
    return times


def pass_times(size: tuple[int, int]) -> dict[str, float]:
    """Median milliseconds of processor time by pass; each is waited for, which a frame doesn't."""
    from ssd_core.road_world import renderer as module

    times: dict[str, list[float]] = {name: [] for name in PASSES}
    originals = {name: getattr(_owner(module, name), name) for name in PASSES}

    def timed(name: str) -> Callable[..., Any]:
        def run(self: Any, *arguments: Any) -> Any:
            context = module.shared_graphics().context
            context.finish()
            started = time.process_time()
            result = originals[name](self, *arguments)
            context.finish()
            times[name].append(1e3 * (time.process_time() - started))
            return result

        return run

    for name in PASSES:
        setattr(_owner(module, name), name, timed(name))
    whole = [frame_processor(frame) for frame in stretches(size, SEEDS)]
    for name, original in originals.items():
        setattr(_owner(module, name), name, original)
    found = {name.strip("_"): median(values) for name, values in times.items()}
    # Most frames find the still world's shadows drawn.
    found["cast_shadows mean"] = sum(times["_cast_shadows"]) / len(times["_cast_shadows"])
    return {**found, "all else": median(whole) - sum(median(values) for values in times.values())}


def frame_processor(frame: Callable[[], None]) -> float:
    """Milliseconds of processor time of a call."""
    started = time.process_time()
    frame()
    return 1e3 * (time.process_time() - started)


def _owner(module: Any, name: str) -> Any:
    return module.Darkroom if name == "develop" else module._Frame


def _stretch_in_process(job: tuple[tuple[int, int], tuple[int, ...], Any]) -> tuple[float, float]:
    size, seeds, barrier = job
    calls = []
    for call in stretches(size, seeds):
        calls.append(call)
        call()
    barrier.wait()
    started = time.perf_counter()
    for call in calls:
        call()
    return started, time.perf_counter() - started


def several_processes(count: int, size: tuple[int, int], threads: str) -> float:
    """Frames a second of so many processes together, each with so many threads of the software rasteriser ("" for its default)."""
    if threads:
        os.environ["LP_NUM_THREADS"] = threads
    try:
        context = multiprocessing.get_context("spawn")
        with context.Manager() as manager, context.Pool(count) as pool:
            barrier = manager.Barrier(count)
            halves = itertools.cycle([SEEDS[:2], SEEDS[2:]])
            jobs = [(size, seeds, barrier) for seeds in itertools.islice(halves, count)]
            found = pool.map(_stretch_in_process, jobs, chunksize=1)
    finally:
        os.environ.pop("LP_NUM_THREADS", None)
    return sum(FRAMES * 2 / seconds for _, seconds in found)


def building() -> list[float]:
    """Seconds to make a street and all that is near its start."""
    from ssd_core.road_world.scene import Scene

    times = []
    for seed in SEEDS:
        started = time.perf_counter()
        Scene.generate(seed, 20.0).parts(4.0)
        times.append(time.perf_counter() - started)
    return times


def dataset_speed(workers: int, scenes: int) -> float:
    """Frames a second of render_frames: streets built, pictures in three conditions, JPEG and depth on disk."""
    from ssd_core.data.rendered import RenderPlan, render_frames

    plan = RenderPlan(first_scene=1100, scenes=scenes, moments=4, conditions=("day-clear", "night", "day-rain"))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        frames = len(render_frames(plan, Path(folder), workers=workers).frames())
        return frames / (time.perf_counter() - started)


def main() -> None:
    """Measure, print tables, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    parser.add_argument("--scenes", type=int, default=6, help="streets of the data set that is written")
    arguments = parser.parse_args()

    results: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "threads": os.cpu_count(), "load": os.getloadavg()}
    }
    table = Table("", *(f"{width}x{height}" for width, height in SIZES), title="day-clear with shadows")
    rows: dict[str, list[str]] = {}
    for size, target in SIZES.items():
        times, passes = frame_times(size), pass_times(size)
        found = {
            "one process, ms a frame": median(times["wall"]),
            "one process, frames/s": 1e3 / (sum(times["wall"]) / len(times["wall"])),
            "two processes, frames/s": several_processes(2, size, ""),
            "two processes without threads, frames/s": several_processes(2, size, "0"),
            "three processes without threads, frames/s": several_processes(3, size, "0"),
            "wanted, frames/s": target,
            "processor ms a frame": median(times["processor"]),
            **{f"processor ms: {name}": value for name, value in passes.items()},
        }
        results["x".join(map(str, size))] = found
        for name, value in found.items():
            rows.setdefault(name, []).append(f"{value:.1f}")
    for name, values in rows.items():
        table.add_row(name, *values)
    results["scene_s"] = median(building())
    results["render_frames"] = {str(workers): dataset_speed(workers, arguments.scenes) for workers in (1, 2, 3)}
    console = Console()
    console.print(table)
    console.print(f"a street and all near its start: {results['scene_s']:.2f} s")
    for workers, speed in results["render_frames"].items():
        console.print(f"render_frames, 448x252 in three conditions, {workers} process(es): {speed:.1f} frames/s")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
