"""Units of a data set: images that must stay together in a division, because they are copies or of one group."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from mien.data.dataset import UNLABELED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset


def group_ids(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return a number for each image that is the same for all its copies.

    Args:
        images: uint8 (n, ...).

    Returns:
        int64 (n,), counted from 0 in the order in which the images first appear.
    """
    # Images are compared by a digest of 128 bits, so that the pixels are not copied; two different
    # images with the same digest are practically impossible.
    seen: dict[bytes, int] = {}
    digests = (blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.fromiter((seen.setdefault(digest, len(seen)) for digest in digests), np.int64, len(images))


def units_of(dataset: Dataset) -> NDArray[np.int64]:
    """Return the unit of each image: images connected by being copies or by belonging to the same group."""
    copies = group_ids(dataset.images)
    if dataset.groups is None:
        return copies
    _, groups = np.unique(dataset.groups, return_inverse=True)
    parent = np.arange(int(copies.max()) + 1 + int(groups.max()) + 1)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    offset = int(copies.max()) + 1
    for copy, group in zip(copies.tolist(), groups.tolist(), strict=True):
        parent[root(copy)] = root(offset + group)
    _, units = np.unique([root(copy) for copy in copies.tolist()], return_inverse=True)
    return np.asarray(units, np.int64)


def assign(dataset: Dataset, shares: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Divide images into parts with the same share of each class; each unit goes to the emptiest part.

    Args:
        dataset: the images.
        shares: the shares of the parts, which sum to 1.
        seed: random seed.

    Returns:
        The part of each image, int64 (n,); images without a label do not count.
    """
    units = units_of(dataset)
    labels = dataset.labels
    classes = len(dataset.label_set)
    count = int(units.max()) + 1
    table = np.zeros((count, classes))  # images of each class in each unit
    known = labels != UNLABELED
    np.add.at(table, (units[known], labels[known]), 1)
    totals = table.sum(axis=0)
    target = shares[:, None] * totals[None, :]  # (parts, classes)
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    size = table.sum(axis=1)
    order = order[np.argsort(-size[order], kind="stable")]  # large units first: they fit into fewer parts
    part = np.zeros(count, np.int64)
    filled = np.zeros_like(target)
    for unit in order:
        if not size[unit]:
            continue
        here = table[unit] > 0
        lacking = np.where(
            target[:, here] > 0,
            (target[:, here] - filled[:, here]) / np.maximum(target[:, here], 1e-9),
            -np.inf,
        )
        # First a part without images of a class, then the part that is furthest from its share.
        scores = lacking.mean(axis=1) + 1e-6 * shares
        part[unit] = int(np.argmax(scores))
        filled[part[unit]] += table[unit]
    return np.asarray(part[units])


def shared_groups(dataset: Dataset) -> list[str]:
    """Return the groups that have images in more than one split, sorted; empty for data without groups or splits."""
    if dataset.groups is None or not dataset.divided:
        return []
    homes: dict[str, set[str]] = {}
    for group, split in zip(dataset.groups.tolist(), dataset.split.tolist(), strict=True):
        homes.setdefault(group, set()).add(split)
    return sorted(group for group, splits in homes.items() if len(splits) > 1)
