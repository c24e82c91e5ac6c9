# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders in the Hub's layout (config.json, model.safetensors, ssd.json): found, hashed, loaded strictly, saved whole."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_core.model.config import PATCH_SIZE, ModelDescription, Parametrisation, suggest_input_size
from ssd_core.storage.atomic_write import atomic_directory, atomic_write_text
from ssd_core.storage.configuration import ConfigurationError, git_revision, validate_configuration
from ssd_core.weights import BUNDLED, bundled_folder

if TYPE_CHECKING:
    from ssd_core.model.depth_model import DepthModel

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
DESCRIPTION_FILE = "ssd.json"
PREPROCESSOR_FILE = "preprocessor_config.json"

_ARCHITECTURES = {"depth_anything": "DepthAnythingForDepthEstimation", "dpt": "DPTForDepthEstimation"}

NEVER_USED = "fusion_stage.layers.0.residual_layer1."
"""The first stage of DPT's fusion has nothing to add, so that public checkpoints (facebook/dpt-dinov2-*, MiDaS) lack these tensors, which
transformers has, or will not have, nevertheless (its issue 28292, pull request 47699)."""

_CONVOLUTIONAL = {"ssd_resnet_depth": "ResNetDepthNetwork", "ssd_efficientnet_depth": "EfficientNetDepthNetwork"}
"""`model_type` of our own convolutional networks, and their classes in `ssd_core.model.convolutional`."""


class ModelLoadError(ValueError):
    """A model that can't be used; the message names what is wrong with which file and how to mend it."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A readable checkpoint folder; nothing heavy is imported or built before `load_model`."""

    folder: Path
    name: str
    description: ModelDescription
    weights_hash: str
    """SHA-256, hexadecimal, of the files that decide the network's output."""

    @property
    def model_id(self) -> str:
        """Name and short hash, for logs, diagnostics and reports."""
        return f"{self.name}@{self.weights_hash[:8]}"

    def load_model(self) -> DepthModel:
        """Build the network in float32 and evaluation mode; strict. Raises ModelLoadError."""
        from ssd_core.model.depth_model import DepthModel

        config = read_json(self.folder / CONFIG_FILE)
        if config["model_type"] in _CONVOLUTIONAL:
            from ssd_core.model import convolutional

            network = load_network(self.folder, getattr(convolutional, _CONVOLUTIONAL[config["model_type"]]))
            return convolutional.ConvolutionalDepthModel(network, self.description).eval()
        network = load_network(self.folder, _ARCHITECTURES[config["model_type"]])
        return DepthModel(network, self.description).eval()


def open_checkpoint(name_or_path: str | Path) -> Checkpoint:
    """Find the model called "bundled", a local folder or a model of the Hugging Face Hub, and read its small files.

    A name with exactly one slash that is no local folder is looked up on the Hub (or in its local cache when offline).
    Raises ModelLoadError for everything that can go wrong.
    """
    folder = Path(name_or_path)
    try:
        folder = find_folder(name_or_path)
        config = read_json(folder / CONFIG_FILE)
        _check_architecture(config, folder)
        description = _read_description(folder, config)
        weights_hash = hash_files(folder)
    except OSError as error:
        raise ModelLoadError(f"{folder}: can't be read: {error.strerror or error}; check the path and its permissions") from error
    is_folder = Path(name_or_path).expanduser().is_dir()
    return Checkpoint(folder, folder.resolve().name if is_folder else str(name_or_path), description, weights_hash)


def save_checkpoint(folder: Path, model: DepthModel, half: bool = False) -> None:
    """Write the model as a checkpoint folder, atomically; half stores float16 weights (half the size, loaded as float32).

    ssd.json gets the git revision of the code that saves.
    """
    description = model.description.model_copy(update={"git_revision": git_revision()})
    save_network(folder, model.network, half, {DESCRIPTION_FILE: description.model_dump_json(indent=2) + "\n"})


def save_network(folder: Path, network: Any, half: bool = False, texts: Mapping[str, str] | None = None) -> None:
    """Write a transformers model as `load_network` reads it, and texts by their files' names beside it, atomically; half as in
    `save_checkpoint`."""
    network = _halved(network) if half else network
    network.config._name_or_path = ""  # older transformers would write this machine's path
    with atomic_directory(folder) as temporary, quiet_transformers():
        network.save_pretrained(temporary, max_shard_size="100GB")
        for name, text in (texts or {}).items():
            atomic_write_text(temporary / name, text)
        # safetensors keeps the file to its writer; the group may read results here.
        (temporary / WEIGHTS_FILE).chmod((temporary / CONFIG_FILE).stat().st_mode)


def _halved(network: Any) -> Any:
    """A copy in float16, but for batch normalisation: variances may be smaller than float16 can tell from zero."""
    import copy

    import torch

    copied = copy.deepcopy(network)
    for module in copied.modules():
        if not isinstance(module, torch.nn.BatchNorm2d):
            module._apply(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor, recurse=False)
    return copied


def find_folder(name_or_path: str | Path) -> Path:
    """The local folder of "bundled", a path or a Hub id. Raises ModelLoadError."""
    if str(name_or_path) == BUNDLED:
        return bundled_folder()
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    text = str(name_or_path)
    if path.exists():
        raise ModelLoadError(f"{path} is a file; a model is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}")
    if path.is_absolute() or text.startswith(("~", ".")) or text.count("/") != 1:
        raise ModelLoadError(
            f"no model folder {text!r}; give 'bundled', a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, or a Hub id such as "
            "depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf"
        )
    return _download(text)


def load_network(folder: Path, architecture: str | type[Any], unused: str | None = None) -> Any:
    """A transformers model of this class, or of transformers' class of this name, from `folder`, float32, evaluation mode.

    transformers itself leaves a tensor that the file lacks at random values with no more than a log line; here every missing,
    extra or misshapen tensor that is used is a ModelLoadError. unused: tensors whose names start so may be there for nothing.
    """
    import torch
    import transformers

    _check_weights(folder)
    found = getattr(transformers, architecture) if isinstance(architecture, str) else architecture
    try:
        with quiet_transformers():
            network, report = found.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                torch_dtype=torch.float32,
            )
    except Exception as error:  # transformers raises nearly any class for a bad folder
        raise ModelLoadError(f"{folder}: transformers can't build the network: {error}") from error
    extra = [name for name in report["unexpected_keys"] if unused is None or not name.startswith(unused)]
    problems = [
        f"{len(names)} {what} ({', '.join(_first_names(names))})"
        for what, names in (
            ("missing", [name for name in report["missing_keys"] if NEVER_USED not in name]),
            ("unknown", [name for name in extra if NEVER_USED not in name]),
            ("of a wrong shape", report["mismatched_keys"]),
            ("unreadable", report.get("error_msgs") or []),
        )
        if names
    ]
    if problems:
        raise ModelLoadError(
            f"{folder / WEIGHTS_FILE}: tensors don't fit {CONFIG_FILE}: {'; '.join(problems)}. "
            "Copy or download both files again from the same model"
        )
    return network.to(torch.float32).eval()


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' progress bars and loading reports: what is wrong, our errors say."""
    import transformers

    logging: Any = transformers.logging
    was_enabled, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if was_enabled:
            logging.enable_progress_bar()


def _first_names(names: Any) -> list[str]:
    plain = sorted(str(name[0]) if isinstance(name, (tuple, list)) else str(name) for name in names)
    return plain[:4] + (["..."] if len(plain) > 4 else [])


def _download(name: str) -> Path:
    import huggingface_hub

    files = [CONFIG_FILE, WEIGHTS_FILE, DESCRIPTION_FILE, PREPROCESSOR_FILE]
    try:
        folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=files))
    except Exception as error:  # the Hub's client raises its own, its HTTP library's and the system's classes
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelLoadError(
            f"model {name!r} isn't a local folder and couldn't be had from the Hugging Face Hub ({cause}). Without network: copy "
            f"{CONFIG_FILE}, {WEIGHTS_FILE} and {PREPROCESSOR_FILE} of that model into a folder and give the folder's path"
        ) from error
    return folder


def _check_weights(folder: Path) -> None:
    import safetensors

    path = folder / WEIGHTS_FILE
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            count = len(file.keys())
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelLoadError(f"{path}: half-written or damaged ({error}); copy or download it again") from error
    if count == 0:
        raise ModelLoadError(f"{path}: holds no tensors; copy or download it again")


def _check_architecture(config: dict[str, Any], folder: Path) -> None:
    kind = config.get("model_type")
    encoder = config.get("backbone_config") or {}
    # Fields at their default may be left out: Depth Anything's backbone is DINOv2 unless the file says otherwise.
    encoder_kind = encoder.get("model_type", "dinov2" if kind == "depth_anything" else None)
    is_transformer = kind in _ARCHITECTURES and encoder_kind == "dinov2" and encoder.get("patch_size", PATCH_SIZE) == PATCH_SIZE
    if not is_transformer and kind not in _CONVOLUTIONAL:
        raise ModelLoadError(
            f"{folder / CONFIG_FILE}: model_type {kind!r} with backbone {encoder_kind!r} isn't supported; Depth Anything and DPT "
            f"models with a DINOv2 backbone and {PATCH_SIZE}-pixel patches are, and our own {' and '.join(_CONVOLUTIONAL)}"
        )
    if (folder / WEIGHTS_FILE).exists():
        return
    if is_transformer and (folder / "pytorch_model.bin").exists():
        raise ModelLoadError(
            f"{folder}: has pickled weights (pytorch_model.bin) only, which are never loaded since they can run code; convert them with "
            f"transformers.{_ARCHITECTURES[str(kind)]}.from_pretrained(...).save_pretrained(...) if you trust them"
        )
    raise ModelLoadError(f"{folder}: has no {WEIGHTS_FILE}; copy or download it again")


def _read_description(folder: Path, config: dict[str, Any]) -> ModelDescription:
    path = folder / DESCRIPTION_FILE
    try:
        if path.exists():
            return validate_configuration(ModelDescription, read_json(path), str(path))
        preprocessor = read_json(folder / PREPROCESSOR_FILE) if (folder / PREPROCESSOR_FILE).exists() else {}
        return validate_configuration(ModelDescription, _describe(config, preprocessor), str(folder))
    except ConfigurationError as error:
        raise ModelLoadError(str(error)) from error


def _describe(config: dict[str, Any], preprocessor: dict[str, Any]) -> dict[str, Any]:
    """What `ssd.json` would say of a public checkpoint, from its own two JSON files."""
    if config["model_type"] == "dpt":
        # The DINOv2 ones were trained on KITTI and NYU and end in a ReLU that gives metres.
        parametrisation: Parametrisation = "metric"
        max_depth = 80.0
    else:
        is_metric = config.get("depth_estimation_type", "relative") == "metric"
        parametrisation = "metric" if is_metric else "relative_inverse"
        max_depth = float(config.get("max_depth") or 1) if is_metric else 80.0
    described: dict[str, Any] = {
        "parametrisation": parametrisation,
        "input_size": _default_input_size(config, preprocessor),
        "max_depth": max_depth,
    }
    if preprocessor.get("do_normalize", True) and "image_mean" in preprocessor:
        # facebook/dpt-dinov2-* normalise pixels of 0..255, Depth Anything those of 0..1.
        scale = preprocessor.get("rescale_factor", 1 / 255) * 255 if preprocessor.get("do_rescale", True) else 255
        described["preprocessing"] = {name: [value / scale for value in preprocessor[f"image_{name}"]] for name in ("mean", "std")}
    return described


def _default_input_size(config: dict[str, Any], preprocessor: dict[str, Any]) -> tuple[int, int]:
    size = preprocessor.get("size") if preprocessor.get("do_resize", True) else None
    if isinstance(size, dict) and {"width", "height"} <= size.keys():
        wanted = int(size["width"]), int(size["height"])
    else:
        side = (config.get("backbone_config") or {}).get("image_size", 518)
        wanted = (side, side) if isinstance(side, int) else (int(side[1]), int(side[0]))
    return suggest_input_size(wanted[0] / wanted[1], wanted)


def read_json(path: Path) -> dict[str, Any]:
    """A small file of a checkpoint. Raises ModelLoadError if it isn't there, or no JSON object."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelLoadError(f"{path.parent}: has no {path.name}; a model is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}") from error
    except ValueError as error:
        raise ModelLoadError(f"{path}: half-written or damaged ({error}); copy or download it again") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path}: a JSON object is expected; copy or download it again")
    return content


def hash_files(folder: Path) -> str:
    """SHA-256, hexadecimal, of the files in a checkpoint folder that decide the network's output."""
    digest = hashlib.sha256()
    # Two models may share their weights and differ in depth range or normalisation.
    for name in (WEIGHTS_FILE, CONFIG_FILE, DESCRIPTION_FILE, PREPROCESSOR_FILE):
        path = folder / name
        if not path.exists():
            continue
        digest.update(name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
