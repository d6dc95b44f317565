"""Temporary folder in which several workers share their metrics; folders of killed services are removed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "mien-metrics-"
_OWNER = "mien-keeper"
"""File in the folder with the identity of the process that owns it."""


@contextmanager
def worker_folder() -> Iterator[Path]:
    """Create a private folder that is removed at the end; folders of killed services are removed first."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        (folder / _OWNER).write_text(_identity(os.getpid()))
        yield folder


def _identity(pid: int) -> str:
    """Return the process id and start time, so that a process that reuses the id is not mistaken for it."""
    started = ""
    with suppress(OSError, IndexError):
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{pid} {started}"


def _remove_abandoned(parent: Path) -> None:
    with suppress(OSError):
        for folder in parent.glob(f"{_PREFIX}*"):
            with suppress(OSError, ValueError):
                if _is_abandoned(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Return whether a folder is ours, by its owner and the file in it, and the process named there has exited."""
    status = folder.lstat()
    owner = folder / _OWNER
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not is_ours or not stat.S_ISREG(owner.lstat().st_mode):
        return False
    if any(path.name != _OWNER and path.suffix != ".db" for path in folder.iterdir()):
        return False  # it contains other files
    said = owner.read_text()[:100]
    pid = int(said.split()[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return _identity(pid) != said
