# SPDX-License-Identifier: Apache-2.0
"""A clear day's picture turned to rain, snow or fog."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from ssd_core.gdt.physical.air import extinction_of_rain, extinction_of_snowfall, extinction_of_visibility, see_through
from ssd_core.gdt.physical.daylight import closed_sky
from ssd_core.gdt.physical.falling import rain_streaks, snow_flakes
from ssd_core.gdt.physical.lens_drops import lens_drops
from ssd_core.gdt.physical.light import Array, blurred, dim, encode, mix, resized, smooth_step
from ssd_core.gdt.physical.noise_texture import noise_texture
from ssd_core.gdt.physical.sensor import add_noise, exposure_for, roll_off, vignetting
from ssd_core.gdt.physical.snow_cover import snow_cover, snowed
from ssd_core.gdt.physical.view import View
from ssd_core.gdt.physical.wet_road import darkened, mirrored, reflect, wetness_map
from ssd_core.images.codec import Image

_LONGEST = 6.0


def rain(view: View, values: Mapping[str, float], seed: int) -> Image:
    """The picture (H, W, 3) in rain by day; values: drawn of RainRanges."""
    light = closed_sky(view, values["flatten"], values["saturation"], values["sky"], values["tint"])
    sky = _sky_light(values)
    wet = wetness_map(view, values["wetness"], values["puddles"], np.random.default_rng([seed, 2]))
    light = reflect(darkened(light, wet, values["porosity"]), mirrored(light, view, sky), wet, view, values["mirror"])
    extinction = extinction_of_rain(values["rain"]) + extinction_of_visibility(values["visibility"])
    light = see_through(light, view.distance, extinction, 0.9 * sky)
    generator = np.random.default_rng([seed, 3])
    streaks = rain_streaks(view, values["rain"], values["shutter"], values["speed"], values["wind"], generator)
    light = mix(light, np.float32(0.94) * sky, streaks)
    if values["film"] > 0:
        light = _film(light, values["film"], np.random.default_rng([seed, 6]))
    generator = np.random.default_rng([seed, 4])
    if generator.random() < values["drop_chance"]:
        light = lens_drops(light, values["drops"], values["drop_radius"], values["drop_focus"], generator)
    return _shot(light, view, values, seed)


def snow(view: View, values: Mapping[str, float], seed: int) -> Image:
    """The picture (H, W, 3) in snow by day; values: drawn of SnowRanges."""
    light = closed_sky(view, values["flatten"], values["saturation"], values["sky"], values["tint"])
    cover = snow_cover(view, values["cover"], values["ploughed"], np.random.default_rng([seed, 2]))
    light = snowed(light, cover, view, values["snow_light"])
    extinction = extinction_of_snowfall(values["snowfall"]) + extinction_of_visibility(values["visibility"])
    sky = _sky_light(values)
    light = see_through(light, view.distance, extinction, 0.95 * sky)
    flakes = snow_flakes(view, values["snowfall"], values["shutter"], values["speed"], np.random.default_rng([seed, 3]))
    return _shot(mix(light, sky, flakes), view, values, seed)


def fog(view: View, values: Mapping[str, float], seed: int) -> Image:
    """The picture (H, W, 3) in fog by day; values: drawn of FogRanges."""
    light = closed_sky(view, values["flatten"], values["saturation"], values["sky"], values["tint"])
    extinction = np.float32(extinction_of_visibility(values["visibility"]))
    distance = view.distance
    deep = 1 - np.exp(-distance * extinction)
    if values["scatter"] > 0:
        # What light was scattered several times comes from around (Narasimhan and Nayar 2003, "Shedding light on the weather").
        light = mix(light, blurred(light, view.size[0] / 320), np.float32(values["scatter"]) * deep**2)
    wisps = resized(noise_texture(np.random.default_rng([seed, 2]), 3), view.size, cv2.INTER_CUBIC)
    thick = extinction * (1 + np.float32(values["uneven"]) * (2 * wisps - 1))
    return _shot(see_through(light, distance, thick, _sky_light(values)), view, values, seed)


def _sky_light(values: Mapping[str, float]) -> Array:
    """(3,) light of the closed sky, as `closed_sky` paints it."""
    return np.array([1 - values["tint"], 1.0, 1 + values["tint"]], dtype=np.float32) * np.float32(values["sky"])


def _film(light: Array, strength: float, generator: np.random.Generator) -> Array:
    """Water that runs down the glass blurs, in patches longer than wide."""
    height, width = light.shape[:2]
    pattern = resized(noise_texture(generator, 3)[:, :40], (width, height), cv2.INTER_CUBIC)
    return mix(light, blurred(light, width / 500), np.float32(strength) * smooth_step(pattern, 0.45, 0.9))


def _shot(light: Array, view: View, values: Mapping[str, float], seed: int) -> Image:
    exposure = np.float32(exposure_for(light, values["brightness"], _LONGEST))
    dim(light, vignetting(view.size, values["vignetting"]) * exposure)
    add_noise(light, values["full_well"], values["read_noise"], 0.5, 0.1, np.random.default_rng([seed, 5]))
    roll_off(light, values["shoulder"])
    return encode(light)
