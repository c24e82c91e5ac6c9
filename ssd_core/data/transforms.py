# SPDX-License-Identifier: Apache-2.0
"""Crop, resize, flip, jitter and noise that keep image, camera, depth and pose consistent; nothing changes its input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.data.frame import UNKNOWN_CONDITION
from ssd_core.geometry.camera import PinholeCamera
from ssd_core.geometry.lidar import SparseDepth
from ssd_core.geometry.pose import Matrix
from ssd_core.images.codec import Image
from ssd_core.images.resize import resize_image

Depth = npt.NDArray[np.float32]

MIRROR: Matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
"""What a horizontal flip does to points in the optical frame: x changes its sign."""


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One picture with everything that moves along with its pixels.

    image uint8 (H, W, 3) RGB; camera: of exactly this image; sparse_depth: at pixels of this image, metres along the optical
    axis; dense_depth float32 (H, W), metres, 0 or NaN where unknown; world_from_camera (4, 4) pose of the optical frame.
    Raises ValueError if camera or dense depth have another size than the image.
    """

    image: Image
    camera: PinholeCamera | None = None
    sparse_depth: SparseDepth | None = None
    dense_depth: Depth | None = None
    world_from_camera: Matrix | None = None
    frame_id: str = ""
    stamp_ns: int = 0
    condition: str = UNKNOWN_CONDITION

    def __post_init__(self) -> None:
        if self.camera is not None and self.camera.size != self.size:
            raise ValueError(f"{self.frame_id}: the camera is of a {self.camera.size} image, this one is {self.size}")
        if self.dense_depth is not None and self.dense_depth.shape != self.image.shape[:2]:
            raise ValueError(f"{self.frame_id}: dense depth of shape {self.dense_depth.shape} for an image of {self.image.shape[:2]}")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image."""
        return self.image.shape[1], self.image.shape[0]


Transform = Callable[[Sample], Sample]


def apply(transforms: Iterable[Transform], sample: Sample) -> Sample:
    """The sample after all transforms, in order."""
    for transform in transforms:
        sample = transform(sample)
    return sample


@dataclasses.dataclass(frozen=True)
class Crop:
    """The window of width x height pixels that starts at pixel (left, top). Raises ValueError if it reaches beyond the image."""

    left: int
    top: int
    width: int
    height: int

    def __call__(self, sample: Sample) -> Sample:
        """The window of a sample."""
        width, height = sample.size
        right, bottom = self.left + self.width, self.top + self.height
        if min(self.left, self.top) < 0 or min(self.width, self.height) < 1 or right > width or bottom > height:
            raise ValueError(f"{sample.frame_id}: {self} reaches beyond the image of {width}x{height}")
        rows, columns = slice(self.top, bottom), slice(self.left, right)
        return dataclasses.replace(
            sample,
            image=sample.image[rows, columns],
            camera=None if sample.camera is None else sample.camera.cropped(self.left, self.top, self.width, self.height),
            dense_depth=None if sample.dense_depth is None else sample.dense_depth[rows, columns],
            sparse_depth=None if sample.sparse_depth is None else self._sparse(sample.sparse_depth),
        )

    def _sparse(self, depth: SparseDepth) -> SparseDepth:
        u, v = depth.u - self.left, depth.v - self.top
        kept = (u >= 0) & (u < self.width) & (v >= 0) & (v < self.height)
        return SparseDepth(u[kept].astype(np.int32), v[kept].astype(np.int32), depth.z[kept])


@dataclasses.dataclass(frozen=True)
class Resize:
    """The image through THE resize, its camera exactly scaled.

    Dense depth takes the nearest pixel: at an edge it stays one of both surfaces, and holes stay holes. Of sparse
    depths that fall into one pixel the nearest wins.
    """

    width: int
    height: int

    def __call__(self, sample: Sample) -> Sample:
        """The sample at another size."""
        size = self.width, self.height
        if sample.size == size:
            return sample
        return dataclasses.replace(
            sample,
            image=resize_image(sample.image, size),
            camera=None if sample.camera is None else sample.camera.scaled(*size),
            dense_depth=None if sample.dense_depth is None else _nearest_depth(sample.dense_depth, size),
            sparse_depth=None if sample.sparse_depth is None else scale_sparse_depth(sample.sparse_depth, sample.size, size),
        )


@dataclasses.dataclass(frozen=True)
class HorizontalFlip:
    """The mirrored picture of the mirrored world: x changes its sign in the image, in the optical frame and in the world.

    The pose becomes M @ pose @ M with M = diag(-1, 1, 1, 1), so motions between flipped frames are the mirrored motions; flip
    either all frames of a triplet or none.
    """

    def __call__(self, sample: Sample) -> Sample:
        """The mirrored sample."""
        depth = sample.sparse_depth
        return dataclasses.replace(
            sample,
            image=np.asarray(cv2.flip(sample.image, 1), dtype=np.uint8),
            camera=None if sample.camera is None else sample.camera.flipped(),
            dense_depth=None if sample.dense_depth is None else np.ascontiguousarray(sample.dense_depth[:, ::-1]),
            sparse_depth=None if depth is None else SparseDepth((sample.size[0] - 1 - depth.u).astype(np.int32), depth.v, depth.z),
            world_from_camera=None if sample.world_from_camera is None else MIRROR @ sample.world_from_camera @ MIRROR,
        )


@dataclasses.dataclass(frozen=True)
class ColourJitter:
    """Brightness, then contrast about the image's mean gray, then saturation, as factors; then hue as a turn of the colour circle.

    Hue turns colours about the gray axis (0.05 is 18 degrees), so the whole jitter is one affine map of RGB. Geometry is untouched.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0

    @classmethod
    def draw(cls, generator: np.random.Generator, strength: float = 0.2, hue: float = 0.05) -> ColourJitter:
        """Random factors in 1 - strength .. 1 + strength and a hue in -hue .. hue."""
        brightness, contrast, saturation = generator.uniform(1 - strength, 1 + strength, 3)
        return cls(float(brightness), float(contrast), float(saturation), float(generator.uniform(-hue, hue)))

    def __call__(self, sample: Sample) -> Sample:
        """The sample with other colours."""
        mean = float(np.dot(cv2.mean(sample.image)[:3], _LUMA)) * self.brightness
        saturate = self.saturation * np.eye(3) + (1 - self.saturation) * np.tile(_LUMA, (3, 1))
        colours = _turn_about_gray(2 * np.pi * self.hue) @ saturate
        offset = colours @ np.full(3, (1 - self.contrast) * mean)
        affine = np.column_stack([colours * (self.brightness * self.contrast), offset])
        return dataclasses.replace(sample, image=np.asarray(cv2.transform(sample.image, affine), dtype=np.uint8))


@dataclasses.dataclass(frozen=True)
class Noise:
    """Gaussian noise of `sigma` (1 is full scale) on every value; the field depends on the seed and on the sample's stamp alone."""

    sigma: float
    seed: int

    @classmethod
    def draw(cls, generator: np.random.Generator, low: float = 0.005, high: float = 0.05) -> Noise:
        """A random sigma between low and high, and a seed."""
        return cls(float(generator.uniform(low, high)), int(generator.integers(2**63)))

    def __call__(self, sample: Sample) -> Sample:
        """The noisy sample."""
        generator = np.random.default_rng([self.seed, sample.stamp_ns & (2**64 - 1)])
        field = generator.standard_normal(sample.image.shape, dtype=np.float32)
        field *= np.float32(255 * self.sigma)
        noisy = cv2.add(sample.image, field, dtype=cv2.CV_8U)  # rounds and saturates
        return dataclasses.replace(sample, image=np.asarray(noisy, dtype=np.uint8))


@dataclasses.dataclass(frozen=True)
class Sharpness:
    """Blurred by `sigma` pixels, or with amount > 0 sharpened: amount times what that blur takes away is added.

    Lenses, Bayer patterns, compression and resizing make pictures as sharp as they like; rendered ones are as sharp as their crop is
    wide, which would tell a network the focal length.
    """

    sigma: float
    amount: float = 0.0

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Sharpness:
        """Blurred by up to 1.2 pixels or, as often, sharpened."""
        sigma, is_sharpened = float(generator.uniform(0.3, 1.2)), generator.random() < 0.5
        return cls(sigma, float(generator.uniform(0.3, 2.0)) if is_sharpened else 0.0)

    def __call__(self, sample: Sample) -> Sample:
        """The sample with other outlines."""
        blurred = cv2.GaussianBlur(sample.image, (0, 0), self.sigma)
        image = cv2.addWeighted(sample.image, 1 + self.amount, blurred, -self.amount, 0) if self.amount else blurred
        return dataclasses.replace(sample, image=np.asarray(image, dtype=np.uint8))


@dataclasses.dataclass(frozen=True)
class RandomConvolution:
    """Other textures and colours on the same shapes: a share of the picture after a convolution of random weights.

    The weights, `size` x `size` from each colour to each, are normal with the variance that keeps the picture's; mean and deviation
    of each colour stay those of the picture. What a network learns from such pictures can't be how one world's asphalt
    looks (Xu et al., "Robust and Generalizable Visual Representation Learning via Random Convolutions", 2021).
    """

    seed: int
    size: int = 3
    share: float = 0.5

    @classmethod
    def draw(cls, generator: np.random.Generator) -> RandomConvolution:
        """Random weights of 1, 3 or 5 pixels, a random share."""
        return cls(int(generator.integers(2**63)), int(generator.choice([1, 3, 5])), float(generator.uniform(0.2, 0.9)))

    def __call__(self, sample: Sample) -> Sample:
        """The sample with other textures."""
        generator = np.random.default_rng(self.seed)
        weights = generator.normal(0, 1 / (3**0.5 * self.size), (3, 3, self.size, self.size)).astype(np.float32)
        mean, deviation = (values.reshape(3).astype(np.float32) for values in cv2.meanStdDev(sample.image))
        deviation = np.maximum(deviation, 1.0)
        normal = (sample.image - mean) / deviation
        mixed = np.stack([sum(cv2.filter2D(normal[..., i], -1, weights[o, i]) for i in range(3)) for o in range(3)], axis=-1)
        mixed = self.share * mixed + (1 - self.share) * normal
        mixed *= deviation / np.maximum(mixed.std(axis=(0, 1)), 1e-3)
        return dataclasses.replace(sample, image=np.clip(mixed - mixed.mean(axis=(0, 1)) + mean, 0, 255).astype(np.uint8))


def scale_sparse_depth(depth: SparseDepth, size: tuple[int, int], new_size: tuple[int, int]) -> SparseDepth:
    """Sparse depth of a size = (width, height) image in the same image resized; the nearest depth of a pixel wins."""
    if size == new_size:
        return depth
    u = np.floor((depth.u + 0.5) * (new_size[0] / size[0])).astype(np.int64)
    v = np.floor((depth.v + 0.5) * (new_size[1] / size[1])).astype(np.int64)
    order = np.argsort(depth.z, kind="stable")
    _, first = np.unique(v[order] * new_size[0] + u[order], return_index=True)
    kept = order[first]
    return SparseDepth(u[kept].astype(np.int32), v[kept].astype(np.int32), depth.z[kept])


_LUMA = np.array([0.299, 0.587, 0.114])


def _nearest_depth(depth: Depth, size: tuple[int, int]) -> Depth:
    return np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.float32)


def _turn_about_gray(angle: float) -> npt.NDArray[np.float64]:
    rotation, _ = cv2.Rodrigues(np.full(3, angle / np.sqrt(3)))
    return np.asarray(rotation, dtype=np.float64)
