# SPDX-License-Identifier: Apache-2.0
"""The paper's translator: caption, prompt, depth and a real picture of the condition into Stable Diffusion."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from importlib import metadata
from itertools import groupby
from typing import Any

from ssd_core.gdt.diffusion.brightness import adjust_brightness
from ssd_core.gdt.diffusion.canvas import Canvas
from ssd_core.gdt.diffusion.captioner import Captioner, load_captioner
from ssd_core.gdt.diffusion.conditioning import control_picture
from ssd_core.gdt.diffusion.config import DiffusionConfig
from ssd_core.gdt.diffusion.image_prompts import ImagePrompt, ImagePrompts
from ssd_core.gdt.diffusion.painter import Painter, Painting, choose_device, choose_dtype
from ssd_core.gdt.diffusion.prompts import Prompt, PromptTemplates, load_prompts
from ssd_core.gdt.translator import TranslatedImage, TranslationRequest, UntranslatableError
from ssd_core.images.codec import Image, ImageDecodeError


class DiffusionTranslator:
    """A Translator. Build it with `ssd_core.gdt.diffusion.build_translator`."""

    name = "diffusion"

    def __init__(
        self,
        config: DiffusionConfig,
        painter: Painter,
        captioner: Captioner,
        prompts: PromptTemplates,
        image_prompts: ImagePrompts | None,
    ) -> None:
        self._config, self._painter, self._captioner = config, painter, captioner
        self._prompts, self._image_prompts = prompts, image_prompts
        self.batch_size = config.batch_size
        self._last_caption: tuple[tuple[str, int], str] | None = None

    @classmethod
    def load(cls, config: DiffusionConfig) -> DiffusionTranslator:
        """Cheap things first, so that a wrong path is told before minutes of loading. Raises as build_translator."""
        device = choose_device(config.device)
        dtype = choose_dtype(config.precision, device)
        prompts = load_prompts(config.prompts)
        image_prompts = ImagePrompts(config.adapter.images, config.adapter.split) if config.adapter is not None else None
        captioner = load_captioner(config.captioner, device, dtype, config.offload != "none")
        return cls(config, Painter.load(config, device, dtype), captioner, prompts, image_prompts)

    def translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage]:
        """See Translator. Neighbours of one size are painted at once, `batch_size` at most."""
        prepared = [_Prepared(self, request) for request in requests]
        translated: list[TranslatedImage] = []
        for _, group in groupby(prepared, key=lambda item: item.canvas.size):
            same_size = list(group)
            for start in range(0, len(same_size), self.batch_size):
                batch = same_size[start : start + self.batch_size]
                try:
                    painted = self._painter.paint([item.painting for item in batch])
                except FloatingPointError as error:
                    raise UntranslatableError(f"{', '.join(item.frame_id for item in batch)}: {error}") from error
                translated += [item.finish(picture) for item, picture in zip(batch, painted, strict=True)]
        return translated

    def caption(self, request: TranslationRequest) -> tuple[str, Prompt]:
        """What the captioner says of the source, and the prompt that it becomes."""
        # A frame's conditions follow each other.
        picture = request.frame_id, zlib.crc32(request.image.tobytes())
        if self._last_caption is None or self._last_caption[0] != picture:
            self._last_caption = picture, self._captioner.caption(request.frame_id, request.image)
        caption = self._last_caption[1]
        return caption, self._prompts.fill(request.condition, caption)

    def image_prompt(self, request: TranslationRequest) -> ImagePrompt | None:
        """The real picture that the request's seed draws; None without an adapter. Raises UntranslatableError if it is damaged."""
        try:
            return self._image_prompts.draw(request.condition, request.seed) if self._image_prompts else None
        except ImageDecodeError as error:
            raise UntranslatableError(f"{request.frame_id}: its image prompt: {error}") from error

    def settings(self) -> dict[str, Any]:
        """What is the same for all pictures, for the manifest."""
        config = self._config
        return {
            "steps": config.steps,
            "scheduler": config.scheduler,
            "guidance": config.guidance,
            "control_scale": config.control_scale,
            "control_end": config.control_end,
            "adapter_scale": config.adapter.scale if config.adapter else None,
            "start": config.start,
            "strength": config.strength if config.start == "source" else None,
            "models": {**self._painter.models, "captioner": self._captioner.record},
            "diffusers": metadata.version("diffusers"),
        }

    @property
    def config(self) -> DiffusionConfig:
        """As it was loaded."""
        return self._config


class _Prepared:
    """A request on its canvas."""

    def __init__(self, translator: DiffusionTranslator, request: TranslationRequest) -> None:
        self._translator, self._request = translator, request
        try:
            depth = control_picture(request.depth, request.depth_kind)
        except ValueError as error:
            raise UntranslatableError(f"{request.frame_id}: {error}") from error
        try:
            self.canvas = Canvas.fit((request.image.shape[1], request.image.shape[0]), translator.config.long_side)
            control = self.canvas.place(depth)
        except ValueError as error:
            raise ValueError(f"{request.frame_id}: {error}") from error
        self._caption, self._prompt = translator.caption(request)
        self._image_prompt = translator.image_prompt(request)
        picture = self._image_prompt.image if self._image_prompt else None
        self.painting = Painting(self.canvas.place(request.image), control, self._prompt, picture, request.seed)

    @property
    def frame_id(self) -> str:
        """Of the request."""
        return self._request.frame_id

    def finish(self, painted: Image) -> TranslatedImage:
        """Back to the source's pixels; nights are adjusted."""
        image, brightness = self.canvas.restore(painted), None
        if self._request.condition == "night" and self._translator.config.night_brightness is not None:
            adjusted = adjust_brightness(image, self._translator.config.night_brightness)
            image, brightness = adjusted.image, {"exponent": adjusted.exponent, "mean": adjusted.mean}
        provenance = {
            "caption": self._caption,
            "prompt": self._prompt.positive,
            "negative_prompt": self._prompt.negative,
            "image_prompt": self._image_prompt.name if self._image_prompt else None,
            "seed": self._request.seed,
            "size": list(self.canvas.size),
            "brightness": brightness,
            **self._translator.settings(),
        }
        return TranslatedImage(image, provenance)
