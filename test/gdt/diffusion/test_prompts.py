# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from ssd_core.gdt.diffusion.prompts import load_prompts
from ssd_core.gdt.translator import TARGET_CONDITIONS
from ssd_core.storage.configuration import ConfigurationError


@pytest.mark.parametrize("condition", TARGET_CONDITIONS)
def test_every_condition_has_a_prompt_that_holds_the_caption(condition: str) -> None:
    prompt = load_prompts().fill(condition, "a street with a red car and two people.")
    assert "a street with a red car and two people," in prompt.positive
    assert prompt.negative


def test_prompts_begin_as_the_papers() -> None:
    prompts = load_prompts()
    assert prompts.fill("night", "a road").positive.startswith("At night, a road")
    assert prompts.fill("rain", "a road").positive.startswith("In a rainy day, a road")
    assert prompts.fill("snow", "a road").positive.startswith("In a snowy day, a road")


def test_what_contradicts_is_taken_out_of_the_caption() -> None:
    positive = load_prompts().fill("night", "A sunny street with  cars on a sunny day, under a blue sky.").positive
    assert positive.startswith("At night, A street with cars, ")
    assert "sunny" not in positive
    assert "sunnyside" in load_prompts().fill("night", "sunnyside avenue").positive


def test_prompts_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text('night: {positive: "dark {caption}"}')
    prompts = load_prompts(file)
    assert prompts.fill("night", "road") == ("dark road", "")
    with pytest.raises(ConfigurationError, match="no prompt for 'fog'"):
        prompts.fill("fog", "road")
    file.write_text('night: {positive: "dark"}')
    with pytest.raises(ConfigurationError, match=r"night.positive.*\{caption\} must stand in it once"):
        load_prompts(file)
