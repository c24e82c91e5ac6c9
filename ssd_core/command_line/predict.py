# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth predict`: depth of every frame of a picture, folder, video or bag; what people try first."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape

from ssd_core.command_line.terminal import frame_progress, parse_size, split_names, tell

if TYPE_CHECKING:
    from ssd_core.command_line.prediction_folder import PredictionFolder
    from ssd_core.data.frame import Frame, FrameSource
    from ssd_core.data.intrinsics import CameraForSize
    from ssd_core.images.codec import Image, ImageDecodeError
    from ssd_core.model.config import ModelDescription
    from ssd_core.runtime.estimator import DepthEstimator

_READ_AHEAD = 4


class OutputFormat(str, Enum):
    """How depth is stored."""

    png = "png"
    npz = "npz"
    bag = "bag"


class _LeftOut(NamedTuple):
    """Pictures without depth: damaged ones, and whole ones that the given intrinsics don't fit."""

    damaged: int = 0
    unfitting: int = 0


def predict(
    source: Annotated[Path, typer.Argument(help="A picture, a folder of pictures, a video, a ROS bag, or a data set.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results; a second run goes on where the first ended.", show_default=False)],
    model: Annotated[str, typer.Option(help="bundled, a checkpoint folder, or a Hub id.")] = "bundled",
    backend: Annotated[str, typer.Option(help="auto, tensorrt, openvino or torch.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    input_size: Annotated[str | None, typer.Option(metavar="WxH", help="Network input, multiples of 14; default fits the aspect.")] = None,
    file_format: Annotated[
        OutputFormat, typer.Option("--format", help="png: metres * 256 in 16 bits; npz: float32; bag: ROS 2.")
    ] = OutputFormat.png,
    focal: Annotated[
        float | None, typer.Option(help="Focal length in pixels, where the input has no intrinsics; of a folder's first picture.")
    ] = None,
    intrinsics: Annotated[Path | None, typer.Option(help="ROS calibration YAML, or a text file with fx fy cx cy, K or P.")] = None,
    cameras: Annotated[list[str] | None, typer.Option(help="Only these cameras of a bag or data set: A,B or several times.")] = None,
    max_depth: Annotated[float | None, typer.Option(min=0.1, help="Farther depth, in metres, is written as unknown.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results of an earlier run.")] = False,
) -> None:
    """Predict depth for every frame of SOURCE: depth files, colour pictures, and videos where frames follow each other."""
    from ssd_core.command_line.prediction_folder import PredictConfiguration, PredictionFolder
    from ssd_core.data.intrinsics import ASSUMED_LENS, assumed_camera
    from ssd_core.data.source import open_source
    from ssd_core.model.checkpoint import open_checkpoint

    console = Console(stderr=True)
    names = split_names(cameras)
    checkpoint = open_checkpoint(model)
    description, lens = checkpoint.description, _given_intrinsics(focal, intrinsics)
    assumed = assumed_camera if description.needs_camera and lens is None else None
    opened = open_source(source, names, lens, with_poses=False)
    try:
        frames = opened.frames()
        size = parse_size(input_size) if input_size else _fitting_size(opened, frames, description)
        configuration = PredictConfiguration(
            source=str(source.resolve()),
            model=checkpoint.model_id,
            trained=description.trained,
            kind=description.kind,
            backend=backend,
            precision=precision,
            input_size=size,
            format=file_format.value,
            cameras=names,
            focal=focal,
            intrinsics=str(intrinsics.resolve()) if intrinsics else None,
            max_depth=max_depth,
        )
        folder = PredictionFolder(out, file_format.value, description.kind, description.farthest, max_depth, assumed)
        folder.check(configuration, overwrite)
        _warn(console, description.trained, description.kind, opened.warnings)
        if assumed and any(frame.camera is None for frame in frames):
            tell(console, "warning", f"{source} has no intrinsics: {ASSUMED_LENS}; give --focal or --intrinsics", "yellow")
        left_out = _run(console, opened, frames, folder, configuration, model)
    finally:
        opened.close()
    if left_out.damaged:
        raise typer.Exit(1)


def _run(
    console: Console, source: FrameSource, frames: Sequence[Frame], folder: PredictionFolder, configuration: Any, model: str
) -> _LeftOut:
    """Predict what isn't finished; returns how many pictures were left out."""
    from ssd_core.data.image_folder import ImageFolder
    from ssd_core.runtime.estimator import DepthEstimator

    waiting = [frame for frame in frames if not folder.is_finished(frame)]
    started, left_out = time.monotonic(), _LeftOut()
    if waiting:
        estimator = DepthEstimator.load(model, configuration.backend, configuration.input_size, configuration.precision)
        width, height = estimator.input_size
        console.print(
            f"model {estimator.model_id} at {width}x{height} on {estimator.backend} {estimator.precision}", highlight=False, markup=False
        )
        try:
            folder.describe(configuration.model_copy(update={"backend": estimator.backend, "precision": estimator.precision}))
            started = time.monotonic()
            left_out = _predict_all(console, source, waiting, folder, estimator)
        finally:
            estimator.close()
    seconds = time.monotonic() - started
    _assemble_bag(source, frames, folder)
    done = len(waiting) - sum(left_out)
    videos = folder.write_videos(frames) if done and not isinstance(source, ImageFolder) else []
    rate = f", {done / seconds:.1f} frames/s" if done else ""
    parts = [f"{done} frames in {seconds:.1f} s{rate}"]
    if len(frames) > len(waiting):
        parts.append(f"{len(frames) - len(waiting)} were finished before")
    if left_out.damaged:
        parts.append(f"[bold red]{left_out.damaged} damaged images skipped[/]")
    if left_out.unfitting:
        parts.append(f"[yellow]{left_out.unfitting} skipped for their aspect: predict such with their own intrinsics and --out[/]")
    if videos:
        parts.append(f"videos: {', '.join(path.name for path in videos)}")
    console.print("; ".join(parts) + f" -> {escape(str(folder.folder))}", highlight=False, soft_wrap=True)
    return left_out


def _assemble_bag(source: FrameSource, frames: Sequence[Frame], folder: PredictionFolder) -> None:
    from ssd_core.data.bag_frames import BagFrames

    if not isinstance(source, BagFrames):
        folder.write_bag(frames, {}, ())
        return
    transforms = source.bag.topics_of_type("tf2_msgs/msg/TFMessage")
    folder.write_bag(frames, {camera.name: camera.frame_id for camera in source.cameras}, source.bag.messages(transforms))


def _predict_all(
    console: Console, source: FrameSource, frames: Sequence[Frame], folder: PredictionFolder, estimator: DepthEstimator
) -> _LeftOut:
    from ssd_core.data.image_folder import OTHER_ASPECT
    from ssd_core.images.codec import ImageDecodeError

    damaged = unfitting = 0
    writing: deque[Future[None]] = deque()
    with frame_progress(console) as progress, ThreadPoolExecutor(2) as writers:
        task = progress.add_task("depth", total=len(frames))
        batch: list[tuple[Frame, Image]] = []
        for position, (frame, image) in enumerate(_read_ahead(source, frames), start=1):
            if isinstance(image, ImageDecodeError) and image.cause == OTHER_ASPECT:
                unfitting += 1
                tell(console, "skipped", image, "yellow")
            elif isinstance(image, ImageDecodeError):
                damaged += 1
                tell(console, "damaged", image, "bold red")
            else:
                batch.append((frame, image))
            if batch and (len(batch) == estimator.max_batch or position == len(frames)):
                for (finished, pixels), depth in zip(batch, _estimate(estimator, folder, batch), strict=True):
                    writing.append(writers.submit(folder.write, finished, pixels, depth.values))
                batch = []
            while len(writing) > _READ_AHEAD * 2:
                writing.popleft().result()
            progress.update(task, completed=position)
        for future in writing:
            future.result()
    return _LeftOut(damaged, unfitting)


def _estimate(estimator: DepthEstimator, folder: PredictionFolder, batch: Sequence[tuple[Frame, Image]]) -> list[Any]:
    images = [image for _, image in batch]
    sizes = [(image.shape[1], image.shape[0]) for image in images]
    cameras = [folder.camera_of(frame, size) for (frame, _), size in zip(batch, sizes, strict=True)]
    return list(estimator(images, cameras, sizes))


def _read_ahead(source: FrameSource, frames: Sequence[Frame]) -> Iterator[tuple[Frame, Image | ImageDecodeError]]:
    """Pictures in order, decoded by a thread of its own while the network works; a damaged one comes as its error."""
    from ssd_core.images.codec import ImageDecodeError

    def read(frame: Frame) -> Image | ImageDecodeError:
        try:
            return source.image(frame)
        except ImageDecodeError as error:
            return error

    with ThreadPoolExecutor(1) as reader:
        pending: deque[tuple[Frame, Future[Any]]] = deque()
        for frame in frames:
            pending.append((frame, reader.submit(read, frame)))
            if len(pending) > _READ_AHEAD:
                first, future = pending.popleft()
                yield first, future.result()
        for first, future in pending:
            yield first, future.result()


def _given_intrinsics(focal: float | None, file: Path | None) -> CameraForSize | None:
    from ssd_core.data.intrinsics import camera_from_focal_length, read_intrinsics

    if focal is not None and file is not None:
        raise ValueError("--focal and --intrinsics contradict each other: give one")
    if focal is not None:
        return camera_from_focal_length(focal)
    return read_intrinsics(file) if file is not None else None


def _fitting_size(source: FrameSource, frames: Sequence[Frame], description: ModelDescription) -> tuple[int, int]:
    """The network's input for the first frame's aspect."""
    from ssd_core.images.codec import ImageDecodeError

    for frame in frames:
        if frame.camera is not None:
            return description.fitting_input_size(frame.camera.size)
        try:
            image = source.image(frame)
        except ImageDecodeError:
            continue  # named when its turn comes
        return description.fitting_input_size((image.shape[1], image.shape[0]))
    return description.input_size


def _warn(console: Console, is_trained: bool, kind: str, warnings: Sequence[str]) -> None:
    for sentence in warnings:
        tell(console, "warning", sentence, "yellow")
    if not is_trained:
        console.print("[bold white on red] UNTRAINED WEIGHTS [/] [bold red]this model's weights are random: its depth means nothing.[/]")
    if kind != "metric":
        console.print("[yellow]this model knows depth only up to scale and shift: INVERSE depth is written, no metres.[/]")
