"""Files that are whole or absent: written aside, then renamed into place."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to that takes the name `path` when the block ends well, and is removed when it does not.

    The temporary file lies in the same folder (made if need be) and keeps the suffix, for some writers choose
    the format by it. A reader sees the old file or the new one, never a part; so does a machine that loses
    power, for the content is on disk before the name is.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        with _naming(path):
            yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.chmod(0o644)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> None:
    """Remove what `replacing` left in a folder when the process was killed; nobody may be writing there."""
    for path in Path(folder).glob(".*"):
        if re.fullmatch(r"\.[^.].*-[a-z0-9_]{8}(\.\w+)?", path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A full disk has no name: say which file could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write a file whole or not at all; gives back its path."""
    with replacing(path) as aside:
        aside.write_bytes(data)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file (UTF-8) whole or not at all; gives back its path."""
    return write_bytes(path, text.encode())
