# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_streets import write_streets

from ssd_core.data.errors import DataError
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.rendered import RenderPlan, render_frames
from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.gdt.rendered import RenderedTranslator
from ssd_core.gdt.translator import TargetCondition, TranslationRequest


def request_of(source: FrameDataset, frame_id: str, condition: TargetCondition = "night") -> TranslationRequest:
    frame = next(frame for frame in source.frames() if frame.frame_id == frame_id)
    image = source.image(frame)
    return TranslationRequest(frame_id, image, np.ones(image.shape[:2], dtype=np.float32), condition, 0, frame.camera)


@pytest.mark.render
def test_it_is_the_world_s_own_night(tmp_path: Path) -> None:
    plan = RenderPlan(first_scene=41, scenes=1, moments=2, views=1, conditions=("day-clear", "night"), width=112, height=64)
    source = render_frames(plan, tmp_path)
    names = [frame.frame_id for frame in source.frames() if frame.condition == "day-clear"]
    translator = RenderedTranslator.of(source)
    made = translator.translate([request_of(source, name) for name in names])
    for name, translated in zip(names, made, strict=True):
        true = source.image(next(frame for frame in source.frames() if frame.frame_id == name.replace("day-clear", "night")))
        assert np.array_equal(translated.image, true)
    (rain,) = translator.translate([request_of(source, names[1], "rain")])
    assert rain.provenance["scene"] == 41
    assert np.abs(rain.image.astype(float) - made[1].image).mean() > 10
    with pytest.raises(ValueError, match=r"scene-00041/camera_0/009"):
        translator.translate([TranslationRequest(names[0].replace("/000", "/009"), rain.image, np.ones((64, 112), np.float32), "night", 0)])


@pytest.mark.render
def test_every_frame_of_a_video_has_one_the_first_too(tmp_path: Path) -> None:
    plan = RenderedSequences(first_scene=42, scenes=1, frames=3, aligned=("night",), width=112, height=64)
    source = render_frames(plan, tmp_path)
    names = [frame.frame_id for frame in source.frames() if frame.condition == "day-clear"]
    made = RenderedTranslator.of(source).translate([request_of(source, name) for name in names])
    middle = source.image(next(frame for frame in source.frames() if frame.condition == "night"))
    assert np.array_equal(made[1].image, middle)
    assert made[0].image.mean() < 0.7 * request_of(source, names[0]).image.mean()


def test_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="render-dataset"):
        RenderedTranslator.of(write_streets(tmp_path, 1, 96, 64))
