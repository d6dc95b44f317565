"""Training batches: shuffled, augmented, mixed and weighted from arrays in memory, as a function of seed and epoch.

`TrainingBatches` is a `keras.utils.PyDataset` and works in plain Keras: `model.fit(TrainingBatches(dataset, recipe))`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np

from mien.data.ferplus import vote_distribution
from mien.errors import DataError
from mien.labels import FERPLUS
from mien.renamed import renamed_parameters
from mien.training.augmentation_cache import mean_predictions
from mien.training.custom_augmentation import BatchAugmentation
from mien.training.sampling import epoch_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.training.augmentation_cache import AugmentationCache
    from mien.training.custom_augmentation import Augment
    from mien.training.recipe import Recipe

Teacher = Callable[["NDArray[np.uint8]"], "dict[str, NDArray[np.float32]]"]
"""Gray crops uint8 (n, 48, 48) to probabilities (n, classes) by the name of their label set."""

Batch = tuple["NDArray[np.float32] | NDArray[np.uint8]", "NDArray[np.float32]", "NDArray[np.float32]"]


def class_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class weights float32 (classes,) with the same sum for every class and a mean over the images of 1.

    `n / (classes * n_class)`, as scikit-learn's `balanced`; 0 for a class without images.
    """
    counts = targets.sum(axis=0)
    present = counts > 0
    weights = np.zeros(len(counts), np.float32)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def joint_targets(dataset: Dataset, recipe: Recipe) -> NDArray[np.float32]:
    """Return the targets of all heads, concatenated, float32 (n, columns).

    The columns of a second head are the distributions of the FER+ votes times the recipe's weight for it, and all zeros,
    which do not contribute to the loss, for images without valid votes.

    Raises:
        DataError: If the recipe has a second head and the data have no votes.
    """
    if not recipe.joint:
        return dataset.targets
    if dataset.votes is None:
        raise DataError(
            f"{dataset.source}: the recipe {recipe.name} learns the FER+ votes too, and found none. Name them "
            "with `votes=PATH`, or leave that part out with `joint=0`."
        )
    votes = np.float32(recipe.joint) * vote_distribution(dataset.votes)
    return np.concatenate([dataset.targets, votes], axis=1)


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """The training images, in a new order in each epoch.

    Order, augmentation and mixing depend only on the seed of the recipe and the number of the epoch, so an epoch is the
    same whether or not the training was interrupted before it.

    Args:
        dataset: images and targets.
        recipe: batch size, seed, class weights, augmentation and second head.
        teachers: models that predict each augmented image and its mirror image, if the recipe uses distillation.
        augmentation_cache: the augmentation cache, if augmented images and teachers' predictions are precomputed.
        augment: a custom function that replaces the recipe's augmentation.
    """

    @renamed_parameters(views="augmentation_cache")
    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        teachers: Sequence[Teacher] = (),
        augmentation_cache: AugmentationCache | None = None,
        *,
        augment: Augment | None = None,
    ) -> None:
        super().__init__()
        self._images = dataset.images[..., np.newaxis]  # (n, 48, 48, 1)
        self._targets = joint_targets(dataset, recipe)
        weights = np.ones(len(dataset.label_set), np.float32)
        if recipe.class_weights == "balanced":
            weights = class_weights(dataset.targets)
        self._weights = dataset.targets @ weights
        self._batch_size = recipe.batch_size
        self._augmentation = recipe.augmentation
        self._seed = recipe.seed
        self._labels, self._sampling = dataset.labels, recipe.sampling
        self._teachers = teachers
        self._distil = recipe.distillation_weight
        self._augmentation_cache = augmentation_cache
        self._augment = None if augment is None else BatchAugmentation(augment)
        names = [dataset.label_set.name, FERPLUS.name] if recipe.joint else [dataset.label_set.name]
        self._heads = dict(zip(names, (1.0, recipe.joint), strict=False))
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Set the order of an epoch, counted from 0.

        Keras calls `on_epoch_end` once more than there are epochs, so the number is passed instead of counted.
        """
        self._epoch = epoch
        self._order = epoch_order(self._labels, self._sampling, self._seed, epoch)
        if self._augmentation_cache:
            self._changed = self._augmentation_cache.images(epoch)
            self._predictions = self._augmentation_cache.predictions(epoch) if self._distil else []

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        targets, weights = self._targets[chosen], self._weights[chosen]
        rng = np.random.default_rng([self._seed, self._epoch, index])
        images = self._change(chosen, rng)
        if self._distil:
            targets = (1 - self._distil) * targets + self._distil * self._taught(
                np.asarray(np.rint(images), np.uint8), chosen
            )
        images = images[..., np.newaxis]
        if not self._augmentation.mixup:
            return images, targets, weights
        share = np.float32(rng.beta(self._augmentation.mixup, self._augmentation.mixup))
        other = rng.permutation(len(chosen))
        return (
            share * images + (1 - share) * images[other],
            share * targets + (1 - share) * targets[other],
            share * weights + (1 - share) * weights[other],
        )

    def _change(
        self, chosen: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Return the augmented images (n, size, size)."""
        if self._augment:
            return self._augment(self._images[chosen, ..., 0], rng)
        if not self._augmentation_cache:
            return self._augmentation.apply(self._images[chosen, ..., 0], rng)
        images = self._changed[chosen]
        if self._augmentation.flip:
            mirrored = rng.random(len(chosen)) < 0.5
            images[mirrored] = images[mirrored, :, ::-1]
        return images

    def _taught(self, crops: NDArray[np.uint8], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the teachers' mean predictions for the images and their mirror images, (n, columns).

        The columns of the heads are concatenated, each times its weight.
        """
        if self._augmentation_cache:
            predictions = [of_a_head[chosen] for of_a_head in self._predictions]
        else:
            predictions = mean_predictions(self._teachers, crops, list(self._heads))
        heads = [
            np.float32(weight) * head for weight, head in zip(self._heads.values(), predictions, strict=True)
        ]
        return np.concatenate(heads, axis=1).astype(np.float32)
