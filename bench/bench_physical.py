# SPDX-License-Identifier: Apache-2.0
"""How physical translations look and what they measure, beside real pictures of the condition. Run by hand.

    python bench/bench_physical.py --data KITTI --data NUSCENES --data FRAMES --like NIGHT.png --like NIGHT.jpg --out out/bench/physical

Recordings without dense depth lend that of their lidar, interpolated. Prints a table (mean and standard deviation of luma, noise, colours),
the seconds a picture took, and writes a sheet for each recording; sheets of recordings that can't be published stay out of git.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from ssd_core.data.frame import Frame, FrameSource
from ssd_core.data.frame_dataset import FrameDataset
from ssd_core.data.source import open_source
from ssd_core.gdt.job import choose_frames
from ssd_core.gdt.physical.translator import PhysicalTranslator
from ssd_core.gdt.translator import FRAME_CONDITIONS, TARGET_CONDITIONS, TargetCondition, TranslationRequest, request_seed
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.images.codec import Image, read_image, write_image
from ssd_core.images.contact_sheet import contact_sheet

STEP = 2


def interpolated(image: Image, sparse: SparseDepth) -> npt.NDArray[np.float32]:
    """Dense (H, W) metres: linear in inverse depth between the points, without those that shine through; sky where it is bright above."""
    height, width = image.shape[:2]
    nearest = np.full((height, width), 1e6, dtype=np.float32)
    order = np.argsort(-sparse.z)
    nearest[sparse.v[order], sparse.u[order]] = sparse.z[order]
    in_front = sparse.z < 1.25 * cv2.erode(nearest, np.ones((13, 9), dtype=np.uint8))[sparse.v, sparse.u]
    points, inverse = np.stack([sparse.u, sparse.v], axis=1)[in_front].astype(float), 1 / sparse.z[in_front]
    rows, columns = np.mgrid[0:height:STEP, 0:width:STEP]
    linear = LinearNDInterpolator(points, inverse)(columns, rows)
    dense = np.where(np.isnan(linear), NearestNDInterpolator(points, inverse)(columns, rows), linear).astype(np.float32)
    depth = 1 / cv2.resize(cv2.GaussianBlur(dense, (0, 0), 1.5), (width, height))
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    smooth = cv2.blur(np.abs(cv2.Laplacian(gray, cv2.CV_32F)), (15, 15)) < 10
    above = np.arange(height)[:, None] < min(0.5 * height, float(np.percentile(points[:, 1], 1)) + 0.05 * height)
    depth[above & (gray > 150) & smooth] = np.inf
    return np.asarray(depth, dtype=np.float32)


def depth_of(source: FrameSource, frame: Frame, image: Image) -> npt.NDArray[np.float32] | None:
    """Truth, or the lidar's."""
    if isinstance(source, FrameDataset) and source.has_dense_depth(frame):
        return source.dense_depth(frame)
    sparse = source.lidar_depth(frame)
    return interpolated(image, sparse) if sparse is not None and sparse.z.size > 500 else None


def measure(image: Image) -> list[float]:
    """Mean and standard deviation of luma; noise (median absolute Laplacian of the picture at 400 pixels' width); red and blue by green."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(gray, (400, round(400 * gray.shape[0] / gray.shape[1])), interpolation=cv2.INTER_AREA)
    red, green, blue = image.reshape(-1, 3).mean(axis=0)
    noise = float(np.median(np.abs(cv2.Laplacian(small, cv2.CV_32F))))
    return [float(gray.mean()), float(gray.std()), noise / max(float(gray.mean()), 1.0) * 100, float(red / green), float(blue / green)]


def row(name: str, images: list[Image]) -> str:
    """Of the table: medians over the pictures."""
    middle = np.median([measure(image) for image in images], axis=0)
    return (
        f"| {name} | {len(images)} | "
        + " | ".join(f"{value:.2f}" if place > 1 else f"{value:.0f}" for place, value in enumerate(middle))
        + " |"
    )


def main() -> None:
    """Translate, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--like", type=Path, action="append", default=[], help="real pictures of the condition")
    parser.add_argument("--condition", choices=TARGET_CONDITIONS, action="append")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=6)
    arguments = parser.parse_args()
    conditions: list[TargetCondition] = arguments.condition or list(TARGET_CONDITIONS)
    translator = PhysicalTranslator()
    lines = ["| pictures | number | mean | contrast | noise % | red/green | blue/green |", "|---|---|---|---|---|---|---|"]
    lines += [row(f"real {path.name[:12]}", [read_image(path)]) for path in arguments.like]
    seconds: list[tuple[str, float]] = []
    for path in arguments.data:
        source = open_source(path)
        days: list[Image] = []
        made: dict[TargetCondition, list[Image]] = {condition: [] for condition in conditions}
        frames = choose_frames(source.frames(), ("day-clear", "unknown"), arguments.frames)
        for frame in frames:
            image = source.image(frame)
            depth = depth_of(source, frame, image)
            if depth is None:
                continue
            days.append(image)
            for condition in conditions:
                seed = request_seed(0, frame.frame_id, condition)
                request = TranslationRequest(frame.frame_id, image, depth, condition, seed, frame.camera)
                started = time.process_time()
                made[condition].append(translator.translate([request])[0].image)
                seconds.append((f"{condition} {image.shape[1]}x{image.shape[0]}", time.process_time() - started))
        lines.append(row(f"{path.name} by day", days))
        for condition, images in made.items():
            lines.append(row(f"{path.name}, {condition} by physics", images))
            true = [frame for frame in source.frames() if frame.condition == FRAME_CONDITIONS[condition]][: arguments.frames]
            if true:
                lines.append(row(f"{path.name}, {condition} as it is", [source.image(frame) for frame in true]))
        sheet = contact_sheet(
            [[day, *(made[c][place] for c in conditions)] for place, day in enumerate(days)], 480, (), ["day", *conditions]
        )
        write_image(arguments.out / f"{path.name}.jpg", sheet)
        source.close()
    print("\n".join(lines))
    for name in sorted({name for name, _ in seconds}):
        print(f"{name}: median {np.median([value for other, value in seconds if other == name]):.2f} s of processor time")


if __name__ == "__main__":
    main()
