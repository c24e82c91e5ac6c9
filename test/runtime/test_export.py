# SPDX-License-Identifier: Apache-2.0
"""The network as one graph of one size: equal to the model, and an error for any other size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_networks import CONVOLUTIONAL_SIZE, SIZE, description, tiny_convolutional, tiny_efficientnet, tiny_transformer

from ssd_core.model.depth_model import DepthModel
from ssd_core.runtime.export import FixedSizeNetwork, export_program
from ssd_core.runtime.parity import compare_depth
from ssd_core.runtime.sample_pictures import sample_cameras, sample_pictures

MODELS: dict[str, tuple[Callable[[], DepthModel], tuple[int, int]]] = {
    "tiny": (tiny_transformer, SIZE),
    "tiny that sees its camera": (lambda: tiny_transformer(camera_input=True), SIZE),
    "convolutional": (tiny_convolutional, CONVOLUTIONAL_SIZE),
    "efficientnet": (tiny_efficientnet, CONVOLUTIONAL_SIZE),
    "ti": (lambda: DepthModel.create("ti", description()), (126, 98)),
}


def inputs(model: DepthModel, size: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    pictures = torch.from_numpy(sample_pictures(size))
    matrices = torch.stack([torch.from_numpy(camera.matrix).float() for camera in sample_cameras(size, len(pictures))])
    return (pictures, matrices) if model.description.camera_input else (pictures,)


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_program_equals_the_model(name: str) -> None:
    make, size = MODELS[name]
    model = make()
    given = inputs(model, size)
    program = export_program(FixedSizeNetwork(model, size), batch=len(given[0])).module()
    with torch.inference_mode():
        depth = program(*given)
        reference = model(given[0].permute(0, 3, 1, 2).float() / 255, *given[1:])[:, 0]
    assert depth.shape == (6, size[1], size[0])
    parity = compare_depth(depth.numpy(), reference.numpy())
    assert parity.maximum < 1e-4, parity


@pytest.mark.parametrize("shape", [(1, 98, 70, 3), (1, 84, 98, 3), (1, 70, 98, 4)])
def test_another_size_is_an_error_that_names_the_right_one(shape: tuple[int, ...]) -> None:
    """98x70 and 70x98 have as many patches: without the check a turned picture would get a depth, a wrong one."""
    network = FixedSizeNetwork(tiny_transformer(), SIZE)
    with pytest.raises(ValueError, match=r"built for 98x70, \(B, 70, 98, 3\)"):
        network(torch.zeros(shape, dtype=torch.uint8))
    with pytest.raises((AssertionError, RuntimeError), match=r"images.*== (70|3)"):
        export_program(network).module()(torch.zeros(shape, dtype=torch.uint8))


def test_another_batch_than_the_exported_is_an_error() -> None:
    program = export_program(FixedSizeNetwork(tiny_transformer(), SIZE), batch=2).module()
    with pytest.raises((AssertionError, RuntimeError), match=r"images.*== 2"):
        program(torch.zeros(1, SIZE[1], SIZE[0], 3, dtype=torch.uint8))


def test_layers_kept_in_float32() -> None:
    network = FixedSizeNetwork(tiny_transformer(), SIZE, torch.float16, ("neck.convs.0",))
    types = {name: parameter.dtype for name, parameter in network.model.network.named_parameters()}
    kept = {name for name, dtype in types.items() if dtype == torch.float32}
    assert kept == {"neck.convs.0.weight", "head.conv3.weight", "head.conv3.bias"}
    assert set(types.values()) == {torch.float16, torch.float32}
    with torch.inference_mode():
        assert network(*network.example_inputs(2)).dtype == torch.float32
