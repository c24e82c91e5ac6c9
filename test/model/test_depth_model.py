# SPDX-License-Identifier: Apache-2.0
"""The network against transformers' own, and the parametrisations of depth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.model.checkpoint import open_checkpoint
from ssd_core.model.config import ModelDescription, NetworkSize, TrainingCamera
from ssd_core.model.depth_model import FIRST_DEPTH, DepthModel, camera_channels, depth_from_output

TINY = NetworkSize(32, 4, 2, (0, 1, 2, 3), (8, 12, 16, 16), 16)
SSD = ModelDescription(parametrisation="sigmoid_disparity", input_size=(70, 42))


def tiny_dinov2(**changes: Any) -> transformers.Dinov2Config:
    values = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 70, "out_indices": [1, 2, 3, 4]}
    return transformers.Dinov2Config(**(values | {"reshape_hidden_states": False} | changes))


def depth_anything(kind: str) -> transformers.PreTrainedModel:
    config = transformers.DepthAnythingConfig(
        backbone_config=tiny_dinov2(),
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 12, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=20 if kind == "metric" else 1,
    )
    return transformers.DepthAnythingForDepthEstimation(config)


def dpt() -> transformers.PreTrainedModel:
    config = transformers.DPTConfig(
        backbone_config=tiny_dinov2(apply_layernorm=False),
        neck_hidden_sizes=[8, 12, 16, 16],
        fusion_hidden_size=256,
        add_projection=True,
        use_bias_in_fusion_residual=False,
    )
    return transformers.DPTForDepthEstimation(config)


def make_lively(network: torch.nn.Module) -> None:
    """Larger random weights: transformers' own leave outputs so near zero that any comparison would pass."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
        last = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        last.bias.fill_(1)  # the ReLU behind it shall not silence everything


MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


def write_preprocessor(folder: Path, kind: str) -> None:
    """As the Hub has it: Depth Anything resizes and scales pixels to 0..1, dpt-dinov2 pads and takes 0..255."""
    values: dict[str, Any] = {"do_normalize": True, "image_processor_type": "DPTImageProcessor", "rescale_factor": 1 / 255}
    if kind == "dpt":
        values |= {"do_resize": False, "do_rescale": False, "do_pad": True, "size_divisor": 14, "size": {"height": 384, "width": 384}}
    else:
        values |= {"do_resize": True, "do_rescale": True, "ensure_multiple_of": 14, "size": {"height": 70, "width": 98}}
    scale = 255 if kind == "dpt" else 1
    values |= {"image_mean": [scale * value for value in MEAN], "image_std": [scale * value for value in STD]}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


@pytest.mark.parametrize("kind", ["relative", "metric", "dpt"])
@pytest.mark.parametrize("size", [(70, 70), (98, 42)])
def test_public_formats_equal_transformers(kind: str, size: tuple[int, int], tmp_path: Any) -> None:
    network = dpt() if kind == "dpt" else depth_anything(kind)
    make_lively(network)
    network.save_pretrained(tmp_path)
    write_preprocessor(tmp_path, kind)

    checkpoint = open_checkpoint(tmp_path)
    model = checkpoint.load_model()
    images = torch.rand(2, 3, size[1], size[0], generator=torch.Generator().manual_seed(0))
    reference = getattr(transformers, type(network).__name__).from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        normalised = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
        expected = reference(normalised).predicted_depth[:, None]
        expected = torch.nn.functional.interpolate(expected, (size[1], size[0]), mode="bilinear")
        depth = model(images)
    assert depth.shape == (2, 1, size[1], size[0])
    assert expected.std() > 1e-2 * expected.abs().mean(), "a constant picture would prove nothing"
    assert (depth - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert checkpoint.description.kind == ("relative_inverse" if kind == "relative" else "metric")
    assert checkpoint.description.max_depth == {"relative": 80, "metric": 20, "dpt": 80}[kind]
    assert checkpoint.description.input_size == ((70, 70) if kind == "dpt" else (98, 70))


def test_sigmoid_disparity_spans_the_depth_range() -> None:
    output = torch.tensor([0.0, 1.0, 0.5])
    depth = depth_from_output(output, SSD)
    np.testing.assert_allclose(depth.numpy(), [80, 0.1, 2 / (1 / 80 + 10)], rtol=1e-6)


def test_a_fresh_model_starts_at_a_middling_distance_and_follows_its_seed() -> None:
    images = torch.rand(1, 3, 42, 70, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first, again, other = (DepthModel.create(TINY, SSD, seed)(images) for seed in (3, 3, 4))
    assert first.median().item() == pytest.approx(FIRST_DEPTH, rel=0.5)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_random_state_of_the_caller_stays() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    DepthModel.create(TINY, SSD, seed=9)
    assert torch.equal(torch.rand(1), expected)


def test_prediction_has_the_tokens_of_the_last_block() -> None:
    model = DepthModel.create(TINY, SSD)
    images = torch.rand(2, 3, 42, 70)
    with torch.inference_mode():
        prediction = model.predict(images)
        pixels = (images - model.mean) / model.std
        reference = transformers.Dinov2Model(model.encoder.config).eval()
        reference.load_state_dict(model.encoder.state_dict())
        expected = reference(pixels).last_hidden_state[:, 1:]
    assert prediction.depth.shape == (2, 1, 42, 70)
    assert prediction.patch_tokens.shape == (2, 3 * 5, 32)
    torch.testing.assert_close(prediction.patch_tokens, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.patch_tokens(images), expected, rtol=1e-5, atol=1e-5)


def test_every_parameter_that_decides_depth_learns() -> None:
    model = DepthModel.create(TINY, SSD)
    model(torch.rand(1, 3, 42, 70)).log().std().backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    # The mask token serves pretraining only; the first fusion layer has no second input.
    assert all("mask_token" in name or "fusion_stage.layers.0.residual_layer1" in name for name in silent), silent


def test_sizes_off_the_patch_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 14"):
        DepthModel.create(TINY, SSD)(torch.rand(1, 3, 40, 70))


def test_the_camera_channels_tell_how_far_a_level_road_is_whatever_lens_crop_and_resize() -> None:
    height_of_camera, canonical = 1.5, 300.0
    camera = PinholeCamera(640, 360, 500.0, 500.0, 322.0, 171.0)
    for seen in (camera, camera.cropped(100, 40, 420, 300), camera.scaled(308, 210), camera.flipped()):
        x, y = camera_channels(torch.from_numpy(seen.matrix)[None], seen.height, seen.width)[0].numpy()
        row, column = seen.height - 3, 7
        ray = (column - seen.cx) / seen.fx, (row - seen.cy) / seen.fy
        road = height_of_camera / ray[1]
        assert height_of_camera * canonical / (100 * y[row, column]) == pytest.approx(road * canonical / seen.fx)
        assert x[row, column] / y[row, column] == pytest.approx(ray[0] / ray[1])


def test_a_transformer_sees_its_camera_too() -> None:
    description = ModelDescription(parametrisation="sigmoid_disparity", input_size=(42, 28), camera_input=True)
    model = DepthModel.create(TINY, description)
    matrices = [[[40.0, 0, 21], [0, 40, row], [0, 0, 1]] for row in (14.0, 5.0)]
    with torch.inference_mode():
        high, low = model(torch.rand(1, 3, 28, 42).repeat(2, 1, 1, 1), torch.tensor(matrices))
    assert not torch.allclose(high, low)
    with pytest.raises(ValueError, match="needs the intrinsics of every image"):
        model(torch.rand(1, 3, 28, 42))


def test_metres_undo_the_focal_normalisation() -> None:
    camera = TrainingCamera(width=84, height=56, fx=100, fy=100)
    description = ModelDescription(
        parametrisation="sigmoid_disparity", input_size=(42, 28), training_camera=camera, focal_normalisation=True
    )
    model = DepthModel.create(TINY, description)
    images, intrinsics = torch.rand(2, 3, 28, 42), torch.eye(3).repeat(2, 1, 1)
    intrinsics[:, 0, 0] = torch.tensor([50.0, 75.0])
    with torch.inference_mode():
        torch.testing.assert_close(
            model.predict_metres(images, intrinsics).depth, model(images) * torch.tensor([1, 1.5]).reshape(2, 1, 1, 1)
        )


def test_autocast_leaves_no_stairs_in_depth() -> None:
    # bfloat16 logits near -6, as of 40 m, know 32 depths between 1 and 100 m.
    model = DepthModel.create(TINY, SSD)
    images = torch.rand(1, 3, 42, 70, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact = model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            depth = model(images)
    assert depth.dtype == torch.float32
    assert len(depth.unique()) > 0.9 * len(exact.unique())
