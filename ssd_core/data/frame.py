# SPDX-License-Identifier: Apache-2.0
"""One picture of one camera at one time, and the protocol of everything that has such pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image

UNKNOWN_CONDITION = "unknown"


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """What is known about one picture; it holds no pixels.

    frame_id: unique within its source, a relative path without suffix ("CAM_FRONT/1561645825000000000").
    sequence: the recording it belongs to. stamp_ns: when it was taken (header.stamp, never the time of recording); in a
    folder of images its place in the order. camera: None where intrinsics are unknown. world_from_camera: (4, 4) pose of the
    optical frame, None where unknown. speed_mps: of the camera. is_static: known to stand still. condition: "day-clear",
    "night", "day-rain", ... or "unknown". previous_id, next_id: the same camera's neighbours in time.
    """

    frame_id: str
    sequence: str
    camera_name: str
    stamp_ns: int
    camera: PinholeCamera | None = None
    world_from_camera: npt.NDArray[np.float64] | None = None
    speed_mps: float | None = None
    is_static: bool = False
    condition: str = UNKNOWN_CONDITION
    previous_id: str | None = None
    next_id: str | None = None


class FrameSource(Protocol):
    """A recording, a data set, a video or a folder of images: whatever has frames.

    `warnings` collects whole sentences about what could not be used so far, each once.
    """

    warnings: list[str]

    def frames(self) -> Sequence[Frame]:
        """All frames, in the order in which reading them is fastest."""
        ...

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels, uint8 (H, W, 3) RGB; min_size (width, height) allows a reduced JPEG (see codec.decode_image).

        Raises ImageDecodeError, naming the frame, if the picture is damaged or gone.
        """
        ...

    def lidar_depth(self, frame: Frame) -> SparseDepth | None:
        """Lidar depth in the frame's image, metres along the optical axis; None where there is no lidar or no calibration."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


def linked(frame_ids: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """(previous_id, next_id) of every frame of one camera, given in order of time."""
    return list(zip([None, *frame_ids[:-1]], [*frame_ids[1:], None], strict=True)) if frame_ids else []
