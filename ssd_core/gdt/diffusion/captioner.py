# SPDX-License-Identifier: Apache-2.0
"""What is in a picture, in a sentence: by BLIP-2, by BLIP, or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from ssd_core.data.errors import DataError
from ssd_core.gdt.diffusion.config import CaptionerConfig
from ssd_core.gdt.diffusion.model_files import ModelFolder, NetworkFiles, find_model, quiet
from ssd_core.images.codec import Image
from ssd_core.model.checkpoint import ModelLoadError
from ssd_core.storage.json_lines import read_json_lines

_NETWORKS = {"blip2": "Blip2ForConditionalGeneration", "blip": "BlipForConditionalGeneration"}
_PROCESSORS = {"blip2": "Blip2Processor", "blip": "BlipProcessor"}
_OTHER_FILES = ("tokenizer*.json",)
_OPTIONAL_FILES = (
    "*processor_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
)


class Captioner(Protocol):
    """Says what is in pictures."""

    @property
    def record(self) -> dict[str, str]:
        """What made the captions, for the manifest."""
        ...

    def caption(self, frame_id: str, image: Image) -> str:
        """One sentence about uint8 (H, W, 3) RGB."""
        ...


class CaptionFile:
    """Captions that were made before: JSON lines with frame_id and caption. Raises FileNotFoundError, DataError naming file and line."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(2, "no such file of captions", str(path))
        self._path = path
        try:
            self._captions = {str(record["frame_id"]): str(record["caption"]) for record in read_json_lines(path)}
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}: a line that isn't {{'frame_id': ..., 'caption': ...}}: {error}") from error
        self.record = {"name": path.name, "revision": "file"}

    def caption(self, frame_id: str, image: Image) -> str:
        """The frame's line. Raises DataError if it has none."""
        del image
        if frame_id not in self._captions:
            raise DataError(f"{self._path}: no caption of {frame_id}")
        return self._captions[frame_id]


class BlipCaptioner:
    """BLIP or BLIP-2, one picture at a time, so that a caption doesn't depend on what else is captioned.

    Nothing is drawn: beams are searched, so the same picture has the same caption. With `offload` the network is on the device only
    while it works.
    """

    def __init__(self, config: CaptionerConfig, folder: ModelFolder, device: torch.device, dtype: torch.dtype, offload: bool) -> None:
        import transformers

        self._config, self._device, self._dtype, self._offload = config, device, dtype, offload
        self._network: Any = folder.load(
            getattr(transformers, _NETWORKS[config.kind]), NetworkFiles("", "model"), dtype, unused=("position_ids",)
        )
        try:
            with quiet():
                self._processor: Any = getattr(transformers, _PROCESSORS[config.kind]).from_pretrained(folder.path, local_files_only=True)
        except Exception as error:  # transformers raises nearly any class for a bad folder
            raise ModelLoadError(f"{folder.path}: no usable processor of {config.kind}: {error}") from error
        if not offload:
            self._network.to(device)
        self.record = folder.record

    @classmethod
    def load(cls, config: CaptionerConfig, device: torch.device, dtype: torch.dtype, offload: bool) -> BlipCaptioner:
        """Raises ModelLoadError."""
        assert config.model is not None, "every kind but file has one"
        folder = find_model(config.model, [NetworkFiles("", "model")], _OTHER_FILES, _OPTIONAL_FILES)
        return cls(config, folder, device, dtype, offload)

    def caption(self, frame_id: str, image: Image) -> str:
        """See Captioner."""
        del frame_id
        inputs = self._processor(images=image, return_tensors="pt").to(self._device, self._dtype)
        if self._offload:
            self._network.to(self._device)
        with torch.inference_mode(), quiet():
            tokens = self._network.generate(
                **inputs, max_new_tokens=self._config.max_new_tokens, num_beams=self._config.beams, do_sample=False
            )
        if self._offload:
            self._network.to("cpu")
        return str(self._processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()


def load_captioner(config: CaptionerConfig, device: torch.device, dtype: torch.dtype, offload: bool) -> Captioner:
    """The captioner of a configuration. Raises ModelLoadError, FileNotFoundError, DataError."""
    if config.file is not None:
        return CaptionFile(config.file)
    return BlipCaptioner.load(config, device, dtype, offload)
