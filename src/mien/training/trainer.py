"""The training loop: `fit` with callbacks, a run folder that is always consistent, and exact resuming.

    batches (shuffled, augmented, mixed) -> network -> categorical cross-entropy -> Adam or SGD
                                              |
                                              └ best.keras by the lowest validation loss, or the last epoch

Training uses the split Training and selects by PublicTest. It does not use PrivateTest, except to compare pixels if the
recipe drops training images that are copies of its images.

    run = train(mien.load("fer2013.csv"), get_recipe("classic"), "runs/mine", resume=True)
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
from filelock import FileLock, Timeout

from mien.data.dataset import PUBLIC_TEST, TRAINING, Dataset
from mien.data.division import record_division
from mien.data.inspection import without_copies
from mien.errors import ModelError
from mien.files import new_folder, remove_leftovers, write_text
from mien.labels import FERPLUS
from mien.training.augmentation_cache import AugmentationCache
from mien.training.backend import fix_seeds, keep_memory
from mien.training.batches import TrainingBatches, joint_targets
from mien.training.callbacks import (
    CheckpointWriter,
    EpochSeeds,
    FiniteLoss,
    ProgressCallback,
    RestoredStates,
)
from mien.training.checkpoint import best_row
from mien.training.keras_loading import load_network
from mien.training.model_builder import at_size_of, build_model, card_of, network_to_save, start_from
from mien.training.objective import create_training_state, keep_raw_weights
from mien.training.resumable_callbacks import ResumableEarlyStopping, ResumablePlateau
from mien.training.resume import fingerprint, open_state
from mien.training.run_files import EVALUATION, LOCK
from mien.training.trainer_options import TrainerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.training.recipe import Recipe

VALIDATION_BATCH = 256


@dataclass(frozen=True)
class Run:
    """A training that has ended, normally or by Ctrl-C.

    Args:
        folder: the run folder.
        recipe: the recipe.
        history: one row per epoch.
        interrupted: whether it was stopped by Ctrl-C.
    """

    folder: Path
    recipe: Recipe
    history: list[dict[str, float]]
    interrupted: bool

    @property
    def best(self) -> dict[str, float]:
        """The row of the epoch in `best.keras`."""
        found = best_row(self.history, self.recipe.select)
        assert found is not None  # noqa: S101 - a run has an epoch
        return found


def train(
    dataset: Dataset,
    recipe: Recipe,
    folder: str | Path,
    options: TrainerOptions | None = None,
    **keywords: Any,
) -> Run:
    """Train a network and save every complete epoch.

    Args:
        dataset: images of the splits Training and PublicTest; other splits are not used, see above.
        recipe: the recipe. The model card lists its `teachers`: remove them if other teachers are used.
        folder: the run folder, created if needed. After each epoch it contains `recipe.json`, `history.csv`,
            `best.keras`, `last.keras` and `state.json`.
        options: the other options.
        **keywords: fields of `TrainerOptions`.

    Returns:
        The run, also after Ctrl-C if an epoch was complete by then.

    Raises:
        DataError: If a split is missing.
        ModelError: If the folder contains another training, there is nothing to resume, the loss is NaN, or the recipe
            uses distillation and there are no teachers.
    """
    keywords = {name: value for name, value in keywords.items() if value is not None}
    options = replace(options or TrainerOptions(), **keywords)
    recipe = options.custom.applied_to(recipe)
    _require_fitting(dataset, recipe, options)
    folder = Path(folder)
    with new_folder(folder), _locked(folder):
        return _Training(dataset, recipe, folder, options).run()


def _require_fitting(dataset: Dataset, recipe: Recipe, options: TrainerOptions) -> None:
    if recipe.joint and dataset.label_set == FERPLUS:
        raise ModelError(
            f"Recipe {recipe.name}: it learns the FER+ votes beside FER2013's labels, got FER+'s labels already. "
            "Leave `label_set=ferplus` out, for its network predicts both, or give `joint=0`."
        )
    if bool(recipe.distillation_weight) != bool(options.teachers):
        raise ModelError(
            f"Recipe {recipe.name}: expected teachers for a training that distills and none for another, got "
            f"{len(options.teachers)} for a distillation weight of {recipe.distillation_weight}. "
            "Give both `teachers=MODEL` and `distillation_weight=SHARE`, or neither (`distillation_weight=0`)."
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a run folder against other trainings.

    Raises:
        ModelError: If another training uses it.
    """
    if (folder / LOCK).is_symlink():
        raise ModelError(
            f"{folder / LOCK}: expected a file of a training, got one that is a link. Remove it."
        )
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ModelError(
            f"{folder}: another training writes here. Wait for its end, or choose another folder with `out`."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()


class _Training:
    """One training in a locked run folder.

    Args:
        dataset: images of all splits.
        recipe: what to train and how.
        folder: the run folder.
        options: the other options.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, folder: Path, options: TrainerOptions) -> None:
        if recipe.drop_copies:
            dataset = without_copies(dataset)
        self._training, self._validation = dataset.subset(TRAINING), dataset.subset(PUBLIC_TEST)
        self._recipe, self._folder, self._options = recipe, folder, options
        data = fingerprint(self._training, self._validation, tuple(options.teachers))
        self._state = open_state(folder, recipe, data, resume=options.resume)
        self._arguments = dict(
            options.arguments or {"path": dataset.source, "labels": dataset.label_set.name, "votes": None}
        )
        self._division = record_division(self._training, self._validation, self._arguments.get("reading"))

    def run(self) -> Run:
        """Train until the last epoch, early stopping or Ctrl-C."""
        keep_memory()
        fix_seeds(self._recipe.seed)
        remove_leftovers(self._folder)
        model = self._open_model()
        text = json.dumps({**self._recipe.to_dict(), "data": self._arguments}, indent=1)
        write_text(self._folder / "recipe.json", text)
        if not self._state.finished:
            # The file marks a run as complete; it may remain from an earlier interruption.
            (self._folder / EVALUATION).unlink(missing_ok=True)
        cache = self._prepare_cache()
        interrupted = False
        try:
            if not self._state.finished:
                self._train(model, cache)
        except KeyboardInterrupt:
            interrupted = True
            if not self._state.history:
                raise
        if cache and not self._options.augmentation_cache and not interrupted:
            cache.remove()
        return Run(self._folder, self._recipe, self._state.history, interrupted)

    def _train(self, model: keras.Model, cache: AugmentationCache | None) -> None:
        """Train the remaining epochs, with experiment tracking."""
        begin, resumed = self._options.tracking.callbacks, self._state.epoch > 0
        with begin(self._folder, self._recipe.settings(), resumed=resumed) as loggers:
            while not self._state.finished:
                model = at_size_of(model, self._recipe, self._training, self._state.epoch)
                self._fit(model, cache, loggers)

    def _open_model(self) -> keras.Model:
        if self._state.epoch:
            return load_network(self._folder / "last.keras", compiled=True)
        model = build_model(self._recipe, self._training, epoch=0, network=self._options.custom.network)
        if self._options.start:
            start_from(model, self._options.start, self._training)
        return model

    def _prepare_cache(self) -> AugmentationCache | None:
        """Return the augmentation cache, filled, if the recipe uses it."""
        if not self._recipe.augmented_copies or self._state.finished:
            return None
        cache = AugmentationCache(
            self._options.augmentation_cache or self._folder / "views",
            self._training,
            self._recipe.augmentation,
            min(self._recipe.augmented_copies, self._recipe.epochs),
            self._options.teachers,
            joint=bool(self._recipe.joint),
        )
        cache.prepare(self._options.on_preparing)
        return cache

    def _fit(
        self, model: keras.Model, cache: AugmentationCache | None, loggers: list[keras.callbacks.Callback]
    ) -> None:
        """Train to the end of the current stage (a change of the image size, or the trunk is unfrozen)."""
        options, recipe, state = self._options, self._recipe, self._state
        teachers = tuple(options.teachers.values())
        batches = TrainingBatches(self._training, recipe, teachers, cache, augment=options.custom.augment)
        callbacks, writer = self._callbacks(model, batches)
        keep_raw_weights(model)
        create_training_state(model)
        try:
            model.fit(
                batches,
                shuffle=False,  # the batches are shuffled already, by seed
                validation_data=(self._validation.images[..., None], joint_targets(self._validation, recipe)),
                validation_batch_size=VALIDATION_BATCH,
                epochs=recipe.stage_end(state.epoch),
                initial_epoch=state.epoch,
                callbacks=[*callbacks, writer, *loggers],  # loggers last: if one fails, the epoch is saved
                verbose=0,
            )
        except KeyboardInterrupt:
            del state.history[writer.saved :]  # keep only saved epochs
            raise

    def _callbacks(
        self, model: keras.Model, batches: TrainingBatches
    ) -> tuple[list[keras.callbacks.Callback], CheckpointWriter]:
        """Return the callbacks of a `fit`, and the checkpoint writer, which must follow them."""
        options, recipe, state = self._options, self._recipe, self._state
        own = options.custom.callbacks
        stopping = ResumableEarlyStopping(state.stopping, recipe.stopping_patience, recipe.select)
        plateau = None
        if recipe.schedule == "plateau" and not any(map(_sets_the_rate, own)):
            plateau = ResumablePlateau(
                state.plateau,
                patience=recipe.plateau_patience,
                factor=recipe.plateau_factor,
                minimum=recipe.minimum_rate,
            )
        writer = CheckpointWriter(
            self._folder,
            state,
            lambda: network_to_save(model, recipe, self._training, state.epoch - 1),
            card_of(recipe, self._training, options.license, self._division),
            stopping=stopping,
            plateau=plateau,
            custom=own,
            on_epoch=options.on_epoch,
            save_every=options.save_every,
            epochs=recipe.stage_end(state.epoch),
        )
        callbacks = [
            EpochSeeds(batches, recipe.seed),
            FiniteLoss(recipe.learning_rate),
            ProgressCallback(options.on_batch, recipe.epochs) if options.on_batch else None,
            keras.callbacks.SwapEMAWeights() if model.optimizer.use_ema else None,
            stopping,
            plateau,
            *own,
            RestoredStates(own, state.custom["callbacks"]) if state.custom else None,
        ]
        return [callback for callback in callbacks if callback], writer


def _sets_the_rate(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, keras.callbacks.ReduceLROnPlateau | keras.callbacks.LearningRateScheduler)
