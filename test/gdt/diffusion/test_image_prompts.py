# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.gdt.diffusion.image_prompts import ImagePrompts
from ssd_core.images.codec import encode_png, write_image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "data"))

from nuscenes_tree import write_nuscenes


def plain(value: int) -> np.ndarray:
    return np.full((30, 40, 3), value, dtype=np.uint8)


def test_a_folder_gives_all_its_pictures_by_seed(tmp_path: Path) -> None:
    for value in (10, 20, 30):
        write_image(tmp_path / "nights" / f"{value}.png", plain(value))
    prompts = ImagePrompts({"night": tmp_path / "nights"})
    drawn = [prompts.draw("night", seed) for seed in range(40)]
    assert {prompt.name for prompt in drawn} == {"nights/10", "nights/20", "nights/30"}
    assert all(int(prompt.image[0, 0, 0]) == int(prompt.name[7:]) for prompt in drawn)
    assert prompts.draw("night", 7).name == prompts.draw("night", 7).name
    with pytest.raises(DataError, match=r"no image prompts for 'rain'.*adapter.images.rain"):
        prompts.draw("rain", 0)
    prompts.close()


def test_a_data_set_gives_the_frames_of_the_condition(tmp_path: Path) -> None:
    writer = FrameDatasetWriter(tmp_path / "set", {"kind": "test"})
    for number, condition in enumerate(("day-clear", "night", "night", "day-rain", "night-rain")):
        writer.add(Frame(str(number), "drive", "front", number, condition=condition), encode_png(plain(number)), ".png")
    prompts = ImagePrompts({"night": tmp_path / "set", "rain": tmp_path / "set"})
    assert {prompts.draw("night", seed).name for seed in range(20)} == {"set/1", "set/2"}
    assert {prompts.draw("rain", seed).name for seed in range(5)} == {"set/3"}
    with pytest.raises(DataError, match=r"no frames of snow .*only of day-clear, day-rain, night, night-rain"):
        ImagePrompts({"snow": tmp_path / "set"})
    with pytest.raises(DataError, match="no such file or folder"):
        ImagePrompts({"night": tmp_path / "absent"})


@pytest.mark.parametrize(("version", "evaluated"), [("v1.0-trainval", "val"), ("v1.0-mini", "mini_val")])
def test_of_nuscenes_no_evaluated_frame_is_shown_unless_its_split_is_asked_for(version: str, evaluated: str, tmp_path: Path) -> None:
    scenes = (("scene-1094", "Night, peds"), ("scene-0916", "Night, parked cars"))  # of train and of val
    root = write_nuscenes(tmp_path / "nu", version, scenes, pictures=1)
    names = {split: _drawn(ImagePrompts({"night": root}, split)) for split in (None, evaluated)}
    assert names == {None: {"scene-1094"}, evaluated: {"scene-0916"}}
    write_image(tmp_path / "nights" / "1.png", plain(1))
    with pytest.raises(DataError, match="no splits"):
        ImagePrompts({"night": tmp_path / "nights"}, "train")


def _drawn(prompts: ImagePrompts) -> set[str]:
    return {prompts.draw("night", seed).name.split("/")[-1].partition("-CAM")[0] for seed in range(20)}
