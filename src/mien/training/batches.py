"""Batches for training: shuffled, weighted and mixed from arrays in memory, all by seed and epoch alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.training.recipe import Recipe

Batch = tuple["NDArray[np.float32] | NDArray[np.uint8]", "NDArray[np.float32]", "NDArray[np.float32]"]


def class_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights float32 (classes,) that give every class the same sum, with a mean over pictures of 1.

    `n / (classes * n_class)` as scikit-learn's `balanced`; a class with no picture gets 0.
    """
    counts = targets.sum(axis=0)
    present = counts > 0
    weights = np.zeros(len(counts), np.float32)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """The training pictures in a new order each epoch.

    Order and mixing depend on the recipe's seed and the epoch's number only, so that an epoch is the same
    whether the training was stopped before it or not.

    Args:
        dataset: pictures and targets.
        recipe: batch size, seed, class weights and mixup.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe) -> None:
        super().__init__()
        self._images = dataset.images[..., np.newaxis]  # (n, 48, 48, 1)
        self._targets = dataset.targets
        weights = np.ones(len(dataset.taxonomy), np.float32)
        if recipe.class_weights == "balanced":
            weights = class_weights(dataset.targets)
        self._weights = dataset.targets @ weights
        self._batch_size = recipe.batch_size
        self._mixup = recipe.augmentation.mixup
        self._seed = recipe.seed
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Take up the order of an epoch, counted from 0.

        Keras calls its own `on_epoch_end` a time more than there are epochs, so the number is told, not counted.
        """
        self._epoch = epoch
        self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._images))

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        images, targets, weights = self._images[chosen], self._targets[chosen], self._weights[chosen]
        if not self._mixup:
            return images, targets, weights
        rng = np.random.default_rng([self._seed, self._epoch, index])
        share = np.float32(rng.beta(self._mixup, self._mixup))
        other = rng.permutation(len(chosen))
        return (
            share * images + (1 - share) * images[other],
            share * targets + (1 - share) * targets[other],
            share * weights + (1 - share) * weights[other],
        )
