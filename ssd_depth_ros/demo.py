# SPDX-License-Identifier: Apache-2.0
"""The whole chain on a recording: player, depth node and recorder as real processes, then pictures, a video, a bag and a table."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ssd_core.data.bag import BagError
from ssd_core.data.writers.bag import endangered_source
from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.storage.atomic_write import atomic_write_text
from ssd_depth_ros.demo_plan import DemoPlan, plan_run, run_names
from ssd_depth_ros.demo_processes import DemoError, Process, Watch, isolate
from ssd_depth_ros.demo_report import RunReport, markdown, report_run, table
from ssd_depth_ros.installed import installed_folder
from ssd_depth_ros.process import split_ros_arguments

_LOAD_SECONDS = 600.0
_GRAPH_SECONDS = 30.0
_SAMPLE_ORDER = ("day", "night", "rain")


def run_bag(plan: DemoPlan, out: Path, arguments: argparse.Namespace, console: Console) -> RunReport:
    """Play one bag through the node and look at what came out. Raises DemoError."""
    logs = out / "log"
    logs.mkdir(parents=True, exist_ok=True)
    parameters = logs / f"{plan.name}-parameters.yaml"
    chosen = plan.node_parameters(arguments.model, arguments.backend, arguments.input_size, arguments.fx)
    # JSON is YAML with every string quoted.
    atomic_write_text(parameters, json.dumps({"/**": {"ros__parameters": chosen}}, indent=1) + "\n")
    recording = _recording(out, plan.name)
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(Watch())
        status = stack.enter_context(console.status(f"{plan.name}: the depth node loads its network"))
        node = stack.enter_context(Process("depth_node", ["--ros-args", "--params-file", parameters], logs / f"{plan.name}-depth_node.txt"))
        watch.wait_until_active(node, _LOAD_SECONDS)
        outputs = {camera.name: watch.outputs(camera.name, node, _GRAPH_SECONDS) for camera in plan.cameras}
        for camera in plan.cameras:
            if not (camera.info_recorded or arguments.fx):
                outputs[camera.name].pop("cloud", None)  # without a lens none will come
        recorded = [topic for topics in outputs.values() for topic in topics.values()]
        report = logs / f"{plan.name}-player.json"
        report.unlink(missing_ok=True)  # an earlier run's would pass for this one's
        recorder_arguments = [recording, *recorded, "/diagnostics", "--copy-from", plan.bag, "--copy", *plan.copied]
        ros = ["--ros-args", "-p", "use_sim_time:=true"]
        recorder = stack.enter_context(Process("recorder", [*recorder_arguments, *ros], logs / f"{plan.name}-recorder.txt"))
        watch.wait_for_subscribers(recorded, recorder, _GRAPH_SECONDS)
        status.update(f"{plan.name}: playing {len(plan.cameras)} camera{'s' * (len(plan.cameras) > 1)}")
        player = stack.enter_context(
            Process("bag_player", _player_arguments(plan, outputs, arguments, report), logs / f"{plan.name}-player.txt")
        )
        code = watch.wait_for_end(player, [node, recorder])
        if not report.exists():
            raise DemoError(player.failure())
        if code:
            console.print(f"[bold yellow]{plan.name}: not every image was answered[/], see {player.log}")
        if recorder.stop():
            raise DemoError(recorder.failure())
        status.update(f"{plan.name}: pictures and numbers")
        if node.stop():
            raise DemoError(node.failure())
        return report_run(plan, outputs, recording, json.loads(report.read_text()), dict(watch.model), out)


def _player_arguments(plan: DemoPlan, outputs: dict[str, dict[str, str]], chosen: argparse.Namespace, report: Path) -> list[object]:
    answers = []
    for camera in plan.cameras:
        found = outputs[camera.name]
        answers += [f"{camera.image}:={found[role]}" for role in ("depth", "cloud") if role in found]
    arguments: list[object] = [plan.bag, "--clock", "--rate", chosen.rate, "--report", report, "--topics", *plan.played]
    if plan.remapped:
        arguments += ["--remap", *plan.remapped]
    # The first image may have the network built anew for its aspect.
    return [*arguments, "--wait-for-subscribers", 60, "--output-timeout", 180, "--wait-for-output", *answers]


def sample_bags() -> list[Path]:
    """The recordings that come with the package: day, night, rain. Raises FileNotFoundError."""
    folder = installed_folder("sample")
    bags = sorted(folder.glob("*.mcap"), key=lambda path: ([*_SAMPLE_ORDER, path.stem].index(path.stem), path.stem))
    if not bags:
        raise FileNotFoundError(f"{folder}: no sample recordings; play one of yours with --bag")
    return bags


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; ends the process with 0, or 1 after an error or dropped images."""
    own, _ = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    try:
        code = _run(_parser().parse_args(own), console)
    except (BagError, DemoError, OSError, ValueError) as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, markup=True, soft_wrap=True)
        code = 1
    except KeyboardInterrupt:
        console.print("stopped")
        code = 130
    raise SystemExit(code)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    bags = arguments.bag or sample_bags()
    names = run_names(bags)
    _check_sources(bags, names, arguments.out)
    _check_writable(arguments.out)
    plans = [plan_run(bag, name) for bag, name in zip(bags, names, strict=True)]
    _check_lenses(plans, arguments.model, arguments.fx)
    isolate()
    reports: list[RunReport] = []
    for plan in plans:
        console.print(f"{plan.name}: {', '.join(camera.name for camera in plan.cameras)} of {plan.bag}", highlight=False, markup=False)
        for note in (*plan.notes, *_lens_notes(plan, arguments.fx)):
            console.print(f"{plan.name}: {note}", highlight=False, markup=False)
        report = run_bag(plan, arguments.out, arguments, console)
        for note in report.notes:
            console.print(f"{plan.name}: {note}", highlight=False, markup=False)
        reports.append(report)
    console.print(table(reports))
    atomic_write_text(arguments.out / "report.md", markdown(reports))
    atomic_write_text(arguments.out / "report.json", json.dumps([report.as_dict() for report in reports], indent=1) + "\n")
    for report in reports:
        console.print(f"{report.name}: {', '.join(map(str, report.files))}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Look at the bags in Foxglove with the layout {installed_folder('config') / 'foxglove.json'}", soft_wrap=True)
    if not all(report.is_trained for report in reports):
        models = ", ".join(sorted({report.model for report in reports if not report.is_trained}))
        text = f" UNTRAINED WEIGHTS ({models}): layout, stamps and geometry are right, depth means nothing "
        console.print(text, style="bold white on red", highlight=False, markup=False)
    return 1 if any(report.dropped for report in reports) else 0


def _recording(out: Path, name: str) -> Path:
    """Where a run's bag goes."""
    return out / f"{name}.mcap"


def _check_sources(bags: Sequence[Path], names: Sequence[str], out: Path) -> None:
    """Raise DemoError if a run's bag would take the place of a recording that is to be played, now or in a later run."""
    for name in names:
        source = endangered_source(_recording(out, name), bags)
        if source is not None:
            raise DemoError(f"{_recording(out, name)} would take the place of the recording {source}; choose another folder with --out")


def _check_lenses(plans: Sequence[DemoPlan], model: str, fx: float) -> None:
    """Raise DemoError if the model needs a focal length that a bag doesn't tell; else the node would say so and publish nothing."""
    unknown = [f"{plan.bag}: {', '.join(plan.without_info)}" for plan in plans if plan.without_info]
    if not unknown or fx:
        return
    checkpoint = open_checkpoint(model)
    if checkpoint.description.needs_camera:
        raise DemoError(
            f"{'; '.join(unknown)}: no CameraInfo in the bag, and model {checkpoint.model_id} needs the focal length; give --fx PIXELS "
            "(make demo FX=PIXELS), about 0.8 times the images' width for a lens of 65 degrees"
        )


def _lens_notes(plan: DemoPlan, fx: float) -> list[str]:
    if not plan.without_info:
        return []
    then = f"its focal length is taken to be {fx:g} pixels" if fx else "so depth but no point cloud"
    return [f"{', '.join(plan.without_info)}: no CameraInfo in the bag, {then}"]


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise DemoError(f"{out}: can't write results there ({error.strerror}); choose another folder with --out") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--bag", type=Path, nargs="+", metavar="BAG", help="recordings (folder, .mcap, .db3, .bag); default: the samples")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for bags, pictures, videos and the report")
    parser.add_argument("--model", default="bundled", help="bundled, a checkpoint folder or a Hugging Face Hub id")
    parser.add_argument("--backend", default="auto", help="auto, tensorrt, openvino or torch")
    parser.add_argument(
        "--input-size", type=_size, default=(0, 0), metavar="WxH", help="network input, multiples of 14; default: as the camera"
    )
    parser.add_argument("--fx", type=float, default=0.0, metavar="PIXELS", help="focal length of cameras without CameraInfo in the bag")
    parser.add_argument("--rate", type=float, default=1.0, help="how many times faster than recorded; no image is dropped in any case")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, separator, height = text.lower().partition("x")
    if not (separator and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text}: write it as 448x252")
    return int(width), int(height)


if __name__ == "__main__":
    main()
