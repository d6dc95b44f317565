"""Learning rate range test: a short training with a rising learning rate (Smith 2017, arXiv:1506.01186)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import keras
import numpy as np

from mien.errors import DataError
from mien.training.batches import TrainingBatches
from mien.training.custom import CustomParts
from mien.training.model_builder import build_model, start_from
from mien.training.objective import create_training_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.training.recipe import Recipe

LOWEST, HIGHEST = 1e-5, 1.0
STEPS = 100
_SMOOTHING = 0.9
_DIVERGED = 3.0
"""The search ends where the smoothed loss is this many times the lowest."""


@dataclass(frozen=True, eq=False)
class LearningRateSearch:
    """The loss by learning rate.

    Args:
        rates: float (steps,).
        losses: the loss of each batch, float (steps,).
        smoothed: an exponential moving average of them, float (steps,).
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]

    @property
    def steepest(self) -> float:
        """Learning rate at which the smoothed loss falls fastest."""
        lowest = max(int(self.smoothed.argmin()), 2)
        slopes = np.gradient(self.smoothed[: lowest + 1], np.log(self.rates[: lowest + 1]))
        return float(self.rates[int(slopes.argmin())])

    @property
    def highest(self) -> float:
        """The rate at which the smoothed loss is lowest; above it the loss rises."""
        return float(self.rates[int(self.smoothed.argmin())])

    @property
    def suggested(self) -> float:
        """A tenth of the rate at which the loss is lowest."""
        return self.highest / 10

    @property
    def rises(self) -> bool:
        """Whether the loss rises above that rate, so that higher rates are too high."""
        return int(self.smoothed.argmin()) < len(self.smoothed) - 1

    @property
    def falls(self) -> bool:
        """Whether the loss falls by 2% or more before that rate; else the search is inconclusive."""
        first = float(np.median(self.smoothed[: max(3, len(self.smoothed) // 10)]))
        return float(self.smoothed.min()) < 0.98 * first


def search_learning_rate(
    training: Dataset,
    recipe: Recipe,
    start: str | Path | bytes | None = None,
    *,
    custom: CustomParts | None = None,
    steps: int = STEPS,
    on_step: Callable[[int, int], object] | None = None,
) -> LearningRateSearch:
    """Train for some batches, each with a higher learning rate than the one before.

    Args:
        training: the images of the split Training.
        recipe: network, batch size, augmentation and loss; its learning rate and schedule are not used. If it trains
            only the heads in all epochs, so does the search; else all layers.
        start: the model to start from, as in `mien.training.trainer`.
        custom: custom parts: the network and the augmentation are used, callbacks are not called.
        steps: maximum number of batches.
        on_step: called with the number of processed batches and the total.

    Raises:
        DataError: If the loss is NaN from the start.
        ModelError: If the custom parts are invalid or do not fit the data.
    """
    custom = custom or CustomParts()
    recipe = custom.applied_to(recipe)
    frozen = recipe.epochs if recipe.frozen_epochs >= recipe.epochs else 0
    plain = recipe.with_options(
        schedule="plateau",
        ema_momentum=0.0,
        distillation_weight=0.0,
        progressive_sizes=(),
        frozen_epochs=frozen,
    )
    plain = replace(plain, augmented_copies=0)
    model = build_model(plain, training, epoch=0, network=custom.network)
    if start is not None:
        start_from(model, start, training)
    _make_rate_settable(model)
    create_training_state(model)
    batches = TrainingBatches(training, plain, augment=custom.augment)
    rates = np.geomspace(LOWEST, HIGHEST, steps)
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    for step, rate in enumerate(rates):
        epoch, place = divmod(step, len(batches))
        if place == 0:
            batches.start_epoch(epoch)
        model.optimizer.learning_rate.assign(rate)
        images, targets, weights = batches[place]
        logs = model.train_on_batch(images, targets, sample_weight=weights, return_dict=True)
        model.reset_metrics()
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            break
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        losses.append(loss)
        smoothed.append(average / (1 - _SMOOTHING ** (step + 1)))
        if on_step is not None:
            on_step(step + 1, steps)
        if step > steps // 10 and smoothed[-1] > _DIVERGED * min(smoothed):
            break
    if len(losses) < 3:
        raise DataError(
            "Expected a loss that is a number, got none from the first batches on. Are the weights broken?"
        )
    return LearningRateSearch(rates[: len(losses)], np.array(losses), np.array(smoothed))


def _make_rate_settable(model: keras.Model) -> None:
    """Replace the optimizer of a custom network whose learning rate follows a schedule by one with a constant rate."""
    optimizer = model.optimizer
    if isinstance(
        getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule
    ):
        fresh = type(optimizer).from_config({**optimizer.get_config(), "learning_rate": LOWEST})
        model.compile(optimizer=fresh, loss=model.loss, metrics=["accuracy"])
