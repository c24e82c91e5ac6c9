# SPDX-License-Identifier: Apache-2.0
"""Guesses learnt from made-up data of which the best guess is known."""

import numpy as np
import pytest
from fake_source import CAMERA, FakeSource

from ssd_core.evaluation.baselines import DepthSamples, best_constant, learn_baselines
from ssd_core.evaluation.learning_data import LearningDataError, recorded_samples, rendered_samples
from ssd_core.geometry.camera import PinholeCamera


def ground(height=1.5, count=200_000, seed=0):
    """Rays onto a ground plane below the horizon, a wall of 30 m above it."""
    rng = np.random.default_rng(seed)
    rays = np.stack([rng.uniform(-1, 1, count), rng.uniform(-0.3, 0.6, count)], axis=1).astype(np.float32)
    depth = np.where(rays[:, 1] > 0.01, height / np.maximum(rays[:, 1], 0.01), 30.0).astype(np.float32)
    return DepthSamples(rays, depth)


def by_name(samples, **options):
    return {prior.name: prior for prior in learn_baselines(samples, **options)}


def call(prior, camera):
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    return prior([image], [camera], [camera.size])[0].values


@pytest.mark.parametrize("objective", ["median", "abs_rel"])
def test_the_best_constant_is_best(objective):
    depths = np.random.default_rng(3).lognormal(2, 1, 501)

    def cost(constant):
        return np.mean(np.abs(constant - depths) / (depths if objective == "abs_rel" else 1))

    best = best_constant(depths, objective)
    assert all(cost(best) <= cost(other) + 1e-12 for other in np.concatenate([depths, np.linspace(0.1, 60, 500)]))


def test_the_optimal_constant_worked_out_by_hand():
    # weights 1, 1/2, 1/10 of 1, 2, 10: half of 1.6 is reached by the first
    assert best_constant(np.array([10.0, 1.0, 2.0]), "abs_rel") == 1
    assert best_constant(np.array([10.0, 1.0, 2.0]), "median") == 2


@pytest.mark.parametrize(
    "camera",
    [
        PinholeCamera(640, 360, 500.0, 500.0, 320.0, 180.0),
        PinholeCamera(640, 360, 500.0, 500.0, 320.0, 60.0),  # the horizon elsewhere
        PinholeCamera(1242, 375, 720.0, 720.0, 610.0, 170.0),  # another focal length
    ],
)
def test_the_row_prior_knows_the_ground_whatever_the_camera(camera):
    depth = call(by_name(ground())["row prior"], camera)
    rows = camera.rays()[:, 0, 1]
    near = (rows > 0.08) & (rows < 0.5)
    assert depth[near, 0] == pytest.approx(1.5 / rows[near], rel=0.06)
    above = (rows < -0.05) & (rows > -0.25)
    assert depth[above] == pytest.approx(30, rel=1e-3)
    assert np.ptp(depth, axis=1).max() < 1e-3


def test_the_ray_angle_prior_also_knows_the_sides():
    samples = ground()
    walled = DepthSamples(samples.rays, np.where(samples.rays[:, 0] > 0.3, 5.0, samples.depth).astype(np.float32))
    table, rows = (call(by_name(walled)[name], CAMERA.scaled(640, 480)) for name in ("ray-angle prior", "row prior"))
    rays = CAMERA.scaled(640, 480).rays()
    right = (rays[..., 0] > 0.4) & (rays[..., 1] > 0.1) & (rays[..., 1] < 0.25)
    left = (rays[..., 0] < 0.2) & (rays[..., 1] > 0.1) & (rays[..., 1] < 0.25)
    assert table[right] == pytest.approx(5, rel=0.02)
    assert np.median(np.abs(table[left] - 1.5 / rays[left][:, 1]) / table[left]) < 0.03
    assert not np.allclose(rows[right], 5, rtol=0.2)


def test_all_kinds_and_their_names_change_with_what_was_learnt():
    one, other = by_name(ground()), by_name(ground(height=2.0))
    assert set(one) == {f"{kind}{how}" for kind in ("constant", "row prior", "ray-angle prior") for how in ("", ", absRel-optimal")}
    assert all(one[name].model_id != other[name].model_id for name in one)
    assert {name: prior.model_id for name, prior in one.items()} == {name: prior.model_id for name, prior in by_name(ground()).items()}


def test_the_optimal_variants_have_the_smaller_error_on_their_own_samples():
    samples = ground()
    noisy = DepthSamples(samples.rays, samples.depth * np.random.default_rng(5).lognormal(0, 0.5, len(samples.depth)).astype(np.float32))
    priors = by_name(noisy, cap=1e4)
    for kind in ("constant", "row prior", "ray-angle prior"):
        median, optimal = (
            np.mean(np.abs(priors[name].depth_along(noisy.rays) - noisy.depth) / noisy.depth) for name in (kind, f"{kind}, absRel-optimal")
        )
        assert optimal < median, kind


def test_samples_outside_the_range_do_not_count():
    samples = DepthSamples(np.zeros((4, 2), np.float32), np.array([0.01, 5.0, 90.0, np.nan], np.float32))
    assert call(by_name(samples)["constant"], CAMERA) == pytest.approx(5)
    with pytest.raises(ValueError, match="no sample"):
        learn_baselines(samples, cap=1.0)


def test_a_fisheye_and_a_missing_camera():
    fisheye = PinholeCamera(640, 480, 150.0, 150.0, 320.0, 240.0, "equidistant", (0.1, 0.0, 0.0, 0.0))
    for prior in learn_baselines(ground()):
        assert np.isfinite(call(prior, fisheye)).all()
        with pytest.raises(ValueError, match="camera"):
            prior([np.zeros((2, 2, 3), np.uint8)])


def test_samples_of_a_recording():
    samples = recorded_samples(FakeSource(3), FakeSource(3).frames())
    below = samples.rays[:, 1] > 0.3
    assert samples.depth[below] == pytest.approx(1.5 / samples.rays[below, 1], rel=1e-4)
    with pytest.raises(LearningDataError, match="none of 6"):
        recorded_samples(FakeSource(lidar=False), FakeSource().frames())


@pytest.mark.render
def test_samples_of_rendered_streets_are_kept(tmp_path):
    streets = []
    first = rendered_samples(False, range(1), tmp_path, lambda: streets.append(1))
    again = rendered_samples(False, range(1), tmp_path, lambda: streets.append(1))
    assert len(streets) == 1 and np.array_equal(first.depth, again.depth) and np.array_equal(first.rays, again.rays)
    # The camera is about 1.5 m above a road which fills the picture's lower middle.
    road = (np.abs(first.rays[:, 0]) < 0.05) & (first.rays[:, 1] > 0.2)
    assert np.median(first.depth[road] * first.rays[road, 1]) == pytest.approx(1.5, abs=0.15)
    for file in tmp_path.rglob("*.npz"):
        file.write_bytes(b"damaged")
    assert np.array_equal(rendered_samples(False, range(1), tmp_path).depth, first.depth)


def test_a_long_recording_is_thinned_to_the_limit(monkeypatch):
    monkeypatch.setattr("ssd_core.evaluation.learning_data._MOST_FRAMES", 4)
    per_frame = len(recorded_samples(FakeSource(1), FakeSource(1).frames()).depth)
    for count in range(1, 10):
        source = FakeSource(count)
        assert len(recorded_samples(source, source.frames()).depth) <= 4 * per_frame
