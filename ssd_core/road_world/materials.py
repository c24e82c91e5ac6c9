# SPDX-License-Identifier: Apache-2.0
"""Names of the materials, and which shader paints each: a shader only pays for the materials of its own family."""

from __future__ import annotations

import enum


class Material(enum.IntEnum):
    """What a surface is made of; the value reaches the shaders as a vertex attribute."""

    ROAD = 0
    JUNCTION = 1
    ZEBRA = 2
    STOP_LINE = 3
    PAVEMENT = 4
    KERB = 5
    GRASS = 6

    WALL = 10
    SHOP = 11
    BLANK_WALL = 12
    TILES = 13
    FLAT_ROOF = 14
    CURTAIN_WALL = 15
    CLADDING = 16
    DOOR = 17
    SIGNBOARD = 18
    TRAFFIC_SIGN = 19

    MATT = 20
    PAINT = 21
    GLASS = 22
    METAL = 23
    RUBBER = 24
    BARK = 25
    SIGN = 26
    PANEL = 27
    WHEEL = 28
    PLATE = 29
    HEADLIGHT = 30
    TAILLIGHT = 31
    LAMP = 32
    SIGNAL = 33
    BRAKE_LIGHT = 34
    LETTERED = 35
    TANK = 36

    LEAVES = 40
    FENCE = 41
    TWIGS = 42
    BLADES = 43
    IRON_RAILING = 44
    PICKETS = 45
    WIRE_MESH = 46
    WIRE = 47


class Family(enum.Enum):
    """A group of materials painted by the shader file of that name."""

    GROUND = "ground"
    FACADE = "facade"
    SOLID = "solid"
    CUTOUT = "cutout"


def family_of(material: Material) -> Family:
    """The family whose shader knows this material: each has its own tens."""
    return (Family.GROUND, Family.FACADE, Family.SOLID, Family.SOLID, Family.CUTOUT)[material // 10]
