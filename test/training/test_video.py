# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_video import CAMERA, write_video

from ssd_core.data.errors import DataError
from ssd_core.data.frame import Frame
from ssd_core.data.frame_dataset import FrameDatasetWriter
from ssd_core.images.codec import encode_jpeg
from ssd_core.training.video import RecordedVideo, Video, VideoDataset, driven_distances, open_video

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))
from nuscenes_tree import SCENES, write_nuscenes


def open_recording(path: Path, **options: Any) -> Video:
    return open_video(RecordedVideo.model_validate({"path": path} | options), path)


@pytest.mark.parametrize(("version", "train", "val"), [("v1.0-trainval", "train", "val"), ("v1.0-mini", "mini_train", "mini_val")])
def test_nobody_learns_on_nuscenes_val_unasked(tmp_path: Path, version: str, train: str, val: str) -> None:
    scenes = (SCENES[0], ("scene-0103", "Sunny"))
    root = write_nuscenes(tmp_path / "nuscenes", version, scenes, pictures=13)
    with pytest.raises(DataError, match=f"nuscenes: no split of nuScenes is chosen. Fix: .*`split: {train}` .*`split: {val}`"):
        open_recording(root)
    for split, scene in ((train, "scene-0061"), (val, "scene-0103")):
        video = open_recording(root, split=split)
        assert {triplet.current.sequence for triplet in video.triplets} == {scene}


def test_rendered_nuscenes_has_no_split_to_choose(tmp_path: Path) -> None:
    root = write_nuscenes(tmp_path / "nuscenes", "v1.0-rendered", pictures=13)
    assert open_recording(root).triplets


def test_distance_without_odometry_is_what_the_error_names(tmp_path: Path) -> None:
    bare = write_video(tmp_path / "bare", 5, with_poses=False, with_depth=False)
    reason = r"5 of 5 have neither pose nor speed, by which min_distance=0\.5 is measured\. Fix: min_distance=0 .*loss\.velocity=0"
    with pytest.raises(DataError, match=reason):
        open_recording(bare, min_distance=0.5)
    assert len(open_recording(bare).triplets) == 3


def test_speeds_serve_where_there_are_no_poses(tmp_path: Path) -> None:
    # 0.3 m from frame to frame: the second next one is far enough away.
    driven = write_video(tmp_path / "driven", 6, with_poses=False, with_depth=False, speed_mps=3.0)
    video = open_recording(driven, min_distance=0.5)
    assert len(video.triplets) == 2
    np.testing.assert_allclose(driven_distances(video.triplets[0]), [0.6, 0.6], rtol=1e-6)
    with pytest.raises(DataError, match=r"\(6 no previous\)$"):
        open_recording(driven, min_distance=0.8, max_gap_s=0.2)


def test_cameras_that_differ_in_distortion_alone_are_one_once_rectified(tmp_path: Path) -> None:
    writer = FrameDatasetWriter(tmp_path, {"kind": "two lenses"})
    picture = encode_jpeg(np.zeros((70, 112, 3), dtype=np.uint8))
    for name, distortion in (("left", (-0.2, 0.0, 0.0, 0.0)), ("right", (-0.1, 0.0, 0.0, 0.0))):
        camera = dataclasses.replace(CAMERA, distortion_model="plumb_bob", distortion=distortion)
        for index in range(3):
            writer.add(Frame(f"{name}/{index}", "drive", name, index * 100_000_000, camera), picture)
    dataset = VideoDataset([open_recording(tmp_path)], (56, 34), (112, 70))
    found = dataset.training_camera((112, 70))
    assert found is not None and found.fx == pytest.approx(CAMERA.fx)
