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
"""The supported backends by their Keras names, in order of preference."""

_EXTRAS = {"tensorflow": "train-cpu", "jax": "train,jax", "torch": "train,torch"}
_VARIABLE = "KERAS_BACKEND"

# Parameters of glibc's mallopt(3), which are macros in C.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP_BYTES = 2**31 - 1


def installed_backends() -> list[str]:
    """Return the installed backends in order of preference, without importing them."""
    return [name for name in BACKENDS if find_spec(name) is not None]


def preferred_backend() -> str | None:
    """Return the backend that Keras should use when it is loaded; `None` if there is none.

    The environment variable KERAS_BACKEND takes precedence and is not checked. The backend in `keras.json` is used only
    if it is installed, because Keras writes `tensorflow` there by default; else the first installed backend is used.
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
    """Select the preferred backend, because Keras defaults to TensorFlow; does nothing if Keras is loaded."""
    preferred = preferred_backend()
    if preferred and "keras" not in sys.modules:
        _tell_keras(preferred)


def _tell_keras(name: str) -> None:
    """Set KERAS_BACKEND, unless Keras would choose that backend anyway."""
    if name != (os.environ.get(_VARIABLE) or _configured_backend() or "tensorflow"):
        os.environ[_VARIABLE] = name


def choose_backend(wanted: str | None = None) -> str:
    """Decide which backend Keras will run on, without loading it.

    Args:
        wanted: `tensorflow`, `jax` or `torch`; by default the result of `preferred_backend`.

    Returns:
        The name of the backend.

    Raises:
        MissingExtra: If Keras or the backend is not installed; the message contains the install command.
        ModelError: If there is no such backend.
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
    """Keep freed memory in the process instead of returning it to the system (glibc only).

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
    """Make training reproducible: seed Python, NumPy and Keras, and enable TensorFlow's deterministic kernels."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed randomness outside of Keras's own generators: PyTorch's dropout uses PyTorch's global generator."""
    import keras

    if keras.backend.backend() == "torch":
        import numpy as np
        import torch

        torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


@contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Suppress TensorFlow's retracing warnings: each of several networks needs its own graph."""

    def is_other(record: logging.LogRecord) -> bool:
        return "tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def backend_name() -> str:
    """Return name and version of the backend, such as `tensorflow 2.21.0`."""
    import keras

    name = keras.backend.backend()
    return f"{name} {__import__(name).__version__}"
