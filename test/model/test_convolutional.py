# SPDX-License-Identifier: Apache-2.0
"""The convolutional networks: sizes, place of their cells, checkpoints, ImageNet encoders, and the same depth in every backend."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.model.checkpoint import ModelLoadError, open_checkpoint, save_checkpoint
from ssd_core.model.config import ModelDescription, TrainingCamera
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.depth_model import FIRST_DEPTH
from ssd_core.model.efficientnet_lite import Stage
from ssd_core.model.encoder_weights import load_encoder
from ssd_core.runtime.estimator import DepthEstimator

TINY = (8, 8, 16, 16)
TINY_LITE = (Stage(1, 8, 1, 1, 3), Stage(2, 8, 1, 2, 5), Stage(2, 8, 1, 2, 3), Stage(2, 16, 2, 2, 5), Stage(2, 16, 1, 2, 3))
SHAPES = {"resnet": TINY, "efficientnet": TINY_LITE}
DESCRIPTION = ModelDescription(parametrisation="sigmoid_disparity", input_size=(98, 70))


@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Any:
    return SHAPES[request.param]


@pytest.fixture(scope="module")
def model(shape: Any) -> ConvolutionalDepthModel:
    """With statistics and an output that vary, so that equality means something."""
    model = ConvolutionalDepthModel.create_convolutional(shape, DESCRIPTION)
    normalisations = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for module in normalisations:
        module.momentum = 1.0  # the statistics are at once those of the pictures
    with torch.no_grad():
        model.network.head.weight *= 5
        model.train()(torch.rand(4, 3, 70, 98, generator=torch.Generator().manual_seed(0)))
    return model.eval()


@pytest.mark.parametrize("size", [(308, 168), (392, 126), (252, 196), (98, 70), (14, 14), (518, 42)])
def test_all_multiples_of_14_work_and_training_starts_at_a_middling_distance(shape: Any, size: tuple[int, int]) -> None:
    fresh = ConvolutionalDepthModel.create_convolutional(shape, DESCRIPTION, seed=3).train()
    with torch.inference_mode():
        depth = fresh(torch.rand(2, 3, size[1], size[0]))
    assert depth.shape == (2, 1, size[1], size[0])
    assert depth.median().item() == pytest.approx(FIRST_DEPTH, rel=0.5)


@pytest.mark.parametrize("size", ["half", "lite0"])
def test_a_network_that_sees_its_camera_starts_at_a_flat_road(size: Literal["half", "lite0"]) -> None:
    camera = TrainingCamera(width=98, height=70, fx=120, fy=120)
    known = {"camera_input": True, "focal_normalisation": True, "training_camera": camera}
    # In training mode, since the normalisations have no statistics yet.
    fresh = ConvolutionalDepthModel.create_convolutional(size, DESCRIPTION.model_copy(update=known)).train()
    lens = PinholeCamera(98, 70, 60.0, 50.0, 49.0, 20.0)
    with torch.inference_mode():
        depth = fresh.predict_metres(torch.rand(1, 3, 70, 98), torch.from_numpy(lens.matrix).float()[None]).depth[0, 0]
    rows = np.arange(70.0)
    with np.errstate(divide="ignore"):
        road = 1.6 * lens.fy / np.maximum(rows - lens.cy, 0)
    expected = np.minimum(road, 25.0 * lens.fx / camera.fx)
    np.testing.assert_allclose(depth.mean(dim=1).numpy(), expected, rtol=0.1)
    # A yard: everything is nearer than what a first guess says of the horizon.
    near = ConvolutionalDepthModel.create_convolutional(size, DESCRIPTION.model_copy(update=known | {"max_depth": 20.0})).train()
    with torch.inference_mode():
        depth = near.predict_metres(torch.rand(1, 3, 70, 98), torch.from_numpy(lens.matrix).float()[None]).depth
    assert depth.isfinite().all() and depth.max() < 20 * lens.fx / camera.fx
    # A camera that looks straight down is near, not nowhere.
    down = PinholeCamera(98, 70, 60.0, 50.0, 49.0, -4000.0)
    with torch.inference_mode():
        assert fresh.predict_metres(torch.rand(1, 3, 70, 98), torch.from_numpy(down.matrix).float()[None]).depth.isfinite().all()


def test_odd_sizes_are_refused(model: ConvolutionalDepthModel) -> None:
    with pytest.raises(ValueError, match="must be even"):
        model(torch.rand(1, 3, 41, 70))


def test_doubled_cells_lie_at_twice_their_place_where_sides_do_not_divide() -> None:
    step = ConvolutionalDepthModel.create_convolutional(TINY, DESCRIPTION).network.decoder[0].eval()
    for convolution in (step.reduce.convolution, step.join.convolution):
        torch.nn.init.dirac_(convolution.weight)
    deeper = torch.zeros(1, 16, 3, 4)
    deeper[0, 0, 2, 3] = deeper[0, 0, 1, 1] = 1
    with torch.inference_mode():
        joined = step(deeper, torch.zeros(1, 16, 5, 7))[0, 0]
    assert joined.nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3], [4, 6]]


def test_seeds_decide_the_weights_and_nothing_else_is_drawn(shape: Any) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (ConvolutionalDepthModel.create_convolutional(shape, DESCRIPTION, seed).train() for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), expected)
    images = torch.rand(2, 3, 70, 98)
    with torch.inference_mode():
        assert torch.equal(first(images), again(images))
        assert not torch.allclose(first(images), other(images))


def test_only_sigmoid_disparity() -> None:
    with pytest.raises(ValueError, match="has sigmoid_disparity only"):
        ConvolutionalDepthModel.create_convolutional(TINY, DESCRIPTION.model_copy(update={"parametrisation": "metric"}))


def test_every_parameter_learns(shape: Any) -> None:
    learning = ConvolutionalDepthModel.create_convolutional(shape, DESCRIPTION).train()
    learning(torch.rand(2, 3, 70, 98)).log().std().backward()
    assert [name for name, parameter in learning.named_parameters() if parameter.grad is None] == []


def test_tokens_are_the_deepest_cells(model: ConvolutionalDepthModel) -> None:
    with torch.inference_mode():
        prediction = model.predict(torch.rand(2, 3, 70, 98))
    assert prediction.patch_tokens.shape == (2, 3 * 4, 16)


def first_normalization(model: ConvolutionalDepthModel) -> Any:
    return next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(model: ConvolutionalDepthModel, tmp_path: Path, half: bool) -> None:
    with torch.no_grad():
        statistics = first_normalization(model).running_var
        statistics[0] = 1e-9  # zero in float16
    save_checkpoint(tmp_path / "m", model, half=half)
    checkpoint = open_checkpoint(tmp_path / "m")
    loaded = checkpoint.load_model()
    assert isinstance(loaded, ConvolutionalDepthModel) and not loaded.training
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32, torch.int64}
    assert torch.equal(first_normalization(loaded).running_var, statistics)
    images = torch.rand(1, 3, 70, 98)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), model(images), rtol=0.05 if half else 1e-6, atol=0)


def test_tensors_that_do_not_fit_are_named(model: ConvolutionalDepthModel, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, model)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    tensors.pop("head.bias")
    safetensors.torch.save_file(tensors | {"classifier.1.bias": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"1 missing \(head\.bias\); 1 unknown \(classifier\.1\.bias\)"):
        open_checkpoint(tmp_path).load_model()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match=r"has no model\.safetensors"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("guesses", [False, True])
def test_a_network_that_sees_its_camera(shape: Any, tmp_path: Path, backend: str, guesses: bool) -> None:
    camera = TrainingCamera(width=98, height=70, fx=90, fy=90)
    known = {"camera_input": True, "focal_normalisation": guesses, "training_camera": camera}
    seeing = ConvolutionalDepthModel.create_convolutional(shape, DESCRIPTION.model_copy(update=known)).train()
    pixels = torch.rand(2, 3, 70, 98)
    cameras = [PinholeCamera(98, 70, 90.0, 80.0, 49.0, row) for row in (35.0, 20.0)]
    intrinsics = torch.stack([torch.from_numpy(camera.matrix).float() for camera in cameras])
    for _ in range(3):
        seeing(pixels, intrinsics)  # statistics of the normalisation
    save_checkpoint(tmp_path / "m", seeing.eval())
    with torch.inference_mode():
        expected = seeing(pixels[:1].repeat(2, 1, 1, 1), intrinsics)[:, 0].numpy()
    assert np.abs(expected[0] / expected[1] - 1).max() > 1e-3
    image = (pixels[0].permute(1, 2, 0) * 255).round().byte().numpy()
    estimator = DepthEstimator.load(tmp_path / "m", backend, precision="fp32", cache_folder=tmp_path / "cache")
    found = [depth.values for depth in estimator([image, image], cameras)]
    np.testing.assert_allclose(found, expected, rtol=0.02)
    assert np.median(np.abs(np.array(found) / expected - 1)) < 1e-3
    with pytest.raises(ValueError, match="needs the intrinsics"):
        seeing(pixels)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_the_estimator_gives_the_model_s_depth(model: ConvolutionalDepthModel, tmp_path: Path, backend: str) -> None:
    save_checkpoint(tmp_path / "m", model)
    image = np.random.default_rng(0).integers(0, 256, (70, 98, 3), dtype=np.uint8)
    estimator = DepthEstimator.load(tmp_path / "m", backend, precision="fp32", cache_folder=tmp_path / "cache")
    with torch.inference_mode():
        expected = model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy()
    assert expected.max() > 1.3 * expected.min()
    np.testing.assert_allclose(estimator([image])[0].values, expected, rtol=2e-3)
    wide = DepthEstimator.load(tmp_path / "m", backend, input_size=(126, 42), precision="fp32", cache_folder=tmp_path / "cache")
    assert wide([image])[0].values.shape == (42, 126)
    # bfloat16 keeps the last layer in float32.
    rough = DepthEstimator.load(tmp_path / "m", "torch", precision="bf16")([image])[0].values
    assert np.median(np.abs(rough / expected - 1)) < 0.05


def image_net_folder(folder: Path, widths: tuple[int, ...]) -> transformers.PreTrainedModel:
    """A classifier as microsoft/resnet-18 has it, with other statistics than fresh ones."""
    config = transformers.ResNetConfig(embedding_size=widths[0], hidden_sizes=list(widths), depths=[2, 2, 2, 2], layer_type="basic")
    classifier = transformers.ResNetForImageClassification(config)
    classifier.train()(torch.rand(4, 3, 64, 64))
    classifier.eval().save_pretrained(folder)
    return classifier


def test_an_encoder_for_classification_is_taken_strictly(tmp_path: Path) -> None:
    classifier = image_net_folder(tmp_path, TINY)
    model = ConvolutionalDepthModel.create_convolutional(TINY, DESCRIPTION)
    load_encoder(model, tmp_path)
    pixels = torch.rand(1, 3, 70, 98)
    with torch.inference_mode():
        expected = classifier.resnet(pixels, output_hidden_states=True).hidden_states
        features = model.network.encode(pixels)
    for found, wanted in zip(features[3:], expected[2:], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    tensors.pop("resnet.embedder.embedder.convolution.weight")
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match="1 missing"):
        load_encoder(model, tmp_path)


def test_an_encoder_of_other_channels_is_refused(tmp_path: Path) -> None:
    image_net_folder(tmp_path, (8, 8, 16, 32))
    with pytest.raises(ModelLoadError, match=r"hidden_sizes is \[8, 8, 16, 32\], the model's is \[8, 8, 16, 16\]"):
        load_encoder(ConvolutionalDepthModel.create_convolutional(TINY, DESCRIPTION), tmp_path)


def test_full_size_has_the_tensors_of_resnet_18() -> None:
    """Count and shapes of microsoft/resnet-18 without its classifier: 11.18 million weights."""
    model = ConvolutionalDepthModel.create_convolutional("full", DESCRIPTION)
    assert sum(parameter.numel() for parameter in model.encoder.parameters()) == 11_176_512


def test_autocast_leaves_no_stairs_in_depth(model: ConvolutionalDepthModel) -> None:
    images = torch.rand(1, 3, 70, 98, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact = model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            depth = model(images)
    assert depth.dtype == torch.float32
    assert len(depth.unique()) > 0.9 * len(exact.unique())
