# SPDX-License-Identifier: Apache-2.0
"""What things are: the classes of rendered truth, and which class a material has unless its mesh says otherwise."""

from __future__ import annotations

import enum

from ssd_core.road_world.materials import Material


class SemanticClass(enum.IntEnum):
    """Class of a pixel in rendered truth; the values are part of the format of written data."""

    SKY = 0
    ROAD = 1
    PAVEMENT = 2
    """Pavements, kerbs and traffic islands."""
    TERRAIN = 3
    """Grass, verges, bare ground."""
    VEGETATION = 4
    BUILDING = 5
    BARRIER = 6
    """Guard rails, walls along roads, fences, hedges of cloth or wood."""
    POLE = 7
    SIGN = 8
    TRAFFIC_LIGHT = 9
    CAR = 10
    LARGE_VEHICLE = 11
    """Vans, lorries, buses, trailers, tankers."""
    TWO_WHEELER = 12
    """Bicycles and motorcycles with their riders."""
    PERSON = 13
    EGO_VEHICLE = 14
    OBJECT = 15
    """Whatever else stands around: bins, benches, shelters."""


# Classes of which each one has an instance number of its own.
COUNTABLE = (SemanticClass.CAR, SemanticClass.LARGE_VEHICLE, SemanticClass.TWO_WHEELER, SemanticClass.PERSON)


def class_of(material: Material) -> SemanticClass:
    """The class of a surface whose mesh doesn't name one."""
    return _CLASSES.get(material, SemanticClass.OBJECT)


_CLASSES = {
    **dict.fromkeys((Material.ROAD, Material.JUNCTION, Material.ZEBRA, Material.STOP_LINE), SemanticClass.ROAD),
    **dict.fromkeys((Material.PAVEMENT, Material.KERB), SemanticClass.PAVEMENT),
    Material.GRASS: SemanticClass.TERRAIN,
    **dict.fromkeys(
        (
            Material.WALL, Material.SHOP, Material.BLANK_WALL, Material.TILES, Material.FLAT_ROOF,
            Material.CURTAIN_WALL, Material.CLADDING, Material.DOOR, Material.SIGNBOARD,
        ),
        SemanticClass.BUILDING,
    ),
    **dict.fromkeys((Material.BARK, Material.LEAVES, Material.TWIGS, Material.BLADES), SemanticClass.VEGETATION),
    **dict.fromkeys((Material.FENCE, Material.IRON_RAILING, Material.PICKETS, Material.WIRE_MESH), SemanticClass.BARRIER),
    **dict.fromkeys((Material.SIGN, Material.TRAFFIC_SIGN), SemanticClass.SIGN),
    Material.SIGNAL: SemanticClass.TRAFFIC_LIGHT,
    Material.WIRE: SemanticClass.POLE,
}  # fmt: skip
