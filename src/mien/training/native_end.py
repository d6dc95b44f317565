"""Exit a process in which native code waits for another host or aborts."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class AbortHandler:
    """Call a function when native code aborts the process; if the function returns, the process aborts as usual.

    Python's signal handlers run in the main thread, which is blocked in native code, so this handler is installed with
    the C library. The object must be kept in memory until `restore` or `suspend`.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _number: function())
        self._set = None
        if sys.platform != "win32":
            self._pause = ctypes.CDLL(None).pause
            self._set = ctypes.CDLL(None).signal
            self._set.argtypes, self._set.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
            self._before = self._set(signal.SIGABRT, ctypes.cast(self._handler, ctypes.c_void_p))

    def restore(self) -> None:
        """Restore the previous abort handler."""
        if self._set:
            self._set(signal.SIGABRT, self._before)

    def suspend(self) -> None:
        """Block a thread that aborts, without running Python code, because the interpreter is about to exit."""
        if self._set:
            self._set(signal.SIGABRT, ctypes.cast(self._pause, ctypes.c_void_p))


def skip_shutdown_of_jax() -> None:
    """Make the process exit with its own code, skipping JAX's shutdown, which waits for all hosts and aborts."""
    with suppress(ImportError, AttributeError):  # JAX has no public API for this
        from jax._src import api, distributed

        atexit.unregister(api.clean_up)
        state = distributed.global_state
        for one in (state.client, state.service):  # their destructors wait, too
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
    # The destructors of JAX's libraries wait, too. Only the GNU C library can skip them and keep the exit code.
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.on_exit.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        library.on_exit(ctypes.cast(library["_exit"], ctypes.c_void_p), None)


def end_process(sentence: str) -> None:
    """Print an error message and exit with code 2; nothing else ends a thread that is blocked in native code."""
    with suppress(OSError):
        os.write(2, f"{sentence}\n".encode())
    os._exit(2)
