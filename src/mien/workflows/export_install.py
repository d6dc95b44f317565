"""Move an exported model to its target: a file with its companion files, or a whole folder.

A folder written by mien contains a list of its files with checksums, see `mien.ownership`. An export to the same folder
replaces these files, removes those that are no longer part of the model, and keeps all other files.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.files import partial_path, write_bytes
from mien.ownership import LIST, guard_of, list_files, names_on_list, own_files
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from pathlib import Path


def install(made: Path, target: Path) -> None:
    """Move a file, with its companion files such as weights, or a folder to its target.

    Args:
        made: the file or folder, in a temporary folder of its own.
        target: the target path.

    Raises:
        DataError: If a guard forbids replacing a file.
        OSError: If it cannot be written.
    """
    if made.is_dir():
        _install_folder(made, target)
        return
    found = [path for path in made.parent.iterdir() if path.name.startswith(f"{made.stem}.")]
    files = sorted(found, key=lambda path: path == made)  # the model itself last
    for file in files:
        if guard := guard_of(target.with_name(file.name)):
            guard.check(target.with_name(file.name))
    for file in files:
        write_bytes(target.with_name(file.name), file.read_bytes())


def _install_folder(made: Path, target: Path) -> None:
    """Copy a folder next to its target, together with the target's other files, and swap both."""
    target = target.resolve()  # a symbolic link is kept
    new, before = _files(made), _files(target)
    own = own_files(target, before)
    _require_unchanged(target, before & new & names_on_list(target) - own)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, old = partial_path(target), partial_path(target)
    try:
        shutil.copytree(made, aside)
        list_files(aside, sorted(new))
        for name in sorted(before - new - own - {LIST}):  # the user's own files
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(target / name, aside / name, follow_symlinks=False)
        if target.is_dir():
            target.rename(old)
        try:
            aside.rename(target)
        except OSError:
            with suppress(OSError):
                old.rename(target)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _remove(old, before)


def _require_unchanged(folder: Path, changed: set[str]) -> None:
    """Refuse to replace files that were changed since mien wrote them, unless the guard is forced."""
    guard = guard_of(folder)
    if changed and guard and not guard.force:
        name = min(changed)
        raise DataError(
            f"{quoted_path(str(folder / name))}: this file was changed since mien wrote it. {guard.remedy}".rstrip(),
            remedy=guard.remedy or None,
        )


def _files(folder: Path) -> set[str]:
    """Return the files and links in a folder, as relative paths with slashes."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in found}


def _remove(folder: Path, names: set[str]) -> None:
    """Remove files and the folders that are then empty."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    folders = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for place in [*sorted(folders, reverse=True), folder]:
        with suppress(OSError):  # another process wrote a file there in the meantime; keep it
            place.rmdir()
