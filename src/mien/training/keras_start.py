"""Start Keras: choose its backend and silence what TensorFlow's C++ code prints while it loads."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


def load_keras(backend: str | None = None) -> Any:
    """Load Keras without the messages that TensorFlow prints while loading.

        keras = mien.load_keras()

    Args:
        backend: `tensorflow`, `jax` or `torch`; by default the preferred one that is installed.

    Returns:
        The module `keras`.

    Raises:
        MissingExtra: If Keras or its backend is not installed.
        ModelError: If there is no such backend, it does not load, or Keras already runs on another one.
    """
    prepare_keras(backend)
    import keras

    return keras


def prepare_keras(backend: str | None = None) -> None:
    """Choose the backend and load Keras quietly; must run before Keras is imported.

    Args:
        backend: `tensorflow`, `jax` or `torch`; by default the preferred one that is installed.

    Raises:
        MissingExtra: If Keras or its backend is not installed.
        ModelError: If there is no such backend, it does not load, or Keras already runs on another one.
    """
    from mien.training.backend import BACKENDS, choose_backend

    name = backend if "keras" in sys.modules else choose_backend(backend)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        with _silent_standard_error():
            import keras

            if name != "tensorflow":
                with suppress(Exception):  # a broken TensorFlow does not matter for another backend
                    import tensorflow as tf  # noqa: F401 - Keras loads it later, whatever its backend
    except Exception as error:  # incompatible versions raise ImportError, AttributeError, TypeError ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{BACKENDS.get(name or '', 'Keras')} is installed, but it does not load ({reason[:200]}). "
            "See what is wrong with: mien doctor"
        ) from error
    if backend and keras.backend.backend() != backend:
        raise ModelError(f"Keras runs on {keras.backend.backend()} already and cannot change to {backend}.")


def load_tensorflow(purpose: str) -> Any:
    """Load TensorFlow without the messages that it prints while loading.

    Args:
        purpose: what it is needed for, for the error message, such as "which runs SavedModels".

    Raises:
        MissingExtra: If TensorFlow is not installed.
    """
    if find_spec("tensorflow") is None:
        raise MissingExtra(f"TensorFlow, {purpose}", "train-cpu")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silent_standard_error():
        import tensorflow as tf
    return tf


@contextmanager
def _silent_standard_error() -> Iterator[None]:
    """Discard what TensorFlow's C++ code prints on standard error while loading, before its log level applies."""
    if {"keras", "tensorflow"} & sys.modules.keys():
        yield
        return
    with silent_standard_error():
        yield


@contextmanager
def silent_standard_error() -> Iterator[None]:
    """Discard what native code prints on standard error, unless the command runs with --debug."""
    if "--debug" in sys.argv or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
