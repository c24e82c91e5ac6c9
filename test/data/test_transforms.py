# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd_core.data.transforms import (
    MIRROR,
    ColourJitter,
    Crop,
    HorizontalFlip,
    Noise,
    RandomConvolution,
    Resize,
    Sample,
    Sharpness,
    Transform,
    apply,
)
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth, project_lidar
from ssd_core.geometry.pose import invert_pose, pose_from_quaternion, transform_points

CAMERA = PinholeCamera(64, 48, 50.0, 47.0, 29.3, 25.1, "plumb_bob", (-0.1, 0.01, 0.002, -0.001, 0.0))


def make_sample(seed: int = 0, camera: PinholeCamera = CAMERA) -> Sample:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
    points = rng.uniform([-8, -6, 2], [8, 6, 30], (200, 3))
    pose = pose_from_quaternion(rng.normal(0, 5, 3), rng.normal(0, 1, 4))
    dense = rng.uniform(1, 50, image.shape[:2]).astype(np.float32)
    return Sample(image, camera, project_lidar(points, camera), dense, pose, "frame", 7)


def snapshot(sample: Sample) -> list[bytes]:
    arrays = [sample.image, *(sample.sparse_depth or ()), sample.dense_depth, sample.world_from_camera]
    return [array.tobytes() for array in arrays if array is not None]


steps = st.one_of(
    st.builds(Resize, st.integers(8, 120), st.integers(8, 120)),
    st.just(HorizontalFlip()),
    st.tuples(*[st.floats(0, 0.4) for _ in range(4)]),
)


def resolve(step: object, sample: Sample) -> Transform:
    """A crop is drawn as fractions, since its pixels depend on what came before."""
    if not isinstance(step, tuple):
        return step  # type: ignore[return-value]
    width, height = sample.size
    left, top = int(step[0] * width), int(step[1] * height)
    return Crop(left, top, max(1, int(width * (1 - step[2])) - left), max(1, int(height * (1 - step[3])) - top))


def moved_pixels(transform: Transform, before: Sample, pixels: np.ndarray) -> np.ndarray:
    """Where image content goes, from the definition of each transform and nothing else."""
    width, height = before.size
    if isinstance(transform, Crop):
        return pixels - (transform.left, transform.top)
    if isinstance(transform, Resize):
        return (pixels + 0.5) * (transform.width / width, transform.height / height) - 0.5
    return (width - 1, 0) + pixels * (-1, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=6), st.integers(0, 2**16))
def test_a_projected_point_moves_exactly_as_its_pixel(chain: list[object], seed: int) -> None:
    sample = make_sample(seed)
    before = snapshot(sample)
    assert sample.camera is not None and sample.world_from_camera is not None
    in_camera = np.random.default_rng(seed).uniform([-2, -2, 3], [2, 2, 30], (20, 3))
    in_world = transform_points(sample.world_from_camera, in_camera)
    pixels, current = sample.camera.project(in_camera), sample
    for step in chain:
        transform = resolve(step, current)
        pixels = moved_pixels(transform, current, pixels)
        if isinstance(transform, HorizontalFlip):
            in_world = transform_points(MIRROR, in_world)
        current = transform(current)
    assert current.camera is not None and current.world_from_camera is not None
    assert current.camera.size == current.size
    projected = current.camera.project(transform_points(invert_pose(current.world_from_camera), in_world))
    np.testing.assert_allclose(projected, pixels, atol=1e-6)
    assert snapshot(sample) == before


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=5), st.integers(0, 2**16))
def test_sparse_depth_stays_on_its_content(chain: list[object], seed: int) -> None:
    """A marked pixel whose dense depth is its own sparse depth: crops and flips keep both together exactly, resizes to a pixel."""
    current = make_sample(seed)
    assert current.sparse_depth is not None and current.dense_depth is not None
    dense = np.zeros_like(current.dense_depth)
    dense[current.sparse_depth.v, current.sparse_depth.u] = current.sparse_depth.z
    current = dataclasses.replace(current, dense_depth=dense)
    for step in chain:
        current = resolve(step, current)(current)
    assert current.sparse_depth is not None and current.dense_depth is not None
    u, v, z = current.sparse_depth
    assert len(set(zip(u.tolist(), v.tolist(), strict=True))) == len(u)
    assert ((u >= 0) & (u < current.size[0]) & (v >= 0) & (v < current.size[1])).all()
    if not any(isinstance(step, Resize) for step in chain):
        np.testing.assert_array_equal(current.dense_depth[v, u], z)
        assert (current.dense_depth > 0).sum() == len(z)


def test_two_flips_are_none() -> None:
    sample = make_sample()
    twice = apply([HorizontalFlip(), HorizontalFlip()], sample)
    assert snapshot(twice) == snapshot(sample)
    assert twice.camera is not None and sample.camera is not None
    np.testing.assert_allclose(twice.camera.matrix, sample.camera.matrix, rtol=1e-12)
    assert twice.camera.distortion == sample.camera.distortion


def test_a_flipped_motion_is_the_mirrored_motion() -> None:
    first, second = (HorizontalFlip()(make_sample(seed)) for seed in (1, 2))
    plain_first, plain_second = make_sample(1), make_sample(2)
    assert first.world_from_camera is not None and second.world_from_camera is not None
    assert plain_first.world_from_camera is not None and plain_second.world_from_camera is not None
    plain = invert_pose(plain_first.world_from_camera) @ plain_second.world_from_camera
    np.testing.assert_allclose(invert_pose(first.world_from_camera) @ second.world_from_camera, MIRROR @ plain @ MIRROR, atol=1e-12)


def test_resize_keeps_the_nearest_of_depths_that_meet_and_leaves_holes_open() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    sparse = SparseDepth(np.array([0, 1, 3], np.int32), np.array([0, 1, 3], np.int32), np.array([9, 5, 7], np.float32))
    dense = np.full((4, 4), np.nan, np.float32)
    dense[:, 2:] = 10
    small = Resize(2, 2)(Sample(image, None, sparse, dense))
    assert small.sparse_depth is not None and small.dense_depth is not None
    assert [array.tolist() for array in small.sparse_depth] == [[0, 1], [0, 1], [5.0, 7.0]]
    assert np.isnan(small.dense_depth[:, 0]).all() and (small.dense_depth[:, 1] == 10).all()


def test_colours_change_as_said_and_geometry_does_not() -> None:
    sample = make_sample()
    assert ColourJitter()(sample).image.tolist() == sample.image.tolist()
    dark = ColourJitter(brightness=0.8)(sample)
    np.testing.assert_allclose(dark.image, np.rint(sample.image * 0.8), atol=1)
    gray = ColourJitter(saturation=0.0)(sample).image.astype(int)
    assert np.ptp(gray, axis=2).max() <= 1
    red = Sample(np.full((2, 2, 3), (200, 40, 40), np.uint8))
    turned = ColourJitter(hue=1 / 3)(red).image[0, 0].tolist()
    assert max(turned) - min(turned) == 160 and turned.index(max(turned)) != 0
    for transform in (ColourJitter(0.9, 1.1, 0.8, 0.05), Noise(0.05, 3), Sharpness(1.0, 0.5), RandomConvolution(7, 5, 0.8)):
        other = transform(sample)
        assert snapshot(other)[1:] == snapshot(sample)[1:] and other.camera == sample.camera


def test_drawn_parameters_stay_in_range_and_repeat_with_the_generator() -> None:
    for seed in range(20):
        jitter = ColourJitter.draw(np.random.default_rng(seed))
        assert all(0.8 <= value <= 1.2 for value in (jitter.brightness, jitter.contrast, jitter.saturation))
        assert abs(jitter.hue) <= 0.05
        noise = Noise.draw(np.random.default_rng(seed))
        assert 0.005 <= noise.sigma <= 0.05
        assert jitter == ColourJitter.draw(np.random.default_rng(seed)) and noise == Noise.draw(np.random.default_rng(seed))
        sharpness, convolution = (kind.draw(np.random.default_rng(seed)) for kind in (Sharpness, RandomConvolution))
        assert 0.3 <= sharpness.sigma <= 1.2 and 0 <= sharpness.amount <= 2
        assert convolution.size in (1, 3, 5) and 0.2 <= convolution.share <= 0.9
        assert sharpness == Sharpness.draw(np.random.default_rng(seed)) and convolution == RandomConvolution.draw(
            np.random.default_rng(seed)
        )


def test_noise_has_its_sigma_and_differs_between_frames() -> None:
    gray = Sample(np.full((120, 160, 3), 128, np.uint8), stamp_ns=1)
    noisy = Noise(0.03, 5)(gray).image
    assert abs(noisy.std() - 255 * 0.03) < 0.2
    assert (noisy == Noise(0.03, 5)(gray).image).all()
    assert (noisy != Noise(0.03, 5)(dataclasses.replace(gray, stamp_ns=2)).image).any()


def test_a_step_is_blurred_and_sharpened_about_its_place() -> None:
    step = np.full((40, 60, 3), 80, dtype=np.uint8)
    step[:, 30:] = 160
    sample = dataclasses.replace(make_sample(), camera=None, sparse_depth=None, dense_depth=None, image=step)
    blurred, sharpened = (transform(sample).image[20, :, 0].astype(int) for transform in (Sharpness(1.0), Sharpness(1.0, 1.5)))
    assert 80 < blurred[29] < blurred[30] < 160
    assert sharpened[29] < 80 and sharpened[30] > 160
    for row in (blurred, sharpened):
        assert (row[:25] == 80).all() and (row[36:] == 160).all()
        assert row[29] + row[30] == pytest.approx(240, abs=2)


def test_a_random_convolution_keeps_places_means_and_contrast_but_no_texture() -> None:
    sample = make_sample()
    image = np.random.default_rng(4).integers(90, 160, (60, 80, 3)).astype(np.uint8)
    sample = dataclasses.replace(sample, camera=None, sparse_depth=None, dense_depth=None, image=image)
    first, again, other = (RandomConvolution(seed, 3, 0.9)(sample).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    correlations = [np.corrcoef(made.ravel(), image.ravel())[0, 1] for made in (first, other)]
    assert max(correlations) < 0.9 and np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0.9
    np.testing.assert_allclose(first.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=2)
    np.testing.assert_allclose(first.std(axis=(0, 1)), image.std(axis=(0, 1)), rtol=0.05)
    # Nothing moves: what one pixel changes stays within the kernel's reach.
    dot = image.copy()
    dot[30, 40] = 255
    changed = np.abs(
        RandomConvolution(1, 5, 0.9)(dataclasses.replace(sample, image=dot)).image.astype(int) - RandomConvolution(1, 5, 0.9)(sample).image
    )
    rows, columns = np.nonzero(changed.max(axis=2) > 8)
    assert rows.size and np.abs(rows - 30).max() <= 2 and np.abs(columns - 40).max() <= 2
    flat = dataclasses.replace(sample, image=np.full_like(image, 77))
    assert np.abs(RandomConvolution(3)(flat).image.astype(int) - 77).max() <= 1


def test_wrong_sizes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="reaches beyond the image of 64x48"):
        Crop(0, 0, 65, 48)(make_sample())
    with pytest.raises(ValueError, match="door/1: the camera"):
        Sample(np.zeros((4, 4, 3), np.uint8), CAMERA, frame_id="door/1")
    with pytest.raises(ValueError, match="dense depth"):
        Sample(np.zeros((4, 4, 3), np.uint8), dense_depth=np.zeros((3, 4), np.float32))
