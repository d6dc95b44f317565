"""Temporary folders of worker processes; the supervisor removes them, for a killed worker removes nothing.

While a supervisor lives, it holds a lock on the folder of its worker. Folders that are not locked are those of killed
supervisors; the next job removes them.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX, _COPIES = "mien-batch-", "mien-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")


class WorkerFolder:
    """A private folder for the temporary files of one worker process."""

    def __init__(self) -> None:
        self.path: str | None = None
        """Its path; `None` if no folder for temporary files can be written to, which only videos need."""
        with suppress(OSError):
            self.path = tempfile.mkdtemp(prefix=_PREFIX)
        self.remove = weakref.finalize(self, _remove, self.path, _lock(self.path))
        """Removes it; called at the latest when the interpreter exits."""


def remove_abandoned() -> None:
    """Remove the folders of workers whose supervisor was killed; nothing where folders cannot be locked."""
    if fcntl is None:
        return
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with suppress(OSError):
                if _is_ours(folder) and (lock := _lock(str(folder))) is not None:
                    _remove(str(folder), lock)


def _is_ours(folder: Path) -> bool:
    """Return whether a folder has the name, the owner and the content of one that this module made."""
    status = folder.lstat()
    return (
        _NAME.fullmatch(folder.name) is not None
        and stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and all(one.name.startswith(_COPIES) for one in folder.iterdir())
    )


def _lock(folder: str | None) -> int | None:
    """Lock a folder and return its descriptor; `None` if another process holds the lock or there are no locks."""
    if folder is None or fcntl is None:
        return None
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    return number


def _remove(folder: str | None, lock: int | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        os.close(lock)
