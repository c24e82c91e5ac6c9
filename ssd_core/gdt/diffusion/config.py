# SPDX-License-Identifier: Apache-2.0
"""What decides a translation by Stable Diffusion; nothing heavy is imported here. Grades of the defaults are in docs/gdt.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pydantic

from ssd_core.gdt.translator import TargetCondition
from ssd_core.storage.configuration import StrictModel

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Scheduler = Literal["unipc", "dpm++", "ddim", "euler"]
CaptionerKind = Literal["blip2", "blip", "file"]
Offload = Literal["none", "model", "sequential"]

_PUBLISHED_CAPTIONERS = {"blip2": "Salesforce/blip2-opt-2.7b", "blip": "Salesforce/blip-image-captioning-large"}


class ModelSource(StrictModel):
    """Where weights come from."""

    name: str
    """A Hub id, or a local folder with the same files."""
    revision: str = "main"
    """Branch, tag or commit of a Hub id; what it resolved to is written into the manifest."""
    half: bool = False
    """Take the files of half precision (*.fp16.safetensors) where there are some: half the download."""


class CaptionerConfig(StrictModel):
    """What says what is in a picture."""

    kind: CaptionerKind = "blip2"
    """blip2 and blip describe the picture; file reads captions that were made before."""
    model: ModelSource | None = None
    """Of blip2 and blip; None: the published one of that kind, whose name then stands here."""
    file: Path | None = None
    """JSON lines with frame_id and caption."""
    max_new_tokens: pydantic.PositiveInt = 40
    """The prompt has room for 77 tokens in all."""
    beams: pydantic.PositiveInt = 3

    @pydantic.model_validator(mode="before")
    @classmethod
    def _has_the_model_of_its_kind(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("model") is not None:
            return values
        published = _PUBLISHED_CAPTIONERS.get(str(values.get("kind", "blip2")))
        return values if published is None else {**values, "model": {"name": published}}

    @pydantic.model_validator(mode="after")
    def _has_its_file(self) -> CaptionerConfig:
        if (self.kind == "file") != (self.file is not None):
            raise ValueError("file: give it with kind: file, and only then")
        return self


class AdapterConfig(StrictModel):
    """IP-Adapter: a real picture of the wanted condition beside the prompt."""

    model: ModelSource = ModelSource(name="h94/IP-Adapter")
    weights: str = "models/ip-adapter_sd15.safetensors"
    """A file in the model's folder."""
    image_encoder: str = "models/image_encoder"
    """A folder in the model's folder."""
    scale: float = pydantic.Field(default=0.5, ge=0, le=1.5)
    """Of the picture's part in attention; 0 ignores it."""
    split: str | None = None
    """Of data sets that have splits, such as train. None: of nuScenes what is trained on (train, of v1.0-mini mini_train), never the
    frames that are evaluated; of all others everything."""
    images: dict[TargetCondition, Path]
    """For each condition a folder of pictures, of which all are taken, or a recording or data set, of which the frames of this
    condition are. One is drawn for each translation, by its seed."""


class BrightnessConfig(StrictModel):
    """Mean brightness to which translations to night are brought, 0 to 1, of luma as it is stored (not linear)."""

    low: float = pydantic.Field(default=0.08, gt=0, lt=1)
    high: float = pydantic.Field(default=0.30, gt=0, lt=1)
    """Real night frames of nuScenes are about 0.15, of RobotCar 0.34."""
    strongest: float = pydantic.Field(default=2.5, ge=1)
    """Greatest exponent, and the inverse of the least: a picture that would need more stays outside the range."""

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> BrightnessConfig:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


COMPUTED_BY = frozenset({"device", "offload", "attention_slicing", "vae_slicing"})
"""Keys of DiffusionConfig that say where and with how much memory it is computed, not what: a job may go on with others."""


class DiffusionConfig(StrictModel):
    """Stable Diffusion with ControlNet on depth and IP-Adapter."""

    stable_diffusion: ModelSource = ModelSource(name="stable-diffusion-v1-5/stable-diffusion-v1-5", half=True)
    controlnet: ModelSource = ModelSource(name="lllyasviel/control_v11f1p_sd15_depth", half=True)
    adapter: AdapterConfig | None = None
    """None translates by the prompt alone."""
    captioner: CaptionerConfig = CaptionerConfig()
    prompts: Path | None = None
    """Templates of one's own instead of prompts.yaml of this package, in the same form."""
    start: Literal["noise", "source"] = "noise"
    """source: img2img, from the source picture with noise over it."""
    strength: float = pydantic.Field(default=0.8, gt=0, le=1)
    """Of that noise; 1 is as good as starting from noise."""
    steps: pydantic.PositiveInt = 30
    scheduler: Scheduler = "unipc"
    guidance: float = pydantic.Field(default=7.5, ge=1)
    """Classifier-free guidance; 1 is none, and the negative prompt then counts for nothing."""
    control_scale: float = pydantic.Field(default=1.0, ge=0, le=2)
    control_end: float = pydantic.Field(default=1.0, gt=0, le=1)
    """Share of the steps after which depth no longer guides."""
    long_side: int = pydantic.Field(default=768, ge=64)
    """Pixels of the picture's longer side in the network; the shorter one follows from its aspect."""
    batch_size: pydantic.PositiveInt = 1
    night_brightness: BrightnessConfig | None = BrightnessConfig()
    """None leaves nights as they come."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    precision: Precision = "auto"
    """auto is fp16 on a GPU, in which these models are published, and fp32 on a CPU; bf16 can't overflow, but steps more coarsely."""
    attention_slicing: bool = False
    """Attention in slices: less memory, slower. PyTorch's own attention rarely needs it."""
    vae_slicing: bool = False
    """Decode a batch picture by picture."""
    offload: Offload = "none"
    """model: only the network at work is on the GPU; sequential: only the layer at work, very slow. Needs a GPU."""
