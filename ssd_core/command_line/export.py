# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth export`: the network compiled beforehand, compared with itself in PyTorch before anybody relies on it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ssd_core.command_line.terminal import frame_progress, parse_size, tell

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ssd_core.data.frame import Frame, FrameSource
    from ssd_core.geometry.camera import PinholeCamera
    from ssd_core.model.checkpoint import Checkpoint
    from ssd_core.runtime.backends import Backend
    from ssd_core.runtime.estimator import DepthEstimator
    from ssd_core.runtime.parity import Parity

    Samples = tuple[list[npt.NDArray[np.uint8]], list[PinholeCamera | None]]

_SAMPLES = 8


class ExportKind(str, Enum):
    """What the network is compiled for."""

    tensorrt = "tensorrt"
    onnx = "onnx"
    openvino = "openvino"


def export(
    backend: Annotated[ExportKind, typer.Option(help="What to compile for.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: .onnx, .xml (OpenVINO) or .pt2; tensorrt without it only fills the cache.", show_default=False),
    ] = None,
    model: Annotated[str, typer.Option(help="bundled, a checkpoint folder, or a Hub id.")] = "bundled",
    input_size: Annotated[str | None, typer.Option(metavar="WxH", help="Network input, multiples of 14; default the model's own.")] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Images at once, such as a robot's cameras.")] = 1,
    frames: Annotated[
        Path | None,
        typer.Option(help="Compare on frames of this recording; default: --verify's, else made-up pictures.", show_default=False),
    ] = None,
    verify: Annotated[Path | None, typer.Option(help="Also measure both against the lidar of this recording.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="Frames of --verify, spread evenly.")] = 50,
    cache: Annotated[Path | None, typer.Option(help="Folder for TensorRT engines; default: the user's cache.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Write it even if its depth differs.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier file.")] = False,
) -> None:
    """Compile a model for one input size, print how far its depth is from PyTorch's, and write it unless that is too far."""
    from ssd_core.model.checkpoint import open_checkpoint
    from ssd_core.model.config import check_input_size
    from ssd_core.runtime.estimator import DepthEstimator
    from ssd_core.runtime.graph_files import describe_graph
    from ssd_core.storage.configuration import save_configuration

    console = Console(stderr=True)
    _check_target(backend, out, overwrite)
    checkpoint = open_checkpoint(model)
    size = parse_size(input_size) if input_size else checkpoint.description.input_size
    check_input_size(size)
    with ExitStack() as stack:
        samples = _samples(stack, frames or verify, size, checkpoint.description.needs_camera)
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".export.", dir=_folder_for(out))))
        with console.status(f"compiling {checkpoint.model_id} at {size[0]}x{size[1]} for {backend.value}"):
            running, made = _compile(backend, checkpoint, size, precision, batch, temporary / (out.name if out else "graph"), cache)
        compiled = DepthEstimator(checkpoint, backend.value, running, size)
        stack.callback(compiled.close)
        eager = DepthEstimator.load(model, "torch", size, "fp32")
        stack.callback(eager.close)
        parity = _compare(console, compiled, eager, samples, running)
        _refuse_difference(parity, running, force)
        _move(made, out)
        accuracy = _verify(console, stack, verify, limit, eager, compiled) if verify else {}
    if out is not None:
        save_configuration(out.with_suffix(".yaml"), describe_graph(checkpoint, size, running, parity, accuracy))
        console.print(f"-> {out}", highlight=False, soft_wrap=True, markup=False)


def _check_target(kind: ExportKind, out: Path | None, overwrite: bool) -> None:
    from ssd_core.runtime.graph_files import SUFFIXES

    suffix = SUFFIXES[kind.value]
    if out is None:
        if kind is not ExportKind.tensorrt:
            raise ValueError(f"--backend {kind.value} needs --out FILE{suffix}")
        return
    if out.suffix != suffix:
        raise ValueError(f"--out {out}: a file for {kind.value} must end in {suffix}")
    if out.exists() and not overwrite:
        raise ValueError(f"--out {out}: is there already; choose another name or --overwrite")


def _folder_for(out: Path | None) -> Path | None:
    """Where the file grows: beside its place, so that the last step is a rename."""
    if out is None:
        return None
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.parent


def _samples(stack: ExitStack, recording: Path | None, size: tuple[int, int], needs_camera: bool) -> Samples:
    """Pictures and their cameras."""
    from ssd_core.runtime.sample_pictures import sample_cameras, sample_pictures

    if recording is None:
        pictures = list(sample_pictures(size))
        return pictures, list(sample_cameras(size, len(pictures)))
    source, chosen = _open(stack, recording, _SAMPLES)
    if needs_camera and any(frame.camera is None for frame in chosen):
        raise ValueError(f"{recording}: has no intrinsics, which this model needs; choose another recording")
    return [source.image(frame) for frame in chosen], [frame.camera for frame in chosen]


def _open(stack: ExitStack, recording: Path, limit: int) -> tuple[FrameSource, list[Frame]]:
    from ssd_core.data.source import open_source
    from ssd_core.evaluation.evaluation import choose_frames

    source = open_source(recording)
    stack.callback(source.close)
    return source, choose_frames(source.frames(), limit=limit)


def _compile(
    kind: ExportKind, checkpoint: Checkpoint, size: tuple[int, int], precision: str, batch: int, path: Path, cache: Path | None
) -> tuple[Backend, Path]:
    """What runs it, and the file that was made."""
    import shutil

    from ssd_core.runtime.engine_cache import EngineCache
    from ssd_core.runtime.graph_files import build_engine, write_graph

    if kind is not ExportKind.tensorrt:
        return write_graph(kind.value, checkpoint, size, precision, batch, path), path
    running, engine = build_engine(checkpoint, size, precision, batch, EngineCache(cache))
    if not engine.exists():
        raise OSError(f"{engine}: the engine can't be kept there; give --cache a folder that can be written")
    # The cache keeps its own.
    shutil.copy(engine, path)
    return running, path


def _compare(console: Console, compiled: DepthEstimator, eager: DepthEstimator, samples: Samples, running: Any) -> Parity:
    import numpy as np

    from ssd_core.runtime.parity import compare_depth

    pictures, cameras = samples
    depths = [np.stack([depth.values for depth in estimator(pictures, cameras)]) for estimator in (compiled, eager)]
    parity = compare_depth(*depths)
    runtime = getattr(running, "runtime", "")
    name = f"{compiled.backend} {compiled.precision}{f' ({runtime})' if runtime else ''}"
    console.print(
        f"{name} against PyTorch fp32, {len(pictures)} pictures, relative difference of depth: {parity}", highlight=False, soft_wrap=True
    )
    return parity


def _refuse_difference(parity: Parity, running: Backend, force: bool) -> None:
    from ssd_core.runtime.parity import LARGEST_MEAN

    if not parity.is_within(running.precision) and not force:
        allowed = LARGEST_MEAN[running.precision]
        raise ValueError(
            f"the compiled network gives another depth: mean difference {parity.mean:.2g}, {running.precision} may have {allowed:g}; "
            "nothing was written. --precision fp32 may mend it, --force writes it all the same"
        )


def _move(made: Path, out: Path | None) -> None:
    if out is None:
        return
    weights = made.with_suffix(".bin")
    if made.suffix == ".xml" and weights.exists():
        weights.replace(out.with_suffix(".bin"))
    made.replace(out)


def _verify(
    console: Console, stack: ExitStack, recording: Path, limit: int, eager: DepthEstimator, compiled: DepthEstimator
) -> dict[str, Any]:
    """absRel of both, side by side."""
    from ssd_core.evaluation.evaluation import evaluate_frames
    from ssd_core.evaluation.metrics import mean_metrics
    from ssd_core.evaluation.protocol import DepthRange

    source, chosen = _open(stack, recording, limit)
    with frame_progress(console) as progress:
        task = progress.add_task("measuring", total=len(chosen))
        predictors = {"eager": eager, "compiled": compiled}
        found = list(evaluate_frames(source, chosen, predictors, DepthRange(), lambda _record: progress.advance(task)))
    records = [record for record in found if record.scores]
    if not records:
        tell(console, "warning", f"{recording}: no frame has lidar depth that counts, so nothing could be measured", "yellow")
        return {}
    table = Table("network", "absRel", "absRel, median scaled", title=f"{len(records)} frames of {recording}")
    accuracy: dict[str, Any] = {"recording": str(recording), "frames": len(records)}
    for name, estimator in (("eager", eager), ("compiled", compiled)):
        means = {mode: mean_metrics([record.scores[name].metrics.get(mode) for record in records]) for mode in ("raw", "median")}
        errors = {mode: None if mean is None else mean["abs_rel"] for mode, mean in means.items()}
        accuracy[name] = errors
        label = f"{name}: {estimator.backend} {estimator.precision}"
        table.add_row(label, *("-" if error is None else f"{error:.4f}" for error in errors.values()))
    console.print(table)
    return accuracy
