# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math
import shutil

import landmark_world as world
import numpy as np
import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.kitti import KittiFrames, is_kitti
from ssd_core.data.kitti_poses import read_kitti_poses, read_oxts_poses
from ssd_core.data.source import open_source
from ssd_core.images.codec import ImageDecodeError

DATE, DRIVE = "2011_09_26", "2011_09_26_drive_0009_sync"
BASELINE = 0.54
RECTIFICATION = world.yaw(0.01)
VELODYNE_FROM_IMU = world.motion(world.yaw(-0.02), [0.8, -0.3, 0.8])
CAMERA_0_FROM_VELODYNE = world.motion(world.OPTICAL_FROM_FORWARD @ world.yaw(0.015), [0.01, -0.07, -0.27])
CAMERA_FROM_VELODYNE = {
    name: world.motion(np.eye(3), [-BASELINE * side, 0, 0]) @ world.motion(RECTIFICATION, [0, 0, 0]) @ CAMERA_0_FROM_VELODYNE
    for side, name in enumerate(("image_02", "image_03"))
}
LATITUDE, LONGITUDE, EARTH = 49.0, 8.43, 6378137.0


def velodyne_pose(number: int) -> np.ndarray:
    return world.vehicle_pose(0.1 * number) @ world.motion(np.eye(3), [0, 0, 1.7])


def numbers_of(values) -> str:
    return " ".join(f"{value:.12e}" for value in np.ravel(values))


def write_kitti(root, numbers=range(4), oxts=True, suffix=".png"):
    drive = root / DATE / DRIVE
    lines = [f"R_rect_00: {numbers_of(RECTIFICATION)}", "calib_time: 09-Jan-2012 13:57:47"]
    for side, index in enumerate(("02", "03")):
        projection = np.column_stack([world.INTRINSICS, world.INTRINSICS @ [-BASELINE * side, 0, 0]])
        lines += [f"S_rect_{index}: {numbers_of([world.WIDTH, world.HEIGHT])}", f"P_rect_{index}: {numbers_of(projection)}"]
    (root / DATE).mkdir(parents=True)
    (root / DATE / "calib_cam_to_cam.txt").write_text("\n".join(lines))
    for name, pose in (("velo_to_cam", CAMERA_0_FROM_VELODYNE), ("imu_to_velo", VELODYNE_FROM_IMU)):
        (root / DATE / f"calib_{name}.txt").write_text(f"calib_time: x\nR: {numbers_of(pose[:3, :3])}\nT: {numbers_of(pose[:3, 3])}\n")
    for name, camera_from_velodyne in CAMERA_FROM_VELODYNE.items():
        (drive / name / "data").mkdir(parents=True)
        for number in numbers:
            image = world.picture(velodyne_pose(number) @ np.linalg.inv(camera_from_velodyne))
            (drive / name / "data" / f"{number:010d}.png").write_bytes(world.encoded(image, suffix))
        stamps = [f"2011-09-26 13:02:25.{100_000_000 * number + 964:09d}\n" for number in range(max(numbers) + 1)]
        (drive / name / "timestamps.txt").write_text("".join(stamps))
    (drive / "velodyne_points" / "data").mkdir(parents=True)
    for number in numbers:
        points = world.scan(velodyne_pose(number))
        data = np.column_stack([points, np.zeros(len(points))]).astype("<f4").tobytes()
        (drive / "velodyne_points" / "data" / f"{number:010d}.bin").write_bytes(data)
    if oxts:
        (drive / "oxts" / "data").mkdir(parents=True)
        for number in numbers:
            (drive / "oxts" / "data" / f"{number:010d}.txt").write_text(numbers_of(packet(velodyne_pose(number) @ VELODYNE_FROM_IMU)))
    return root


def packet(world_from_imu) -> list[float]:
    """Latitude ... yaw of a pose; metres to degrees on a sphere, good to a millimetre over a few metres."""
    x, y, z = world_from_imu[:3, 3]
    r = world_from_imu[:3, :3]
    place = [LATITUDE + math.degrees(y / EARTH), LONGITUDE + math.degrees(x / EARTH / math.cos(math.radians(LATITUDE))), z]
    return [*place, math.atan2(r[2, 1], r[2, 2]), math.asin(-r[2, 0]), math.atan2(r[1, 0], r[0, 0]), *[0.0] * 24]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_kitti(tmp_path_factory.mktemp("kitti"))


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "tree")


def by_id(source):
    return {frame.frame_id: frame for frame in source.frames()}.__getitem__


def test_the_one_door_opens_it(whole) -> None:
    assert isinstance(open_source(whole), KittiFrames)


@pytest.mark.parametrize("inside", ["", DATE, f"{DATE}/{DRIVE}"])
def test_a_drive_a_date_and_all_dates_can_be_opened(whole, inside) -> None:
    assert is_kitti(whole / inside)
    frames = KittiFrames(whole / inside).frames()
    assert [f.frame_id for f in frames[:3]] == [
        f"{DRIVE}/image_02/0000000000",
        f"{DRIVE}/image_03/0000000000",
        f"{DRIVE}/image_02/0000000001",
    ]
    assert len(frames) == 8
    assert frames[2].stamp_ns - frames[0].stamp_ns == 100_000_000
    assert frames[0].stamp_ns == 1_317_042_145_000_000_964  # 2011-09-26 13:02:25 UTC
    assert (frames[2].previous_id, frames[2].next_id) == (frames[0].frame_id, frames[4].frame_id)
    assert {(f.condition, f.sequence, f.is_static) for f in frames} == {("day-clear", DRIVE, False)}
    np.testing.assert_allclose(frames[2].speed_mps, 8.0, rtol=0.02)


def test_points_land_on_both_cameras_pictures_and_their_neighbours(whole) -> None:
    source = KittiFrames(whole)
    assert source.warnings == []
    relative = np.linalg.inv(source.frames()[0].world_from_camera) @ source.frames()[1].world_from_camera
    np.testing.assert_allclose(relative, world.motion(np.eye(3), [BASELINE, 0, 0]), atol=1e-9)
    for frame in source.frames():
        check(source, frame)


def check(source, frame) -> None:
    """The frames' world starts elsewhere than the landmarks': move the check there."""
    camera_from_velodyne = CAMERA_FROM_VELODYNE[frame.camera_name]
    number = int(frame.frame_id[-10:])
    true = velodyne_pose(number) @ np.linalg.inv(camera_from_velodyne)
    pixels, depth = world.pixels_of(world.LANDMARKS, true)
    found = source.lidar_depth(frame)
    image = found.to_image(world.WIDTH, world.HEIGHT)
    for pixel, metres in zip(pixels, depth, strict=True):
        column, row = np.floor(pixel + 0.5).astype(int)
        np.testing.assert_allclose(image[row, column], metres, rtol=1e-5)
        assert np.linalg.norm(world.blob_near(source.image(frame), pixel) - pixel) < 0.5
    local = (world.LANDMARKS - true[:3, 3]) @ true[:3, :3]
    points = local @ frame.world_from_camera[:3, :3].T + frame.world_from_camera[:3, 3]
    look_up = by_id(source)
    for neighbour in (look_up(name) for name in (frame.previous_id, frame.next_id) if name):
        seen = source.image(neighbour)
        for pixel in neighbour.camera.project((points - neighbour.world_from_camera[:3, 3]) @ neighbour.world_from_camera[:3, :3]):
            assert np.linalg.norm(world.blob_near(seen, pixel) - pixel) < 0.5


@pytest.mark.parametrize("sensor", ["velodyne", "camera_0"])
def test_poses_from_a_file_count_by_frame_number(tmp_path, sensor) -> None:
    root = write_kitti(tmp_path / "k", numbers=(0, 2, 3), oxts=False)
    camera_0 = world.motion(RECTIFICATION, [0, 0, 0]) @ CAMERA_0_FROM_VELODYNE
    mounting = np.eye(4) if sensor == "velodyne" else np.linalg.inv(camera_0)
    poses = tmp_path / "poses.txt"
    poses.write_text("".join(numbers_of((velodyne_pose(n) @ mounting)[:3]) + "\n" for n in range(4)))
    source = KittiFrames(root, poses=poses, posed_sensor=sensor)
    for frame in source.frames():
        world.check_reprojection(source, frame, by_id(source))
    assert [f.stamp_ns % 10**9 // 10**8 for f in source.frames()[::2]] == [0, 2, 3]


def test_poses_beside_a_drive_are_velodyne_poses(tmp_path) -> None:
    root = write_kitti(tmp_path / "k", numbers=(0, 1), oxts=False)
    assert KittiFrames(root).frames()[0].world_from_camera is None
    assert "no oxts" in KittiFrames(root).warnings[0]
    (root / DATE / DRIVE / "poses_velo_icp.txt").write_text(numbers_of(velodyne_pose(0)[:3]) + "\n")
    source = KittiFrames(root, cameras=["image_03"])
    true = velodyne_pose(0) @ np.linalg.inv(CAMERA_FROM_VELODYNE["image_03"])
    np.testing.assert_allclose(source.frames()[0].world_from_camera, true, atol=1e-9)
    assert source.frames()[1].world_from_camera is None
    assert "1 of 2 frames of image_03 have no pose, the first is 1" in source.warnings[0]


def test_oxts_rotation_is_yaw_after_pitch_after_roll(tmp_path) -> None:
    roll, pitch, turn = 0.1, -0.2, 2.5
    for number, north in ((0, 0.0), (1, 10.0)):
        values = [LATITUDE + math.degrees(north / EARTH), LONGITUDE, 5.0 + number, roll, pitch, turn]
        (tmp_path / f"{number:010d}.txt").write_text(numbers_of(values))
    poses = read_oxts_poses(tmp_path)
    y = np.array([[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]])
    x = np.array([[1, 0, 0], [0, math.cos(roll), -math.sin(roll)], [0, math.sin(roll), math.cos(roll)]])
    np.testing.assert_allclose(poses[0][:3, :3], world.yaw(turn) @ y @ x, atol=1e-12)
    np.testing.assert_allclose(poses[0][:3, 3], 0, atol=1e-12)
    np.testing.assert_allclose(poses[1][:3, 3], [0, 10, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 0 0 1 0 0 0 0 1", "line 0: 11 values"),
        ("1 0 0 nan 0 1 0 0 0 0 1 0", "line 0: 12 values; a pose has 12, all finite"),
        ("1 0 0 0 0 1 0 0 0 0 1 0\n2 0 0 0 0 1 0 0 0 0 1 0", "line 1: the 3x3 part is no rotation"),
        ("a b", "line 0: could not convert"),
    ],
)
def test_broken_pose_files_are_named(tmp_path, text, message) -> None:
    (tmp_path / "poses.txt").write_text(text)
    with pytest.raises(DataError, match=rf"poses\.txt: {message}"):
        read_kitti_poses(tmp_path / "poses.txt")


@pytest.mark.parametrize("text", ["", "49 8 x", "49 8 110 nan 0 0", "95 8 110 0 0 0"])
def test_broken_oxts_packets_are_named(tree, text) -> None:
    (tree / DATE / DRIVE / "oxts" / "data" / "0000000002.txt").write_text(text)
    with pytest.raises(DataError, match=r"0000000002\.txt"):
        KittiFrames(tree)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("calib_cam_to_cam.txt", "P_rect_02", "P_rect_09", "no entry P_rect_02; it has R_rect_00"),
        ("calib_cam_to_cam.txt", "S_rect_03: 3", "S_rect_03: x 3", "S_rect_03: could not convert"),
        ("calib_cam_to_cam.txt", "R_rect_00: ", "R_rect_00: 1 ", "R_rect_00: cannot reshape"),
        ("calib_cam_to_cam.txt", "P_rect_02: 2.0", "P_rect_02: -2.0", "P_rect_02: fx = -200.0"),
        ("calib_velo_to_cam.txt", "T: ", "T: nan ", "T: cannot reshape"),
        ("calib_velo_to_cam.txt", "T: ", "U: ", "no entry T"),
        ("calib_imu_to_velo.txt", "R: 9", "R: inf 9", "R: cannot reshape"),
    ],
)
def test_broken_calibration_is_named(tree, name, old, new, message) -> None:
    path = tree / DATE / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=rf"{name}: {message}"):
        KittiFrames(tree)


def test_missing_calibration(tree) -> None:
    (tree / DATE / "calib_velo_to_cam.txt").unlink()
    source = KittiFrames(tree)
    assert source.lidar_depth(source.frames()[0]) is None
    assert "calib_velo_to_cam.txt" in source.warnings[0]
    (tree / DATE / "calib_cam_to_cam.txt").unlink()
    with pytest.raises(DataError, match=r"calib_cam_to_cam\.txt: No such file"):
        KittiFrames(tree)


def test_oxts_needs_the_imu_mounting(tree) -> None:
    (tree / DATE / "calib_imu_to_velo.txt").unlink()
    source = KittiFrames(tree)
    assert source.frames()[0].world_from_camera is None
    assert "calib_imu_to_velo.txt" in source.warnings[0]


def test_scans_missing_cut_off_and_with_nan(tree) -> None:
    source = KittiFrames(tree)
    frame = source.frames()[0]
    path = tree / DATE / DRIVE / "velodyne_points" / "data" / "0000000000.bin"
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    with pytest.raises(DataError, match=r"0000000000\.bin: 187 bytes are no whole number of points.*image_02/0000000000"):
        source.lidar_depth(frame)
    points = np.frombuffer(data, "<f4").reshape(-1, 4).copy()
    points[2, 0] = np.nan
    path.write_bytes(points.tobytes())
    assert len(source.lidar_depth(frame).z) == len(world.LANDMARKS) - 1
    path.unlink()
    assert source.lidar_depth(frame) is None
    assert [word in text for word, text in zip(("1 of 12 points", "no such scan"), source.warnings, strict=True)] == [True, True]


def test_damaged_pictures_are_named(tree) -> None:
    source = KittiFrames(tree)
    frame = source.frames()[0]
    path = tree / DATE / DRIVE / "image_02" / "data" / "0000000000.png"
    data = path.read_bytes()
    for content in (data[: len(data) // 2], b"", world.encoded(np.zeros((20, 30, 3), np.uint8), ".png")):
        path.write_bytes(content)
        with pytest.raises(ImageDecodeError, match=r"0000000000\.png.*image_02/0000000000"):
            source.image(frame)
    path.unlink()
    with pytest.raises(ImageDecodeError, match=r"0000000000\.png: No such file"):
        source.image(frame)


def test_stamps(tree) -> None:
    path = tree / DATE / DRIVE / "image_02" / "timestamps.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:2]))
    with pytest.raises(DataError, match=r"timestamps\.txt: 2 lines for 4 pictures, the last of which has number 3"):
        KittiFrames(tree)
    for wrong in ("today", "2011-13-26 13:02:25.1", "13:02:25"):
        path.write_text(f"{wrong}\n" * 4)
        with pytest.raises(DataError, match=rf"timestamps\.txt: '{wrong}' is no time"):
            KittiFrames(tree)
    path.unlink()
    source = KittiFrames(tree, cameras=["image_02"])
    assert [f.stamp_ns for f in source.frames()] == [0, 100_000_000, 200_000_000, 300_000_000]
    assert "timestamps.txt" in source.warnings[0]


def test_what_is_not_there_is_named(whole, tmp_path) -> None:
    with pytest.raises(DataError, match="no KITTI drive"):
        KittiFrames(tmp_path)
    with pytest.raises(DataError, match=r"no camera image_00; it has image_02, image_03"):
        KittiFrames(whole, cameras=["image_00"])
    (tmp_path / "drive" / "image_02" / "data").mkdir(parents=True)
    shutil.copy(whole / DATE / "calib_cam_to_cam.txt", tmp_path)
    with pytest.raises(DataError, match="no picture of any camera"):
        KittiFrames(tmp_path)


def test_real_drive(sample_data) -> None:
    if not (sample_data / "kitti_raw").is_dir():
        pytest.skip("kitti_raw is not on this machine")
    source = KittiFrames(sample_data / "kitti_raw")
    frames = source.frames()
    assert len(frames) == 20
    counts = [len(source.lidar_depth(frame).z) for frame in frames[::4]]
    assert all(15_000 < count < 17_200 for count in counts)
    assert abs(len(source.lidar_depth(frames[0]).z) - 16_400) < 100
    steps = [np.linalg.norm(b.world_from_camera[:3, 3] - a.world_from_camera[:3, 3]) for a, b in itertools.pairwise(frames)]
    assert 0.1 < min(steps) < max(steps) < 0.55
    forward = np.array([f.world_from_camera[:3, 2] for f in frames[:-1]])
    moved = np.array([b.world_from_camera[:3, 3] - a.world_from_camera[:3, 3] for a, b in itertools.pairwise(frames)])
    assert ((forward * moved).sum(axis=1) / steps > 0.95).all()
