"""A reproducible sample of images, for measurements that a part of the images is sufficient for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sample_images(images: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Return up to `most` images in random order, always the same ones of the same images.

    The first images of a data set would be no sample: those of folders are sorted by class. Every part of the result is
    a sample, too.

    Args:
        images: uint8 (n, ...).
        most: maximum number of images.

    Returns:
        uint8 (at most `most`, ...).
    """
    return images[np.random.default_rng(0).permutation(len(images))[:most]]
