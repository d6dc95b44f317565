"""SHA-256 digests of images: of each split of FER2013, independent of file format and row order; and of any images."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

FER2013_SHA256 = {
    TRAINING: "9cc68eaf2381dba5688557a3a51b1a382b77a4f99907c2fb52eafc370d3b9c32",
    PUBLIC_TEST: "6905c9b5e9d7d76fa1645a756fc9c05f21b7ca84683c4002744c1c81b592374a",
    PRIVATE_TEST: "05528916e81b556b2571e2adc611704e633958a28b2ed2ba5b07aba71f4fde7d",
}
"""The result of `split_digests` for FER2013."""


def split_digests(dataset: Dataset) -> dict[str, str]:
    """Return a digest for each split: the SHA-256 of the sorted SHA-256 digests of its rows.

    A row is the label as one byte (255 without a label) and the 2,304 pixels.

    Args:
        dataset: images of 48x48 pixels.
    """
    labeled = dataset.targets.sum(axis=1) > 0
    labels = np.where(labeled, dataset.targets.argmax(axis=1), 255).astype(np.uint8)
    digests = {}
    for split in np.unique(dataset.split):
        inside = dataset.split == split
        rows = zip(labels[inside], dataset.images[inside], strict=True)
        each = sorted(hashlib.sha256(label.tobytes() + image.tobytes()).digest() for label, image in rows)
        digests[str(split)] = hashlib.sha256(b"".join(each)).hexdigest()
    return digests


def images_digest(*parts: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the pixels of one or more arrays of images, in order.

    Args:
        *parts: uint8 (n, 48, 48).
    """
    digest = hashlib.sha256()
    for images in parts:
        digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()
