# SPDX-License-Identifier: Apache-2.0
"""Guesses that never look at the image: what a model must beat before its numbers mean anything."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.resize import resize_depth
from ssd_core.model.config import DepthKind
from ssd_core.runtime.estimator import DepthMap

Array = npt.NDArray[np.float32]
Objective = Literal["median", "abs_rel"]

ROW_STEP = 0.02
"""Height of a bin in y/z: 25 rows at a focal length of 1,266 pixels."""
COLUMN_STEP_DEGREES = 3.0
_ROW_LIMIT = 1.0
_COLUMN_LIMIT_DEGREES = 75.0
_FEWEST_SAMPLES = 30
_MAP_WIDTH = 480


class DepthSamples(NamedTuple):
    """Known depths along known rays, pooled over many images."""

    rays: Array
    """(N, 2): x/z and y/z in the optical frame, so that row 0 is the height of the principal point whatever the camera."""
    depth: Array
    """(N,) metres along the optical axis."""

    @classmethod
    def joined(cls, parts: Sequence[DepthSamples]) -> DepthSamples:
        """All samples of several images."""
        return cls(np.concatenate([part.rays for part in parts]), np.concatenate([part.depth for part in parts]))

    def within(self, min_depth: float, cap: float) -> DepthSamples:
        """The samples an evaluation with that range would count."""
        with np.errstate(invalid="ignore"):
            kept = np.isfinite(self.rays).all(axis=1) & (self.depth > min_depth) & (self.depth <= cap)
        return DepthSamples(self.rays[kept], self.depth[kept])


@dataclasses.dataclass(frozen=True, eq=False)
class CameraPrior:
    """A predictor whose depth depends on the camera alone; called like a DepthEstimator.

    depth_along: rays (N, 2) -> depth (N,), metres.
    """

    name: str
    model_id: str
    depth_along: Callable[[Array], Array]
    kind: DepthKind = "metric"
    max_batch: int = 16

    def __call__(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        cameras: Sequence[PinholeCamera | None] | None = None,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[DepthMap]:
        """See DepthEstimator. Raises ValueError where a camera is missing: there is nothing else to go by."""
        cameras = cameras if cameras is not None else [None] * len(images)
        output_sizes = output_sizes if output_sizes is not None else [None] * len(images)
        maps = []
        for camera, size in zip(cameras, output_sizes, strict=True):
            if camera is None:
                raise ValueError(f"{self.name} needs the camera of every image")
            maps.append(DepthMap(resize_depth(_prior_map(self, camera), size or camera.size), self.kind))
        return maps


@functools.lru_cache(maxsize=256)
def _prior_map(prior: CameraPrior, camera: PinholeCamera) -> Array:
    """At a network's size, upsampled later like a network's output."""
    rays = _coarse_rays(camera)
    return np.asarray(prior.depth_along(rays.reshape(-1, 2)).reshape(rays.shape[:2]), dtype=np.float32)


@functools.lru_cache(maxsize=64)
def _coarse_rays(camera: PinholeCamera) -> Array:
    width = min(_MAP_WIDTH, camera.width)
    return camera.scaled(width, max(1, round(camera.height * width / camera.width))).rays()


def learn_baselines(samples: DepthSamples, min_depth: float = 0.1, cap: float = 80.0) -> list[CameraPrior]:
    """Constant, row prior and ray-angle prior, each as medians and as what minimises absRel on the samples.

    The samples must come from other places than the evaluation. Raises ValueError if none lies in (min_depth, cap].
    """
    used = samples.within(min_depth, cap)
    if not len(used.depth):
        raise ValueError(f"no sample between {min_depth} and {cap} m to learn baselines from")
    objectives: tuple[tuple[Objective, str], ...] = (("median", ""), ("abs_rel", ", absRel-optimal"))
    priors = []
    for objective, suffix in objectives:
        constant = best_constant(used.depth, objective)
        rows = learn_rows(used, objective)
        table = learn_ray_table(used, rows, objective)
        priors += [
            _prior(f"constant{suffix}", np.array([constant]), functools.partial(_constant_along, constant)),
            _prior(f"row prior{suffix}", rows, functools.partial(_row_along, rows)),
            _prior(f"ray-angle prior{suffix}", table, functools.partial(_table_along, table)),
        ]
    return sorted(priors, key=lambda prior: prior.name)


def best_constant(depths: npt.NDArray[np.floating], objective: Objective) -> float:
    """The constant c that is best for known depths d (N,), N > 0.

    "median": minimises mean|c - d|. "abs_rel": minimises mean(|c - d| / d), which is the median weighted by 1/d.
    """
    ordered = np.sort(np.asarray(depths, dtype=np.float64))
    weights = np.cumsum(1 / ordered if objective == "abs_rel" else np.ones(len(ordered)))
    return float(ordered[np.searchsorted(weights, weights[-1] / 2)])


def learn_rows(samples: DepthSamples, objective: Objective) -> Array:
    """Best depth of each bin of y/z; bins with hardly a sample take their nearest neighbour's."""
    bins = np.clip(np.floor((samples.rays[:, 1] + _ROW_LIMIT) / ROW_STEP).astype(np.int64), 0, _row_count() - 1)
    values = _best_per_bin(bins, samples.depth, _row_count(), objective)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.full(_row_count(), best_constant(samples.depth, objective), dtype=np.float32)
    nearest = np.abs(np.arange(_row_count())[:, None] - known[None]).argmin(axis=1)
    return np.asarray(values[known[nearest]], dtype=np.float32)


def learn_ray_table(samples: DepthSamples, rows: Array, objective: Objective) -> Array:
    """Best depth of each bin of (y/z, azimuth): (rows, columns); bins with hardly a sample take their row's value."""
    row = np.clip(np.floor((samples.rays[:, 1] + _ROW_LIMIT) / ROW_STEP).astype(np.int64), 0, _row_count() - 1)
    azimuth = np.degrees(np.arctan(samples.rays[:, 0]))
    column = np.clip(np.floor((azimuth + _COLUMN_LIMIT_DEGREES) / COLUMN_STEP_DEGREES).astype(np.int64), 0, _column_count() - 1)
    values = _best_per_bin(row * _column_count() + column, samples.depth, _row_count() * _column_count(), objective)
    table = values.reshape(_row_count(), _column_count())
    return np.asarray(np.where(np.isfinite(table), table, rows[:, None]), dtype=np.float32)


def _row_count() -> int:
    return round(2 * _ROW_LIMIT / ROW_STEP)


def _column_count() -> int:
    return round(2 * _COLUMN_LIMIT_DEGREES / COLUMN_STEP_DEGREES)


def _best_per_bin(bins: npt.NDArray[np.int64], depth: Array, count: int, objective: Objective) -> npt.NDArray[np.float64]:
    order = np.argsort(bins, kind="stable")
    edges = np.searchsorted(bins[order], np.arange(count + 1))
    values = np.full(count, np.nan)
    for index in np.flatnonzero(np.diff(edges) >= _FEWEST_SAMPLES):
        values[index] = best_constant(depth[order[edges[index] : edges[index + 1]]], objective)
    return values


def _constant_along(constant: float, rays: Array) -> Array:
    return np.full(len(rays), constant, dtype=np.float32)


def _row_along(rows: Array, rays: Array) -> Array:
    # Rays are NaN where a lens sees nothing; there the middle of the picture's value serves.
    position = (np.nan_to_num(rays[:, 1]) + _ROW_LIMIT) / ROW_STEP - 0.5
    return np.asarray(np.interp(position, np.arange(len(rows)), rows), dtype=np.float32)


def _table_along(table: Array, rays: Array) -> Array:
    row = (np.nan_to_num(rays[:, 1]) + _ROW_LIMIT) / ROW_STEP - 0.5
    column = (np.degrees(np.arctan(np.nan_to_num(rays[:, 0]))) + _COLUMN_LIMIT_DEGREES) / COLUMN_STEP_DEGREES - 0.5
    depth = np.empty(len(rays), dtype=np.float32)
    piece = 32_000  # cv2.remap takes no array with a side of 32,768 or more
    for start in range(0, len(rays), piece):
        part = slice(start, start + piece)
        where = column[part].astype(np.float32)[:, None], row[part].astype(np.float32)[:, None]
        depth[part] = cv2.remap(table, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    return depth


def _prior(name: str, values: npt.NDArray[np.floating], depth_along: Callable[[Array], Array]) -> CameraPrior:
    digest = hashlib.sha256(np.ascontiguousarray(values, dtype=np.float32).tobytes()).hexdigest()[:8]
    return CameraPrior(name, f"{name}@{digest}", depth_along)
