"""The training itself: fit with callbacks, a run folder that is always whole, and an exact resume.

    batches (shuffled, changed, mixed) -> network -> categorical cross-entropy -> Adam or SGD
                                             |
                                             └ best.keras by the lowest validation loss, or the last

Training reads the split Training and selects by PublicTest. It never looks at PrivateTest, but for the pixels
of its pictures where a recipe leaves out the training pictures that are copies of them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
from filelock import FileLock, Timeout

from mien.data.dataset import PUBLIC_TEST, TRAINING, Dataset
from mien.data.inspection import without_copies
from mien.errors import ModelError
from mien.files import remove_leftovers, write_text
from mien.labels import FERPLUS
from mien.training.augmentation_cache import Views
from mien.training.backend import fix_seeds, keep_memory
from mien.training.batches import TrainingBatches, joint_targets
from mien.training.callbacks import (
    EpochSeeds,
    FiniteLoss,
    Keeper,
    RememberingEarlyStopping,
    RememberingPlateau,
    Reporter,
)
from mien.training.keras_loading import load_network
from mien.training.model_builder import at_side_of, begin_with, build_model, card_of, network_to_save
from mien.training.objective import keep_raw_weights
from mien.training.resume import fingerprint, open_state
from mien.training.run_folder import EVALUATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mien.training.augmentation_cache import Tell
    from mien.training.batches import Teacher
    from mien.training.callbacks import BatchProgress
    from mien.training.checkpoint import TrainingState
    from mien.training.recipe import Recipe

VALIDATION_BATCH = 256
LOCK = ".mien-training.lock"
"""A file in the run folder that a training holds; the system frees it when the process ends, however it ends."""


@dataclass(frozen=True)
class Run:
    """A training that has ended, by itself or by Ctrl-C.

    Args:
        folder: the run folder.
        recipe: what was trained.
        history: one row an epoch.
        interrupted: whether Ctrl-C ended it.
    """

    folder: Path
    recipe: Recipe
    history: list[dict[str, float]]
    interrupted: bool

    @property
    def best(self) -> dict[str, float]:
        """The epoch that `best.keras` holds: that with the lowest validation loss, or the last."""
        if self.recipe.select == "last":
            return self.history[-1]
        return min(self.history, key=lambda row: row["val_loss"])


def train(
    dataset: Dataset,
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    on_batch: Callable[[BatchProgress], None] | None = None,
    on_epoch: Callable[[TrainingState], None] | None = None,
    origin: Mapping[str, Any] | None = None,
    teachers: Mapping[str, Teacher] | None = None,
    start: str | Path | bytes | None = None,
    views: str | Path | None = None,
    on_preparing: Tell | None = None,
    save_every: float = 0.0,
) -> Run:
    """Train a network and keep every whole epoch of it.

    Args:
        dataset: pictures of the splits Training and PublicTest; other splits are not touched, see above.
        recipe: what to train and how. The card names its `teachers`: leave them out of it where others teach.
        folder: the run folder, made if need be. After each epoch it holds `recipe.json`, `history.csv`,
            `best.keras`, `last.keras` and `state.json`.
        resume: go on from `last.keras`; gives the history of a training that was never stopped.
        on_batch: called after each batch, for a display say.
        on_epoch: called after each epoch once it is saved.
        origin: how to load the data again, kept in `recipe.json`: `path`, `labels` and `votes`; and the `licence` of the
            model, for its card.
        teachers: by a checksum of each, so that a resumed training has the same ones; for a recipe that distils.
        start: a Keras file, a run folder or the bytes of an ONNX file of ours whose weights it begins with, in place
            of random ones.
        views: the folder of the prepared views, for a recipe that has them; `views` in the run folder when not given,
            and then they are removed at the end of the training.
        on_preparing: called while they are made, see `Views.prepare`.
        save_every: seconds that must have passed for another epoch to be saved; the last one always is. With a GPU
            an epoch may take no longer than its saving.

    Returns:
        The run, also after Ctrl-C if an epoch was whole by then.

    Raises:
        DataError: a split is missing.
        ModelError: the folder holds another training, there is nothing to resume, the loss is not a number, or the
            recipe distils and there are no teachers.
    """
    if recipe.joint and dataset.taxonomy == FERPLUS:
        raise ModelError(
            f"Recipe {recipe.name}: it learns the FER+ votes beside FER2013's labels, got FER+'s labels already. "
            "Leave --labels ferplus out, for its network answers in both, or give --joint 0."
        )
    if bool(recipe.distil) != bool(teachers):
        raise ModelError(
            f"Recipe {recipe.name}: expected teachers for a training that distils and none for another, got "
            f"{len(teachers or ())} for distil {recipe.distil}. "
            "Give both --teacher MODEL and --distil SHARE, or neither (--distil 0)."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / LOCK).is_symlink():
        raise ModelError(
            f"{folder / LOCK}: expected a file of a training, got one that is a link. Remove it."
        )
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ModelError(
            f"{folder}: another training writes here. Wait for its end, or give another folder with --out."
        ) from None
    try:
        return _train(
            dataset, recipe, folder, resume=resume, on_batch=on_batch, on_epoch=on_epoch, origin=origin,
            teachers=teachers or {}, start=start, views=views, on_preparing=on_preparing, save_every=save_every,
        )  # fmt: skip
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()


def _train(
    dataset: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    on_batch: Callable[[BatchProgress], None] | None,
    on_epoch: Callable[[TrainingState], None] | None,
    origin: Mapping[str, Any] | None,
    teachers: Mapping[str, Teacher],
    start: str | Path | bytes | None,
    views: str | Path | None,
    on_preparing: Tell | None,
    save_every: float,
) -> Run:
    if recipe.drop_copies:
        dataset = without_copies(dataset)
    training, validation = dataset.subset(TRAINING), dataset.subset(PUBLIC_TEST)
    data = fingerprint(training, validation, tuple(teachers))
    state = open_state(folder, recipe, data, resume=resume)
    keep_memory()
    fix_seeds(recipe.seed)
    remove_leftovers(folder)
    model = (
        load_network(folder / "last.keras", compiled=True)
        if state.epoch
        else build_model(recipe, training, epoch=0)
    )
    if start and not state.epoch:
        begin_with(model, start, training)
    origin = dict(origin or {"path": dataset.source, "labels": dataset.taxonomy.name, "votes": None})
    write_text(folder / "recipe.json", json.dumps({**recipe.to_dict(), "data": origin}, indent=1))
    if not state.finished:
        # What an earlier stop left would make the folder look whole.
        (folder / EVALUATION).unlink(missing_ok=True)
    prepared = None
    if recipe.views and not state.finished:
        prepared = Views(
            views or folder / "views",
            training,
            recipe.augmentation,
            min(recipe.views, recipe.epochs),
            teachers,
            joint=bool(recipe.joint),
        )
        prepared.prepare(on_preparing)
    interrupted = False
    try:
        while not state.finished:
            model = at_side_of(model, recipe, training, state.epoch)
            batches = TrainingBatches(training, recipe, tuple(teachers.values()), prepared)
            _fit(
                model,
                batches,
                training,
                validation,
                recipe,
                folder,
                state,
                on_batch=on_batch,
                on_epoch=on_epoch,
                save_every=save_every,
                licence=str(origin.get("licence") or ""),
            )
    except KeyboardInterrupt:
        interrupted = True
        if not state.history:
            raise
    if prepared and not views and not interrupted:
        prepared.remove()
    return Run(folder, recipe, state.history, interrupted)


def _fit(
    model: keras.Model,
    batches: TrainingBatches,
    training: Dataset,
    validation: Dataset,
    recipe: Recipe,
    folder: Path,
    state: TrainingState,
    *,
    on_batch: Callable[[BatchProgress], None] | None,
    on_epoch: Callable[[TrainingState], None] | None,
    save_every: float,
    licence: str,
) -> None:
    stopping = RememberingEarlyStopping(state.stopping, recipe.stopping_patience)
    plateau = None
    if recipe.schedule == "plateau":
        plateau = RememberingPlateau(
            state.plateau,
            patience=recipe.plateau_patience,
            factor=recipe.plateau_factor,
            minimum=recipe.minimum_rate,
        )
    keeper = Keeper(
        folder,
        state,
        lambda: network_to_save(model, recipe, training, state.epoch - 1),
        card_of(recipe, training, licence),
        stopping=stopping,
        plateau=plateau,
        on_epoch=on_epoch,
        save_every=save_every,
        epochs=recipe.side_of(state.epoch)[1],
    )
    reporter = Reporter(on_batch, recipe.epochs) if on_batch else None
    watchers = [
        EpochSeeds(batches, recipe.seed),
        FiniteLoss(recipe.learning_rate),
        reporter,
        keras.callbacks.SwapEMAWeights() if recipe.average else None,
        stopping,
        plateau,
    ]
    keep_raw_weights(model)
    try:
        model.fit(
            batches,
            shuffle=False,  # the batches shuffle themselves, by seed
            validation_data=(validation.images[..., None], joint_targets(validation, recipe)),
            validation_batch_size=VALIDATION_BATCH,
            epochs=recipe.side_of(state.epoch)[1],
            initial_epoch=state.epoch,
            callbacks=[*(c for c in watchers if c), keeper],
            verbose=0,
        )
    except KeyboardInterrupt:
        del state.history[keeper.saved :]  # what is not on disk is not kept
        raise
