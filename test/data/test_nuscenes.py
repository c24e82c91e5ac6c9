# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil

import landmark_world as world
import numpy as np
import pytest
from nuscenes_tree import MOUNTINGS, SCENES, START_US, STEP_US, write_nuscenes

from ssd_core.data import nuscenes_tables
from ssd_core.data.errors import DataError
from ssd_core.data.nuscenes import NuScenesFrames, condition_of, is_nuscenes
from ssd_core.data.nuscenes_splits import scenes_of_split
from ssd_core.data.source import open_source
from ssd_core.images.codec import ImageDecodeError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "tree")


def edit(tree, table, change) -> None:
    """Pass the rows of one table through `change`."""
    path = tree / "v1.0-mini" / f"{table}.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps(change(rows) or rows))


def test_the_one_door_opens_it(whole) -> None:
    assert isinstance(open_source(whole), NuScenesFrames)


def test_key_frames_know_their_scene_time_and_sweeps(whole) -> None:
    source = NuScenesFrames(whole)
    frames = source.frames()
    assert [(f.camera_name, f.stamp_ns) for f in frames] == [
        (name, (START_US + step * STEP_US + shift) * 1000)
        for step in (0, 6)
        for name, shift in (("CAM_FRONT", 0), ("CAM_FRONT_LEFT", 9_000))
    ]
    assert {(f.sequence, f.condition, f.is_static) for f in frames} == {("scene-0061", "day-clear", False)}
    first, last = frames[0], frames[2]
    assert (first.previous_id, last.next_id) == (None, None)
    sweep = source.frame(last.previous_id)
    assert sweep.stamp_ns == (START_US + 5 * STEP_US) * 1000
    assert source.frame(sweep.next_id).frame_id == last.frame_id
    assert source.lidar_depth(sweep) is None
    np.testing.assert_allclose(first.world_from_camera, world.vehicle_pose(0) @ MOUNTINGS["CAM_FRONT"], atol=1e-9)
    np.testing.assert_allclose(first.speed_mps, np.hypot(8, 0.4), rtol=1e-6)
    assert source.warnings == []


def test_points_land_on_their_pictures_and_on_the_sweeps_beside(whole) -> None:
    source = NuScenesFrames(whole)
    for frame in source.frames():
        world.check_reprojection(source, frame, source.frame)


def test_all_sweeps_can_be_frames(whole) -> None:
    source = NuScenesFrames(whole, cameras=["CAM_FRONT"], keyframes_only=False)
    assert [f.stamp_ns for f in source.frames()] == [(START_US + step * STEP_US) * 1000 for step in range(7)]
    world.check_reprojection(source, source.frames()[6], source.frame)


def test_lidar_depth_follows_the_camera_it_is_asked_for(whole) -> None:
    source = NuScenesFrames(whole)
    frame = source.frames()[0]
    half = source.lidar_depth(dataclasses.replace(frame, camera=frame.camera.scaled(160, 90)))
    assert half.u.max() < 160
    np.testing.assert_allclose(np.sort(half.z), np.sort(source.lidar_depth(frame).z))


def test_standing_vehicle_is_static(tmp_path) -> None:
    frames = NuScenesFrames(write_nuscenes(tmp_path / "n", speed=0.0)).frames()
    assert all(frame.is_static and frame.speed_mps == 0 for frame in frames)


def test_splits_and_conditions(tmp_path) -> None:
    scenes = (("scene-0001", "Night"), ("scene-0003", "Rain"), *SCENES)
    write_nuscenes(tmp_path / "n", "v1.0-trainval", scenes, pictures=1)

    def found(split=None):
        return {(f.sequence, f.condition) for f in NuScenesFrames(tmp_path / "n", split=split).frames()}

    assert found() == found("val") == {("scene-0003", "day-rain"), ("scene-0103", "night"), ("scene-0916", "day-rain")}
    assert found("train") == {("scene-0001", "night"), ("scene-0061", "day-clear")}
    assert found("mini_train") == {("scene-0061", "day-clear")}
    assert found("mini_val") == {("scene-0103", "night"), ("scene-0916", "day-rain")}
    assert found("all") == found("train") | found("val")
    (tmp_path / "n" / "v1.0-trainval").rename(tmp_path / "n" / "v1.0-mini")
    assert found() == found("all")
    with pytest.raises(DataError, match=r"no split 'test'.*mini_val"):
        found("test")


@pytest.mark.parametrize(
    ("description", "condition"),
    [
        ("Night, rain, parked cars", "night"),
        ("Difficult lighting, night", "night"),
        ("After rain, peds", "day-rain"),
        ("RAIN", "day-rain"),
        ("Waiting for a train, drainage", "day-clear"),
        ("", "day-clear"),
        ("Rendered street, fog", "fog"),
        ("Foggy snow, but not rendered", "day-clear"),
    ],
)
def test_condition_comes_from_whole_words(description, condition) -> None:
    assert condition_of(description) == condition


def test_split_lists_are_the_official_ones() -> None:
    sizes = {name: len(scenes_of_split(name)) for name in ("train", "val", "mini_train", "mini_val")}
    assert sizes == {"train": 700, "val": 150, "mini_train": 8, "mini_val": 2}
    assert not scenes_of_split("train") & scenes_of_split("val")
    digests = {name: hashlib.sha256("\n".join(sorted(scenes_of_split(name))).encode()).hexdigest()[:16] for name in ("train", "val")}
    assert digests == {"train": "182d90e54953d7b0", "val": "9c6d87239035bbd3"}  # of the lists in nuscenes-devkit 1.1.11


def test_version_is_found_or_asked_for(whole, tmp_path) -> None:
    assert is_nuscenes(whole)
    assert is_nuscenes(whole / "v1.0-mini")
    assert not is_nuscenes(tmp_path)
    assert NuScenesFrames(whole / "v1.0-mini").root == whole.resolve()
    with pytest.raises(DataError, match=r"no version v1\.0-test; it has v1\.0-mini"):
        NuScenesFrames(whole, "v1.0-test")
    with pytest.raises(DataError, match="no nuScenes version folder"):
        NuScenesFrames(tmp_path)
    both = shutil.copytree(whole, tmp_path / "both")
    shutil.copytree(both / "v1.0-mini", both / "v1.0-trainval")
    with pytest.raises(DataError, match=r"several versions \(v1\.0-mini, v1\.0-trainval\)"):
        NuScenesFrames(both)
    assert NuScenesFrames(both, "v1.0-mini").frames()


def test_cameras_are_chosen_by_name(whole) -> None:
    assert {f.camera_name for f in NuScenesFrames(whole, cameras=["CAM_FRONT_LEFT"]).frames()} == {"CAM_FRONT_LEFT"}
    with pytest.raises(DataError, match=r"no camera CAM_BACK; it has CAM_FRONT, CAM_FRONT_LEFT"):
        NuScenesFrames(whole, cameras=["CAM_BACK"])
    with pytest.raises(DataError, match=r"no camera LIDAR_TOP"):
        NuScenesFrames(whole, cameras=["LIDAR_TOP"])


def test_a_split_without_scenes_is_named(whole) -> None:
    with pytest.raises(DataError, match=r"split 'val' has 0 scenes.*choose another split"):
        NuScenesFrames(whole, split="val")


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_tables_are_read_whole_however_they_are_cut(whole, monkeypatch, chunk) -> None:
    monkeypatch.setattr(nuscenes_tables, "_CHUNK", chunk)
    folder = whole / "v1.0-mini"
    for name in ("calibrated_sensor", "map"):
        assert list(nuscenes_tables.read_table(folder, name)) == json.loads((folder / f"{name}.json").read_text())


def _set(rows, token_part, **values):
    next(row for row in rows if token_part in row["token"]).update(values)


def _drop(rows, field):
    del rows[1][field]


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("sample_data", lambda r: _set(r, "FRONT-0", sample_token="gone"), r"sample_data\.json: record \S*FRONT-0 refers to sample gone"),
        ("sample_data", lambda r: _set(r, "FRONT-0", calibrated_sensor_token="x"), r"FRONT-0 refers to calibrated_sensor x"),
        ("sample_data", lambda r: _drop(r, "filename"), r"sample_data\.json: record scene-0061-LIDAR_TOP-1: KeyError\('filename'\)"),
        ("sample", lambda r: _set(r, "sample0", scene_token="gone"), r"sample\.json: record scene-0061-sample0 refers to scene gone"),
        ("calibrated_sensor", lambda r: _set(r, "FRONT", sensor_token="x"), r"calibrated_sensor\.json: record mount-CAM_FRONT .*sensor x"),
        ("calibrated_sensor", lambda r: _set(r, "FRONT", rotation=[1, 0]), r"calibrated_sensor\.json: record mount-CAM_FRONT"),
        ("calibrated_sensor", lambda r: _set(r, "FRONT", camera_intrinsic=[[1, 0], [0, 1]]), r"record mount-CAM_FRONT.*reshape"),
        ("ego_pose", lambda r: _set(r, "FRONT-0", translation=[1, 2]), r"ego_pose\.json: record ego-scene-0061-CAM_FRONT-0"),
        ("scene", lambda r: [{"token": "scene-0061-token"}], r"scene\.json: record scene-0061-token has no field 'name'"),
    ],
)
def test_broken_records_are_named(tree, table, change, message) -> None:
    edit(tree, table, change)
    with pytest.raises(DataError, match=message):
        NuScenesFrames(tree)


@pytest.mark.parametrize(
    "content", ["", "[", '[{"token": "a"}', '[{"token": "a"},\n{"tok', '{"token": "a"}', "[1, 2]", "null", "[nonsense]"]
)
def test_broken_tables_are_named(tree, content) -> None:
    (tree / "v1.0-mini" / "ego_pose.json").write_text(content)
    with pytest.raises(DataError, match=r"ego_pose\.json"):
        NuScenesFrames(tree)


@pytest.mark.parametrize("table", nuscenes_tables.NEEDED_TABLES)
def test_missing_tables_are_named(tree, table) -> None:
    (tree / "v1.0-mini" / f"{table}.json").unlink()
    with pytest.raises(DataError, match=rf"{table}\.json missing|{table}\.json.*No such"):
        NuScenesFrames(tree, "v1.0-mini")


def test_tables_that_no_frame_needs_may_be_missing(tree) -> None:
    for name in ("attribute", "category", "instance", "log", "map", "sample_annotation", "visibility"):
        (tree / "v1.0-mini" / f"{name}.json").unlink()
    assert len(NuScenesFrames(tree).frames()) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [row for row in rows if "CAM_FRONT-0" not in row["token"]],
        lambda rows: _set(rows, "CAM_FRONT-0", rotation=[0, 0, 0, 0]),
        lambda rows: _set(rows, "CAM_FRONT-0", translation=[float("nan"), 0, 0]),
    ],
)
def test_a_frame_without_a_pose_is_still_a_frame(tree, change) -> None:
    edit(tree, "ego_pose", change)
    source = NuScenesFrames(tree)
    frame = source.frames()[0]
    assert frame.world_from_camera is None
    assert source.lidar_depth(frame) is None
    assert source.image(frame).shape == (180, 320, 3)
    assert source.lidar_depth(source.frames()[1]) is not None
    assert len(source.warnings) == 1
    assert "ego_pose.json" in source.warnings[0]
    assert "scene-0061-CAM_FRONT-0" in source.warnings[0]


def test_scan_without_a_pose_gives_no_depth(tree) -> None:
    edit(tree, "ego_pose", lambda rows: [row for row in rows if "LIDAR_TOP-0" not in row["token"]])
    source = NuScenesFrames(tree)
    assert source.lidar_depth(source.frames()[0]) is None
    assert "LIDAR_TOP-0" in source.warnings[0]


def test_missing_neighbours_end_the_sequence(tree) -> None:
    edit(tree, "sample_data", lambda rows: [row for row in rows if row["token"] != "scene-0061-CAM_FRONT-5"])
    source = NuScenesFrames(tree)
    assert source.frames()[2].previous_id is None
    assert "scene-0061-CAM_FRONT-5" in source.warnings[0]


def test_without_the_sweeps_folder_there_are_no_neighbours(tree) -> None:
    shutil.rmtree(tree / "sweeps")
    source = NuScenesFrames(tree)
    assert {frame.next_id for frame in source.frames()} == {None}
    assert len(source.warnings) == 1
    assert "sweeps" in source.warnings[0]


def test_useless_intrinsics_leave_a_frame_without_camera(tree) -> None:
    edit(tree, "calibrated_sensor", lambda rows: _set(rows, "CAM_FRONT", camera_intrinsic=[[0, 0, 0], [0, 0, 0], [0, 0, 1]]))
    source = NuScenesFrames(tree)
    assert source.frames()[0].camera is None
    assert source.lidar_depth(source.frames()[0]) is None
    assert source.frames()[1].camera is not None
    assert "mount-CAM_FRONT" in source.warnings[0]


def test_damaged_scans_are_named(tree) -> None:
    source = NuScenesFrames(tree)
    frame = source.frames()[0]
    path = next((tree / "samples" / "LIDAR_TOP").glob(f"*{START_US + 37_000}*"))
    data = path.read_bytes()
    for content in (data[:-3], b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{path.name}: {len(content)} bytes.*CAM_FRONT/scene-0061-CAM_FRONT-0"):
            source.lidar_depth(frame)
    path.unlink()
    with pytest.raises(DataError, match=rf"{path.name}: No such file.*CAM_FRONT/scene-0061-CAM_FRONT-0"):
        source.lidar_depth(frame)
    points = np.frombuffer(data, "<f4").reshape(-1, 5).copy()
    points[3, 1], points[5, 2] = np.nan, np.inf
    path.write_bytes(points.tobytes())
    assert len(source.lidar_depth(frame).z) == len(world.LANDMARKS) - 2
    assert "2 of 12 points aren't finite" in source.warnings[0]


def test_damaged_pictures_are_named(tree) -> None:
    source = NuScenesFrames(tree)
    frame = source.frames()[0]
    path = next((tree / "samples" / "CAM_FRONT").glob(f"*{START_US}*"))
    data = path.read_bytes()
    small = world.encoded(np.zeros((90, 160, 3), np.uint8), ".jpg")
    for content in (data[: len(data) // 2], b"", b"no picture", small):
        path.write_bytes(content)
        with pytest.raises(ImageDecodeError, match=rf"{path.name}.*scene-0061-CAM_FRONT-0"):
            source.image(frame)
    path.unlink()
    with pytest.raises(ImageDecodeError, match=rf"{path.name}: No such file.*scene-0061-CAM_FRONT-0"):
        source.image(frame)


def test_unknown_frames_are_named(whole) -> None:
    with pytest.raises(DataError, match="no picture CAM_FRONT/nothing in split 'all'"):
        NuScenesFrames(whole).frame("CAM_FRONT/nothing")


@pytest.fixture
def tiny(sample_data):
    folder = sample_data / "nuscenes_tiny_v1.0-mini"
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not on this machine")
    return folder


def test_real_key_frame_gets_its_lidar_points(tiny) -> None:
    source = NuScenesFrames(tiny)
    frames = {frame.camera_name: frame for frame in source.frames()}
    assert len(frames) == 6
    depth = source.lidar_depth(frames["CAM_FRONT"])
    assert abs(len(depth.z) - 2871) <= 15
    assert (round(float(depth.z.min()), 1), round(float(depth.z.max()))) == (4.5, 98)
    assert all(len(source.lidar_depth(frame).z) > 2500 for frame in frames.values())
    assert frames["CAM_FRONT"].speed_mps is None
    assert source.image(frames["CAM_BACK"]).shape == (900, 1600, 3)


def test_projection_equals_the_development_kit(tiny) -> None:
    """The kit keeps several points a pixel, drops the border, and computes in float32, which moves a few points to the next pixel."""
    devkit = pytest.importorskip("nuscenes.nuscenes", reason="nuscenes-devkit isn't installed")
    kit = devkit.NuScenes("v1.0-mini", str(tiny), verbose=False)
    source = NuScenesFrames(tiny)
    for frame in source.frames():
        tokens = kit.sample[0]["data"]
        points, depths, _ = kit.explorer.map_pointcloud_to_image(tokens["LIDAR_TOP"], tokens[frame.camera_name])
        image = np.full((900, 1600), np.inf)
        columns, rows = np.floor(points[:2] + 0.5).astype(int)
        np.minimum.at(image, (rows, columns), depths)
        ours = source.lidar_depth(frame).to_image(1600, 900)
        inner = np.s_[3:-3, 3:-3]
        theirs = image[inner]
        near = [np.roll(ours, (down, right), (0, 1))[inner] for down in (-1, 0, 1) for right in (-1, 0, 1)]
        agrees = np.abs(np.stack(near) - theirs).min(axis=0) < 2e-3
        seen = np.isfinite(theirs)
        assert (seen & ~agrees).sum() <= 3, frame.camera_name
        assert abs(int(seen.sum()) - int((ours[inner] > 0).sum())) <= 3
        assert (np.abs(ours[inner] - theirs)[seen] < 2e-3).mean() > 0.99
