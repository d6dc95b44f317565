"""Move an exported model to its target: a file with its companion files, or a whole folder.

A folder written by mien contains a list of its files with checksums, see `mien.ownership`. An export to the same folder
replaces these files, removes those that are no longer part of the model, and keeps all other files and folders, and the
modes of folders. A folder of earlier versions, without a list, is assumed to contain only the model's files under their
names.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath

from mien.errors import DataError
from mien.files import partial_path, write_bytes
from mien.ownership import LIST, guard_of, list_files, names_on_list, own_files
from mien.quoting import quoted_path


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
    """Copy a folder next to its target, together with the target's other files and folders, and swap both."""
    target = target.resolve()  # a symbolic link is kept
    (new, _), (before, folders) = _content(made), _content(target)
    own = own_files(target, before)
    others = before - new - own - {LIST}  # the user's own files
    kept = folders - _parents(own)  # the user's own folders, also empty ones
    _require_own(target, before & new - own)
    _require_apart(target, new, others, kept | _parents(others))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, old = partial_path(target), partial_path(target)
    try:
        _fill(aside, made, new)
        for name in sorted(others):
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(target / name, aside / name, follow_symlinks=False)
        for name in kept:
            (aside / name).mkdir(parents=True, exist_ok=True)
        for name in sorted(folders, reverse=True):  # a folder after those in it, for it may be read-only
            if (aside / name).is_dir():
                shutil.copystat(target / name, aside / name)
        shutil.copystat(target if target.is_dir() else made, aside)
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
    _remove(old, before, folders)


def _fill(aside: Path, made: Path, new: set[str]) -> None:
    """Copy the files of a model to a new folder, with a list of them; only this user can open the folder."""
    aside.mkdir(0o700)
    shutil.copytree(made, aside, dirs_exist_ok=True)
    aside.chmod(0o700)  # files of a private folder stay private meanwhile
    list_files(aside, sorted(new))


def _require_own(folder: Path, replaced: set[str]) -> None:
    """Refuse to replace files that mien did not write or that were changed since, unless the guard is forced.

    A folder of earlier versions has no list that tells them apart.
    """
    guard = guard_of(folder)
    if not replaced or not guard or guard.force or not (folder / LIST).is_file():
        return
    name = min(replaced)
    why = (
        "was changed since mien wrote it"
        if name in names_on_list(folder)
        else "exists, and mien did not write it"
    )
    raise DataError(
        f"{quoted_path(str(folder / name))}: this file {why}. {guard.remedy}".rstrip(),
        remedy=guard.remedy or None,
    )


def _require_apart(folder: Path, new: set[str], files: set[str], folders: set[str]) -> None:
    """Refuse to write a file where the user has a folder, or a folder where the user has a file.

    Args:
        folder: the target folder.
        new: the files of the model.
        files: the user's own files in the target folder.
        folders: folders in it that are the user's own or contain such files.
    """
    clashes = (new & folders) | (files & _parents(new))
    if clashes:
        name = min(clashes)
        expected, got = ("a file", "a folder") if name in new else ("a folder", "a file")
        raise DataError(
            f"{quoted_path(str(folder / name))}: expected {expected} of the model or nothing, got {got} that mien did "
            "not write. Move it to another place, or export to another folder."
        )


def _parents(names: set[str]) -> set[str]:
    """Return the folders that contain some files, at any depth."""
    return {place.as_posix() for name in names for place in PurePosixPath(name).parents} - {"."}


def _content(folder: Path) -> tuple[set[str], set[str]]:
    """Return the files and links in a folder, and the folders in it, as relative paths with slashes.

    Raises:
        OSError: If a folder in it cannot be opened, so that its files cannot be kept.
    """
    files: set[str] = set()
    folders: set[str] = set()
    for place, below, names in os.walk(folder, onerror=_fail) if folder.is_dir() else ():
        links = [name for name in below if Path(place, name).is_symlink()]
        files |= {Path(place, name).relative_to(folder).as_posix() for name in [*names, *links]}
        folders |= {Path(place, name).relative_to(folder).as_posix() for name in below if name not in links}
    return files, folders


def _fail(error: OSError) -> None:
    raise error


def _remove(folder: Path, files: set[str], folders: set[str]) -> None:
    """Remove files and the folders that are then empty."""
    places = [folder, *(folder / name for name in sorted(folders))]
    for place in places:
        with suppress(OSError):
            place.chmod(0o700)  # files cannot be removed from a read-only folder
    for name in files:
        (folder / name).unlink(missing_ok=True)
    for place in reversed(places):
        with suppress(OSError):  # another process wrote a file there in the meantime; keep it
            place.rmdir()
