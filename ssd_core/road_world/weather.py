# SPDX-License-Identifier: Apache-2.0
"""Conditions: where light comes from, how far one sees, what lies on the ground. Nothing here moves geometry."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np

from ssd_core.road_world.meshes import Array

Condition = Literal["day-clear", "night", "day-rain", "overcast", "dusk", "night-rain", "fog", "snow"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

# Light of a clear sky by the sun's elevation in degrees: what the tables of daylight say, relative to a white wall in full sun (3).
_ELEVATIONS = (-14.0, -8.0, -4.0, -1.0, 2.0, 6.0, 12.0, 25.0, 50.0, 75.0)
_SUN = ((0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0.70, 0.30, 0.09), (1.45, 0.85, 0.38), (2.1, 1.55, 0.98), (2.65, 2.3, 1.82),
        (2.95, 2.78, 2.45), (3.05, 2.9, 2.62))  # fmt: skip
_ZENITH = ((0.003, 0.004, 0.008), (0.007, 0.011, 0.025), (0.022, 0.036, 0.075), (0.05, 0.08, 0.15), (0.075, 0.12, 0.22),
           (0.10, 0.17, 0.32), (0.13, 0.23, 0.45), (0.16, 0.30, 0.58), (0.17, 0.34, 0.70), (0.17, 0.34, 0.72))  # fmt: skip
_HORIZON = ((0.007, 0.007, 0.011), (0.022, 0.024, 0.036), (0.065, 0.063, 0.09), (0.16, 0.145, 0.17), (0.26, 0.23, 0.25),
            (0.36, 0.35, 0.38), (0.50, 0.54, 0.60), (0.66, 0.75, 0.86), (0.74, 0.85, 0.98), (0.74, 0.86, 1.0))  # fmt: skip
_GLOW = ((0, 0, 0), (0.06, 0.027, 0.014), (0.30, 0.12, 0.05), (0.75, 0.33, 0.12), (1.1, 0.58, 0.23), (1.1, 0.74, 0.38),
         (0.85, 0.70, 0.48), (0.60, 0.56, 0.48), (0.45, 0.44, 0.41), (0.4, 0.4, 0.38))  # fmt: skip

# Lamps of a district: sodium, warm and white diodes, mercury.
_LAMP_COLOURS = ((1.0, 0.42, 0.07), (1.0, 0.58, 0.22), (1.0, 0.80, 0.56), (0.88, 0.95, 1.0), (0.78, 1.0, 0.88))


@dataclasses.dataclass(frozen=True)
class Weather:
    """Light and air of one condition. Colours are linear; directions are world vectors; fog is an extinction per metre.

    sky_glow is added to the sky around the sun. sky_light and bounce_light fall on a white surface that faces up and down; of both,
    `in_shade` is the share that reaches what lies in shadow, whose sky is hidden too. fog_height:
    metres over which the fog thins to a third. cloud_shape: size, softness, stretch (0 to 1) and opacity of the clouds. snow covers what
    faces up (0 to 1); rain and snowfall are what is in the air. air_light: brightness of drops and flakes in the air. exposure shows
    an average street well, brightness is what automatic exposure aims at (geometric mean); shutter is the exposure time in seconds, noise
    that of the sensor, 1 would be as bright as white. glow: emission of headlights, tail lights, street lamps and signals, multiples of
    their colour; lamp_colour and headlights: how brightly lamps and headlights shine on their surroundings; glare: above this brightness
    no more light spills over the lens.
    """

    sun_direction: Array
    sun_colour: Array
    sky_horizon: Array
    sky_zenith: Array
    sky_glow: Array
    sky_light: Array
    bounce_light: Array
    cloud_colour: Array
    cloud_cover: float
    cloud_shape: tuple[float, float, float, float]
    fog_density: float
    fog_height: float
    fog_colour: Array
    air_light: Array
    exposure: float
    shutter: float
    noise: float
    brightness: float
    glow: Array
    lamp_colour: Array
    headlights: float = 1.0
    glare: float = 12.0
    in_shade: float = 1.0
    lit_windows: float = 0.0
    wetness: float = 0.0
    rain: float = 0.0
    snow: float = 0.0
    snowfall: float = 0.0
    has_shadows: bool = False
    is_night: bool = False


def make_weather(condition: Condition, seed: int) -> Weather:
    """The weather of a condition in the world of a seed; the sun of a day never depends on anything else."""
    if condition not in CONDITIONS:
        raise ValueError(f"unknown condition {condition!r}; known: {', '.join(CONDITIONS)}")
    rng = np.random.default_rng([seed, 22, CONDITIONS.index(condition)])
    makers = {
        "day-clear": _day_clear,
        "night": _night,
        "day-rain": _day_rain,
        "overcast": _overcast,
        "dusk": _dusk,
        "night-rain": _night_rain,
        "fog": _fog,
        "snow": _snow,
    }
    weather = makers[condition](rng)
    return dataclasses.replace(weather, lamp_colour=weather.lamp_colour * _lamp_colour(np.random.default_rng([seed, 9])))


def _day_clear(rng: np.random.Generator) -> Weather:
    return _under_the_sun(rng, float(rng.choice([rng.uniform(8, 25), rng.uniform(22, 65)], p=[0.25, 0.75])))


def _under_the_sun(rng: np.random.Generator, elevation: float) -> Weather:
    """A sunny day or its end, with clouds of some kind; a thin veil of them makes the whole sky white."""
    sun, zenith, horizon, glow = (_of_elevation(table, elevation) for table in (_SUN, _ZENITH, _HORIZON, _GLOW))
    veil = float(rng.choice([0.0, rng.uniform(0.1, 0.5), rng.uniform(0.5, 1.0)], p=[0.4, 0.3, 0.3]))
    white = np.array([1.0, 0.99, 0.97]) * (0.38 * sun.mean() + horizon.mean() * 0.75)
    zenith, horizon = zenith + veil * (white * 0.85 - zenith), horizon + veil * (white - horizon)
    sun = sun * (1 - 0.35 * veil) * rng.uniform(0.9, 1.1)
    sky_light = (0.45 * zenith + 0.45 * horizon + 0.1 * glow) * rng.uniform(0.5, 0.9)
    upwards = sun * max(np.sin(np.radians(elevation)), 0.03)
    cover = float(rng.uniform(0.0, 0.75))
    return Weather(
        sun_direction=_direction(elevation, rng.uniform(0, 360)),
        sun_colour=sun,
        sky_horizon=horizon,
        sky_zenith=zenith,
        sky_glow=glow * (1 + veil),
        sky_light=sky_light,
        bounce_light=0.23 * (0.6 * upwards + sky_light),
        cloud_colour=0.55 * sun + 0.5 * horizon,
        cloud_cover=cover,
        cloud_shape=_clouds(rng),
        fog_density=_between(rng, 0.0001, 0.0018),
        fog_height=70.0,
        fog_colour=horizon * 0.92,
        air_light=horizon,
        exposure=1.15 / _brightness(0.75 * upwards + sky_light),
        shutter=rng.uniform(0.0003, 0.002),
        noise=0.006,
        brightness=_between(rng, 0.09, 0.22),
        in_shade=rng.uniform(0.45, 0.95),
        has_shadows=True,
        glow=np.array([float(rng.choice([0.15, 3.0])), 0.5, 0.2, 2.5]),
        lamp_colour=np.zeros(3),
    )


def _dusk(rng: np.random.Generator) -> Weather:
    """Around sunset: with the last sun, or with the afterglow alone, when lamps come on one district after the other."""
    elevation = float(rng.choice([rng.uniform(1.5, 7.0), rng.uniform(-6.0, -0.5)]))
    weather = _under_the_sun(rng, elevation)
    low = elevation < 0.0
    lamps = float(rng.uniform(0.15, 0.5)) if low else 0.0
    return dataclasses.replace(
        weather,
        sun_direction=weather.sun_direction if not low else _direction(max(elevation, -2.0), np.degrees(_azimuth(weather))),
        exposure=0.62 * weather.exposure / (1 + 2.5 * lamps * max(-elevation, 0) / 6),
        cloud_colour=0.6 * weather.sky_horizon + 0.22 * weather.sky_glow,
        fog_density=rng.uniform(0.0008, 0.003),
        shutter=rng.uniform(0.006, 0.02),
        noise=rng.uniform(0.012, 0.022),
        brightness=rng.uniform(0.06, 0.13),
        has_shadows=not low,
        is_night=low,
        lit_windows=rng.uniform(0.1, 0.4),
        glow=np.array([6.0, 2.5, 4.0 if lamps else 0.3, 3.5]) * (0.35 if low else 1.0),
        lamp_colour=np.full(3, 0.35 * lamps),
        headlights=float(np.clip(-0.04 * elevation, 0.02, 0.2)),
    )


def _overcast(rng: np.random.Generator) -> Weather:
    gray = np.array([0.62, 0.66, 0.70]) * rng.uniform(0.55, 1.15) * np.array([rng.uniform(0.95, 1.08), 1.0, rng.uniform(0.95, 1.05)])
    zenith = gray * rng.uniform(1.0, 1.5)
    return _without_sun(
        rng,
        horizon=gray,
        zenith=zenith,
        cloud_colour=gray * 1.25,
        cloud_shape=(rng.uniform(0.6, 1.4), rng.uniform(0.3, 0.5), 0.0, rng.uniform(0.25, 0.8)),
        fog_density=rng.uniform(0.0006, 0.0028),
        glow=np.array([float(rng.choice([0.2, 3.0])), 0.8, 0.2, 2.8]),
        lit_windows=rng.uniform(0.0, 0.12),
        noise=0.009,
    )


def _day_rain(rng: np.random.Generator) -> Weather:
    gray = np.array([0.60, 0.65, 0.70]) * rng.uniform(0.45, 0.95)
    return _without_sun(
        rng,
        horizon=gray,
        zenith=gray * rng.uniform(0.75, 1.15),
        cloud_colour=gray * 1.12,
        cloud_shape=(0.8, 0.45, 0.0, rng.uniform(0.2, 0.6)),
        fog_density=rng.uniform(0.002, 0.008),
        fog_height=120.0,
        wetness=rng.uniform(0.6, 1.0),
        rain=float(rng.choice([0.0, rng.uniform(0.1, 0.5), rng.uniform(0.5, 1.0)], p=[0.3, 0.5, 0.2])),
        glow=np.array([2.6, 2.2, 0.2, 3.0]),
        lit_windows=0.18,
        shutter=rng.uniform(0.002, 0.006),
        noise=rng.uniform(0.009, 0.016),
    )


def _fog(rng: np.random.Generator) -> Weather:
    gray = np.array([0.64, 0.66, 0.68]) * rng.uniform(0.6, 1.2)
    # Visibility, at which five hundredths of the contrast are left, from dense fog to mist.
    visibility = _between(rng, 60.0, 400.0)
    return _without_sun(
        rng,
        horizon=gray,
        zenith=gray * rng.uniform(0.95, 1.2),
        cloud_colour=gray,
        cloud_shape=(0.7, 0.5, 0.0, 0.3),
        fog_density=3.0 / visibility,
        fog_height=_between(rng, 15.0, 250.0),
        glow=np.array([5.0, 4.0, float(rng.choice([0.2, 3.0])), 4.0]),
        lit_windows=0.15,
        wetness=0.0,
        noise=rng.uniform(0.008, 0.014),
    )


def _snow(rng: np.random.Generator) -> Weather:
    gray = np.array([0.64, 0.67, 0.72]) * rng.uniform(0.55, 1.05)
    cover = rng.uniform(0.35, 1.0)
    weather = _without_sun(
        rng,
        horizon=gray,
        zenith=gray * rng.uniform(0.9, 1.15),
        cloud_colour=gray * 1.06,
        cloud_shape=(0.8, 0.45, 0.0, 0.3),
        fog_density=rng.uniform(0.0025, 0.012),
        fog_height=150.0,
        snow=cover,
        snowfall=float(rng.choice([0.0, rng.uniform(0.2, 1.0)], p=[0.3, 0.7])),
        glow=np.array([4.0, 2.5, 0.3, 3.0]),
        lit_windows=0.2,
        shutter=rng.uniform(0.001, 0.005),
        noise=rng.uniform(0.008, 0.014),
    )
    # Snow throws light back from below, and a camera darkens what is white all over.
    return dataclasses.replace(
        weather, bounce_light=weather.sky_light * (0.15 + 0.45 * cover), exposure=weather.exposure * (1 - 0.4 * cover)
    )


def _night(rng: np.random.Generator) -> Weather:
    """From a city under a lit sky to a country road with nothing but headlights, through a sensor of one of two kinds.

    Some expose so short that most of the street stays black and noisy (as nuScenes shows it); others long, so that what passes by is
    dragged along and lamps are white discs (RobotCar).
    """
    city = float(rng.choice([rng.uniform(0.0, 0.15), rng.uniform(0.35, 1.0)], p=[0.25, 0.75]))
    lamps = 0.0 if city < 0.1 else _between(rng, 0.3, 4.0)
    haze = (np.array([0.008, 0.009, 0.012]) + city * np.array([0.034, 0.028, 0.022])) * rng.uniform(0.6, 1.3)
    cover = rng.uniform(0.1, 0.9)
    right = rng.uniform(1.3, 2.2) * (1.0 if city > 0.2 else 1.5)
    is_short = rng.random() < 0.6
    return Weather(
        sun_direction=np.array([0.2, 0.3, 0.93]),
        sun_colour=np.zeros(3),
        sky_horizon=haze,
        sky_zenith=np.array([0.0035, 0.0045, 0.008]),
        sky_glow=np.zeros(3),
        sky_light=haze * 0.5 + 0.004,
        bounce_light=haze * 0.35,
        cloud_colour=haze * (0.5 + 0.6 * city),
        cloud_cover=cover,
        cloud_shape=_clouds(rng),
        fog_density=rng.uniform(0.0008, 0.004),
        fog_height=60.0,
        fog_colour=haze * 0.7,
        air_light=haze,
        exposure=right * (0.35 if is_short else 1.0),
        shutter=rng.uniform(0.006, 0.015) if is_short else _between(rng, 0.02, 0.09),
        noise=rng.uniform(0.02, 0.055) if is_short else rng.uniform(0.02, 0.04),
        brightness=_between(rng, 0.003, 0.02) if is_short else _between(rng, 0.008, 0.1),
        is_night=True,
        lit_windows=rng.uniform(0.08, 0.5),
        glow=np.array([_between(rng, 9.0, 60.0), _between(rng, 3.0, 16.0), _between(rng, 6.0, 60.0) if lamps else 0.0, 5.0]),
        lamp_colour=np.full(3, lamps),
        headlights=_between(rng, 0.25, 0.8) if is_short else _between(rng, 0.2, 1.0),
        glare=60.0,
    )


def _night_rain(rng: np.random.Generator) -> Weather:
    dry = _night(rng)
    return dataclasses.replace(
        dry,
        fog_density=rng.uniform(0.003, 0.010),
        fog_height=90.0,
        wetness=rng.uniform(0.6, 1.0),
        rain=float(rng.choice([0.0, rng.uniform(0.1, 0.9)], p=[0.3, 0.7])),
        air_light=dry.sky_horizon + 0.03 * dry.lamp_colour + 0.01,
    )


def _without_sun(
    rng: np.random.Generator,
    horizon: Array,
    zenith: Array,
    cloud_colour: Array,
    cloud_shape: tuple[float, float, float, float],
    fog_density: float,
    glow: Array,
    lit_windows: float,
    noise: float,
    fog_height: float = 80.0,
    shutter: float = 0.002,
    wetness: float = 0.0,
    rain: float = 0.0,
    snow: float = 0.0,
    snowfall: float = 0.0,
) -> Weather:
    """A day whose light comes from the whole sky."""
    sky_light = 0.35 * horizon + 0.65 * zenith
    return Weather(
        sun_direction=np.array([0.3, 0.2, 0.93]),
        sun_colour=np.zeros(3),
        sky_horizon=horizon,
        sky_zenith=zenith,
        sky_glow=np.zeros(3),
        sky_light=sky_light,
        bounce_light=0.2 * sky_light,
        cloud_colour=cloud_colour,
        cloud_cover=float(rng.uniform(0.6, 1.0)),
        cloud_shape=cloud_shape,
        fog_density=fog_density,
        fog_height=fog_height,
        fog_colour=horizon * 0.96,
        air_light=horizon,
        exposure=1.25 / _brightness(sky_light),
        shutter=shutter,
        noise=noise,
        brightness=0.13 + 0.07 * (fog_density > 0.002) + 0.1 * snow,
        lit_windows=lit_windows,
        wetness=wetness,
        rain=rain,
        snow=snow,
        snowfall=snowfall,
        glow=glow,
        lamp_colour=np.zeros(3),
    )


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Any order of magnitude as often as another."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _clouds(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Cumulus, a broken layer, cirrus or hardly any: size, softness, stretch, opacity."""
    kinds = (
        (rng.uniform(0.7, 1.6), rng.uniform(0.10, 0.22), 0.0, 0.95),
        (rng.uniform(1.2, 2.5), rng.uniform(0.25, 0.4), 0.2, rng.uniform(0.6, 0.95)),
        (rng.uniform(0.8, 1.6), rng.uniform(0.4, 0.6), rng.uniform(0.6, 0.9), rng.uniform(0.3, 0.6)),
        (1.0, 0.3, 0.5, rng.uniform(0.0, 0.15)),
    )
    return kinds[int(rng.choice(4, p=[0.35, 0.25, 0.25, 0.15]))]


def _lamp_colour(rng: np.random.Generator) -> Array:
    return np.array(_LAMP_COLOURS[int(rng.choice(len(_LAMP_COLOURS), p=[0.3, 0.2, 0.2, 0.25, 0.05]))])


def _of_elevation(table: tuple[tuple[float, float, float], ...], elevation: float) -> Array:
    return np.array([np.interp(elevation, _ELEVATIONS, column) for column in zip(*table, strict=True)])


def _direction(elevation: float, azimuth: float) -> Array:
    up, around = np.radians(elevation), np.radians(azimuth)
    return np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])


def _azimuth(weather: Weather) -> float:
    return float(np.arctan2(weather.sun_direction[1], weather.sun_direction[0]))


def _brightness(colour: Array) -> float:
    return float(colour @ (0.3, 0.6, 0.1))
