"""Losses, metrics, optimizers and learning rate schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from mien.training.fine_tuning import DiscriminativeSGD

if TYPE_CHECKING:
    from mien.training.recipe import Recipe

_MOMENTUM = 0.9


@keras.saving.register_keras_serializable("mien")
class JointCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of two heads whose probabilities are concatenated, `-sum(t * log(p))` over all columns.

    A row of targets need not sum to 1: the columns of a head are its targets times its weight, and all zeros without a
    target.

    Args:
        first: columns of the first head.
        smoothing: share of the first head's targets that is spread evenly over its columns.
    """

    def __init__(self, first: int, smoothing: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.first = first
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row, (n,)."""
        head, rest = y_true[:, : self.first], y_true[:, self.first :]
        spread = ops.sum(head, axis=1, keepdims=True) / self.first
        targets = ops.concatenate([(1 - self.smoothing) * head + self.smoothing * spread, rest], axis=1)
        logs = ops.log(ops.maximum(y_pred, keras.config.epsilon()))
        return -ops.sum(ops.cast(targets, logs.dtype) * logs, axis=1)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for serialization."""
        return {**super().get_config(), "first": self.first, "smoothing": self.smoothing}


@keras.saving.register_keras_serializable("mien")
class FirstHeadAccuracy(keras.metrics.CategoricalAccuracy):  # type: ignore[misc]
    """Accuracy of the first head.

    Args:
        first: columns of the first head.
    """

    def __init__(self, first: int, name: str = "accuracy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.first = first

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count the rows of a batch."""
        return super().update_state(y_true[:, : self.first], y_pred[:, : self.first], sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for serialization."""
        return {"name": self.name, "dtype": self.dtype, "first": self.first}


@keras.saving.register_keras_serializable("mien")
class FirstHeadF1(keras.metrics.F1Score):  # type: ignore[misc]
    """Macro-F1 of the first head, as `mien.evaluation.metrics.macro_f1`.

    The class of a row is the most probable one, of distributions too. Rows without a target do not count.

    Args:
        first: columns of the first head.
    """

    def __init__(self, first: int, name: str = "macro_f1", **options: Any) -> None:
        super().__init__(average="macro", name=name, **options)
        self.first = first

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count the rows of a batch."""
        targets = ops.cast(y_true[:, : self.first], self.dtype)
        given = ops.cast(ops.any(targets > 0, axis=1, keepdims=True), self.dtype)
        true, predicted = (given * self._one_hot(rows) for rows in (targets, y_pred[:, : self.first]))
        return super().update_state(true, predicted, sample_weight)

    def _one_hot(self, rows: Any) -> Any:
        return ops.one_hot(ops.argmax(rows, axis=1), self.first, dtype=self.dtype)

    def result(self) -> Any:
        """Return the mean F1 over the classes that occur in targets or predictions; 0 if there are none."""
        doubled = 2 * self.true_positives
        counted = doubled + self.false_positives + self.false_negatives
        occurring = ops.sum(ops.cast(counted > 0, self.dtype))
        return ops.sum(ops.divide_no_nan(doubled, counted)) / ops.maximum(occurring, 1)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for serialization."""
        return {"name": self.name, "dtype": self.dtype, "first": self.first}


def compile_model(model: keras.Model, recipe: Recipe, first: int, steps: int) -> None:
    """Compile a model with its loss, optimizer and metrics.

    Args:
        model: from images to the probabilities of all heads side by side.
        recipe: the recipe.
        first: number of classes of the first head.
        steps: number of batches per epoch.
    """
    smoothing = recipe.label_smoothing
    loss: Any = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    metrics: list[Any] = ["accuracy"]
    if recipe.loss == "focal":
        loss = keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=recipe.focal_gamma, label_smoothing=smoothing
        )
    if recipe.joint:
        loss, metrics = JointCrossEntropy(first, smoothing), [FirstHeadAccuracy(first)]
    if recipe.select == "macro_f1":
        metrics.append(FirstHeadF1(first))
    model.compile(optimizer=_optimizer(recipe, steps), loss=loss, metrics=metrics)


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    rate = _learning_rate(recipe, steps)
    options: dict[str, Any] = (
        {"use_ema": True, "ema_momentum": recipe.ema_momentum} if recipe.ema_momentum else {}
    )
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, **options)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, **options)
    options["weight_decay"] = recipe.weight_decay or None  # Keras does not accept 0
    if recipe.trunk_rate != 1:
        options["trunk_rate"] = recipe.trunk_rate
        return DiscriminativeSGD(rate, momentum=_MOMENTUM, nesterov=True, **options)
    return keras.optimizers.SGD(rate, momentum=_MOMENTUM, nesterov=True, **options)


def _learning_rate(recipe: Recipe, steps: int) -> Any:
    if recipe.schedule == "plateau":
        return recipe.learning_rate
    warmup = round(recipe.warmup_epochs * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else recipe.learning_rate,
        decay_steps=max(recipe.epochs * steps - warmup, 1),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def create_training_state(model: keras.Model) -> None:
    """Create the variables of the optimizer and the metrics before `fit`.

    Otherwise TensorFlow creates them while it traces the first training step, and traces the step a second time.

    Args:
        model: a compiled model with one output.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    zeros = ops.zeros((1, *model.output_shape[1:]))
    model.compute_metrics(None, zeros, zeros, None)
    model.reset_metrics()


def averaged_weights(model: keras.Model) -> dict[int, Any]:
    """Return the running averages of trainable weights by `id` of the weight; empty if there are none."""
    optimizer = model.optimizer
    if not optimizer.use_ema:
        return {}
    averages = optimizer._model_variables_moving_average  # noqa: SLF001 - Keras offers no other way to them
    return {id(v): a for v, a in zip(optimizer._trainable_variables, averages, strict=True)}  # noqa: SLF001


def keep_raw_weights(model: keras.Model) -> None:
    """Stop Keras from overwriting the weights with their averages at the end of each `fit`.

    A training with several image sizes calls `fit` several times, so a resumed training would continue differently.
    """
    model.optimizer.finalize_variable_values = _nothing


def _nothing(variables: Any) -> None:
    del variables
