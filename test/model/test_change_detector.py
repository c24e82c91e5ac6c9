# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ssd_core.model.change_detector import ChangeDetector, ChangeDetectorConfig, change_logits, load_change_detector
from ssd_core.model.checkpoint import ModelLoadError, save_network
from ssd_core.weights import bundled_folder


def make_detector(width: int = 8) -> ChangeDetector:
    torch.manual_seed(0)
    return ChangeDetector(ChangeDetectorConfig(width=width)).eval()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (61, 99)])
def test_a_map_has_a_cell_for_every_eight_pixels(height: int, width: int) -> None:
    source, translated = torch.rand(2, 2, 3, height, width)
    assert make_detector()(source, translated).shape == (2, 1, -(-height // 8), -(-width // 8))


def test_at_first_nothing_has_changed() -> None:
    logits = make_detector()(*torch.rand(2, 1, 3, 64, 96)).detach()
    assert float(logits.sigmoid().max()) < 0.3


def test_a_picture_is_as_changed_as_its_loudest_cells() -> None:
    logits = torch.full((2, 1, 8, 12), -3.0)
    logits[1, 0, 2:4, 3:6] = 3.0
    assert change_logits(logits).tolist() == [-3.0, 3.0]
    assert change_logits(logits[..., :1, :2]).tolist() == [-3.0, -3.0]


def test_it_comes_back_from_its_folder(tmp_path: Path) -> None:
    detector = make_detector()
    save_network(tmp_path / "detector", detector, half=True)
    pair = torch.rand(2, 1, 3, 64, 96)
    with torch.no_grad():
        loaded = load_change_detector(tmp_path / "detector")
        torch.testing.assert_close(loaded(*pair), detector(*pair), atol=0.02, rtol=0.02)
    assert loaded.model_id.startswith("detector@")


def test_a_depth_network_is_no_change_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="change detector is expected"):
        load_change_detector(bundled_folder())
    with pytest.raises(ModelLoadError, match=r"has no config\.json"):
        load_change_detector(tmp_path)
