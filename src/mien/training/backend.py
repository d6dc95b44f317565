"""The one place that knows which Keras back end runs."""

from __future__ import annotations

import ctypes
import sys

import keras

# glibc's mallopt(3): its names are macros, so their numbers stand here.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP_BYTES = 2**31 - 1


def keep_memory() -> None:
    """Let the process keep the memory that it frees, where the C library is glibc.

    A training step frees and takes the same hundreds of megabytes again; handed back to the system each time,
    they cost page faults: a fourth of the processor time of the classic network's training on two cores.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_TOP_PAD, 64 * 2**20)


def fix_seeds(seed: int) -> None:
    """Make a training repeat itself exactly: seeds of Python, numpy and Keras, and deterministic kernels."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def backend_name() -> str:
    """Name and version of the back end, for records: `tensorflow 2.21.0`."""
    name = keras.backend.backend()
    module = __import__("torch" if name == "torch" else name)
    return f"{name} {module.__version__}"
