# SPDX-License-Identifier: Apache-2.0
"""Translating a whole recording: every frame once, resumable to the byte, shared between machines, nothing half-written."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import yaml

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame, FrameSource
from ssd_core.data.translations import Item, Shard, TranslationWriter, translations_folder
from ssd_core.gdt.config import SynthesisConfig
from ssd_core.gdt.depth_maps import DepthMaps
from ssd_core.gdt.diffusion.config import COMPUTED_BY
from ssd_core.gdt.diffusion.prompts import load_prompts
from ssd_core.gdt.gate import GeometryGate, Verdict
from ssd_core.gdt.translator import (
    FRAME_CONDITIONS,
    TargetCondition,
    TranslatedImage,
    TranslationRequest,
    Translator,
    UntranslatableError,
    request_seed,
)
from ssd_core.images.codec import ImageDecodeError, encode_jpeg
from ssd_core.storage.configuration import ConfigurationError, StrictModel, configuration_differences, save_configuration
from ssd_core.storage.json_lines import append_json_line

CONFIGURATION_FILE = "configuration.yaml"
SITTINGS_FILE = "sittings.jsonl"
UNREADABLE = "unreadable"
UNTRANSLATABLE = "untranslatable"


class Task(NamedTuple):
    """One frame to translate to one condition."""

    frame: Frame
    condition: TargetCondition

    @property
    def item(self) -> Item:
        """Its name in the manifest."""
        return Item(self.frame.frame_id, FRAME_CONDITIONS[self.condition])


class Outcome(NamedTuple):
    """What became of a task; the request is None where the source couldn't be read, picture and verdict also where it couldn't be
    translated (`problem` says why)."""

    task: Task
    request: TranslationRequest | None
    translated: TranslatedImage | None
    verdict: Verdict | None
    problem: str | None = None

    @property
    def accepted(self) -> bool:
        """True if it may be trained on."""
        return self.verdict is not None and self.verdict.accepted


class JobDescription(StrictModel):
    """What decides the pictures of a folder; written beside them, and compared before any is added."""

    translator: str
    settings: dict[str, Any]
    contents: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of what files say that the settings only name: of prompts of one's own, for each condition, since others may be added."""

    @classmethod
    def of(cls, kind: str, config: SynthesisConfig) -> JobDescription:
        """All of the configuration but what belongs to other translators. Raises as load_prompts for a file that can't be read."""
        unused = {"physical", "diffusion"} - {kind}
        contents = {}
        if kind == "diffusion" and config.diffusion.prompts is not None:
            for condition, template in load_prompts(config.diffusion.prompts):
                if template is not None:
                    contents[f"diffusion.prompts.{condition}"] = hashlib.sha256(template.model_dump_json().encode()).hexdigest()
        return cls(translator=kind, settings=config.model_dump(mode="json", exclude=unused), contents=contents)

    def differences(self, begun: dict[str, Any]) -> list[str]:
        """Where it contradicts the plain values of another one, as of `configuration_differences`."""
        old, new = ({**values, "settings": _decisive(values.get("settings", {}))} for values in (begun, self.model_dump(mode="json")))
        # Folders begun by earlier versions say nothing of contents.
        said = old.pop("contents", {})
        new["contents"] = {name: digest for name, digest in self.contents.items() if name in said}
        old["contents"] = {name: said[name] for name in new["contents"]}
        return configuration_differences(old, new)


class Workshop(NamedTuple):
    """What turns a frame into a judged translation."""

    source: FrameSource
    depth: DepthMaps
    translator: Translator
    gate: GeometryGate
    seed: int

    def make(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Outcomes in order; of tasks whose picture can't be read or translated, the reason.

        Raises DataError (depth), ValueError (translator) for what is wrong with more than one picture.
        """
        requests: list[TranslationRequest | ImageDecodeError] = []
        for _, group in itertools.groupby(tasks, key=lambda task: task.frame.frame_id):
            requests += self._requests(list(group))
        readable = [request for request in requests if isinstance(request, TranslationRequest)]
        translated = self._translated(readable) if readable else []
        made = iter(self._judged(readable, translated))
        return [
            Outcome(task, request, *next(made))
            if isinstance(request, TranslationRequest)
            else Outcome(task, None, None, None, str(request))
            for task, request in zip(tasks, requests, strict=True)
        ]

    def _translated(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage | UntranslatableError]:
        """In order. Where one of several can't be translated each is tried alone: it shall cost no other picture."""
        try:
            return list(self.translator.translate(requests))
        except UntranslatableError as error:
            if len(requests) == 1:
                return [error]
        return [made for request in requests for made in self._translated([request])]

    def _judged(
        self, requests: Sequence[TranslationRequest], made: Sequence[TranslatedImage | UntranslatableError]
    ) -> Iterator[tuple[TranslatedImage | None, Verdict | None, str | None]]:
        """The last fields of each outcome."""
        pairs = [(request, picture) for request, picture in zip(requests, made, strict=True) if isinstance(picture, TranslatedImage)]
        verdicts = iter(self.gate.judge([request for request, _ in pairs], [picture.image for _, picture in pairs]) if pairs else ())
        for picture in made:
            yield (picture, next(verdicts), None) if isinstance(picture, TranslatedImage) else (None, None, str(picture))

    def _requests(self, tasks: Sequence[Task]) -> Iterator[TranslationRequest | ImageDecodeError]:
        """Of one frame, in several conditions."""
        frame = tasks[0].frame
        try:
            image = self.source.image(frame)
        except ImageDecodeError as error:
            yield from [error] * len(tasks)
            return
        depth = self.depth.of(frame, image)
        size = image.shape[1], image.shape[0]
        camera = frame.camera.scaled(*size) if frame.camera else None
        for task in tasks:
            seed = request_seed(self.seed, frame.frame_id, task.condition)
            yield TranslationRequest(frame.frame_id, image, depth.values, task.condition, seed, camera, depth.kind, depth.model_id)


def all_tasks(frames: Sequence[Frame], conditions: Sequence[TargetCondition]) -> list[Task]:
    """Every frame in every condition, frame by frame."""
    return [Task(frame, condition) for frame in frames for condition in conditions]


def choose_frames(frames: Sequence[Frame], conditions: Sequence[str], limit: int | None = None) -> list[Frame]:
    """Frames of these conditions; with a limit, that many spread evenly over them. Raises DataError if there is none."""
    chosen = [frame for frame in frames if frame.condition in conditions]
    if not chosen:
        known = ", ".join(sorted({frame.condition for frame in frames})) or "none"
        raise DataError(f"no frame is of condition {' or '.join(conditions)} (source_conditions); there is {known}")
    if limit is None or limit >= len(chosen):
        return chosen
    return [chosen[place * len(chosen) // limit] for place in range(limit)]


def prepare_folder(folder: Path, name: str, description: JobDescription, overwrite: bool = False) -> Path:
    """The translator's folder, with the resolved configuration in it.

    Raises ConfigurationError, naming the keys that differ, for a folder begun with other settings.
    """
    root = translations_folder(folder, name)
    if overwrite:
        shutil.rmtree(root, ignore_errors=True)
    path = root / CONFIGURATION_FILE
    if path.exists():
        begun = yaml.safe_load(path.read_text())
        begun.pop("git_revision", None)
        differing = description.differences(begun)
        if differing:
            raise ConfigurationError(
                f"{root} was begun with other settings ({', '.join(differing)}); give another --name, or replace it with --overwrite"
            )
    else:
        save_configuration(path, description)
    return root


def share_of(tasks: Sequence[Task], shard: Shard) -> list[Task]:
    """The shard's tasks: every so many-th frame, in all its conditions, since they share depth and caption."""
    places: dict[str, int] = {}
    for task in tasks:
        places.setdefault(task.frame.frame_id, len(places))
    return [task for task in tasks if places[task.frame.frame_id] % shard.of == shard.number]


def run_job(
    workshop: Workshop,
    tasks: Sequence[Task],
    folder: Path,
    name: str,
    jpeg_quality: int,
    shard: Shard | None = None,
    on_outcome: Callable[[Item, bool], None] = lambda _item, _accepted: None,
) -> int:
    """Translate the shard's share of `tasks` that isn't there yet; returns how many pictures were made.

    Batches are cut from the share as a whole, and made again as a whole if any of theirs is missing: a resumed run makes the same batches
    as one that was never stopped. on_outcome is called for what is there already, too.
    """
    shard = shard or Shard()
    share = share_of(tasks, shard)
    batches = [share[start : start + workshop.translator.batch_size] for start in range(0, len(share), workshop.translator.batch_size)]
    started, count = time.monotonic(), 0
    with TranslationWriter(folder, name, shard) as writer:
        writer.remove_half_written([task.item for task in share])
        try:
            for batch in batches:
                known = {task.item for task in batch if task.item in writer}
                for outcome in workshop.make(batch) if len(known) < len(batch) else ():
                    _write(writer, outcome, workshop, jpeg_quality)
                    count += outcome.task.item not in known
                for task in batch:
                    on_outcome(task.item, writer.is_accepted(task.item))
        finally:
            if count:
                sitting = {"shard": f"{shard.number}/{shard.of}", "pictures": count, "seconds": round(time.monotonic() - started, 3)}
                append_json_line(translations_folder(folder, name) / SITTINGS_FILE, sitting)
    return count


def _write(writer: TranslationWriter, outcome: Outcome, workshop: Workshop, jpeg_quality: int) -> None:
    request, translated, verdict = outcome.request, outcome.translated, outcome.verdict
    if request is None or translated is None or verdict is None:
        reason = UNREADABLE if request is None else UNTRANSLATABLE
        writer.add(outcome.task.item, None, "", False, {"reasons": [reason], "problem": outcome.problem})
        return
    record = {
        "reasons": list(verdict.reasons),
        "scores": {score: None if value is None else round(value, 5) for score, value in verdict.scores._asdict().items()},
        "translator": workshop.translator.name,
        "seed": request.seed,
        "depth_model": request.depth_model,
        "gate_model": workshop.gate.model_id,
        "change_detector": workshop.gate.detector.model_id if workshop.gate.detector else None,
        **translated.provenance,
    }
    writer.add(outcome.task.item, encode_jpeg(translated.image, jpeg_quality), ".jpg", verdict.accepted, record)


def _decisive(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that a picture doesn't depend on."""
    return {
        name: {key: value for key, value in inner.items() if key not in COMPUTED_BY} if name == "diffusion" else inner
        for name, inner in settings.items()
    }
