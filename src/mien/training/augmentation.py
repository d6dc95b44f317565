"""Augmentation of training images: one affine warp, then brightness, contrast and gamma, then camera and file effects.

It is applied to the pixels before the network sees them, with a random generator that the caller passes, so training
is repeatable on every backend and the saved network contains no augmentation layers.

    rng = np.random.default_rng(0)
    changed = Augmentation(rotation=15, random_erasing=0.3).apply(images, rng)   # uint8 (n, 48, 48)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import ModelError
from mien.renamed import renamed_fields, with_new_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST_SIDE = 16
"""The smallest size in pixels to which `downscale` reduces an image."""

_MOST_BLUR = 1.4
"""Largest standard deviation of `blur`, in pixels."""

_MOST_NOISE = 16.0
"""Largest standard deviation of `noise`, in gray levels."""

_QUALITIES = (15, 80)
"""JPEG qualities of `jpeg`."""

_ERASED = (0.03, 0.25)
"""Share of the image that `random_erasing` covers."""


OLD_NAMES = {
    "turn": "rotation",
    "light": "brightness",
    "coarse": "downscale",
    "erase": "random_erasing",
}
"""Names of fields in older code and `recipe.json` files, with the names that they have now."""


@renamed_fields(**OLD_NAMES)
@dataclass(frozen=True)
class Augmentation:
    """How strongly and how often training images are changed; 0 (or `False`) disables a change.

    The fields up to `gamma` apply to every image, by a random amount up to the one given; the others to a random share
    of the images.

    Args:
        flip: mirror half of the images left to right.
        shift: maximum translation in both directions, as a share of the image size.
        rotation: maximum rotation in degrees, clockwise or counterclockwise.
        zoom: maximum zoom in or out, as a share.
        shear: maximum shear and maximum change of the aspect ratio, as a share.
        brightness: maximum change of brightness, as a share of the full range.
        contrast: maximum change of contrast, as a share.
        gamma: maximum change of the gamma curve, as the logarithm of its exponent.
        downscale: share of images that are reduced to 16 to 40 pixels and enlarged again.
        blur: share that gets a Gaussian blur.
        noise: share that gets sensor noise.
        jpeg: share that is compressed to a JPEG of low quality.
        random_erasing: share in which a random rectangle is overwritten
            (Zhong et al. 2017, https://arxiv.org/abs/1708.04896).
        mixup: alpha of the Beta distribution that mixes pairs of images and their targets
            (Zhang et al. 2017, https://arxiv.org/abs/1710.09412).
    """

    flip: bool = True
    shift: float = 0.08
    rotation: float = 10.0
    zoom: float = 0.1
    shear: float = 0.0
    brightness: float = 0.1
    contrast: float = 0.1
    gamma: float = 0.0
    downscale: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        highest = {"rotation": 180.0, "zoom": 0.9, "gamma": 3.0, "mixup": 100.0}
        for name in (f.name for f in fields(self)):
            high = highest.get(name, 1.0)
            if not isinstance(getattr(self, name), int | float):
                raise ModelError(
                    f"Augmentation: expected {name} to be a number, got {repr(getattr(self, name))[:80]}."
                )
            if not 0 <= getattr(self, name) <= high:
                raise ModelError(
                    f"Augmentation: expected {name} from 0 to {high:g}, got {getattr(self, name)}."
                )

    def old_dict(self) -> dict[str, float]:
        """Return the changes to single images under their old names, which are the key of an augmentation cache."""
        names = {new: old for old, new in OLD_NAMES.items()}
        return {names.get(f.name, f.name): getattr(self, f.name) for f in fields(self) if f.name != "mixup"}

    @classmethod
    def from_dict(cls, data: dict[str, float]) -> Augmentation:
        """Create an augmentation from `recipe.json`, also with the field names of older versions."""
        return cls(**with_new_names(data, OLD_NAMES))

    def apply(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return augmented copies of images; pixels outside an image repeat its edge.

        Args:
            images: gray uint8 (n, size, size).
            rng: random generator; equal generators give equal images.

        Returns:
            uint8 (n, size, size).
        """
        if not len(images):
            return images.copy()
        n, side = images.shape[:2]
        warps, curves = self._warps(n, side, rng), self._curves(n, rng)
        chosen = {
            name: rng.random(n) < getattr(self, name)
            for name in ("downscale", "blur", "noise", "jpeg", "random_erasing")
        }
        amounts = rng.random((n, 5))
        changed = np.empty_like(images)
        for i in range(n):
            image = images[i]
            if warps is not None:
                image = cv2.warpAffine(image, warps[i], (side, side), borderMode=cv2.BORDER_REPLICATE)
            if chosen["downscale"][i]:
                image = _downscaled(image, amounts[i, 0])
            if chosen["blur"][i]:
                image = cv2.GaussianBlur(image, (0, 0), 0.3 + amounts[i, 1] * (_MOST_BLUR - 0.3))
            if curves is not None:
                image = cv2.LUT(image, curves[i])
            if chosen["noise"][i]:
                spread = _MOST_NOISE * amounts[i, 2]
                image = np.clip(image + rng.normal(0, spread, image.shape), 0, 255).astype(np.uint8)
            if chosen["jpeg"][i]:
                image = _jpeg_compressed(image, amounts[i, 3])
            changed[i] = image
            if chosen["random_erasing"][i]:
                _erase(changed[i], amounts[i, 4], rng)
        return changed

    def _warps(self, n: int, side: int, rng: np.random.Generator) -> NDArray[np.float64] | None:
        """Affine warp of each image (n, 2, 3): mirror, shear, zoom and rotate about the center, then shift."""
        if not (self.flip or self.shift or self.rotation or self.zoom or self.shear):
            return None
        draw = rng.uniform(-1, 1, (n, 7))
        angle = np.deg2rad(self.rotation) * draw[:, 0]
        scale = np.exp(math.log1p(self.zoom) * draw[:, 1])
        ratio = np.exp(math.log1p(self.shear) / 2 * draw[:, 2])
        shear = self.shear * draw[:, 3]
        mirror = np.where((draw[:, 4] < 0) & self.flip, -1.0, 1.0)
        cosine, sine = np.cos(angle), np.sin(angle)
        shape = np.empty((n, 2, 2))  # shear and aspect ratio, after the mirror
        shape[:, 0] = np.stack([mirror * ratio, shear], axis=1)
        shape[:, 1] = np.stack([np.zeros(n), 1 / ratio], axis=1)
        rotation = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], axis=1)
        linear = scale[:, None, None] * (rotation @ shape)
        center = np.full(2, (side - 1) / 2)
        offset = center - linear @ center + self.shift * side * draw[:, 5:7]
        return np.concatenate([linear, offset[..., None]], axis=2)

    def _curves(self, n: int, rng: np.random.Generator) -> NDArray[np.uint8] | None:
        """Return brightness, contrast and gamma of each image as a lookup table of gray levels, (n, 256)."""
        if not (self.brightness or self.contrast or self.gamma):
            return None
        draw = rng.uniform(-1, 1, (n, 3))
        levels = np.linspace(0, 1, 256) ** np.exp(self.gamma * draw[:, :1])
        contrast = np.exp(math.log1p(self.contrast) * draw[:, 1:2])
        levels = (levels - 0.5) * contrast + 0.5 + self.brightness * draw[:, 2:]
        return np.asarray(np.clip(np.rint(255 * levels), 0, 255), np.uint8)


def _downscaled(image: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    side = image.shape[0]
    small = round(_SMALLEST_SIDE + amount * (side * 5 / 6 - _SMALLEST_SIDE))
    reduced = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _jpeg_compressed(image: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    low, high = _QUALITIES
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, round(low + amount * (high - low))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def _erase(image: NDArray[np.uint8], amount: float, rng: np.random.Generator) -> None:
    """Overwrite a rectangle, in place, with one gray level or with noise."""
    side = image.shape[0]
    area = (_ERASED[0] + amount * (_ERASED[1] - _ERASED[0])) * side * side
    ratio = math.exp(rng.uniform(-1, 1))
    height, width = (min(side, max(1, round(math.sqrt(area * r)))) for r in (ratio, 1 / ratio))
    top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
    noise = rng.integers(0, 256, (height, width)) if rng.random() < 0.5 else rng.integers(0, 256)
    image[top : top + height, left : left + width] = noise


NO_AUGMENTATION = Augmentation(flip=False, shift=0, rotation=0, zoom=0, brightness=0, contrast=0)
