# SPDX-License-Identifier: Apache-2.0
"""Conditions: where light comes from, how far one sees, how wet the road is. Nothing here moves geometry."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np

from ssd_core.road_world.meshes import Array

Condition = Literal["day-clear", "night", "day-rain"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


@dataclasses.dataclass(frozen=True)
class Weather:
    """Light and air of one condition. Colours are linear; directions are world vectors; fog is an extinction per metre."""

    sun_direction: Array
    sun_colour: Array
    sky_horizon: Array
    sky_zenith: Array
    cloud_colour: Array
    cloud_cover: float
    ambient: float
    fog_density: float
    fog_colour: Array
    wetness: float
    rain: float
    exposure: float
    noise: float
    has_shadows: bool
    is_night: bool
    lit_windows: float
    glow: Array
    """Emission of headlights, tail lights, street lamps and signals, multiples of their colour."""


def make_weather(condition: Condition, seed: int) -> Weather:
    """The weather of a condition in the world of a seed; the sun of a day never depends on anything else."""
    if condition not in CONDITIONS:
        raise ValueError(f"unknown condition {condition!r}; known: {', '.join(CONDITIONS)}")
    rng = np.random.default_rng([seed, 4, CONDITIONS.index(condition)])
    return {"day-clear": _day_clear, "night": _night, "day-rain": _day_rain}[condition](rng)


def _day_clear(rng: np.random.Generator) -> Weather:
    elevation, azimuth = np.radians(rng.uniform(22, 62)), rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    warmth = np.clip((np.radians(45) - elevation) / np.radians(30), 0, 1)
    horizon = np.array([0.72, 0.82, 0.95]) * (1 - 0.12 * warmth) + np.array([0.12, 0.03, -0.06]) * warmth
    return Weather(
        sun_direction=sun,
        sun_colour=np.array([1.0, 0.93 - 0.1 * warmth, 0.82 - 0.2 * warmth]) * rng.uniform(2.5, 3.1),
        sky_horizon=horizon,
        sky_zenith=np.array([0.16, 0.33, 0.72]) * rng.uniform(0.85, 1.15),
        cloud_colour=np.array([1.25, 1.22, 1.18]),
        cloud_cover=rng.uniform(0.1, 0.6),
        ambient=rng.uniform(0.55, 0.75),
        fog_density=rng.uniform(0.0005, 0.0016),
        fog_colour=horizon * 0.92,
        wetness=0.0,
        rain=0.0,
        exposure=rng.uniform(0.62, 0.78),
        noise=0.008,
        has_shadows=True,
        is_night=False,
        lit_windows=0.0,
        glow=np.array([0.15, 0.5, 0.2, 2.5]),
    )


def _day_rain(rng: np.random.Generator) -> Weather:
    gray = np.array([0.60, 0.65, 0.70]) * rng.uniform(0.6, 0.95)
    return Weather(
        sun_direction=np.array([0.3, 0.2, 0.93]),
        sun_colour=np.zeros(3),
        sky_horizon=gray,
        sky_zenith=gray * 0.72,
        cloud_colour=gray * 1.12,
        cloud_cover=1.0,
        ambient=0.95,
        fog_density=rng.uniform(0.0035, 0.009),
        fog_colour=gray * 0.95,
        wetness=rng.uniform(0.75, 1.0),
        rain=rng.uniform(0.6, 1.0),
        exposure=rng.uniform(0.62, 0.78),
        noise=0.014,
        has_shadows=False,
        is_night=False,
        lit_windows=0.18,
        glow=np.array([2.2, 2.0, 0.2, 3.0]),
    )


def _night(rng: np.random.Generator) -> Weather:
    haze = np.array([0.030, 0.026, 0.026]) * rng.uniform(0.6, 1.3)
    return Weather(
        sun_direction=np.array([0.2, 0.3, 0.93]),
        sun_colour=np.zeros(3),
        sky_horizon=haze,
        sky_zenith=np.array([0.0035, 0.0045, 0.008]),
        cloud_colour=haze * 0.8,
        cloud_cover=rng.uniform(0.2, 0.8),
        ambient=0.9,
        fog_density=rng.uniform(0.002, 0.004),
        fog_colour=haze * 0.7,
        wetness=0.0,
        rain=0.0,
        exposure=rng.uniform(1.5, 1.9),
        noise=0.028,
        has_shadows=False,
        is_night=True,
        lit_windows=rng.uniform(0.25, 0.45),
        glow=np.array([9.0, 4.0, 6.0, 5.0]),
    )
