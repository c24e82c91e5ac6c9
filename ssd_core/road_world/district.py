# SPDX-License-Identifier: Apache-2.0
"""What a whole place has in common, drawn from its seed: the road's course and cross-section, and what stands beside it."""

from __future__ import annotations

import dataclasses

import numpy as np

from ssd_core.road_world.road import Hills, Road, Wave


@dataclasses.dataclass(frozen=True)
class District:
    """What the whole street has in common."""

    seed: int
    road: Road
    land_use_shares: tuple[float, ...]
    parking_share: float
    lamp_height: float
    people_per_block: float
    junction_share: float
    floors: int
    tree_share: float


def make_road(rng: np.random.Generator, length: float) -> Road:
    """A road of at least `length` metres from s = 0; a longer one begins the same."""
    lanes = int(rng.choice([1, 1, 2]))
    waves = []
    for wavelength, curvature in ((rng.uniform(170, 320), rng.uniform(0.003, 0.0075)), (rng.uniform(70, 130), rng.uniform(0.0005, 0.003))):
        frequency = 2 * np.pi / wavelength
        waves.append(Wave(curvature / frequency, frequency, rng.uniform(0, 2 * np.pi)))
    hills = []
    for _ in range(3):
        angle, frequency = rng.uniform(0, 2 * np.pi), 2 * np.pi / rng.uniform(160, 380)
        hills.append((rng.uniform(0.15, 0.7), frequency * np.cos(angle), frequency * np.sin(angle), rng.uniform(0, 2 * np.pi)))
    return Road(
        lanes_per_direction=lanes,
        lane_width=rng.uniform(3.0, 3.6),
        parking_width=float(rng.choice([0.0, 2.2])),
        pavement_width=rng.uniform(2.2, 4.2),
        heading_waves=tuple(waves),
        hills=Hills(tuple(hills)),
        length=length,
    )


def make_district(rng: np.random.Generator, seed: int, road: Road) -> District:
    """What stands beside a road."""
    kinds = np.array([(0.75, 0.05, 0.12, 0.08), (0.1, 0.65, 0.2, 0.05), (0.35, 0.25, 0.3, 0.1), (0.15, 0.1, 0.25, 0.5)])
    shares = kinds[rng.choice(4, p=[0.4, 0.25, 0.25, 0.1])]
    return District(
        seed=seed,
        road=road,
        land_use_shares=tuple(float(share) for share in shares),
        parking_share=rng.uniform(0.4, 0.9),
        lamp_height=rng.uniform(6.0, 8.5),
        people_per_block=rng.uniform(0.6, 3.5),
        junction_share=rng.uniform(0.25, 0.5),
        floors=int(rng.integers(3, 6)),
        tree_share=rng.uniform(0.2, 0.8),
    )
