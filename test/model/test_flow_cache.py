# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from ssd_core.model import flow_cache
from ssd_core.model.classical_flow import Field, Grey, flow_over_road
from ssd_core.model.flow_cache import FlowCache

MATRIX = np.array([[60, 0, 40], [0, 60, 20], [0, 0, 1]], dtype=np.float32)


def pair(seed: int = 0, height: int = 46, width: int = 82) -> tuple[Grey, Grey]:
    rough = np.random.default_rng(seed).integers(0, 255, (height // 2, width // 2 + 1), dtype=np.uint8)
    image = rough.repeat(2, axis=0).repeat(2, axis=1)
    return np.ascontiguousarray(image[:, :width]), np.ascontiguousarray(image[:, 2 : width + 2])


@pytest.fixture
def sought(monkeypatch: pytest.MonkeyPatch) -> list[Grey]:
    calls: list[Grey] = []

    def count(current: Grey, neighbour: Grey, matrix: Field) -> tuple[Field, Field]:
        calls.append(current)
        return flow_over_road(current, neighbour, matrix)

    monkeypatch.setattr(flow_cache, "flow_over_road", count)
    return calls


def test_another_process_finds_what_one_sought(tmp_path: Path, sought: list[Grey]) -> None:
    first = FlowCache(4, tmp_path).find(*pair(), MATRIX)
    flow, weight = flow_over_road(*pair(), MATRIX)
    np.testing.assert_array_equal(first, np.concatenate([flow, weight[None]])[:, ::4, ::4].astype(np.float16))
    np.testing.assert_array_equal(FlowCache(4, tmp_path).find(*pair(), MATRIX), first)
    assert first.shape == (3, 12, 21) and len(sought) == 1


def test_anything_else_is_sought_anew(tmp_path: Path, sought: list[Grey], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FlowCache(4, tmp_path)
    cache.find(*pair(), MATRIX)
    cache.find(*pair()[::-1], MATRIX)
    cache.find(*pair(), MATRIX * np.float32(1.01))
    cache.find(*pair(1), MATRIX)
    FlowCache(2, tmp_path).find(*pair(), MATRIX)
    monkeypatch.setattr(flow_cache, "_SEARCH", "another search")
    cache.find(*pair(), MATRIX)
    assert len(sought) == 6


def test_what_was_stored_first_goes_first(tmp_path: Path, sought: list[Grey], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_cache, "_SIZE_LIMIT", 2**16)
    cache = FlowCache(4, tmp_path)
    for seed in range(120):
        cache.find(*pair(seed), MATRIX)
    cache.find(*pair(119), MATRIX)
    assert len(sought) == 120
    cache.find(*pair(0), MATRIX)
    assert len(sought) == 121


@pytest.mark.parametrize("broken", ["no folder", "damaged"])
def test_a_folder_that_cannot_be_used_is_named_and_does_not_stop(
    tmp_path: Path, sought: list[Grey], caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    folder = tmp_path / "flow"
    if broken == "damaged":
        folder.mkdir()
        (folder / "cache.db").write_bytes(b"half written" * 1000)
    else:
        folder.write_text("a file")
    cache = FlowCache(4, folder)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            cache.find(*pair(), MATRIX)
    assert str(folder) in caplog.text and "SSD_DEPTH_CACHE" in caplog.text
    assert len(sought) == 1
