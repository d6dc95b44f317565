"""Keras callbacks that seed, check, report and save a training."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mien.errors import ModelError
from mien.interrupts import interrupts_delayed, raise_remembered
from mien.training.backend import seed_epoch
from mien.training.callback_states import restore_states, states_of
from mien.training.checkpoint import FURTHER_COLUMNS, save_checkpoint
from mien.training.keras_io import save_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.card import ModelCard
    from mien.training.batches import TrainingBatches
    from mien.training.checkpoint import TrainingState
    from mien.training.resumable_callbacks import ResumableEarlyStopping, ResumablePlateau

Logs = dict[str, Any] | None


class EpochSeeds(keras.callbacks.Callback):  # type: ignore[misc]
    """Seed all randomness of an epoch from seed and epoch, so that it is the same after a restart."""

    def __init__(self, batches: TrainingBatches, seed: int) -> None:
        super().__init__()
        self._batches = batches
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Set the order of the images, and seed each random layer for this epoch."""
        self._batches.start_epoch(epoch)
        seed_epoch(self._seed, epoch)
        generators = [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        for i, variable in enumerate(generators):
            words = np.random.SeedSequence([self._seed, epoch, i]).generate_state(1)
            variable.assign(np.array([words[0] % 2**31, 0], dtype=str(variable.dtype)))


class FiniteLoss(keras.callbacks.Callback):  # type: ignore[misc]
    """Stop a training whose loss is NaN or infinite."""

    async_safe = True  # with an asynchronous backend, the next batch does not wait for this loss

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Store the epoch, for the error message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Check the mean loss so far."""
        self._check((logs or {}).get("loss", 0.0), f"batch {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Check the validation loss, before the epoch is saved."""
        self._check((logs or {}).get("val_loss", 0.0), "validation")

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise ModelError(
                f"The loss became {loss} in epoch {self._epoch + 1}, {where}: the training diverged. "
                f"The epochs before are saved, but resuming would diverge again: start anew with a lower "
                f"`learning_rate` (it was {self._rate:g}) and another `out`."
            )


@dataclass(frozen=True)
class BatchProgress:
    """Progress of a training after a batch.

    Args:
        epoch: the current epoch, from 1.
        epochs: maximum number of epochs.
        batch: number of processed batches in this epoch.
        batches: number of batches per epoch.
        loss: mean training loss of the epoch so far.
        accuracy: mean training accuracy of the epoch so far, in [0, 1].
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    accuracy: float


class ProgressCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Call a function with the progress of the training after each batch."""

    async_safe = True

    def __init__(self, tell: Callable[[BatchProgress], None], epochs: int) -> None:
        super().__init__()
        self._tell = tell
        self._epochs = epochs
        self._epoch = 0
        self._told = 0
        self._turn = threading.Lock()  # an asynchronous backend calls from its own threads

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Store the epoch."""
        self._epoch, self._told = epoch, 0

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call the function, unless it was called for a later batch already."""
        logs = logs or {}
        counts = (self._epoch + 1, self._epochs, batch + 1, self.params["steps"])
        now = BatchProgress(*counts, float(logs["loss"]), float(logs["accuracy"]))
        with self._turn:
            if now.batch > self._told:
                self._told = now.batch
                self._tell(now)


class RestoredStates(keras.callbacks.Callback):  # type: ignore[misc]
    """Restore the states of custom callbacks; must follow them in the list, because `on_train_begin` resets them.

    Args:
        callbacks: the custom callbacks.
        states: the result of `states_of`.
    """

    def __init__(self, callbacks: Sequence[Any], states: Sequence[Any]) -> None:
        super().__init__()
        self._callbacks = callbacks
        self._states = states

    def on_train_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Restore the states."""
        restore_states(self._callbacks, self._states)


class CheckpointWriter(keras.callbacks.Callback):  # type: ignore[misc]
    """Save every complete epoch: the best network, the history and the checkpoint.

    It must follow the callbacks whose state it saves.

    Args:
        folder: the run folder.
        state: the state of the training, updated in place.
        network: function that returns the network to save as `best.keras`.
        card: the model card of `best.keras`.
        stopping: the early stopping callback, whose state is saved.
        plateau: the learning rate callback whose state is saved, if there is one.
        custom: the custom callbacks, whose states are saved.
        on_epoch: called with the state after each epoch.
        save_every: minimum time in seconds between two checkpoints; the last epoch is always saved, and with
            `select="loss"` each epoch that is the best so far.
        epochs: the epoch at which this call of `fit` ends; it is always saved.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainingState,
        network: Callable[[], keras.Model],
        card: ModelCard,
        *,
        stopping: ResumableEarlyStopping,
        plateau: ResumablePlateau | None,
        custom: Sequence[Any] = (),
        on_epoch: Callable[[TrainingState], None] | None,
        save_every: float = 0.0,
        epochs: int = 0,
    ) -> None:
        super().__init__()
        self.saved = state.epoch
        self._save_every = save_every
        self._epochs = epochs
        self._saved_at = -math.inf
        self._folder = folder
        self._state = state
        self._network = network
        self._card = card
        self._stopping = stopping
        self._plateau = plateau
        self._custom = custom
        self._on_epoch = on_epoch
        self._rate = 0.0
        self._began = 0.0

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Stop after a Ctrl-C whose exception was swallowed, such as while Keras built the network."""
        raise_remembered()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Record the rate at the start of the epoch, before a plateau changes it."""
        self._began = time.perf_counter()
        self._rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save the epoch; Ctrl-C is deferred until the files are written."""
        logs = logs or {}
        row = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        row |= {name: float(logs[name]) for name in FURTHER_COLUMNS if name in logs}
        # A warm-up begins at 0, so the rate at the end of the epoch is recorded then.
        rate = max(self._rate, float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))
        extra = {"learning_rate": rate, "seconds": time.perf_counter() - self._began}
        with interrupts_delayed():
            self._state.history.append({"epoch": epoch + 1, **row, **extra})
            self._state.stopping = self._stopping.state()
            self._state.plateau = self._plateau.state() if self._plateau else {}
            if self._custom:
                stopped = bool(self.model.stop_training) and not self._stopping.stopped_epoch
                self._state.custom = {"callbacks": states_of(self._custom), "stopped": stopped}
            best = self._state.best is self._state.history[-1]
            if self._is_due(best=best):
                if best:
                    save_network(self._network(), self._folder / "best.keras", self._card)
                save_checkpoint(self.model, self._state, self._folder / "last.keras")
                self._state.write_text_files(self._folder)
                self.saved, self._saved_at = len(self._state.history), time.monotonic()
        if self._on_epoch:
            self._on_epoch(self._state)

    def _is_due(self, *, best: bool) -> bool:
        last = len(self._state.history) >= self._epochs or self.model.stop_training
        wanted = best and self._state.select != "last"
        return last or wanted or time.monotonic() - self._saved_at >= self._save_every
