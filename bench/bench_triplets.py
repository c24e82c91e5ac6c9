# SPDX-License-Identifier: Apache-2.0
"""How fast triplets come out of a folder of JPEGs: alone and with workers, JPEGs reduced or not. Run by hand.

    python bench/bench_triplets.py [--folder NUSCENES] [--count 100]

Without a folder it writes 60 pictures of 1600x900 with the detail of noise over gradients, in the schema of nuScenes.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import DataLoader

from ssd_core.data.frame import Frame
from ssd_core.data.nuscenes import NuScenesFrames
from ssd_core.data.triplets import Augmentation, EpochOrder, TripletDataset, TripletRule, find_triplets
from ssd_core.data.writers.nuscenes import nuscenes_writer
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.images.codec import Image, encode_jpeg

CAMERA = PinholeCamera(1600, 900, 1266.4, 1266.4, 816.3, 491.5)


class FullSize(NuScenesFrames):
    """The same pictures, never decoded at a reduced scale."""

    def image(self, frame: Frame, min_size: tuple[int, int] | None = None) -> Image:
        """The pixels in full size."""
        del min_size
        return super().image(frame)


def write_pictures(folder: Path, count: int = 60) -> None:
    """One scene of one camera at 12 Hz; every picture a key frame."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (30, 54, 3), dtype=np.uint8)
    with nuscenes_writer(folder) as writer:
        writer.add_scene("scene-0001", "Clear", "bench")
        for index in range(count):
            image = cv2.resize(np.roll(coarse, index, axis=1), CAMERA.size, interpolation=cv2.INTER_CUBIC)
            image = cv2.add(image, rng.integers(0, 24, image.shape, dtype=np.uint8))
            pose = np.eye(4)
            pose[0, 3] = 0.7 * index
            writer.add_picture("CAM_FRONT", index * 83_000_000, encode_jpeg(image, 90), CAMERA, np.eye(4), pose)


def main() -> None:
    """Print triplets a second for every way of loading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "set"
        if options.folder is None:
            write_pictures(folder)
        source = NuScenesFrames(folder, split="all", cameras=["CAM_FRONT"])
        found = find_triplets(source.frames(), TripletRule(), source.frame)
        print(f"{len(found.triplets)} triplets, dropped: {dict(found.dropped)}; {os.cpu_count()} cores")
        for name, kind in (("reduced", NuScenesFrames), ("full size", FullSize)):
            opened = functools.partial(kind, folder, split="all", cameras=["CAM_FRONT"])
            dataset = TripletDataset(opened, found.triplets, (576, 320), (784, 518), augmentation=Augmentation())
            for workers in (0, 1, 2, 4):
                loader = DataLoader(dataset, batch_size=4, sampler=EpochOrder(len(dataset), seed=0), num_workers=workers)
                next(iter(loader))  # the first batch starts the workers and opens the source
                count, start = 0, time.perf_counter()
                while count < options.count:
                    for batch in loader:
                        count += len(batch["frame_id"])
                        if count >= options.count:
                            break
                print(f"{name}, {workers} workers: {count / (time.perf_counter() - start):.1f} triplets/s")


if __name__ == "__main__":
    main()
