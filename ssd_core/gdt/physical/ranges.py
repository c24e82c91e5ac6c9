# SPDX-License-Identifier: Apache-2.0
"""How much of each effect a picture may get: ranges from which every picture draws its own values."""

from __future__ import annotations

import zlib
from typing import Annotated

import numpy as np
import pydantic

from ssd_core.storage.configuration import StrictModel


def _is_a_range(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("a range begins with its lower end")
    return value


Range = Annotated[tuple[float, float], pydantic.AfterValidator(_is_a_range)]
"""Drawn from evenly."""
Positive = Annotated[
    tuple[pydantic.PositiveFloat, pydantic.PositiveFloat],
    pydantic.AfterValidator(_is_a_range),
    pydantic.Field(json_schema_extra={"log": True}),
]
"""Drawn from evenly in stops."""
Share = Annotated[
    tuple[Annotated[float, pydantic.Field(ge=0, le=1)], Annotated[float, pydantic.Field(ge=0, le=1)]], pydantic.AfterValidator(_is_a_range)
]


class Ranges(StrictModel):
    """Base of the ranges of one condition."""

    def draw(self, seed: int) -> dict[str, float]:
        """A value of each range; of seed and name alone, so that a new range changes no other's."""
        values = {}
        for name, field in type(self).model_fields.items():
            low, high = getattr(self, name)
            share = float(np.random.default_rng([seed, zlib.crc32(name.encode())]).random())
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("log"):
                values[name] = low * (high / low) ** share
            else:
                values[name] = low + (high - low) * share
        return values


class NightRanges(Ranges):
    """From a city street under many lamps to a road with nothing but headlights."""

    brightness: Positive = (0.015, 0.16)
    """Mean of the finished picture's linear light, 1 is white: what automatic exposure aims at."""
    longest_exposure: Positive = (12.0, 40.0)
    """Where exposure ends, however dark: factor on the light."""
    flatten: Share = (0.35, 0.6)
    """Share of the day's sun and shade taken off."""
    ambient: Positive = (0.002, 0.04)
    """Light from the sky, and from all that is lit elsewhere."""
    sky: Positive = (0.002, 0.014)
    """Light of the sky itself near the horizon: haze over a city."""
    sky_warmth: Range = (-0.2, 0.5)
    """From bluish to orange."""
    headlights: Positive = (0.15, 1.2)
    """Of the own vehicle; 1 throws light 1 on a wall 12 m ahead."""
    beam_width: Range = (17.0, 30.0)
    """Degrees from the middle."""
    beam_cut_off: Range = (0.5, 1.3)
    """Degrees below the horizontal."""
    beam_warmth: Range = (-0.06, 0.2)
    """From xenon to halogen."""
    retroreflection: Range = (0.5, 3.0)
    """How much more than others bright surfaces (paint, plates, signs) throw back to where the light came from."""
    lamps: Positive = (0.06, 1.5)
    """Light of street lamps on the ground below them."""
    lamp_chance: Share = (0.75, 0.75)
    """How often there are street lamps at all."""
    lamp_colour: Range = (0.0, 5.0)
    """Which of sodium, warm, neutral and cold diodes and mercury."""
    lamp_spacing: Range = (22.0, 42.0)
    lamp_height: Range = (6.5, 10.5)
    lamp_aside: Range = (4.5, 8.5)
    both_sides: Share = (0.5, 0.5)
    """How often they stand on both sides."""
    lit_windows: Share = (0.0, 0.45)
    window_light: Positive = (0.08, 0.8)
    """Light of a lit window itself."""
    vehicle_lamps: Positive = (0.8, 4.0)
    signals: Positive = (1.5, 5.0)
    haze: Positive = (0.0006, 0.004)
    """Extinction of the air per metre."""
    wet_chance: Share = (0.3, 0.3)
    """How often the road is wet."""
    speed: Range = (0.0, 14.0)
    """Of the camera, m/s."""
    shutter: Positive = (0.004, 0.03)
    """Seconds."""
    glare: Positive = (0.05, 0.3)
    streaks: Range = (-0.15, 0.12)
    """Share of lamps' light that the windscreen draws out; below 0 none."""
    streak_angle: Range = (-0.6, 0.6)
    vignetting: Share = (0.05, 0.5)
    full_well: Positive = (250.0, 3000.0)
    """Photons that make white."""
    read_noise: Range = (1.0, 4.5)
    noise_softness: Range = (0.4, 0.9)
    blotches: Share = (0.0, 0.35)
    white_balance: Range = (-0.12, 0.12)
    """From cold to warm."""
    shoulder: Share = (0.0, 1.0)
    black_level: Range = (-0.002, 0.004)
    """Added to the light at last."""


class RainRanges(Ranges):
    """From a drizzle to a downpour by day."""

    rain: Positive = (4.0, 80.0)
    """Millimetres an hour."""
    visibility: Positive = (600.0, 6000.0)
    """Metres, through mist and spray."""
    flatten: Share = (0.45, 0.75)
    saturation: Share = (0.5, 0.85)
    sky: Range = (0.9, 1.8)
    """Light of the closed sky, 1 is white."""
    tint: Range = (-0.02, 0.06)
    """How blue the light is."""
    wetness: Share = (0.55, 1.0)
    puddles: Share = (0.02, 0.3)
    porosity: Share = (0.25, 0.5)
    mirror: Share = (0.5, 0.95)
    """Share of the wet road that is smooth enough to mirror."""
    shutter: Positive = (0.002, 0.01)
    speed: Range = (0.0, 14.0)
    wind: Range = (-3.0, 3.0)
    drop_chance: Share = (0.65, 0.65)
    """How often drops lie on the glass."""
    drops: Positive = (3.0, 22.0)
    """On the glass, by a picture of 1600 x 625."""
    drop_radius: Positive = (0.004, 0.016)
    """In picture widths."""
    drop_focus: Range = (0.2, 0.6)
    film: Range = (-0.6, 1.0)
    """Water that runs over the glass and blurs; below 0 none."""
    brightness: Positive = (0.13, 0.32)
    full_well: Positive = (500.0, 6000.0)
    read_noise: Range = (2.0, 6.0)
    vignetting: Share = (0.0, 0.35)
    shoulder: Share = (0.2, 1.0)


class SnowRanges(Ranges):
    """From flurries to a snowed-in street by day."""

    cover: Share = (0.35, 1.0)
    ploughed: Share = (0.3, 0.95)
    snowfall: Positive = (0.2, 3.0)
    """Millimetres of water an hour."""
    visibility: Positive = (200.0, 2500.0)
    flatten: Share = (0.4, 0.6)
    saturation: Share = (0.45, 0.8)
    sky: Range = (0.6, 1.0)
    tint: Range = (0.0, 0.05)
    snow_light: Range = (0.5, 0.95)
    """Light of fresh snow, 1 is white."""
    shutter: Positive = (0.001, 0.006)
    speed: Range = (0.0, 10.0)
    brightness: Positive = (0.22, 0.42)
    full_well: Positive = (800.0, 8000.0)
    read_noise: Range = (2.0, 6.0)
    vignetting: Share = (0.0, 0.3)
    shoulder: Share = (0.3, 1.0)


class FogRanges(Ranges):
    """From mist to dense fog by day."""

    visibility: Positive = (45.0, 400.0)
    """Metres, at which five hundredths of the contrast are left."""
    uneven: Share = (0.0, 0.35)
    """How much thicker some of it is."""
    flatten: Share = (0.4, 0.6)
    saturation: Share = (0.45, 0.8)
    sky: Range = (0.42, 0.85)
    tint: Range = (-0.02, 0.05)
    scatter: Range = (0.0, 1.0)
    """Blur of what lies deep in the fog."""
    brightness: Positive = (0.18, 0.40)
    full_well: Positive = (800.0, 8000.0)
    read_noise: Range = (2.0, 6.0)
    vignetting: Share = (0.0, 0.3)
    shoulder: Share = (0.3, 1.0)


class PhysicalConfig(StrictModel):
    """Ranges by condition."""

    night: NightRanges = NightRanges()
    rain: RainRanges = RainRanges()
    snow: SnowRanges = SnowRanges()
    fog: FogRanges = FogRanges()
