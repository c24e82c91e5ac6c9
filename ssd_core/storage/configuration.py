# SPDX-License-Identifier: Apache-2.0
"""YAML configuration into pydantic models, with `key=value` overrides, and back beside the results."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from ssd_core.storage.atomic_write import atomic_write_text


class ConfigurationError(ValueError):
    """A configuration that can't be used; the message names the key path and what is allowed."""


class StrictModel(pydantic.BaseModel):
    """Base of every configuration: unknown keys are errors, values don't change after loading."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=pydantic.BaseModel)


def load_configuration(model: type[Model], path: Path | None = None, overrides: Sequence[str] = ()) -> Model:
    """Read a YAML file (or start empty), apply overrides such as `student.p_original=0.5`, and validate; see `read_values`.

    Raises ConfigurationError naming every wrong key path, FileNotFoundError if the file isn't there.
    """
    return validate_configuration(model, read_values(path, overrides), str(path or "configuration"))


def read_values(path: Path | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Plain values of a YAML file, not validated yet, after overrides.

    `base: other.yaml` in it names a file beside it of which it is a delta: mappings are merged key by key, everything else, lists
    too, is replaced; `train+: [...]` adds to the base's list `train`. Raises ConfigurationError, FileNotFoundError.
    """
    values = _read_file(path, ()) if path else {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"{override!r}: overrides are written key=value")
        _set(values, key.split("."), yaml.safe_load(text))
    return values


def validate_configuration(model: type[Model], values: dict[str, Any], origin: str) -> Model:
    """Validate plain values; `origin` stands in the error for where they came from."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc'])) or '(whole)'}: {item['msg']} (got {item['input']!r})" for item in error.errors()]
        raise ConfigurationError(f"{origin}: " + "; ".join(lines)) from error


def save_configuration(path: Path, configuration: pydantic.BaseModel) -> None:
    """Write the resolved configuration and the code's git revision as YAML, atomically."""
    values = {"git_revision": git_revision(), **configuration.model_dump(mode="json")}
    atomic_write_text(path, yaml.safe_dump(values, sort_keys=False))


def configuration_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """`key.path: old -> new` of everything that isn't the same; list entries are numbered."""
    before, now = _leaves(old), _leaves(new)
    return [
        f"{path}: {before.get(path, 'nothing')} -> {now.get(path, 'nothing')}" for path in before | now if before.get(path) != now.get(path)
    ]


def _leaves(value: Any, path: str = "") -> dict[str, str]:
    """JSON of each single value, by its key path."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    leaves: dict[str, str] = {}
    for key, below in inner:
        leaves |= _leaves(below, f"{path}.{key}" if path else str(key))
    return leaves or {path: json.dumps(value)}


def git_revision() -> str:
    """Revision of the source this runs from, '-dirty' if changed, 'unknown' outside its own git checkout."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # an environment may lie in somebody else's checkout
        return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _read_file(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise ConfigurationError(f"{path}: base: a circle: {' -> '.join(str(file) for file in (*above, path))}")
    values = yaml.safe_load(path.read_text())
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: a mapping of keys to values is expected, not {type(values).__name__}")
    base = values.pop("base", None)
    if base is None:
        return values
    file = path.parent / str(base)
    if not file.is_file():
        raise ConfigurationError(f"{path}: base: there is no {file}")
    return _merged(_read_file(file, (*above, path.resolve())), values, f"{path}: ")


def _merged(base: dict[str, Any], delta: dict[str, Any], where: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in delta.items():
        if isinstance(key, str) and key.endswith("+"):
            name = key.removesuffix("+")
            if not (isinstance(base.get(name), list) and isinstance(value, list)):
                raise ConfigurationError(f"{where}{key}: a list can only be added to a list that the base has (got {value!r})")
            merged[name] = base[name] + value
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merged(base[key], value, f"{where}{key}.")
        else:
            merged[key] = value
    return merged


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    """Put a value where the keys lead; a number leads into a list, whose entry must be there already."""
    inner: Any = values
    for place, key in enumerate(keys):
        is_last = place == len(keys) - 1
        if isinstance(inner, list):
            if not key.isdigit() or int(key) >= len(inner):
                raise ConfigurationError(f"{'.'.join(keys)}: {key!r} is none of the {len(inner)} entries, which are numbered from 0")
            if is_last:
                inner[int(key)] = value
            else:
                inner = inner[int(key)]
        elif isinstance(inner, dict):
            if is_last:
                inner[key] = value
            else:
                inner = inner.setdefault(key, {})
        else:
            raise ConfigurationError(f"{'.'.join(keys)}: {keys[place - 1]!r} holds a value, not a section")
