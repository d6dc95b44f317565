"""Batches: every picture once, in an order that seed and epoch alone decide; weights and mixing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from mien.data.dataset import Dataset
from mien.training.batches import TrainingBatches, class_weights
from mien.training.recipe import Recipe, get_recipe
from tests.conftest import make_dataset


def small_recipe(**options: object) -> Recipe:
    return get_recipe("classic").with_options(batch_size=16, **options)


def all_images(batches: TrainingBatches) -> np.ndarray:
    return np.concatenate([batches[i][0] for i in range(len(batches))])


def test_every_picture_comes_once_with_its_target(dataset: Dataset) -> None:
    batches = TrainingBatches(dataset, small_recipe())
    images = all_images(batches)[..., 0]
    targets = np.concatenate([batches[i][1] for i in range(len(batches))])
    order = [int(np.flatnonzero((dataset.images == image).all(axis=(1, 2)))[0]) for image in images]
    assert sorted(order) == list(range(len(dataset)))
    np.testing.assert_array_equal(targets, dataset.targets[order])


def test_order_depends_on_seed_and_epoch_alone(dataset: Dataset) -> None:
    first, again = (TrainingBatches(dataset, small_recipe()) for _ in range(2))
    first.start_epoch(0)
    before = all_images(first)
    first.start_epoch(3)
    again.start_epoch(3)
    np.testing.assert_array_equal(all_images(first), all_images(again))
    assert (all_images(first) != before).any()
    other = TrainingBatches(dataset, small_recipe(seed=1))
    assert (all_images(other) != before).any()


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat(np.arange(7), [5, 1, 9, 2, 2, 30, 4])
    targets = np.eye(7, dtype=np.float32)[labels]
    expected = compute_class_weight("balanced", classes=np.arange(7), y=labels)
    np.testing.assert_allclose(class_weights(targets), expected, rtol=1e-6)
    np.testing.assert_allclose((targets @ class_weights(targets)).mean(), 1, rtol=1e-6)


def test_a_class_without_pictures_weighs_nothing() -> None:
    targets = np.eye(7, dtype=np.float32)[[0, 0, 1]]
    assert class_weights(targets).tolist() == [0.75, 1.5, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("epoch", [0, 1])
def test_mixup_mixes_pictures_and_targets_alike(epoch: int) -> None:
    dataset = make_dataset(16, 0, 0)
    recipe = small_recipe()
    recipe = replace(recipe, augmentation=replace(recipe.augmentation, mixup=0.4))
    batches = TrainingBatches(dataset, recipe)
    batches.start_epoch(epoch)
    images, targets, _ = batches[0]
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    # Mean picture and mean target of a mixed batch are those of the batch itself.
    np.testing.assert_allclose(images.mean(axis=0)[..., 0], dataset.images.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(targets.mean(axis=0), dataset.targets.mean(axis=0), atol=1e-6)
    assert not np.isin(targets, [0, 1]).all()
    repeat = TrainingBatches(dataset, recipe)
    repeat.start_epoch(epoch)
    np.testing.assert_array_equal(repeat[0][0], images)
