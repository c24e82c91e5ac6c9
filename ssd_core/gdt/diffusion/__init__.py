# SPDX-License-Identifier: Apache-2.0
"""Translation by Stable Diffusion: the paper's own way. diffusers and transformers are imported when it is built, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_core.gdt.diffusion.config import DiffusionConfig

if TYPE_CHECKING:
    from ssd_core.gdt.translator import Translator

__all__ = ["DiffusionConfig", "build_translator"]


def build_translator(config: DiffusionConfig, device: str | None = None) -> Translator:
    """Load all models; device overrides the configuration's, for one process a GPU.

    Raises ModelLoadError (a model that isn't there or doesn't fit, diffusers not installed), DataError (image prompts that can't be
    read), ConfigurationError, FileNotFoundError (prompts, captions), ValueError (a device or precision this machine lacks).
    """
    from ssd_core.model.checkpoint import ModelLoadError, quiet_transformers

    try:
        with quiet_transformers():
            from ssd_core.gdt.diffusion.diffusion_translator import DiffusionTranslator
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("diffusers", "accelerate"):
            raise
        raise ModelLoadError(f'{error.name} is not installed: pip install -e ".[gdt]" in a clone of this repository') from error
    return DiffusionTranslator.load(config.model_copy(update={"device": device}) if device else config)
