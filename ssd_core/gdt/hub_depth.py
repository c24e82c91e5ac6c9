# SPDX-License-Identifier: Apache-2.0
"""Depth-estimation models of transformers that the DepthEstimator doesn't know, such as MiDaS, as a DepthSource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from ssd_core.gdt.diffusion.config import ModelSource
from ssd_core.gdt.diffusion.model_files import ModelFolder, NetworkFiles, find_model, quiet
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import Image
from ssd_core.images.resize import resize_depth
from ssd_core.model.checkpoint import NEVER_USED, ModelLoadError
from ssd_core.model.config import DepthKind
from ssd_core.runtime.estimator import DepthMap

_NETWORK = NetworkFiles("", "model")
_KINDS: dict[str, DepthKind] = {
    "dpt": "relative_inverse",
    "depth_anything": "relative_inverse",
    "glpn": "metric",
    "zoedepth": "metric",
}
"""What `predicted_depth` of transformers' models is; one that says of itself "metric" is."""


class HubDepth:
    """A DepthSource: one picture at a time, in float32, at the resolution that the model's own processor asks for."""

    def __init__(self, folder: ModelFolder, kind: DepthKind, network: Any, processor: Any) -> None:
        self.model_id = f"{folder.name}@{folder.revision.removeprefix('local-')[:8]}"
        self.kind = kind
        self.max_depth: float | None = getattr(network.config, "max_depth", None)
        """Metres, if the model says how far it sees."""
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network, self._processor = network.to(self._device), processor

    @classmethod
    def load(cls, name: str) -> HubDepth:
        """A Hub id or a folder. Raises ModelLoadError: not there, not fitting, or of a kind whose output isn't known here."""
        folder = find_model(ModelSource(name=name), [_NETWORK], ["preprocessor_config.json"])
        try:
            with quiet():
                config = transformers.AutoConfig.from_pretrained(folder.path, local_files_only=True)
                processors: Any = transformers.AutoImageProcessor
                processor: Any = processors.from_pretrained(folder.path, local_files_only=True)
        except Exception as error:  # transformers raises nearly any class for a bad folder
            raise ModelLoadError(f"{folder.path}: no usable configuration or processor: {error}") from error
        if config.model_type not in _KINDS:
            raise ModelLoadError(f"{folder.path}: model_type {config.model_type!r} isn't known; known: {', '.join(_KINDS)}")
        is_metric = getattr(config, "depth_estimation_type", None) == "metric"
        network = folder.load(transformers.AutoModelForDepthEstimation, _NETWORK, torch.float32, spare=(NEVER_USED,))
        # Padding would have to be cut off again, each model's in its own way.
        processor.do_pad = False
        return cls(folder, "metric" if is_metric else _KINDS[config.model_type], network, processor)

    def __call__(
        self,
        images: Sequence[Image],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        """See DepthSource; cameras are of no use to these models."""
        del cameras
        sizes = output_sizes if output_sizes is not None else [None] * len(images)
        return [self._depth_of(image, size) for image, size in zip(images, sizes, strict=True)]

    def _depth_of(self, image: Image, size: tuple[int, int] | None) -> DepthMap:
        pixels = self._processor(images=image, return_tensors="pt")["pixel_values"].to(self._device)
        with torch.inference_mode():
            values = self._network(pixel_values=pixels).predicted_depth[0].float().cpu().numpy()
        values = np.ascontiguousarray(values, dtype=np.float32)
        return DepthMap(resize_depth(values, size) if size else values, self.kind)
