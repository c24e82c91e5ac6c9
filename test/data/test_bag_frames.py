# SPDX-License-Identifier: Apache-2.0
"""A bag's cameras as frames: pixels, stamps, cameras, lidar depth, poses."""

from __future__ import annotations

from pathlib import Path

import bag_factory as factory
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ssd_core.data.bag import BagError, BagReader
from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.intrinsics import camera_from_focal_length
from ssd_core.data.writers.bag import BagWriter
from ssd_core.data.writers.messages import image_message
from ssd_core.geometry.pose import transform_points
from ssd_core.images.codec import ImageDecodeError

SECOND = factory.SECOND
DDAD = Path(__file__).parents[2] / ".." / "shared" / "data" / "bag_ddad"


def _mean_green(image: np.ndarray) -> float:
    return float(image[..., 1].mean())


def test_frames_in_order_with_their_pixels(tmp_path: Path) -> None:
    source = BagFrames(factory.write_bag(tmp_path / "bag", factory.six_frames()))
    frames = source.frames()
    assert [frame.frame_id for frame in frames[:3]] == ["CAM_FRONT/10000000000", "CAM_BACK/10000000000", "CAM_FRONT/10100000000"]
    first = frames[0]
    assert first.previous_id is None and first.next_id == "CAM_FRONT/10100000000" and first.stamp_ns == 10 * SECOND
    assert first.camera is not None and first.camera.fx == 60 and first.world_from_camera is None
    for frame in [*frames, *reversed(frames), frames[4], frames[1]]:
        index = (frame.stamp_ns - 10 * SECOND) * 10 // SECOND
        assert _mean_green(source.image(frame)) == pytest.approx(index * 20, abs=2)
    assert source.lidar_depth(first) is None and source.warnings == []
    source.close()


def test_cameras_can_be_chosen(tmp_path: Path) -> None:
    path = factory.write_bag(tmp_path / "bag", factory.six_frames())
    assert {frame.camera_name for frame in BagFrames(path, ["CAM_BACK"]).frames()} == {"CAM_BACK"}
    with pytest.raises(BagError, match=r"no camera CAM_TOP; it has CAM_BACK, CAM_FRONT"):
        BagFrames(path, ["CAM_TOP"])


def test_messages_with_equal_bag_times_are_told_apart(tmp_path: Path) -> None:
    messages = [("/cam/image_raw", 5, factory.raw_image(i + 1, "cam", factory.picture(i))) for i in range(4)]
    source = BagFrames(factory.write_bag(tmp_path / "bag", messages))
    for frame in [*source.frames(), *reversed(source.frames())]:
        assert _mean_green(source.image(frame)) == 20 * (frame.stamp_ns - 1)


def test_equal_and_unset_stamps(tmp_path: Path) -> None:
    messages = [("/cam/image_raw", 5 + i, factory.raw_image(stamp, "cam", factory.picture(i))) for i, stamp in enumerate((7, 7, 0))]
    source = BagFrames(factory.write_bag(tmp_path / "bag", messages))
    assert [frame.frame_id for frame in source.frames()] == ["cam/7", "cam/7-1", "cam/7-2"]
    assert [_mean_green(source.image(frame)) for frame in source.frames()] == [0, 20, 40]


def test_a_damaged_image_is_named_and_the_others_survive(tmp_path: Path) -> None:
    messages = factory.six_frames(("cam",), 3)
    broken = messages[3][2]
    broken.data = broken.data[: len(broken.data) // 2]
    source = BagFrames(factory.write_bag(tmp_path / "bag", messages))
    good = source.frames()[0], source.frames()[2]
    with pytest.raises(ImageDecodeError, match=r"cam/10100000000 \(/cam/image_rect_compressed\)"):
        source.image(source.frames()[1])
    assert [source.image(frame).shape for frame in good] == [(48, 64, 3)] * 2


def test_intrinsics_where_the_bag_has_none_or_bad_ones(tmp_path: Path) -> None:
    image = [("/cam/image_raw", 1, factory.raw_image(1, "cam", factory.picture(0)))]
    source = BagFrames(factory.write_bag(tmp_path / "none", image))
    assert source.frames()[0].camera is None
    given = camera_from_focal_length(77.0)
    assert BagFrames(tmp_path / "none", intrinsics=given).frames()[0].camera.fx == 77
    uncalibrated = [*image, ("/cam/camera_info", 1, factory.camera_info(1, "cam", focal=0.0))]
    path = factory.write_bag(tmp_path / "bad", uncalibrated)
    source = BagFrames(path)
    assert source.frames()[0].camera is None and "focal" in source.warnings[0]
    assert BagFrames(path, intrinsics=given).frames()[0].camera.fx == 77
    resized = [*image, ("/cam/camera_info", 1, factory.camera_info(1, "cam", 128, 96, focal=100.0))]
    camera = BagFrames(factory.write_bag(tmp_path / "resized", resized)).frames()[0].camera
    assert camera.size == (64, 48) and camera.fx == 50
    unsaid = factory.camera_info(1, "cam", focal=77.0)
    unsaid.width = unsaid.height = 0
    camera = BagFrames(factory.write_bag(tmp_path / "unsaid", [*image, ("/cam/camera_info", 1, unsaid)])).frames()[0].camera
    assert camera.size == (64, 48) and camera.fx == 77
    cropped = [*image, ("/cam/camera_info", 1, factory.camera_info(1, "cam", 128, 48, focal=100.0))]
    source = BagFrames(factory.write_bag(tmp_path / "cropped", cropped))
    assert source.frames()[0].camera is None and "128x48" in source.warnings[0]
    lens = factory.camera_info(1, "cam")
    lens.distortion_model, lens.d = "mystery", np.full(5, 0.1)
    source = BagFrames(factory.write_bag(tmp_path / "lens", [*image, ("/cam/camera_info", 1, lens)]))
    assert source.frames()[0].camera.fx == 60 and "distortion is ignored" in source.warnings[0]


def test_a_calibration_that_changes_counts_from_its_time_on(tmp_path: Path) -> None:
    messages = []
    for index, focal in enumerate((60.0, 60.0, 90.0, 90.0, 60.0)):
        stamp = (index + 1) * SECOND
        messages.append(("/cam/image_raw", stamp + 7, factory.raw_image(stamp, "cam", factory.picture(index))))
        messages.append(("/cam/camera_info", stamp + 8, factory.camera_info(stamp, "cam", focal=focal)))
    source = BagFrames(factory.write_bag(tmp_path / "bag", messages))
    assert [frame.camera.fx for frame in source.frames()] == [60, 60, 90, 90, 60]
    assert [_mean_green(source.image(frame)) for frame in source.frames()] == [0, 20, 40, 60, 80]


@pytest.mark.parametrize("name", ["noted.mcap", "noted.db3", "noted"])
def test_the_condition_noted_by_the_renderer(tmp_path: Path, name: str) -> None:
    with BagWriter(tmp_path / name, {"ssd_depth_render.condition": "night", "else": "x"}) as writer:
        writer.write("/cam/image_raw", 1, image_message(factory.picture(0), "rgb8", 1, "cam"))
    with BagReader(tmp_path / name) as bag:
        assert bag.custom_data == {"ssd_depth_render.condition": "night", "else": "x"}
    assert BagFrames(tmp_path / name).frames()[0].condition == "night"


def test_a_bag_without_images_says_what_it_has(tmp_path: Path) -> None:
    path = factory.write_bag(tmp_path / "bag", [("/tf", 1, factory.tf_message())])
    with pytest.raises(BagError, match=r"no camera images.*/tf"):
        BagFrames(path)


def test_lidar_is_moved_to_where_the_camera_was(tmp_path: Path) -> None:
    """Walls in the world, a scan 40 ms before the image at 10 m/s: without compensation depth would be 0.4 m off."""
    optical = Rotation.from_euler("ZYX", (-90, 0, -90), degrees=True).as_quat()
    messages = [("/tf_static", 0, factory.tf_message(factory.transform(0, "base_link", "cam", (0, 0, 0), optical)))]
    messages += [("/tf_static", 0, factory.tf_message(factory.transform(0, "base_link", "lidar", (0, 0, 0))))]
    for index in range(11):
        stamp = index * SECOND // 10
        messages.append(("/tf", stamp, factory.tf_message(factory.transform(stamp, "odom", "base_link", (index, 0, 0)))))
    grid = np.stack(np.meshgrid([30.0], np.linspace(-8, 8, 30), np.linspace(-5, 5, 30)), axis=-1).reshape(-1, 3)
    image_stamp, lidar_stamp = SECOND // 2, SECOND // 2 - 40_000_000
    scan = grid - (lidar_stamp / SECOND * 10, 0, 0)
    messages.append(("/points", image_stamp, factory.point_cloud(lidar_stamp, "lidar", scan)))
    messages.append(("/points", image_stamp + 1, factory.point_cloud(image_stamp + SECOND // 5, "lidar", scan[:1])))
    messages.append(("/cam/camera_info", image_stamp, factory.camera_info(image_stamp, "cam")))
    messages.append(("/cam/image_raw", image_stamp, factory.raw_image(image_stamp, "cam", factory.picture(0))))
    messages.append(("/cam/image_raw", image_stamp + 1, factory.raw_image(3 * SECOND, "cam", factory.picture(0))))
    source = BagFrames(factory.write_bag(tmp_path / "bag", messages))
    frame, late = source.frames()
    np.testing.assert_allclose(frame.world_from_camera[:3, 3], (5, 0, 0), atol=1e-9)
    depth = source.lidar_depth(frame)
    assert len(depth.z) > 300
    np.testing.assert_allclose(depth.z, 25.0, atol=1e-4)
    assert source.lidar_depth(late) is None and late.world_from_camera is None


def test_scans_with_equal_bag_times_are_told_apart_and_faults_are_told_once(tmp_path: Path) -> None:
    optical = Rotation.from_euler("ZYX", (-90, 0, -90), degrees=True).as_quat()
    messages = [("/tf_static", 0, factory.tf_message(factory.transform(0, "lidar", "cam", (0, 0, 0), optical)))]
    messages.append(("/tf", 0, factory.tf_message(factory.transform(0, "odom", "lidar", (0, 0, 0)))))
    messages.append(("/cam/camera_info", 1, factory.camera_info(0, "cam")))
    for index in range(3):
        stamp = (index + 1) * SECOND
        messages.append(("/cam/image_raw", stamp, factory.raw_image(stamp, "cam", factory.picture(0))))
        # A converter that writes all scans at once.
        messages.append(("/points", 9 * SECOND, factory.point_cloud(stamp - 10_000_000, "lidar", np.array([[10.0 + index, 0, 0]]))))
    messages.append(("/nowhere/image_raw", SECOND, factory.raw_image(SECOND, "elsewhere", factory.picture(0))))
    messages.append(("/nowhere/camera_info", SECOND, factory.camera_info(SECOND, "elsewhere")))
    source = BagFrames(factory.write_bag(tmp_path / "bag", messages))
    frames = [frame for frame in source.frames() if frame.camera_name == "cam"]
    assert [source.lidar_depth(frame).z.tolist() for frame in frames] == [[10.0], [11.0], [12.0]]
    for frame in source.frames():
        source.lidar_depth(frame)
    assert len(source.warnings) == 2
    assert "cam/1000000000: no odometry" in source.warnings[0] and "no transform from lidar to elsewhere" in source.warnings[1]


def test_speed_comes_from_neighbouring_poses(tmp_path: Path) -> None:
    messages = []
    for index in range(5):
        stamp = SECOND + index * SECOND // 10
        messages.append(("/tf", stamp, factory.tf_message(factory.transform(stamp, "odom", "cam", (index * 0.7, 0, 0)))))
        messages.append(("/cam/image_raw", stamp, factory.raw_image(stamp, "cam", factory.picture(0))))
    frames = BagFrames(factory.write_bag(tmp_path / "bag", messages)).frames()
    assert [frame.speed_mps for frame in frames] == pytest.approx([7.0] * 5)
    assert not any(frame.is_static for frame in frames)


@pytest.mark.parametrize(("parent", "is_static"), [("base_link", False), ("odom", True)])
def test_a_mounting_alone_is_no_pose_and_no_standing_still(tmp_path: Path, parent: str, is_static: bool) -> None:
    messages = [("/tf_static", 0, factory.tf_message(factory.transform(0, parent, "cam", (1, 0, 0))))]
    for index in range(3):
        stamp = SECOND + index * SECOND // 10
        messages.append(("/cam/image_raw", stamp, factory.raw_image(stamp, "cam", factory.picture(0))))
    for frame in BagFrames(factory.write_bag(tmp_path / "bag", messages)).frames():
        assert frame.is_static == is_static and (frame.world_from_camera is not None) == is_static
        assert frame.speed_mps == (0 if is_static else None)


@pytest.mark.skipif(not DDAD.exists(), reason="the sample recordings beside the checkout are absent")
def test_real_lidar_reprojects_to_its_own_pixels() -> None:
    source = BagFrames(DDAD)
    assert len(source.frames()) == 18 and source.warnings == []
    for frame in source.frames():
        depth = source.lidar_depth(frame)
        camera = frame.camera
        rays = camera.rays()[depth.v, depth.u].astype(np.float64)
        points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * depth.z[:, None]
        error = np.abs(camera.project(points) - np.stack([depth.u, depth.v], axis=1))
        assert error.max() < 1, frame.frame_id
        assert source.image(frame).shape == (camera.height, camera.width, 3)
        assert 12 < frame.speed_mps < 13.5
        if frame.camera_name == "camera_05":
            assert 11_000 < len(depth.z) < 13_000


@pytest.mark.skipif(not DDAD.exists(), reason="the sample recordings beside the checkout are absent")
def test_real_scan_survives_the_way_into_the_world_and_back() -> None:
    """The same wall seen from two instants stays where it is in the world: most points have a near neighbour in the next scan."""
    from scipy.spatial import cKDTree

    from ssd_core.data.bag import header_stamp
    from ssd_core.data.point_cloud_message import point_cloud_xyz
    from ssd_core.data.transform_tree import read_transforms

    with BagReader(DDAD) as bag:
        tree = read_transforms(bag)
        scans = [content for _, content in bag.deserialised([bag.find_lidar()])]
    worlds, frozen = [], []
    for scan in scans[:2]:
        points = point_cloud_xyz(scan)
        frozen.append(points)
        worlds.append(transform_points(tree.lookup("odom", "LIDAR", header_stamp(scan)), points))
    moved = np.median(cKDTree(worlds[1]).query(worlds[0])[0])
    unmoved = np.median(cKDTree(frozen[1]).query(frozen[0])[0])
    assert moved < 0.8 * unmoved
