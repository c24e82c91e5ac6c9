# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth synthesize`: night and bad weather from the clear days of a recording, through the geometry gate."""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console

from ssd_core.command_line.terminal import frame_progress, split_names, tell

if TYPE_CHECKING:
    from ssd_core.data.frame import Frame, FrameSource
    from ssd_core.data.translations import Item, Shard
    from ssd_core.gdt.config import SynthesisConfig
    from ssd_core.gdt.job import Task, Workshop
    from ssd_core.gdt.translator import DepthSource, TargetCondition, Translator


class TranslatorKind(str, enum.Enum):
    """What makes the pictures."""

    DIFFUSION = "diffusion"
    PHYSICAL = "physical"
    RENDERED = "rendered"


class Target(str, enum.Enum):
    """What of a clear day is made."""

    NIGHT = "night"
    RAIN = "rain"
    SNOW = "snow"
    FOG = "fog"


class _Process(NamedTuple):
    """This process among those of `accelerate launch`."""

    number: int = 0
    of: int = 1
    device: str | None = None


def synthesize(
    data: Annotated[
        Path, typer.Option(help="A frame dataset, bag, nuScenes, RobotCar, KITTI or DGP folder, or pictures.", show_default=False)
    ],
    translator: Annotated[
        TranslatorKind, typer.Option(help="Stable Diffusion, physics, or the rendered world itself.", show_default=False)
    ],
    condition: Annotated[list[Target], typer.Option(help="Once or several times.", show_default=False)],
    config: Annotated[Path | None, typer.Option(help="YAML; see training/synthesis.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for translated/, where --data can't be written; default: --data.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the folder under translated/; default: the translator's.")] = None,
    shard: Annotated[str, typer.Option(metavar="I/N", help="This run's share: 0/4, 1/4, ... of runs on other machines.")] = "0/1",
    preview: Annotated[int | None, typer.Option(min=1, help="Only a sheet of so many frames, spread evenly.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="That many frames, spread evenly.")] = None,
    triplets: Annotated[
        bool, typer.Option("--triplets", help="Only frames with a neighbour before and after, as students are shown.")
    ] = False,
    cameras: Annotated[list[str] | None, typer.Option(help="Only these cameras: A,B or several times.")] = None,
    split: Annotated[str | None, typer.Option(help="Of a data set; default: nuScenes train (v1.0-mini mini_train), else all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run made; not with shards.")] = False,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as seed=3 gate.use_depth=false.")] = None,
) -> None:
    """Translate every clear day frame; run the same command again to go on after a stop.

    Pictures go to translated/, with a manifest that alone says what may be trained on, and a report. `accelerate launch` shares the work
    between its processes.
    """
    from ssd_core.data.nuscenes import training_split
    from ssd_core.data.source import open_source
    from ssd_core.data.translations import translations_folder
    from ssd_core.gdt.config import SynthesisConfig
    from ssd_core.gdt.job import JobDescription, all_tasks, choose_frames, prepare_folder
    from ssd_core.storage.configuration import load_configuration

    console = Console(stderr=True)
    settings = load_configuration(SynthesisConfig, config, overrides or [])
    folder = out or data
    if not folder.is_dir() and out is None:
        raise ValueError(f"--data {data} is no folder, so translations can't lie in it; give one with --out")
    called = translator.value if name is None else name
    root = translations_folder(folder, called)
    process = _this_process()
    if preview is not None and process.number > 0:
        return  # The first process makes the whole sheet; the others needn't load a network.
    own = _shard(shard, process)
    if overwrite and own.of > 1:
        raise ValueError("--overwrite would remove what other shards make; remove the folder by hand")
    chosen = split or training_split(data)
    if chosen != split:
        tell(console, "note", f"{data}: the frames of split {chosen} are translated, which are there to learn from (--split)", "yellow")
    source = open_source(data, split_names(cameras), split=chosen)
    try:
        offered = _with_neighbours(source, settings.source_conditions) if triplets else source.frames()
        frames = choose_frames(offered, settings.source_conditions, preview or limit)
        tasks = all_tasks(frames, [_target(wanted) for wanted in dict.fromkeys(condition)])
        workshop = _open(source, frames, translator, settings, console, process.device)
        if preview is None:
            prepare_folder(folder, called, JobDescription.of(translator.value, settings), overwrite)
            _run(workshop, tasks, folder, called, settings.jpeg_quality, own, console)
            _finish(workshop, tasks, root, console)
        else:
            _preview(workshop, tasks, root, console)
        for sentence in source.warnings:
            tell(console, "warning", sentence, "yellow")
    finally:
        source.close()


def _with_neighbours(source: FrameSource, conditions: Sequence[str]) -> list[Frame]:
    """Frames of these conditions that become the middle of a triplet. Raises DataError if there is none."""
    from ssd_core.data.errors import DataError
    from ssd_core.data.triplets import find_triplets

    offered = [frame for frame in source.frames() if frame.condition in conditions]
    found = [triplet.current for triplet in find_triplets(offered, look_up=getattr(source, "frame", None)).triplets]
    if offered and not found:
        raise DataError(
            f"none of {len(offered)} frames of condition {' or '.join(conditions)} has a neighbour before and after (--triplets)"
        )
    return found


def _run(
    workshop: Workshop,
    tasks: Sequence[Task],
    folder: Path,
    name: str,
    jpeg_quality: int,
    shard: Shard,
    console: Console,
) -> None:
    from ssd_core.gdt.job import run_job, share_of

    accepted = done = 0
    with frame_progress(console) as progress:
        bar = progress.add_task(name, total=len(share_of(tasks, shard)))

        def step(item: Item, is_accepted: bool) -> None:  # noqa: ARG001
            nonlocal accepted, done
            accepted, done = accepted + is_accepted, done + 1
            progress.update(bar, advance=1, description=f"{name}, {accepted} of {done} accepted")

        run_job(workshop, tasks, folder, name, jpeg_quality, shard, step)


def _finish(workshop: Workshop, tasks: Sequence[Task], root: Path, console: Console) -> None:
    from ssd_core.gdt.report import REPORT_FILE, make_report, write_report

    report = make_report(root, len(tasks))
    write_report(root, report, workshop.source, [task.frame for task in tasks])
    for condition, found in report.conditions.items():
        reasons = ", ".join(f"{reason} {count}" for reason, count in found.reasons.items())
        console.print(f"{condition}: {found.accepted} accepted, {found.rejected} rejected {reasons}".rstrip(), highlight=False)
    console.print(f"-> {root / REPORT_FILE}", highlight=False, soft_wrap=True, markup=False)


def _preview(workshop: Workshop, tasks: Sequence[Task], root: Path, console: Console) -> None:
    from ssd_core.gdt.report import preview_sheet
    from ssd_core.images.codec import write_image

    outcomes = []
    size = workshop.translator.batch_size
    with frame_progress(console, transient=True) as progress:
        bar = progress.add_task("preview", total=len(tasks))
        for start in range(0, len(tasks), size):
            outcomes += workshop.make(tasks[start : start + size])
            progress.update(bar, completed=len(outcomes))
    for problem in dict.fromkeys(outcome.problem for outcome in outcomes if outcome.problem is not None):
        tell(console, "warning", f"not on the sheet: {problem}", "yellow")
    path = root / "preview.jpg"
    write_image(path, preview_sheet(outcomes))
    console.print(f"-> {path}", highlight=False, soft_wrap=True, markup=False)


def _open(
    source: FrameSource, frames: Sequence[Frame], kind: TranslatorKind, settings: SynthesisConfig, console: Console, device: str | None
) -> Workshop:
    """Networks for depth and gate, and the translator; cheap mistakes are told before anything is loaded."""
    from ssd_core.gdt.depth_maps import open_depth_maps
    from ssd_core.gdt.gate import GeometryGate
    from ssd_core.gdt.job import Workshop
    from ssd_core.model.change_detector import load_change_detector

    made: Translator | None = None if kind is TranslatorKind.DIFFUSION else _translator(kind, source, settings, device)
    depth, network = open_depth_maps(source, frames, settings.depth)
    name = settings.gate.change_detector
    gate = GeometryGate(settings.gate, _judge(settings, network, frames), None if name is None else load_change_detector(name))
    if gate.model_id is None and name is None:
        tell(
            console, "note", "the gate has no network: it judges outlines, brightness and change alone (gate.change_detector=...)", "yellow"
        )
    networks = list({id(found): found for found in (network, gate.depth) if found is not None}.values())
    for used in networks:
        if not getattr(used, "is_trained", True):
            tell(console, "UNTRAINED WEIGHTS", f"{used.model_id} is random: depth, and a gate that asks it, mean nothing", "bold red")
    _warn_of_lens(console, frames, kind is TranslatorKind.PHYSICAL or any(getattr(used, "needs_camera", False) for used in networks))
    return Workshop(source, depth, made or _translator(kind, source, settings, device), gate, settings.seed)


def _warn_of_lens(console: Console, frames: Sequence[Frame], matters: bool) -> None:
    """Say once for how many frames a camera is assumed, if anything that is used asks for it."""
    from ssd_core.data.intrinsics import ASSUMED_LENS

    unknown = sum(frame.camera is None for frame in frames)
    if matters and unknown:
        tell(console, "warning", f"{unknown} of {len(frames)} frames have no intrinsics: {ASSUMED_LENS}", "yellow")


def _judge(settings: SynthesisConfig, network: DepthSource | None, frames: Sequence[Frame]) -> DepthSource | None:
    """The gate's network, which may be the translator's; none where no depth is compared."""
    from ssd_core.gdt.depth_maps import load_network

    model = settings.gate.depth_model(settings.depth.model)
    if model is None:
        return None
    # With rendered truth there may be no network, and then nobody's depth is compared unless a gate's network was asked for.
    is_translators = settings.gate.model is None or (network is not None and model == settings.depth.model)
    return network if is_translators else load_network(model, frames)


def _translator(kind: TranslatorKind, source: FrameSource, settings: SynthesisConfig, device: str | None) -> Translator:
    if kind is TranslatorKind.DIFFUSION:
        from ssd_core.gdt.diffusion import build_translator

        return build_translator(settings.diffusion, device)
    if kind is TranslatorKind.RENDERED:
        from ssd_core.gdt.rendered import RenderedTranslator

        return RenderedTranslator.of(source)
    from ssd_core.gdt.physical.translator import PhysicalTranslator

    return PhysicalTranslator(settings.physical)


def _this_process() -> _Process:
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return _Process()
    from accelerate import PartialState

    state = PartialState()
    return _Process(state.process_index, state.num_processes, str(state.device))


def _shard(text: str, process: _Process) -> Shard:
    from ssd_core.data.translations import Shard

    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise ValueError(f"--shard {text}: write its number and how many there are, such as 0/4")
    whole = Shard(int(number), int(of))
    return Shard(whole.number * process.of + process.number, whole.of * process.of)


def _target(wanted: Target) -> TargetCondition:
    return wanted.value  # type: ignore[return-value]
