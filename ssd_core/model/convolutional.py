# SPDX-License-Identifier: Apache-2.0
"""Convolutional depth networks, a ResNet-18 (the paper's baseline) or EfficientNet-Lite encoder with a U-Net decoder: small enough to
learn on a CPU."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, cast, get_args

import torch
import transformers
from torch import Tensor, nn

from ssd_core.model.config import ConvolutionalSize, LiteSize, ModelDescription, ResNetSize
from ssd_core.model.depth_model import CAMERA_UNIT, DepthModel, depth_from_output, first_logit, in_full_precision, logit_of_inverse_depth
from ssd_core.model.efficientnet_lite import STEM_CHANNELS, EfficientNetLite, Stage, lite_stages

ENCODER_WIDTHS: dict[ResNetSize, tuple[int, int, int, int]] = {"half": (32, 64, 128, 256), "full": (64, 128, 256, 512)}
"""Channels of the four stages; full is ResNet-18, for which there are ImageNet weights (`microsoft/resnet-18`)."""

EncoderShape = ConvolutionalSize | tuple[int, int, int, int] | tuple[Stage, ...]
"""An encoder's named size; the channels of a ResNet's four stages; or the stages of an EfficientNet-Lite."""

_BLOCKS = (2, 2, 2, 2)
_FIRST_WEIGHT = 0.01
"""Deviation of the last layer's weights at the start: a picture of nearly one depth, from which training is quick to leave."""


FLAT_ROAD = 1.6
"""Metres that the road of a first guess lies below a camera of unknown height: between a car's bonnet camera and a roof's."""
_FARTHEST_GUESS = 25.0
"""Metres, canonical; what a first guess says at the horizon and above, where houses and trees are as likely as a long view."""


class ConvolutionalDepthConfig(transformers.PretrainedConfig):  # type: ignore[no-untyped-call]
    """What `config.json` of every `ConvolutionalDepthNetwork` has: the decoder's channels, deepest first, and the first guess.

    decoder_widths: by default those that go with EfficientNet-Lite. flat_road: of a network that sees its camera, (near, far, slope,
    least): inverse depths of sigmoid 1 and 0, and the guess max(least, slope * y) for the camera channel y.
    """

    def __init__(self, decoder_widths: Any = (128, 64, 32, 16), flat_road: Any = None, **arguments: Any) -> None:
        self.decoder_widths = list(decoder_widths)
        self.flat_road = None if flat_road is None else list(flat_road)
        super().__init__(**arguments)


class ResNetDepthConfig(ConvolutionalDepthConfig):  # type: ignore[no-untyped-call]
    """`config.json` of `ResNetDepthNetwork`: also the encoder's configuration."""

    model_type = "ssd_resnet_depth"

    def __init__(self, backbone_config: Any = None, **arguments: Any) -> None:
        resnet: Any = transformers.ResNetConfig
        values = backbone_config.to_dict() if isinstance(backbone_config, transformers.PretrainedConfig) else dict(backbone_config or {})
        self.backbone_config = resnet(**values)
        super().__init__(**arguments)


class EfficientNetDepthConfig(ConvolutionalDepthConfig):  # type: ignore[no-untyped-call]
    """`config.json` of `EfficientNetDepthNetwork`: also the encoder's channels and stages (`Stage`)."""

    model_type = "ssd_efficientnet_depth"

    def __init__(self, num_channels: int = 3, stem_channels: int = STEM_CHANNELS, stages: Any = (), **arguments: Any) -> None:
        self.num_channels = num_channels
        self.stem_channels = stem_channels
        self.stages = [list(stage) for stage in stages or lite_stages("lite0")]
        super().__init__(**arguments)


class ConvolutionalDepthNetwork(transformers.PreTrainedModel, abc.ABC):  # type: ignore[no-untyped-call]
    """Network inputs [B, C, H, W] of any even size to sigmoid outputs [B, 1, H, W].

    The decoder doubles the deepest features four times, each time joined with the encoder's of that size, and ends at half the
    input's size; the last step is bilinear. A network that sees its camera says how depth differs from that of a flat road: what it
    doesn't recognise then keeps a sensible distance, where one that makes up depth from pictures alone takes a bright field for a wall.
    Where a side isn't divisible, the doubled features are cut at right and bottom, since
    cell i of a convolution of stride 2 lies at twice its place.
    """

    config: ConvolutionalDepthConfig

    def __init__(self, config: ConvolutionalDepthConfig, backbone: nn.Module, widths: Sequence[int]) -> None:
        """widths: channels of the encoder's features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        super().__init__(config)
        self.backbone: Any = backbone
        *skips, deepest = widths
        deeper = [deepest, *config.decoder_widths[:-1]]
        self.decoder = nn.ModuleList(
            _UpStep(before, skip, width) for before, skip, width in zip(deeper, reversed(skips), config.decoder_widths, strict=True)
        )
        self.head = nn.Conv2d(config.decoder_widths[-1], 1, kernel_size=3, padding=1)
        self.post_init()  # type: ignore[no-untyped-call]

    @abc.abstractmethod
    def _features(self, pixels: Tensor) -> list[Tensor]:
        """At 1/2, 1/4, 1/8, 1/16 and 1/32 of the size; sides round up."""

    def _init_weights(self, module: nn.Module) -> None:
        initialise_for_relu(module)

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The first guess's logits [B, 1, H, W], zero without one, and features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
        return (self._first_guess(pixels.float()), *self._features(pixels.to(self.dtype)))

    def _first_guess(self, pixels: Tensor) -> Tensor:
        if self.config.flat_road is None:
            return torch.zeros_like(pixels[:, :1])
        near, far, slope, least = self.config.flat_road
        return logit_of_inverse_depth((slope * pixels[:, 4:5]).clamp(min=least, max=0.5 * near), near, far)

    def decode(self, features: tuple[Tensor, ...], height: int, width: int) -> Tensor:
        """Sigmoid outputs [B, 1, height, width] from what `encode` gives."""
        guess, *encoded = features
        deepest, *skips = reversed(encoded)
        for step, skip in zip(self.decoder, skips, strict=True):
            deepest = step(deepest, skip)
        correction = in_full_precision(lambda features: self.head(features[0]), [deepest])
        logits = nn.functional.interpolate(correction, (height, width), mode="bilinear", align_corners=False)
        return (guess + logits).sigmoid()

    def forward(self, pixel_values: Tensor) -> Tensor:
        """See the class."""
        return self.decode(self.encode(pixel_values), pixel_values.shape[-2], pixel_values.shape[-1])


class ResNetDepthNetwork(ConvolutionalDepthNetwork):  # type: ignore[no-untyped-call]
    """With a ResNet encoder, transformers' own."""

    config_class = ResNetDepthConfig
    config: ResNetDepthConfig

    def __init__(self, config: ResNetDepthConfig) -> None:
        encoder = config.backbone_config
        super().__init__(config, transformers.ResNetBackbone(encoder), [encoder.embedding_size, *encoder.hidden_sizes])

    def _features(self, pixels: Tensor) -> list[Tensor]:
        # ResNetBackbone's own stem output is behind the pooling, at 1/4.
        features = [self.backbone.embedder.embedder(pixels)]
        deeper = self.backbone.embedder.pooler(features[0])
        for stage in self.backbone.encoder.stages:
            deeper = stage(deeper)
            features.append(deeper)
        return features


class EfficientNetDepthNetwork(ConvolutionalDepthNetwork):  # type: ignore[no-untyped-call]
    """With an EfficientNet-Lite encoder."""

    config_class = EfficientNetDepthConfig
    config: EfficientNetDepthConfig

    def __init__(self, config: EfficientNetDepthConfig) -> None:
        backbone = EfficientNetLite(config.num_channels, config.stem_channels, [Stage(*stage) for stage in config.stages])
        super().__init__(config, backbone, backbone.widths)

    def _features(self, pixels: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.backbone(pixels)
        return features


class _UpStep(nn.Module):
    """Features of a deeper stage, doubled and joined with those of the encoder."""

    def __init__(self, deeper: int, skip: int, width: int) -> None:
        super().__init__()
        self.reduce = _Convolution(deeper, width)
        self.join = _Convolution(width + skip, width)

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        doubled = nn.functional.interpolate(self.reduce(deeper), scale_factor=2.0, mode="nearest")
        return self.join(torch.cat([doubled[..., : skip.shape[-2], : skip.shape[-1]], skip], dim=1))  # type: ignore[no-any-return]


class _Convolution(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.relu(self.normalization(self.convolution(features)), inplace=True)


class ConvolutionalDepthModel(DepthModel):
    """A `DepthModel` whose network is a `ConvolutionalDepthNetwork`; its "patch tokens" are the cells of the deepest stage.

    Channels last, which convolutions on a CPU are much faster in.
    """

    def __init__(self, network: Any, description: ModelDescription) -> None:
        super().__init__(network, description)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def create_convolutional(
        cls, size: EncoderShape, description: ModelDescription, seed: int = 0, camera_height: float = FLAT_ROAD
    ) -> ConvolutionalDepthModel:
        """Random weights from a seed, of a named size or this shape; starts at about FIRST_DEPTH metres, or where it sees its
        camera and depth is focal-normalised, at a flat road `camera_height` metres below it.

        Raises ValueError for a parametrisation other than sigmoid disparity, the only one it has.
        """
        if description.parametrisation != "sigmoid_disparity":
            raise ValueError(f"parametrisation {description.parametrisation!r}: a convolutional network has sigmoid_disparity only")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = convolutional_config(size, description, camera_height)
            network: Any = ResNetDepthNetwork(config) if isinstance(config, ResNetDepthConfig) else EfficientNetDepthNetwork(config)
            nn.init.normal_(network.head.weight, std=_FIRST_WEIGHT)
            nn.init.constant_(network.head.bias, first_logit(description) if network.config.flat_road is None else 0.0)
        return cls(network.eval(), description)

    def _encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        if pixels.shape[-2] % 2 or pixels.shape[-1] % 2:
            raise ValueError(f"images of {pixels.shape[-1]}x{pixels.shape[-2]}: both sides must be even")
        features: tuple[Tensor, ...] = self.network.encode(pixels)
        return features

    def _decode(self, features: tuple[Tensor, ...], height: int, width: int) -> Tensor:
        return depth_from_output(self.network.decode(features, height, width), self.description)

    def _tokens(self, features: tuple[Tensor, ...]) -> Tensor:
        return features[-1].flatten(2).transpose(1, 2)


def initialise_for_relu(module: nn.Module) -> None:
    """Random weights for a convolution or normalisation before a ReLU (He et al., 2015); any other module stays as it is."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()


def convolutional_config(
    size: EncoderShape, description: ModelDescription, camera_height: float = FLAT_ROAD
) -> ResNetDepthConfig | EfficientNetDepthConfig:
    """The configuration of an encoder of a named size or of this shape, and of the decoder that goes with it."""
    flat_road, channels = _flat_road(description, camera_height), description.input_channels
    if size in get_args(LiteSize):
        size = lite_stages(cast("LiteSize", size))
    if isinstance(size[0], Stage):
        return EfficientNetDepthConfig(num_channels=channels, stages=size, flat_road=flat_road)
    widths = ENCODER_WIDTHS[cast("ResNetSize", size)] if isinstance(size, str) else cast("tuple[int, int, int, int]", size)
    resnet: Any = transformers.ResNetConfig
    encoder = resnet(
        num_channels=channels,
        embedding_size=widths[0],
        hidden_sizes=list(widths),
        depths=list(_BLOCKS),
        layer_type="basic",
        out_features=["stem", "stage1", "stage2", "stage3", "stage4"],
    )
    return ResNetDepthConfig(encoder, decoder_widths=[widths[3] // 2, widths[2] // 2, widths[1] // 2, widths[0] // 2], flat_road=flat_road)


def _flat_road(description: ModelDescription, camera_height: float) -> tuple[float, float, float, float] | None:
    canonical = description.canonical_focal_length
    if canonical is None or not description.camera_input:
        return None
    # Within the range, at whose end the logit is infinite.
    least = 1 / min(_FARTHEST_GUESS, 0.9 * description.max_depth)
    # The road of a level camera is at z = height * canonical / (CAMERA_UNIT * y); see `camera_channels`.
    return 1 / description.min_depth, 1 / description.max_depth, CAMERA_UNIT / (camera_height * canonical), least
