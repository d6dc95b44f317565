"""The Keras backend: which one runs, and which ones are installed."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
"""The backends that train, by the name that Keras gives them, the one that is preferred first."""

_EXTRAS = {"tensorflow": "train-cpu", "jax": "train,jax", "torch": "train,torch"}
_VARIABLE = "KERAS_BACKEND"

# glibc's mallopt(3): its names are macros, so their values are repeated here.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP_BYTES = 2**31 - 1


def installed_backends() -> list[str]:
    """The backends that are installed, the one that is preferred first. Nothing is imported."""
    return [name for name in BACKENDS if find_spec(name) is not None]


def preferred_backend() -> str | None:
    """The backend that Keras is to run on when it is loaded, `None` where there is none.

    What the variable KERAS_BACKEND says is taken as it is. What `keras.json` says counts where that backend is
    installed, for Keras writes `tensorflow` there by itself; else it is the first one that is installed.
    """
    if os.environ.get(_VARIABLE):
        return os.environ[_VARIABLE]
    installed = installed_backends()
    configured = _configured_backend()
    if configured in installed:
        return configured
    return installed[0] if installed else None


def _configured_backend() -> str | None:
    home = Path(os.environ["KERAS_HOME"]) if os.environ.get("KERAS_HOME") else Path.home() / ".keras"
    try:
        told = json.loads((home / "keras.json").read_text(encoding="utf-8"))
        return str(told["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def settle_backend() -> None:
    """Set the backend that is installed, because Keras defaults to TensorFlow. Raises nothing."""
    preferred = preferred_backend()
    if preferred and "keras" not in sys.modules:
        _tell_keras(preferred)


def _tell_keras(name: str) -> None:
    """Set the variable, unless Keras would take that backend by itself."""
    if name != (os.environ.get(_VARIABLE) or _configured_backend() or "tensorflow"):
        os.environ[_VARIABLE] = name


def choose_backend(wanted: str | None = None) -> str:
    """Decide which backend Keras will run on, without loading it.

    Args:
        wanted: `tensorflow`, `jax` or `torch`; the one that `preferred_backend` gives when not given.

    Returns:
        Its name.

    Raises:
        MissingExtra: Keras or the backend is not installed; the message says what to type.
        ModelError: there is no such backend.
    """
    if wanted is not None and wanted not in BACKENDS:
        raise ModelError(f"Expected the backend to be one of {', '.join(BACKENDS)}, got {wanted[:80]!r}.")
    name = wanted or preferred_backend()
    if name is None:
        raise MissingExtra(
            f"a backend for Keras ({', '.join(BACKENDS.values())})",
            "train-cpu",
            "With an NVIDIA GPU give train-gpu in its place.",
        )
    if name not in BACKENDS:
        raise ModelError(
            f"Expected {_VARIABLE} to be one of {', '.join(BACKENDS)}, got {name[:80]!r}. Change it, or unset it."
        )
    if find_spec(name) is None:
        raise MissingExtra(BACKENDS[name], _EXTRAS[name])
    if find_spec("keras") is None:
        raise MissingExtra("Keras", "train")
    _tell_keras(name)
    return name


def keep_memory() -> None:
    """Let the process keep the memory that it frees, where the C library is glibc.

    A training step frees and allocates the same hundreds of megabytes. If they are returned to the system each time,
    page faults take a quarter of the CPU time when the classic network is trained on two cores.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_TOP_PAD, 64 * 2**20)


def fix_seeds(seed: int) -> None:
    """Make training reproducible: seeds of Python, NumPy and Keras, and deterministic kernels."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed randomness outside of Keras's own generators: PyTorch's dropout uses a generator of the process."""
    import keras

    if keras.backend.backend() == "torch":
        import numpy as np
        import torch

        torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


@contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Silence TensorFlow's warnings about retracing: each of several networks needs a graph of its own."""

    def is_other(record: logging.LogRecord) -> bool:
        return "tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def backend_name() -> str:
    """Name and version of the backend, for records: `tensorflow 2.21.0`."""
    import keras

    name = keras.backend.backend()
    return f"{name} {__import__(name).__version__}"
