# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plane_world
import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.robotcar import RobotCarFrames, condition_of, is_robotcar, open_robotcar
from ssd_core.data.robotcar_files import (
    VEHICLE_FROM_OPTICAL,
    VisualOdometry,
    components_from_pose,
    poses_from_components,
    read_camera_model,
    read_extrinsics,
)
from ssd_core.data.triplets import find_triplets
from ssd_core.data.writers.robotcar import distortion_table, mosaic, robotcar_writer
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import invert_pose, transform_points
from ssd_core.images.codec import ImageDecodeError, write_image
from ssd_core.images.encodings import decode_raw_image

DAY = "2014-12-09-13-21-02"
LENS = PinholeCamera(160, 120, 118.0, 118.0, 81.3, 58.2, "plumb_bob", (-0.18, 0.04, 0.001, -0.002, 0.0))
START_NS = 1_418_132_504_000_000_000
PICTURES, PERIOD_NS = 40, 100_000_000
VEHICLE_FROM_LASER = poses_from_components([[1.7589, 0.2268, 1.0411, -0.0437, -1.4572, 0.0356]])[0]


def pose_at(stamp_ns: int) -> np.ndarray:
    return plane_world.drive((stamp_ns - START_NS) * 1e-9)


def picture_stamps() -> list[int]:
    return [START_NS + index * PERIOD_NS for index in range(PICTURES)]


def write_traverse(root: Path, traverse: str = DAY, laser: str = "lms_front") -> None:
    with robotcar_writer(root, traverse, LENS, VEHICLE_FROM_LASER, laser) as writer:
        for stamp in picture_stamps():
            pose = pose_at(stamp) @ VEHICLE_FROM_OPTICAL
            writer.add_picture(stamp, plane_world.look(LENS, pose)[0], pose)
        angles = np.radians(np.arange(-135, 135, 1.0))
        directions = np.column_stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)])
        if laser == "ldmrs":
            directions = np.concatenate([directions * (1, 1, 0) + (0, 0, tilt) for tilt in (-0.02, 0.0, 0.02)])
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        for stamp in range(START_NS, START_NS + PICTURES * PERIOD_NS, 25_000_000):
            writer.add_scan(stamp, plane_world.scan(pose_at(stamp) @ VEHICLE_FROM_LASER, directions))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("robotcar")
    write_traverse(root)
    return root


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(written, tmp_path / "robotcar"))


def test_frames_say_what_is_known(written: Path) -> None:
    source = RobotCarFrames(written)
    frames = source.frames()
    assert len(frames) == PICTURES and source.warnings == []
    assert [frame.stamp_ns for frame in frames] == picture_stamps()
    second = frames[1]
    assert second.frame_id == f"{DAY}/stereo/left/{second.stamp_ns // 1000}"
    assert (second.sequence, second.camera_name, second.condition) == (DAY, "stereo/left", "day-clear")
    assert (second.previous_id, second.next_id) == (frames[0].frame_id, frames[2].frame_id)
    assert frames[0].previous_id is None and frames[-1].next_id is None
    assert second.speed_mps == pytest.approx(8.0, abs=0.1) and not second.is_static
    assert is_robotcar(written) and is_robotcar(written / DAY) and not is_robotcar(written / "models")
    assert len(find_triplets(frames).triplets) == PICTURES - 2


def test_cropping_and_resizing_keep_intrinsics_exact(written: Path) -> None:
    whole = RobotCarFrames(written, kept_rows=120).frames()[0].camera
    cropped = RobotCarFrames(written).frames()[0].camera
    small = RobotCarFrames(written, size=(68, 40)).frames()[0].camera
    assert whole is not None and cropped is not None and small is not None
    assert (whole.size, cropped.size, small.size) == ((160, 120), (160, 96), (68, 40))
    assert whole.matrix.tolist() == cropped.matrix.tolist() == LENS.matrix.tolist()
    assert small.fy == pytest.approx(LENS.fy * 40 / 96) and small.cy == pytest.approx((LENS.cy + 0.5) * 40 / 96 - 0.5)


@pytest.mark.parametrize("options", [{}, {"size": (68, 40)}, {"kept_rows": 120}])
def test_pictures_are_undistorted_and_depth_lies_on_them(written: Path, options: dict) -> None:
    source = RobotCarFrames(written, **options)
    frame = source.frames()[4]
    assert frame.camera is not None
    truth, depth = plane_world.look(frame.camera, pose_at(frame.stamp_ns) @ VEHICLE_FROM_OPTICAL)
    image = source.image(frame)
    assert image.shape == truth.shape
    near = depth < 12  # farther away the sensor's mosaic can't follow the texture
    near[:, [0, -1]] = near[[0, -1]] = False
    assert np.abs(image[near].astype(int) - truth[near]).mean() < 2.0
    sparse = source.lidar_depth(frame)
    assert sparse is not None and len(sparse.z) > 300 and sparse.z.max() <= 50.0
    error = np.abs(sparse.z / depth[sparse.v, sparse.u] - 1)
    assert np.median(error) < 0.02 and np.mean(error < 0.15) > 0.97


def test_points_reproject_through_the_poses_of_both_neighbours(written: Path) -> None:
    source = RobotCarFrames(written)
    frame = source.frames()[7]
    assert frame.camera is not None and frame.world_from_camera is not None
    points = np.random.default_rng(0).uniform([-4, -1, 4], [4, 1.4, 30], (200, 3))
    true_world = transform_points(pose_at(frame.stamp_ns) @ VEHICLE_FROM_OPTICAL, points)
    for frame_id in (frame.previous_id, frame.next_id):
        assert frame_id is not None
        other = source.frame(frame_id)
        assert other.world_from_camera is not None
        moved = transform_points(invert_pose(other.world_from_camera) @ frame.world_from_camera, points)
        truth = transform_points(invert_pose(pose_at(other.stamp_ns) @ VEHICLE_FROM_OPTICAL), true_world)
        np.testing.assert_allclose(frame.camera.project(moved), frame.camera.project(truth), atol=0.01)


def test_three_dimensional_scans_are_read_too(tmp_path: Path) -> None:
    write_traverse(tmp_path, laser="ldmrs")
    source = RobotCarFrames(tmp_path, laser="ldmrs")
    frame = source.frames()[4]
    assert frame.camera is not None
    _, depth = plane_world.look(frame.camera, pose_at(frame.stamp_ns) @ VEHICLE_FROM_OPTICAL)
    sparse = source.lidar_depth(frame)
    assert sparse is not None and len(sparse.z) > 300
    assert np.median(np.abs(sparse.z / depth[sparse.v, sparse.u] - 1)) < 0.02


def test_depth_reaches_only_as_far_as_asked(written: Path) -> None:
    near = RobotCarFrames(written, max_depth=12.0)
    frame = near.frames()[4]
    depth, all_depth = near.lidar_depth(frame), RobotCarFrames(written).lidar_depth(frame)
    short_reach = RobotCarFrames(written, accumulate_s=1.5).lidar_depth(frame)
    assert depth is not None and all_depth is not None and short_reach is not None
    assert depth.z.max() <= 12.0 < all_depth.z.max()
    assert 0 < len(short_reach.z) < 0.7 * len(all_depth.z) and short_reach.z.max() < 17


def test_colour_pictures_count_as_undistorted(root: Path) -> None:
    source = RobotCarFrames(root)
    frame = source.frames()[3]
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    write_image(root / f"{frame.frame_id}.png", picture)
    np.testing.assert_array_equal(source.image(frame), picture[:96])


def test_the_conditions_of_known_traverses_and_by_argument(root: Path) -> None:
    (root / DAY).rename(root / "2014-12-16-18-44-24")
    assert RobotCarFrames(root).frames()[0].condition == "night"
    assert RobotCarFrames(root, condition="dusk").frames()[0].condition == "dusk"
    assert [condition_of(name) for name in ("2015-01-01-00-00-00", "rendered-day-rain-0001", "rendered-night-rain-0002")] == [
        "unknown",
        "day-rain",
        "night-rain",
    ]


def test_split_lists_give_frames_and_their_neighbours(written: Path, tmp_path: Path) -> None:
    stamps = [stamp // 1000 for stamp in picture_stamps()]
    triples, singles = tmp_path / f"{DAY}_train_stride_1.txt", tmp_path / f"{DAY}_test.txt"
    triples.write_text(f"{stamps[2]} {stamps[5]} {stamps[9]}\n{stamps[3]} {stamps[6]} {stamps[10]}\n\n")
    singles.write_text(f"{stamps[8]}\n{stamps[4]}\n7\n")
    source = RobotCarFrames(written, split_files=[triples])
    assert [frame.stamp_ns // 1000 for frame in source.frames()] == [stamps[5], stamps[6]]
    found = find_triplets(source.frames(), look_up=source.frame)
    assert [frame.stamp_ns // 1000 for frame in found.triplets[0]] == [stamps[2], stamps[5], stamps[9]]
    test = RobotCarFrames(written, split_files=[singles])
    assert [frame.stamp_ns // 1000 for frame in test.frames()] == [stamps[8], stamps[4]]
    assert "1 of 3 lines name pictures that aren't in" in test.warnings[0] and "the first 7" in test.warnings[0]
    by_path = open_robotcar(written, f"{triples},{singles}")
    assert len(by_path.frames()) == 4 and len(open_robotcar(written, "train").frames()) == PICTURES
    with pytest.raises(DataError, match="is neither a file nor one of all, train, val, test"):
        open_robotcar(written, "mini")
    assert len(open_robotcar(written, cameras=["stereo/left"]).frames()) == PICTURES
    with pytest.raises(DataError, match="no camera mono_rear; of RobotCar stereo/left is read"):
        open_robotcar(written, cameras=["mono_rear"])
    assert test.split == f"lists {DAY}_test.txt"


def test_own_split_is_a_documented_rule_without_overlap(root: Path) -> None:
    """Twenty-one minutes of pictures (empty files but the first: nothing else is opened)."""
    folder = root / DAY / "stereo" / "left"
    first = picture_stamps()[0] // 1000
    for second in range(2, 21 * 60):
        (folder / f"{first + second * 1_000_000}.png").touch()
    by_split = {name: {frame.frame_id for frame in RobotCarFrames(root, split=name).frames()} for name in ("train", "val", "test")}
    assert len(by_split["val"]) == len(by_split["test"]) == 2 * 50
    assert not by_split["train"] & by_split["val"] and not by_split["val"] & by_split["test"]
    source = RobotCarFrames(root, split="test")
    times = [(frame.stamp_ns - START_NS) / 1e9 for frame in source.frames()]
    assert min(times) == 545 and times[49] == 594 and times[50] == 1145
    assert source.split.startswith("test (own rule: ")


def test_standing_still_is_marked_and_left_out_of_own_splits(tmp_path: Path) -> None:
    with robotcar_writer(tmp_path, DAY, LENS, VEHICLE_FROM_LASER) as writer:
        image = np.zeros((120, 160, 3), np.uint8)
        for index in range(10):
            writer.add_picture(START_NS + index * 100_000_000, image, plane_world.drive(max(0, index - 5) * 0.1) @ VEHICLE_FROM_OPTICAL)
    assert [frame.is_static for frame in RobotCarFrames(tmp_path).frames()] == [True] * 5 + [False] * 5
    assert len(RobotCarFrames(tmp_path, split="train").frames()) == 5


def test_a_break_in_the_odometry_is_no_motion(root: Path) -> None:
    file = root / DAY / "vo" / "vo.csv"
    lines = file.read_text().splitlines()
    del lines[12]
    file.write_text("\n".join(lines) + "\n")
    source = RobotCarFrames(root)
    frames = source.frames()
    assert "breaks off 1 times" in source.warnings[0]
    unlinked = [index for index, frame in enumerate(frames) if frame.next_id is None]
    assert unlinked == [11, PICTURES - 1]
    assert find_triplets(frames).dropped == {"no previous": 2, "no next": 2}
    for place in (4, 16):  # scans of the other stretch, placed by poses that mean nothing here, would spoil these
        frame = frames[place]
        sparse = source.lidar_depth(frame)
        assert frame.camera is not None and sparse is not None and len(sparse.z) > 50
        _, depth = plane_world.look(frame.camera, pose_at(frame.stamp_ns) @ VEHICLE_FROM_OPTICAL)
        assert np.mean(np.abs(sparse.z / depth[sparse.v, sparse.u] - 1) < 0.1) > 0.97


def test_odometry_interpolates_between_its_stamps_only(written: Path) -> None:
    odometry = VisualOdometry(written / DAY / "vo" / "vo.csv")
    stamps = np.array([START_NS // 1000 - 1, START_NS // 1000, START_NS // 1000 + 50_000, picture_stamps()[-1] // 1000 + 1])
    poses, stretches = odometry.at(stamps)
    assert stretches.tolist() == [-1, 0, 0, -1]
    truth = invert_pose(pose_at(START_NS)) @ pose_at(START_NS + 50_000_000)
    np.testing.assert_allclose(poses[2], truth, atol=1e-3)
    np.testing.assert_allclose(poses[1], np.eye(4), atol=1e-12)


def test_mosaic_and_demosaic_are_inverse_on_flat_colours() -> None:
    image = np.full((8, 8, 3), (200, 100, 30), np.uint8)
    raw = mosaic(image)
    assert raw[0, :2].tolist() == [100, 30] and raw[1, :2].tolist() == [200, 100]
    np.testing.assert_array_equal(decode_raw_image(raw.reshape(-1), "bayer_gbrg8", 8, 8, 8), image)


def test_the_table_of_a_lens_leads_to_the_pixels_it_sees() -> None:
    table = distortion_table(LENS)
    point = np.array([[0.4, -0.3, 1.0]])
    undistorted, raw = LENS.rectified().project(point)[0], LENS.project(point)[0]
    column, row = np.rint(undistorted).astype(int)
    assert np.abs(table[:, row, column] - raw).max() < 0.7
    np.testing.assert_allclose(distortion_table(LENS.rectified())[:, 5, 9], [9, 5], atol=1e-4)


def test_components_of_poses_go_there_and_back() -> None:
    np.testing.assert_allclose(components_from_pose(VEHICLE_FROM_LASER), [1.7589, 0.2268, 1.0411, -0.0437, -1.4572, 0.0356], atol=1e-9)
    yaw = poses_from_components([[0, 0, 0, 0, 0, np.pi / 2]])[0]
    np.testing.assert_allclose(yaw[:3, 0], [0, 1, 0], atol=1e-12)  # z points down: yaw turns forward to the right


def test_real_calibration_is_read(sample_data: Path) -> None:
    folder = sample_data / "robotcar_calib"
    model = read_camera_model(folder / "models" / "stereo_wide_left.txt", (1280, 960))
    assert (model.camera.fx, model.camera.cx, model.camera.cy) == (983.044006, 643.646973, 493.378998)
    np.testing.assert_array_equal(model.camera_from_optical, VEHICLE_FROM_OPTICAL)
    laser = read_extrinsics(folder / "extrinsics" / "lms_front.txt")
    assert laser[:3, 3].tolist() == [1.7589, 0.2268, 1.0411]
    assert abs(laser[:3, 0] @ [0, 0, 1]) > 0.9  # a push-broom: the scan's plane is nearly upright


def break_table(root: Path) -> None:
    (root / "models" / "stereo_wide_left_distortion_lut.bin").write_bytes(b"\0" * 17)


def break_odometry_order(root: Path) -> None:
    file = root / DAY / "vo" / "vo.csv"
    lines = file.read_text().splitlines()
    lines[5], lines[6] = lines[6], lines[5]
    file.write_text("\n".join(lines))


def replace(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: (root / name.replace("DAY", DAY)).write_text(text) and None


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_odometry_order, "vo.csv: line 7: odometry runs backwards"),
        (replace("DAY/vo/vo.csv", "a,b\n"), "vo.csv: line 1 is no header"),
        (replace("DAY/vo/vo.csv", "source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw\n2,1,nan,0,0,0,0,0\n"), "line 2: 6 finite"),
        (replace("DAY/vo/vo.csv", "source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw\n"), "no odometry after the header"),
        (replace("models/stereo_wide_left.txt", "1 2 3"), "stereo_wide_left.txt: 3 numbers"),
        (replace("extrinsics/stereo.txt", "0 0 0"), "stereo.txt: 3 numbers"),
        (replace("extrinsics/stereo.txt", "x"), "stereo.txt: no extrinsics"),
        (replace("DAY/stereo.timestamps", "x 1"), "stereo.timestamps: no list"),
        (remove("models"), "no folder models"),
        (remove("models/stereo_wide_left.txt"), "stereo_wide_left.txt: no camera model"),
        (remove(DAY), "no traverse of RobotCar"),
    ],
)
def test_damage_to_what_is_read_first_is_named(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(root)
    with pytest.raises(DataError, match=message):
        RobotCarFrames(root)


def test_damage_to_pictures_tables_and_scans_is_named(root: Path) -> None:
    source = RobotCarFrames(root)
    frame = source.frames()[2]
    path = root / f"{frame.frame_id}.png"
    whole = path.read_bytes()
    for data in (b"", whole[:300]):
        path.write_bytes(data)
        with pytest.raises(ImageDecodeError, match=path.name):
            source.image(frame)
    write_image(path, np.zeros((120, 161), np.uint8))
    with pytest.raises(ImageDecodeError, match="161x120 pixels"):
        source.image(frame)
    path.unlink()
    with pytest.raises(ImageDecodeError, match=path.name):
        source.image(frame)
    break_table(root)
    with pytest.raises(DataError, match="17 bytes; the distortion table of 160x120 pictures has 307200"):
        source.image(source.frames()[3])
    (root / "models" / "stereo_wide_left_distortion_lut.bin").unlink()
    with pytest.raises(DataError, match=r"stereo_wide_left_distortion_lut.bin: .* can't be undistorted"):
        source.image(source.frames()[3])
    scan = sorted((root / DAY / "lms_front").iterdir())[3]
    scan.write_bytes(scan.read_bytes()[:-5])
    with pytest.raises(DataError, match=scan.name):
        source.lidar_depth(frame)
    with pytest.raises(DataError, match="no picture door"):
        source.frame("door")


def test_what_is_absent_is_told_and_the_rest_is_used(root: Path) -> None:
    (root / DAY / "stereo" / "left" / f"{picture_stamps()[4] // 1000}.png").unlink()
    shutil.rmtree(root / DAY / "vo")
    source = RobotCarFrames(root)
    assert len(source.frames()) == PICTURES - 1
    assert source.frames()[0].world_from_camera is None and source.lidar_depth(source.frames()[0]) is None
    assert "1 of 40 pictures aren't there" in source.warnings[0] and "vo.csv: no such file" in source.warnings[1]


def test_no_lasers_and_nan_points(root: Path) -> None:
    for file in (root / DAY / "lms_front").iterdir():
        np.full((2, 3), np.nan).tofile(file)
    source = RobotCarFrames(root)
    sparse = source.lidar_depth(source.frames()[5])
    assert sparse is not None and len(sparse.z) == 0
    shutil.rmtree(root / DAY / "lms_front")
    source = RobotCarFrames(root)
    assert source.lidar_depth(source.frames()[5]) is None
    assert "no laser scans" in source.warnings[0]


def test_bad_options_are_named(written: Path, tmp_path: Path) -> None:
    for options, message in [
        ({"split": "tset"}, "no split 'tset'"),
        ({"laser": "velodyne"}, "unknown laser"),
        ({"traverses": ["2020"]}, f"no traverse 2020; it has {DAY}"),
        ({"kept_rows": 121}, "121 rows can't be kept"),
        ({"split": "test"}, "no picture in split test"),
    ]:
        with pytest.raises(DataError, match=message):
            RobotCarFrames(written, **options)  # type: ignore[arg-type]
    for text, message in [("", "the split list is empty"), ("1 2\n", "line 1: '1 2' is neither"), ("5\n", "no picture in split")]:
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            RobotCarFrames(written, split_files=[tmp_path / "list.txt"])


def test_only_a_traverse_of_its_own_is_replaced(tmp_path: Path) -> None:
    for laser in ("ldmrs", "lms_front"):
        write_traverse(tmp_path, laser=laser)
    assert sorted(path.name for path in (tmp_path / DAY).iterdir()) == [
        "lms_front", "lms_front.timestamps", "stereo", "stereo.timestamps", "vo",
    ]  # fmt: skip
    (tmp_path / DAY / "gps").mkdir()
    with pytest.raises(FileExistsError, match="holds gps, which would be lost"):
        write_traverse(tmp_path)
    assert (tmp_path / DAY / "gps").is_dir()


def test_the_writer_refuses_disorder_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    image, pose = np.zeros((120, 160, 3), np.uint8), np.eye(4)
    with pytest.raises(DataError, match="comes after one at"), robotcar_writer(tmp_path, DAY, LENS, np.eye(4)) as writer:
        writer.add_picture(2_000_000, image, pose)
        writer.add_picture(1_000_000, image, pose)
    with pytest.raises(DataError, match="isn't planar"), robotcar_writer(tmp_path, DAY, LENS, np.eye(4)) as writer:
        writer.add_scan(0, [[1, 2, 3]])
    with pytest.raises(DataError, match="needs at least two"), robotcar_writer(tmp_path, DAY, LENS, np.eye(4)) as writer:
        writer.add_picture(2_000_000, image, pose)
    assert not (tmp_path / DAY).exists() and not list(tmp_path.glob(".*"))
    with pytest.raises(DataError, match="another calibration"), robotcar_writer(tmp_path, DAY, LENS.scaled(80, 60), np.eye(4)):
        pass
