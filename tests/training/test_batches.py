"""Batches: every image once, in an order that depends only on seed and epoch; class weights and mixup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from mien.data.dataset import Dataset
from mien.errors import DataError
from mien.training.augmentation import NO_AUGMENTATION
from mien.training.batches import TrainingBatches, class_weights, joint_targets
from mien.training.builtin_recipes import get_recipe
from mien.training.recipe import Recipe
from tests.builders.datasets import make_dataset


def small_recipe(**options: object) -> Recipe:
    return get_recipe("classic").with_options(batch_size=16, augmentation=NO_AUGMENTATION, **options)


def all_images(batches: TrainingBatches) -> np.ndarray:
    return np.concatenate([batches[i][0] for i in range(len(batches))])


def test_every_image_appears_once_with_its_target(dataset: Dataset) -> None:
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


def test_balanced_class_weights_match_scikit_learn() -> None:
    labels = np.repeat(np.arange(7), [5, 1, 9, 2, 2, 30, 4])
    targets = np.eye(7, dtype=np.float32)[labels]
    expected = compute_class_weight("balanced", classes=np.arange(7), y=labels)
    np.testing.assert_allclose(class_weights(targets), expected, rtol=1e-6)
    np.testing.assert_allclose((targets @ class_weights(targets)).mean(), 1, rtol=1e-6)


def test_class_without_images_has_zero_weight() -> None:
    targets = np.eye(7, dtype=np.float32)[[0, 0, 1]]
    assert class_weights(targets).tolist() == [0.75, 1.5, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("epoch", [0, 1])
def test_mixup_mixes_images_and_targets_alike(epoch: int) -> None:
    dataset = make_dataset(16, 0, 0)
    recipe = small_recipe()
    recipe = replace(recipe, augmentation=replace(recipe.augmentation, mixup=0.4))
    batches = TrainingBatches(dataset, recipe)
    batches.start_epoch(epoch)
    images, targets, _ = batches[0]
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    # Mean image and mean target of a mixed batch are those of the batch itself.
    np.testing.assert_allclose(images.mean(axis=0)[..., 0], dataset.images.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(targets.mean(axis=0), dataset.targets.mean(axis=0), atol=1e-6)
    assert not np.isin(targets, [0, 1]).all()
    repeat = TrainingBatches(dataset, recipe)
    repeat.start_epoch(epoch)
    np.testing.assert_array_equal(repeat[0][0], images)


def test_augmentation_depends_on_seed_epoch_and_batch_alone(dataset: Dataset) -> None:
    recipe = get_recipe("small-alone").with_options(batch_size=16, joint=0.0)
    first, again = (TrainingBatches(dataset, recipe) for _ in range(2))
    first.start_epoch(2)
    again.start_epoch(1)
    assert (all_images(first) != all_images(again)).any()
    again.start_epoch(2)
    np.testing.assert_array_equal(first[1][0], again[1][0])
    np.testing.assert_array_equal(all_images(first), all_images(again))


def test_joint_targets_are_concatenated(dataset: Dataset) -> None:
    votes = np.zeros((len(dataset), 10), np.int64)
    votes[0, :3] = 6, 1, 4  # the single vote does not count
    votes[1, 9] = 10
    recipe = small_recipe(joint=0.5)
    targets = joint_targets(replace(dataset, votes=votes), recipe)
    assert targets.shape == (len(dataset), 15)
    np.testing.assert_array_equal(targets[:, :7], dataset.targets)
    np.testing.assert_allclose(targets[0, 7:], [0.3, 0, 0.2, 0, 0, 0, 0, 0], rtol=1e-6)
    assert not targets[1:, 7:].any()
    with pytest.raises(DataError, match=r"learns the FER\+ votes too, and found none.*`votes"):
        TrainingBatches(dataset, recipe)


def test_teachers_predict_augmented_images_and_are_mixed_into_the_targets(dataset: Dataset) -> None:
    seen: list[np.ndarray] = []

    def sure_of(label: int) -> object:
        def teacher(crops: np.ndarray) -> dict[str, np.ndarray]:
            seen.append(crops)
            return {"fer2013": np.eye(7)[[label] * len(crops)], "ferplus": np.full((len(crops), 8), 1 / 8)}

        return teacher

    recipe = small_recipe(joint=0.5, distillation_weight=0.6)
    recipe = replace(recipe, augmentation=replace(NO_AUGMENTATION, flip=True))
    voted = replace(dataset, votes=np.zeros((len(dataset), 10), np.int64))
    batches = TrainingBatches(voted, recipe, (sure_of(1), sure_of(2)))  # type: ignore[arg-type]
    images, targets, _ = batches[0]
    plain = TrainingBatches(voted, replace(recipe, distillation_weight=0.0))[0]
    np.testing.assert_array_equal(images, plain[0])
    assert len(seen) == 4  # two teachers, each for the images and for their mirror images
    for crops, expected_crops in zip(seen, 2 * [images[..., 0], images[..., ::-1, 0]], strict=True):
        np.testing.assert_array_equal(crops, expected_crops)
    expected = 0.4 * plain[1][:, :7] + 0.6 * np.array([0, 0.5, 0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(targets[:, :7], expected, rtol=1e-6)
    np.testing.assert_allclose(targets[:, 7:], 0.6 * 0.5 / 8, rtol=1e-6)


class StoredCopies:
    """A cache whose copies are black images."""

    def images(self, epoch: int) -> np.ndarray:
        return np.full((14, 48, 48), epoch, np.uint8)


def test_augmentation_cache_is_also_accepted_under_its_former_name() -> None:
    dataset = make_dataset(14, 0, 0)
    for name in ("augmentation_cache", "views"):
        batches = TrainingBatches(dataset, small_recipe(), **{name: StoredCopies()})  # type: ignore[arg-type]
        batches.start_epoch(3)
        assert (batches[0][0] == 3).all(), name
