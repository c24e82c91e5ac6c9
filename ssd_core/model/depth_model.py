# SPDX-License-Identifier: Apache-2.0
"""The depth network: a DINOv2 encoder and a DPT head, made of transformers' own modules, with our parametrisation of depth on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn

from ssd_core.model.config import NETWORK_SIZES, PATCH_SIZE, EncoderSize, ModelDescription, NetworkSize

FIRST_DEPTH = 13.0
"""Metres that a fresh sigmoid-disparity head predicts: a middling distance of a driving scene, so that training starts in range."""

CAMERA_UNIT = 100.0
"""Pixels; makes the camera channels about as large as the normalised colours."""

PRETRAINED_GRID = 37
"""Patches a side of the position table: DINOv2's last training stage saw 518x518."""


class DepthPrediction(NamedTuple):
    """Output of `DepthModel.predict`."""

    depth: Tensor
    """[B, 1, H, W] metres along Z, or relative inverse depth, as `DepthModel.description.kind` says."""
    patch_tokens: Tensor
    """[B, H/14 * W/14, C] tokens of the last tapped block, row by row."""


class DepthModel(nn.Module):
    """Images in 0..1 to depth.

    `network` is a transformers DepthAnythingForDepthEstimation or DPTForDepthEstimation with a Dinov2 backbone; it holds all
    parameters, so that checkpoints are those of transformers. `description` says how its output becomes depth.

    DINOv2's position table is resized as transformers does it: bicubic to the wanted number of patches ("by size"). Meta's
    code resizes by a scale factor with an offset of 0.1, so off 518x518 features of the same weights differ a little between
    the two; every public depth checkpoint in transformers' format expects "by size".
    """

    network: Any  # torch types every submodule as Tensor | Module, which nothing of transformers fits
    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, description: ModelDescription) -> None:
        super().__init__()
        self.network = network
        self.description = description
        for name in ("mean", "std"):
            values = torch.tensor(getattr(description.preprocessing, name), dtype=torch.float32)
            self.register_buffer(name, values.reshape(1, 3, 1, 1), persistent=False)

    @classmethod
    def create(cls, size: EncoderSize | NetworkSize, description: ModelDescription, seed: int = 0) -> DepthModel:
        """Random weights from a seed, of a named size or of any other; a sigmoid-disparity head starts at about FIRST_DEPTH metres."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: Any = transformers.DepthAnythingForDepthEstimation(network_config(size, description))
            # transformers draws every weight with deviation 0.02, which lets the signal die in the head; DPT used torch's defaults.
            for module in (*network.neck.modules(), *network.head.modules()):
                if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                    module.reset_parameters()
            if description.parametrisation == "sigmoid_disparity":
                nn.init.constant_(network.head.conv3.bias, first_logit(description))
        return cls(network.eval(), description)

    @property
    def encoder(self) -> Any:
        """The backbone (a transformers Dinov2Backbone), for parameter groups and freezing."""
        return self.network.backbone

    def forward(self, images: Tensor, intrinsics: Tensor | None = None) -> Tensor:
        """images [B, 3, H, W] RGB in 0..1, H and W multiples of 14 -> depth [B, 1, H, W] (see `DepthPrediction.depth`).

        intrinsics: [B, 3, 3] matrices of these images, in pixels; used, and then needed, where the description says `camera_input`.
        Raises ValueError for another size and for missing intrinsics.
        """
        return self.predict(images, intrinsics).depth

    def predict(self, images: Tensor, intrinsics: Tensor | None = None) -> DepthPrediction:
        """Depth and the patch tokens it was made from, in one pass. Arguments as in `forward`."""
        features = self._encode(self._network_input(images, intrinsics))
        return DepthPrediction(self._decode(features, images.shape[-2], images.shape[-1]), self._tokens(features))

    def predict_metres(self, images: Tensor, intrinsics: Tensor) -> DepthPrediction:
        """As `predict`, with the focal normalisation of these cameras undone: a metric model's depth is metres, in float32."""
        prediction = self.predict(images, intrinsics)
        canonical, depth = self.description.canonical_focal_length, prediction.depth.float()
        if canonical is not None:
            depth = depth * (intrinsics[:, 0, 0] / canonical)[:, None, None, None]
        return prediction._replace(depth=depth)

    def patch_tokens(self, images: Tensor, intrinsics: Tensor | None = None) -> Tensor:
        """[B, H/14 * W/14, C] tokens of the last tapped block (after the final layer norm where the checkpoint applies it)."""
        return self._tokens(self._encode(self._network_input(images, intrinsics)))

    def _network_input(self, images: Tensor, intrinsics: Tensor | None) -> Tensor:
        """[B, 3 or 5, H, W]: normalised RGB, and where the camera is an input its channels."""
        pixels = (images - self.mean) / self.std
        if not self.description.camera_input:
            return pixels
        if intrinsics is None:
            raise ValueError("this network sees its camera: it needs the intrinsics of every image")
        return torch.cat([pixels, camera_channels(intrinsics, images.shape[-2], images.shape[-1]).to(pixels.dtype)], dim=1)

    def _encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        height, width = pixels.shape[-2:]
        if height % PATCH_SIZE or width % PATCH_SIZE:
            raise ValueError(f"images of {width}x{height}: both sides must be multiples of {PATCH_SIZE}")
        features: tuple[Tensor, ...] = self.network.backbone(pixels).feature_maps
        return features

    def _tokens(self, features: tuple[Tensor, ...]) -> Tensor:
        return features[-1][:, 1:]

    def _decode(self, features: tuple[Tensor, ...], height: int, width: int) -> Tensor:
        rows, columns = height // PATCH_SIZE, width // PATCH_SIZE
        fused = self.network.neck(list(features), rows, columns)
        if self.network.config.model_type == "dpt":
            # DPT's own head stops at 16 pixels a patch; its users resize what comes out.
            raw = in_full_precision(self.network.head, fused)[:, None]
            raw = nn.functional.interpolate(raw, (height, width), mode="bilinear", align_corners=False)
        else:
            raw = in_full_precision(lambda features: self.network.head(features, rows, columns), fused)[:, None]
        return depth_from_output(raw, self.description)


def in_full_precision(layers: Callable[[list[Tensor]], Tensor], features: Sequence[Tensor]) -> Tensor:
    """What layers make of features, in float32 under autocast too: bfloat16 has 8 bits, and one step of a logit near -6 is 3 % of depth.

    Without autocast nothing is done, so that exporters see the plain graph.
    """
    device = features[0].device.type
    if not torch.is_autocast_enabled(device):
        return layers(list(features))
    with torch.autocast(device, enabled=False):
        return layers([feature.float() for feature in features])


def camera_channels(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """[B, 2, height, width]: (x, y) of each pixel's ray, at z = 1, times fx / 100: hundreds of pixels from the principal point.

    intrinsics [B, 3, 3] in pixels of such pictures. A level camera h metres above a level road sees the road's pixels at
    z = h * fx / (100 y): after focal normalisation, which takes fx out of depth, a pixel's y alone says how far the road is there,
    whatever the lens, the crop or the resize. A network that isn't told can only guess the horizon. (Camera channels were proposed by
    Facil et al., CAM-Convs, 2019.)
    """
    rows = torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype)[:, None]
    columns = torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype)[None]
    focal_x, focal_y, centre_x, centre_y = (intrinsics[:, i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    across = (columns - centre_x).expand(-1, height, -1)
    down = ((rows - centre_y) * focal_x / focal_y).expand(-1, -1, width)
    return torch.stack([across, down], dim=1) / CAMERA_UNIT


def depth_from_output(output: Tensor, description: ModelDescription) -> Tensor:
    """The network's last activation to depth, any shape: SSD's ``1/depth = 1/max + (1/min - 1/max) * sigmoid``, or unchanged.

    The sigmoid is the network's own (transformers' "metric" head with max_depth 1).
    """
    if description.parametrisation != "sigmoid_disparity":
        return output
    near, far = 1 / description.min_depth, 1 / description.max_depth
    return 1 / (far + (near - far) * output)


def network_config(size: EncoderSize | NetworkSize, description: ModelDescription) -> transformers.DepthAnythingConfig:
    """transformers' configuration of a Depth Anything V2 network of this size, with our ti beside theirs."""
    shape = size if isinstance(size, NetworkSize) else NETWORK_SIZES[size]
    dinov2: Any = transformers.Dinov2Config
    encoder = dinov2(
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        image_size=PRETRAINED_GRID * PATCH_SIZE,
        patch_size=PATCH_SIZE,
        num_channels=description.input_channels,
        # Index 0 of transformers' stages is the embedding, so block i is stage i + 1.
        out_indices=[block + 1 for block in shape.taps],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    is_relative = description.parametrisation == "relative_inverse"
    return transformers.DepthAnythingConfig(
        backbone_config=encoder,
        patch_size=PATCH_SIZE,
        reassemble_hidden_size=shape.hidden_size,
        neck_hidden_sizes=list(shape.neck),
        fusion_hidden_size=shape.fusion,
        depth_estimation_type="relative" if is_relative else "metric",
        max_depth=round(description.max_depth) if description.parametrisation == "metric" else 1,
    )


def first_logit(description: ModelDescription) -> float:
    """What goes into the sigmoid for about FIRST_DEPTH metres."""
    near, far = 1 / description.min_depth, 1 / description.max_depth
    first = min(max(FIRST_DEPTH, 1.1 * description.min_depth), 0.9 * description.max_depth)
    return logit_of_inverse_depth(torch.tensor(1 / first, dtype=torch.float64), near, far).item()


def logit_of_inverse_depth(inverse_depth: Tensor, near: float, far: float) -> Tensor:
    """What goes into the sigmoid for inverse depths between `far` and `near`, those of sigmoid 0 and 1, exclusive."""
    share = (inverse_depth - far) / (near - far)
    return torch.log(share / (1 - share))
