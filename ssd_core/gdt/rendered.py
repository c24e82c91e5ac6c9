# SPDX-License-Identifier: Apache-2.0
"""Translations that are true: the rendered world's own night, rain, snow or fog of a frame that it rendered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ssd_core.data.errors import DataError
from ssd_core.data.frame import FrameSource
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.rendered import RenderPlan, ScenePlan
from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.gdt.translator import FRAME_CONDITIONS, TargetCondition, TranslatedImage, TranslationRequest
from ssd_core.images.codec import Image, decode_image
from ssd_core.road_world import REVISION

_PLANS: dict[str, type[RenderPlan] | type[RenderedSequences]] = {plan.kind: plan for plan in (RenderPlan, RenderedSequences)}
_SCENE = re.compile(r"scene-(\d+)/")


class RenderedTranslator:
    """A Translator of the frames of a data set that a plan of the rendered world made. Seed and depth of a request don't count."""

    name = "rendered"
    batch_size = 8
    """Frames of one scene share its building."""

    def __init__(self, plan: ScenePlan) -> None:
        self._plan = plan

    @classmethod
    def of(cls, source: FrameSource) -> RenderedTranslator:
        """For a frame dataset. Raises DataError for anything that this revision of the world didn't render."""
        values: dict[str, Any] = dict(source.source) if isinstance(source, FrameDataset) else {}
        plan, revision = _PLANS.get(str(values.pop("kind", None))), values.pop("revision", None)
        if plan is None:
            raise DataError("the rendered translator needs a frame dataset of the rendered world: ssd-depth render-dataset --format frames")
        if revision != REVISION:
            raise DataError(f"the frames are of revision {revision} of the rendered world, this is {REVISION}; render them anew")
        return cls(plan.model_validate(values))

    def translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedImage]:
        """See Translator. Raises ValueError, naming the frame, for one that isn't of the plan."""
        made: list[TranslatedImage] = []
        for (seed, condition), group in groupby(requests, key=lambda request: (_scene_of(request), request.condition)):
            wanted = [_other_name(request) for request in group]
            pictures = self._render(seed, condition, frozenset(wanted))
            made += [self._made(pictures, name, seed) for name in wanted]
        return made

    def _render(self, seed: int, condition: TargetCondition, wanted: frozenset[str]) -> dict[str, Image]:
        look = FRAME_CONDITIONS[condition]
        if isinstance(self._plan, RenderPlan):
            plan: ScenePlan = self._plan.model_copy(update={"conditions": (look,), "looks": None, "weights": ()})
        else:
            plan = self._plan.model_copy(update={"condition": look, "aligned": ()})
        known = frozenset(plan.frame_ids(seed)) - wanted
        return {
            rendered.frame.frame_id: decode_image(rendered.image)
            for rendered in plan.render_scene(seed, known)
            if rendered.frame.frame_id in wanted
        }

    def _made(self, pictures: dict[str, Image], name: str, seed: int) -> TranslatedImage:
        if name not in pictures:
            raise ValueError(f"{name}: no such view in the plan that the frames were rendered from")
        return TranslatedImage(pictures[name], {"scene": seed, "revision": REVISION})


def _scene_of(request: TranslationRequest) -> int:
    found = _SCENE.match(request.frame_id)
    if found is None:
        raise ValueError(f"{request.frame_id}: this isn't the name of a rendered frame")
    return int(found[1])


def _other_name(request: TranslationRequest) -> str:
    """Both kinds of plans end a frame's name in its condition."""
    return f"{request.frame_id.rpartition('_')[0]}_{FRAME_CONDITIONS[request.condition]}"
