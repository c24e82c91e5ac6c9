# SPDX-License-Identifier: Apache-2.0
"""A small nuScenes folder: two cameras at 12 Hz, a lidar, every record with an ego pose of its own."""

from __future__ import annotations

import json
from pathlib import Path

import landmark_world as world
import numpy as np

STEP_US = 83_333
PICTURES = 7  # every sixth is a key frame
LIDAR_DELAY_US = 37_000
START_US = 1_532_402_927_000_000
MOUNTINGS = {
    "CAM_FRONT": world.motion(world.yaw(0.02) @ world.OPTICAL_FROM_FORWARD.T, [1.7, 0.1, 1.5]),
    "CAM_FRONT_LEFT": world.motion(world.yaw(-0.06) @ world.OPTICAL_FROM_FORWARD.T, [1.5, 0.5, 1.4]),
    "LIDAR_TOP": world.motion(world.yaw(-1.5), [0.9, 0.0, 1.8]),
}
SCENES = (("scene-0061", "Parked trucks, construction"), ("scene-0103", "Night, rain, many peds"), ("scene-0916", "Rain, brand new train"))


def write_nuscenes(
    root: Path, version: str = "v1.0-mini", scenes: tuple[tuple[str, str], ...] = SCENES[:1], speed: float = 8.0, pictures: int = PICTURES
) -> Path:
    """Writes the 13 tables and all files; returns root."""
    names = "attribute calibrated_sensor category ego_pose instance log map sample sample_annotation sample_data scene sensor visibility"
    tables: dict[str, list[dict]] = {name: [] for name in names.split()}
    tables["log"].append({"token": "log", "logfile": "n015", "vehicle": "n015", "date_captured": "2018-07-24", "location": "here"})
    for channel, pose in MOUNTINGS.items():
        is_camera = channel.startswith("CAM")
        tables["sensor"].append({"token": f"sensor-{channel}", "channel": channel, "modality": "camera" if is_camera else "lidar"})
        mounting = {"token": f"mount-{channel}", "sensor_token": f"sensor-{channel}", **_pose(pose)}
        tables["calibrated_sensor"].append({**mounting, "camera_intrinsic": world.INTRINSICS.tolist() if is_camera else []})
    for index, (name, description) in enumerate(scenes):
        _write_scene(root, tables, name, description, START_US + index * 100_000_000, speed, pictures)
    folder = root / version
    folder.mkdir(parents=True)
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=0))
    return root


def _write_scene(root: Path, tables: dict, name: str, description: str, start: int, speed: float, pictures: int) -> None:
    keys = list(range(0, pictures, 6))
    samples = [f"{name}-sample{key}" for key in keys]
    tables["scene"].append(
        {"token": name + "-token", "log_token": "log", "nbr_samples": len(keys), "name": name, "description": description}
    )
    for place, (key, token) in enumerate(zip(keys, samples, strict=True)):
        stamp = start + key * STEP_US + LIDAR_DELAY_US
        before = samples[place - 1] if place else ""
        after = samples[place + 1] if place + 1 < len(samples) else ""
        tables["sample"].append({"token": token, "timestamp": stamp, "prev": before, "next": after, "scene_token": name + "-token"})
        _write_record(root, tables, name, "LIDAR_TOP", token, stamp, (stamp - start) * 1e-6, True, place, len(keys), speed)
    for shift, channel in ((0, "CAM_FRONT"), (9_000, "CAM_FRONT_LEFT")):
        for place in range(pictures):
            stamp = start + place * STEP_US + shift
            sample = samples[min(place // 6 + (place % 6 > 0), len(samples) - 1)]
            _write_record(root, tables, name, channel, sample, stamp, (stamp - start) * 1e-6, place % 6 == 0, place, pictures, speed)


def _write_record(root, tables, scene, channel, sample, stamp, seconds, is_key, place, count, speed) -> None:
    token, is_camera = f"{scene}-{channel}-{place}", channel.startswith("CAM")
    name = f"{'samples' if is_key else 'sweeps'}/{channel}/{scene}__{channel}__{stamp}.{'jpg' if is_camera else 'pcd.bin'}"
    ego = world.vehicle_pose(seconds, speed)
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_camera:
        path.write_bytes(world.encoded(world.picture(ego @ MOUNTINGS[channel]), ".jpg"))
    else:
        points = world.scan(ego @ MOUNTINGS[channel])
        path.write_bytes(np.column_stack([points, np.zeros((len(points), 2))]).astype("<f4").tobytes())
    tables["ego_pose"].append({"token": f"ego-{token}", "timestamp": stamp, **_pose(ego)})
    row = {"token": token, "sample_token": sample, "ego_pose_token": f"ego-{token}", "calibrated_sensor_token": f"mount-{channel}"}
    row |= {"timestamp": stamp, "fileformat": "jpg" if is_camera else "pcd", "is_key_frame": is_key, "filename": name}
    row |= {"width": world.WIDTH if is_camera else 0, "height": world.HEIGHT if is_camera else 0}
    row["prev"] = f"{scene}-{channel}-{place - 1}" if place else ""
    row["next"] = f"{scene}-{channel}-{place + 1}" if place + 1 < count else ""
    tables["sample_data"].append(row)


def _pose(pose: np.ndarray) -> dict:
    return {"translation": pose[:3, 3].tolist(), "rotation": world.quaternion_of(pose[:3, :3])}
