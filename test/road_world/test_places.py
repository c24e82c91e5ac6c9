# SPDX-License-Identifier: Apache-2.0
"""Kinds of road and what stands beside them: cross-sections without gaps, free lanes, grades, the same world every time."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from ssd_core.road_world import district, ground, markings
from ssd_core.road_world.barriers import Run, make_barrier
from ssd_core.road_world.district import KIND_SHARES, District, make_district, make_road
from ssd_core.road_world.far_land import FarLand
from ssd_core.road_world.markings import YELLOW, Line, Surface, Symbol, code_of
from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import MATERIAL_COLUMN, MeshBuilder
from ssd_core.road_world.road import ROAD_KINDS, Bank, Road, Wave
from ssd_core.road_world.scene import Scene
from ssd_core.road_world.street import BLOCK_LENGTH, build_block

SHADERS = Path(ground.__file__).parent / "shaders"


def district_of(kind, seed=3) -> District:
    rng = np.random.default_rng([seed, 1])
    road = make_road(rng, 600.0, kind)
    return make_district(rng, seed, road)


def points_of(part, families=tuple(Family)):
    """(N, 3) in the world."""
    vertices = [part.mesh.vertices[family][:, :3] for family in families if family in part.mesh.vertices]
    return np.concatenate([np.zeros((0, 3)), *vertices]) @ part.world_from_part[:3, :3].T + part.world_from_part[:3, 3]


def road_coordinates(road, points, start, end):
    """s, t of world points beside a stretch of road, by looking for the nearest point of the centre line."""
    s = np.arange(start - 30.0, end + 30.0, 1.0)
    line, heading = road.position(s), road.heading(s)
    nearest = np.argmin(((points[:, None, :2] - line) ** 2).sum(-1), axis=1)
    offset, angle = points[:, :2] - line[nearest], heading[nearest]
    return s[nearest] + offset[:, 0] * np.cos(angle) + offset[:, 1] * np.sin(angle), -offset[:, 0] * np.sin(angle) + offset[:, 1] * np.cos(
        angle
    )


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_the_cross_section_has_neither_gaps_nor_overlaps(kind):
    for seed in range(12):
        road = make_road(np.random.default_rng(seed), 500.0, kind)
        strips = [
            *reversed(ground.roadside(road, -1, ground.SLABS, ground.LAWN)),
            *ground.carriageway(road),
            *ground.roadside(road, 1, ground.SLABS, ground.LAWN),
        ]
        strips.sort(key=lambda strip: (strip.right, strip.left))
        assert strips[0].right == pytest.approx(-ground.LAND_EDGE) and strips[-1].left == pytest.approx(ground.LAND_EDGE)
        for strip, following in itertools.pairwise(strips):
            assert strip.right < strip.left
            assert strip.left == pytest.approx(following.right), (kind, seed)
            assert strip.high == pytest.approx(following.low) if strip.left < following.left else True


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_lanes_are_where_traffic_drives(kind):
    for seed in range(12):
        road = make_road(np.random.default_rng(seed), 500.0, kind)
        assert 0 <= road.ego_lane < road.lanes_per_direction <= 4
        assert road.kind == kind and road.speed_limit > 4
        strips = {strip.lane: strip for strip in ground.carriageway(road) if strip.lane is not None}
        assert len(strips) == 2 * road.lanes_per_direction
        for lane in range(road.lanes_per_direction):
            for direction in (-1, 1):
                strip = strips[-direction * (lane + 1)]
                assert (strip.right + strip.left) / 2 == pytest.approx(road.lane_centre(lane, direction))
                assert strip.left - strip.right == pytest.approx(road.lane_width)
                assert strip.style[:2] == (strip.right, strip.left)


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_grades_and_bends_stay_drivable(kind):
    for seed in range(20):
        road = make_road(np.random.default_rng(seed), 900.0, kind)
        s = np.arange(0.0, 900.0, 2.0)
        grade = np.diff(road.point(s)[:, 2]) / 2.0
        assert np.abs(grade).max() <= 0.081
        radius = 2.0 / np.maximum(np.abs(np.diff(road.heading(s))), 1e-9)
        assert radius.min() > (150.0 if kind == "motorway" else 45.0)


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_nothing_stands_in_the_lanes(kind):
    """Below a lorry's height no vertex of anything still lies over a lane."""
    for seed, index in ((1, 1), (4, 2), (6, 3)):
        place = district_of(kind, seed)
        road = place.road
        block = build_block(place, index)
        things = np.concatenate([points_of(part, (Family.FACADE, Family.SOLID, Family.CUTOUT)) for part in (block.shell, block.detail)])
        s, t = road_coordinates(road, things, index * BLOCK_LENGTH, (index + 1) * BLOCK_LENGTH)
        height = things[:, 2] - road.point(s, t)[:, 2]
        in_lane = (np.abs(t) < road.lanes_edge - 0.1) & (np.abs(t) > road.median_width / 2 + 0.1)
        assert not (in_lane & (height > 0.0) & (height < 4.0)).any(), (seed, index, things[in_lane & (height < 4.0)][:3])


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_the_ego_vehicle_keeps_to_its_lane(kind, monkeypatch):
    monkeypatch.setattr(district, "draw_kind", lambda rng: kind)
    for seed in (2, 5):
        scene = Scene.generate(seed)
        road = scene.road
        for time in (0.0, 6.5, 19.0):
            base = scene.world_from_base(time)
            s = np.array([scene.ego.distance(time)])
            offset = road.pose(float(s[0]), road.lane_centre(road.ego_lane, 1))[:3, :3].T @ (
                base[:3, 3] - road.point(s, road.lane_centre(road.ego_lane, 1))[0]
            )
            assert abs(offset[1]) < road.lane_width / 2 - 0.95, (seed, time)
            assert abs(offset[0]) < 0.05 and abs(offset[2]) < 0.02


def test_one_pose_is_that_of_many():
    road = make_road(np.random.default_rng(3), 500.0, "country")
    s, t, yaw = np.array([-50.0, 12.3, 333.3]), np.array([-1.0, 4.0, 0.5]), np.array([0.1, 3.0, -1.0])
    for place, pose in zip(zip(s, t, yaw, strict=True), road.poses(s, t, yaw), strict=True):
        np.testing.assert_allclose(road.pose(place[0], place[1], 0.0, place[2], upright=False), pose, atol=1e-9)


@pytest.mark.parametrize("kind", ["motorway", "suburb", "street"])
def test_blocks_meet_without_a_gap(kind):
    """Where one block's ground ends the next one's begins, at the same height."""
    place = district_of(kind, 5)
    edges = []
    for index, end in ((1, 2 * BLOCK_LENGTH), (2, 2 * BLOCK_LENGTH)):
        block = build_block(place, index)
        points = points_of(block.shell, (Family.GROUND,))
        vertices = block.shell.mesh.vertices[Family.GROUND]
        at_edge = np.abs(vertices[:, 9] - end) < 1e-3
        is_road = vertices[:, MATERIAL_COLUMN] == Material.ROAD
        t = np.round(vertices[at_edge & is_road, 10], 3)
        edges.append({float(place): point for place, point in zip(t, points[at_edge & is_road], strict=True)})
    assert edges[0].keys() == edges[1].keys() and len(edges[0]) >= 3
    for place, point in edges[0].items():
        np.testing.assert_allclose(point, edges[1][place], atol=2e-3)


def test_banks_level_out_at_side_streets_and_reach_their_height():
    place = next(place for seed in range(50) if not (place := district_of("suburb", seed)).road.bank(1).is_flat)
    road = place.road
    bank = road.bank(1)
    beyond = road.house_line + bank.start + bank.width + 1.0
    s = np.arange(0.0, 300.0, 10.0)
    np.testing.assert_allclose(road.bank_rise(s, np.full_like(s, beyond)), bank.height(s))
    assert (road.bank_rise(s, np.full_like(s, road.house_line)) == 0).all()


def test_the_same_block_every_time_and_kinds_by_share():
    place = district_of("boulevard", 2)
    first, second = build_block(place, 3), build_block(place, 3)
    for family, vertices in first.shell.mesh.vertices.items():
        np.testing.assert_array_equal(vertices, second.shell.mesh.vertices[family])
    assert set(KIND_SHARES) == set(ROAD_KINDS) and sum(KIND_SHARES.values()) == pytest.approx(1.0)
    drawn = {Scene.generate(seed).road.kind for seed in range(60)}
    assert len(drawn) >= 7


@pytest.mark.parametrize("kind", ["guard_rail", "concrete", "railing", "hedge", "wall", "noise_wall", "wire_fence", "water_filled"])
def test_barriers_keep_to_their_line_and_have_a_coarse_version(kind):
    road = Road()
    run = Run(road, 10.0, 30.0, -5.0, 1, 0.14, None, road.point(20.0, -5.0))
    mesh = make_barrier(kind, run, np.random.default_rng(1))
    assert mesh.coarse is not None
    fine, coarse = (np.concatenate(list(each.vertices.values()))[:, :3] for each in (mesh, mesh.coarse))
    assert len(coarse) < len(fine)
    assert np.abs(fine[:, 1]).max() < 0.85 and np.abs(fine[:, 0]).max() < 10.6
    assert coarse[:, 2].max() == pytest.approx(fine[:, 2].max(), abs=0.35)
    assert fine[:, 2].max() > 0.6


def test_far_land_lies_below_the_strip_along_the_road():
    place = district_of("country", 1)
    far = FarLand(place)
    s = np.arange(0.0, 500.0, 25.0)
    for t in (-ground.LAND_EDGE, 0.0, ground.LAND_EDGE):
        places = place.road.point(s, np.full_like(s, t))
        assert (far.height(places[:, :2]) < places[:, 2] - 3.0).all()
    assert all(part.is_still for part in far.parts(np.zeros(2)))
    assert far.parts(np.zeros(2))[0] is far.parts(np.zeros(2))[0]


def test_the_shader_knows_the_same_numbers():
    source = (SHADERS / "ground.glsl").read_text()
    numbers = {
        name: int(value) for name, value in re.findall(r"((?:LINE|SURFACE|SYMBOL)_[A-Z_]+) = (\d+)", source) if name != "SYMBOL_LENGTH"
    }
    assert numbers.pop("LINE_YELLOW") == YELLOW
    for name, value in numbers.items():
        prefix, _, member = name.partition("_")
        assert {"LINE": Line, "SURFACE": Surface, "SYMBOL": Symbol}[prefix][member] == value
    assert f"SYMBOL_LENGTH = {markings.SYMBOL_LENGTH:.1f}" in source
    assert len(Symbol) <= 16 and len(Surface) <= 8 and max(Line) < YELLOW
    # The shader unpacks it with shifts of 4, 4, 3 and 4 bits.
    number = int(code_of(Line.DOUBLE + YELLOW, Line.INSET, Surface.HATCHED, Symbol.BOX, has_drains=True))
    assert (number & 15, number >> 4 & 15, number >> 8 & 7, number >> 11 & 15, number >= 32768) == (12, 5, 5, 9, True)


def test_a_verge_lies_between_kerb_and_pavement():
    strips = ground.roadside(Road(verge_width=2.0, pavement_width=4.0), -1, ground.SLABS, ground.LAWN)
    verge, walk = (next(strip for strip in strips if strip.material is material) for material in (Material.GRASS, Material.PAVEMENT))
    kerb = Road().half_width
    assert verge.right == pytest.approx(-kerb - 2.0) == walk.left and walk.right == pytest.approx(-kerb - 4.0)


def test_driveways_lie_on_the_bank_from_kerb_to_house():
    bank = Bank(1.0, 5.0, 2.0, Wave(0.0, 1.0, 0.0), 2.0, 2.0)
    road, builder = Road(banks=(bank, bank)), MeshBuilder()
    ground.lay_driveway(builder, road, 1, (20.0, 23.0), 9.0, ground.PLATES, road.bank_rise, np.zeros(3))
    points = builder.build().vertices[Family.GROUND][:, :3]
    assert points[:, 1].min() == pytest.approx(road.half_width, abs=0.2) and points[:, 1].max() == pytest.approx(road.house_line + 9.0)
    over = points[:, 2] - road.kerb_height - road.bank_rise(points[:, 0], points[:, 1])
    assert (over > 0.02).all() and (over < 0.06).all()


def test_retaining_walls_reach_over_the_land_they_hold():
    bank = Bank(0.15, 0.4, 3.0, Wave(0.0, 1.0, 0.0), 3.0, 3.0)
    road = Road(banks=(bank, bank))
    for side in (-1, 1):
        t = side * (road.house_line + 0.05)
        mesh = make_barrier("retaining_wall", Run(road, 10.0, 30.0, t, -side, 0.14, road.bank_rise, np.zeros(3)), np.random.default_rng(1))
        points = mesh.vertices[Family.FACADE][:, :3]
        assert 3.2 < points[:, 2].max() < 4.2 and points[:, 2].min() < 0.0
        assert (np.abs(points[:, 1]) > road.house_line - 0.1).all()
        face = mesh.vertices[Family.FACADE][:, 3:6][np.abs(points[:, 1]) < road.house_line + 0.04]
        assert (face[:, 1] * side < -0.9).all()


def test_what_is_cut_into_the_land_has_walls_and_no_fronts():
    cut = [place for seed in range(150) if (place := district_of("arterial", seed)).road.bank(1).is_steep]
    assert 2 < len(cut) < 20
    for place in cut:
        assert place.barriers[1] == "retaining_wall"
        assert {place.land_use(index, 1) for index in range(-10, 60)}.isdisjoint({"town", "works", "harbour", "car_park"})


def test_blocks_with_side_streets_have_room_on_their_shoulder_or_nobody_stands_there():
    place = district_of("arterial", 2)
    place = dataclasses.replace(place, road=dataclasses.replace(place.road, shoulder_width=3.0), closed_strip=False, junction_share=1.0)
    blocks = [build_block(place, index) for index in range(1, 7)]
    assert any(block.junction for block in blocks)
