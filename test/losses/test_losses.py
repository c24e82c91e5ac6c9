# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssd_core.geometry.warp import WarpedImage
from ssd_core.losses.flow import flow_loss
from ssd_core.losses.ground import drives_along, farthest_road, ground_loss
from ssd_core.losses.photometric import minimum_reprojection, photometric_error, reprojection_error, structural_dissimilarity
from ssd_core.losses.reduction import mean_over_images
from ssd_core.losses.semantic import semantic_loss
from ssd_core.losses.smoothness import smoothness_loss
from ssd_core.losses.supervised import log_gradient_loss, scale_invariant_log_loss, sky_loss
from ssd_core.losses.teacher import distillation_loss, reliability_mask
from ssd_core.losses.triangulation import triangulation_loss
from ssd_core.losses.velocity import velocity_loss


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1], dtype=torch.bool)


def test_mean_over_images_weighs_images_equally_and_ignores_what_is_not_kept() -> None:
    values = torch.tensor([[1.0, 3.0, math.nan], [10.0, math.inf, 0.0], [5.0, 5.0, 5.0]])
    keep = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    assert mean_over_images(values, keep).item() == pytest.approx((2 + 10) / 2)
    assert mean_over_images(values, torch.zeros_like(keep)).item() == 0


def test_ssim_equals_the_definition_in_the_middle_pixel() -> None:
    first, second = images(1, 1, 3, 3), images(1, 1, 3, 3, seed=1)
    a, b = first.numpy().ravel(), second.numpy().ravel()
    covariance = (a * b).mean() - a.mean() * b.mean()
    ssim = ((2 * a.mean() * b.mean() + 1e-4) * (2 * covariance + 9e-4)) / (
        (a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4)
    )
    assert structural_dissimilarity(first, second)[0, 0, 1, 1].item() == pytest.approx((1 - ssim) / 2, abs=1e-12)


def test_photometric_error_of_constant_images_by_hand() -> None:
    dark, light = torch.full((1, 3, 5, 5), 0.2, dtype=torch.float64), torch.full((1, 3, 5, 5), 0.6, dtype=torch.float64)
    ssim = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    expected = 0.85 * (1 - ssim) / 2 + 0.15 * 0.4
    torch.testing.assert_close(photometric_error(dark, light), torch.full((1, 1, 5, 5), expected, dtype=torch.float64))
    assert photometric_error(light, light).abs().max() < 1e-9


def test_the_better_source_explains_each_pixel() -> None:
    target = images(1, 3, 8, 8)
    wrong = images(1, 3, 8, 8, seed=1)
    half = target.clone()
    half[..., 4:] = wrong[..., 4:]
    other = target.clone()
    other[..., :4] = wrong[..., :4]
    result = minimum_reprojection(target, [WarpedImage(half, everywhere(half)), WarpedImage(other, everywhere(half))], [wrong, wrong])
    outer = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    outer[..., 3:5] = False  # SSIM windows there see both halves
    assert result.moving[outer].all()
    assert result.loss < 0.1 * photometric_error(target, wrong).mean()


def test_a_static_scene_is_masked_and_gives_no_gradient() -> None:
    target = images(1, 3, 8, 8)
    warped = images(1, 3, 8, 8, seed=2).requires_grad_()
    result = minimum_reprojection(target, [WarpedImage(warped, everywhere(target))], [target])
    assert not result.moving.any()
    result.loss.backward()
    assert warped.grad is None or warped.grad.abs().max() == 0


def test_invalid_samples_do_not_count() -> None:
    target, warped = images(1, 3, 8, 8), images(1, 3, 8, 8, seed=3)
    valid = everywhere(target).clone()
    valid[..., :4] = False
    result = minimum_reprojection(target, [WarpedImage(warped, valid)], [images(1, 3, 8, 8, seed=4)])
    assert torch.equal(result.kept, valid)
    nothing = minimum_reprojection(target, [WarpedImage(warped, torch.zeros_like(valid))], [target])
    assert nothing.loss == 0


def test_smoothness_by_hand_and_its_invariance_to_scale() -> None:
    disparity = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]]]], dtype=torch.float64)
    flat = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    assert smoothness_loss(disparity, flat).item() == pytest.approx(1.0)
    edge = flat.clone()
    edge[..., 1] = 1.0
    assert smoothness_loss(disparity, edge).item() == pytest.approx(math.exp(-1))
    assert smoothness_loss(7 * disparity, edge).item() == pytest.approx(math.exp(-1))


def test_velocity_by_hand() -> None:
    predicted = torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 1.0]])
    assert velocity_loss(predicted, torch.tensor([4.0, 3.0])).item() == pytest.approx((1 + 2) / 2)
    standing = torch.zeros(1, 3, requires_grad=True)
    velocity_loss(standing, torch.tensor([1.0])).backward()
    assert torch.isfinite(standing.grad).all()


@pytest.mark.parametrize(
    ("variant", "truth"),
    [("teacher_better", [True, False, True]), ("printed", [False, True, False]), ("none", [True, True, True])],
)
def test_truth_table_of_the_reliability_mask(variant: str, truth: list[bool]) -> None:
    teacher, student = torch.tensor([[[[1.0, 3.0, 2.0]]]]), torch.tensor([[[[2.0, 1.0, 2.0]]]])
    assert reliability_mask(teacher, student, variant)[0, 0, 0].tolist() == truth


def test_windowed_mask_decides_by_the_neighbourhood() -> None:
    teacher = torch.zeros(1, 1, 5, 5)
    teacher[..., 2, 2] = 1.0
    student = torch.full_like(teacher, 0.5)
    assert not reliability_mask(teacher, student)[0, 0, 2, 2]
    assert reliability_mask(teacher, student, window=3).all()
    # A pixel that the teacher's neighbours never saw says nothing about those around it.
    unseen = teacher.clone()
    unseen[..., 0] = torch.inf
    assert reliability_mask(unseen, student, window=3)[..., 1:].all() and not reliability_mask(unseen, student, window=3)[..., 0].any()
    with pytest.raises(ValueError, match="odd"):
        reliability_mask(teacher, student, window=2)
    with pytest.raises(ValueError, match="teacher_better"):
        reliability_mask(teacher, student, "better")


def test_distillation_is_the_relative_error_and_spares_the_teacher() -> None:
    student = torch.tensor([[[[12.0, 5.0]]]], requires_grad=True)
    teacher = torch.tensor([[[[10.0, 10.0]]]], requires_grad=True)
    result = distillation_loss(student, teacher, torch.tensor([[[[True, False]]]]))
    assert result.loss.item() == pytest.approx(0.2)
    result.loss.backward()
    assert teacher.grad is None
    assert student.grad.tolist() == [[[[pytest.approx(0.1), 0.0]]]]


def test_semantic_loss_is_zero_for_equal_directions_and_spares_the_frozen_encoder() -> None:
    frozen = images(2, 5, 8).requires_grad_()
    assert semantic_loss(frozen, 3 * frozen.detach()).item() == pytest.approx(0, abs=1e-12)
    assert semantic_loss(frozen, -frozen.detach()).item() == pytest.approx(2)
    student = images(2, 5, 8, seed=1).requires_grad_()
    semantic_loss(frozen, student).backward()
    assert frozen.grad is None
    assert student.grad.abs().max() > 0


def test_scale_invariant_log_loss_by_hand() -> None:
    truth = torch.tensor([[[[1.0, 1.0, math.inf]]]])
    predicted = torch.tensor([[[[math.e, math.e**3, 5.0]]]])
    valid = torch.isfinite(truth)
    assert scale_invariant_log_loss(predicted, truth, valid, 0.0).item() == pytest.approx(math.sqrt(5))
    assert scale_invariant_log_loss(predicted, truth, valid, 1.0).item() == pytest.approx(1.0)
    assert torch.isfinite(scale_invariant_log_loss(predicted, truth, torch.zeros_like(valid), 0.5))


def test_gradient_loss_ignores_scale_and_sees_blurred_edges() -> None:
    truth = torch.full((1, 1, 16, 16), 5.0, dtype=torch.float64)
    truth[..., 8:] = 20.0
    valid = torch.ones_like(truth, dtype=torch.bool)
    assert log_gradient_loss(3 * truth, truth, valid).item() == pytest.approx(0, abs=1e-12)
    blurred = torch.nn.functional.avg_pool2d(truth, 5, 1, 2, count_include_pad=False)
    assert log_gradient_loss(blurred, truth, valid) > 0.01


def test_sky_may_be_far_but_not_near() -> None:
    predicted = torch.tensor([[[[80.0, 200.0, 8.0, 1.0]]]])
    sky = torch.tensor([[[[True, True, True, False]]]])
    assert sky_loss(predicted, sky, 80.0).item() == pytest.approx(math.log(10) / 3)


@pytest.mark.parametrize("seed", [1, 2])
def test_gradients_equal_finite_differences(seed: int) -> None:
    torch.manual_seed(seed)
    depth = (torch.rand(2, 1, 5, 6, dtype=torch.float64) * 5 + 2).requires_grad_()
    truth = torch.rand(2, 1, 5, 6, dtype=torch.float64) * 5 + 2
    valid = torch.rand(2, 1, 5, 6) > 0.3
    picture = torch.rand(2, 3, 5, 6, dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(lambda d: scale_invariant_log_loss(d, truth, valid), (depth,))
    assert check(lambda d: log_gradient_loss(d, truth, valid, 2), (depth,))
    assert check(lambda d: distillation_loss(d, truth, valid).loss, (depth,))
    assert check(lambda d: smoothness_loss(1 / d, picture), (depth,))
    moved = torch.rand(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert check(lambda m: photometric_error(picture, m), (moved,))
    assert check(
        lambda t: velocity_loss(t, torch.tensor([1.0, 2.0], dtype=torch.float64)),
        (torch.rand(2, 3, dtype=torch.float64, requires_grad=True),),
    )
    features = torch.rand(2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert check(
        lambda f: semantic_loss(torch.rand(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)), f), (features,)
    )
    assert np.isfinite(depth.detach().numpy()).all()


def test_flow_loss_is_lowest_where_pixels_went_and_gradients_are_right() -> None:
    coarse = images(1, 3, 10, 14, seed=5)
    current = torch.nn.functional.interpolate(coarse, (40, 56), mode="bilinear")
    neighbour = torch.roll(current, (3, -5), dims=(2, 3))
    flow = torch.tensor([-5.0, 3.0], dtype=torch.float64)[None, :, None, None].expand(1, 2, 10, 14)
    assert flow_loss(current, neighbour, flow, 4) < 0.5 * flow_loss(current, neighbour, torch.zeros_like(flow), 4)
    assert flow_loss(current, current, torch.zeros_like(flow), 4).item() == pytest.approx(0, abs=1e-9)
    small = torch.full((1, 2, 2, 2), 0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: flow_loss(current[..., :8, :8], neighbour[..., :8, :8], f, 4), (small,))


def test_triangulation_loss_is_the_relative_difference_by_trust() -> None:
    found = torch.tensor([[[[4.0, 10.0, 60.0]]], [[[5.0, 5.0, 5.0]]]]).double()
    trust = torch.tensor([[[[1.0, 0.5, 0.0]]], [[[0.0, 0.0, 0.0]]]]).double()
    depth = (found * torch.tensor([2.0, 3.0, 7.0]).double()).requires_grad_()
    loss = triangulation_loss(depth, found, trust)
    assert loss.item() == pytest.approx((math.log(2) + math.log(3) / 2) / 6)
    loss.backward()
    assert depth.grad is not None and (depth.grad[0, 0, 0, :2] > 0).all() and not depth.grad[1].any()
    assert triangulation_loss(found, found, trust).item() == 0


def test_nothing_is_below_the_road() -> None:
    matrix = torch.tensor([[[90.0, 0, 63.5], [0, 92.0, 20.5], [0, 0, 1]]], dtype=torch.float64)
    rows = torch.arange(72, dtype=torch.float64)[:, None].expand(72, 128)
    road = (1.5 * 92 / (rows - 20.5).clamp(min=1e-3)).clamp(max=40)[None, None]
    farthest = farthest_road(matrix, 1.5, (72, 128))
    # 50.5 rows below the horizon y/z is .55; the road may fall by 3 cm a metre: 1.5 / (.55 - .03).
    assert farthest[0, 0, 71, 0].item() == pytest.approx(1.5 / (50.5 / 92 - 0.03))
    assert torch.isinf(farthest[0, 0, :27]).all() and torch.isfinite(farthest[0, 0, 28:]).all()
    torch.testing.assert_close(farthest_road(matrix, 1.5, (18, 32), 4), farthest[..., ::4, ::4])
    assert ground_loss(road, farthest).item() == 0
    assert ground_loss(3 * farthest, farthest).item() == pytest.approx(math.log(3))
    deep = (1.5 * farthest).where(torch.isfinite(farthest), road).requires_grad_()
    ground_loss(deep, farthest).backward()
    assert deep.grad is not None and (deep.grad[:, :, 28:] > 0).all() and not deep.grad[:, :, :27].any()


def test_what_seems_to_be_below_the_road_drives_along() -> None:
    farthest = torch.tensor([[[[torch.inf, 30.0, 10.0, 10.0, 10.0]]]])
    seeming = torch.tensor([[[[200.0, 31.0, 200.0, 15.0, 8.0]]]])
    assert drives_along(seeming, farthest).tolist() == [[[[False, False, True, True, False]]]]


def test_pixels_that_are_left_out_count_for_nothing() -> None:
    target, source = images(1, 3, 8, 8), images(1, 3, 8, 8, seed=1)
    warped = [WarpedImage(source, everywhere(target))] * 2
    half = everywhere(target).clone()
    half[..., 4:] = False
    left = minimum_reprojection(target, warped, [source, source], half)
    assert not left.kept[..., :4].any() and left.kept[..., 4:].all()
    expected = photometric_error(target, source)[..., 4:].mean()
    torch.testing.assert_close(left.loss, expected)


def test_the_better_view_explains_each_pixel_and_unseen_pixels_are_unexplained() -> None:
    target, wrong = images(1, 3, 6, 6), images(1, 3, 6, 6, seed=1)
    seen = everywhere(target).clone()
    seen[..., 0] = False
    error = reprojection_error(target, [WarpedImage(target, seen), WarpedImage(wrong, seen)])
    assert torch.isinf(error[..., 0]).all()
    assert error[..., 1:].abs().max() < 1e-9
