# SPDX-License-Identifier: Apache-2.0
"""A clear day's picture turned to night: the day's light taken off, the night's put on, and a camera at the end of its means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ssd_core.gdt.physical.air import see_through
from ssd_core.gdt.physical.daylight import reflectance
from ssd_core.gdt.physical.found_lamps import lit_windows, shrink, signals, vehicle_lamps
from ssd_core.gdt.physical.glare import glare
from ssd_core.gdt.physical.headlights import headlight
from ssd_core.gdt.physical.light import Array, dim, encode, luminance, resized, smooth_step
from ssd_core.gdt.physical.motion_blur import motion_blur
from ssd_core.gdt.physical.sensor import add_noise, exposure_for, roll_off, vignetting
from ssd_core.gdt.physical.street_lamps import LAMP_COLOURS, draw_street_lamps, light_of_street_lamps, place_street_lamps
from ssd_core.gdt.physical.view import View
from ssd_core.gdt.physical.wet_road import darkened, mirrored, reflect, wetness_map
from ssd_core.images.codec import Image
from ssd_core.storage.compiled import compiled

_LAMP_HEAD = 14.0
"""How much brighter a lamp's head is than what it throws on the ground."""


def night(view: View, values: Mapping[str, float], seed: int) -> Image:
    """The picture (H, W, 3) at night; values: drawn of NightRanges."""
    light = _street(view, values, seed)
    light = see_through(light, view.distance, values["haze"], _sky_colour(values) * np.float32(0.7 * values["sky"]))
    light = motion_blur(light, view, values["speed"] * values["shutter"])
    light *= np.float32(exposure_for(light, values["brightness"], values["longest_exposure"]))
    light += glare(light, 0.9, values["glare"], max(0.0, values["streaks"]), values["streak_angle"])
    dim(light, vignetting(view.size, values["vignetting"]), _warm(values["white_balance"]))
    add_noise(
        light,
        values["full_well"],
        values["read_noise"],
        values["noise_softness"],
        values["blotches"],
        np.random.default_rng([seed, 5]),
    )
    roll_off(light, values["shoulder"])
    light += np.float32(values["black_level"])
    return encode(light)


def _street(view: View, values: Mapping[str, float], seed: int) -> Array:
    """Light that reaches the camera before air and glass."""
    surfaces = reflectance(view, values["flatten"])
    paint = smooth_step(luminance(surfaces), 0.3, 0.65)
    beam = headlight(view, values["beam_width"], values["beam_cut_off"])
    beam *= np.float32(values["headlights"]) * (1 + np.float32(values["retroreflection"]) * paint)
    small = shrink(view)
    found = lit_windows(view, small, values["lit_windows"], values["window_light"], np.random.default_rng([seed, 3]))
    found += vehicle_lamps(view, small, values["vehicle_lamps"])
    found += signals(view, small, values["signals"])
    shining = resized(found, view.size)
    generator = np.random.default_rng([seed, 2])
    colour, lamp_light = np.zeros(3, dtype=np.float32), np.zeros_like(view.depth)
    if generator.random() < values["lamp_chance"]:
        colour = np.array(LAMP_COLOURS[min(int(values["lamp_colour"]), len(LAMP_COLOURS) - 1)], dtype=np.float32)
        both = bool(generator.random() < values["both_sides"])
        lamps = place_street_lamps(view, values["lamp_spacing"], values["lamp_height"], values["lamp_aside"], both, colour, generator)
        lamp_light = light_of_street_lamps(view, lamps)
        draw_street_lamps(shining, view, lamps, _LAMP_HEAD * max(values["lamps"], 0.15))
    colours = np.stack(
        [
            _warm(values["beam_warmth"]),
            colour * np.float32(values["lamps"]),
            _sky_colour(values) * np.float32(values["ambient"]),
            _sky_colour(values) * np.float32(values["sky"]),
        ]
    )
    illuminate: Any = _illuminate
    illuminate(surfaces, beam, lamp_light, view.sky, _sky_glow(view), colours, shining)
    generator = np.random.default_rng([seed, 4])
    if generator.random() < values["wet_chance"]:
        wet = wetness_map(view, float(generator.uniform(0.5, 1.0)), float(generator.uniform(0.0, 0.2)), generator)
        mirror = mirrored(shining, view, colours[3])
        # Water sends the own beam away from the camera.
        return reflect(darkened(shining, wet, 0.5), mirror, wet, view, 0.8)
    return shining


def _sky_glow(view: View) -> Array:
    """(H, W), 1 above the horizon, less higher up: haze that city light fills."""
    elevation = view.ray_x * view.up[0] + view.ray_y * view.up[1] + view.up[2]
    return np.asarray(0.25 + 0.75 * np.exp(-4.0 * np.clip(elevation, 0, None)), dtype=np.float32)


@compiled(fastmath=True)
def _illuminate(surfaces, beam, lamps, sky, glow, colours, shining):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add to what shines by itself what surfaces and sky send; colours: of beam, lamps, light from all around, sky."""
    for row in range(beam.shape[0]):
        for column in range(beam.shape[1]):
            share = sky[row, column]
            for colour in range(3):
                falling = beam[row, column] * colours[0, colour] + lamps[row, column] * colours[1, colour] + colours[2, colour]
                land = surfaces[row, column, colour] * falling
                shining[row, column, colour] += (1 - share) * land + share * glow[row, column] * colours[3, colour]


def _sky_colour(values: Mapping[str, float]) -> Array:
    return _warm(values["sky_warmth"])


def _warm(warmth: float) -> Array:
    """(3,) light more orange (positive) or bluer than white, of about the same luminance."""
    return np.array([1 + warmth, 1.0, 1 - 0.8 * warmth if warmth > 0 else 1 - 1.2 * warmth], dtype=np.float32)
