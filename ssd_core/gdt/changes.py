# SPDX-License-Identifier: Apache-2.0
"""What the change detector says of a whole picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssd_core.images.codec import Image
from ssd_core.images.resize import resize_image
from ssd_core.model.change_detector import ChangeDetector, change_logits


@torch.no_grad()
def chance_of_change(detector: ChangeDetector, source: Image, translated: Image) -> float:
    """How sure it is, 0 to 1, that something else stands in one picture than in the other; uint8 (H, W, 3) RGB each, of one size."""
    width = detector.config.input_width
    size = width, max(8, round(width * source.shape[0] / source.shape[1]))
    pair = (_tensor(resize_image(image, size), detector.device) for image in (source, translated))
    return float(change_logits(detector(*pair).float()).sigmoid()[0])


def _tensor(image: Image, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image))[None].to(device).movedim(-1, -3).float() / 255
