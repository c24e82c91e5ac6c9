# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import functools
import pickle
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssd_core.data import triplets as triplets_module
from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame, linked
from ssd_core.data.transforms import MIRROR
from ssd_core.data.triplets import Augmentation, Draw, EpochOrder, StandIn, TripletDataset, TripletRule, find_triplets
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image, decode_image, encode_jpeg, encode_png
from ssd_core.images.resize import resize_image

CAMERA = PinholeCamera(160, 96, 120.0, 121.0, 70.0, 50.0)
ALWAYS = Augmentation(0.5, 1.0, 1.0)


def make_frames(count: int = 8, step: float = 1.0, gap_ns: int = 100_000_000, **changes: Any) -> list[Frame]:
    ids = [f"front/{index}" for index in range(count)]
    frames = []
    for index, (frame_id, (before, after)) in enumerate(zip(ids, linked(ids), strict=True)):
        pose = np.eye(4)
        pose[:3, 3] = 0.1 * index, 0, step * index
        frames.append(Frame(frame_id, "drive", "front", index * gap_ns, CAMERA, pose, previous_id=before, next_id=after))
    return [dataclasses.replace(frame, **changes) for frame in frames]


class Source:
    """Every frame a JPEG of its own; counts what it decodes."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.decoded: list[tuple[str, tuple[int, int]]] = []

    def frames(self) -> Sequence[Frame]:
        return make_frames()

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        index = int(frame.frame_id.split("/")[1])
        ramp = np.broadcast_to(np.linspace(0, 255, CAMERA.width)[None, :, None], (CAMERA.height, CAMERA.width, 3))
        image = decode_image(encode_jpeg((ramp * 0.5 + 12 * index).astype(np.uint8)), min_size)
        self.decoded.append((frame.frame_id, (image.shape[1], image.shape[0])))
        return image

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        return SparseDepth(np.array([10, 159], np.int32), np.array([3, 95], np.int32), np.array([5, 20], np.float32))

    def close(self) -> None:
        self.decoded.clear()


def make_dataset(**options: Any) -> TripletDataset:
    return TripletDataset(Source, find_triplets(make_frames()).triplets, (80, 48), **options)


def ids(triplets: Sequence[Sequence[Frame]]) -> list[list[int]]:
    return [[int(frame.frame_id.split("/")[1]) for frame in triplet] for triplet in triplets]


def test_next_frames_by_default_and_ends_are_counted() -> None:
    found = find_triplets(make_frames(4))
    assert ids(found.triplets) == [[0, 1, 2], [1, 2, 3]]
    assert found.dropped == {"no previous": 1, "no next": 1}


def test_by_distance_and_by_time() -> None:
    assert ids(find_triplets(make_frames(6, step=0.4), TripletRule(min_distance=0.8)).triplets) == [[0, 2, 4], [1, 3, 5]]
    assert ids(find_triplets(make_frames(7), TripletRule(min_gap_s=0.3)).triplets) == [[0, 3, 6]]
    slow = find_triplets(make_frames(40, step=0.01), TripletRule(min_distance=2.0, max_gap_s=1.0))
    assert not slow.triplets and slow.dropped == {"no previous": 40}


def test_a_neighbour_that_is_missing_static_or_without_camera_drops_the_frame() -> None:
    frames = make_frames(8)
    frames[3] = dataclasses.replace(frames[3], is_static=True)
    del frames[6]
    found = find_triplets(frames)
    assert ids(found.triplets) == [[0, 1, 2], [1, 2, 3], [3, 4, 5]]
    assert found.dropped == {"no previous": 2, "no next": 1, "static": 1}
    assert find_triplets(make_frames(3, camera=None)).dropped == {"no camera": 3}
    assert find_triplets(make_frames(3, world_from_camera=None), TripletRule(min_distance=1)).dropped == {"no previous": 3}
    assert len(find_triplets(make_frames(3, world_from_camera=None)).triplets) == 1


def test_time_that_runs_backwards_or_in_circles_makes_no_triplet() -> None:
    backwards = [dataclasses.replace(frame, stamp_ns=-frame.stamp_ns) for frame in make_frames(4)]
    assert not find_triplets(backwards).triplets
    circle = [dataclasses.replace(frame, next_id="front/0", previous_id="front/1", stamp_ns=0) for frame in make_frames(2)]
    assert not find_triplets(circle).triplets


def test_sweeps_stand_only_at_the_sides() -> None:
    frames = make_frames(5)
    found = find_triplets([frames[2]], look_up={frame.frame_id: frame for frame in frames}.__getitem__)
    assert ids(found.triplets) == [[1, 2, 3]]


def test_an_item_has_what_its_docstring_says() -> None:
    item = make_dataset(input_size=(112, 70), with_depth=True)[0]
    assert item["images"].shape == (3, 48, 80, 3) and item["images"].dtype == np.uint8
    assert item["input"].shape == (70, 112, 3)
    assert np.diff(item["images"].reshape(3, -1).mean(axis=1)).min() > 8  # previous, current, next are not mixed up
    np.testing.assert_array_equal(item["input"], item["original_input"])
    np.testing.assert_allclose(item["intrinsics"], np.stack([CAMERA.scaled(80, 48).matrix] * 3), rtol=1e-6)
    np.testing.assert_allclose(item["input_intrinsics"], CAMERA.scaled(112, 70).matrix, rtol=1e-6)
    np.testing.assert_allclose(item["neighbours_from_current"][:, :3, 3], [[0.1, 0, 1], [-0.1, 0, -1]], atol=1e-6)
    assert np.argwhere(item["depth"]).tolist() == [[1, 5], [47, 79]]
    assert (item["frame_id"], item["condition"], item["flipped"]) == ("front/1", "unknown", False)


def test_flip_mirrors_images_intrinsics_motion_and_depth_together() -> None:
    plain = make_dataset(with_depth=True)[2]
    flipped = make_dataset(with_depth=True, augmentation=Augmentation(1.0, 0.0, 0.0))[2]
    assert flipped["flipped"]
    for name in ("images", "input"):
        np.testing.assert_array_equal(flipped[name], plain[name][..., ::-1, :])
    np.testing.assert_array_equal(flipped["depth"], plain["depth"][:, ::-1])
    np.testing.assert_allclose(flipped["intrinsics"][:, 0, 2], 79 - plain["intrinsics"][:, 0, 2], rtol=1e-6)
    np.testing.assert_allclose(flipped["neighbours_from_current"], MIRROR @ plain["neighbours_from_current"] @ MIRROR, atol=1e-6)


def test_augmentation_touches_only_the_input() -> None:
    plain, changed = make_dataset()[1], make_dataset(augmentation=Augmentation(0.0, 1.0, 1.0))[1]
    assert (plain["input"] != changed["input"]).any()
    for name in ("images", "original_input", "intrinsics"):
        np.testing.assert_array_equal(plain[name], changed[name])


def test_an_item_depends_on_seed_epoch_and_frame_alone() -> None:
    first, second = make_dataset(augmentation=ALWAYS, seed=5), make_dataset(augmentation=ALWAYS, seed=5)
    wanted = first[Draw(3, 2)]
    for other in (4, 0, 2):
        second[Draw(1, other)]
    assert_equal_items(wanted, second[Draw(3, 2)])
    alone = TripletDataset(Source, [first.triplets[2]], (80, 48), seed=5, augmentation=ALWAYS)
    assert_equal_items(wanted, alone[Draw(3, 0)])
    for different in (first[Draw(4, 2)], make_dataset(augmentation=ALWAYS, seed=6)[Draw(3, 2)]):
        assert (wanted["input"] != different["input"]).any()


def test_jpegs_are_decoded_at_the_scale_they_are_needed_in() -> None:
    dataset = make_dataset(input_size=(112, 70))
    dataset[0]
    source = dataset._opened()
    assert isinstance(source, Source)
    sizes = dict(source.decoded)
    assert sizes["front/0"] == sizes["front/2"] == (80, 48)
    assert 112 <= sizes["front/1"][0] < 160


def test_epoch_orders_are_permutations_that_repeat_and_are_shared_fairly() -> None:
    order = EpochOrder(11, seed=2)
    order.set_epoch(4)
    once = list(order)
    assert sorted(draw.place for draw in once) == list(range(11)) and {draw.epoch for draw in once} == {4}
    assert once == list(order)
    order.set_epoch(5)
    assert [draw.place for draw in order] != [draw.place for draw in once]
    parts = [EpochOrder(11, 2, rank=rank, world_size=3) for rank in range(3)]
    for part in parts:
        part.set_epoch(4)
    drawn = [list(part) for part in parts]
    assert [len(part) for part in drawn] == [4, 4, 4] == [len(part) for part in parts]
    assert {draw.place for part in drawn for draw in part} == set(range(11))
    assert [draw.place for draw in EpochOrder(3, 0, shuffle=False)] == [0, 1, 2]
    with pytest.raises(ValueError, match="rank 3 of 3"):
        EpochOrder(11, 2, rank=3, world_size=3)


def test_batches_are_counted_through_the_whole_run() -> None:
    order = EpochOrder(11, seed=2, batch_size=4)
    numbers = [draw.batch for draw in order]
    assert numbers == [0] * 4 + [1] * 4 + [2] * 3
    order.set_epoch(3)
    # The two whole batches of each of three epochs came before; the rest of an epoch is no batch.
    assert [draw.batch for draw in order] == [6 + number for number in numbers]
    # Five batches of two, of which two steps of two take four.
    order = EpochOrder(11, seed=2, batch_size=2, accumulation=2)
    order.set_epoch(3)
    assert next(iter(order)).batch == 12


def test_workers_of_a_data_loader_give_what_one_process_gives() -> None:
    data = pytest.importorskip("torch.utils.data")
    dataset = make_dataset(augmentation=ALWAYS, seed=1)
    dataset[0]  # the source is open before the workers are forked
    order = EpochOrder(len(dataset), seed=1)
    alone = [dataset[draw] for draw in order]
    batches = list(data.DataLoader(dataset, batch_size=2, sampler=order, num_workers=2))
    assert [name for batch in batches for name in batch["frame_id"]] == [item["frame_id"] for item in alone]
    inputs = np.concatenate([batch["input"].numpy() for batch in batches])
    np.testing.assert_array_equal(inputs, np.stack([item["input"] for item in alone]))


def test_a_dataset_travels_without_its_open_source() -> None:
    dataset = TripletDataset(functools.partial(Source), find_triplets(make_frames()).triplets, (80, 48))
    wanted = dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy._source is None
    assert_equal_items(wanted, copy[0])
    dataset.close()
    assert_equal_items(wanted, dataset[0])


def test_stand_ins_take_the_inputs_place_alone_and_change_no_other_draw(tmp_path: Path) -> None:
    night = tmp_path / "night.jpg"
    night.write_bytes(encode_jpeg(np.full((96, 160, 3), 9, dtype=np.uint8)))
    other = make_frames()[0]
    stand_ins = {f"front/{index}": [StandIn("night", night), StandIn("day-rain", other)] for index in range(1, 7)}
    options: dict[str, Any] = {"augmentation": Augmentation(0.5, 0.0, 0.0), "seed": 3}
    plain, mixed = make_dataset(**options), make_dataset(**options, stand_ins=stand_ins, p_original=1 / 3)
    seen: Counter[str] = Counter()
    for epoch in range(20):
        for place in range(6):
            one, two = plain[Draw(epoch, place)], mixed[Draw(epoch, place)]
            seen[two["input_condition"]] += 1
            for name in set(one) - {"input", "input_condition"}:
                np.testing.assert_array_equal(one[name], two[name])
            if two["input_condition"] == "night":
                assert abs(two["input"].astype(int) - 9).max() <= 2
            elif two["input_condition"] == "day-rain":
                assert (two["input"] != one["input"]).any()
            else:
                np.testing.assert_array_equal(one["input"], two["input"])
    assert all(28 <= seen[name] <= 52 for name in ("unknown", "night", "day-rain"))
    assert make_dataset(**options, stand_ins=stand_ins)[2]["input_condition"] == "unknown"


def test_speeds_measure_distance_where_poses_are_unknown() -> None:
    # 0.4 m from frame to frame.
    frames = make_frames(6, world_from_camera=None, speed_mps=4.0)
    assert ids(find_triplets(frames, TripletRule(min_distance=0.7)).triplets) == [[0, 2, 4], [1, 3, 5]]
    half_known = [dataclasses.replace(frame, speed_mps=None) if index % 2 else frame for index, frame in enumerate(frames)]
    assert ids(find_triplets(half_known, TripletRule(min_distance=0.3)).triplets) == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]


LENSES = {
    "barrel": dataclasses.replace(CAMERA, distortion_model="plumb_bob", distortion=(-0.25, 0.05, 0.001, -0.002, 0.0)),
    "pincushion": dataclasses.replace(CAMERA, distortion_model="plumb_bob", distortion=(0.15, 0.0, 0.0, 0.0, 0.0)),
    "fisheye": dataclasses.replace(CAMERA, distortion_model="equidistant", distortion=(0.01, 0.0, 0.0, 0.0)),
}


def look_at_wall(camera: PinholeCamera) -> Image:
    """A wall of smooth waves, at z = 1, through any lens."""
    x, y = np.moveaxis(np.nan_to_num(camera.rays()), -1, 0)
    return np.rint(128 + 60 * np.stack([np.sin(7 * x), np.cos(6 * y), np.sin(5 * x + 4 * y)], axis=-1)).astype(np.uint8)


class WallSource(Source):
    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        assert frame.camera is not None
        return look_at_wall(frame.camera) // (3 if frame.condition == "night" else 1)

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """Two points of the wall, far from the middle."""
        assert frame.camera is not None
        u, v = np.rint(frame.camera.project([[-0.5, -0.3, 1.0], [0.45, 0.2, 1.0]])).astype(np.int32).T
        return SparseDepth(u, v, np.array([5, 20], np.float32))


@pytest.mark.parametrize("lens", LENSES)
def test_distorted_pictures_stand_ins_and_lidar_are_rectified(lens: str, tmp_path: Path) -> None:
    camera = LENSES[lens]
    translation = tmp_path / "night.png"
    translation.write_bytes(encode_png(look_at_wall(camera) // 3))
    frames = make_frames(5, camera=camera)
    night = dataclasses.replace(frames[2], frame_id="front/9", condition="night")
    triplets = find_triplets(frames).triplets
    expected = look_at_wall(camera.rectified()).astype(int)
    for picture in (night, translation):
        stand_ins = {frames[2].frame_id: [StandIn("night", picture)]}
        dataset = TripletDataset(WallSource, triplets, (160, 96), with_depth=True, stand_ins=stand_ins, p_original=0.0)
        item = dataset[1]
        # Beyond what the lens saw there is nothing; else the pinhole's own view, but for what interpolation loses.
        for image, truth in (*[(image, expected) for image in item["images"]], (item["input"], expected // 3)):
            seen = image.any(axis=-1)
            assert seen.mean() > 0.85
            assert abs(image.astype(int) - truth)[_without_rim(seen)].max() <= 3
        np.testing.assert_allclose(item["intrinsics"], np.stack([CAMERA.matrix] * 3), rtol=1e-6)
        wanted = np.rint(CAMERA.project([[-0.5, -0.3, 1.0], [0.45, 0.2, 1.0]])).astype(int)
        found = np.argwhere(item["depth"])[:, ::-1]
        assert abs(found - wanted).max() <= 1 and item["depth"][tuple(found[0][::-1])] == 5
        plain = TripletDataset(WallSource, triplets, (160, 96), augmentation=Augmentation(1.0, 0.0, 0.0))[1]
        np.testing.assert_array_equal(plain["images"], item["images"][:, :, ::-1])


def _without_rim(mask: np.ndarray) -> np.ndarray:
    """The rim's pixels are mixed with black."""
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    return inner


def test_a_lens_without_distortion_changes_no_bit() -> None:
    flat = dataclasses.replace(CAMERA, distortion_model="plumb_bob", distortion=(0.0,) * 5)
    before = triplets_module._rectification.cache_info().misses
    triplets = [find_triplets(make_frames(camera=camera)).triplets for camera in (CAMERA, flat)]
    items = [TripletDataset(WallSource, of_camera, (80, 48), with_depth=True)[2] for of_camera in triplets]
    assert_equal_items(*items)
    np.testing.assert_array_equal(items[0]["images"][1], resize_image(look_at_wall(CAMERA), (80, 48)))
    assert triplets_module._rectification.cache_info().misses == before


def test_bad_rules_and_empty_lists_are_named() -> None:
    with pytest.raises(DataError, match="no triplets"):
        TripletDataset(Source, [], (80, 48))
    with pytest.raises(ValueError, match="max_gap_s must exceed"):
        TripletRule(min_gap_s=2.0)


def test_torch_is_not_needed() -> None:
    names = {name.partition(".")[0] for name in vars(sys.modules["ssd_core.data.triplets"])}
    assert "torch" not in names


def assert_equal_items(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])
