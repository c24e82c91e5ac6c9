# SPDX-License-Identifier: Apache-2.0
"""Models of several networks, from the Hub or a folder; networks of diffusers and transformers, loaded strictly and never unpickled."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ssd_core.gdt.diffusion.config import ModelSource
from ssd_core.model.checkpoint import ModelLoadError, quiet_transformers


class NetworkFiles(NamedTuple):
    """A network in a model's folder."""

    folder: str
    """Below the model's; "" for the model's itself."""
    stem: str
    """Of the file of weights."""

    def patterns(self, half: bool) -> list[str]:
        """What to download."""
        names = [f"{self.stem}{'.fp16' if half else ''}{rest}" for rest in (".safetensors", "-*-of-*.safetensors")]
        if not half:
            names.append(f"{self.stem}.safetensors.index.json")
        return [self._below(name) for name in (*names, "config.json")]

    def weights(self, folder: Path, half: bool) -> list[Path]:
        """The files of weights that are there."""
        return sorted(path for pattern in self.patterns(half) if pattern.endswith(".safetensors") for path in folder.glob(pattern))

    def _below(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


@dataclasses.dataclass(frozen=True)
class ModelFolder:
    """A model on this machine."""

    path: Path
    name: str
    revision: str
    """The commit of a model of the Hub; of a local folder "local-" and the first digits of its weights' SHA-256."""
    half: bool
    """Whether the files of half precision are there and asked for."""

    @property
    def record(self) -> dict[str, str]:
        """For the manifest."""
        return {"name": self.name, "revision": self.revision}

    def load(
        self, network: type[Any], files: NetworkFiles, dtype: torch.dtype, unused: Sequence[str] = (), spare: Sequence[str] = ()
    ) -> Any:
        """A network of diffusers or transformers, evaluation mode. unused: names of tensors that may be there for nothing end so;
        spare: names of tensors that the network has but never uses, and that may be missing, hold this.

        Both libraries leave a tensor that the file lacks at random values with no more than a warning; here every missing, extra or
        misshapen one is a ModelLoadError.
        """
        folder = self.path / files.folder
        is_half = self.half and bool(files.weights(self.path, half=True))
        options = {"variant": "fp16"} if is_half else {}
        try:
            with quiet():
                loaded, report = network.from_pretrained(
                    folder, use_safetensors=True, local_files_only=True, output_loading_info=True, torch_dtype=dtype, **options
                )
        except Exception as error:  # both raise nearly any class for a bad folder
            raise ModelLoadError(f"{folder}: {network.__name__} can't be built from it: {error}") from error
        extra = [name for name in report["unexpected_keys"] if not str(name).endswith(tuple(unused))]
        missing = [name for name in report["missing_keys"] if not any(part in name for part in spare)]
        wrong = {"missing": missing, "unknown": extra, "of a wrong shape": report["mismatched_keys"]}
        problems = [f"{len(names)} {what} ({', '.join(map(str, sorted(names)[:4]))})" for what, names in wrong.items() if names]
        if problems:
            raise ModelLoadError(f"{folder}: tensors don't fit config.json: {'; '.join(problems)}; copy or download both again")
        return loaded.eval()


def find_model(
    source: ModelSource, networks: Sequence[NetworkFiles], others: Sequence[str] = (), optional: Sequence[str] = ()
) -> ModelFolder:
    """The folder of a model and all its networks; a Hub id is downloaded (or found in the cache when offline).

    others: patterns of files besides networks; optional: of files that some models have. Raises ModelLoadError, naming what is missing
    where.
    """
    path = Path(source.name).expanduser()
    if path.is_dir():
        _check(path, networks, others)
        weights = [file for network in networks for half in (True, False) for file in network.weights(path, half)]
        return ModelFolder(path, path.resolve().name, f"local-{_digest(weights)}", source.half)
    if path.is_absolute() or source.name.startswith(("~", ".")) or source.name.count("/") != 1:
        raise ModelLoadError(f"no model folder {source.name!r}; give a Hub id or a folder with {_wanted(networks, others)}")
    path = _download(source, networks, [*others, *optional])
    _check(path, networks, others)
    return ModelFolder(path, source.name, path.name, source.half)


def _download(source: ModelSource, networks: Sequence[NetworkFiles], others: Sequence[str]) -> Path:
    patterns = [pattern for network in networks for pattern in network.patterns(source.half)]
    folder = _snapshot(source, [*patterns, *others], networks)
    whole = [network for network in networks if source.half and not network.weights(folder, half=True)]
    if whole:
        folder = _snapshot(source, [pattern for network in whole for pattern in network.patterns(half=False)], networks)
    return folder


def _snapshot(source: ModelSource, patterns: list[str], networks: Sequence[NetworkFiles]) -> Path:
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        return Path(huggingface_hub.snapshot_download(source.name, revision=source.revision, allow_patterns=patterns))
    except Exception as error:  # the Hub's client raises its own, its HTTP library's and the system's classes
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        cached = Path(HF_HUB_CACHE) / ("models--" + source.name.replace("/", "--"))
        raise ModelLoadError(
            f"model {source.name!r} (revision {source.revision}) isn't a local folder and couldn't be had from the Hugging Face Hub "
            f"({cause}). Without network: put it into the Hub's cache ({cached}), or copy {_wanted(networks, ())} into a folder "
            "and give that folder as its name"
        ) from error


def _check(folder: Path, networks: Sequence[NetworkFiles], others: Sequence[str]) -> None:
    for network in networks:
        place = folder / network.folder
        if not (place / "config.json").is_file():
            raise ModelLoadError(f"{place}: has no config.json; the model {folder} needs {_wanted(networks, others)}")
        if not network.weights(folder, half=False) and not network.weights(folder, half=True):
            pickled = ", ".join(sorted(file.name for file in place.glob("*.bin")))
            raise ModelLoadError(
                f"{place}: has no {network.stem}.safetensors"
                + (f", only pickled weights ({pickled}), which are never loaded since they can run code" if pickled else "")
                + "; copy or download it, or name a revision that has it"
            )
    for pattern in others:
        if not any(folder.glob(pattern)):
            raise ModelLoadError(f"{folder}: has no {pattern}; it needs {_wanted(networks, others)}")


def _wanted(networks: Sequence[NetworkFiles], others: Sequence[str]) -> str:
    files = [str(Path(network.folder) / name) for network in networks for name in ("config.json", f"{network.stem}.safetensors")]
    return ", ".join([*files, *others])


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and loading reports of transformers and diffusers: what is wrong, our errors say."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet_transformers())
        # What hasn't been imported can't be loud, and needn't be installed for a depth network.
        if "diffusers" in sys.modules:
            stack.enter_context(_quiet_diffusers())
        yield


@contextlib.contextmanager
def _quiet_diffusers() -> Iterator[None]:
    from diffusers.utils import logging

    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
