"""The order of the training images in an epoch: shuffled, or with every class equally often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Sampling = Literal["shuffled", "balanced"]


def epoch_order(labels: NDArray[np.int64], sampling: Sampling, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return row numbers in the order of an epoch, int64 (n,), a function of seed and epoch.

    Args:
        labels: class indices int64 (n,); -1 for none.
        sampling: `shuffled` shows each image once; `balanced` shows each class equally often: images of rare classes
            come several times, some of frequent classes not at all in this epoch.
        seed: random seed of the training.
        epoch: counted from 0.
    """
    rng = np.random.default_rng([seed, epoch])
    if sampling == "shuffled":
        return rng.permutation(len(labels))
    classes = np.unique(labels[labels >= 0])
    counts = np.full(len(classes), len(labels) // len(classes))
    counts[: len(labels) % len(classes)] += 1
    chosen = []
    for label, count in zip(rng.permutation(classes), counts, strict=True):
        rows = np.flatnonzero(labels == label)
        rounds = -(-count // len(rows))  # each image once before any is repeated
        chosen.append(np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count])
    order = np.concatenate(chosen)
    return np.asarray(order[rng.permutation(len(order))])
