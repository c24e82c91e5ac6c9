# SPDX-License-Identifier: Apache-2.0
"""Light lost and gained on its way through rain, snow and fog."""

from __future__ import annotations

import math

import numpy as np

from ssd_core.gdt.physical.light import Array, mix


def extinction_of_visibility(metres: float) -> float:
    """Per metre, of air in which five hundredths of the contrast are left after this way (Koschmieder 1924, threshold of the WMO)."""
    return -math.log(0.05) / metres


def extinction_of_rain(millimetres_per_hour: float) -> float:
    """Per metre, of rain: 0.312 R^0.67 per km, as Halder et al. 2019 ("Physics-based rendering for improving robustness to rain") use."""
    return 0.312e-3 * math.pow(millimetres_per_hour, 0.67)


def extinction_of_snowfall(millimetres_per_hour: float) -> float:
    """Per metre, of falling snow by its water: some 4 R^0.7 per km, ten times what rain takes, of the order that Rasmussen et al. 1999
    ("The estimation of snowfall rate using visibility") measured.
    """
    return 4.0e-3 * math.pow(millimetres_per_hour, 0.7)


def see_through(light: Array, distance: Array, extinction: Array | float, air_light: Array) -> Array:
    """What is left of the light (H, W, 3) after its way, and the air's own light instead: L e^(-bd) + A (1 - e^(-bd)) (Koschmieder)."""
    return mix(light, air_light, np.asarray(1 - np.exp(-distance * np.asarray(extinction, dtype=np.float32)), dtype=np.float32))
