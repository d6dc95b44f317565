"""Check the path of data, with a short error message if there is nothing to read."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from mien.errors import DataError
from mien.labels import quote

_LONGEST_NAME = 200  # maximum length of a missing path in an error message
_BASE64 = re.compile(r"(?:data:[\w/+.-]*;base64,)?[A-Za-z0-9+/_\s-]{200,}={0,2}\s*")


def find_place(path: Any, what: str) -> Path:
    """Return the path of an existing file or folder.

    Raises:
        DataError: If it is not a path, or there is nothing that can be read.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(name := os.fspath(path), str):
        raise DataError(f"Expected the path of {what}, as text or a Path, got {type(path).__name__}.")
    if not name.strip():
        raise DataError(f"Expected the path of {what}, got an empty one.")
    if _BASE64.fullmatch(name[:5000]) and not os.path.lexists(name[:255]):
        raise DataError(
            f"Expected the path of {what}, got {len(name):,} characters that look like base64. Decode them and write "
            "them into a file first."
        )
    if re.match(r"[a-z][a-z0-9+.-]+://", name, re.IGNORECASE):
        raise DataError(f"{_cut(name)}: expected the path of {what}, got an address. Download it first.")
    try:
        mode = Path(name).stat().st_mode
    except FileNotFoundError as error:
        raise DataError(
            f"{_cut(name)}: expected {what}, found no such file or folder. Is the path right?"
        ) from error
    except (OSError, ValueError) as error:  # a name that is too long, a loop of links, or invalid bytes
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{_cut(name)}: expected the path of {what}, but it cannot be opened ({reason})."
        ) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # reading a pipe would block
        raise DataError(
            f"{_cut(name)}: expected {what}, found a pipe or a device. Write it into a file first."
        )
    return Path(name)


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME and name.isprintable() else quote(name)


def name_of_place(place: Path) -> str:
    """Return a short name for the path of data, for naming files and models: its last part without unusual characters.

    >>> name_of_place(Path("my data/five classes"))
    'five-classes'
    """
    return re.sub(r"[^\w.-]+", "-", place.resolve().name).strip("-.")
