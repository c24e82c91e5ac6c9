# SPDX-License-Identifier: Apache-2.0
"""What a camera makes of the light: exposure, colours, tone curve, noise, blur, dirt and water on the lens, compression."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
import numpy.typing as npt

from ssd_core.road_world.meshes import Array

_LUMINANCE = np.array([0.3, 0.6, 0.1], dtype=np.float32)
# Automatic exposure reaches no further than this factor from what is right for the condition.
_METERING_REACH = 5.0
_SKY_INVERSE_DEPTH = 1e-4


@dataclasses.dataclass(frozen=True)
class CameraModel:
    """One camera. The default is neutral: the light encoded as sRGB, highlights clipped, and nothing added.

    All values hold for a whole sequence in all its conditions, so that still things look alike from frame to frame; what a condition
    needs (exposure, gain, exposure time) is the weather's, and these values scale it.
    """

    metering: float = 0.0
    """Share (in stops) of automatic exposure: 0 shows the light as it is, 1 brings every picture to the same brightness."""
    ground_metering: float = 0.0
    """Share of the sky that metering leaves out: 1 exposes for the ground alone, and the sky clips."""
    exposure_error: float = 0.0
    """Stops too bright."""
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gains of red, green and blue."""
    shoulder: float = 0.0
    """0 clips highlights, 1 rolls them off like film."""
    contrast: float = 0.0
    """Of the tone curve: below 0 flat, 1 a full S."""
    saturation: float = 1.0
    black_level: float = 0.0
    """What black is shown as, 0 to 1; below 0 the deepest shadows are black too."""
    vignetting: float = 0.0
    """Light lost in the corners, 0 to 1."""
    noise: float = 0.0
    """Times the weather's."""
    blotches: float = 0.0
    """Coloured blotches that denoising leaves, as a share of the noise."""
    shutter: float = 0.0
    """Exposure time as a multiple of the weather's: motion blur along the ego vehicle's path."""
    bloom: float = 0.0
    """Light that bright things spill around them."""
    streaks: float = 0.0
    """Light that lamps draw across a smeared windscreen by night."""
    streak_angle: float = 0.0
    """Radians from the picture's vertical."""
    flare: float = 0.0
    """Haze and ghosts when the sun is in the picture."""
    dirt: float = 0.0
    """Smudges on the lens, 0 to 1."""
    drops: float = 0.0
    """Share of the lens's places for drops that hold one when it rains, 0 to 1."""
    drop_size: float = 1.0
    film: float = 0.0
    """Water running over the glass when it rains, 0 to 1."""
    blur: float = 0.0
    """Gaussian blur of the lens, standard deviation in pixels."""
    sharpening: float = 0.0
    """Strength of the halos that sharpening leaves at edges."""
    jpeg_quality: int | None = None
    """None: not compressed. Else with halved chroma, as cameras do."""

    @classmethod
    def draw(cls, seed: int, variety: float = 1.0) -> CameraModel:
        """The camera of a sequence, the same for the same seed; variety 0.5 is mild, 1 what one meets among real recordings."""
        return _draw(seed, variety)

    def exposure(self, right: float, thumbnail: npt.NDArray[np.float32], brightness: float) -> float:
        """Factor from light to picture. right: for the condition; thumbnail (..., 3+) linear light of this picture; brightness: aim.

        Its fourth channel is inverse depth, 0 for sky; without one there is no sky.
        """
        light = np.clip(thumbnail[..., :3] @ _LUMINANCE, 1e-3, 4.0)
        is_sky = thumbnail[..., 3] < _SKY_INVERSE_DEPTH if thumbnail.shape[-1] > 3 else np.zeros(light.shape, dtype=bool)
        weight = np.where(is_sky, 1.001 - self.ground_metering, 1.0)
        metered = brightness / float(np.exp(np.average(np.log(light), weights=weight)))
        ratio = float(np.clip(metered / right, 1 / _METERING_REACH, _METERING_REACH))
        return float(right * ratio**self.metering * 2.0**self.exposure_error)

    def finish(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The whole picture at last blurred by the lens, sharpened, compressed; (H, W, 3) RGB. The neutral camera returns it as it is."""
        if self.blur > 0:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.blur), dtype=np.uint8)
        if self.sharpening > 0:
            soft = cv2.GaussianBlur(image, (0, 0), 1.2)
            image = np.asarray(cv2.addWeighted(image, 1 + self.sharpening, soft, -self.sharpening, 0), dtype=np.uint8)
        if self.jpeg_quality is not None:
            blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            packed = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])[1]
            image = np.asarray(cv2.cvtColor(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return image


@functools.lru_cache(maxsize=256)
def _draw(seed: int, variety: float) -> CameraModel:
    rng = np.random.default_rng([seed, 8])
    warmth, tint = rng.normal(0, 0.07) * variety, rng.normal(0, 0.03) * variety
    gains: Array = np.exp([warmth, tint, -warmth])
    gains /= gains @ (0.3, 0.6, 0.1)
    often = rng.random(6) < np.array([0.3, 0.35, 0.8, 0.35, 0.5, 0.6])
    return CameraModel(
        metering=float(rng.uniform(0.55, 0.9)),
        exposure_error=float(np.clip(rng.normal(0.1, 0.45 * variety), -1.2, 1.4)),
        white_balance=(float(gains[0]), float(gains[1]), float(gains[2])),
        shoulder=float(np.clip(rng.uniform(-1.4, 1.0), 0, 1)),
        contrast=float(0.65 + rng.uniform(-0.55, 0.35) * variety),
        saturation=float(1.0 + rng.uniform(-0.35, 0.3) * variety),
        black_level=float(rng.uniform(-0.09, 0.04) * variety),
        vignetting=float(rng.uniform(0.0, 0.6) * variety),
        noise=float(np.exp(rng.uniform(-1.6, 0.7 * variety))),
        blotches=float(rng.uniform(0.0, 1.2) * variety),
        shutter=float(np.exp(rng.uniform(-1.2, 0.7 * variety))),
        bloom=float(rng.uniform(0.15, 0.9)),
        streaks=float(rng.uniform(0.2, 1.0) * variety if often[1] else 0.0),
        streak_angle=float(rng.normal(0, 0.5)),
        flare=float(rng.uniform(0.0, 1.0) ** 2 * variety),
        dirt=float(rng.uniform(0.1, 0.7) * variety if often[0] else 0.0),
        drops=float(rng.choice([rng.uniform(0.02, 0.15), rng.uniform(0.15, 0.7)], p=[0.65, 0.35]) * variety if often[2] else 0.0),
        drop_size=float(rng.uniform(0.6, 1.5)),
        film=float(rng.uniform(0.2, 1.0) * variety if often[3] else 0.0),
        blur=float(rng.uniform(0.0, 0.65) * variety if often[4] else 0.0),
        sharpening=float(rng.uniform(0.0, 0.9) * variety if often[5] else 0.0),
        jpeg_quality=int(rng.uniform(55, 96)) if rng.random() < 0.6 * variety else None,
        ground_metering=float(np.clip(rng.uniform(-0.2, 1.3), 0, 1)),
    )
