"""Limits that a decoding process sets for itself: memory, CPU time, open files and network access."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
from contextlib import suppress
from typing import BinaryIO

OPEN_FILES = 64
"""Maximum number of open file descriptors of a decoding process."""

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # flags of unshare(2)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
_NO_NEW_PRIVILEGES = 38  # operation of prctl(2)


def take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes from and to the parent process, and redirect the standard streams to the null device."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and may finish its work first
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    return orders, answers


def leave_network() -> None:
    """Set no_new_privs and enter an empty network namespace. Containers may forbid the latter, which is ignored."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        library.unshare(_NEW_USER | _NEW_NETWORK)


def end_with_parent(orders: BinaryIO) -> None:
    """Start a thread that terminates this process when the parent closes its pipe or exits."""
    threading.Thread(target=_watch, args=(orders.fileno(),), daemon=True).start()


def _watch(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # reports hang-ups only
    poll.poll()
    os._exit(0)


def keep_freed_memory() -> None:
    """Make glibc keep up to 64 MB of freed memory, because page faults cost more than decoding a small image."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, 64 << 20)
        mallopt(_MMAP_THRESHOLD, 32 << 20)


def mapped_bytes(field: str = "VmSize") -> int:
    """Return the size of the address space in bytes, or its peak with `VmPeak`; 0 if the system does not provide it."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/status", "rb") as file:  # noqa: PTH123 - of the system
        found = file.read().partition(field.encode() + b":")[2]
        return int(found.split()[0]) * 1024
    return 0


def limit_files() -> None:
    """Limit open files, forbid file writes and core dumps, and make this process the first choice of the OOM killer."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - of the system
        file.write("1000")
    with suppress(ImportError):
        import resource

        for what, most in (
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            with suppress(OSError, ValueError):
                resource.setrlimit(what, (most, most))


def limit_memory(most: int) -> bool:
    """Limit the address space. The limit can be changed later.

    Args:
        most: maximum size in bytes.

    Returns:
        Whether a failed allocation is due to this limit, and not to a lower limit or a lack of memory.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or most <= hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
            return not _counts_reserved_memory()
    return False


def _counts_reserved_memory() -> bool:
    """Return whether the kernel does not overcommit memory (`vm.overcommit_memory` is 2)."""
    with suppress(OSError), open("/proc/sys/vm/overcommit_memory", "rb") as file:  # noqa: PTH123 - of the system
        return file.read().strip() == b"2"
    return False


def limit_processor(seconds: int) -> None:
    """Limit the CPU time from now on. The limit can be changed later.

    Args:
        seconds: CPU time of all threads together, in seconds.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))
