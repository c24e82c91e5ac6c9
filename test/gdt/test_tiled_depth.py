# SPDX-License-Identifier: Apache-2.0
"""Tiles around a network that is known: what it shows is the truth, blurred to its resolution, on a scale of the moment's own."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ssd_core.gdt.depth_edges import edge_quality
from ssd_core.gdt.tiled_depth import TiledDepth, TilingConfig, refine_depth, tiles_of
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.resize import resize_depth
from ssd_core.model.config import DepthKind
from ssd_core.runtime.estimator import DepthMap

Depth = npt.NDArray[np.float32]
SIZE = (480, 270)
NEAR, FAR = 2.0, 80.0


def street() -> Depth:
    """A road, a wall, boxes and poles, sky at the cap."""
    rows = np.arange(SIZE[1], dtype=np.float32)[:, None]
    road = np.where(rows > 140, 1.5 * 300 / np.maximum(rows - 140, 1), FAR).clip(NEAR, FAR)
    depth = np.repeat(road, SIZE[0], axis=1).astype(np.float32)
    depth[60:190, 330:] = 30.0
    boxes = ((60, 140, 110, 200, 9.0), (200, 260, 125, 175, 16.0))
    poles = ((380, 386, 40, 220, 6.5), (20, 24, 60, 240, 5.0))
    for left, right, top, bottom, metres in (*boxes, *poles):
        depth[top:bottom, left:right] = metres
    return depth


def as_picture(depth: Depth) -> npt.NDArray[np.uint8]:
    """Log depth as gray, so that a network can be made that reads it."""
    levels = np.log(depth / NEAR) / np.log(FAR / NEAR) * 255
    return np.repeat(levels.round().astype(np.uint8)[..., None], 3, axis=2)


class ReadingNetwork:
    """Reads depth off `as_picture`, blurred to 80x45 and on a scale of its own for each picture; keeps what it was asked."""

    model_id = "reading"

    def __init__(self, kind: DepthKind = "metric", wander: float = 0.0, size: tuple[int, int] = (80, 45)) -> None:
        self.kind, self.wander, self.size = kind, wander, size
        self.cameras: list[PinholeCamera | None] = []

    def __call__(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        self.cameras += list(cameras or [])
        return [DepthMap(self._read(image), self.kind) for image in images]

    def _read(self, image: npt.NDArray[np.uint8]) -> Depth:
        generator = np.random.default_rng(int(image.astype(np.uint64).sum()))
        log_depth = image[..., 0].astype(np.float32) / 255 * np.log(FAR / NEAR) + np.log(NEAR)
        small = cv2.GaussianBlur(cv2.resize(log_depth, self.size, interpolation=cv2.INTER_AREA), (0, 0), 0.8)
        if image.shape[1] < SIZE[0]:
            # Without its surroundings a network knows less of scale, and bends what is flat.
            gain, offset, tilt = (float(generator.normal(0, self.wander)) for _ in range(3))
            slope = np.linspace(-1, 1, self.size[1], dtype=np.float32)[:, None]
            small = (1 + 0.5 * gain) * small + offset + tilt * slope
        values = np.exp(small)
        return values.astype(np.float32) if self.kind == "metric" else (3 / values + 0.2).astype(np.float32)


def abs_rel(prediction: Depth, truth: Depth) -> float:
    return float(np.mean(np.abs(prediction - truth) / truth))


@pytest.mark.parametrize("wander", [0.0, 0.2])
def test_edges_are_sharper_and_the_error_is_smaller(wander: float) -> None:
    truth, image, network = street(), as_picture(street()), ReadingNetwork(wander=wander)
    single = resize_depth(network([image])[0].values, SIZE)
    tiled = TiledDepth(network)([image])[0].values
    finer = TiledDepth(network, TilingConfig(zooms=(2, 4)))([image])[0].values
    qualities = [edge_quality(depth, truth) for depth in (single, tiled, finer)]
    assert qualities[1].sharpness > qualities[0].sharpness + 0.1
    assert qualities[2].sharpness > qualities[1].sharpness + 0.05
    assert qualities[1].abs_rel < 0.9 * qualities[0].abs_rel
    assert abs_rel(tiled, truth) < abs_rel(single, truth)
    assert abs_rel(finer, truth) < abs_rel(single, truth)


def test_scale_is_the_whole_pictures_and_tiles_leave_no_seams() -> None:
    image = as_picture(street())
    steady = TiledDepth(ReadingNetwork())([image])[0].values
    wandering = TiledDepth(ReadingNetwork(wander=0.2))([image])[0].values
    difference = np.log(wandering / steady)
    assert np.abs(difference).mean() < 0.02
    slopes = np.abs(np.diff(difference, axis=1))[:, 5:-5], np.abs(np.diff(difference, axis=0))[5:-5]
    assert max(float(np.median(slope)) for slope in slopes) < 2e-3
    # A tile's rim would be a column or row of steps.
    assert max(float(slopes[0].mean(axis=0).max()), float(slopes[1].mean(axis=1).max())) < 0.02


def test_a_plane_stays_a_plane() -> None:
    plane = np.full((SIZE[1], SIZE[0]), 12.0, dtype=np.float32)
    refined = TiledDepth(ReadingNetwork(wander=0.2))([as_picture(plane)])[0].values
    np.testing.assert_allclose(refined, 12.0, rtol=0.05)
    np.testing.assert_allclose(refined[40:-40], 12.0, rtol=0.01)


def test_inverse_depth_keeps_its_unknown_scale() -> None:
    truth, image = street(), as_picture(street())
    network = ReadingNetwork("relative_inverse", wander=0.1)
    whole = resize_depth(network([image])[0].values, SIZE)
    refined = TiledDepth(network)([image])[0]
    assert refined.kind == "relative_inverse"
    expected = 3 / truth + 0.2
    assert np.abs(refined.values - expected).mean() < np.abs(whole - expected).mean()


def test_the_network_is_told_each_tiles_camera() -> None:
    network, camera = ReadingNetwork(), PinholeCamera.from_field_of_view(*SIZE, 70.0)
    refine_depth(as_picture(street()), camera, network, TilingConfig())
    assert network.cameras[0] == camera
    tiles = tiles_of(SIZE, 2.0, 0.5)
    assert network.cameras[1:] == [camera.cropped(*tile) for tile in tiles]


@pytest.mark.parametrize(("zoom", "count"), [(2.0, 9), (4.0, 49), (1.5, 4)])
def test_tiles_cover_the_picture_and_overlap(zoom: float, count: int) -> None:
    tiles = tiles_of((1600, 900), zoom, 0.5)
    assert len(tiles) == count
    covered = np.zeros((900, 1600), dtype=int)
    for tile in tiles:
        covered[tile.window] += 1
    assert covered.min() == 1
    assert {tile.width for tile in tiles} == {np.ceil(1600 / zoom)}
    lefts = sorted({tile.left for tile in tiles})
    assert max(np.diff(lefts)) <= tiles[0].width / 2 + 1


def test_sizes_and_names() -> None:
    tiled = TiledDepth(ReadingNetwork(), TilingConfig(zooms=(2, 3)))
    assert tiled.model_id == "reading tiled 2+3"
    one, two = tiled([as_picture(street())] * 2, output_sizes=[(96, 54), None])
    assert one.values.shape == (54, 96)
    assert two.values.shape == (270, 480)


@pytest.mark.parametrize("zooms", [(), (1.0,), (4.0, 2.0)])
def test_zooms_that_are_none(zooms: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="each greater than the one before"):
        TilingConfig(zooms=zooms)
