# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from ssd_core.geometry.motion import invert_motion, matrix_from_motion
from ssd_core.geometry.warp import backproject, project, transform, warp_image
from ssd_core.model import flow_cache
from ssd_core.model.checkpoint import ModelLoadError, load_network
from ssd_core.model.flow_motion import motion_from_flow, triangulate
from ssd_core.model.pose_net import (
    CELL,
    CorrelationPoseNet,
    PoseNetConfig,
    ResNetPoseNet,
    correlate,
    create_pose_net,
    load_pose_net,
    save_pose_net,
)

INTRINSICS = torch.tensor([[[90.0, 0, 63.3], [0, 92.0, 34.2], [0, 0, 1]]], dtype=torch.float64)
FORWARD = matrix_from_motion(torch.tensor([[0.02, -0.01, -1.1]]).double(), torch.tensor([[0.002, -0.02, 0.004]]).double())
"""Where the next frame's camera sees the current one's points after a metre of driving and a slight turn."""


def street_depth(height: int = 72, width: int = 128) -> torch.Tensor:
    """A flat road under a wall at 40 m, with a box in front."""
    v = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    depth = torch.where(v > 38, 1.5 * 92.0 / (v - 34.2).clamp(min=1), torch.full_like(v, 40.0)).clamp(max=40)
    depth[20:60, 20:40] = 9.0
    return depth[None, None].clone()


def true_flow(depth: torch.Tensor, motion: torch.Tensor, intrinsics: torch.Tensor = INTRINSICS) -> torch.Tensor:
    pixels = project(transform(backproject(depth, intrinsics), motion), intrinsics)
    v, u = torch.meshgrid(*(torch.arange(side, dtype=depth.dtype) for side in depth.shape[-2:]), indexing="ij")
    return pixels - torch.stack([u, v])


def images(batch: int = 1, height: int = 64, width: int = 96, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, 3, 3, height, width, generator=torch.Generator().manual_seed(seed))


def depths(batch: int = 1, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.full((batch, 1, height, width), 10.0)


def intrinsics(batch: int = 1) -> torch.Tensor:
    return INTRINSICS.float()[:, None].repeat(batch, 3, 1, 1)


def test_driving_forward_the_picture_flows_outwards_and_the_motion_comes_back_from_the_flow() -> None:
    depth = street_depth()
    straight = matrix_from_motion(torch.tensor([[0.0, 0.0, -1.1]]).double(), torch.zeros(1, 3).double())
    flow = true_flow(depth, straight)
    v, u = torch.meshgrid(torch.arange(72).double() - 34.2, torch.arange(128).double() - 63.3, indexing="ij")
    assert ((flow[:, 0] * u + flow[:, 1] * v) > 0).all()
    for motion in (straight, FORWARD, invert_motion(FORWARD)):
        flow = true_flow(depth, motion)[:, :, ::CELL, ::CELL]
        found = motion_from_flow(flow, torch.ones(1, 18, 32).double(), depth[:, 0, ::CELL, ::CELL], INTRINSICS, INTRINSICS, CELL)
        torch.testing.assert_close(found, motion, atol=2e-3, rtol=0)


def test_flow_and_motion_give_depth_where_they_tell_it() -> None:
    depth, back = street_depth(), invert_motion(FORWARD)
    flow = torch.stack([true_flow(depth, motion)[0, :, ::CELL, ::CELL] for motion in (back, FORWARD)])[None]
    motions, matrices = torch.stack([back, FORWARD], dim=1), INTRINSICS[:, None].repeat(1, 3, 1, 1)
    sure = torch.ones(1, 2, 18, 32).double()
    found = triangulate(flow, sure, motions, matrices, CELL)
    cells = depth[..., ::CELL, ::CELL]
    believed = found.trust > 0.5
    assert 0.3 < believed.double().mean() < 0.95
    torch.testing.assert_close(found.depth[believed], cells[believed], rtol=1e-6, atol=0)
    # The wall straight ahead hardly moves, however near it is.
    assert found.trust[0, 0, 9, 15] < 0.1
    assert not triangulate(flow, 0 * sure, motions, matrices, CELL).trust.any()
    # Flow across the lines on which a drive moves points, and flow as of something behind the camera, is no depth.
    across, behind = flow.clone(), flow.clone()
    across[:, :, 1, 12:14, 5:9] += 4.0
    still = torch.stack([true_flow(torch.full_like(depth, 1e6), motion)[0, :, ::CELL, ::CELL] for motion in (back, FORWARD)])[None]
    behind[..., 12:14, 20:24] = (2 * still - flow)[..., 12:14, 20:24]
    assert triangulate(across, sure, motions, matrices, CELL).trust[0, 0, 12:14, 5:9].max() < 0.2
    assert not triangulate(behind, sure, motions, matrices, CELL).trust[0, 0, 12:14, 20:24].any()


def test_what_moves_by_itself_and_wrong_matches_hardly_count() -> None:
    depth = street_depth()
    flow = true_flow(depth, FORWARD)
    flow[:, :, 20:60, 20:40] += torch.tensor([25.0, 3.0]).double()[:, None, None]
    weight = torch.ones(1, 18, 32).double()
    weight[:, 10:, 22:] = 1e-9
    flow[:, :, 40:, 88:] -= 30.0
    found = motion_from_flow(flow[:, :, ::CELL, ::CELL], weight, depth[:, 0, ::CELL, ::CELL], INTRINSICS, INTRINSICS, CELL)
    torch.testing.assert_close(found, FORWARD, atol=0.08, rtol=0)


def test_twice_the_depth_is_twice_the_translation() -> None:
    depth = street_depth()
    flow, weight = true_flow(depth, FORWARD)[:, :, ::CELL, ::CELL], torch.ones(1, 18, 32).double()
    once, twice = (motion_from_flow(flow, weight, k * depth[:, 0, ::CELL, ::CELL], INTRINSICS, INTRINSICS, CELL) for k in (1, 2))
    torch.testing.assert_close(twice[:, :3, 3], 2 * once[:, :3, 3], atol=5e-3, rtol=0)
    torch.testing.assert_close(twice[:, :3, :3], once[:, :3, :3], atol=1e-4, rtol=0)


def test_gradients_of_the_least_squares_equal_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    depth = (5 + 10 * torch.rand(1, 3, 4, generator=generator).double()).requires_grad_()
    weight = torch.rand(1, 3, 4, generator=generator).double().requires_grad_()
    flow = torch.randn(1, 2, 3, 4, generator=generator).double().requires_grad_()

    def solve(f: torch.Tensor, w: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return motion_from_flow(f, w, d, INTRINSICS, INTRINSICS, 24)

    solve(flow, weight, depth).sum().backward()
    # Robust weights are held fixed in the gradient, so it isn't that of the output; direction and size must do.
    for tensor, index in ((flow, (0, 0, 1, 2)), (depth, (0, 1, 1)), (weight, (0, 2, 0))):
        with torch.no_grad():
            moved = [value.detach().clone() for value in (flow, weight, depth)]
            which = next(i for i, value in enumerate((flow, weight, depth)) if value is tensor)
            moved[which][index] += 1e-5
            numeric = float((solve(*moved) - solve(flow, weight, depth)).sum()) / 1e-5
        assert tensor.grad is not None
        assert float(tensor.grad[index]) == pytest.approx(numeric, rel=0.3, abs=1e-4)


def test_correlation_finds_where_features_went() -> None:
    generator = torch.Generator().manual_seed(2)
    first = torch.nn.functional.normalize(torch.randn(1, 16, 12, 20, generator=generator), dim=1)
    second = torch.roll(first, (2, -3), dims=(2, 3))
    best = correlate(first, second, 3, 4).argmax(dim=1)[:, 4:-4, 5:-5]
    assert (best == (3 + 2) * 9 + (4 - 3)).all()


def test_matched_pictures_give_the_motion_of_the_camera() -> None:
    # Even unlearnt filters match a picture that moved as a whole: a turn of the camera about its vertical axis.
    generator = torch.Generator().manual_seed(3)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 36, 64, generator=generator), (72, 128), mode="bilinear")
    triplet = torch.stack([torch.roll(picture, 4, dims=3), picture, torch.roll(picture, -4, dims=3)], dim=1)
    net = create_pose_net(PoseNetConfig(architecture="correlation"))
    with torch.no_grad():
        net.log_sharpness.fill_(5.0)  # type: ignore[operator]
        prediction = net(triplet, intrinsics(), depths())
    assert prediction.flow is not None
    assert prediction.flow[0, 1, 0].median().item() == pytest.approx(-4, abs=0.4)
    turn = prediction.neighbours_from_current[0, :, 0, 2]
    # Turning to the right, points ahead (z) go to the left (-x).
    np.testing.assert_allclose(turn.numpy(), [4 / 90, -4 / 90], atol=0.012)


def test_classical_flow_and_depth_give_the_motion_and_the_motion_teaches_depth() -> None:
    generator = torch.Generator().manual_seed(6)
    depth = street_depth().float()
    matrix = intrinsics()
    following = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 43, generator=generator), (72, 128), mode="bicubic").clamp(0, 1)
    current = warp_image(following, depth, matrix[:, 1], matrix[:, 2], FORWARD.float()).image
    # Behind the car nothing has moved; ahead it drove a metre and turned.
    triplet = torch.stack([current, current, following], dim=1)
    depth.requires_grad_()
    motions = create_pose_net(PoseNetConfig(architecture="flow"))(triplet, matrix, depth).neighbours_from_current
    torch.testing.assert_close(motions[:, 0], torch.eye(4)[None], atol=1e-3, rtol=0)
    torch.testing.assert_close(motions[:, 1, :3, 3], FORWARD[:, :3, 3].float(), atol=0.05, rtol=0)
    torch.testing.assert_close(motions[:, 1, :3, :3], FORWARD[:, :3, :3].float(), atol=0.004, rtol=0)
    motions[:, 1, :3, 3].norm().backward()
    assert depth.grad is not None
    # All depth times a factor is the translation times that factor.
    assert float((depth.grad * depth).sum()) == pytest.approx(1.1, rel=0.15)


def test_with_a_road_for_depth_the_motion_is_the_same_whatever_the_network_says() -> None:
    triplet, matrix = images(seed=2), intrinsics()
    net = create_pose_net(PoseNetConfig(architecture="flow", depth="road"))
    depth = depths().requires_grad_()
    found, other = (net(triplet, matrix, factor * depth).neighbours_from_current for factor in (1, 3))
    torch.testing.assert_close(found, other, atol=0, rtol=0)
    assert not found.requires_grad
    v = torch.arange(64.0)[:, None].expand(64, 96) - 34.2
    road = (1.5 * 92 / v.clamp(min=1e-6)).clamp(max=50)[None, None]
    by_depth = create_pose_net(PoseNetConfig(architecture="flow"))(triplet, matrix, road).neighbours_from_current
    torch.testing.assert_close(found, by_depth)


def test_flow_of_pictures_seen_before_is_not_sought_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSD_DEPTH_CACHE", str(tmp_path))
    first = create_pose_net(PoseNetConfig(architecture="flow"))(images(seed=1), intrinsics(), depths()).neighbours_from_current
    monkeypatch.setattr(flow_cache, "flow_over_road", None)
    again = create_pose_net(PoseNetConfig(architecture="flow"))(images(seed=1), intrinsics(), depths()).neighbours_from_current
    torch.testing.assert_close(again, first, atol=0, rtol=0)


def test_its_first_idea_of_the_world_is_a_flat_road() -> None:
    net = create_pose_net(PoseNetConfig(architecture="correlation"))
    assert isinstance(net, CorrelationPoseNet)
    depth = net._depth(torch.rand(1, 32, 18, 32), INTRINSICS.float())
    v = torch.arange(0, 72, CELL) - 34.2
    expected = (1.5 * 92 / v.clamp(min=1e-6)).clamp(max=50)
    torch.testing.assert_close(depth[0], expected[:, None].expand(18, 32))


@pytest.mark.parametrize("architecture", ["resnet", "correlation", "flow"])
def test_shapes_start_and_independence_of_the_batch(architecture: str) -> None:
    config = PoseNetConfig.model_validate({"architecture": architecture})
    net = create_pose_net(config, seed=1).train()
    both = net(images(2), intrinsics(2), depths(2)).neighbours_from_current
    assert both.shape == (2, 2, 4, 4)
    torch.testing.assert_close(net(images(2)[:1], intrinsics(), depths()).neighbours_from_current, both[:1], atol=1e-5, rtol=0)
    assert inspect.signature(type(net).forward) == inspect.signature(ResNetPoseNet.forward)
    assert sum(parameter.numel() for parameter in net.parameters()) == sum(
        parameter.numel() for parameter in create_pose_net(config, seed=2).parameters()
    )


def test_resnet_sees_pairs_in_order_of_time() -> None:
    net = create_pose_net(PoseNetConfig(translation_scale=1.0), seed=1)
    one, two = images(seed=1)[:, 0], images(seed=2)[:, 0]
    # From one to two is the first pair of the first triplet and the second pair of the second.
    first = net(torch.stack([one, two, two], dim=1), intrinsics(), depths()).neighbours_from_current
    second = net(torch.stack([one, one, two], dim=1), intrinsics(), depths()).neighbours_from_current
    torch.testing.assert_close(invert_motion(first[:, 0]), second[:, 1], atol=1e-5, rtol=0)
    assert (second[:, 1] - torch.eye(4)).abs().max() > 1e-4


@pytest.mark.parametrize("architecture", ["resnet", "correlation", "flow"])
def test_written_and_read_again_it_is_the_same(architecture: str, tmp_path: Path) -> None:
    net = create_pose_net(PoseNetConfig.model_validate({"architecture": architecture, "search": (2, 3)}), seed=4).eval()
    save_pose_net(tmp_path / "pose_net", net)
    again = load_pose_net(tmp_path / "pose_net")
    assert again.config == net.config and type(again) is type(net)
    inputs = images(), intrinsics(), depths()
    torch.testing.assert_close(again(*inputs).neighbours_from_current, net(*inputs).neighbours_from_current)
    (tmp_path / "pose_net" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelLoadError, match="pose_net"):
        load_pose_net(tmp_path / "pose_net")
    with pytest.raises(ModelLoadError, match="task: teacher"):
        load_pose_net(tmp_path / "nothing")


@pytest.mark.skipif("unused" not in inspect.signature(load_network).parameters, reason="needs weights without their classifier")
def test_image_net_weights_serve_both_pictures_of_a_pair(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
    source = transformers.ResNetForImageClassification(config)
    source.save_pretrained(tmp_path / "resnet")
    net = create_pose_net(PoseNetConfig(normalisation="frozen_batch"), encoder=tmp_path / "resnet")
    assert isinstance(net, ResNetPoseNet)
    same = torch.cat([images()[:, 0]] * 2, dim=1)
    expected = source.eval().resnet(images()[:, 0]).last_hidden_state
    net.train()
    torch.testing.assert_close(net.encoder(same).feature_maps[-1], expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(ModelLoadError, match="frozen_batch"):
        create_pose_net(PoseNetConfig(), encoder=tmp_path / "resnet")
    with pytest.raises(ModelLoadError, match="not for 'correlation'"):
        create_pose_net(PoseNetConfig(architecture="correlation"), encoder=tmp_path / "resnet")
