"""EarlyStopping and ReduceLROnPlateau that can be resumed; those of Keras lose their state when `fit` starts again.

They work in plain Keras too: `model.fit(..., callbacks=[ResumableEarlyStopping({}, patience=5)])`.
"""

from __future__ import annotations

import math
from typing import Any

import keras

Logs = dict[str, Any] | None


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Keras's EarlyStopping with a state, so that its patience survives a restart.

    Args:
        state: the result of `state` in an earlier process; `{}` for a new training.
        patience: epochs without a better validation score before training stops.
        select: with `macro_f1` it monitors the validation macro-F1, else the validation loss.
    """

    def __init__(self, state: dict[str, Any], patience: int, select: str = "loss") -> None:
        monitor, mode = ("val_macro_f1", "max") if select == "macro_f1" else ("val_loss", "min")
        super().__init__(monitor=monitor, mode=mode, patience=patience)
        self._state = state

    def on_train_begin(self, logs: Logs = None) -> None:
        """Restore the patience spent and the best value so far."""
        super().on_train_begin(logs)
        self.wait = self._state.get("wait", 0)
        self.best: float | None = _best(self._state, self.best)
        self.best_epoch = self._state.get("best_epoch", 0)

    def state(self) -> dict[str, Any]:
        """Return the state that `on_train_begin` restores."""
        return {"wait": self.wait, "best": _number(self.best), "best_epoch": self.best_epoch}


class ResumablePlateau(keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]
    """Keras's ReduceLROnPlateau with a state, so that its patience survives a restart.

    Args:
        state: the result of `state` in an earlier process; `{}` for a new training.
        patience: epochs without a lower validation loss before the rate is reduced.
        factor: factor by which the rate is multiplied then.
        minimum: the lowest rate.
    """

    def __init__(self, state: dict[str, Any], *, patience: int, factor: float, minimum: float) -> None:
        super().__init__(monitor="val_loss", mode="min", patience=patience, factor=factor, min_lr=minimum)
        self._state = state

    def on_train_begin(self, logs: Logs = None) -> None:
        """Restore the patience spent and the best value so far."""
        super().on_train_begin(logs)
        self.wait = self._state.get("wait", 0)
        self.best: float | None = _best(self._state, self.best)
        self.cooldown_counter = self._state.get("cooldown", 0)

    def state(self) -> dict[str, Any]:
        """Return the state that `on_train_begin` restores."""
        return {"wait": self.wait, "best": _number(self.best), "cooldown": self.cooldown_counter}


def _best(state: dict[str, Any], start: float | None) -> float | None:
    """Return the best value of a state; by default the initial value of Keras: `None`, or infinity in older versions."""
    best: float | None = state.get("best")
    return start if best is None else best


def _number(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else float(value)
