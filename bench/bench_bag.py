# SPDX-License-Identifier: Apache-2.0
"""How fast a bag is read: raw messages, deserialised ones, and decoded pictures. Usage: python bench/bench_bag.py [BAG]."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssd_core.data.bag import BagReader
from ssd_core.data.bag_frames import BagFrames
from ssd_core.data.writers.bag import BagWriter
from ssd_core.data.writers.messages import compressed_image_message
from ssd_core.images.codec import encode_jpeg


def main() -> None:
    """Print messages a second and MB a second for each way of reading, and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bag", nargs="?", type=Path, help="any bag with pictures; without it one with 200 of 1600x900 is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.bag or _make_bag(Path(folder) / "bench.mcap")
        _measure("raw messages", lambda: _raw(path))
        _measure("deserialised", lambda: _deserialised(path))
        _measure("decoded pictures", lambda: _pictures(path, None))
        _measure("decoded, reduced for 448x252", lambda: _pictures(path, (448, 252)))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _make_bag(path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 200, 900)[:, None, None] + np.linspace(0, 50, 1600)[None, :, None]
    with BagWriter(path) as writer:
        for index in range(200):
            picture = (rows + rng.integers(0, 12, (900, 1600, 3))).clip(0, 255).astype(np.uint8)
            stamp = index * 83_000_000
            writer.write(
                "/CAM_FRONT/image_rect_compressed", stamp, compressed_image_message(encode_jpeg(picture), "jpeg", stamp, "CAM_FRONT")
            )
    return path


def _measure(name: str, read: Callable[[], tuple[int, int]]) -> None:
    read()  # warms the file cache
    started = time.perf_counter()
    count, size = read()
    seconds = time.perf_counter() - started
    print(f"{name:30s} {count / seconds:8.0f} /s  {1000 * seconds / max(count, 1):7.2f} ms each  {size / seconds / 1e6:8.0f} MB/s")


def _raw(path: Path) -> tuple[int, int]:
    with BagReader(path) as bag:
        sizes = [len(message.data) for message in bag.messages()]
    return len(sizes), sum(sizes)


def _deserialised(path: Path) -> tuple[int, int]:
    with BagReader(path) as bag:
        sizes = [len(raw.data) for raw, _ in bag.deserialised()]
    return len(sizes), sum(sizes)


def _pictures(path: Path, min_size: tuple[int, int] | None) -> tuple[int, int]:
    source = BagFrames(path, with_poses=False)
    sizes = [source.image(frame, min_size).nbytes for frame in source.frames()]
    source.close()
    return len(sizes), sum(sizes)


if __name__ == "__main__":
    main()
