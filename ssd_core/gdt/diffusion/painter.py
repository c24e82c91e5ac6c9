# SPDX-License-Identifier: Apache-2.0
"""Stable Diffusion at work: `I_g = SD(IP(T_p, I_p), CN(D_h), z)` of the paper, on canvases that are prepared already."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
import transformers
from diffusers.models.embeddings import ImageProjection

from ssd_core.gdt.diffusion.config import AdapterConfig, DiffusionConfig, Precision, Scheduler
from ssd_core.gdt.diffusion.model_files import ModelFolder, NetworkFiles, find_model, quiet
from ssd_core.gdt.diffusion.prompts import Prompt
from ssd_core.images.codec import Image
from ssd_core.model.checkpoint import ModelLoadError

_logger = logging.getLogger(__name__)

_UNET = NetworkFiles("unet", "diffusion_pytorch_model")
_VAE = NetworkFiles("vae", "diffusion_pytorch_model")
_TEXT_ENCODER = NetworkFiles("text_encoder", "model")
_CONTROLNET = NetworkFiles("", "diffusion_pytorch_model")
_OTHER_FILES = ("tokenizer/*", "scheduler/scheduler_config.json")
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SCHEDULERS: dict[Scheduler, tuple[str, dict[str, Any]]] = {
    "unipc": ("UniPCMultistepScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
}
"""None of them draws noise while it steps."""


class Painting(NamedTuple):
    """One picture to paint: source and control uint8 (H, W, 3) RGB of one size, whose sides are multiples of 8."""

    source: Image
    control: Image
    prompt: Prompt
    image_prompt: Image | None
    seed: int


class _OneImageAPrompt:
    """diffusers takes several pictures as several image prompts of every picture painted; here each has its own."""

    def prepare_ip_adapter_image_embeds(
        self: Any, ip_adapter_image: Any, ip_adapter_image_embeds: Any, device: Any, num_images_per_prompt: int, guided: bool
    ) -> list[torch.Tensor]:
        """(pictures, 1, ...) for the one adapter, the unconditional ones before if there is guidance."""
        del ip_adapter_image_embeds, num_images_per_prompt
        wants_tokens = not isinstance(self.unet.encoder_hid_proj.image_projection_layers[0], ImageProjection)
        wanted, unwanted = self.encode_image(ip_adapter_image, device, 1, wants_tokens)
        return [(torch.cat([unwanted, wanted]) if guided else wanted)[:, None]]


class _FromNoise(_OneImageAPrompt, diffusers.StableDiffusionControlNetPipeline):  # type: ignore[misc]
    pass


class _FromSource(_OneImageAPrompt, diffusers.StableDiffusionControlNetImg2ImgPipeline):  # type: ignore[misc]
    pass


class Painter:
    """All networks of a translation but the captioner's. Build it with `load`."""

    def __init__(self, pipeline: Any, config: DiffusionConfig, models: dict[str, dict[str, str]]) -> None:
        self._pipeline, self._config = pipeline, config
        self._has_warned = False
        self.models = models
        """Name and revision of each model, for the manifest."""

    @classmethod
    def load(cls, config: DiffusionConfig, device: torch.device, dtype: torch.dtype) -> Painter:
        """Raises ModelLoadError."""
        stable_diffusion = find_model(config.stable_diffusion, [_UNET, _VAE, _TEXT_ENCODER], _OTHER_FILES)
        controlnet = find_model(config.controlnet, [_CONTROLNET])
        models = {"stable_diffusion": stable_diffusion.record, "controlnet": controlnet.record}
        components = _components(stable_diffusion, config.scheduler, dtype)
        components["controlnet"] = controlnet.load(diffusers.ControlNetModel, _CONTROLNET, dtype)
        adapter = None
        if config.adapter is not None:
            encoder = NetworkFiles(config.adapter.image_encoder, "model")
            adapter = find_model(config.adapter.model, [encoder], [config.adapter.weights])
            models["adapter"] = {**adapter.record, "weights": config.adapter.weights}
            network = adapter.load(transformers.CLIPVisionModelWithProjection, encoder, dtype, unused=("position_ids",))
            with quiet():
                components |= {"image_encoder": network, "feature_extractor": _feature_extractor(network.config.image_size)}
        pipeline = _assembled(components, config)
        if adapter is not None and config.adapter is not None:
            _load_adapter(pipeline, adapter, config.adapter)
        _place(pipeline, config, device)
        return cls(pipeline, config, models)

    def paint(self, paintings: Sequence[Painting]) -> list[Image]:
        """uint8 (H, W, 3) RGB each. All paintings must be of one size and have an image prompt, or none.

        Each has its own source of noise, so its picture doesn't depend on the others (beyond rounding).
        """
        config = self._config
        self._warn_of_long_prompts(paintings)
        inputs: dict[str, Any] = {
            "prompt": [painting.prompt.positive for painting in paintings],
            "negative_prompt": [painting.prompt.negative for painting in paintings],
            # Drawn on the CPU: a seed gives the same noise on every device.
            "generator": [torch.Generator("cpu").manual_seed(painting.seed) for painting in paintings],
        }
        control = _as_tensor([painting.control for painting in paintings])
        if config.start == "noise":
            inputs |= {"image": control}
        else:
            inputs |= {"control_image": control, "image": _as_tensor([painting.source for painting in paintings])}
            inputs |= {"strength": config.strength}
        if config.adapter is not None:
            inputs["ip_adapter_image"] = [painting.image_prompt for painting in paintings]
        with torch.inference_mode(), quiet():
            painted = self._pipeline(
                **inputs,
                num_inference_steps=config.steps,
                guidance_scale=config.guidance,
                controlnet_conditioning_scale=config.control_scale,
                control_guidance_end=config.control_end,
                output_type="np",
            ).images
        if not np.isfinite(painted).all():
            raise FloatingPointError("Stable Diffusion gave values that aren't finite; load it with precision bf16 or fp32")
        return [np.round(picture * 255).astype(np.uint8) for picture in painted]

    def _warn_of_long_prompts(self, paintings: Sequence[Painting]) -> None:
        """Once: what is beyond the text encoder's reach is dropped without an error."""
        tokenizer = self._pipeline.tokenizer
        for painting in () if self._has_warned else paintings:
            with quiet():
                length = len(tokenizer(painting.prompt.positive).input_ids)
            if length > tokenizer.model_max_length:
                _logger.warning(
                    "a prompt of %d tokens, of which the first %d count: %s", length, tokenizer.model_max_length, painting.prompt.positive
                )
                self._has_warned = True
                break


def choose_device(device: str) -> torch.device:
    """Raises ValueError for one that isn't there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r}: auto, cpu, cuda or cuda:N is expected") from error
    if chosen.type == "cuda" and (not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"device {device!r}: PyTorch finds {torch.cuda.device_count()} GPUs; choose auto or cpu")
    return chosen


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """What "auto" means here; fp16 on a CPU is refused with ValueError, since it lacks the arithmetic."""
    if precision == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision fp16 needs a GPU; choose auto, fp32 or bf16")
    return _TYPES[precision]


def _components(folder: ModelFolder, scheduler: Scheduler, dtype: torch.dtype) -> dict[str, Any]:
    name, options = _SCHEDULERS[scheduler]
    try:
        with quiet():
            tokenizer = transformers.CLIPTokenizer.from_pretrained(folder.path / "tokenizer", local_files_only=True)
            steps = getattr(diffusers, name).from_pretrained(folder.path / "scheduler", local_files_only=True, **options)
    except Exception as error:  # both libraries raise nearly any class for a bad folder
        raise ModelLoadError(f"{folder.path}: no usable tokenizer or scheduler: {error}") from error
    return {
        "vae": folder.load(diffusers.AutoencoderKL, _VAE, dtype),
        "text_encoder": folder.load(transformers.CLIPTextModel, _TEXT_ENCODER, dtype, unused=("position_ids",)),
        "unet": folder.load(diffusers.UNet2DConditionModel, _UNET, dtype),
        "tokenizer": tokenizer,
        "scheduler": steps,
        # It blackens pictures on suspicion, and a night road is easily suspected; sources are pictures of roads.
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
    }


def _assembled(components: dict[str, Any], config: DiffusionConfig) -> Any:
    kind: Any = _FromNoise if config.start == "noise" else _FromSource
    with quiet():
        pipeline = kind(**components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _feature_extractor(side: int) -> Any:
    """As IP-Adapter was trained: the middle square of the picture, at the encoder's size."""
    return transformers.CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def _load_adapter(pipeline: Any, folder: ModelFolder, config: AdapterConfig) -> None:
    subfolder, _, name = config.weights.rpartition("/")
    if not name.endswith(".safetensors"):
        raise ModelLoadError(f"adapter.weights: {config.weights}: a .safetensors file is expected; others can run code")
    try:
        with quiet():
            pipeline.load_ip_adapter(
                str(folder.path), subfolder=subfolder, weight_name=name, image_encoder_folder=None, local_files_only=True
            )
    except Exception as error:  # diffusers and torch raise nearly any class for tensors that don't fit
        raise ModelLoadError(
            f"{folder.path / config.weights}: can't be loaded as an IP-Adapter of this Stable Diffusion: {error}"
        ) from error
    pipeline.set_ip_adapter_scale(config.scale)


def _place(pipeline: Any, config: DiffusionConfig, device: torch.device) -> None:
    if config.attention_slicing:
        _slice_attention(pipeline)
    if config.vae_slicing:
        pipeline.vae.enable_slicing()
    if config.offload == "none":
        pipeline.to(device)
    elif device.type == "cpu":
        raise ValueError(f"offload: {config.offload} moves networks between CPU and GPU; there is no GPU here, choose none")
    elif config.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)


def _slice_attention(pipeline: Any) -> None:
    """Slices self-attention, whose size grows with the fourth power of the picture's side."""
    whole = dict(pipeline.unet.attn_processors)
    pipeline.enable_attention_slicing()
    sliced = dict(pipeline.unet.attn_processors)
    # diffusers would put slicing in the place of the adapter, which then did nothing.
    pipeline.unet.set_attn_processor({name: sliced[name] if "attn1" in name else whole[name] for name in whole})


def _as_tensor(pictures: Sequence[Image]) -> torch.Tensor:
    """(B, 3, H, W), 0 to 1."""
    return torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 255)
