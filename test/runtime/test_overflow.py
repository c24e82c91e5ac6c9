# SPDX-License-Identifier: Apache-2.0
"""Layers that would leave float16's range are found, and with them in float32 a float16 network gives the right depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_networks import CONVOLUTIONAL_SIZE, SIZE, tiny_convolutional, tiny_transformer

from ssd_core.runtime.export import FixedSizeNetwork
from ssd_core.runtime.overflow import overflowing_layers
from ssd_core.runtime.parity import compare_depth
from ssd_core.runtime.sample_pictures import sample_pictures


def depth(network: FixedSizeNetwork) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(sample_pictures(network.input_size))).numpy()


def test_tame_networks_have_none() -> None:
    assert overflowing_layers(FixedSizeNetwork(tiny_transformer(), SIZE)) == ()
    assert overflowing_layers(FixedSizeNetwork(tiny_transformer(camera_input=True), SIZE)) == ()
    assert overflowing_layers(FixedSizeNetwork(tiny_convolutional(), CONVOLUTIONAL_SIZE)) == ()


def test_a_layer_that_overflows_is_kept_in_float32() -> None:
    model = tiny_transformer()
    mlp = model.network.backbone.encoder.layer[1].mlp
    with torch.no_grad():
        mlp.fc1.weight.mul_(3e5)
        mlp.fc2.weight.div_(3e5)
    exact = FixedSizeNetwork(model, SIZE)
    names = overflowing_layers(exact)
    assert names == ("backbone.encoder.layer.1.mlp.fc1", "backbone.encoder.layer.1.mlp.fc2")
    assert not np.isfinite(depth(FixedSizeNetwork(model, SIZE, torch.float16))).all()
    parity = compare_depth(depth(FixedSizeNetwork(model, SIZE, torch.float16, names)), depth(exact))
    assert parity.mean < 0.01, parity


def test_the_layers_of_an_attention_stay_together() -> None:
    model = tiny_transformer()
    block = "backbone.encoder.layer.0.attention"
    layers = {name: module for name, module in model.network.named_modules() if name.startswith(block) and hasattr(module, "weight")}
    values = next(layer for name, layer in layers.items() if "v" in name.removeprefix(block))
    with torch.no_grad():
        values.weight.mul_(1e5)
    names = overflowing_layers(FixedSizeNetwork(model, SIZE))
    assert set(layers) <= set(names), "a query in float32 can't meet a key in float16"
    assert np.isfinite(depth(FixedSizeNetwork(model, SIZE, torch.float16, names))).all()


def test_a_layer_that_is_not_even_finite_in_float32() -> None:
    model = tiny_transformer()
    with torch.no_grad():
        model.network.neck.convs[0].weight.fill_(float("nan"))
    assert "neck.convs.0" in overflowing_layers(FixedSizeNetwork(model, SIZE))


def test_sample_pictures_are_the_same_every_time() -> None:
    first = sample_pictures(SIZE)
    assert first.shape == (6, 70, 98, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, sample_pictures(SIZE))
    assert [picture.min() for picture in first[:2]] == [0, 255] and first[2:].std(axis=(1, 2, 3)).min() > 30


def test_parity() -> None:
    reference = np.array([[1.0, 10.0], [100.0, 0.0]], np.float32)
    parity = compare_depth(reference * np.float32(1.01), reference)
    assert parity.maximum == pytest.approx(0.01, rel=1e-4) and parity.mean == pytest.approx(0.0075, rel=1e-4)
    assert str(parity) == "mean 0.0075, p99 0.01, max 0.01"
    assert parity.is_within("fp16") and not parity.is_within("fp32")
    assert compare_depth(reference + np.float32(0.01), reference).maximum == pytest.approx(0.1, rel=1e-3), "0.1 % of 100 is the scale of 0"
    assert not compare_depth(np.full_like(reference, np.nan), reference).is_within("bf16")
    with pytest.raises(ValueError, match="shape"):
        compare_depth(reference[:1], reference)
