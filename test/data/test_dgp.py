# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import json
import shutil

import landmark_world as world
import numpy as np
import pytest

from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.dgp import DgpFrames, is_dgp
from ssd_core.data.errors import DataError
from ssd_core.data.source import open_source
from ssd_core.images.codec import ImageDecodeError

MOUNTINGS = {
    "LIDAR": world.motion(world.yaw(0.3), [1.0, 0.0, 1.9]),
    "CAMERA_01": world.motion(world.yaw(0.02) @ world.OPTICAL_FROM_FORWARD.T, [1.7, 0.1, 1.5]),
    "CAMERA_05": world.motion(world.yaw(-0.06) @ world.OPTICAL_FROM_FORWARD.T, [1.5, 0.5, 1.4]),
}
DELAYS = {"LIDAR": 0.04, "CAMERA_01": 0.0, "CAMERA_05": 0.01}


def pose_json(pose) -> dict:
    rotation = dict(zip(("qw", "qx", "qy", "qz"), world.quaternion_of(pose[:3, :3]), strict=True))
    return {"translation": dict(zip("xyz", pose[:3, 3].tolist(), strict=True)), "rotation": rotation}


def write_scene(folder, samples=3, year=2019, start=10.0, step=0.1):
    """A DGP scene with a lidar (columns in an unusual order) and two cameras, each datum with its own time and pose."""
    data, rows = [], []
    for place in range(samples):
        keys = []
        for sensor, mounting in MOUNTINGS.items():
            seconds = step * place + DELAYS[sensor]
            pose = world.vehicle_pose(0.1 * place + DELAYS[sensor]) @ mounting
            key, stamp = f"{sensor}-{place}", f"{year}-11-12T01:04:{start + seconds:09.6f}Z"
            keys.append(key)
            if sensor == "LIDAR":
                name = f"point_cloud/LIDAR/{place:03d}.npz"
                points = world.scan(pose).astype(np.float64)
                values = np.column_stack([np.zeros(len(points)), points[:, [2, 0, 1]]])
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(folder / name, data=values)
                datum = {"point_cloud": {"filename": name, "point_format": ["INTENSITY", "Z", "X", "Y"], "pose": pose_json(pose)}}
            else:
                name = f"rgb/{sensor}/{place:03d}.png"
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(world.encoded(world.picture(pose), ".png"))
                datum = {"image": {"filename": name, "width": world.WIDTH, "height": world.HEIGHT, "channels": 3, "pose": pose_json(pose)}}
            data.append({"key": key, "id": {"name": sensor, "timestamp": stamp}, "datum": datum, "prev_key": "", "next_key": ""})
        rows.append({"calibration_key": "cal", "datum_keys": keys, "id": {}})
    k = world.INTRINSICS
    intrinsics = [{"fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2], "cy": k[1, 2], "skew": 0.0}] * 2
    (folder / "calibration").mkdir()
    calibration = {"names": list(MOUNTINGS), "intrinsics": [{"fx": 0.0, "fy": 0.0, "cx": 0.0, "cy": 0.0, "skew": 0.0}, *intrinsics]}
    calibration["extrinsics"] = [pose_json(pose) for pose in MOUNTINGS.values()]
    (folder / "calibration" / "cal.json").write_text(json.dumps(calibration))
    (folder / "scene_abc.json").write_text(json.dumps({"name": "", "data": data, "samples": rows}))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("dgp") / "000001")


@pytest.fixture
def scene(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "000001")


def edit(path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def by_id(source):
    return {frame.frame_id: frame for frame in source.frames()}.__getitem__


def test_the_one_door_opens_it(whole) -> None:
    assert isinstance(open_source(whole), DgpFrames)


def test_frames_know_time_speed_and_neighbours(whole) -> None:
    source = DgpFrames(whole, condition="day-clear")
    frames = source.frames()
    assert [f.frame_id for f in frames[:3]] == ["000001/CAMERA_01/000", "000001/CAMERA_05/000", "000001/CAMERA_01/001"]
    assert (frames[2].previous_id, frames[2].next_id) == (frames[0].frame_id, frames[4].frame_id)
    assert frames[0].stamp_ns == 1_573_520_650_000_000_000  # 2019-11-12 01:04:10 UTC
    assert frames[2].stamp_ns - frames[0].stamp_ns == 100_000_000
    assert {(f.sequence, f.condition, f.is_static) for f in frames} == {("000001", "day-clear", False)}
    np.testing.assert_allclose([f.speed_mps for f in frames], 8.0, rtol=0.03)
    assert source.warnings == []


def test_points_land_on_their_pictures_and_on_the_neighbours(whole) -> None:
    source = DgpFrames(whole)
    for frame in source.frames():
        world.check_reprojection(source, frame, by_id(source))


@pytest.mark.parametrize("fraction", [".050000000", ".05", ".050"])
def test_stamps_of_any_number_of_digits(scene, fraction) -> None:
    edit(
        scene / "scene_abc.json",
        lambda content: [datum["id"].update(timestamp=f"2019-11-12T01:04:10{fraction}Z") for datum in content["data"]],
    )
    assert DgpFrames(scene, ["CAMERA_01"]).frames()[0].stamp_ns == 1_573_520_650_050_000_000


def test_stamps_of_the_far_future_are_scaled(tmp_path) -> None:
    folder = write_scene(tmp_path / "s", year=2464, step=1.0)
    source = DgpFrames(folder)
    frames = source.frames()[::2]
    assert frames[1].stamp_ns - frames[0].stamp_ns == 100_000_000
    np.testing.assert_allclose(frames[1].speed_mps, 8.0, rtol=0.03)
    assert "2464" in source.warnings[0]
    assert "scaled by 0.1" in source.warnings[0]
    plain = DgpFrames(folder, time_scale=1.0)
    assert plain.frames()[2].stamp_ns - plain.frames()[0].stamp_ns == 1_000_000_000
    assert plain.warnings == []


def test_folders_lists_and_splits(whole, tmp_path) -> None:
    for name in ("000001", "000002", "000003"):
        shutil.copytree(whole, tmp_path / name)
    assert is_dgp(tmp_path)
    assert is_dgp(whole)
    assert is_dgp(whole / "scene_abc.json")
    assert not is_dgp(whole / "calibration")
    assert {f.sequence for f in DgpFrames(tmp_path).frames()} == {"000001", "000002", "000003"}
    with pytest.raises(DataError, match="needs one dataset JSON, here are none"):
        DgpFrames(tmp_path, split="val")
    splits = {"0": ["000001/scene_abc.json"], "1": ["000002/scene_abc.json", "000009/scene_abc.json"], "2": ["000008/scene_abc.json"]}
    listing = {"scene_splits": {key: {"filenames": names} for key, names in splits.items()}}
    (tmp_path / "scene_dataset.json").write_text(json.dumps(listing))  # DGP names its lists like scenes
    assert {f.sequence for f in DgpFrames(tmp_path, split="train").frames()} == {"000001"}
    assert {f.sequence for f in DgpFrames(tmp_path).frames()} == {"000001", "000002", "000003"}
    source = DgpFrames(tmp_path / "scene_dataset.json", split="val")
    assert {f.sequence for f in source.frames()} == {"000002"}
    assert "1 of 2 scenes are missing" in source.warnings[0]
    with pytest.raises(DataError, match=r"none of the 1 scenes of split 'test' is there"):
        DgpFrames(tmp_path, split="test")
    with pytest.raises(DataError, match="no split 'mini'"):
        DgpFrames(tmp_path, split="mini")
    (tmp_path / "other.json").write_text(json.dumps(listing))
    with pytest.raises(DataError, match=r"here are other\.json, scene_dataset\.json"):
        DgpFrames(tmp_path, split="train")


def test_cameras_are_chosen_by_name(whole, tmp_path) -> None:
    assert {f.camera_name for f in DgpFrames(whole, cameras=["CAMERA_05"]).frames()} == {"CAMERA_05"}
    with pytest.raises(DataError, match="no camera LIDAR; it has CAMERA_01, CAMERA_05"):
        DgpFrames(whole, cameras=["LIDAR"])
    with pytest.raises(DataError, match="no DGP scene"):
        DgpFrames(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["samples"][1]["datum_keys"].append("gone"), r"scene_abc\.json: sample 1 refers to datum gone"),
        (lambda c: c["samples"][1].pop("datum_keys"), r"sample 1: KeyError\('datum_keys'\)"),
        (lambda c: c["samples"][0].update(calibration_key="gone"), r"gone\.json.*No such file"),
        (lambda c: c["data"][1]["datum"]["image"].pop("width"), r"datum CAMERA_01-0: KeyError\('width'\)"),
        (lambda c: c["data"][1].update(datum={}), r"datum CAMERA_01-0"),
        (lambda c: c["data"][1]["id"].update(timestamp="noon"), r"datum CAMERA_01-0.*noon"),
        (lambda c: c["data"][1]["id"].update(name="CAMERA_77"), r"cal\.json: no sensor CAMERA_77, to which datum CAMERA_01-0"),
        (
            lambda c: c["data"][0]["datum"]["point_cloud"].update(point_format=["X", "Y"]),
            r"datum LIDAR-0: points of X, Y have no X, Y and Z",
        ),
        (lambda c: c.pop("data"), r"scene_abc\.json: no DGP scene"),
        (lambda c: c.update(samples=[]), r"1 scenes without a picture in split 'all'"),
    ],
)
def test_broken_scenes_are_named(scene, change, message) -> None:
    edit(scene / "scene_abc.json", change)
    with pytest.raises(DataError, match=message):
        DgpFrames(scene)


def test_broken_json_is_named(scene) -> None:
    path = scene / "calibration" / "cal.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match=r"cal\.json"):
        DgpFrames(scene)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"cal\.json: no DGP calibration"):
        DgpFrames(scene)
    (scene / "scene_abc.json").write_text("{")
    with pytest.raises(DataError, match=r"scene_abc\.json"):
        DgpFrames(scene)


@pytest.mark.parametrize("broken", [{}, None, {"translation": {"x": 0, "y": 0, "z": 0}, "rotation": {"qw": 0, "qx": 0, "qy": 0, "qz": 0}}])
def test_without_a_pose_the_mounting_is_used(scene, broken) -> None:
    edit(scene / "scene_abc.json", lambda c: c["data"][1]["datum"]["image"].update(pose=broken))
    source = DgpFrames(scene)
    frame = source.frames()[0]
    assert frame.world_from_camera is None
    depth = source.lidar_depth(frame)
    true = np.linalg.inv(np.linalg.inv(MOUNTINGS["LIDAR"]) @ MOUNTINGS["CAMERA_01"])
    local = np.column_stack([world.scan(world.vehicle_pose(0.04) @ MOUNTINGS["LIDAR"]), np.ones(12)]) @ true.T
    np.testing.assert_allclose(np.sort(depth.z), np.sort(local[:, 2]), rtol=1e-5)
    assert "datum CAMERA_01-0" in source.warnings[0]
    assert "motion between both is ignored" in source.warnings[1]


def test_useless_intrinsics_and_distortion_are_warned_of(scene) -> None:
    edit(scene / "calibration" / "cal.json", lambda c: (c["intrinsics"][1].update(fx=0), c["intrinsics"][2].update(k1=0.1)))
    source = DgpFrames(scene)
    assert source.frames()[0].camera is None
    assert source.lidar_depth(source.frames()[0]) is None
    assert source.frames()[1].camera is not None
    assert len(source.warnings) == 2
    assert "CAMERA_01: fx = 0" in source.warnings[0]
    assert "CAMERA_05: the lens distortion (k1) is ignored" in source.warnings[1]


def test_other_data_are_skipped(scene) -> None:
    edit(scene / "scene_abc.json", lambda c: c["data"][0].update(datum={"radar_point_cloud": {"filename": "x"}}))
    source = DgpFrames(scene)
    assert source.lidar_depth(source.frames()[0]) is None
    assert "radar_point_cloud" in source.warnings[0]


def test_damaged_scans_are_named(scene) -> None:
    source = DgpFrames(scene)
    frame = source.frames()[0]
    path = scene / "point_cloud" / "LIDAR" / "000.npz"
    data = path.read_bytes()
    for content in (data[: len(data) // 2], b"", b"no zip at all"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"000\.npz.*000001/CAMERA_01/000"):
            source.lidar_depth(frame)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(DataError, match=r"000\.npz: damaged scan"):
        source.lidar_depth(frame)
    np.savez(path, data=np.zeros((5, 3)))
    with pytest.raises(DataError, match=r"000\.npz: an array of \(5, 3\) isn't points of INTENSITY, Z, X, Y"):
        source.lidar_depth(frame)
    path.unlink()
    with pytest.raises(DataError, match=r"000\.npz: No such file.*000001/CAMERA_01/000"):
        source.lidar_depth(frame)
    path.write_bytes(data)
    with np.load(path) as archive:
        values = archive["data"].copy()
    values[4, 2] = np.nan
    np.savez(path, data=values)
    assert len(source.lidar_depth(frame).z) == len(world.LANDMARKS) - 1
    assert "1 of 12 points aren't finite" in source.warnings[0]


def test_damaged_pictures_are_named(scene) -> None:
    source = DgpFrames(scene)
    path = scene / "rgb" / "CAMERA_01" / "000.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageDecodeError, match=r"000\.png.*000001/CAMERA_01/000"):
        source.image(source.frames()[0])


def test_real_scene_agrees_with_the_bag_made_of_it(sample_data) -> None:
    """The bag's sensors share one stamp and one pose an instant and its pictures are half as large; its geometry is the same."""
    folder, bag_folder = sample_data / "dgp_test_scene", sample_data / "bag_ddad"
    if not folder.is_dir() or not bag_folder.is_dir():
        pytest.skip("dgp_test_scene and bag_ddad are not on this machine")
    scene, bag = DgpFrames(folder), BagFrames(bag_folder)
    frames = {(f.camera_name.lower(), place): f for place, f in _numbered(scene.frames())}
    theirs = {(f.camera_name, place): f for place, f in _numbered(bag.frames())}
    assert len(frames) == 18
    assert frames.keys() == theirs.keys()
    for key, frame in frames.items():
        other = theirs[key]
        assert abs(frame.stamp_ns - other.stamp_ns) < 10_000_000
        assert abs(frame.speed_mps / other.speed_mps - 1) < 0.02
        half = dataclasses.replace(frame, camera=frame.camera.scaled(968, 608))
        np.testing.assert_allclose(half.camera.matrix, other.camera.matrix, atol=1e-6)
        ours, bags = scene.lidar_depth(half), bag.lidar_depth(other)
        assert abs(len(ours.z) / len(bags.z) - 1) < 0.01
        a, b = ours.to_image(968, 608), bags.to_image(968, 608)
        both = (a > 0) & (b > 0)
        assert both.sum() > 1000
        assert np.median(np.abs(a[both] / b[both] - 1)) < 0.003
    assert max(len(scene.lidar_depth(frames["camera_05", place]).z) for place in range(3)) > 11_500


def _numbered(frames):
    """(instant, frame): the place of each frame among its camera's."""
    counts: dict[str, int] = {}
    for frame in frames:
        place = counts.get(frame.camera_name, 0)
        counts[frame.camera_name] = place + 1
        yield place, frame
