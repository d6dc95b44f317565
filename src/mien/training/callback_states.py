"""Save and restore the states of custom callbacks in checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATELESS = {
    "LearningRateScheduler", "TensorBoard", "CSVLogger", "TerminateOnNaN", "LambdaCallback", "History",
    "ProgbarLogger", "RemoteMonitor",
}  # fmt: skip
"""Keras callbacks whose effect depends only on the epoch."""

_ATTRIBUTES = {
    "EarlyStopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": ("best",),
}
"""State attributes of Keras callbacks."""


def has_state(callback: Any) -> bool:
    """Return whether a callback resumes exactly: its state can be saved, or it depends only on the epoch."""
    return (
        type(callback).__name__ in _STATELESS
        or type(callback).__name__ in _ATTRIBUTES
        or (hasattr(callback, "get_state") and hasattr(callback, "set_state"))
    )


def states_of(callbacks: Sequence[Any]) -> list[Any]:
    """Return the states of the callbacks as JSON values; `None` for a callback whose state cannot be saved."""
    return [_state_of(callback) for callback in callbacks]


def _state_of(callback: Any) -> Any:
    if hasattr(callback, "get_state"):
        return callback.get_state()
    names = _ATTRIBUTES.get(type(callback).__name__, ())
    values = {name: getattr(callback, name, None) for name in names}
    return {name: _plain(value) for name, value in values.items()} if names else None


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | str) else float(value)


def restore_states(callbacks: Sequence[Any], states: Sequence[Any]) -> None:
    """Restore the states that `states_of` returned; call it after `on_train_begin`, which resets them."""
    for callback, state in zip(callbacks, states, strict=False):
        if state is None:
            continue
        if hasattr(callback, "set_state"):
            callback.set_state(state)
            continue
        for name, value in state.items():
            setattr(callback, name, value)
