# SPDX-License-Identifier: Apache-2.0
"""Cameras as public recordings mount them, each drawn a little differently: lens, aspect, place, and the own vehicle in view."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.spatial.transform import Rotation

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.pose import Matrix
from ssd_core.road_world.ego_body import EgoBody
from ssd_core.road_world.sensors import BODY_FROM_OPTICAL, NUSCENES_CAMERAS, Lidar, MountedCamera, Rig

Preset = Literal["nuscenes", "kitti", "robotcar", "ddad", "mixed"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


class Viewpoint(NamedTuple):
    """A camera on the vehicle."""

    name: str
    camera: PinholeCamera
    base_from_camera: Matrix
    ego_body: EgoBody | None
    """What of the own vehicle is there; whether the camera sees it depends on where it looks."""


@dataclasses.dataclass(frozen=True)
class _Mount:
    """Place of a camera in base_link (metres), its yaw and horizontal field of view in degrees."""

    name: str
    x: float
    y: float
    z: float
    yaw: float
    field_of_view: float
    ego_body: EgoBody | None = None


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A recording's cameras, the first one ahead, and how much one vehicle differs from the next (deviations)."""

    aspect: float
    mounts: tuple[_Mount, ...]
    height: float = 0.08
    pitch: float = 1.0
    field_of_view: float = 0.05
    """Of the focal length, a share."""
    distortion: tuple[float, float] = (0.0, 0.0)
    """k1, k2."""
    pitch_mean: float = 0.0


# Rounded from the calibrations that come with the recordings.
_KINDS: dict[str, _Kind] = {
    "nuscenes": _Kind(
        16 / 9,
        tuple(_Mount(name, *mount, None if name == "CAM_FRONT" else "car") for name, mount in NUSCENES_CAMERAS.items()),
    ),
    "kitti": _Kind(1242 / 375, (_Mount("image_02", 1.68, 0.06, 1.65, 0.0, 81.4),), height=0.05, pitch=0.7),
    "robotcar": _Kind(
        4 / 3, (_Mount("stereo_left", 1.60, 0.12, 1.52, 0.0, 66.1, "car"),), pitch=0.8, distortion=(-0.12, 0.03), pitch_mean=-1.0
    ),
    "ddad": _Kind(
        1936 / 1216,
        (
            _Mount("CAMERA_01", 1.60, 0.0, 1.54, 0.0, 48.0),
            _Mount("CAMERA_05", 1.45, 0.45, 1.52, 56.0, 85.0, "car"),
            _Mount("CAMERA_06", 1.45, -0.45, 1.52, -56.0, 85.0, "car"),
            _Mount("CAMERA_07", 0.60, 0.50, 1.52, 125.0, 85.0, "car"),
            _Mount("CAMERA_08", 0.60, -0.50, 1.52, -125.0, 85.0, "car"),
            _Mount("CAMERA_09", 0.10, 0.0, 1.54, 180.0, 85.0, "car"),
        ),
    ),
}

# Of mixed cameras: wide crops, video, tablets, square and tall pictures.
_ASPECTS = (3.3, 2.4, 16 / 9, 16 / 9, 1.6, 4 / 3, 1.0, 0.75)


def draw_viewpoint(preset: Preset, pixels: int, generator: np.random.Generator, ahead: bool) -> Viewpoint:
    """A camera of this kind with pictures of about so many pixels; `ahead`: the one that looks ahead, else any of the others.

    All values are drawn, whether used or not. Where a recording has one camera only, it is that one. Raises ValueError for an
    unknown preset.
    """
    if preset == "mixed":
        return _mixed(pixels, generator, ahead)
    if preset not in _KINDS:
        raise ValueError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    kind = _KINDS[preset]
    others = kind.mounts[1:] or kind.mounts
    chosen = int(generator.integers(len(others)))
    mount = kind.mounts[0] if ahead else others[chosen]
    deviations = generator.normal(0.0, 1.0, 5).clip(-2, 2)
    width, height = picture_size(kind.aspect, pixels)
    share = 0.5 / math.tan(math.radians(mount.field_of_view) / 2) * math.exp(kind.field_of_view * deviations[0])
    camera = _camera(width, height, share, kind.distortion)
    pose = camera_pose(
        # Never inside the roof it stands on.
        (mount.x, mount.y, max(mount.z + kind.height * deviations[1], 1.5 if mount.ego_body == "car" else 0.0)),
        mount.yaw + 1.0 * deviations[2],
        kind.pitch_mean + kind.pitch * deviations[3],
        0.5 * deviations[4],
    )
    return Viewpoint(mount.name, camera, pose, mount.ego_body)


def rig_of(preset: Preset, width: int, height: int | None = None, only_front: bool = True, lidar: Lidar | None = None) -> Rig:
    """The cameras of a kind just as they are mounted, rectified, and LIDAR_TOP; height None: the kind's aspect.

    nuScenes' are Rig.nuscenes, which has no body of its own. Raises ValueError for "mixed", which is no vehicle's.
    """
    if preset not in _KINDS:
        raise ValueError(f"{preset!r} is no rig; known: {', '.join(_KINDS)}")
    kind = _KINDS[preset]
    size = width, height or round(width / kind.aspect)
    if preset == "nuscenes":
        return (Rig.nuscenes_front if only_front else Rig.nuscenes)(*size, lidar)
    mounts = kind.mounts[:1] if only_front else kind.mounts
    cameras = tuple(
        MountedCamera.at(
            mount.name,
            PinholeCamera.from_field_of_view(*size, mount.field_of_view),
            (mount.x, mount.y, mount.z),
            mount.yaw,
            mount.ego_body,
        )
        for mount in mounts
    )
    return Rig(cameras, lidar or Lidar.nuscenes_top())


def picture_size(aspect: float, pixels: int) -> tuple[int, int]:
    """(width, height), both even, of about this aspect and so many pixels."""
    return max(2, 2 * round((pixels * aspect) ** 0.5 / 2)), max(2, 2 * round((pixels / aspect) ** 0.5 / 2))


def camera_pose(position: tuple[float, float, float], yaw: float, pitch: float, roll: float) -> Matrix:
    """base_from_camera of an optical frame. position: metres in base_link (x forward, y left, z up); degrees, pitch up is positive."""
    pose = np.eye(4)
    # A positive turn about y looks down.
    pose[:3, :3] = Rotation.from_euler("ZYX", [yaw, -pitch, roll], degrees=True).as_matrix()
    pose[:3, 3] = position
    base_from_camera: Matrix = pose @ BODY_FROM_OPTICAL
    return base_from_camera


def _mixed(pixels: int, generator: np.random.Generator, ahead: bool) -> Viewpoint:
    width, height = picture_size(_ASPECTS[int(generator.integers(len(_ASPECTS)))], pixels)
    yaw = float(generator.normal(0.0, 8.0) if ahead else generator.uniform(-180.0, 180.0))
    # The wider of both sides, so that neither tall nor wide pictures get lenses that nobody makes.
    field_of_view = math.radians(generator.uniform(35.0, 105.0))
    share = 0.5 / math.tan(field_of_view / 2) * max(1.0, height / width)
    # Weak enough that the corners lie inside the fold of the distortion, at (2/3)^2 / (3 |k1|) squared.
    strongest = min(0.15, 0.09 / (0.25 * (1 + (height / width) ** 2) / share**2))
    distortion = -strongest * float(generator.random()) * bool(generator.random() < 0.25)
    pitch, roll = float(generator.normal(-2.0, 4.0)), float(generator.normal(0.0, 1.2))
    body: EgoBody | None = ("bonnet", "car", None)[int(generator.integers(3))]
    low, high = float(generator.uniform(1.1, 1.4)), float(generator.uniform(1.53, 2.4))
    turned = math.radians(yaw)
    # Behind the windscreen or on the roof; without a body also on bumpers and in the cabs of lorries.
    place = 1.2 + 0.4 * math.cos(turned), 0.5 * math.sin(turned)
    free = float(generator.uniform(0.7, 2.8))
    position = {"bonnet": (1.35, 0.1, low), "car": (*place, high), None: (1.2 + math.cos(turned), 0.9 * math.sin(turned), free)}[body]
    if body == "bonnet":
        yaw = math.remainder(yaw, 60.0)
    return Viewpoint(body or "free", _camera(width, height, share, (distortion, 0.0)), camera_pose(position, yaw, pitch, roll), body)


def _camera(width: int, height: int, share: float, distortion: tuple[float, float]) -> PinholeCamera:
    """share: focal length in widths of the picture."""
    focal = share * width
    centre = (width - 1) / 2, (height - 1) / 2
    if not any(distortion):
        return PinholeCamera(width, height, focal, focal, *centre)
    return PinholeCamera(width, height, focal, focal, *centre, "plumb_bob", (*distortion, 0.0, 0.0, 0.0))
