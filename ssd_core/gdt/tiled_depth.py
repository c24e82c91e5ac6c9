# SPDX-License-Identifier: Apache-2.0
"""Depth with finer edges than one pass gives: overlapping tiles at the network's full resolution, fitted to the map of the whole.

The idea is PatchFusion's (Li, Bhat, Wonka, "PatchFusion: An End-to-End Tile-Based Framework for High-Resolution Monocular Metric
Depth Estimation"), which the paper's translation uses; there a trained network fuses, here each tile lends its detail only: whatever
is broader than `smoothing` pixels of the coarser map comes from the coarser map.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pydantic

from ssd_core.gdt.translator import DepthSource
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import Image
from ssd_core.images.resize import resize_depth
from ssd_core.model.config import DepthKind
from ssd_core.runtime.estimator import DepthMap
from ssd_core.storage.configuration import StrictModel

Array = npt.NDArray[np.float32]

_NEAREST = 1e-3
"""Metres; keeps logarithms finite."""
_OUTLIER = 0.04
"""Disagreement that counts half in the broad difference, as a share of the map's spread."""
_ROUNDS = 3
_GAINS = (0.5, 2.0)
"""Contrast of a tile against the whole that is believed; beyond, only its offset is fitted."""


class TilingConfig(StrictModel):
    """How a map is refined; a level a zoom, each refining the one before."""

    zooms: tuple[float, ...] = (2.0,)
    """Tiles are the picture's width and height divided by this, and seen at the network's whole input size. (2, 4) is about PatchFusion's
    49 overlapping patches of a 4x4 grid on top of 9 of a 2x2 grid."""
    overlap: float = pydantic.Field(default=0.5, ge=0.25, le=0.75)
    """Share of a tile that the next one covers too, at least."""
    smoothing: pydantic.PositiveFloat = 6.0
    """What is broader than so many pixels of the coarser map is taken from it, what is finer from the tiles."""

    @pydantic.field_validator("zooms")
    @classmethod
    def _grow(cls, zooms: tuple[float, ...]) -> tuple[float, ...]:
        if not zooms or zooms[0] <= 1 or any(later <= earlier for earlier, later in itertools.pairwise(zooms)):
            raise ValueError("zooms: numbers above 1, each greater than the one before, such as [2] or [2, 4]")
        return zooms


class Tile(NamedTuple):
    """A window of a picture, pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of an array (rows, columns)."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


class TiledDepth:
    """A DepthSource around another one, such as a `DepthEstimator`: the same depth with finer edges, for 9 more runs at zoom 2."""

    def __init__(self, source: DepthSource, config: TilingConfig | None = None) -> None:
        self._source = source
        self.config = config or TilingConfig()

    @property
    def model_id(self) -> str:
        """Of the source, and the zooms."""
        return f"{self._source.model_id} tiled {'+'.join(f'{zoom:g}' for zoom in self.config.zooms)}"

    def __call__(
        self,
        images: Sequence[Image],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        """Depth of each picture at its own size, or at output_sizes (width, height); see DepthSource."""
        cameras = cameras if cameras is not None else [None] * len(images)
        output_sizes = output_sizes if output_sizes is not None else [None] * len(images)
        refined = []
        for image, camera, size in zip(images, cameras, output_sizes, strict=True):
            depth = refine_depth(image, camera, self._source, self.config)
            refined.append(DepthMap(resize_depth(depth.values, size) if size else depth.values, depth.kind))
        return refined


def refine_depth(image: Image, camera: PinholeCamera | None, source: DepthSource, config: TilingConfig) -> DepthMap:
    """Depth (H, W) of the picture's own size: one pass over the whole, then tiles of each zoom.

    image: uint8 (H, W, 3) RGB. The source sees windows of it with their cropped cameras; it should give maps of its own resolution.
    Tiles are fitted in log depth, or in inverse depth where the source gives that.
    """
    height, width = image.shape[:2]
    (whole,) = source([image], [camera])
    pitch = width / whole.values.shape[1]
    current = resize_depth(_to_comparable(whole.values, whole.kind), (width, height))
    for coarser, zoom in zip((1.0, *config.zooms), config.zooms, strict=False):
        current = _refine_once(current, image, camera, source, zoom, config.overlap, config.smoothing * pitch / coarser)
    return DepthMap(_from_comparable(current, whole.kind), whole.kind)


def tiles_of(size: tuple[int, int], zoom: float, overlap: float) -> list[Tile]:
    """Tiles of the picture's aspect that cover (width, height), neighbours sharing at least `overlap` of their extent."""
    width, height = math.ceil(size[0] / zoom), math.ceil(size[1] / zoom)
    return [Tile(left, top, width, height) for top in _starts(size[1], height, overlap) for left in _starts(size[0], width, overlap)]


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    steps = math.ceil((length - tile) / max(1.0, tile * (1 - overlap)))
    return sorted({round((length - tile) * step / max(1, steps)) for step in range(steps + 1)})


def _refine_once(
    coarse: Array, image: Image, camera: PinholeCamera | None, source: DepthSource, zoom: float, overlap: float, smoothing: float
) -> Array:
    total, weights = np.zeros_like(coarse), np.zeros_like(coarse)
    spread = max(float(np.subtract(*np.percentile(coarse, (95, 5)))), 1e-6)
    tiles = tiles_of((coarse.shape[1], coarse.shape[0]), zoom, overlap)
    for tile, depth in zip(tiles, _depth_of_tiles(tiles, image, camera, source), strict=True):
        detail = resize_depth(_to_comparable(depth.values, depth.kind), (tile.width, tile.height))
        weight = _blending_weight(tile.width, tile.height)
        total[tile.window] += weight * _fitted(detail, coarse[tile.window], smoothing, spread)
        weights[tile.window] += weight
    return total / weights


def _depth_of_tiles(tiles: Sequence[Tile], image: Image, camera: PinholeCamera | None, source: DepthSource) -> Iterator[DepthMap]:
    crops = [np.ascontiguousarray(image[tile.window]) for tile in tiles]
    cameras = [camera.cropped(*tile) if camera else None for tile in tiles]
    yield from source(crops, cameras)


def _fitted(detail: Array, coarse: Array, smoothing: float, spread: float) -> Array:
    """The tile's detail on the coarse map's level: scale and shift over the tile, then whatever else differs broadly.

    In the broad difference, pixels that disagree much count little: a pole that the coarse map lacks would else throw a halo.
    """
    gain, offset = _scale_and_shift(detail, coarse, smoothing)
    fitted = gain * detail + offset
    difference = coarse - fitted
    broad = _smooth(difference, smoothing)
    for _ in range(_ROUNDS):
        residual = np.abs(difference - broad)
        tolerance = max(_OUTLIER * spread, 2 * float(np.median(residual)))
        trust: Array = np.asarray(1 / (1 + (residual / tolerance) ** 2), dtype=np.float32)
        weighted: Array = np.asarray(trust * difference, dtype=np.float32)
        broad = np.asarray(_smooth(weighted, smoothing) / np.maximum(_smooth(trust, smoothing), 1e-6), dtype=np.float32)
    return np.asarray(fitted + broad, dtype=np.float32)


def _scale_and_shift(detail: Array, coarse: Array, smoothing: float) -> tuple[float, float]:
    """gain, offset that bring detail to coarse, by least squares with outliers weighted down, over areas as broad as `smoothing`."""
    size = tuple(max(2, round(side / smoothing)) for side in detail.shape[::-1])
    x = cv2.resize(detail, size, interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
    y = cv2.resize(coarse, size, interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
    gain, offset = 1.0, float(np.median(y - x))
    for _ in range(8):
        residual = gain * x + offset - y
        weight = 1 / (1 + (residual / max(2 * float(np.median(np.abs(residual))), 1e-6)) ** 2)
        x_mean, y_mean = np.average(x, weights=weight), np.average(y, weights=weight)
        variance = np.average((x - x_mean) ** 2, weights=weight)
        gain = float(np.average((x - x_mean) * (y - y_mean), weights=weight) / max(variance, 1e-12))
        if not _GAINS[0] <= gain <= _GAINS[1]:
            return 1.0, float(np.median(y - x))
        offset = float(y_mean - gain * x_mean)
    return gain, offset


def _smooth(values: Array, width: float) -> Array:
    # Two boxes are nearly a Gaussian, and cost the same for every width.
    side = 2 * round(width / 2) + 1
    return np.asarray(cv2.blur(cv2.blur(values, (side, side)), (side, side)), dtype=np.float32)


@functools.lru_cache(maxsize=8)
def _blending_weight(width: int, height: int) -> Array:
    """(height, width), greatest in the middle and next to nothing at the rim, where a network sees least around."""
    rows, columns = (np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in (height, width))
    return np.asarray(rows[:, None] * columns[None, :] + 1e-6, dtype=np.float32)


def _to_comparable(values: Array, kind: DepthKind) -> Array:
    return np.asarray(np.log(np.maximum(values, _NEAREST)) if kind == "metric" else values, dtype=np.float32)


def _from_comparable(values: Array, kind: DepthKind) -> Array:
    return np.asarray(np.exp(values) if kind == "metric" else values, dtype=np.float32)
