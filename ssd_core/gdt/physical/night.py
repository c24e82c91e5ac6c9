# SPDX-License-Identifier: Apache-2.0
"""A clear day's picture turned to night: the day's light taken off, the night's put on, and a camera at the end of its means."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssd_core.gdt.physical.air import see_through
from ssd_core.gdt.physical.daylight import reflectance
from ssd_core.gdt.physical.found_lamps import lit_windows, signals, vehicle_lamps
from ssd_core.gdt.physical.glare import glare
from ssd_core.gdt.physical.headlights import headlight
from ssd_core.gdt.physical.light import Array, encode, luminance, mix, smooth_step
from ssd_core.gdt.physical.motion_blur import motion_blur
from ssd_core.gdt.physical.sensor import add_noise, exposure_for, roll_off, vignetting
from ssd_core.gdt.physical.street_lamps import LAMP_COLOURS, draw_street_lamps, light_of_street_lamps, place_street_lamps
from ssd_core.gdt.physical.view import View
from ssd_core.gdt.physical.wet_road import darkened, mirrored, reflect, wetness_map
from ssd_core.images.codec import Image

_LAMP_HEAD = 14.0
"""How much brighter a lamp's head is than what it throws on the ground."""


def night(view: View, values: Mapping[str, float], seed: int) -> Image:
    """The picture (H, W, 3) at night; values: drawn of NightRanges."""
    light = _street(view, values, seed)
    light = see_through(light, view.distance, values["haze"], _sky_colour(values) * np.float32(0.7 * values["sky"]))
    light = motion_blur(light, view, values["speed"] * values["shutter"])
    light *= np.float32(exposure_for(light, values["brightness"], values["longest_exposure"]))
    light += glare(light, 0.9, values["glare"], max(0.0, values["streaks"]), values["streak_angle"])
    light *= vignetting(view.size, values["vignetting"])[..., None] * _warm(values["white_balance"])
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
    beam = headlight(view, values["beam_width"], values["beam_cut_off"]) * np.float32(values["headlights"])
    beam *= 1 + np.float32(values["retroreflection"]) * paint
    falling = beam[..., None] * _warm(values["beam_warmth"]) + np.float32(values["ambient"]) * _sky_colour(values)
    shining = lit_windows(view, values["lit_windows"], values["window_light"], np.random.default_rng([seed, 3]))
    shining += vehicle_lamps(view, values["vehicle_lamps"]) + signals(view, values["signals"])
    generator = np.random.default_rng([seed, 2])
    if generator.random() < values["lamp_chance"]:
        colour = np.array(LAMP_COLOURS[min(int(values["lamp_colour"]), len(LAMP_COLOURS) - 1)], dtype=np.float32)
        both = bool(generator.random() < values["both_sides"])
        lamps = place_street_lamps(view, values["lamp_spacing"], values["lamp_height"], values["lamp_aside"], both, colour, generator)
        falling += light_of_street_lamps(view, lamps)[..., None] * (colour * np.float32(values["lamps"]))
        shining += draw_street_lamps(view, lamps, _LAMP_HEAD * max(values["lamps"], 0.15))
    light = mix(surfaces * falling, _night_sky(view, values), view.sky) + shining
    generator = np.random.default_rng([seed, 4])
    if generator.random() < values["wet_chance"]:
        wet = wetness_map(view, float(generator.uniform(0.5, 1.0)), float(generator.uniform(0.0, 0.2)), generator)
        # Water sends the own beam away from the camera.
        light = reflect(darkened(light, wet, 0.5), mirrored(light, view, _sky_colour(values) * np.float32(values["sky"])), wet, view, 0.8)
    return light


def _night_sky(view: View, values: Mapping[str, float]) -> Array:
    """(H, W, 3): haze that city light fills, brightest above the horizon."""
    elevation = view.ray_x * view.up[0] + view.ray_y * view.up[1] + view.up[2]
    glow = np.float32(values["sky"]) * (0.25 + 0.75 * np.exp(-4.0 * np.clip(elevation, 0, None)))
    return np.asarray(np.broadcast_to(glow, view.depth.shape)[..., None] * _sky_colour(values), dtype=np.float32)


def _sky_colour(values: Mapping[str, float]) -> Array:
    return _warm(values["sky_warmth"])


def _warm(warmth: float) -> Array:
    """(3,) light more orange (positive) or bluer than white, of about the same luminance."""
    return np.array([1 + warmth, 1.0, 1 - 0.8 * warmth if warmth > 0 else 1 - 1.2 * warmth], dtype=np.float32)
