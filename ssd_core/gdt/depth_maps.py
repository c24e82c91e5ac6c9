# SPDX-License-Identifier: Apache-2.0
"""Depth of the frames that are to be translated: truth where it is known, a network's where it isn't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame, FrameSource
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.intrinsics import assumed_camera
from ssd_core.gdt.config import DepthConfig
from ssd_core.gdt.tiled_depth import TiledDepth
from ssd_core.gdt.translator import DepthSource
from ssd_core.images.codec import Image
from ssd_core.model.config import DepthKind
from ssd_core.runtime.estimator import DepthEstimator, fitting_input_size

if TYPE_CHECKING:
    from ssd_core.gdt.hub_depth import HubDepth

TRUTH = "truth"
TRANSFORMERS = "transformers:"
"""Before the name of a model that transformers alone can run."""
# A network's farthest depth is "so far or farther", the sky too.
_BEYOND = 0.97


class FrameDepth(NamedTuple):
    """As TranslationRequest has it; model_id is "truth" or the network's."""

    values: npt.NDArray[np.float32]
    kind: DepthKind
    model_id: str


class DepthMaps:
    """Depth of frames. network: None where truth must do."""

    def __init__(self, source: FrameSource, config: DepthConfig, network: DepthSource | None, farthest: float | None) -> None:
        """farthest: metres that the network's depth ends at; what is about as far becomes +Inf."""
        self._source, self._config, self._network, self._farthest = source, config, network, farthest

    def of(self, frame: Frame, image: Image) -> FrameDepth:
        """Depth (H, W) of a frame's picture, through an assumed lens if nobody knows its own. Raises DataError where it isn't known."""
        truth = self._source.dense_depth(frame) if self._config.source != "model" and isinstance(self._source, FrameDataset) else None
        if truth is not None:
            return FrameDepth(truth, "metric", TRUTH)
        if self._network is None:
            raise DataError(f"{frame.frame_id} has no dense depth of its own; let a network say it: depth.source=model depth.model=...")
        size = image.shape[1], image.shape[0]
        (depth,) = self._network([image], [frame.camera or assumed_camera(size)], [size])
        values = depth.values
        if depth.kind == "metric" and self._farthest is not None:
            values = np.where(values > _BEYOND * self._farthest, np.float32(np.inf), values)
        return FrameDepth(values, depth.kind, self._network.model_id)


def needs_network(source: FrameSource, frames: Sequence[Frame], config: DepthConfig) -> bool:
    """Whether any depth must come from a network: not of a frame dataset that was rendered with dense depth."""
    if config.source == "truth":
        return False
    if config.source == "model" or not isinstance(source, FrameDataset):
        return True
    return any(not source.has_dense_depth(frame) for frame in frames)


def load_network(model: str, frames: Sequence[Frame], input_size: tuple[int, int] | None = None) -> DepthEstimator | HubDepth:
    """A depth network at the input size given, or at the one that fits the first camera's aspect. Raises ModelLoadError.

    "transformers:Intel/dpt-hybrid-midas" is a model that the DepthEstimator doesn't know; its input size is its own.
    """
    if model.startswith(TRANSFORMERS):
        from ssd_core.gdt.hub_depth import HubDepth

        return HubDepth.load(model.removeprefix(TRANSFORMERS))
    return DepthEstimator.load(model, input_size=input_size or fitting_input_size(model, (frame.camera for frame in frames)))


def open_depth_maps(source: FrameSource, frames: Sequence[Frame], config: DepthConfig) -> tuple[DepthMaps, DepthSource | None]:
    """Depth as configured, and the network, if one was needed. Raises ModelLoadError."""
    if not needs_network(source, frames, config):
        return DepthMaps(source, config, None, None), None
    network = load_network(config.model, frames, config.input_size)
    refined: DepthSource = TiledDepth(network, config.tiles) if config.tiles else network
    return DepthMaps(source, config, refined, network.max_depth if network.kind == "metric" else None), network
