"""Augmentation cache: computed once, shared, used in turn and mirrored, with the teachers' predictions."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from mien.data.dataset import Dataset
from mien.training.augmentation import NO_AUGMENTATION, Augmentation
from mien.training.augmentation_cache import AugmentationCache, in_parts, mean_predictions
from mien.training.batches import TrainingBatches
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import read_state
from mien.training.recipe import Recipe
from mien.training.trainer import train
from tests.builders.trainings import scores, tiny_recipe
from tests.helpers.service_process import wait_until

SHIFTED = replace(NO_AUGMENTATION, shift=0.2)


class Teacher:
    """Predicts the brightness of the left half of an image; counts its calls."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        self.asked += 1
        bright = crops[:, :, :24].mean(axis=(1, 2)) / 255
        seven = np.zeros((len(crops), 7), np.float32)
        seven[:, 0], seven[:, 1] = bright, 1 - bright
        return {"fer2013": seven, "ferplus": np.full((len(crops), 8), 1 / 8, np.float32)}


def prepared(
    folder: Path,
    dataset: Dataset,
    augmentation: Augmentation = SHIFTED,
    *,
    processes: int = 1,
    **options: Any,
) -> AugmentationCache:
    cache = AugmentationCache(folder, dataset, augmentation, 2, **options)
    cache.prepare(processes=processes)
    return cache


@pytest.mark.slow
def test_cached_copies_equal_the_augmentation_and_are_used_in_turn(tmp_path: Path, dataset: Dataset) -> None:
    cache = prepared(tmp_path, dataset, processes=2)
    for copy in range(2):
        expected = SHIFTED.apply(dataset.images, np.random.default_rng([copy, 0]))
        np.testing.assert_array_equal(cache.images(copy), expected)
        np.testing.assert_array_equal(cache.images(copy + 2), expected)
    assert (cache.images(0) != cache.images(1)).any()


@pytest.mark.slow
def test_existing_copies_are_not_recomputed(tmp_path: Path, dataset: Dataset) -> None:
    told: list[tuple[str, int, int]] = []
    AugmentationCache(tmp_path, dataset, SHIFTED, 2).prepare(lambda *now: told.append(now), processes=1)
    assert told == [("augmented_copies", 1, 2), ("augmented_copies", 2, 2)]
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    again = AugmentationCache(
        tmp_path, dataset, replace(SHIFTED, mixup=0.2), 2
    )  # mixup is applied after the cache
    again.prepare(lambda *now: told.append(now))
    assert len(told) == 2
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")} == before
    next(tmp_path.glob("view-*-001.npy")).unlink()
    again.prepare(lambda *now: told.append(now), processes=1)
    assert told[2:] == [("augmented_copies", 1, 1)]
    prepared(tmp_path, dataset, replace(SHIFTED, rotation=20))
    assert len(list(tmp_path.glob("view-*.npy"))) == 4


@pytest.mark.slow
def test_teachers_predict_each_augmented_copy_and_its_mirror_image_once(
    tmp_path: Path, dataset: Dataset
) -> None:
    teacher, other = Teacher(), Teacher()
    cache = prepared(tmp_path, dataset, teachers={"one": teacher}, joint=True)
    assert teacher.asked == 4
    seven, eight = cache.predictions(3)
    images = cache.images(1)
    bright = (images[:, :, :24].mean(axis=(1, 2)) + images[:, :, 24:].mean(axis=(1, 2))) / 2 / 255
    np.testing.assert_allclose(seven[:, 0], bright, atol=1e-3)  # kept as float16
    np.testing.assert_allclose(eight, 1 / 8)
    prepared(tmp_path, dataset, teachers={"one": other}, joint=True)
    assert other.asked == 0
    prepared(tmp_path, dataset, teachers={"two": other}, joint=True)
    assert other.asked == 4
    (alone,) = prepared(tmp_path, dataset, teachers={"one": teacher}).predictions(0)
    assert alone.shape == (len(dataset), 7)


@pytest.mark.slow
def test_batches_use_a_cached_copy_or_its_mirror_image_with_stored_predictions(
    tmp_path: Path, dataset: Dataset
) -> None:
    augmentation = replace(SHIFTED, flip=True)
    recipe = replace(
        get_recipe("classic"), batch_size=16, distillation_weight=0.25, augmentation=augmentation
    )
    teacher = Teacher()
    cache = prepared(tmp_path, dataset, augmentation, teachers={"one": teacher})
    batches = TrainingBatches(dataset, recipe, (teacher,), cache)
    asked = teacher.asked
    for epoch in (1, 3):
        batches.start_epoch(epoch)
        parts = [batches[i] for i in range(len(batches))]
        images = np.concatenate([part[0] for part in parts])[..., 0]
        targets = np.concatenate([part[1] for part in parts])
        copy = cache.images(epoch)
        sides = [
            np.flatnonzero((side == image).all(axis=(1, 2)))
            for image in images
            for side in (copy, copy[..., ::-1])
        ]
        plain, mirrored = sides[::2], sides[1::2]
        order = [int((a if len(a) else b)[0]) for a, b in zip(plain, mirrored, strict=True)]
        assert sorted(order) == list(range(len(dataset)))
        assert 0.2 < np.mean([not len(a) for a in plain]) < 0.8
        expected = 0.75 * dataset.targets[order] + 0.25 * cache.predictions(epoch)[0][order]
        np.testing.assert_allclose(targets, expected, rtol=1e-6)
    assert teacher.asked == asked


def test_predictions_in_parts_equal_predictions_at_once(dataset: Dataset) -> None:
    teacher = Teacher()
    whole, parts = teacher(dataset.images), in_parts(teacher, 16)(dataset.images)
    assert teacher.asked == 1 + -(-len(dataset) // 16)
    for name in ("fer2013", "ferplus"):
        np.testing.assert_array_equal(parts[name], whole[name])
    (mean,) = mean_predictions([teacher, teacher], dataset.images, ["fer2013"])
    np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.slow
def test_a_damaged_copy_is_computed_again(tmp_path: Path, dataset: Dataset) -> None:
    cache = prepared(tmp_path, dataset, teachers={"one": Teacher()})
    whole = [cache.images(i) for i in range(2)], cache.predictions(0)
    first, second = sorted(tmp_path.glob("view-*.npy"))
    first.write_bytes(first.read_bytes()[:1000])
    np.save(second, np.zeros(whole[0][1].shape, np.float32))
    next(tmp_path.glob("answers-*-000.npy")).write_bytes(b"")
    prepared(tmp_path, dataset, teachers={"one": Teacher()})
    for i in range(2):
        np.testing.assert_array_equal(cache.images(i), whole[0][i])
    np.testing.assert_array_equal(cache.predictions(0), whole[1])


@pytest.mark.slow
def test_other_files_in_the_cache_folder_are_kept_by_training(tmp_path: Path, dataset: Dataset) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    cache = prepared(tmp_path, dataset)
    cache.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "mine.txt").unlink()
    prepared(tmp_path, dataset).remove()
    assert not tmp_path.exists()


@pytest.mark.slow
def test_interrupting_the_preparation_stops_it(tmp_path: Path, dataset: Dataset) -> None:
    def stop(*now: Any) -> None:
        raise KeyboardInterrupt

    cache = AugmentationCache(tmp_path, dataset, SHIFTED, 40)
    with pytest.raises(KeyboardInterrupt):
        cache.prepare(stop, processes=1)
    assert len(list(tmp_path.glob("view-*.npy"))) < 20


@pytest.mark.slow
def test_preparation_waits_for_the_lock_of_another_preparation(tmp_path: Path, dataset: Dataset) -> None:
    told: list[str] = []
    cache = prepared(tmp_path, dataset)
    lock = FileLock(next(tmp_path.glob(".views-*.lock")))
    lock.acquire()
    waiting = threading.Thread(target=cache.prepare, args=(lambda what, *_: told.append(what),))
    waiting.start()
    wait_until(lambda: told == ["waiting"])
    lock.release()
    waiting.join(10)
    assert not waiting.is_alive()


def recipe_with_copies(**options: Any) -> Recipe:
    return replace(tiny_recipe(**options), augmented_copies=2, augmentation=replace(SHIFTED, flip=True))


@pytest.mark.slow
def test_training_with_an_augmentation_cache_resumes_with_the_same_history(tmp_path: Path) -> None:
    from tests.builders.datasets import make_dataset
    from tests.builders.trainings import Killed, cut_after

    dataset = make_dataset()
    whole = train(dataset, recipe_with_copies(), tmp_path / "whole", augmentation_cache=tmp_path / "views")
    assert len(list((tmp_path / "views").glob("view-*.npy"))) == 2
    with pytest.raises(Killed):
        train(dataset, recipe_with_copies(), tmp_path / "cut", on_epoch=cut_after(3))
    assert (tmp_path / "cut" / "views").is_dir()
    again = train(dataset, recipe_with_copies(), tmp_path / "cut", resume=True)
    np.testing.assert_allclose(scores(again.history), scores(whole.history), rtol=1e-5)
    assert not (tmp_path / "cut" / "views").exists()
    train(
        dataset,
        recipe_with_copies(),
        tmp_path / "cut",
        resume=True,
        on_preparing=lambda *now: pytest.fail(str(now)),
    )


@pytest.mark.slow
def test_ctrl_c_after_an_image_size_ends_returns_the_saved_epochs(tmp_path: Path, dataset: Dataset) -> None:
    def stop(now: Any) -> None:
        if now.epoch == 3:
            raise KeyboardInterrupt

    recipe = replace(tiny_recipe(select="last", epochs=4, schedule="cosine"), progressive_sizes=((24, 2),))
    run = train(dataset, recipe, tmp_path / "run", on_batch=stop, save_every=1e6)
    assert len(run.history) == 2
    assert len(read_state(tmp_path / "run" / "last.keras").history) == 2


@pytest.mark.slow
def test_no_checkpoint_is_saved_before_save_every_has_passed(tmp_path: Path, dataset: Dataset) -> None:
    saved: list[int] = []

    def look(state: Any) -> None:
        history = (tmp_path / "run" / "history.csv").read_text().splitlines()
        saved.append(len(history) - 1)
        assert state.epoch == len(saved)

    recipe = tiny_recipe(select="last", epochs=4)
    train(dataset, recipe, tmp_path / "run", on_epoch=look, save_every=1e6)
    assert saved == [1, 1, 1, 4]


@pytest.mark.slow
def test_ctrl_c_between_two_checkpoints_keeps_the_last_one(tmp_path: Path, dataset: Dataset) -> None:
    def stop(state: Any) -> None:
        if state.epoch == 3:
            raise KeyboardInterrupt

    recipe = tiny_recipe(select="last", epochs=4)
    run = train(dataset, recipe, tmp_path / "run", on_epoch=stop, save_every=1e6)
    assert run.interrupted
    assert len(run.history) == 1
    went_on = train(dataset, recipe, tmp_path / "run", resume=True)
    assert len(went_on.history) == 4
