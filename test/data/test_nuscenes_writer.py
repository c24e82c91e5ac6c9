# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import plane_world
import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.nuscenes import NuScenesFrames
from ssd_core.data.triplets import find_triplets
from ssd_core.data.writers.nuscenes import TABLES, NuScenesWriter, nuscenes_writer
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix, invert_pose, pose_from_quaternion, transform_points
from ssd_core.images.codec import decode_image, encode_jpeg

CAMERAS = {"CAM_FRONT": PinholeCamera(96, 64, 80.0, 81.0, 45.5, 30.5), "CAM_BACK": PinholeCamera(96, 64, 60.0, 60.0, 48.0, 31.0)}
FORWARD = np.array([[0, 0, 1, 0.4], [1, 0, 0, 0.1], [0, 1, 0, -0.1], [0, 0, 0, 1]], dtype=np.float64)
BACKWARD = np.array([[0, 0, -1, -0.4], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
MOUNTS = {"CAM_FRONT": FORWARD, "CAM_BACK": BACKWARD}
EGO_FROM_LIDAR = pose_from_quaternion([0.2, 0.0, -0.3], [0.5, 0.5, -0.5, 0.5])
START_NS, STEP_NS = 1_600_000_000_000_000_000, 50_000_000
DELAYS_NS = {"CAM_FRONT": 3_000_000, "CAM_BACK": 21_000_000}


def ego_at(stamp_ns: int) -> Matrix:
    return plane_world.drive((stamp_ns - START_NS) * 1e-9)


def write_scene(writer: NuScenesWriter, name: str, description: str, log: str, start_ns: int = START_NS) -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(0, 1, (6000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    writer.add_scene(name, description, log)
    for index in range(9):
        stamp, is_key = start_ns + index * STEP_NS, index % 4 == 0
        pose = ego_at(stamp)
        points = plane_world.scan(pose @ EGO_FROM_LIDAR, directions)
        writer.add_scan(stamp, np.column_stack([points, np.full(len(points), 9.0)]), EGO_FROM_LIDAR, pose, is_key)
        for channel, camera in CAMERAS.items():
            shot = stamp + DELAYS_NS[channel]
            image, _ = plane_world.look(camera, ego_at(shot) @ MOUNTS[channel])
            writer.add_picture(channel, shot, encode_jpeg(image, 95), camera, MOUNTS[channel], ego_at(shot), is_key)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "set"
    with nuscenes_writer(folder) as writer:
        write_scene(writer, "scene-0001", "Clear sky", "n000-first")
        write_scene(writer, "scene-0002", "Night, rain", "n000-second", START_NS + 5 * 10**9)
    return folder


def table(root: Path, name: str) -> list[dict]:
    rows = json.loads((root / "v1.0-rendered" / f"{name}.json").read_text())
    assert isinstance(rows, list)
    return rows


def test_thirteen_tables_refer_only_to_what_is_there(root: Path) -> None:
    assert len(TABLES) == 13
    tables = {name: table(root, name) for name in TABLES}
    tokens = {name: {row["token"] for row in rows} for name, rows in tables.items()}
    assert {name for name, rows in tables.items() if not rows} == {"attribute", "category", "instance", "sample_annotation", "visibility"}
    assert len(tables["scene"]) == len(tables["log"]) == 2 and len(tables["sample"]) == 6 and len(tables["sample_data"]) == 2 * 27
    assert len(tables["calibrated_sensor"]) == len(tables["sensor"]) == 3 and all(len(token) == 32 for token in tokens["sample_data"])
    for row in tables["sample_data"]:
        assert row["sample_token"] in tokens["sample"] and row["ego_pose_token"] in tokens["ego_pose"]
        assert row["calibrated_sensor_token"] in tokens["calibrated_sensor"] and (root / row["filename"]).is_file()
        assert {row["prev"], row["next"]} <= tokens["sample_data"] | {""}
        assert row["filename"].startswith("samples/" if row["is_key_frame"] else "sweeps/")
    for row in tables["scene"]:
        assert row["nbr_samples"] == 3 and {row["first_sample_token"], row["last_sample_token"]} <= tokens["sample"]
    assert tables["log"][0]["date_captured"] == "2020-09-13"
    assert (root / tables["map"][0]["filename"]).is_file() and set(tables["map"][0]["log_tokens"]) == tokens["log"]


def test_the_loader_reads_back_what_was_written(root: Path) -> None:
    source = NuScenesFrames(root)
    frames = source.frames()
    assert len(frames) == 2 * 2 * 3 and source.warnings == []
    assert {(frame.sequence, frame.condition) for frame in frames} == {("scene-0001", "day-clear"), ("scene-0002", "night")}
    front = next(frame for frame in frames if frame.camera_name == "CAM_FRONT")
    assert front.stamp_ns == START_NS + DELAYS_NS["CAM_FRONT"] and front.camera is not None and front.world_from_camera is not None
    np.testing.assert_allclose(front.camera.matrix, CAMERAS["CAM_FRONT"].matrix)
    np.testing.assert_allclose(front.world_from_camera, ego_at(front.stamp_ns) @ FORWARD, atol=1e-9)
    stored = next(row for row in table(root, "sample_data") if row["timestamp"] == front.stamp_ns // 1000)
    np.testing.assert_array_equal(source.image(front), decode_image((root / stored["filename"]).read_bytes()))
    assert len(NuScenesFrames(root, keyframes_only=False).frames()) == 2 * 2 * 9


def test_lidar_depth_agrees_with_exact_depth(root: Path) -> None:
    source = NuScenesFrames(root)
    for frame in source.frames():
        assert frame.camera is not None
        _, depth = plane_world.look(frame.camera, ego_at(frame.stamp_ns) @ MOUNTS[frame.camera_name])
        sparse = source.lidar_depth(frame)
        assert sparse is not None and len(sparse.z) > 150
        error = np.abs(sparse.z / depth[sparse.v, sparse.u] - 1)
        assert np.median(error) < 0.02 and np.mean(error < 0.1) > 0.97


def test_points_reproject_through_the_poses_of_neighbours(root: Path) -> None:
    source = NuScenesFrames(root)
    found = find_triplets(source.frames(), look_up=source.frame)
    assert len(found.triplets) == 2 * 2 and found.dropped == {"no previous": 4, "no next": 4}  # first and last key frames
    points = np.random.default_rng(1).uniform([-4, -1, 4], [4, 1.4, 30], (100, 3))
    for triplet in found.triplets[:2]:
        current, mount = triplet.current, MOUNTS[triplet.current.camera_name]
        assert current.camera is not None and current.world_from_camera is not None
        world = transform_points(ego_at(current.stamp_ns) @ mount, points)
        for other in (triplet.previous, triplet.next):
            assert other.world_from_camera is not None
            moved = transform_points(invert_pose(other.world_from_camera) @ current.world_from_camera, points)
            truth = transform_points(invert_pose(ego_at(other.stamp_ns) @ mount), world)
            np.testing.assert_allclose(current.camera.project(moved), current.camera.project(truth), atol=0.01)


def test_the_same_calls_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with nuscenes_writer(tmp_path / name) as writer:
            write_scene(writer, "scene-0001", "Clear", "log")
    first, second = (
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (tmp_path / "first", tmp_path / "second")
    )
    assert first == second and len(first) == 27 + 13 + 1


def test_only_a_data_set_of_its_own_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "set"
    for name in ("scene-0001", "scene-0002"):
        with nuscenes_writer(target) as writer:
            write_scene(writer, name, "Clear", "log")
    assert [row["name"] for row in table(target, "scene")] == ["scene-0002"]
    (target / "v1.0-mini").mkdir()
    with pytest.raises(FileExistsError, match=r"set holds v1\.0-mini, which would be lost"), nuscenes_writer(target):
        pytest.fail("the block isn't entered")
    pictures = tmp_path / "others" / "samples"
    pictures.mkdir(parents=True)
    with pytest.raises(FileExistsError, match="others holds samples"), nuscenes_writer(tmp_path / "others"):
        pytest.fail("the block isn't entered")
    assert pictures.is_dir() and (target / "v1.0-mini").is_dir() and (target / "v1.0-rendered").is_dir()


def test_bad_calls_are_named_and_leave_nothing(tmp_path: Path) -> None:
    camera, jpeg, pose = CAMERAS["CAM_FRONT"], b"\xff\xd8", np.eye(4)
    bent = PinholeCamera(96, 64, 80.0, 81.0, 45.5, 30.5, "plumb_bob", (0.1, 0, 0, 0))

    def picture(
        writer: NuScenesWriter, stamp: int = 0, lens: PinholeCamera = camera, is_key: bool = True, channel: str = "CAM_FRONT"
    ) -> None:
        writer.add_picture(channel, stamp, jpeg, lens, pose, pose, is_key)

    calls = {
        "no scene was added": lambda writer: None,
        "add a scene before its first record": picture,
        "have no distortion": lambda writer: (writer.add_scene("s", "", "l"), picture(writer, lens=bent)),
        "two records of CAM_FRONT at 0 us": lambda writer: (writer.add_scene("s", "", "l"), picture(writer), picture(writer)),
        "s: every channel needs as many key frames": lambda writer: (writer.add_scene("s", "", "l"), picture(writer, is_key=False)),
        "{'CAM_FRONT': 2, 'CAM_BACK': 1}": lambda writer: (
            writer.add_scene("s", "", "l"),
            picture(writer),
            picture(writer, 5000),
            picture(writer, 9000, channel="CAM_BACK"),
        ),
        "two scenes are named s": lambda writer: (writer.add_scene("s", "", "l"), picture(writer), writer.add_scene("s", "", "l")),
        r"points of shape \(2, 2\)": lambda writer: (writer.add_scene("s", "", "l"), writer.add_scan(0, np.zeros((2, 2)), pose, pose)),
    }
    for message, call in calls.items():
        with pytest.raises(DataError, match=message), nuscenes_writer(tmp_path / "set") as writer:
            call(writer)
    assert not list(tmp_path.iterdir())
