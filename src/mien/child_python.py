"""Run modules of mien in other Python processes, which import nothing from the current folder.

Python imports from the current folder first in a process that it starts with `-m` or `-c`. A file `random.py` there
would replace the module of the standard library, and a file `cv2.py` in a downloaded folder would be executed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_SAFE_PATH = "PYTHONSAFEPATH"
_HOME = Path(__file__).resolve().parents[1]
"""Folder that contains the package `mien`."""


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of mien in another process of this Python.

    The process imports from the current folder only if mien is there, as in a checkout that is not installed.

    Args:
        module: a module with a `__main__` guard.
        arguments: its command-line arguments.
    """
    safe = [] if _is_in_current_folder() else ["-P"]
    return [sys.executable, *safe, "-m", module, *arguments]


def protect_children() -> None:
    """Keep the current folder out of all Python processes that this one starts, such as those of `multiprocessing`."""
    if not _is_in_current_folder():
        os.environ.setdefault(_SAFE_PATH, "1")


def _is_in_current_folder() -> bool:
    try:
        return Path.cwd().resolve() == _HOME
    except OSError:  # the folder was removed
        return False
