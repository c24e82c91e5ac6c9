# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth predict` on pictures, videos and bags, with a stand-in for the network whose depth is known."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from typer.testing import CliRunner, Result

from ssd_core.command_line.predict import predict
from ssd_core.command_line.prediction_folder import KITTI_SCALE, depth_to_png, inverse_depth_to_png
from ssd_core.data.bag import BagReader, header_stamp
from ssd_core.images.codec import encode_jpeg, write_image
from ssd_core.model import checkpoint as checkpoint_module
from ssd_core.model.config import ModelDescription
from ssd_core.runtime.estimator import DepthMap

DDAD = Path(__file__).parents[2] / ".." / "shared" / "data" / "bag_ddad"


class StandIn:
    """Answers with the mean brightness of the picture as metres; counts its calls."""

    backend, precision, max_batch, is_trained, model_id = "none", "fp32", 2, True, "stand-in"

    def __init__(self, input_size: tuple[int, int], kind: str) -> None:
        self.input_size = input_size
        self.kind = kind
        self.seen: list[Any] = []
        self.fail_after: int | None = None

    def __call__(self, images: Sequence[np.ndarray], cameras: Sequence[Any], output_sizes: Sequence[tuple[int, int]]) -> list[DepthMap]:
        if self.fail_after is not None and len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        maps = []
        for image, camera, (width, height) in zip(images, cameras, output_sizes, strict=True):
            self.seen.append(camera)
            values = np.full((height, width), image.mean(), dtype=np.float32)
            values[:, : width // 2] += 100
            maps.append(DepthMap(values, self.kind))  # type: ignore[arg-type]
        return maps

    def close(self) -> None:
        pass


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """Every stand-in that was loaded; set `loaded_kind` on the module's checkpoint to change what the model is."""
    instances: list[StandIn] = []

    def load(model: str, backend: str, input_size: tuple[int, int], precision: str) -> StandIn:
        instances.append(StandIn(input_size, checkpoint_module.open_checkpoint("x").description.kind))
        return instances[-1]

    monkeypatch.setattr("ssd_core.runtime.estimator.DepthEstimator.load", load)
    _set_model(monkeypatch, kind="metric")
    return instances


def _set_model(monkeypatch: pytest.MonkeyPatch, kind: str, model_id: str = "it@1", trained: bool = True, camera: bool = False) -> None:
    @dataclasses.dataclass
    class Checkpoint:
        description: ModelDescription
        model_id: str

    parametrisation: Any = "relative_inverse" if kind == "relative_inverse" else "metric"
    description = ModelDescription(parametrisation=parametrisation, input_size=(448, 252), trained=trained, camera_input=camera)
    monkeypatch.setattr(checkpoint_module, "open_checkpoint", lambda name: Checkpoint(description, model_id))


@pytest.fixture
def run() -> Callable[..., Result]:
    app = typer.Typer()
    app.command()(predict)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def _gray(value: int, width: int = 64, height: int = 36) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for index in range(5):
        write_image(tmp_path / "pictures" / f"{index}.png", _gray(10 + index))
    return tmp_path / "pictures"


def _write_bag(path: Path, count: int = 3) -> Path:
    store = get_typestore(Stores.ROS2_JAZZY)
    kinds = store.types
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for camera in ("left", "right"):
            connection = writer.add_connection(f"/{camera}/image/compressed", "sensor_msgs/msg/CompressedImage", typestore=store)
            for index in range(count):
                stamp = 1_000_000_000 + index * 100_000_000
                header = kinds["std_msgs/msg/Header"](
                    stamp=kinds["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9), frame_id=camera
                )
                data = np.frombuffer(encode_jpeg(_gray(10 + index)), dtype=np.uint8)
                message = kinds["sensor_msgs/msg/CompressedImage"](header=header, format="jpeg", data=data)
                writer.write(connection, stamp + 5, store.serialize_cdr(message, message.__msgtype__))
    return path


def test_pictures_become_kitti_pngs(pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    out = tmp_path / "out"
    result = run(pictures, "--out", out)
    assert result.exit_code == 0, result.output
    for index in range(5):
        stored = cv2.imread(str(out / "depth" / f"{index}.png"), cv2.IMREAD_UNCHANGED)
        assert stored.dtype == np.uint16 and stored.shape == (36, 64)
        assert (stored[0, 0], stored[0, -1]) == ((110 + index) * KITTI_SCALE, (10 + index) * KITTI_SCALE)
        assert cv2.imread(str(out / "colour" / f"{index}.jpg")).shape == (72, 64, 3)
    assert "5 frames in" in result.output and str(out) in result.output.replace("\n", "")
    configuration = yaml.safe_load((out / "configuration.yaml").read_text())
    assert configuration["input_size"] == [448, 252] and configuration["model"] == "it@1" and configuration["git_revision"]
    assert "256" in (out / "README.txt").read_text() and not list(out.glob("video"))
    assert not [path for path in out.rglob("*") if ".part" in path.name]


def test_npz_keeps_metres_and_the_limit(pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    out = tmp_path / "out"
    assert run(pictures, "--out", out, "--format", "npz", "--max-depth", "60").exit_code == 0
    depth = np.load(out / "depth" / "3.npz")["depth"]
    assert depth.dtype == np.float32 and depth[0, -1] == 13 and np.isposinf(depth[0, 0])
    assert run(pictures, "--out", tmp_path / "png", "--max-depth", "60").exit_code == 0
    assert cv2.imread(str(tmp_path / "png" / "depth" / "3.png"), cv2.IMREAD_UNCHANGED)[0, 0] == 0


def test_a_killed_run_goes_on_where_it_ended(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    original = StandIn.__init__

    def fragile(self: StandIn, *arguments: Any) -> None:
        original(self, *arguments)
        self.fail_after = 2

    monkeypatch.setattr(StandIn, "__init__", fragile)
    assert run(pictures, "--out", out).exit_code != 0
    finished = {path: path.stat().st_mtime_ns for path in (out / "depth").iterdir()}
    assert len(finished) == 2
    monkeypatch.setattr(StandIn, "__init__", original)
    result = run(pictures, "--out", out)
    assert result.exit_code == 0 and "2 were finished before" in result.output and len(loaded[-1].seen) == 3
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert run(pictures, "--out", out).exit_code == 0 and len(loaded) == 2, "nothing to do: no model is loaded"


def test_another_model_or_size_is_refused(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(pictures, "--out", out)
    result = run(pictures, "--out", out, "--input-size", "280x168")
    assert (
        result.exit_code == 1 and "input_size: [448, 252] -> [280, 168]" in str(result.exception) and "--overwrite" in str(result.exception)
    )
    _set_model(monkeypatch, kind="metric", model_id="other@2")
    assert "it@1 -> other@2" in str(run(pictures, "--out", out).exception)
    assert run(pictures, "--out", out, "--overwrite").exit_code == 0 and len(loaded[-1].seen) == 5
    (out / "configuration.yaml").write_text("rubbish")
    assert "damaged" in str(run(pictures, "--out", out).exception)


def test_input_inside_the_results_is_refused(tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    write_image(tmp_path / "colour" / "0.png", _gray(9))
    result = run(tmp_path / "colour", "--out", tmp_path, "--overwrite")
    assert "choose another --out" in str(result.exception) and (tmp_path / "colour" / "0.png").exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_recording_in_the_place_of_the_bag_of_results_is_refused(
    tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], is_folder: bool
) -> None:
    bag = _write_bag(tmp_path / "depth")
    recording = bag / "depth.mcap"
    before = recording.read_bytes()
    result = run(bag if is_folder else recording, "--out", bag, "--focal", "50", "--format", "bag")
    assert "choose another --out" in str(result.exception) and recording.read_bytes() == before and not loaded
    (bag / "configuration.yaml").write_text("model: of a run on another recording")
    assert "choose another --out" in str(run(recording, "--out", bag, "--focal", "50", "--overwrite").exception)
    assert recording.read_bytes() == before


def test_a_damaged_picture_is_named_skipped_and_counted(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]
) -> None:
    (pictures / "0.png").write_bytes(b"\x89PNG\r\n rubbish")
    (pictures / "4.png").write_bytes(b"")
    result = run(pictures, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "0.png" in result.output and "4.png" in result.output and "2 damaged images skipped" in result.output
    assert sorted(path.stem for path in (tmp_path / "out" / "depth").iterdir()) == ["1", "2", "3"]


def test_every_frame_of_every_camera_of_a_bag(tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    out = tmp_path / "out"
    assert run(_write_bag(tmp_path / "bag"), "--out", out, "--focal", "50").exit_code == 0
    assert len(list((out / "depth").rglob("*.png"))) == 6
    assert cv2.imread(str(out / "depth" / "right" / "1200000000.png"), cv2.IMREAD_UNCHANGED)[0, -1] == 12 * KITTI_SCALE
    assert {camera.fx for camera in loaded[-1].seen} == {50.0}
    video = cv2.VideoCapture(str(out / "video" / "left.mp4"))
    assert [video.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH)] == [3, 10, 128]
    one = tmp_path / "one"
    assert run(tmp_path / "bag", "--out", one, "--cameras", "left").exit_code == 0
    assert [path.name for path in (one / "depth").iterdir()] == ["left"]


def test_a_bag_of_depth(tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    out = tmp_path / "out"
    arguments = (_write_bag(tmp_path / "bag"), "--out", out, "--focal", "50", "--format", "bag")
    assert run(*arguments).exit_code == 0
    with BagReader(out / "depth.mcap") as bag:
        assert {(c.topic, c.count) for c in bag.connections} == {
            (f"/{camera}/depth/{name}", 3) for camera in ("left", "right") for name in ("image_rect", "camera_info")
        }
        for index, (_, message) in enumerate(bag.deserialised(["/right/depth/image_rect"])):
            depth = message.data.view(np.float32).reshape(message.height, message.width)
            assert message.encoding == "32FC1" and message.header.frame_id == "right" and depth[0, -1] == 10 + index
            assert header_stamp(message) == 1_000_000_000 + index * 100_000_000
        assert bag.first_message("/left/depth/camera_info").k[0] == 50
    assert not (out / "depth").exists()
    assert run(*arguments).exit_code == 0 and len(loaded) == 1, "finished: no model is loaded"
    assert "cameras: None -> ['left']" in str(run(*arguments, "--cameras", "left").exception)
    assert run(*arguments, "--cameras", "left", "--overwrite").exit_code == 0
    with BagReader(out / "depth.mcap") as bag:
        assert len(bag.connections) == 2


def test_a_finished_bag_of_depth_takes_further_frames(tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    """A recording that grew, and a picture that was removed: the bag keeps what it has."""
    out, source = tmp_path / "out", tmp_path / "bag"
    arguments = (source, "--out", out, "--focal", "50", "--format", "bag")
    _write_bag(source)
    assert run(*arguments).exit_code == 0
    shutil.rmtree(source)
    _write_bag(source, 4)
    (out / "colour" / "left" / "1000000000.jpg").unlink()
    assert run(*arguments).exit_code == 0 and len(loaded[-1].seen) == 3
    with BagReader(out / "depth.mcap") as bag:
        assert {connection.count for connection in bag.connections} == {4} and len(bag.connections) == 4
        stamps = [header_stamp(message) for _, message in bag.deserialised(["/left/depth/image_rect"])]
        assert stamps == [1_000_000_000 + index * 100_000_000 for index in range(4)]


def test_every_frame_of_a_video(tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (64, 36))
    for index in range(7):
        writer.write(_gray(20 + index))
    writer.release()
    assert run(path, "--out", tmp_path / "out").exit_code == 0
    assert sorted(file.name for file in (tmp_path / "out" / "depth").iterdir()) == [f"{index:06d}.png" for index in range(7)]
    assert (tmp_path / "out" / "video" / "camera.mp4").exists()


def test_relative_models_write_inverse_depth_and_say_so(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_model(monkeypatch, kind="relative_inverse", trained=False)
    out = tmp_path / "out"
    result = run(pictures, "--out", out, "--format", "npz")
    assert "INVERSE depth" in result.output and "UNTRAINED WEIGHTS" in result.output
    assert list(np.load(out / "inverse_depth" / "0.npz")) == ["inverse_depth"] and not (out / "depth").exists()
    readme = (out / "README.txt").read_text()
    assert "no metres" in readme and "RANDOM" in readme


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--input-size", "big"], "WIDTHxHEIGHT"),
        (["--focal", "50", "--intrinsics", "camera.yaml"], "contradict"),
        (["--cameras", "left"], "cameras can be chosen in bags"),
    ],
)
def test_wrong_options_are_named(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], arguments: list[str], part: str
) -> None:
    result = run(pictures, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 1 and part in str(result.exception)


def test_a_camera_is_assumed_where_the_model_needs_one_that_nobody_knows(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "degrees" not in run(pictures, "--out", tmp_path / "needless").output
    _set_model(monkeypatch, kind="metric", camera=True)
    result = run(pictures, "--out", tmp_path / "assumed")
    assert result.exit_code == 0
    assert "65 degrees is assumed, and metres are off as much as that is; give --focal or --intrinsics" in result.output
    known = run(pictures, "--out", tmp_path / "known", "--focal", "50")
    assert known.exit_code == 0 and "degrees" not in known.output


def test_an_assumed_camera_is_that_of_each_size(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(pictures / "upright.png", _gray(30, 36, 64))
    _set_model(monkeypatch, kind="metric", camera=True)
    result = run(pictures, "--out", tmp_path / "out", "--format", "bag")
    assert result.exit_code == 0 and "damaged" not in result.output and result.output.count("65 degrees") == 1
    seen = {(camera.width, camera.height, round(camera.fx, 1)) for camera in loaded[-1].seen}
    assert seen == {(64, 36, 50.2), (36, 64, 28.3)}
    with BagReader(tmp_path / "out" / "depth.mcap") as bag:
        infos = {(info.width, info.height, round(info.k[0], 1)) for _, info in bag.deserialised(["/camera/depth/camera_info"])}
    assert infos == seen


def test_a_given_focal_length_is_scaled_to_resized_pictures_and_others_are_skipped_in_words(
    pictures: Path, tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(pictures / "3.png", _gray(30, 128, 72))
    write_image(pictures / "4.png", _gray(30, 36, 64))
    _set_model(monkeypatch, kind="metric", camera=True)
    result = run(pictures, "--out", tmp_path / "out", "--focal", "50")
    assert result.exit_code == 0 and "damaged" not in result.output
    assert [(camera.width, camera.fx) for camera in loaded[-1].seen] == [(64, 50), (64, 50), (64, 50), (128, 100)]
    assert "4.png has 36x64 pixels, the intrinsics belong to 64x36" in result.output and "1 skipped for their aspect" in result.output
    assert "4 frames in" in result.output and not (tmp_path / "out" / "depth" / "4.png").exists()


_DEPTHS = hnp.arrays(np.float32, (5, 7), elements=st.floats(0.0078125, 250, width=32))


@given(_DEPTHS)
def test_depth_survives_its_png(depth: np.ndarray) -> None:
    assert np.abs(depth_to_png(depth) / KITTI_SCALE - depth).max() <= 0.5 / KITTI_SCALE + 1e-5


def test_unknown_depth_is_zero() -> None:
    depth = np.array([[np.nan, np.inf, -np.inf, 0, -1, 1e-6, 900]], dtype=np.float32)
    assert depth_to_png(depth).tolist() == [[0, 0, 0, 0, 0, 1, 65535]]


@given(hnp.arrays(np.float32, (4, 6), elements=st.floats(-1e3, 1e3, width=32)))
def test_inverse_depth_keeps_its_order(values: np.ndarray) -> None:
    png = inverse_depth_to_png(values).astype(int).reshape(-1)
    assert png.min() >= 1
    assert (np.diff(png[np.argsort(values.reshape(-1))]) >= 0).all()


def test_the_real_bundled_model(tmp_path: Path, run: Callable[..., Result]) -> None:
    rng = np.random.default_rng(0)
    write_image(tmp_path / "noise.jpg", rng.integers(0, 255, (90, 160, 3), dtype=np.uint8))
    result = run(tmp_path / "noise.jpg", "--out", tmp_path / "out", "--backend", "torch", "--input-size", "112x56")
    assert result.exit_code == 0, result.output
    depth = cv2.imread(str(tmp_path / "out" / "depth" / "noise.png"), cv2.IMREAD_UNCHANGED) / KITTI_SCALE
    assert depth.shape == (90, 160) and depth.min() >= 0.1 and depth.max() <= 80


@pytest.mark.skipif(not DDAD.exists(), reason="the sample recordings beside the checkout are absent")
def test_a_real_recording(tmp_path: Path, loaded: list[StandIn], run: Callable[..., Result]) -> None:
    result = run(DDAD, "--out", tmp_path / "out")
    assert result.exit_code == 0 and "18 frames" in result.output
    assert len(list((tmp_path / "out" / "depth").rglob("*.png"))) == 18 and len(list((tmp_path / "out" / "video").iterdir())) == 6
